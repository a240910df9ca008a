// The embeddings of test images through the epochs of training, and the images behind the points.

import { nearest, squaredDistance } from "./arithmetic.mjs";
import { announcement, button, element } from "./controls.mjs";
import { decodePoints, imageSheet } from "./data.mjs";
import { epochSlider, pointsAt } from "./epochs.mjs";
import { frameOf, markerSample, scatter } from "./scatter.mjs";

const NEIGHBOURS = 8;
const MANY = 20; // classes, whose list gets a bar to scroll it

export function embeddingViewer(view, data) {
  const { host, address } = view;
  const epochs = data.epochs.map(({ points, unit }) => decodePoints(points, unit));
  const frames = epochs.map((points) => frameOf(data.isOneScale ? epochs.flat() : points));
  const show = imageSheet(data.sheet);
  const last = epochs.length - 1;
  const hidden = new Set(address.numbers("off", [], [[0, data.classes.length - 1]], ".").map(Math.round));
  const state = {
    time: Math.round(address.number("epoch", last, [0, last])),
    image: -1,
    picked: Math.round(address.number("image", -1, [0, data.labels.length - 1])),
  };

  const drawing = scatter(host, { label: `embeddings of ${data.labels.length} test images, a point each`, onPoint: (image, isPick) => (isPick ? change({ image, picked: image }) : image !== state.image && change({ image })) });
  const steps = epochSlider({ names: data.epochs.map(({ name }) => name), value: state.time, onTime: (time) => change({ time }), label: data.step });
  const shown = element("div", { className: "shown" });
  const says = announcement();
  const thumbs = element("ol", { className: "thumbs" });
  const legend = element("fieldset", { className: "classes" });

  function change(fields) {
    Object.assign(state, fields);
    update();
  }

  function update() {
    const points = pointsAt(epochs, state.time);
    const marked = [state.picked, state.image].filter((image) => image >= 0);
    const found = state.picked < 0 ? [] : neighboursOf(points, state.picked);
    drawing.draw({
      points,
      labels: data.labels,
      frame: between(frames, state.time),
      lines: found.map((to) => ({ from: state.picked, to, kind: data.labels[to] === data.labels[state.picked] ? "positive" : "negative" })),
      marked,
      isHidden: (image) => hidden.has(data.labels[image]),
    });
    showImage(points);
    if (Number.isInteger(state.time)) {
      showNeighbours(points, found);
      address.keep({ epoch: state.time, image: state.picked, off: [...hidden].join(".") });
    }
  }

  function neighboursOf(points, image) {
    const distances = points.map((point) => squaredDistance(point, points[image]));
    const others = [...points.keys()].filter((other) => other !== image && !hidden.has(data.labels[other]));
    const found = [];
    while (found.length < Math.min(NEIGHBOURS, others.length)) {
      const best = nearest(distances, others);
      found.push(best);
      others.splice(others.indexOf(best), 1);
    }
    return found;
  }

  function showImage(points) {
    const image = state.image >= 0 ? state.image : state.picked;
    if (image < 0) {
      shown.replaceChildren(element("p", { className: "hint", textContent: "Point at an image, or reach one with the arrow keys; click it or press Enter for its nearest neighbours." }));
      return;
    }
    const [x, y] = points[image];
    const canvas = element("canvas", { role: "img", "aria-label": `test image, ${nameOf(image)}` });
    const text = element("p", {}, element("strong", { textContent: nameOf(image) }), element("br"), `(${x.toPrecision(3)}, ${y.toPrecision(3)})`);
    shown.replaceChildren(canvas, text);
    show(canvas, image);
  }

  function showNeighbours(points, found) {
    if (state.picked < 0) {
      says.textContent = "";
      thumbs.replaceChildren();
      return;
    }
    const right = found.filter((other) => data.labels[other] === data.labels[state.picked]).length;
    const sentence = `Of the ${found.length} nearest to this ${nameOf(state.picked)}, ${right} are of its class.`;
    if (says.textContent !== sentence) says.textContent = sentence;
    thumbs.replaceChildren(
      ...found.map((other) => {
        const canvas = element("canvas", { role: "img", "aria-label": nameOf(other) });
        show(canvas, other);
        const isRight = data.labels[other] === data.labels[state.picked];
        return element("li", {}, canvas, element("span", { className: isRight ? "" : "wrong", textContent: (isRight ? "" : "✗ ") + nameOf(other) }));
      }),
    );
  }

  function nameOf(image) {
    return data.classes[data.labels[image]];
  }

  function drawLegend() {
    const boxes = data.classes.map((name, label) => {
      const input = element("input", { type: "checkbox", checked: !hidden.has(label) });
      input.addEventListener("change", () => {
        if (input.checked) hidden.delete(label);
        else hidden.add(label);
        update();
      });
      return element("label", {}, input, markerSample(host, label), name);
    });
    legend.classList.toggle("many", data.classes.length > MANY);
    legend.replaceChildren(element("legend", { textContent: "classes" }), ...boxes);
  }

  const clear = button("Clear", () => change({ picked: -1, image: -1 }));
  const side = element("div", {}, shown, says, thumbs);
  view.body.append(element("div", { className: "controls" }, steps.box, clear), element("div", { className: "sides" }, element("div", {}, drawing.box, legend), side));
  view.onTheme(() => {
    drawLegend();
    update();
  });
  drawLegend();
  update();
}

function between(frames, time) {
  const [before, share] = [frames[Math.floor(time)], time - Math.floor(time)];
  if (share < 1e-9) return before;
  const after = frames[Math.floor(time) + 1];
  const mixed = (from, to) => from + share * (to - from);
  return { x: mixed(before.x, after.x), y: mixed(before.y, after.y), reach: mixed(before.reach, after.reach) };
}
