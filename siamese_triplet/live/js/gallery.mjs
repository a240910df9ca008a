// Runs trained beforehand, two side by side: say which does better, and see.

import { announcement, button, element, menu, readout } from "./controls.mjs";
import { curve } from "./curve.mjs";
import { decodePoints } from "./data.mjs";
import { frameOf, markerSample, scatter } from "./scatter.mjs";

const SIDES = ["A", "B"];

export function settingsGallery(view, data) {
  const { address } = view;
  const questions = Object.fromEntries(data.questions.map((question) => [question.score, question]));
  const [first] = data.pairs;
  const near = `less than ${100 * data.tie} point apart`;
  const state = { pair: 0, ask: address.choice("ask", first.ask, Object.keys(questions)), isRevealed: address.choice("shown", "no", ["yes"]) === "yes", guess: null };
  const sides = SIDES.map((side, i) => {
    const wanted = Object.fromEntries(data.fields.map((field) => [field, address.choice(`${side}.${field}`, first.runs[i][field], offered(data, field))]));
    return runPanel(view, data, side, wanted, () => ask({}));
  });
  const asked = element("p");
  const says = announcement();
  const guesses = element("div", { className: "choices" });
  const legend = element("p", { className: "classes" });

  /** Asks a question, the same or another one, and hides the answer. */
  function ask(changes) {
    Object.assign(state, { isRevealed: false, guess: null }, changes);
    update();
  }

  function guess(answer) {
    Object.assign(state, { isRevealed: true, guess: answer });
    update();
  }

  function another() {
    const pair = (state.pair + 1) % data.pairs.length;
    sides.forEach((side, i) => side.choose(data.pairs[pair].runs[i]));
    ask({ pair, ask: data.pairs[pair].ask });
  }

  function update() {
    const question = questions[state.ask];
    const runs = sides.map((side) => side.show(state.isRevealed));
    about.input.value = state.ask;
    asked.textContent = question.text;
    guesses.hidden = state.isRevealed;
    legend.hidden = !state.isRevealed;
    if (state.isRevealed) reveal(question, runs);
    else says.textContent = "";
    const settings = runs.flatMap((run, i) => data.fields.map((field) => [`${SIDES[i]}.${field}`, run.settings[field]]));
    address.keep({ ...Object.fromEntries(settings), ask: state.ask, shown: state.isRevealed ? "yes" : "no" });
  }

  function reveal(question, runs) {
    const scores = runs.map(({ scores }) => scores[state.ask]);
    const answer = Math.abs(scores[0] - scores[1]) < data.tie ? near : SIDES[scores[0] > scores[1] ? 0 : 1];
    const isRight = state.guess === answer;
    const verdict = state.guess === null ? "It is " : isRight ? "Right: " : "Not so: ";
    const collapsed = SIDES.filter((_, i) => runs[i].outcome === "collapse");
    const remedy = collapsed.length ? ` ${collapsed.join(" and ")} collapsed onto one point. ${data.remedy}` : "";
    says.textContent = `${verdict}${answer}. ${question.name}: A ${percent(scores[0])}, B ${percent(scores[1])}.${remedy}`;
    says.className = `says ${state.guess === null ? "" : isRight ? "right" : "wrong"}`;
    const names = [...new Set(runs.map(({ settings }) => settings.data))].map((name) => data.classes[name]);
    const labels = names[0].map((_, label) => names.map((classes) => classes[label]).join(" or "));
    legend.replaceChildren(...labels.map((name, label) => element("span", {}, markerSample(view.host, label), ` ${name}`)));
  }

  guesses.append(...[...SIDES, near].map((answer) => button(answer, () => guess(answer))), button("just show it", () => guess(null)));
  const options = Object.fromEntries(data.questions.map(({ score, name }) => [score, name]));
  const about = menu({ label: "ask about", options, value: state.ask, onInput: (score) => ask({ ask: score }) });
  const controls = element("div", { className: "controls" }, button("Another pair", another), about.box);
  view.body.append(controls, asked, guesses, says, element("div", { className: "pair" }, ...sides.map(({ box }) => box)), legend, element("p", { className: "hint", textContent: data.origin }));
  view.onTheme(update);
  update();
}

function offered(data, field) {
  return [...new Set(data.runs.map(({ settings }) => settings[field]))];
}

/** One of the two runs: menus for its settings and, once it is shown, its embeddings, figures and curves. */
function runPanel(view, data, side, wanted, onChange) {
  let settings = wanted;
  const drawing = scatter(view.host, { label: `${side}: embeddings of test images after training`, tall: 0.85 });
  const controls = element("div", { className: "controls" });
  const numbers = readout(data.metrics);
  const curves = element("div", { className: "curves" });
  const outcome = element("div", {}, drawing.box, numbers.box, curves);
  const box = element("fieldset", { className: "run" }, element("legend", { textContent: side }), controls, outcome);

  function valuesOf(field, given) {
    const fits = data.runs.filter((run) => Object.entries(given).every(([name, value]) => run.settings[name] === value));
    return [...new Set(fits.map((run) => run.settings[field]))];
  }

  /** Draws the menus. A setting that is not available, given those before it, becomes the first that is. */
  function settle() {
    const chosen = {};
    const menus = data.fields.map((field) => {
      const values = valuesOf(field, chosen);
      chosen[field] = values.includes(settings[field]) ? settings[field] : values[0];
      const options = Object.fromEntries(values.map((value) => [` ${value}`, value])); // a blank keeps numeric keys in their order
      const made = menu({ label: field, options, value: ` ${chosen[field]}`, onInput: (value) => change(field, value.slice(1)) });
      made.input.setAttribute("aria-label", `${side}: ${field}`);
      made.input.dataset.field = field;
      made.input.disabled = values.length < 2;
      return made.box;
    });
    settings = chosen;
    controls.replaceChildren(...menus);
  }

  function change(field, value) {
    settings = { ...settings, [field]: value };
    onChange();
    controls.querySelector(`[data-field="${field}"]`)?.focus();
  }

  /** Shows the menus, and what the run led to if that `isRevealed`; returns the run. */
  function show(isRevealed) {
    settle();
    const run = data.runs.find((run) => data.fields.every((field) => run.settings[field] === settings[field]));
    outcome.hidden = !isRevealed;
    if (!isRevealed) return run;
    const points = decodePoints(run.points, run.unit);
    drawing.draw({ points, labels: run.labels, frame: frameOf(points, data.least) });
    numbers.set(run.metrics);
    curves.replaceChildren(...Object.entries(run.curves).map(([name, values]) => curve(name, values, run.epochs)));
    return run;
  }

  return { box, show, choose: (next) => (settings = { ...next }) };
}

function percent(share) {
  return `${(100 * share).toFixed(1)}%`;
}
