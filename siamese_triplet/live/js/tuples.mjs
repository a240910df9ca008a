// The selectors of the package on typed arrays: pairs and triplets of one batch, for training and for the figures.
//
// `distances` are squared, n × n in one array of n² numbers; `labels` are n numbers. A pair is i, j with i < j, a triplet
// anchor, positive, negative; lists of them are flat. `random()` returns numbers in [0, 1). Ties go to the first image of
// the batch. The names are those of `selectors/by_name.py`.

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
  "uniform",
];

// Of each anchor: its positives (all, or one of them); the negatives that are eligible, `beyond` the positive and `within`
// the margin of it; those taken of them; and what is taken if none is eligible.
const RULES = {
  "batch-all": { positives: "all", beyond: false, within: true, take: "all" },
  random: { positives: "all", beyond: false, within: true, take: "random" },
  semihard: { positives: "all", beyond: true, within: true, take: "random" },
  "hardest-semihard": { positives: "all", beyond: true, within: true, take: "nearest" },
  "all-semihard": { positives: "all", beyond: true, within: true, take: "all" },
  "nearest-beyond-positive": { positives: "all", beyond: true, within: false, take: "nearest", otherwise: "farthest" },
  hardest: { positives: "all", beyond: false, within: true, take: "nearest" },
  "batch-hard": { positives: "farthest", beyond: false, within: false, take: "nearest" },
  "easy-positive": { positives: "nearest", beyond: true, within: false, take: "nearest" },
  uniform: { positives: "all", beyond: false, within: false, take: "random" },
};

/** Squared distances between `n` rows of `size` numbers, n × n. */
export function distanceMatrix(rows, n, size, distances = new Float64Array(n * n)) {
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) {
      let total = 0;
      for (let k = 0; k < size; k++) total += (rows[i * size + k] - rows[j * size + k]) ** 2;
      distances[i * n + j] = distances[j * n + i] = total;
    }
    distances[i * n + i] = 0;
  }
  return distances;
}

/** A list of numbers that grows, and keeps its memory when it is cleared. */
export class NumberList {
  constructor() {
    this.numbers = new Int32Array(1024);
    this.length = 0;
  }

  clear() {
    this.length = 0;
    return this;
  }

  add(first, second, third = -1) {
    if (this.length + 3 > this.numbers.length) {
      const grown = new Int32Array(2 * this.numbers.length);
      grown.set(this.numbers);
      this.numbers = grown;
    }
    this.numbers[this.length++] = first;
    this.numbers[this.length++] = second;
    if (third >= 0) this.numbers[this.length++] = third;
  }

  all() {
    return this.numbers.subarray(0, this.length);
  }
}

/** Selects triplets into `list`. */
export function listTriplets(name, distances, labels, margin, random, list = new NumberList()) {
  if (!Object.hasOwn(RULES, name)) throw new Error(`unknown triplet selector ${name}; there are ${TRIPLET_SELECTORS.join(", ")}`);
  const rule = RULES[name];
  const n = labels.length;
  const positives = new Int32Array(n);
  const negatives = new Int32Array(n);
  for (let anchor = 0; anchor < n; anchor++) {
    const fromAnchor = distances.subarray(anchor * n, (anchor + 1) * n);
    const [nPositives, nNegatives] = others(labels, anchor, positives, negatives);
    if (!nNegatives) continue;
    if (rule.positives === "all") {
      for (let i = 0; i < nPositives; i++) addTriplets(rule, fromAnchor, anchor, positives[i], negatives, nNegatives, margin, random, list);
    } else if (nPositives) {
      const positive = extreme(rule.positives, fromAnchor, positives, nPositives);
      addTriplets(rule, fromAnchor, anchor, positive, negatives, nNegatives, margin, random, list);
    }
  }
  return list.all();
}

const eligible = [];

function addTriplets(rule, fromAnchor, anchor, positive, negatives, nNegatives, margin, random, list) {
  const least = rule.beyond ? fromAnchor[positive] : -1;
  const reach = rule.within ? fromAnchor[positive] + margin : Infinity;
  let count = 0;
  for (let i = 0; i < nNegatives; i++) {
    const negative = negatives[i];
    if (fromAnchor[negative] > least && fromAnchor[negative] < reach) eligible[count++] = negative;
  }
  if (rule.take === "all") {
    for (let i = 0; i < count; i++) list.add(anchor, positive, eligible[i]);
  } else if (count) {
    const chosen = rule.take === "random" ? eligible[Math.floor(random() * count)] : extreme(rule.take, fromAnchor, eligible, count);
    list.add(anchor, positive, chosen);
  } else if (rule.otherwise) {
    list.add(anchor, positive, extreme(rule.otherwise, fromAnchor, negatives, nNegatives));
  }
}

/** The nearest or the farthest of `count` images, the first of several. */
function extreme(which, distances, images, count) {
  const sign = which === "nearest" ? 1 : -1;
  let best = images[0];
  for (let i = 1; i < count; i++) {
    if (sign * distances[images[i]] < sign * distances[best]) best = images[i];
  }
  return best;
}

function others(labels, image, positives, negatives) {
  let [nPositives, nNegatives] = [0, 0];
  for (let other = 0; other < labels.length; other++) {
    if (labels[other] !== labels[image]) negatives[nNegatives++] = other;
    else if (other !== image) positives[nPositives++] = other;
  }
  return [nPositives, nNegatives];
}

/** Selects positive and negative pairs into `lists`. */
export function listPairs(name, distances, labels, random, lists = { positive: new NumberList(), negative: new NumberList() }) {
  const { positive, negative } = lists;
  if (name === "batch-hard") hardestOfEach(distances, labels, positive, negative);
  else if (name === "all" || name === "hard") {
    const n = labels.length;
    const cells = new NumberList();
    for (let i = 0; i < n; i++) {
      for (let j = i + 1; j < n; j++) (labels[i] === labels[j] ? positive : cells).add(i, j);
    }
    const count = Math.min(positive.length, cells.length) / 2;
    if (name === "all") drawPairs(cells.all(), count, random, negative);
    else nearestPairs(cells.all(), count, distances, n, negative);
  } else throw new Error(`unknown pair selector ${name}; there are ${PAIR_SELECTORS.join(", ")}`);
  return { positive: positive.all(), negative: negative.all() };
}

/** Draws `count` different pairs, all of them if there are no more. */
function drawPairs(pairs, count, random, list) {
  const nPairs = pairs.length / 2;
  for (let place = 0; place < count; place++) {
    const other = nPairs > count ? place + Math.floor(random() * (nPairs - place)) : place;
    const [i, j] = [pairs[2 * other], pairs[2 * other + 1]];
    pairs[2 * other] = pairs[2 * place];
    pairs[2 * other + 1] = pairs[2 * place + 1];
    list.add(i, j);
  }
}

/** The `count` nearest pairs: all that are nearer than the last of them, and as many as fit of those equally near. */
function nearestPairs(pairs, count, distances, n, list) {
  if (!count) return;
  const lengths = new Float64Array(pairs.length / 2);
  for (let pair = 0; pair < lengths.length; pair++) lengths[pair] = distances[pairs[2 * pair] * n + pairs[2 * pair + 1]];
  const sorted = lengths.toSorted();
  const last = sorted[count - 1];
  let left = count - sorted.indexOf(last);
  for (let pair = 0; pair < lengths.length; pair++) {
    if (lengths[pair] < last || (lengths[pair] === last && left-- > 0)) list.add(pairs[2 * pair], pairs[2 * pair + 1]);
  }
}

/** Of each image its farthest positive and its nearest negative; a pair that both of its images choose is listed once. */
function hardestOfEach(distances, labels, positive, negative) {
  const n = labels.length;
  const chosen = new Int32Array(2 * n).fill(-1); // of each image its positive, then its negative
  const [positives, negatives] = [new Int32Array(n), new Int32Array(n)];
  for (let image = 0; image < n; image++) {
    const fromImage = distances.subarray(image * n, (image + 1) * n);
    const [nPositives, nNegatives] = others(labels, image, positives, negatives);
    if (nPositives) chosen[image] = extreme("farthest", fromImage, positives, nPositives);
    if (nNegatives) chosen[n + image] = extreme("nearest", fromImage, negatives, nNegatives);
  }
  for (const [list, first] of [[positive, 0], [negative, n]]) {
    for (let image = 0; image < n; image++) {
      const other = chosen[first + image];
      if (other < 0 || (other < image && chosen[first + other] === image)) continue;
      list.add(Math.min(image, other), Math.max(image, other));
    }
  }
}
