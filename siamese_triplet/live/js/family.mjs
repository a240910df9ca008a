// One anchor, two positives and four negatives on a half circle: what each loss of the family pulls and pushes.

import { announcement, button, element, readout, slider } from "./controls.mjs";
import { LOSSES, weightsOf } from "./weights.mjs";

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT, RADIUS] = [520, 336, 226];
const [MIDDLE, FLOOR] = [WIDTH / 2, HEIGHT - 70];
const START = { p1: 35, p2: 60, n1: 47, n2: 73, n3: 100, n4: 150 }; // degrees from the anchor
const RANGE = [1, 180];
const NUDGE = 5;
const LONGEST = 40; // degrees of the arrow of a pair with the greatest weight
const STEP = 6; // degrees that such a pair moves in a step of descent
const NAMES = Object.keys(START);

export function familyFigure(view, data) {
  const { address } = view;
  const angles = Object.fromEntries(NAMES.map((name) => [name, address.number(name, START[name], RANGE)]));
  const state = { loss: address.choice("loss", data.loss, Object.keys(LOSSES)) };
  const { slider: first, temperature: usual = null, margin: given = null } = LOSSES[state.loss];
  state.temperature = usual && address.number("temperature", usual, [0.01, 1]);
  state.margin = first ? address.number("margin", given, [0, first.most]) : null;

  const settings = element("div", { className: "controls" });
  const scene = halfCircle(angles, (name, angle) => place({ [name]: angle }));
  const numbers = readout(NAMES);
  const says = announcement();
  const tiles = Object.keys(LOSSES).map((name) => tile(name, () => choose(name)));

  function choose(name) {
    Object.assign(state, { loss: name, temperature: LOSSES[name].temperature ?? null, margin: LOSSES[name].margin ?? null });
    showSettings();
    update();
  }

  function showSettings() {
    const { temperature, margin, slider: kind } = LOSSES[state.loss];
    const made = [];
    if (temperature) made.push(slider({ label: "temperature", min: -2, max: 0, step: 0.05, value: Math.log10(state.temperature), format: (power) => temperatureText(10 ** power), onInput: (power) => change("temperature", 10 ** power) }));
    if (kind) made.push(slider({ label: kind.label, min: 0, max: kind.most, step: 0.05, value: state.margin ?? margin, format: (value) => value.toFixed(2), onInput: (value) => change("margin", value) }));
    settings.replaceChildren(...made.map(({ box }) => box), button("One step of descent", descend), button("Reset", reset));
  }

  function change(field, value) {
    state[field] = value;
    update();
  }

  function place(moved) {
    for (const [name, angle] of Object.entries(moved)) angles[name] = Math.max(RANGE[0], Math.min(RANGE[1], Math.round(10 * angle) / 10));
    update();
  }

  function descend() {
    const { turn } = outcome(state.loss, angles, state);
    place(Object.fromEntries(NAMES.map((name) => [name, angles[name] + STEP * turn[name]])));
  }

  function reset() {
    Object.assign(angles, START);
    choose(state.loss);
  }

  function update() {
    const now = outcome(state.loss, angles, state);
    scene.draw(now.turn);
    numbers.set(Object.fromEntries(NAMES.map((name) => [name, signed(now.weight[name])])));
    const text = `${LOSSES[state.loss].note} ${sentence(now)}`;
    if (says.textContent !== text) says.textContent = text;
    for (const { name, draw } of tiles) draw(name === state.loss ? now : outcome(name, angles, LOSSES[name]), name === state.loss);
    address.keep({ loss: state.loss, ...kept("temperature"), ...kept("margin"), ...angles });
  }

  /** A setting for the address, if the loss has it. */
  function kept(field) {
    return LOSSES[state.loss][field] === undefined ? {} : { [field]: Number(state[field].toPrecision(6)) };
  }

  const hint = element("p", { className: "hint", textContent: "Drag the points, or move to one with Tab and press the arrow keys. The numbers are the weights, −∂L/∂s: a pull above zero, a push below." });
  const others = element("p", { className: "hint", textContent: "All losses at these points, the others with their usual settings: a pull upwards, a push downwards, each relative to the greatest weight that a pair can have. Choose one:" });
  view.body.append(settings, scene.box, numbers.box, says, hint, others, element("div", { className: "tiles" }, ...tiles.map(({ box }) => box)));
  showSettings();
  update();
}

/** What a loss does at these angles: `weight` by name, a pull above zero, and `turn`, by how much of the greatest weight a
 * point moves, where a pull makes the angle to the anchor smaller. */
function outcome(loss, angles, settings) {
  const cosines = (letter) => NAMES.filter((name) => name[0] === letter).map((name) => Math.cos((angles[name] * Math.PI) / 180));
  const { positive, negative } = weightsOf(loss, cosines("p"), cosines("n"), settings);
  const slopes = [...positive, ...negative];
  const greatest = LOSSES[loss].greatest(settings);
  const byName = (of) => Object.fromEntries(NAMES.map((name, i) => [name, of(slopes[i])]));
  return { weight: byName((slope) => -slope), turn: byName((slope) => Math.max(-1, Math.min(1, slope / greatest))) };
}

function sentence({ weight, turn }) {
  const [most] = NAMES.toSorted((a, b) => Math.abs(weight[b]) - Math.abs(weight[a]));
  if (Math.abs(turn[most]) < 0.005) return "Here no pair has a weight worth mentioning.";
  const total = NAMES.reduce((sum, name) => sum + Math.abs(weight[name]), 0);
  const idle = NAMES.filter((name) => Math.abs(turn[name]) < 0.005);
  const rest = idle.length ? ` Next to nothing: ${idle.join(", ")}.` : "";
  return `Here ${most} has the most weight, ${Math.round((100 * Math.abs(weight[most])) / total)} % of all, as a ${weight[most] > 0 ? "pull" : "push"}.${rest}`;
}

function signed(value) {
  const text = Math.abs(value) < 0.005 ? "0" : Math.abs(value).toPrecision(2);
  return Number(text) === 0 ? "0" : `${value > 0 ? "+" : "−"}${Number(text)}`;
}

function temperatureText(value) {
  return value.toPrecision(2);
}

/** A small chart of a loss, which is a button that chooses it. */
function tile(name, onClick) {
  const svg = shape("svg", { viewBox: "0 0 108 76", "aria-hidden": "true" });
  const box = button("", onClick, { className: "tile" });
  box.append(element("span", { textContent: LOSSES[name].title }), svg);
  function draw({ turn }, isChosen) {
    box.setAttribute("aria-pressed", isChosen);
    const parts = NAMES.map((pair) => `${pair} ${Math.round(-100 * turn[pair])} %`).join(", ");
    box.setAttribute("aria-label", `${LOSSES[name].title}: ${parts}`);
    const bars = NAMES.map((pair, i) => {
      const high = 30 * Math.abs(turn[pair]);
      return shape("rect", { x: 6 + 17 * i, y: turn[pair] < 0 ? 34 - high : 34, width: 11, height: high, class: pair[0] === "p" ? "pull" : "push" });
    });
    const letters = NAMES.map((pair, i) => text(pair, { x: 11.5 + 17 * i, y: 75, "text-anchor": "middle" }));
    svg.replaceChildren(...bars, shape("line", { x1: 2, x2: 106, y1: 34, y2: 34, class: "axis" }), ...letters);
  }
  return { name, box, draw };
}

/** The half circle: the anchor at its right end, and a handle for each other point. */
function halfCircle(angles, onMove) {
  const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "group", "aria-label": `half circle with an anchor and ${NAMES.join(", ")}` });
  const background = shape("g");
  const handles = Object.fromEntries(NAMES.map((name) => [name, handle(name)]));
  const anchor = shape("g", { transform: `translate(${at(0).join(" ")})` });
  anchor.append(...disc("anchor", "a"));
  svg.append(background, anchor, ...Object.values(handles));
  let last = null;

  function handle(name) {
    const group = shape("g", { class: "point", tabindex: 0, role: "slider", "aria-label": `${name[0] === "p" ? "positive" : "negative"} ${name[1]}`, "aria-orientation": "horizontal", "aria-valuemin": RANGE[0], "aria-valuemax": RANGE[1] });
    group.append(shape("circle", { r: 22, fill: "transparent" }), ...disc(name[0] === "p" ? "positive" : "negative", name));
    group.addEventListener("pointerdown", (event) => {
      group.setPointerCapture(event.pointerId);
      group.focus({ preventScroll: true });
      event.preventDefault();
    });
    group.addEventListener("pointermove", (event) => {
      if (!group.hasPointerCapture(event.pointerId)) return;
      const box = svg.getBoundingClientRect();
      const [x, y] = [((event.clientX - box.left) / box.width) * WIDTH - MIDDLE, FLOOR - ((event.clientY - box.top) / box.height) * HEIGHT];
      onMove(name, y < 0 && x < 0 ? 180 : (Math.atan2(Math.max(0, y), x) * 180) / Math.PI);
    });
    group.addEventListener("keydown", (event) => {
      const turn = { ArrowLeft: 1, ArrowUp: 1, ArrowRight: -1, ArrowDown: -1 }[event.key];
      if (!turn) return;
      event.preventDefault();
      onMove(name, angles[name] + turn * (event.shiftKey ? 1 : NUDGE));
    });
    return group;
  }

  function draw(turn = last) {
    last = turn;
    const zoom = Math.min(1.7, Math.max(1, WIDTH / (svg.clientWidth || WIDTH)));
    const label = (content, x, y, place = "middle") => text(content, { x, y, "text-anchor": place, style: `fill: var(--quiet); font: ${12 * zoom}px system-ui` });
    const arc = shape("path", { d: `M${at(180).join(",")} A${RADIUS},${RADIUS} 0 0 1 ${at(0).join(",")}`, class: "axis" });
    const ticks = [-1, -0.5, 0, 0.5, 1].flatMap((s) => [shape("line", { x1: MIDDLE + s * RADIUS, x2: MIDDLE + s * RADIUS, y1: FLOOR, y2: FLOOR + 5, class: "axis" }), label(`${s}`.replace("-", "−"), MIDDLE + s * RADIUS, FLOOR + 24 * zoom)]);
    background.replaceChildren(arc, shape("path", { d: `M${MIDDLE - RADIUS},${FLOOR} h${2 * RADIUS}`, class: "axis" }), ...ticks, label("cosine similarity to the anchor", MIDDLE, FLOOR + 39 * zoom));
    for (const name of NAMES) {
      const [x, y] = at(angles[name]);
      const colour = name[0] === "p" ? "positive" : "negative";
      background.append(shape("line", { x1: x, x2: x, y1: y, y2: FLOOR, style: `stroke: var(--${colour}); opacity: 0.45`, "stroke-dasharray": colour === "negative" ? "3 4" : "none" }));
      if (Math.abs(turn[name]) > 0.004) background.append(...arrow(angles[name], turn[name] * LONGEST, colour));
      handles[name].setAttribute("transform", `translate(${x} ${y}) scale(${zoom})`);
      handles[name].setAttribute("aria-valuenow", angles[name]);
      handles[name].setAttribute("aria-valuetext", `${angles[name]} degrees, similarity ${Math.cos((angles[name] * Math.PI) / 180).toFixed(2)}`);
    }
    anchor.setAttribute("transform", `translate(${at(0).join(" ")}) scale(${zoom})`);
  }

  new ResizeObserver(() => last && draw()).observe(svg);
  return { box: element("div", { className: "plane" }, svg), draw };
}

/** An arrow along the circle from an angle by so many degrees: outside of the circle for a push, inside for a pull. */
function arrow(from, by, colour) {
  const radius = RADIUS + (by > 0 ? 22 : -24);
  const to = Math.max(-6, Math.min(186, from + by));
  const [start, tip, sweep] = [at(from, radius), at(to, radius), to > from ? 0 : 1];
  const path = shape("path", { d: `M${start.join(",")} A${radius},${radius} 0 0 ${sweep} ${tip.join(",")}`, style: `fill: none; stroke: var(--${colour}); stroke-width: 4` });
  const ahead = to + (sweep ? -3 : 3);
  const corners = [at(ahead, radius), at(to, radius - 7), at(to, radius + 7)];
  return [path, shape("polygon", { points: corners.map((corner) => corner.join(",")).join(" "), style: `fill: var(--${colour})` })];
}

function at(angle, radius = RADIUS) {
  const turned = (angle * Math.PI) / 180;
  return [MIDDLE + radius * Math.cos(turned), FLOOR - radius * Math.sin(turned)].map((value) => Number(value.toFixed(2)));
}

function disc(colour, letters) {
  const circle = shape("circle", { r: 13, style: `fill: var(--${colour}); stroke: var(--surface); stroke-width: 2` });
  return [circle, text(letters, { "text-anchor": "middle", dy: 4.5, style: "fill: var(--surface); font: 600 12px system-ui; pointer-events: none" })];
}

function text(content, attributes) {
  const made = shape("text", attributes);
  made.textContent = content;
  return made;
}

function shape(tag, attributes = {}) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}
