// Labelled controls and other elements of plain HTML.

/** Makes an element with properties, attributes (`aria-…`, `data-…`, `role`) and children. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role" || name === "for") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children);
  return made;
}

/** A slider with a label and its value; calls `onInput(value)` on every change. */
export function slider({ label, min, max, step, value, format = String, onInput }) {
  const output = element("span", { className: "value", "aria-hidden": "true" }); // screen readers read the slider itself
  const input = element("input", { type: "range", min, max, step, value, "aria-label": label });
  const show = () => {
    output.textContent = format(input.valueAsNumber);
    input.setAttribute("aria-valuetext", output.textContent);
  };
  input.addEventListener("input", () => {
    show();
    onInput(input.valueAsNumber);
  });
  show();
  const box = element("label", { className: "control" }, element("span", { textContent: label }), input, output);
  const set = (to) => {
    input.value = to;
    show();
  };
  return { box, input, set };
}

/**
 * A slider over margins. Its range and steps have a place for the margin `given` in Python, or it would show another one;
 * `value` is the first, and `margin` in what it returns that value as the slider took it.
 */
export function marginSlider({ given, min, value, onInput }) {
  const { max, step } = marginRange(given, min);
  const made = slider({ label: "margin", min: Math.min(min, given), max, step, value, format: marginText, onInput });
  return { ...made, margin: made.input.valueAsNumber };
}

/** The greatest margin of a slider, and its step. */
export function marginRange(given, min) {
  const onStep = Math.abs(given / 0.05 - Math.round(given / 0.05)) < 1e-9;
  return { max: Math.max(3, given), step: onStep && min <= given && given <= 3 ? 0.05 : "any" };
}

/** Two digits after the point, or three that count where two would say something else. */
export function marginText(margin) {
  const text = margin.toFixed(2);
  return Math.abs(Number(text) - margin) <= 1e-3 * margin ? text : margin.toPrecision(3);
}

/** A menu of `options`, value → text, where a nested object is a group; calls `onInput(value)` on every change. */
export function menu({ label, options, value, onInput }) {
  const entry = ([key, text]) =>
    typeof text === "string"
      ? element("option", { value: key, textContent: text })
      : element("optgroup", { label: key }, ...Object.entries(text).map(entry));
  const input = element("select", { "aria-label": label }, ...Object.entries(options).map(entry));
  input.value = value;
  input.addEventListener("change", () => onInput(input.value));
  return { box: element("label", { className: "control" }, element("span", { textContent: label }), input), input };
}

export function button(text, onClick, properties = {}) {
  const made = element("button", { type: "button", textContent: text, ...properties });
  made.addEventListener("click", onClick);
  return made;
}

/** A row of named numbers; `set({name: value})` changes them. */
export function readout(names) {
  const values = Object.fromEntries(names.map((name) => [name, element("dd", { textContent: "–" })]));
  const pairs = names.map((name) => element("div", {}, element("dt", { textContent: name }), values[name]));
  const set = (given) => {
    for (const [name, value] of Object.entries(given)) values[name].textContent = value;
  };
  return { box: element("dl", { className: "readout" }, ...pairs), set };
}

/** A sentence that screen readers announce when it changes. */
export function announcement() {
  return element("p", { className: "says", role: "status" });
}
