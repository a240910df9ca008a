// The weight of every pair in a loss: the derivative of the loss with respect to the cosine similarity of the pair.
//
// One anchor, its similarities to the positives and to the negatives, and the settings of the loss: a temperature, a
// margin, both or one of them. Distances are those of unit vectors, d² = 2 − 2s. Where a class has one vector, the first
// positive is that of the anchor's class, and the others take no part.

const ALPHA = 2; // of the positives in MultiSimilarity, as in its paper
const DISTANCE = { label: "margin", most: 2 };
const COSINE = { label: "margin", most: 0.8 };
const softmaxScale = ({ temperature }) => 1 / temperature;

// `greatest`: the greatest weight that a pair can have, or a positive one where there is no limit.
export const LOSSES = {
  pairs: {
    title: "Pairs",
    note: "Each pair for itself. A positive always pulls; a negative pushes within the margin, a distance.",
    margin: 1, slider: DISTANCE, of: pairs, greatest: () => 1 / 6,
  },
  triplets: {
    title: "Triplets, all",
    note: "Each positive against each negative that is not farther by the margin, in squared distances.",
    margin: 0.2, slider: DISTANCE, of: allTriplets, greatest: () => 2,
  },
  "semi-hard": {
    title: "Triplets, semi-hard",
    note: "Each positive against the negatives that are farther, but by less than the margin.",
    margin: 0.2, slider: DISTANCE, of: semiHardTriplets, greatest: () => 2,
  },
  infonce: {
    title: "N-pairs, InfoNCE",
    note: "A softmax for each positive, against all negatives.",
    temperature: 0.1, of: infoNCE, greatest: softmaxScale,
  },
  supcon: {
    title: "SupCon",
    note: "A softmax in which the positives also compete with each other, so that a near one may be pushed.",
    temperature: 0.1, of: supCon, greatest: softmaxScale,
  },
  multisimilarity: {
    title: "MultiSimilarity",
    note: "Positives and negatives are weighed apart, around a threshold.",
    temperature: 0.02, margin: 0.5, slider: { ...COSINE, label: "threshold" }, of: multiSimilarity, greatest: () => 1,
  },
  proxyanchor: {
    title: "ProxyAnchor",
    note: "The anchor is the vector of a class, and the points are the images of the batch.",
    temperature: 0.03125, margin: 0.1, slider: COSINE, of: proxyAnchor, greatest: softmaxScale,
  },
  normalised: {
    title: "Normalised softmax",
    note: "The anchor is an image, and the points are vectors, one per class: p2 takes no part.",
    temperature: 0.05, of: (p, n, settings) => marginSoftmax(p, n, { ...settings, margin: 0 }, minusMargin), greatest: softmaxScale,
  },
  cosface: {
    title: "CosFace",
    note: "The normalised softmax, with the margin taken off the cosine of the anchor’s own class.",
    temperature: 0.015625, margin: 0.35, slider: COSINE, of: (p, n, settings) => marginSoftmax(p, n, settings, minusMargin), greatest: softmaxScale,
  },
  arcface: {
    title: "ArcFace",
    note: "The normalised softmax, with the margin added to the angle to the anchor’s own class.",
    temperature: 0.015625, margin: 0.5, slider: COSINE, of: (p, n, settings) => marginSoftmax(p, n, settings, plusAngle), greatest: softmaxScale,
  },
};

/** The loss and its derivatives: `positive` and `negative`, one number per similarity. */
export function weightsOf(name, positives, negatives, settings) {
  return LOSSES[name].of(positives, negatives, settings);
}

/** ½d² for a positive pair, ½·max(0, m − d)² for a negative one, a mean over all pairs. */
function pairs(positives, negatives, { margin }) {
  const n = positives.length + negatives.length;
  const distances = negatives.map((s) => Math.sqrt(Math.max(1e-12, 2 - 2 * s)));
  const gaps = distances.map((d) => Math.max(0, margin - d));
  const loss = sum(positives.map((s) => 1 - s)) + sum(gaps.map((gap) => gap ** 2 / 2));
  return { loss: loss / n, positive: positives.map(() => -1 / n), negative: gaps.map((gap, i) => gap / distances[i] / n) };
}

/** The mean over the triplets that have a loss. */
function allTriplets(positives, negatives, { margin }) {
  const active = [];
  positives.forEach((p, i) => negatives.forEach((n, j) => 2 * n - 2 * p + margin > 0 && active.push([i, j, 1])));
  return meanOfTriplets(positives, negatives, margin, active);
}

/** A negative for each positive, drawn from those that are farther but have a loss: the mean over the draw. */
function semiHardTriplets(positives, negatives, { margin }) {
  const drawn = positives.flatMap((p, i) => {
    const eligible = negatives.flatMap((n, j) => (n < p && 2 * n - 2 * p + margin > 0 ? [j] : []));
    return eligible.map((j) => [i, j, 1 / eligible.length]);
  });
  return meanOfTriplets(positives, negatives, margin, drawn);
}

function meanOfTriplets(positives, negatives, margin, triplets) {
  const found = { loss: 0, positive: positives.map(() => 0), negative: negatives.map(() => 0) };
  const total = Math.max(1e-12, sum(triplets.map(([, , share]) => share)));
  for (const [i, j, share] of triplets) {
    found.loss += (share / total) * (2 * negatives[j] - 2 * positives[i] + margin);
    found.positive[i] -= (2 * share) / total;
    found.negative[j] += (2 * share) / total;
  }
  return found;
}

/** Each positive against all negatives, a mean over the positives. */
function infoNCE(positives, negatives, { temperature }) {
  return meanOverPositives(positives, negatives, temperature, () => []);
}

/** Each positive against all negatives and the other positives, a mean over the positives. */
function supCon(positives, negatives, { temperature }) {
  return meanOverPositives(positives, negatives, temperature, (i) => positives.flatMap((_, j) => (j === i ? [] : [j])));
}

function meanOverPositives(positives, negatives, temperature, rivalsOf) {
  const found = { loss: 0, positive: positives.map(() => 0), negative: negatives.map(() => 0) };
  const scale = 1 / (temperature * positives.length);
  positives.forEach((own, i) => {
    const rivals = rivalsOf(i);
    const others = [...rivals.map((j) => positives[j]), ...negatives];
    const { loss, first, rest } = crossEntropy(own / temperature, others.map((s) => s / temperature));
    found.loss += loss / positives.length;
    found.positive[i] += scale * first;
    rivals.forEach((j, place) => (found.positive[j] += scale * rest[place]));
    negatives.forEach((_, j) => (found.negative[j] += scale * rest[rivals.length + j]));
  });
  return found;
}

/** log(1 + Σ exp(−α(s − λ))) / α over the positives, log(1 + Σ exp(β(s − λ))) / β over the negatives. */
function multiSimilarity(positives, negatives, { temperature, margin }) {
  const pull = softplusOfSum(positives.map((s) => -ALPHA * (s - margin)));
  const push = softplusOfSum(negatives.map((s) => (s - margin) / temperature));
  return { loss: pull.loss / ALPHA + push.loss * temperature, positive: pull.shares.map((share) => -share), negative: push.shares };
}

/** The anchor is a proxy, and the others are images of its class or not. */
function proxyAnchor(positives, negatives, { temperature, margin }) {
  const pull = softplusOfSum(positives.map((s) => -(s - margin) / temperature));
  const push = softplusOfSum(negatives.map((s) => (s + margin) / temperature));
  const [positive, negative] = [pull.shares.map((share) => -share / temperature), push.shares.map((share) => share / temperature)];
  return { loss: pull.loss + push.loss, positive, negative };
}

/** A softmax over class vectors, in which `handicap` lowers the similarity to the vector of the anchor's class. */
function marginSoftmax(positives, negatives, { temperature, margin }, handicap) {
  const [own, slope] = handicap(positives[0], margin);
  const { loss, first, rest } = crossEntropy(own / temperature, negatives.map((s) => s / temperature));
  const positive = positives.map((_, i) => (i === 0 ? (slope * first) / temperature : 0));
  return { loss, positive, negative: rest.map((share) => share / temperature) };
}

function minusMargin(s, margin) {
  return [s - margin, 1];
}

/** cos(θ + m) and its derivative with respect to cos θ; beyond θ = π − m a line, as in the authors' code. */
function plusAngle(s, margin) {
  if (s <= Math.cos(Math.PI - margin)) return [s - margin * Math.sin(margin), 1];
  const angle = Math.acos(Math.min(1 - 1e-9, s));
  return [Math.cos(angle + margin), Math.sin(angle + margin) / Math.sin(angle)];
}

/** −log of the share of `own` in a softmax over it and `others`, and the derivatives: `first` of own, `rest`. */
function crossEntropy(own, others) {
  const most = Math.max(own, ...others);
  const total = sum([own, ...others].map((score) => Math.exp(score - most)));
  const rest = others.map((score) => Math.exp(score - most) / total);
  return { loss: most + Math.log(total) - own, first: -sum(rest), rest };
}

/** log(1 + Σ exp(score)) and its derivatives. */
function softplusOfSum(scores) {
  const most = Math.max(0, ...scores);
  const total = Math.exp(-most) + sum(scores.map((score) => Math.exp(score - most)));
  return { loss: most + Math.log(total), shares: scores.map((score) => Math.exp(score - most) / total) };
}

function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}
