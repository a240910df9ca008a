// The distances, selectors, losses and gradients of the package, as plain loops over one batch.
//
// Rows are arrays of numbers, all of one length; distances are squared Euclidean; a pair is [i, j] with i < j, a
// triplet [anchor, positive, negative]. Ties go to the first image of the batch.

import { distanceMatrix, listPairs, listTriplets } from "./tuples.mjs";

export function squaredDistance(left, right) {
  return left.reduce((total, value, column) => total + (value - right[column]) ** 2, 0);
}

export function squaredDistances(rows) {
  return rows.map((left) => rows.map((right) => squaredDistance(left, right)));
}

export function zoneOf(toPositive, toNegative, margin) {
  if (toNegative <= toPositive) return "hard";
  return toNegative < toPositive + margin ? "semi-hard" : "easy";
}

// Selection, by the lists of tuples.mjs

/** Selects positive and negative pairs from a batch. `random()` returns numbers in [0, 1). */
export function selectPairs(name, rows, labels, random) {
  const { positive, negative } = listPairs(name, flatDistances(rows), labels, random);
  return { positive: inGroups(positive, 2), negative: inGroups(negative, 2) };
}

/** Selects triplets from a batch. `random()` returns numbers in [0, 1). */
export function selectTriplets(name, rows, labels, margin, random) {
  return inGroups(listTriplets(name, flatDistances(rows), labels, margin, random), 3);
}

function flatDistances(rows) {
  return distanceMatrix(Float64Array.from(rows.flat()), rows.length, rows[0]?.length ?? 0);
}

function inGroups(list, size) {
  return Array.from({ length: list.length / size }, (_, i) => Array.from(list.subarray(size * i, size * (i + 1))));
}

/** The nearest of the images `among`, the first of several; −1 for none. */
export function nearest(distances, among) {
  return among.reduce((best, other) => (best < 0 || distances[other] < distances[best] ? other : best), -1);
}

// Losses and their gradients

/** ½d² for a positive pair, ½·max(0, m − d)² for a negative one. */
export function contrastiveLoss(left, right, isSame, margin) {
  const squared = squaredDistance(left, right);
  const distance = Math.sqrt(squared);
  if (isSame) return { loss: squared / 2, gradients: opposite(left, right, 1) };
  const gap = Math.max(0, margin - distance);
  return { loss: gap ** 2 / 2, gradients: opposite(left, right, distance > 0 ? -gap / distance : 0) };
}

/** max(0, d²(anchor, positive) − d²(anchor, negative) + m). */
export function tripletLoss(anchor, positive, negative, margin) {
  const loss = Math.max(0, squaredDistance(anchor, positive) - squaredDistance(anchor, negative) + margin);
  const scale = loss > 0 ? 2 : 0;
  const gradients = [
    anchor.map((_, column) => scale * (negative[column] - positive[column])),
    anchor.map((value, column) => scale * (positive[column] - value)),
    anchor.map((value, column) => scale * (value - negative[column])),
  ];
  return { loss, gradients };
}

/** The mean loss of triplets and the number of active ones, from squared distances: fast, without a gradient. */
export function tripletCosts(distances, triplets, margin) {
  let [sum, active] = [0, 0];
  for (const [anchor, positive, negative] of triplets) {
    const cost = distances[anchor][positive] - distances[anchor][negative] + margin;
    if (cost > 0) [sum, active] = [sum + cost, active + 1];
  }
  return { loss: triplets.length ? sum / triplets.length : 0, active };
}

/** The mean loss of pairs, the number of active ones, and the gradient of the mean for every row. */
export function batchContrastiveLoss(rows, { positive, negative }, margin) {
  const terms = [...positive.map((pair) => [pair, true]), ...negative.map((pair) => [pair, false])];
  return mean(rows, terms, ([pair, isSame]) => ({
    images: pair,
    ...contrastiveLoss(rows[pair[0]], rows[pair[1]], isSame, margin),
  }));
}

/** The mean loss over all or over the active triplets, the number of active ones, and the gradient of the mean. */
export function batchTripletLoss(rows, triplets, margin, over = "all") {
  const isCounted = ([a, p, n]) => over === "all" || tripletLoss(rows[a], rows[p], rows[n], margin).loss > 0;
  return mean(rows, triplets.filter(isCounted), (triplet) => ({
    images: triplet,
    ...tripletLoss(...triplet.map((image) => rows[image]), margin),
  }));
}

function mean(rows, terms, costOf) {
  const gradient = rows.map((row) => row.map(() => 0));
  let loss = 0;
  let active = 0;
  for (const term of terms) {
    const cost = costOf(term);
    loss += cost.loss / terms.length;
    active += cost.loss > 0 ? 1 : 0;
    cost.images.forEach((image, place) => {
      cost.gradients[place].forEach((value, column) => (gradient[image][column] += value / terms.length));
    });
  }
  return { loss, active, gradient };
}

function opposite(left, right, scale) {
  const ofLeft = left.map((value, column) => scale * (value - right[column]));
  return [ofLeft, ofLeft.map((value) => -value)];
}
