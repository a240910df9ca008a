// A network that trains in the page: one run, or two on the same clock that differ in one setting.

import { announcement, button, element, menu, readout } from "./controls.mjs";
import { chart, series } from "./charts.mjs";
import { besideFields, besideOptions, FIELDS, MORE, nameOf, runsOf, settingsOf, settled, WITHIN_A_RUN } from "./choices.mjs";
import { decodePoints } from "./data.mjs";
import { imagesOf } from "./datasets.mjs";
import { digitPad } from "./pad.mjs";
import { frameOf, markerSample, scatter } from "./scatter.mjs";
import { session } from "./session.mjs";
import { prefersStillness } from "./theme.mjs";

const STILL = 1000; // ms between two pictures for readers who prefer reduced motion
const ROOM = 1.2; // around the points, so that the picture's frame need not move with each of them
const FOLLOW = 0.25; // how fast the frame shrinks
const CHARTS = [
  { key: "loss", label: "loss of a batch" },
  { key: "active", label: "pairs or triplets with a loss" },
  { key: "accuracy", label: "accuracy of 5 neighbours", highest: 1, format: (share) => `${Math.round(100 * share)} %` },
];
const NUMBERS = ["step", "time", "loss", "with a loss", "accuracy of 5 neighbours"];

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
    const classes = data.dataSets[state.data].classes;
    legend.replaceChildren(...classes.map((name, label) => element("span", {}, markerSample(host, label), ` ${name}`)));
    drawing.hidden = !data.dataSets[state.data].digits;
    if (isStale && data.poster && !training.isMade()) showPoster(data.poster);
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
    const classes = data.dataSets[state.data].classes;
    legend.replaceChildren(...classes.map((name, label) => element("span", {}, markerSample(host, label), ` ${name}`)));
  });
  drawControls();
  makePanels();
  touched(); // the first call writes nothing: the address stays clean until a change
}

/** The picture, numbers and curves of one run. The picture is at least `least` wide and high from its centre: a collapse is seen. */
function panel(host, name, least, labelsNow) {
  const picture = scatter(host, { label: `embeddings of test images, ${name}`, tall: 0.8 });
  const numbers = readout(NUMBERS);
  const note = element("strong", { className: "wrong" });
  const box = element("div", { className: "panel" }, element("p", { className: "name" }, `${name} `, note), picture.box, numbers.box);
  const made = { name, box, note, curves: null, take, clear, show, draw, rows: () => flat, star };
  let [points, labels, frame, shownAt, flat, star_, waiting] = [null, null, null, -Infinity, null, null, null];

  function clear() {
    made.curves = Object.fromEntries(CHARTS.map(({ key }) => [key, series()]));
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

/** The first state: that of the address, where it makes sense, else the one given in Python. */
function startOf(address, data) {
  const start = settled(data.start, data);
  for (const field of Object.keys(FIELDS)) {
    const offered = Object.keys(FIELDS[field].options(start, data)).map((key) => key.trim());
    start[field] = address.choice(field, start[field], offered);
    Object.assign(start, settled(start, data)); // another method has another selector
  }
  start.seed = String(Math.round(address.number("seed", Number(start.seed), [0, 999])));
  start.beside = address.choice("beside", start.beside, besideFields(start, data));
  if (start.beside) start.value = address.choice("value", start.value, Object.keys(besideOptions(start, data)).map((key) => key.trim()));
  return start;
}

function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}

function short(value) {
  return value.toLocaleString("en", { maximumSignificantDigits: 2 });
}
