// The distances, selectors, losses and gradients of the package, as plain loops over one batch.
//
// Rows are arrays of numbers, all of one length; distances are squared Euclidean; a pair is [i, j] with i < j, a
// triplet [anchor, positive, negative]. Ties go to the first image of the batch. The selectors have the names of
// `selectors/by_name.py`.

export const PAIR_SELECTORS = ["all", "hard", "batch-hard"];
export const TRIPLET_SELECTORS = [
  "batch-all",
  "random",
  "semihard",
  "hardest-semihard",
  "all-semihard",
  "nearest-beyond-positive",
  "hardest",
  "batch-hard",
  "easy-positive",
];

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

// Selection

/** Selects positive and negative pairs from a batch. `random()` returns numbers in [0, 1). */
export function selectPairs(name, rows, labels, random) {
  const distances = squaredDistances(rows);
  const { positive, negative } = pairsOf(labels);
  if (name === "all") return { positive, negative: sample(negative, positive.length, random) };
  if (name === "hard") {
    const sorted = negative.toSorted(([a, b], [c, d]) => distances[a][b] - distances[c][d]);
    return { positive, negative: sorted.slice(0, positive.length) };
  }
  if (name !== "batch-hard") throw new Error(`unknown pair selector ${name}`);
  const chosen = { positive: new Map(), negative: new Map() };
  const keep = (pairs, image, other) => {
    if (other >= 0) pairs.set(`${Math.min(image, other)},${Math.max(image, other)}`, ordered(image, other));
  };
  for (const image of labels.keys()) {
    const { positives, negatives } = othersOf(labels, image);
    keep(chosen.positive, image, farthest(distances[image], positives));
    keep(chosen.negative, image, nearest(distances[image], negatives));
  }
  return { positive: [...chosen.positive.values()], negative: [...chosen.negative.values()] };
}

/** Selects triplets from a batch. `random()` returns numbers in [0, 1). */
export function selectTriplets(name, rows, labels, margin, random) {
  const distances = squaredDistances(rows);
  const triplets = [];
  for (const anchor of labels.keys()) {
    const { positives, negatives } = othersOf(labels, anchor);
    const pairs = Object.hasOwn(ONE_POSITIVE, name) ? [ONE_POSITIVE[name](distances[anchor], positives)] : positives;
    for (const positive of pairs) {
      if (positive < 0) continue;
      for (const negative of negativesOf(name, distances[anchor], positive, negatives, margin, random)) {
        triplets.push([anchor, positive, negative]);
      }
    }
  }
  return triplets;
}

const ONE_POSITIVE = { "batch-hard": farthest, "easy-positive": nearest };

/** The eligible negatives of a positive pair, from which the selector draws or chooses. */
export function candidates(name, fromAnchor, positive, negatives, margin) {
  const inner = fromAnchor[positive];
  const reach = inner + margin;
  if (["batch-all", "hardest", "random"].includes(name)) return negatives.filter((n) => fromAnchor[n] < reach);
  if (["semihard", "hardest-semihard", "all-semihard"].includes(name)) {
    return negatives.filter((n) => fromAnchor[n] > inner && fromAnchor[n] < reach);
  }
  if (["nearest-beyond-positive", "easy-positive"].includes(name)) return negatives.filter((n) => fromAnchor[n] > inner);
  return negatives;
}

function negativesOf(name, fromAnchor, positive, negatives, margin, random) {
  const eligible = candidates(name, fromAnchor, positive, negatives, margin);
  switch (name) {
    case "batch-all":
    case "all-semihard":
      return eligible;
    case "random":
    case "semihard":
      return eligible.length ? [eligible[Math.floor(random() * eligible.length)]] : [];
    case "nearest-beyond-positive":
      return found(eligible.length ? nearest(fromAnchor, eligible) : farthest(fromAnchor, negatives));
    case "hardest":
    case "hardest-semihard":
    case "batch-hard":
    case "easy-positive":
      return found(nearest(fromAnchor, eligible));
    default:
      throw new Error(`unknown triplet selector ${name}`);
  }
}

function found(image) {
  return image < 0 ? [] : [image];
}

function ordered(image, other) {
  return image < other ? [image, other] : [other, image];
}

function pairsOf(labels) {
  const positive = [];
  const negative = [];
  for (let i = 0; i < labels.length; i++) {
    for (let j = i + 1; j < labels.length; j++) (labels[i] === labels[j] ? positive : negative).push([i, j]);
  }
  return { positive, negative };
}

function othersOf(labels, image) {
  const positives = [];
  const negatives = [];
  labels.forEach((label, other) => {
    if (label !== labels[image]) negatives.push(other);
    else if (other !== image) positives.push(other);
  });
  return { positives, negatives };
}

/** The nearest of the images `among`, the first of several; −1 for none. */
export function nearest(distances, among) {
  return among.reduce((best, other) => (best < 0 || distances[other] < distances[best] ? other : best), -1);
}

function farthest(distances, among) {
  return among.reduce((best, other) => (best < 0 || distances[other] > distances[best] ? other : best), -1);
}

/** A uniformly random subset of `n` items; all items if there are no more. */
function sample(items, n, random) {
  if (items.length <= n) return items;
  const shuffled = [...items];
  for (let place = 0; place < n; place++) {
    const other = place + Math.floor(random() * (shuffled.length - place));
    [shuffled[place], shuffled[other]] = [shuffled[other], shuffled[place]];
  }
  return shuffled.slice(0, n);
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
