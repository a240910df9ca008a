// Charts of curves that grow while a network trains: averaged to a few hundred points, drawn as small charts.

import { element } from "./controls.mjs";

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT] = [260, 110];
const BORDER = { left: 46, right: 8, top: 8, bottom: 18 };

/** A curve of at most `limit` points, however long it grows: then two neighbours become their mean. */
export function series(limit = 300) {
  let [points, every, waiting] = [[], 1, []];
  return {
    add(x, y) {
      waiting.push([x, y]);
      if (waiting.length < every) return;
      points.push(meanOf(waiting));
      waiting = [];
      if (points.length < limit) return;
      points = Array.from({ length: points.length / 2 }, (_, i) => meanOf(points.slice(2 * i, 2 * i + 2)));
      every *= 2;
    },
    /** The points so far; the last ones are averaged over fewer. */
    points: () => (waiting.length ? [...points, meanOf(waiting)] : points),
  };
}

function meanOf(pairs) {
  return [0, 1].map((axis) => pairs.reduce((sum, pair) => sum + pair[axis], 0) / pairs.length);
}

/** A chart of one or two curves, the second one dashed. `draw([points, …])`; `highest` fixes the upper end. */
export function chart({ label, highest = null, format = shortNumber }) {
  const svg = make("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" });
  const axis = make("path", { d: `M${BORDER.left},${BORDER.top} V${HEIGHT - BORDER.bottom} H${WIDTH - BORDER.right}`, class: "axis" });
  const lines = ["curve", "curve second"].map((name) => make("polyline", { class: name }));
  const texts = { top: make("text", { x: BORDER.left - 5, y: BORDER.top + 8, class: "end" }), zero: make("text", { x: BORDER.left - 5, y: HEIGHT - BORDER.bottom, class: "end" }), last: make("text", { x: WIDTH - BORDER.right, y: HEIGHT - 4, class: "end" }) };
  svg.append(axis, ...lines, ...Object.values(texts));
  function draw(curves) {
    const all = curves.flat();
    const right = Math.max(1, ...all.map(([x]) => x));
    const top = highest ?? Math.max(1e-9, ...all.map(([, y]) => y));
    const place = ([x, y]) => {
      const across = BORDER.left + (x / right) * (WIDTH - BORDER.left - BORDER.right);
      return `${across.toFixed(1)},${(HEIGHT - BORDER.bottom - (Math.min(y, top) / top) * (HEIGHT - BORDER.top - BORDER.bottom)).toFixed(1)}`;
    };
    lines.forEach((line, run) => line.setAttribute("points", (curves[run] ?? []).map(place).join(" ")));
    texts.top.textContent = all.length ? format(top) : "";
    texts.zero.textContent = "0";
    texts.last.textContent = all.length ? `step ${Math.round(right).toLocaleString("en")}` : "";
    const now = curves.filter((points) => points.length).map((points) => format(points.at(-1)[1]));
    svg.setAttribute("aria-label", now.length ? `${label}, now ${now.join(" and ")}` : `${label}, nothing yet`);
  }
  draw([]);
  return { box: element("figure", {}, svg, element("figcaption", { textContent: label })), draw };
}

function make(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function shortNumber(value) {
  return value.toLocaleString("en", { maximumSignificantDigits: 3, notation: value >= 1e5 ? "compact" : "standard" });
}
