// One run of a network that trains in the page: its picture, its numbers and its curves.

import { element, readout } from "./controls.mjs";
import { series } from "./charts.mjs";
import { frameOf, scatter } from "./scatter.mjs";
import { prefersStillness } from "./theme.mjs";

const STILL = 1000; // ms between two pictures for readers who prefer reduced motion
const ROOM = 1.2; // around the points, so that the picture's frame need not move with each of them
const FOLLOW = 0.25; // how fast the frame shrinks
const NUMBERS = ["step", "time", "loss", "with a loss", "accuracy of 5 neighbours"];
export const CURVES = ["loss", "active", "accuracy"];

/** The picture, numbers and curves of one run. The picture is at least `least` wide and high from its centre: a collapse is seen. */
export function panel(host, name, least, labelsNow) {
  const picture = scatter(host, { label: `embeddings of test images, ${name}`, tall: 0.8 });
  const numbers = readout(NUMBERS);
  const note = element("strong", { className: "wrong" });
  const box = element("div", { className: "panel" }, element("p", { className: "name" }, `${name} `, note), picture.box, numbers.box);
  const made = { name, box, note, curves: null, take, clear, show, draw, rows: () => flat, star };
  let [points, labels, frame, shownAt, flat, star_, waiting] = [null, null, null, -Infinity, null, null, null];

  function clear() {
    made.curves = Object.fromEntries(CURVES.map((key) => [key, series()]));
    note.textContent = "";
    [frame, shownAt] = [null, -Infinity];
    numbers.set(Object.fromEntries(NUMBERS.map((each) => [each, "–"])));
  }

  function take({ embeddings, points: steps, accuracy }, at, seconds) {
    flat = embeddings;
    for (const [step, loss, , active] of steps) {
      made.curves.loss.add(step, loss);
      made.curves.active.add(step, active);
    }
    if (accuracy) made.curves.accuracy.add(...accuracy);
    const shown = { step: at.toLocaleString("en"), time: `${seconds.toFixed(1)} s` };
    if (steps.length) Object.assign(shown, { loss: steps.at(-1)[1].toFixed(3), "with a loss": `${steps.at(-1)[3].toLocaleString("en")} of ${steps.at(-1)[2].toLocaleString("en")}` });
    if (accuracy) shown["accuracy of 5 neighbours"] = percent(accuracy[1]);
    numbers.set(shown);
    const rest = shownAt + STILL - performance.now();
    clearTimeout(waiting);
    const draws = () => show(Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i], flat[2 * i + 1]]), labelsNow());
    if (prefersStillness() && rest > 0) waiting = setTimeout(draws, rest);
    else draws();
  }

  function show(next, classes) {
    [points, labels, shownAt] = [next, classes, performance.now()];
    const wanted = frameOf(points, least);
    const holds = frame && Math.max(Math.abs(wanted.x - frame.x), Math.abs(wanted.y - frame.y)) + wanted.reach <= frame.reach;
    if (!holds) frame = { ...wanted, reach: ROOM * wanted.reach };
    else if (wanted.reach < frame.reach / ROOM ** 2) frame = towards(frame, { ...wanted, reach: ROOM * wanted.reach });
    draw();
  }

  function draw() {
    if (points) picture.draw({ points, labels: [...labels], frame, star: star_ });
  }

  function star(point) {
    star_ = point;
    draw();
  }

  clear();
  return made;
}

function towards(frame, wanted) {
  return Object.fromEntries(Object.entries(wanted).map(([key, to]) => [key, frame[key] + FOLLOW * (to - frame[key])]));
}

export function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}
