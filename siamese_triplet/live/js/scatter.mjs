// A scatter plot on a canvas, with lines between points; both axes have one scale.

import { element } from "./controls.mjs";
import { classColour, ink, traceMarker } from "./theme.mjs";

const TICKS = 5;
const BORDER = { left: 44, bottom: 24 }; // pixels, for the ticks

/** The centre, and half the side, at least `least`, of a square that holds all points. */
export function frameOf(points, least = 0) {
  const range = (axis) => points.reduce(([low, high], point) => [Math.min(low, point[axis]), Math.max(high, point[axis])], [Infinity, -Infinity]);
  const [x, y] = [range(0), range(1)];
  const reach = 0.54 * Math.max(x[1] - x[0], y[1] - y[0]);
  return { x: (x[0] + x[1]) / 2, y: (y[0] + y[1]) / 2, reach: Math.max(reach, least, 1e-6) };
}

/**
 * A canvas that draws `scene` = {points, labels, frame, lines, marked, isHidden, star}; `star` is a point of no class. Calls `onPoint(index, isPick)` for the
 * point under the mouse or reached by the arrow keys; `isPick` for a click or Enter.
 */
export function scatter(host, { label, onPoint, tall = 0.8 }) {
  const canvas = element("canvas", { tabIndex: onPoint ? 0 : -1, role: onPoint ? "application" : "img", "aria-label": label });
  if (onPoint) canvas.setAttribute("aria-roledescription", "scatter plot");
  let scene = null;
  let current = -1;

  function size() {
    const width = canvas.clientWidth || 320;
    return { width, height: Math.round(width * tall) };
  }

  function mapping() {
    const { width, height } = size();
    const [inner, middle] = [Math.min(width - BORDER.left, height - BORDER.bottom), [(width + BORDER.left) / 2, (height - BORDER.bottom) / 2]];
    const unit = inner / (2 * scene.frame.reach);
    return { unit, toX: (x) => middle[0] + (x - scene.frame.x) * unit, toY: (y) => middle[1] - (y - scene.frame.y) * unit };
  }

  function draw(next = scene) {
    scene = next;
    if (!scene) return;
    const { width, height } = size();
    const dense = window.devicePixelRatio || 1;
    canvas.width = width * dense;
    canvas.height = height * dense;
    canvas.style.height = `${height}px`;
    const pen = canvas.getContext("2d");
    pen.scale(dense, dense);
    const map = mapping();
    drawTicks(pen, map, width, height);
    for (const { from, to, kind, strength = 1 } of scene.lines ?? []) {
      pen.globalAlpha = strength;
      pen.strokeStyle = ink(host, kind);
      pen.setLineDash(kind === "negative" ? [5, 4] : []);
      pen.lineWidth = 1.3;
      pen.beginPath();
      pen.moveTo(map.toX(scene.points[from][0]), map.toY(scene.points[from][1]));
      pen.lineTo(map.toX(scene.points[to][0]), map.toY(scene.points[to][1]));
      pen.stroke();
    }
    pen.setLineDash([]);
    const radius = (scene.points.length > 400 ? 3.4 : 4.6) * (width < 450 ? 0.75 : 1);
    const marked = scene.marked ?? [];
    for (const index of [...scene.points.keys(), ...marked]) {
      if (scene.isHidden?.(index)) continue;
      const [x, y] = scene.points[index];
      const isMarked = marked.includes(index); // drawn again, above the others
      pen.globalAlpha = isMarked ? 1 : 0.72;
      pen.fillStyle = classColour(host, scene.labels[index]);
      traceMarker(pen, scene.labels[index], map.toX(x), map.toY(y), isMarked ? 1.9 * radius : radius);
      pen.fill();
      if (!isMarked) continue;
      pen.lineWidth = 2;
      pen.strokeStyle = ink(host, "text");
      pen.stroke();
    }
    pen.globalAlpha = 1;
    if (scene.star) drawStar(pen, ...[map.toX(scene.star[0]), map.toY(scene.star[1])], { width, height });
  }

  /** A ring and a cross at a point of the plane, or at the edge of the picture if it lies outside. */
  function drawStar(pen, x, y, { width, height }) {
    const [right, bottom] = [width - 12, height - BORDER.bottom - 12];
    const [atX, atY] = [Math.min(right, Math.max(BORDER.left + 12, x)), Math.min(bottom, Math.max(12, y))];
    for (const [colour, lineWidth] of [["surface", 5], ["text", 2]]) {
      pen.strokeStyle = ink(host, colour);
      pen.lineWidth = lineWidth;
      pen.beginPath();
      pen.arc(atX, atY, 8, 0, 2 * Math.PI);
      for (const [dx, dy] of [[12, 0], [0, 12]]) {
        pen.moveTo(atX - dx, atY - dy);
        pen.lineTo(atX + dx, atY + dy);
      }
      pen.stroke();
    }
  }

  function drawTicks(pen, map, width, height) {
    const step = roundStep((2 * scene.frame.reach) / TICKS);
    const digits = Math.max(0, -Math.floor(Math.log10(step)));
    pen.font = "11px system-ui, sans-serif";
    pen.fillStyle = ink(host, "quiet");
    pen.strokeStyle = ink(host, "line");
    pen.lineWidth = 0.6;
    for (const axis of ["x", "y"]) {
      const to = axis === "x" ? map.toX : map.toY;
      const reach = (axis === "x" ? width : height) / 2 / map.unit;
      const first = Math.ceil((scene.frame[axis] - reach) / step);
      for (let tick = first; tick * step <= scene.frame[axis] + reach; tick++) {
        const place = to(tick * step);
        if (axis === "x" ? place < BORDER.left + 8 || place > width - 12 : place < 8 || place > height - BORDER.bottom - 4) continue;
        pen.beginPath();
        pen.moveTo(axis === "x" ? place : BORDER.left, axis === "x" ? 0 : place);
        pen.lineTo(axis === "x" ? place : width, axis === "x" ? height - BORDER.bottom : place);
        pen.stroke();
        pen.textAlign = axis === "x" ? "center" : "right";
        pen.textBaseline = "middle";
        pen.fillText((tick * step).toFixed(digits), axis === "x" ? place : BORDER.left - 6, axis === "x" ? height - BORDER.bottom / 2 : place);
      }
    }
  }

  /** The point nearest to a position on the canvas, within `limit` pixels; −1 for none. */
  function at(x, y, limit = 14) {
    const map = mapping();
    let best = -1;
    scene.points.forEach(([px, py], index) => {
      const distance = Math.hypot(map.toX(px) - x, map.toY(py) - y);
      if (distance < limit && !scene.isHidden?.(index)) [best, limit] = [index, distance];
    });
    return best;
  }

  /** The nearest point in a direction from the current one. */
  function towards(dx, dy) {
    const from = scene.points[current];
    let [best, least] = [current, Infinity];
    scene.points.forEach((point, index) => {
      if (scene.isHidden?.(index)) return;
      const [x, y] = [point[0] - from[0], point[1] - from[1]];
      const [along, aside] = [x * dx + y * dy, Math.abs(x * dy - y * dx)];
      if (along > 0 && along + 2 * aside < least) [best, least] = [index, along + 2 * aside];
    });
    return best;
  }

  function go(index, isPick) {
    if (index < 0) return;
    current = index;
    onPoint(index, isPick);
  }

  if (onPoint) {
    const placeOf = (event) => [event.offsetX, event.offsetY];
    canvas.addEventListener("pointermove", (event) => go(at(...placeOf(event)), false));
    canvas.addEventListener("click", (event) => go(at(...placeOf(event), 24), true));
    canvas.addEventListener("keydown", (event) => {
      const direction = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
      if (!direction && event.key !== "Enter") return;
      event.preventDefault();
      if (event.key === "Enter") go(current, true);
      else go(current < 0 ? scene.points.findIndex((_, index) => !scene.isHidden?.(index)) : towards(...direction), false);
    });
  }
  new ResizeObserver(() => draw()).observe(canvas);
  return { box: element("div", { className: "plane" }, canvas), draw };
}

function roundStep(about) {
  const power = 10 ** Math.floor(Math.log10(about));
  return [1, 2, 5, 10].find((factor) => factor * power >= about) * power;
}

/** A small canvas with the marker of a class. */
export function markerSample(host, label) {
  const canvas = element("canvas", { width: 32, height: 32, "aria-hidden": "true" });
  const pen = canvas.getContext("2d");
  pen.fillStyle = classColour(host, label);
  traceMarker(pen, label, 16, 16, 11);
  pen.fill();
  return canvas;
}
