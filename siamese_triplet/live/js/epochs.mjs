// A slider over the epochs of training, with a button that plays them.

import { button, element, slider } from "./controls.mjs";
import { prefersStillness } from "./theme.mjs";

const SECONDS_AN_EPOCH = 0.9;

/**
 * Calls `onTime(time)` with the number of an epoch, or a number between two while one moves into the next. Readers who
 * prefer reduced motion get whole epochs only.
 */
export function epochSlider({ names, value, onTime, label = "epoch" }) {
  const last = names.length - 1;
  let running = null;
  let time = value;
  const control = slider({
    label,
    min: 0,
    max: last,
    step: 1,
    value,
    format: (epoch) => names[epoch],
    onInput: (epoch) => {
      stop();
      show(epoch);
    },
  });
  const play = button("Play", () => (running ? stop() : start()), { "aria-pressed": "false" });

  function show(next) {
    time = next;
    control.set(Math.floor(next + 1e-9));
    onTime(next);
  }

  function start() {
    const from = time >= last ? 0 : Math.floor(time);
    const began = performance.now();
    play.textContent = "Pause";
    play.setAttribute("aria-pressed", "true");
    const frame = (now) => {
      const passed = Math.min(last, from + Math.max(0, now - began) / 1000 / SECONDS_AN_EPOCH);
      show(prefersStillness() ? Math.floor(passed) : passed);
      running = passed < last ? requestAnimationFrame(frame) : stop();
    };
    running = requestAnimationFrame(frame);
  }

  function stop() {
    cancelAnimationFrame(running);
    running = null;
    play.textContent = "Play";
    play.setAttribute("aria-pressed", "false");
    return null;
  }

  return { box: element("div", { className: "control" }, control.box, play), input: control.input };
}

/** Interpolates points between one epoch and the next. */
export function pointsAt(epochs, time) {
  const [before, share] = [Math.floor(time), time - Math.floor(time)];
  if (share < 1e-9) return epochs[before];
  return epochs[before].map((point, i) => point.map((x, axis) => x + share * (epochs[before + 1][i][axis] - x)));
}
