// A search by example: a query that the reader picks, and the images nearest to it by several embeddings.

import { announcement, button, element } from "./controls.mjs";
import { decodeIndices, imageSheet } from "./data.mjs";
import { imagePicker } from "./picker.mjs";

export function searchFigure(view, data) {
  const { address, body } = view;
  const show = imageSheet(data.sheet);
  const labelOf = (query) => data.labels[data.queries[query]];
  const groupOf = (image) => data.groupNames[data.groups[image]] ?? "";
  const queryOf = new Map(data.queries.map((image, query) => [image, query]));
  const rows = data.rows.map((row) => resultRow(data, decodeIndices(row.found), row.name, show, (image) => queryOf.has(image), (image) => pick(queryOf.get(image))));
  const classes = [...new Map(data.queries.map((image, query) => [data.labels[image], query]).reverse()).values()].reverse(); // the first query of each class
  const groups = [...new Set(data.queries.map(groupOf))].sort();
  const state = { query: Math.round(address.number("query", data.first, [0, data.queries.length - 1])), group: address.choice("group", "", groups) };

  const picker = imagePicker({
    label: `a query, of ${classes.length} classes`,
    items: classes.map((query) => ({ name: data.classes[labelOf(query)], group: groupOf(data.queries[query]), image: data.queries[query] })),
    groups,
    group: state.group,
    show,
    onPick: (number) => pick(classes[number]),
    onFilter: (group) => keep({ group }),
  });
  const canvas = element("canvas", { role: "img" });
  const name = element("p");
  const alike = element("div", { className: "alike", role: "group" });
  const says = announcement();
  says.classList.add("unseen"); // the counts stand above the rows

  function keep(fields) {
    Object.assign(state, fields);
    address.keep({ query: state.query, group: state.group });
  }

  function pick(query) {
    keep({ query });
    update();
  }

  function surprise() {
    const left = picker.left().map((number) => labelOf(classes[number]));
    const others = [...data.queries.keys()].filter((query) => query !== state.query && (left.includes(labelOf(query)) || !left.length));
    if (others.length) pick(others[Math.floor(Math.random() * others.length)]);
  }

  function update() {
    const image = data.queries[state.query];
    show(canvas, image);
    canvas.setAttribute("aria-label", `the query: ${described(data, image)}`);
    name.replaceChildren(element("strong", { textContent: data.classes[data.labels[image]] }), element("br"), sourceOf(data, image));
    showAlike();
    picker.mark(classes.findIndex((query) => labelOf(query) === labelOf(state.query)));
    const counts = rows.map((row) => row.show(state.query));
    says.textContent = `${described(data, image)}: ${counts.join(", ")}`;
  }

  /** Shows the queries of the same class, to pick another of them. */
  function showAlike() {
    const queries = [...data.queries.keys()].filter((query) => labelOf(query) === labelOf(state.query));
    alike.hidden = queries.length < 2;
    const pictures = queries.map((query, place) => {
      const small = element("canvas", { "aria-hidden": "true" });
      const text = described(data, data.queries[query]);
      const made = button("", () => again(query, place), { title: text, "aria-label": text, "aria-pressed": String(query === state.query) });
      show(small, data.queries[query]);
      made.append(small);
      return made;
    });
    alike.replaceChildren(...pictures);
    alike.setAttribute("aria-label", `all ${queries.length} of the class ${data.classes[labelOf(state.query)]}`);
  }

  function again(query, place) {
    pick(query);
    alike.children[place].focus(); // the buttons are new
  }

  const asked = element("div", { className: "shown query" }, canvas, name, alike);
  body.append(element("div", { className: "controls" }, picker.search, button("Surprise me", surprise, { className: "main" }), ...picker.more), picker.list, asked, says, ...rows.map(({ box }) => box));
  update();
  picker.begin();
}

/** The neighbours of a query by one embedding; `show(query)` returns in words how many are right. */
function resultRow(data, found, title, draw, isQuery, onPick) {
  const count = element("span");
  const places = Array.from({ length: data.k }, () => {
    const canvas = element("canvas", { "aria-hidden": "true" });
    const text = element("span");
    const place = { canvas, text, choose: button("", () => isQuery(place.image) && onPick(place.image)), image: -1 };
    place.choose.append(canvas, text);
    return place;
  });
  const isRight = (query, image) => data.labels[image] === data.labels[data.queries[query]];
  const hitsOf = (query) => [...found.subarray(query * data.k, (query + 1) * data.k)];
  const nRight = (query) => hitsOf(query).filter((image) => isRight(query, image)).length;
  const sum = (numbers) => numbers.reduce((all, number) => all + number, 0);
  const share = (100 * sum([...data.queries.keys()].map(nRight))) / Math.max(1, sum(data.toFind));

  function show(query) {
    hitsOf(query).forEach((image, rank) => {
      const { canvas, text, choose } = places[rank];
      places[rank].image = image;
      draw(canvas, image);
      const right = isRight(query, image);
      text.textContent = `${right ? "✓ " : ""}${data.classes[data.labels[image]]}`;
      choose.className = right ? "hit right" : "hit";
      choose.title = described(data, image);
      choose.setAttribute("aria-label", `${rank + 1}: ${described(data, image)}, ${right ? "right" : "another class"}`);
      choose.setAttribute("aria-disabled", String(!isQuery(image)));
    });
    const counted = `${nRight(query)} of ${data.toFind[query]}`;
    count.textContent = `right among the first ${data.k}: ${counted}`;
    return `${title} ${counted}`;
  }

  const overall = element("span", { className: "hint", textContent: `over all queries ${share.toFixed(0)}%` });
  const heading = element("p", { className: "found" }, element("strong", { textContent: title }), count, overall);
  const list = element("ol", { className: "thumbs results", "aria-label": title }, ...places.map(({ choose }) => element("li", {}, choose)));
  return { box: element("div", {}, heading, list), show };
}

function sourceOf(data, image) {
  return data.sourceNames[data.sources[image]] ?? "";
}

function described(data, image) {
  const source = sourceOf(data, image);
  return `${data.classes[data.labels[image]]}${source && ` (${source})`}`;
}
