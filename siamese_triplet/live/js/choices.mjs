// The settings of a run that trains in the page: what can be chosen, and what a choice means to training_worker.

import { PAIR_SELECTORS, TRIPLET_SELECTORS } from "./tuples.mjs";

export const METHODS = {
  softmax: "softmax",
  siamese: "siamese pairs",
  triplet: "triplets",
  "online-contrastive": "online pairs",
  "online-triplet": "online triplets",
};
const SELECTORS = { "online-contrastive": PAIR_SELECTORS, "online-triplet": TRIPLET_SELECTORS };
const FIRST_SELECTOR = { "online-contrastive": "hard", "online-triplet": "random" };
const MARGINS = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10];
const RATES = [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1];
const BATCHES = ["10 × 16", "10 × 8", "10 × 4", "5 × 16", "2 × 16"];
const NETWORKS = { "8-16-64-64-2": "small, 8 and 16 channels", "32-64-256-256-2": "EmbeddingNet of the book" };

/** The settings that a reader can change, in the order of their menus: label, and the options for a state. */
export const FIELDS = {
  data: { label: "data", options: (state, data) => Object.fromEntries(Object.entries(data.dataSets).map(([key, { title }]) => [key, title])) },
  method: { label: "method", options: () => METHODS },
  selector: { label: "selector", options: ({ method }) => asOptions(SELECTORS[method] ?? []) },
  margin: { label: "margin", options: ({ method }, { start }) => (method === "softmax" ? {} : numbers([...MARGINS, ...given(start, "margin")])) },
  geometry: { label: "embeddings", options: () => ({ plane: "anywhere in the plane", circle: "on the unit circle" }) },
  batch: { label: "classes × images", options: ({ method }, { start }) => (method in SELECTORS ? asOptions([...new Set([start.batch, ...BATCHES])]) : {}) },
  rate: { label: "learning rate", options: (_, { start }) => numbers([...RATES, ...given(start, "rate")]) },
  network: { label: "network", options: () => NETWORKS },
};

export const MORE = ["geometry", "batch", "rate", "network"]; // shown when asked for
export const WITHIN_A_RUN = { margin: "margin", rate: "learningRate" }; // can change while it trains
const NOT_BESIDE = ["data", "network"]; // two runs on the same images, in the same time

/** The first state: that of the address, where it makes sense, else the one given in Python. */
export function startOf(address, data) {
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

/** A state whose settings go together: what a method does not have gets its first option. */
export function settled(state, data) {
  const fixed = { ...state };
  for (const [field, { options }] of Object.entries(FIELDS)) {
    const offered = Object.keys(options(fixed, data)).map((key) => key.trim());
    if (offered.length && !offered.includes(String(fixed[field]))) fixed[field] = field === "selector" ? FIRST_SELECTOR[fixed.method] : offered[0];
    fixed[field] = String(fixed[field]);
  }
  if (!besideFields(fixed, data).includes(fixed.beside)) fixed.beside = "";
  if (fixed.beside) {
    const others = besideOptions(fixed, data);
    if (!Object.keys(others).some((key) => key.trim() === String(fixed.value))) fixed.value = Object.keys(others)[0].trim();
  } else fixed.value = "";
  return fixed;
}

/** The settings that a second run may have otherwise. */
export function besideFields(state, data) {
  return Object.keys(FIELDS).filter((field) => !NOT_BESIDE.includes(field) && Object.keys(FIELDS[field].options(state, data)).length > 1);
}

/** The options of the second run: those that the first does not have. */
export function besideOptions(state, data) {
  const options = Object.entries(FIELDS[state.beside].options(state, data));
  return Object.fromEntries(options.filter(([key]) => key.trim() !== state[state.beside]));
}

/** The states of the runs: one, or two. */
export function runsOf(state, data) {
  if (!state.beside) return [state];
  return [state, settled({ ...state, [state.beside]: state.value, beside: "", value: "" }, data)];
}

/** The settings of a run in the words of training_worker. */
export function settingsOf({ method, selector, margin, geometry, batch, rate, network, seed }) {
  const [nClasses, nSamples] = batch.split(" × ").map(Number);
  const isOnline = method in SELECTORS;
  return { network, method, selector: isOnline ? selector : null, margin: Number(margin), unitSphere: geometry === "circle", ...(isOnline ? { nClasses, nSamples } : {}), learningRate: Number(rate), seed: Number(seed) };
}

/** What tells a run from another: the setting in which they differ, or else the method and its selector. */
export function nameOf(run, { beside }, data) {
  const texts = beside && beside !== "method" ? Object.entries(FIELDS[beside].options(run, data)) : [];
  if (texts.length) return `${FIELDS[beside].label} ${texts.find(([key]) => key.trim() === run[beside])[1]}`;
  return METHODS[run.method] + (run.method in SELECTORS ? `, ${run.selector}` : "");
}

function asOptions(names) {
  return Object.fromEntries(names.map((name) => [name, name]));
}

/** The numbers of a setting that Python gave, for the second run too. */
function given(start, field) {
  return [start[field], ...(start.beside === field ? [start.value] : [])].map(Number);
}

/** Options of numbers in order; a blank before each keeps whole numbers in this order. */
function numbers(values) {
  return Object.fromEntries([...new Set(values)].sort((one, other) => one - other).map((value) => [` ${value}`, String(value)]));
}
