// A list of pictures to pick one from, by mouse or by arrow keys, with a text box and a menu that filter it.

import { element, menu } from "./controls.mjs";

const ALL = "";
const STEPS = { ArrowLeft: -1, ArrowRight: 1 };

/**
 * A list of `items` {name, group, image}, which `show(canvas, image)` draws. Calls `onPick(number)` for one that is picked, and
 * `onFilter(group)` when another of `groups` is chosen. `mark(number)` marks one, and `left()` lists those that are not filtered out.
 */
export function imagePicker({ label, items, groups, group, show, onPick, onFilter }) {
  const options = items.map(({ name, image }) => {
    const canvas = element("canvas", { "aria-hidden": "true" });
    show(canvas, image);
    return element("li", { role: "option", tabIndex: -1, title: name, "aria-label": name, "aria-selected": "false" }, canvas);
  });
  const words = items.map(({ name }) => plain(name));
  const search = element("input", { type: "search", placeholder: "type a name", "aria-label": `find ${label}`, autocomplete: "off", spellcheck: false });
  const list = element("ul", { className: "picker", role: "listbox", "aria-label": label }, ...options);
  const count = element("span", { className: "hint", role: "status" });
  const named = Object.fromEntries(groups.map((name) => [name, name]));
  const within = menu({ label: "in", options: { [ALL]: "all groups", ...named }, value: group, onInput: filter });
  within.box.hidden = groups.length < 2;
  let marked = 0;

  function left() {
    return [...options.keys()].filter((number) => !options[number].hidden);
  }

  function filter() {
    const wanted = plain(search.value);
    options.forEach((option, number) => {
      option.hidden = !words[number].includes(wanted) || ![ALL, items[number].group].includes(within.input.value);
    });
    const { length } = left();
    count.textContent = length ? `${length} of ${items.length} classes` : "no class has that name";
    list.hidden = !length;
    mark(marked);
    onFilter(within.input.value);
  }

  function mark(number) {
    for (const option of options) option.tabIndex = -1;
    options[marked].setAttribute("aria-selected", "false");
    options[number].setAttribute("aria-selected", "true");
    marked = number;
    const reached = options[number].hidden ? options[left()[0] ?? 0] : options[number]; // by the tab key
    reached.tabIndex = 0;
    const [above, below] = [reached.offsetTop - list.scrollTop, list.clientHeight - reached.offsetHeight];
    if (above < 0 || above > below) list.scrollTop += above - below / 2; // what is in view does not move
  }

  function pick(number) {
    if (number === undefined) return; // beyond the first or the last
    onPick(number);
    options[number].focus({ preventScroll: true });
  }

  /** The item that a key leads to from the item `at`, both as places among those left. */
  function towards(key, at, shown) {
    if (key in STEPS) return at + STEPS[key];
    const top = options[shown[0]].offsetTop;
    const below = shown.findIndex((number) => options[number].offsetTop > top); // the first of the second row
    const columns = below < 0 ? shown.length : below;
    return { ArrowUp: at - columns, ArrowDown: at + columns, Home: 0, End: shown.length - 1 }[key];
  }

  list.addEventListener("click", ({ target }) => target !== list && pick(options.indexOf(target.closest("li"))));
  list.addEventListener("keydown", (event) => {
    const shown = left();
    const to = towards(event.key, shown.indexOf(options.indexOf(event.target)), shown);
    if (to === undefined && !["Enter", " "].includes(event.key)) return;
    event.preventDefault();
    pick(to === undefined ? options.indexOf(event.target) : shown[to]);
  });
  search.addEventListener("input", filter);
  search.addEventListener("keydown", ({ key }) => key === "Enter" && left().length && onPick(left()[0]));
  return { search, more: [within.box, count], list, mark, left, begin: filter };
}

/** A name in the form in which names are compared: words in small letters. */
function plain(text) {
  return text.toLowerCase().replace(/[-_\s]+/g, " ").trim();
}
