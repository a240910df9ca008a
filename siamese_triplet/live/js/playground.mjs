// Playgrounds: a triplet or a pair to drag, with its loss and gradients.

import { contrastiveLoss, squaredDistance, tripletLoss, zoneOf } from "./arithmetic.mjs";
import { announcement, button, element, marginRange, marginSlider, menu, readout } from "./controls.mjs";

const SVG = "http://www.w3.org/2000/svg";
const REACH = 2.6; // half the width of the plane, in units of distance
const SHAPE = 0.62; // height / width
const WITHIN = [REACH - 0.2, REACH * SHAPE - 0.2]; // how far a point may go from the middle, on each axis
const NUDGE = 0.1;

const TRIPLET = { anchor: [-0.8, 0], positive: [0.2, 0.5], negative: [-0.4, -0.4] }; // hard, and some ten steps from easy
const PAIR = { first: [-0.6, 0], second: [-0.1, 0.25] };

export function tripletPlayground(view, data) {
  const zones = ["easy", "semi-hard", "hard"];
  playground(view, data, {
    start: TRIPLET,
    rate: 0.015, // learning rate of one step, small enough to watch the descent
    arrow: 0.25, // length relative to the gradient
    names: ["d²(a, p)", "d²(a, n)", "loss", "the negative is"],
    zonesOf: ({ anchor, positive }, margin) => {
      const inner = squaredDistance(anchor, positive);
      return { centre: anchor, labels: zones, radii: [Math.sqrt(inner + margin), Math.sqrt(inner)], kinds: ["semi", "hard"] };
    },
    costOf: ({ anchor, positive, negative }, margin) => tripletLoss(anchor, positive, negative, margin),
    lines: [["anchor", "positive", "positive"], ["anchor", "negative", "negative"]],
    describe: ({ anchor, positive, negative }, margin, { loss }) => {
      const [near, far] = [squaredDistance(anchor, positive), squaredDistance(anchor, negative)];
      const zone = zoneOf(near, far, margin);
      return {
        figures: { "d²(a, p)": near.toFixed(2), "d²(a, n)": far.toFixed(2), loss: loss.toFixed(2), "the negative is": zone },
        sentence: {
          hard: "Hard: the negative is nearer to the anchor than the positive. The loss is above the margin.",
          "semi-hard": "Semi-hard: the negative is farther than the positive, but by less than the margin.",
          easy: "Easy: the negative is farther by the margin or more. No loss, and no gradient.",
        }[zone],
      };
    },
  });
}

export function pairPlayground(view, data) {
  let isSame = view.address.choice("pair", "different", ["same", "different"]) === "same";
  let classes = null; // the menu
  playground(view, data, {
    start: PAIR,
    rate: 0.1,
    arrow: 1,
    names: ["d", "loss"],
    zonesOf: ({ first }, margin) => ({
      centre: first,
      labels: isSame ? [] : ["no loss", "too near"],
      radii: isSame ? [] : [margin],
      kinds: ["hard"],
    }),
    costOf: ({ first, second }, margin) => contrastiveLoss(first, second, isSame, margin),
    lines: [["first", "second", () => (isSame ? "positive" : "negative")]],
    describe: ({ first, second }, margin, { loss }) => {
      const distance = Math.sqrt(squaredDistance(first, second));
      const apart = loss > 0 ? "Two classes, nearer than the margin: pushed apart." : "Two classes, far enough apart: no loss, and no gradient.";
      return {
        figures: { d: distance.toFixed(2), loss: loss.toFixed(2) },
        sentence: isSame ? "One class: pulled together, however near they are." : apart,
      };
    },
    extraState: () => ({ pair: isSame ? "same" : "different" }),
    extraControls: (update) => {
      classes = menu({
        label: "The two are of",
        options: { same: "one class", different: "two classes" },
        value: isSame ? "same" : "different",
        onInput: (value) => {
          isSame = value === "same";
          update();
        },
      });
      return [classes.box];
    },
    resetExtra: () => {
      isSame = false;
      classes.input.value = "different";
    },
  });
}

function playground(view, data, kind) {
  const { address } = view;
  const names = Object.keys(kind.start);
  const points = Object.fromEntries(names.map((name) => [name, address.numbers(name, kind.start[name], WITHIN.map((limit) => [-limit, limit]))]));
  const drawing = plane(names, points, kind.arrow, () => update());
  const numbers = readout(kind.names);
  const says = announcement();
  const margins = marginSlider({
    given: data.margin,
    min: 0,
    value: address.number("margin", data.margin, [0, marginRange(data.margin, 0).max]),
    onInput: (value) => {
      margin = value;
      update();
    },
  });
  let { margin } = margins;

  function move(places) {
    for (const name of names) points[name] = places[name];
    update();
  }

  function step() {
    const { gradients } = kind.costOf(points, margin);
    move(Object.fromEntries(names.map((name, i) => [name, within(points[name].map((x, axis) => x - kind.rate * gradients[i][axis]))])));
  }

  function reset() {
    margin = data.margin;
    margins.set(margin);
    kind.resetExtra?.();
    move(structuredClone(kind.start));
  }

  function update() {
    const cost = kind.costOf(points, margin);
    const { figures, sentence } = kind.describe(points, margin, cost);
    numbers.set(figures);
    if (says.textContent !== sentence) says.textContent = sentence;
    drawing.draw({ zones: kind.zonesOf(points, margin), lines: kind.lines, gradients: cost.gradients });
    const places = Object.fromEntries(names.map((name) => [name, points[name].map((x) => x.toFixed(2)).join(",")]));
    address.keep({ margin, ...places, ...kind.extraState?.() });
  }

  const extra = kind.extraControls?.(update) ?? [];
  const controls = element("div", { className: "controls" }, ...extra, margins.box, button("One step of descent", step), button("Reset", reset));
  const hint = "Drag the points, or move to one with Tab and press the arrow keys. Arrows in the plane show where descent moves each point.";
  view.body.append(controls, drawing.box, numbers.box, says, element("p", { className: "hint", textContent: hint }));
  update();
}

/** The point of the plane nearest to a given one. */
function within(point) {
  return point.map((value, axis) => Math.max(-WITHIN[axis], Math.min(WITHIN[axis], value)));
}

/** A plane with draggable points. */
function plane(names, points, arrowLength, onMove) {
  const [width, height] = [520, 520 * SHAPE];
  const unit = width / (2 * REACH);
  const [toX, toY] = [(x) => width / 2 + x * unit, (y) => height / 2 - y * unit];
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": `plane with ${names.join(", ")}` });
  const hatch = shape("pattern", { id: "hatch", width: 7, height: 7, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
  hatch.append(shape("rect", { width: 7, height: 7, style: "fill: var(--hard); opacity: 0.55" }), shape("rect", { width: 2, height: 7, style: "fill: var(--text); opacity: 0.25" }));
  const definitions = shape("defs");
  definitions.append(hatch);
  const background = shape("g");
  let zoom = 1; // of points and labels, so that they stay legible in a narrow plane
  let scene = null;
  const handles = Object.fromEntries(names.map((name) => [name, handle(name)]));
  svg.append(definitions, background, ...Object.values(handles));

  function handle(name) {
    const group = shape("g", { class: "point", tabindex: 0, role: "slider", "aria-label": name, "aria-orientation": "horizontal" });
    const colour = ["positive", "negative"].includes(name) ? name : "anchor";
    const letter = shape("text", { "text-anchor": "middle", dy: 5, style: "fill: var(--surface); font: 600 14px system-ui; pointer-events: none" });
    letter.textContent = { first: "1", second: "2" }[name] ?? name[0];
    group.append(shape("circle", { r: 22, fill: "transparent" }), shape("circle", { r: 13, style: `fill: var(--${colour}); stroke: var(--surface); stroke-width: 2` }), letter);
    group.addEventListener("pointerdown", (event) => {
      group.setPointerCapture(event.pointerId);
      group.focus({ preventScroll: true });
      event.preventDefault();
    });
    group.addEventListener("pointermove", (event) => {
      if (!group.hasPointerCapture(event.pointerId)) return;
      const box = svg.getBoundingClientRect();
      place(name, ((event.clientX - box.left) / box.width) * 2 * REACH - REACH, (0.5 - (event.clientY - box.top) / box.height) * 2 * REACH * SHAPE);
    });
    group.addEventListener("keydown", (event) => {
      const direction = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
      if (!direction) return;
      event.preventDefault();
      place(name, points[name][0] + direction[0] * NUDGE, points[name][1] + direction[1] * NUDGE);
    });
    return group;
  }

  function place(name, x, y) {
    points[name] = within([x, y]).map((value) => Math.round(100 * value) / 100);
    onMove();
  }

  function draw(next = scene) {
    scene = next;
    zoom = Math.min(1.8, Math.max(1, width / (svg.clientWidth || width)));
    const { zones, lines, gradients } = scene;
    const [x, y] = [toX(zones.centre[0]), toY(zones.centre[1])];
    const fills = { semi: "fill: var(--semi); opacity: 0.5", hard: "fill: url(#hatch)" };
    background.replaceChildren(shape("rect", { width, height, style: "fill: var(--easy); opacity: 0.22" }));
    zones.radii.forEach((radius, i) => {
      background.append(shape("circle", { cx: x, cy: y, r: radius * unit, style: `${fills[zones.kinds[i]]}; stroke: var(--quiet)` }));
    });
    zones.labels.forEach((text, i) => {
      const outer = i === 0 ? height : zones.radii[i - 1] * unit; // the label of a zone stands at its lower edge
      const label = shape("text", { x: i === 0 ? 8 : x, y: i === 0 ? height - 8 : y + outer - 5, "text-anchor": i === 0 ? "start" : "middle", style: `fill: var(--text); stroke: var(--surface); stroke-width: 3px; paint-order: stroke; font: ${13 * zoom}px system-ui` });
      label.textContent = text;
      if (i === 0 || outer > 24 * zoom) background.append(label);
    });
    for (const [from, to, kind] of lines) {
      const colour = typeof kind === "string" ? kind : kind();
      background.append(line(points[from], points[to], `stroke: var(--${colour}); stroke-width: 2; ${colour === "negative" ? "stroke-dasharray: 6 4" : ""}`));
    }
    names.forEach((name, i) => {
      const tip = points[name].map((value, axis) => value - arrowLength * gradients[i][axis]);
      if (Math.hypot(...gradients[i]) > 1e-9) background.append(...arrow(points[name], tip));
      handles[name].setAttribute("transform", `translate(${toX(points[name][0])} ${toY(points[name][1])}) scale(${zoom})`);
      handles[name].setAttribute("aria-valuenow", points[name][0]);
      handles[name].setAttribute("aria-valuemin", -REACH);
      handles[name].setAttribute("aria-valuemax", REACH);
      handles[name].setAttribute("aria-valuetext", `x ${points[name][0].toFixed(2)}, y ${points[name][1].toFixed(2)}`);
    });
  }

  function line([x1, y1], [x2, y2], style) {
    return shape("line", { x1: toX(x1), y1: toY(y1), x2: toX(x2), y2: toY(y2), style });
  }

  function arrow(from, to) {
    const angle = Math.atan2(toY(to[1]) - toY(from[1]), toX(to[0]) - toX(from[0]));
    const corner = (turn) => `${toX(to[0]) + 11 * Math.cos(angle + turn)},${toY(to[1]) + 11 * Math.sin(angle + turn)}`;
    const style = "stroke: var(--text); stroke-width: 3; fill: var(--text)";
    const head = shape("polygon", { points: `${corner(0)} ${corner(2.4)} ${corner(-2.4)}`, style: "fill: var(--text)" });
    return [line(from, to, style), head];
  }

  new ResizeObserver(() => scene && draw()).observe(svg);
  return { box: element("div", { className: "plane" }, svg), draw };
}

function shape(tag, attributes = {}) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}
