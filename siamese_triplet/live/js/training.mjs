// A network that trains in the page: one run, or two on the same clock that differ in one setting.

import { announcement, button, element, menu } from "./controls.mjs";
import { chart } from "./charts.mjs";
import { besideFields, besideOptions, FIELDS, MORE, nameOf, runsOf, settingsOf, settled, startOf, WITHIN_A_RUN } from "./choices.mjs";
import { decodePoints } from "./data.mjs";
import { imagesOf } from "./datasets.mjs";
import { digitPad } from "./pad.mjs";
import { panel } from "./panel.mjs";
import { markerSample } from "./scatter.mjs";
import { session } from "./session.mjs";

const CHARTS = [
  { key: "loss", label: "loss of a batch" },
  { key: "active", label: "pairs or triplets with a loss" },
  { key: "accuracy", label: "accuracy of 5 neighbours", highest: 1, format: (share) => `${Math.round(100 * share)} %` },
];

export function trainingFigure(view, data) {
  const { host, address } = view;
  let state = settled(startOf(address, data), data);
  let [shown, panels, isStale, wantsToRun, pad] = [null, [], true, false, null]; // `shown` are the test images that are drawn

  const controls = element("div", { className: "controls" });
  const train = button("Train", () => (training.isRunning() ? pause() : act("start")), { className: "main" });
  const step = button("One step", () => act("step"));
  const reset = button("Reset", () => act("reset"));
  const seed = element("input", { type: "number", min: 0, max: 999, value: state.seed, "aria-label": "seed" });
  seed.addEventListener("change", () => change("seed", String(Math.min(999, Math.max(0, Math.round(seed.valueAsNumber || 0))))));
  const actions = element("div", { className: "controls" }, train, step, reset);
  const more = element("div", { className: "controls" });
  const moreSettings = element("details", { className: "more" }, element("summary", { textContent: "More settings" }), more);
  const says = announcement();
  const runs = element("div", { className: "runs" });
  const charts = CHARTS.map(chart);
  const board = element("div", { className: "board" }, runs, element("div", { className: "curves" }, ...charts.map(({ box }) => box)));
  const legend = element("p", { className: "classes" });
  const drawing = element("details", { className: "draw" }, element("summary", { textContent: "Draw a digit, and see where it lands" }));

  const training = session({
    ready: (message) => {
      shown = message.shown;
      makePad();
    },
    running: ({ isRunning }) => showRunning(isRunning),
    frame: showFrame,
    collapse: ({ run, step: at, loss, first, now }) => {
      if (!panels[run]) return; // of an earlier run
      const which = panels.length > 1 ? `The run with ${panels[run].name}` : "The network";
      panels[run].note.textContent = `collapsed at step ${at}`;
      says.textContent = `${which} has collapsed: since step ${at} the loss stays at ${loss.toFixed(2)}, as if all embeddings were one point, and their spread fell from ${short(first)} to ${short(now)}. ${data.remedy}`;
    },
    error: ({ message }) => fail(message),
  });

  /** Makes the runs, if the settings have changed since they were made. */
  async function prepare() {
    if (!isStale) return;
    const wanted = state;
    says.textContent = "Loading the images …";
    const loaded = await imagesOf(state.data, data.dataSets[state.data].packed);
    if (state !== wanted) return prepare();
    isStale = false;
    says.textContent = "";
    training.create(runsOf(state, data).map(settingsOf), loaded);
  }

  function act(type) {
    wantsToRun = type === "start";
    touched();
    prepare().then(
      () => training.post(type === "reset" ? { type, seed: Number(state.seed) } : { type }),
      ({ message }) => fail(message),
    );
  }

  function pause() {
    wantsToRun = false;
    training.post({ type: "pause" });
  }

  function change(field, value) {
    const before = state;
    state = settled({ ...state, [field]: value }, data);
    touched();
    const isWithin = field in WITHIN_A_RUN && state.beside === before.beside && (state.beside !== field || state.value === before.value);
    if (isWithin && !isStale) {
      const both = runsOf(state, data).map(({ [field]: now }) => Number(now));
      both.forEach((now, run) => training.post({ type: "set", run, [WITHIN_A_RUN[field]]: now }));
    } else {
      isStale = true;
      makePanels();
      if (training.isMade()) wantsToRun ? act("start") : says.replaceChildren("These settings begin a new run, at step 0.");
    }
    drawControls(field);
  }

  function fail(message) {
    says.textContent = `${message}.`.replace("..", ".");
    showRunning(false);
    isStale = true;
  }

  function touched() {
    const { beside, value, ...settings } = state;
    address.keep({ ...settings, beside, value });
  }

  function showRunning(isRunning) {
    train.textContent = isRunning ? "Pause" : "Train";
    train.setAttribute("aria-pressed", String(isRunning));
  }

  function showFrame({ step: at, seconds, runs: frames }) {
    if (at === 0) begin();
    frames.forEach((frame, run) => panels[run]?.take(frame, at, seconds));
    CHARTS.forEach(({ key }, i) => charts[i].draw(panels.map(({ curves }) => curves[key].points())));
    pad?.place();
  }

  /** Forgets what a run before has left, whose last messages may have come after the new settings. */
  function begin() {
    panels.forEach(({ clear }) => clear());
    says.textContent = "";
  }

  function drawControls(focused = null) {
    const ofField = (field) => settingMenu(field, FIELDS[field].label, FIELDS[field].options(state, data), state[field]);
    const menus = Object.keys(FIELDS).filter((field) => !MORE.includes(field)).map(ofField);
    const fields = Object.fromEntries([["", "no second run"], ...besideFields(state, data).map((field) => [field, `another ${FIELDS[field].label}`])]);
    menus.push(settingMenu("beside", "beside it", fields, state.beside));
    if (state.beside) menus.push(settingMenu("value", FIELDS[state.beside].label, besideOptions(state, data), state.value));
    controls.replaceChildren(...menus.filter((made) => made));
    more.replaceChildren(...MORE.map(ofField).filter((made) => made), element("label", { className: "control" }, element("span", { textContent: "seed" }), seed));
    view.body.querySelector(`[data-field="${focused}"]`)?.focus();
  }

  function settingMenu(field, label, options, value) {
    const keys = Object.keys(options);
    if (keys.length < 2 && field !== "value") return null;
    const made = menu({ label: field === "value" ? `${label} of the second run` : label, options, value: keys.find((key) => key.trim() === value), onInput: (key) => change(field, key.trim()) });
    made.input.dataset.field = field;
    return made.box;
  }

  function makePanels() {
    const now = runsOf(state, data);
    panels = now.map((run) => panel(host, nameOf(run, state, data), Math.sqrt(run.margin) / 2, () => shown.labels));
    runs.replaceChildren(...panels.map(({ box }) => box));
    board.classList.toggle("two", panels.length > 1);
    charts.forEach(({ draw }) => draw([]));
    drawLegend();
    drawing.hidden = !data.dataSets[state.data].digits;
    if (isStale && data.poster && !training.isMade()) showPoster(data.poster);
  }

  function drawLegend() {
    const classes = data.dataSets[state.data].classes;
    legend.replaceChildren(...classes.map((name, label) => element("span", {}, markerSample(host, label), ` ${name}`)));
  }

  function showPoster({ points, unit, labels, says: text }) {
    panels[0].show(decodePoints(points, unit), labels);
    says.textContent = text;
  }

  function makePad() {
    pad?.box.remove();
    pad = null;
    if (drawing.hidden) return;
    pad = digitPad({
      images: shown,
      classes: data.dataSets[state.data].classes,
      embed: (image) => training.embed(image),
      rows: () => panels[0].rows(),
      onPoint: (point) => panels[0].star(point),
    });
    drawing.append(pad.box);
  }

  drawing.addEventListener("toggle", () => {
    if (drawing.open) prepare().catch(({ message }) => fail(message));
  });
  view.body.append(controls, moreSettings, actions, says, board, legend, drawing, element("p", { className: "hint", textContent: data.origin }));
  view.onTheme(() => {
    panels.forEach(({ draw }) => draw());
    drawLegend();
  });
  drawControls();
  makePanels();
  touched(); // the first call writes nothing: the address stays clean until a change
}

function short(value) {
  return value.toLocaleString("en", { maximumSignificantDigits: 2 });
}
