// The settings of a run that trains in the page: their defaults, and a check of those given.

import { PAIR_SELECTORS, TRIPLET_SELECTORS } from "./tuples.mjs";

export const SETTINGS = {
  network: "8-16-64-64-2",
  method: "online-triplet",
  selector: null,
  margin: 1,
  unitSphere: false,
  nClasses: 10,
  nSamples: 16,
  batchSize: 50, // of tuples, or of images for the softmax
  learningRate: 1e-3,
  weightDecay: 0,
  seed: 0,
};

/** The methods, under the names of `METHODS` in the package: their selectors, and how many images a tuple has. */
export const METHODS = {
  softmax: { selectors: [], images: 1 },
  siamese: { selectors: [], images: 2 },
  triplet: { selectors: [], images: 3 },
  "online-contrastive": { selectors: PAIR_SELECTORS, images: 2 },
  "online-triplet": { selectors: TRIPLET_SELECTORS, images: 3 },
};

const LEAST = { margin: 0, nClasses: 2, nSamples: 2, batchSize: 1, learningRate: 0, weightDecay: 0, seed: 0 };
const WHOLE = ["nClasses", "nSamples", "batchSize", "seed"];

/** Completes settings by the defaults; throws an error for those that do not go together. */
export function completeSettings(given) {
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(SETTINGS, name)) throw new Error(`unknown setting ${name}; there are ${Object.keys(SETTINGS).join(", ")}`);
  }
  const settings = { ...SETTINGS, ...given };
  const { method, selector } = settings;
  if (!Object.hasOwn(METHODS, method)) throw new Error(`unknown method ${method}; there are ${Object.keys(METHODS).join(", ")}`);
  const { selectors } = METHODS[method];
  if (selectors.length ? !selectors.includes(selector) : selector !== null) {
    const possible = selectors.length ? `its selectors are ${selectors.join(", ")}` : "it uses none";
    throw new Error(`the selector ${selector} does not go with the method ${method}: ${possible}`);
  }
  for (const [name, least] of Object.entries(LEAST)) {
    const isRight = settings[name] >= least && Number.isFinite(settings[name]) && (!WHOLE.includes(name) || Number.isInteger(settings[name]));
    if (!isRight) throw new Error(`${name} must be a ${WHOLE.includes(name) ? "whole " : ""}number of at least ${least}, got ${settings[name]}`);
  }
  return settings;
}

/** How many images the largest batch has. */
export function batchImages({ method, nClasses, nSamples, batchSize }) {
  return METHODS[method].selectors.length ? nClasses * nSamples : batchSize * METHODS[method].images;
}
