// Runs trained beforehand: choose settings, predict the outcome, and see it.

import { announcement, button, element, menu, readout } from "./controls.mjs";
import { decodePoints } from "./data.mjs";
import { frameOf, markerSample, scatter } from "./scatter.mjs";

const OUTCOMES = { apart: "clusters that lie apart", overlap: "clusters that overlap", collapse: "everything on one point" };
const SVG = "http://www.w3.org/2000/svg";

export function settingsGallery(view, data) {
  const { host, address } = view;
  const fields = data.fields; // names of settings, such as method, selector, margin
  const offered = (field) => data.runs.map((run) => String(run.settings[field]));
  const wanted = fields.map((field) => address.choice(field, data.start[field], offered(field)));
  const state = { settings: Object.fromEntries(fields.map((field, i) => [field, wanted[i]])), isRevealed: address.choice("shown", "no", ["yes"]) === "yes", guess: null };
  const drawing = scatter(host, { label: "embeddings of test images after training", tall: 0.7 });
  const controls = element("div", { className: "controls" });
  const question = element("div", {});
  const answer = element("div", {});
  const numbers = readout(data.metrics);
  const says = announcement();
  const curves = element("div", { className: "curves" });
  const legend = element("p", { className: "classes" });

  function runOf() {
    return data.runs.find((run) => fields.every((field) => String(run.settings[field]) === state.settings[field]));
  }

  /** Replaces each setting that is not available, given those before it, by the first that is. */
  function settle() {
    const chosen = {};
    for (const field of fields) {
      const values = valuesOf(field, chosen);
      chosen[field] = values.includes(state.settings[field]) ? state.settings[field] : values[0];
    }
    state.settings = chosen;
  }

  function valuesOf(field, given) {
    const fits = data.runs.filter((run) => Object.entries(given).every(([name, value]) => String(run.settings[name]) === value));
    return [...new Set(fits.map((run) => String(run.settings[field])))];
  }

  function choose(field, value) {
    state.settings[field] = value;
    state.isRevealed = false;
    state.guess = null;
    update();
    controls.querySelector(`[data-field="${field}"]`)?.focus();
  }

  function guess(outcome) {
    state.guess = outcome;
    state.isRevealed = true;
    update();
  }

  function drawControls() {
    const menus = fields.map((field, i) => {
      const given = Object.fromEntries(fields.slice(0, i).map((name) => [name, state.settings[name]]));
      const options = Object.fromEntries(valuesOf(field, given).map((value) => [` ${value}`, value])); // a blank keeps numeric keys in their order
      const made = menu({ label: field, options, value: ` ${state.settings[field]}`, onInput: (value) => choose(field, value.slice(1)) });
      made.input.dataset.field = field;
      made.input.disabled = Object.keys(options).length < 2;
      return made.box;
    });
    controls.replaceChildren(...menus);
  }

  function update() {
    settle();
    drawControls();
    const run = runOf();
    answer.hidden = !state.isRevealed;
    question.hidden = state.isRevealed;
    const again = state.isRevealed ? "" : "What will this lead to?";
    if (state.isRevealed) reveal(run);
    else says.textContent = again;
    address.keep({ ...state.settings, shown: state.isRevealed ? "yes" : "no" });
  }

  function reveal(run) {
    const points = decodePoints(run.points, run.unit);
    drawing.draw({ points, labels: run.labels, frame: frameOf(points, data.least) });
    numbers.set(run.metrics);
    const verdict = state.guess === null ? "It leads to " : state.guess === run.outcome ? "Right: " : "Not so: ";
    says.textContent = `${verdict}${OUTCOMES[run.outcome]}.${run.outcome === "collapse" ? ` ${data.remedy}` : ""}`;
    says.className = `says ${state.guess === null ? "" : state.guess === run.outcome ? "right" : "wrong"}`;
    const classes = data.classes[run.settings.data].map((name, label) => element("span", {}, markerSample(host, label), ` ${name}`));
    legend.replaceChildren(...classes);
    curves.replaceChildren(...Object.entries(run.curves).map(([name, values]) => curve(name, values)));
  }

  const buttons = Object.entries(OUTCOMES).map(([outcome, text]) => button(text, () => guess(outcome)));
  const skip = button("just show it", () => guess(null));
  question.append(element("div", { className: "choices" }, ...buttons, skip));
  answer.append(drawing.box, legend, numbers.box, curves);
  view.body.append(controls, says, question, answer, element("p", { className: "hint", textContent: data.origin }));
  view.onTheme(() => state.isRevealed && update());
  update();
}

/** A small curve over the epochs. */
function curve(name, values) {
  const [width, height, border] = [220, 90, 6];
  const top = Math.max(...values, 1e-9);
  const x = (i) => border + (i * (width - 2 * border)) / Math.max(1, values.length - 1);
  const y = (value) => height - border - (value * (height - 2 * border)) / top;
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `${name} over the epochs: ${values.map(short).join(", ")}`);
  const line = document.createElementNS(SVG, "polyline");
  line.setAttribute("points", values.map((value, i) => `${x(i)},${y(value)}`).join(" "));
  line.setAttribute("style", "fill: none; stroke: var(--accent); stroke-width: 2");
  const axis = document.createElementNS(SVG, "polyline");
  axis.setAttribute("points", `${border},${border} ${border},${height - border} ${width - border},${height - border}`);
  axis.setAttribute("style", "fill: none; stroke: var(--quiet)");
  svg.append(axis, line);
  const [first, final] = [values[0], values.at(-1)].map(short);
  return element("figure", {}, svg, element("figcaption", { textContent: `${name}, epochs 1 to ${values.length}: ${first} to ${final}` }));
}

function short(value) {
  return value.toLocaleString("en", { maximumSignificantDigits: 3 });
}
