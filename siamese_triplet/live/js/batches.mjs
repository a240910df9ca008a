// Batches of training images, drawn at random: balanced over classes, pairs, triplets, or shuffled.
//
// A sampler is a function that returns {images, labels, pairs or triplets or neither}: numbers of images, their labels, and
// tuples of places in the batch.

/** Makes the sampler of a method. `random()` returns numbers in [0, 1). */
export function samplerOf({ method, nClasses, nSamples, batchSize }, labels, random) {
  const classes = imagesByClass(labels);
  if (classes.length < 2) throw new Error(`the training images have ${classes.length} classes; there must be two at least`);
  const withLabels = (images, tuples) => ({ images, labels: images.map((image) => labels[image]), ...tuples });
  if (method.startsWith("online")) {
    const draw = classes.map((images) => deck(images, nSamples, random));
    const drawClasses = deck([...classes.keys()], Math.min(nClasses, classes.length), random);
    return () => withLabels(drawClasses().flatMap((label) => draw[label]()));
  }
  const all = Array.from(labels.keys());
  const next = deck(all, Math.min(batchSize, all.length), random);
  const places = new Map(classes.flatMap((images, label) => images.map((image, rank) => [image, { label, rank }])));
  const positiveOf = (image) => otherOfClass(classes, places.get(image), random);
  const negativeOf = (image) => ofAnotherClass(classes, places.get(image).label, all.length, random);
  if (method === "softmax") return () => withLabels(next());
  if (method === "siamese") return () => pairBatch(next(), positiveOf, negativeOf, random, withLabels);
  if (method === "triplet") return () => tripletBatch(next(), positiveOf, negativeOf, withLabels);
  throw new Error(`unknown method ${method}; there are softmax, siamese, triplet, online-contrastive, online-triplet`);
}

/** Each image with another of its class or, half of the time, with one of another class. */
function pairBatch(first, positiveOf, negativeOf, random, withLabels) {
  const n = first.length;
  const isPositive = first.map(() => random() < 0.5);
  const second = first.map((image, i) => (isPositive[i] ? positiveOf(image) : negativeOf(image)));
  const pairs = { positive: [], negative: [] };
  const batch = withLabels([...first, ...second]);
  first.forEach((_, i) => (batch.labels[i] === batch.labels[n + i] ? pairs.positive : pairs.negative).push(i, n + i));
  return { ...batch, pairs };
}

function tripletBatch(anchors, positiveOf, negativeOf, withLabels) {
  const n = anchors.length;
  const triplets = anchors.flatMap((_, i) => [i, n + i, 2 * n + i]);
  return withLabels([...anchors, ...anchors.map(positiveOf), ...anchors.map(negativeOf)], { triplets });
}

function imagesByClass(labels) {
  const classes = [];
  labels.forEach((label, image) => (classes[label] ??= []).push(image));
  return Array.from(classes, (images) => images ?? []).filter((images) => images.length > 0);
}

/** Another image of the class; the image itself where there is no other. */
function otherOfClass(classes, { label, rank }, random) {
  const images = classes[label];
  if (images.length < 2) return images[rank];
  const other = Math.floor(random() * (images.length - 1));
  return images[other + (other >= rank ? 1 : 0)];
}

function ofAnotherClass(classes, label, nImages, random) {
  let place = Math.floor(random() * (nImages - classes[label].length));
  for (let other = 0; ; other++) {
    if (other === label) continue;
    if (place < classes[other].length) return classes[other][place];
    place -= classes[other].length;
  }
}

/** A shuffled deck that is shuffled again when it runs short, as in `samplers.py`: returns a function that deals `n` cards. */
function deck(cards, n, random) {
  const nWhole = Math.floor((n - 1) / cards.length);
  const nRest = n - nWhole * cards.length;
  let rest = shuffled(cards, random);
  return () => {
    const whole = Array.from({ length: nWhole }, () => shuffled(cards, random)).flat();
    const hand = rest.slice(0, nRest);
    rest = rest.slice(nRest);
    if (hand.length < nRest) {
      const next = shuffled(cards, random);
      const held = new Set(hand);
      const others = next.filter((card) => !held.has(card));
      const missing = nRest - hand.length;
      hand.push(...others.slice(0, missing));
      rest = shuffled([...others.slice(missing), ...next.filter((card) => held.has(card))], random);
    }
    return [...whole, ...hand];
  };
}

function shuffled(items, random) {
  const order = [...items];
  for (let place = order.length - 1; place > 0; place--) {
    const other = Math.floor(random() * (place + 1));
    [order[place], order[other]] = [order[other], order[place]];
  }
  return order;
}
