// The losses of the package on typed arrays, with gradients: of listed pairs or triplets, and of log-probabilities.
//
// Losses of distances give their derivative with respect to each squared distance, as n × n `weights`; `rowGradients` turns
// these into gradients of the embeddings. All return {loss, selected, active}: the mean, and how many tuples were selected
// and have a loss.

/** Contrastive loss: ½d² of positive pairs, ½·max(0, margin − d)² of negative ones; mean over all. */
export function pairLoss(distances, n, { positive, negative }, margin, weights) {
  const selected = (positive.length + negative.length) / 2;
  let [sum, active] = [0, 0];
  for (let at = 0; at < positive.length; at += 2) {
    const cell = positive[at] * n + positive[at + 1];
    sum += distances[cell] / 2;
    if (distances[cell] > 0) active++;
    weights[cell] += 0.5 / selected;
  }
  for (let at = 0; at < negative.length; at += 2) {
    const cell = negative[at] * n + negative[at + 1];
    const distance = Math.sqrt(distances[cell]);
    const gap = margin - distance;
    if (gap <= 0) continue;
    sum += gap ** 2 / 2;
    active++;
    if (distance > 0) weights[cell] -= gap / (2 * distance) / selected;
  }
  return { loss: selected ? sum / selected : 0, selected, active };
}

/** Triplet loss max(0, d²(anchor, positive) − d²(anchor, negative) + margin), mean over all or over the active triplets. */
export function tripletLoss(distances, n, triplets, margin, over, weights) {
  const selected = triplets.length / 3;
  let [sum, active] = [0, 0];
  for (let at = 0; at < triplets.length; at += 3) {
    const row = triplets[at] * n;
    const loss = distances[row + triplets[at + 1]] - distances[row + triplets[at + 2]] + margin;
    if (loss <= 0) continue;
    sum += loss;
    active++;
    weights[row + triplets[at + 1]] += 1;
    weights[row + triplets[at + 2]] -= 1;
  }
  const count = (over === "active" ? active : selected) || 1;
  for (let cell = 0; cell < n * n; cell++) weights[cell] /= count;
  return { loss: sum / count, selected, active };
}

/** Gradients of n rows of `size` numbers, written at `to` of `into`, `stride` numbers apart. */
export function rowGradients(rows, n, size, weights, into, to, stride) {
  const sums = new Float64Array(size);
  for (let i = 0; i < n; i++) {
    sums.fill(0);
    for (let j = 0; j < n; j++) {
      const weight = weights[i * n + j] + weights[j * n + i];
      if (!weight) continue;
      for (let k = 0; k < size; k++) sums[k] += weight * (rows[i * size + k] - rows[j * size + k]);
    }
    for (let k = 0; k < size; k++) into[to + i * stride + k] = 2 * sums[k];
  }
}

/** Mean negative log-likelihood of n rows of `nClasses` scores, `stride` apart at `from`; gradients are written at `to`. */
export function softmaxLoss(floats, from, to, stride, labels, nClasses) {
  const n = labels.length;
  let [sum, active] = [0, 0];
  for (let row = 0; row < n; row++) {
    const at = from + row * stride;
    const scores = floats.subarray(at, at + nClasses);
    const most = Math.max(...scores);
    const total = scores.reduce((before, score) => before + Math.exp(score - most), 0);
    sum += Math.log(total) + most - scores[labels[row]];
    if (scores[labels[row]] < most) active++;
    for (let k = 0; k < nClasses; k++) {
      const share = Math.exp(scores[k] - most) / total;
      floats[to + row * stride + k] = (share - (k === labels[row] ? 1 : 0)) / n;
    }
  }
  return { loss: sum / n, selected: n, active };
}
