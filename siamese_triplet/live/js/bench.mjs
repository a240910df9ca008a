// A batch at several epochs of training: choose a selector and a margin, and see the selection.

import { batchContrastiveLoss, selectPairs, selectTriplets, squaredDistances, tripletCosts } from "./arithmetic.mjs";
import { announcement, element, marginRange, marginSlider, menu, readout } from "./controls.mjs";
import { decodePoints, imageSheet } from "./data.mjs";
import { epochSlider } from "./epochs.mjs";
import { generator } from "./random.mjs";
import { frameOf, scatter } from "./scatter.mjs";
import { PAIR_SELECTORS, TRIPLET_SELECTORS } from "./tuples.mjs";

const SEED = 0;
const LEAST_MARGIN = 0.05;
const NAMES = ["selected", "with a loss", "mean loss", "mean of those with a loss"];

export function selectorBench(view, data) {
  const { host, address } = view;
  const epochs = data.epochs.map(({ points, unit }) => decodePoints(points, unit));
  const isTraining = epochs.length > 1;
  const show = imageSheet(data.sheet);
  const options = { "triplets, a selector of": named("triplet", TRIPLET_SELECTORS), "pairs, a selector of": named("pair", PAIR_SELECTORS) };
  const state = {
    selector: address.choice("selector", data.selector, Object.values(options).flatMap(Object.keys)),
    margin: address.number("margin", data.margin, [LEAST_MARGIN, marginRange(data.margin, LEAST_MARGIN).max]),
    epoch: Math.round(address.number("epoch", firstTrained(data.epochs), [0, epochs.length - 1])),
    image: -1,
  };

  const drawing = scatter(host, { label: `batch of ${data.labels.length} embeddings`, onPoint: (image, isPick) => isPick && pick(image), tall: 0.66 });
  const numbers = readout(NAMES);
  const says = announcement();
  const shown = element("div", { className: "shown" });
  const bars = element("div", { className: "bars" });
  const margins = marginSlider({ given: data.margin, min: LEAST_MARGIN, value: state.margin, onInput: (margin) => change({ margin }) });
  state.margin = margins.margin;
  const selectors = menu({ label: "selector", options, value: state.selector, onInput: (selector) => change({ selector, image: -1 }) });
  const steps = epochSlider({ names: data.epochs.map(({ name }) => name), value: state.epoch, onTime: (time) => change({ epoch: Math.floor(time) }) });

  let results = epochs.map((rows) => outcome(state, rows, data.labels));

  function change(fields) {
    const before = { ...state };
    Object.assign(state, fields);
    const isChanged = (field) => state[field] !== before[field];
    if (isChanged("selector") || isChanged("margin")) results = epochs.map((rows) => outcome(state, rows, data.labels));
    if (Object.keys(fields).some(isChanged)) update();
  }

  function pick(image) {
    change({ image: state.image === image ? -1 : image });
  }

  function update() {
    const now = results[state.epoch];
    numbers.set({
      selected: now.selected.toLocaleString("en"),
      "with a loss": now.active.toLocaleString("en"),
      "mean loss": now.loss.toFixed(3),
      "mean of those with a loss": now.active ? now.lossOfActive.toFixed(3) : "–",
    });
    says.textContent = sentence(now, state, data);
    const isOfImage = (tuple) => state.image < 0 || tuple.images[0] === state.image || (now.kind === "pairs" && tuple.images.includes(state.image));
    drawing.draw({
      points: epochs[state.epoch],
      labels: data.labels,
      frame: frameOf(epochs[state.epoch]),
      lines: linesOf(now.tuples.filter(isOfImage)),
      marked: state.image < 0 ? [] : [state.image],
    });
    showImage();
    if (isTraining) drawBars(bars, results, data.epochs, state.epoch, now.kind);
    address.keep({ selector: state.selector, margin: state.margin, epoch: state.epoch });
  }

  function showImage() {
    if (state.image < 0) {
      shown.replaceChildren(element("p", { className: "hint", textContent: "Click an image, or reach one with the arrow keys and press Enter, to see its own tuples only." }));
      return;
    }
    const text = element("p", { textContent: `${data.classes[data.labels[state.image]]}: image ${state.image} of the batch. Click it again for all.` });
    const canvas = element("canvas", { role: "img", "aria-label": `image ${state.image}` });
    shown.replaceChildren(...(show ? [canvas] : []), text);
    show?.(canvas, state.image);
  }

  view.body.append(element("div", { className: "controls" }, selectors.box, margins.box, ...(isTraining ? [steps.box] : [])), drawing.box, numbers.box, says, shown, bars);
  view.onTheme(update);
  update();
}

/** The number of the first epoch that is not the untrained network, whose points lie in one heap. */
function firstTrained(epochs) {
  return Math.max(0, epochs.findIndex(({ name }) => name !== "untrained"));
}

function named(kind, selectors) {
  return Object.fromEntries(selectors.map((name) => [`${kind}:${name}`, name]));
}

/** The tuples that a selector takes from a batch, and their losses. */
function outcome({ selector, margin }, rows, labels) {
  const [kind, name] = selector.split(":");
  const random = generator(SEED);
  if (kind === "pair") {
    const pairs = selectPairs(name, rows, labels, random);
    const { loss, active } = batchContrastiveLoss(rows, pairs, margin);
    const tuples = [...pairs.positive.map((images) => ({ images, isSame: true })), ...pairs.negative.map((images) => ({ images, isSame: false }))];
    return { name, kind: "pairs", tuples, selected: tuples.length, active, loss, lossOfActive: (loss * tuples.length) / Math.max(1, active) };
  }
  const triplets = selectTriplets(name, rows, labels, margin, random);
  const { loss, active } = tripletCosts(squaredDistances(rows), triplets, margin);
  return { name, kind: "triplets", tuples: triplets.map((images) => ({ images })), selected: triplets.length, active, loss, lossOfActive: (loss * triplets.length) / Math.max(1, active) };
}

function sentence({ kind, selected, active, name, loss }, { margin, epoch }, { epochs }) {
  const named = epochs[epoch].name;
  const when = epochs.length > 1 ? `${/^\d/.test(named) ? "Epoch " : ""}${named}: ` : "";
  if (!selected) return `${when}${name} finds nothing to learn from in this batch.`;
  if (!active) return `${when}${name} selects ${kind}, but none of them has a loss any more.`;
  if (kind === "triplets" && name === "hardest" && Math.abs(loss - margin) < 0.05 * margin) {
    return `${when}the mean loss is as large as the margin: the hardest triplets ask mostly for what collapses a network.`;
  }
  return `${when}${name} selects ${selected.toLocaleString("en")} ${kind}; ${active.toLocaleString("en")} of them have a loss.`;
}

/** One line per pair of images that tuples join; fainter if there are many. */
function linesOf(tuples) {
  const lines = new Map();
  for (const { images, isSame } of tuples) {
    const joined = images.length === 3 ? [[images[0], images[1], "positive"], [images[0], images[2], "negative"]] : [[...images, isSame ? "positive" : "negative"]];
    for (const [from, to, kind] of joined) lines.set(`${Math.min(from, to)},${Math.max(from, to)}`, { from, to, kind });
  }
  const strength = Math.max(0.06, Math.min(0.7, 250 / lines.size));
  return [...lines.values()].map((line) => ({ ...line, strength }));
}

function drawBars(box, results, epochs, current, kind) {
  const most = Math.max(1, ...results.map(({ active }) => active));
  const rows = runs(results.map(({ active }) => active)).map(({ first, last, active }) => {
    const bar = element("i");
    bar.style.width = `${(100 * active) / most}%`;
    const name = first === last ? epochs[first].name : `${epochs[first].name} … ${epochs[last].name}`;
    const row = element("div", {}, element("span", { textContent: name }), element("span", {}, bar), element("b", { textContent: active.toLocaleString("en") }));
    if (first <= current && current <= last) row.setAttribute("aria-current", "true");
    return row;
  });
  box.replaceChildren(element("span", { className: "hint", textContent: `${kind} with a loss, of this selector and margin, at each epoch:` }), ...rows);
}

/** The epochs with their numbers of active tuples; those without any, one after the other, are one run. */
function runs(counts) {
  const found = [];
  counts.forEach((active, epoch) => {
    const before = found.at(-1);
    if (before && !active && !before.active) before.last = epoch;
    else found.push({ first: epoch, last: epoch, active });
  });
  return found;
}
