// A small chart of one value over the epochs of training.

import { element } from "./controls.mjs";

const SVG = "http://www.w3.org/2000/svg";

/** A small curve over the epochs, with a dot at each value that was recorded. */
export function curve(name, values, epochs) {
  const [width, height, left, bottom, top] = [300, 110, 44, 18, 10];
  const most = Math.max(...values, 1e-9);
  const x = (epoch) => left + (epoch * (width - left - 8)) / epochs;
  const y = (value) => height - bottom - (value * (height - bottom - top)) / most;
  const places = values.map((value, i) => [x((epochs * (i + 1)) / values.length), y(value)]);
  const text = (content, at, anchor) => shape("text", { x: at[0], y: at[1], "text-anchor": anchor, style: "fill: var(--quiet); font: 12px system-ui" }, content);
  const ticks = Array.from({ length: epochs + 1 }, (_, epoch) => epoch).filter((epoch) => epochs <= 5 || epoch % Math.ceil(epochs / 5) === 0);
  const axis = `M ${left} ${top} V ${height - bottom} H ${width - 8}`;
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${name}: ${values.map(short).join(", ")}` });
  svg.append(
    shape("path", { d: axis, style: "fill: none; stroke: var(--quiet)" }),
    text(short(most), [left - 5, top + 4], "end"),
    text("0", [left - 5, height - bottom + 4], "end"),
    ...ticks.map((epoch) => text(epoch, [x(epoch), height - 4], "middle")),
    shape("polyline", { points: places.join(" "), style: "fill: none; stroke: var(--accent); stroke-width: 2" }),
    ...places.map(([cx, cy]) => shape("circle", { cx, cy, r: values.length > 5 ? 2 : 3.5, style: "fill: var(--accent)" })),
  );
  return element("figure", {}, svg, element("figcaption", { textContent: `${name}, from epoch to epoch: ${short(values[0])} to ${short(values.at(-1))}` }));
}

function shape(tag, attributes, text = "") {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text;
  return made;
}

function short(value) {
  return value.toLocaleString("en", { maximumSignificantDigits: 3 });
}
