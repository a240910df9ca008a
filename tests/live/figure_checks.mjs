// Compares the arithmetic of the book's figures with the package's: node figure_checks.mjs JS CASES.
// Prints what differs, a line each, and nothing where nothing does.

import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, casesPath] = process.argv.slice(2);
const load = (name) => import(pathToFileURL(join(resolve(folder), `${name}.mjs`)));
const arithmetic = await load("arithmetic");
const { PAIR_SELECTORS } = await load("tuples");
const { batches, pairs, triplets } = JSON.parse(readFileSync(casesPath));
const PLACES = 1e-9;

function close(left, right) {
  if (Array.isArray(left)) return left.length === right.length && left.every((value, i) => close(value, right[i]));
  return Math.abs(left - right) <= PLACES * Math.max(1, Math.abs(left), Math.abs(right));
}

function sameSets(left, right) {
  const texts = [left, right].map((tuples) => new Set(tuples.map(String)));
  return left.length === right.length && texts[0].size === left.length && [...texts[0]].every((text) => texts[1].has(text));
}

function check(isRight, what) {
  if (!isRight) console.log(what);
}

function checkDrawn(of, name, expected, batch, margin) {
  const pairOf = ([anchor, positive]) => `${anchor},${positive}`;
  const seen = new Set();
  for (let seed = 0; seed < 40; seed++) {
    const random = () => (seed + 0.5) / 40;
    const drawn = arithmetic.selectTriplets(name, batch.rows, batch.labels, margin, random);
    check(sameSets(drawn.map(pairOf), [...new Set(expected.map(pairOf))]), `${of}: ${name} ${margin}: a triplet a pair`);
    for (const triplet of drawn) seen.add(String(triplet));
  }
  check(sameSets([...seen], expected.map(String)), `${of}: ${name} ${margin}: what it draws from`);
}

function checkHard(of, found, expected, distances) {
  // of equally near negative pairs any may be taken: what is taken must be as near
  const lengths = (list) => list.map(([i, j]) => distances[i][j]).toSorted((a, b) => a - b);
  check(sameSets(found.positive, expected[0]), `${of}: hard: positive pairs`);
  check(close(lengths(found.negative), lengths(expected[1])), `${of}: hard: negative pairs`);
}

batches.forEach((batch, number) => {
  const of = `batch ${number}`;
  const { rows, labels } = batch;
  check(close(arithmetic.squaredDistances(rows), batch.distances), `${of}: distances`);
  for (const [key, expected] of Object.entries(batch.triplets)) {
    const [name, margin] = key.split(" ");
    const found = arithmetic.selectTriplets(name, rows, labels, Number(margin), () => 0.5);
    check(sameSets(found, expected), `${of}: ${key}`);
  }
  for (const [key, expected] of Object.entries(batch.drawn_from)) {
    const [name, margin] = key.split(" ");
    checkDrawn(of, name, expected, batch, Number(margin));
  }
  for (const name of PAIR_SELECTORS) {
    const found = arithmetic.selectPairs(name, rows, labels, () => 0.5);
    const [positive, negative] = batch.pairs[name];
    if (name === "hard") checkHard(of, found, [positive, negative], batch.distances);
    else check(sameSets(found.positive, positive), `${of}: ${name}: positive pairs`);
    const isWhole = name === "batch-hard" || negative.length <= positive.length;
    if (name !== "hard" && isWhole) check(sameSets(found.negative, negative), `${of}: ${name}: negative pairs`);
    if (name === "all" && !isWhole) {
      const known = new Set(negative.map(String));
      const distinct = new Set(found.negative.map(String));
      check(distinct.size === positive.length && [...distinct].every((pair) => known.has(pair)), `${of}: all: drawn pairs`);
    }
  }
  const all = arithmetic.selectTriplets("batch-all", rows, labels, Infinity, () => 0.5);
  const everyPair = { positive: batch.pairs.all[0], negative: batch.pairs.all[1] };
  for (const [kind, over] of [["all", "all"], ["active", "active"]]) {
    for (const { margin, loss, gradient } of batch[kind]) {
      const found = arithmetic.batchTripletLoss(rows, all, margin, over);
      check(close(found.loss, loss) && close(found.gradient, gradient), `${of}: mean over ${over}, margin ${margin}`);
    }
  }
  for (const { margin, loss } of batch.all) {
    const active = all.filter(([a, p, n]) => batch.distances[a][p] - batch.distances[a][n] + margin > 0).length;
    const found = arithmetic.tripletCosts(batch.distances, all, margin);
    check(close(found.loss, loss) && found.active === active, `${of}: costs, margin ${margin}`);
  }
  for (const { margin, loss, gradient } of batch.contrastive) {
    const found = arithmetic.batchContrastiveLoss(rows, everyPair, margin);
    check(close(found.loss, loss) && close(found.gradient, gradient), `${of}: contrastive, margin ${margin}`);
  }
});

for (const { rows, same, margin, loss, gradients } of pairs) {
  const found = arithmetic.contrastiveLoss(...rows, same, margin);
  check(close(found.loss, loss) && close(found.gradients, gradients), `pair ${rows}, ${same}, margin ${margin}`);
}
for (const { rows, margin, loss, gradients } of triplets) {
  const found = arithmetic.tripletLoss(...rows, margin);
  check(close(found.loss, loss) && close(found.gradients, gradients), `triplet ${rows}, margin ${margin}`);
  const [near, far] = [1, 2].map((other) => arithmetic.squaredDistance(rows[0], rows[other]));
  const zone = arithmetic.zoneOf(near, far, margin);
  check(zone === (loss >= margin && far <= near ? "hard" : loss > 0 ? "semi-hard" : "easy"), `zone of ${rows}, margin ${margin}`);
}
check(batches.length > 5 && pairs.length > 5 && triplets.length > 20, "there are too few cases");
