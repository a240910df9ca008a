// What is measured of embeddings in training: their spread, whether they have collapsed, accuracy of neighbours.

import { pairLoss } from "./losses.mjs";
import { distanceMatrix, listPairs } from "./tuples.mjs";

/** The root-mean-square distance between `n` rows of `size` numbers. */
export function spread(rows, n, size) {
  let total = 0;
  for (let k = 0; k < size; k++) {
    let [sum, squares] = [0, 0];
    for (let i = 0; i < n; i++) sum += rows[i * size + k];
    for (let i = 0; i < n; i++) squares += (rows[i * size + k] - sum / n) ** 2;
    total += squares / n;
  }
  return Math.sqrt(2 * total);
}

/** The loss of a method where all embeddings coincide; null for the softmax, which compares no distances. */
export function collapsedLoss({ method, selector, margin, nClasses, nSamples }) {
  if (method === "softmax") return null;
  if (method === "triplet" || method === "online-triplet") return margin;
  if (method === "siamese") return margin ** 2 / 4; // half of the pairs are negative
  const labels = Array.from({ length: nClasses * nSamples }, (_, i) => Math.floor(i / nSamples));
  const n = labels.length;
  const distances = distanceMatrix(new Float64Array(n), n, 1);
  return pairLoss(distances, n, listPairs(selector, distances, labels, () => 0), margin, new Float64Array(n * n)).loss;
}

/** The rule of `diagnostics.is_collapsed`. */
export function isCollapsed(loss, lossOfAPoint, first, now) {
  return Math.abs(loss - lossOfAPoint) <= 0.02 * lossOfAPoint && now < first / 2;
}

/**
 * Watches a run for a collapse by the means over `steps` steps: a function of the loss, the spread and
 * `collapsedLoss` that returns {loss, first, now} once, when it is found.
 */
export function collapseWatch(steps) {
  const recent = { losses: [], spreads: [] };
  let [first, isFound] = [null, false];
  return (loss, now, lossOfAPoint) => {
    first ??= now;
    recent.losses.push(loss);
    recent.spreads.push(now);
    if (recent.losses.length < steps || isFound || lossOfAPoint === null) {
      recent.losses.splice(0, recent.losses.length - steps + 1);
      recent.spreads.splice(0, recent.spreads.length - steps + 1);
      return null;
    }
    const found = { loss: mean(recent.losses), first, now: mean(recent.spreads) };
    recent.losses.shift();
    recent.spreads.shift();
    isFound = isCollapsed(found.loss, lossOfAPoint, first, found.now);
    return isFound ? found : null;
  };
}

function mean(numbers) {
  return numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
}

/**
 * The share of `queries` whose class is the most frequent of their `k` nearest in the gallery, ties to the smaller label.
 * Both are {rows, labels} with rows of `size` numbers.
 */
export function neighbourAccuracy(gallery, queries, size, k = 5) {
  const n = queries.labels.length;
  let right = 0;
  for (let query = 0; query < n; query++) {
    const place = query * size;
    const nearest = nearestOf(gallery.rows, gallery.labels.length, size, queries.rows, place, k);
    if (mostFrequent(nearest.map((image) => gallery.labels[image])) === queries.labels[query]) right++;
  }
  return right / n;
}

/** The `k` nearest rows to the numbers at `place` of `from`, the nearest first, of equally near ones the first. */
export function nearestOf(rows, nRows, size, from, place, k) {
  const images = [];
  const lengths = [];
  for (let image = 0; image < nRows; image++) {
    let squared = 0;
    for (let i = 0; i < size; i++) squared += (rows[image * size + i] - from[place + i]) ** 2;
    if (images.length === k && squared >= lengths[k - 1]) continue;
    let at = Math.min(images.length, k - 1);
    for (; at > 0 && lengths[at - 1] > squared; at--) [lengths[at], images[at]] = [lengths[at - 1], images[at - 1]];
    [lengths[at], images[at]] = [squared, image];
  }
  return images;
}

function mostFrequent(labels) {
  const counts = new Map();
  for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + 1);
  return [...counts].reduce((best, [label, count]) => (count > best[1] || (count === best[1] && label < best[0]) ? [label, count] : best), [-1, 0])[0];
}
