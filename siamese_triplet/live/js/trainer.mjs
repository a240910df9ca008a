// One run of training: a network, its batches, its loss and Adam. The same seed and settings give the same run.

import { adamStep } from "./adam.mjs";
import { samplerOf } from "./batches.mjs";
import { collapsedLoss, collapseWatch, spread } from "./diagnostics.mjs";
import { kernelsHere, makeKernel, plan } from "./kernels.mjs";
import { TILE } from "./layers.mjs";
import { pairLoss, rowGradients, softmaxLoss, tripletLoss } from "./losses.mjs";
import { Network } from "./network.mjs";
import { generator } from "./random.mjs";
import { batchImages, completeSettings } from "./settings.mjs";
import { distanceMatrix, listPairs, listTriplets, NumberList } from "./tuples.mjs";

export const GALLERY = 1000; // training images among which neighbours are sought
export const NEIGHBOURS = 5;

const CHUNK = 50; // images embedded at once
const WINDOW = 25; // steps whose mean loss and spread tell a collapse

export class Trainer {
  /** `data` is {train, nClasses, mean, std, height, width}, see training_worker; `kernel` the name of one, by default the best. */
  constructor(settings, data, kernel = kernelsHere()[0]) {
    this.settings = completeSettings(settings);
    this.data = data;
    const { method, network, unitSphere } = this.settings;
    if (data.height !== data.width) throw new Error(`images of ${data.height} × ${data.width}: they must be square`);
    const largest = batchImages(this.settings);
    const batch = Math.max(largest, CHUNK);
    const [space, weights] = planTables();
    const head = method === "softmax" ? data.nClasses : 0;
    this.network = new Network(space, weights, { network, side: data.height, unitSphere, nClasses: head, batch });
    this.nClasses = data.nClasses;
    this.store = Object.fromEntries(["values", "gradients", "first", "second"].map((name) => [name, space.take(weights.n())]));
    this.kernel = makeKernel(kernel, space.size());
    space.fill(this.kernel.integers);
    this.greys = Float32Array.from({ length: 256 }, (_, grey) => (grey / 255 - data.mean) / data.std);
    this.distances = new Float64Array(largest ** 2);
    this.weights = new Float64Array(largest ** 2);
    this.rows = new Float32Array(largest * this.network.dimensions);
    this.lists = { triplets: new NumberList(), positive: new NumberList(), negative: new NumberList() };
    this.reset();
  }

  reset(seed = this.settings.seed) {
    this.settings.seed = seed;
    this.network.initialise(this.kernel, this.store, generator(3 * seed));
    this.nextBatch = samplerOf(this.settings, this.data.train.labels, generator(3 * seed + 1));
    this.random = generator(3 * seed + 2);
    this.restart();
  }

  /** Begins to count anew, with the weights that there are. */
  restart() {
    const { first, second } = this.store;
    const n = this.network.weights.n();
    for (const address of [first, second]) this.kernel.floats.fill(0, address >> 2, (address >> 2) + n);
    this.count = 0;
    this.watch = collapseWatch(WINDOW);
    this.pointLoss = collapsedLoss(this.settings);
  }

  set(changes) {
    for (const name of Object.keys(changes)) {
      if (name !== "learningRate" && name !== "margin") throw new Error(`${name} cannot be changed while training; only learningRate and margin can`);
    }
    this.settings = completeSettings({ ...this.settings, ...changes });
    this.pointLoss = collapsedLoss(this.settings);
  }

  /** Trains on one batch: {loss, selected, active, spread, collapse}, collapse null or once {loss, first, now}. */
  step(batch = this.nextBatch()) {
    const { network, kernel, store } = this;
    const result = this.gradients(batch);
    if (!Number.isFinite(result.loss + result.spread)) {
      throw new Error(`numbers beyond all bounds at step ${this.count + 1}: the run has diverged; lower the learning rate`);
    }
    this.count++;
    adamStep(kernel.floats, store, network.weights.n(), this.count, this.settings);
    return { ...result, collapse: this.watch(result.loss, result.spread, this.pointLoss) };
  }

  /** Computes the loss of a batch and the gradients of all weights. */
  gradients({ images, labels, pairs, triplets }) {
    const { network, kernel, store, rows } = this;
    const n = images.length;
    images.forEach((image, row) => this.show(this.data.train.images, image, row));
    network.forward(kernel, store, n);
    network.embeddings(kernel, n, rows);
    const top = network.top.gradient >> 2;
    kernel.floats.fill(0, top, top + n * network.top.nColumns);
    const found = network.head
      ? softmaxLoss(kernel.floats, network.head.output >> 2, top, network.head.nColumns, labels, this.nClasses)
      : this.distanceLoss(n, labels, pairs, triplets, top);
    network.backward(kernel, store, n);
    return { ...found, spread: spread(rows, n, network.dimensions) };
  }

  distanceLoss(n, labels, pairs, triplets, top) {
    const { distances, weights, rows, random } = this;
    const { method, selector, margin } = this.settings;
    const size = this.network.dimensions;
    const { triplets: list, positive, negative } = this.lists;
    for (const numbers of [list, positive, negative]) numbers.clear();
    distanceMatrix(rows, n, size, distances);
    weights.fill(0);
    if (method === "online-contrastive") pairs = listPairs(selector, distances.subarray(0, n * n), labels, random, { positive, negative });
    if (method === "online-triplet") triplets = listTriplets(selector, distances.subarray(0, n * n), labels, margin, random, list);
    this.tuples = pairs ?? triplets;
    const found = pairs
      ? pairLoss(distances, n, pairs, margin, weights)
      : tripletLoss(distances, n, triplets, margin, selector === "batch-all" ? "active" : "all", weights);
    rowGradients(rows, n, size, weights, this.kernel.floats, top, TILE);
    return found;
  }

  /** Embeds images, n × height × width numbers from 0 to 255: n × dimensions. */
  embed(images) {
    const pieces = this.embedding(images, 0, images.length / this.data.height ** 2);
    let piece = pieces.next();
    while (!piece.done) piece = pieces.next();
    return piece.value;
  }

  /** Embeds `n` images from number `first` on, yields after every chunk of them, and returns n × dimensions. */
  *embedding(images, first, n) {
    const { network, kernel, store } = this;
    const embeddings = new Float32Array(n * network.dimensions);
    for (let start = 0; start < n; start += CHUNK) {
      const count = Math.min(CHUNK, n - start);
      for (let row = 0; row < count; row++) this.show(images, first + start + row, row);
      network.forward(kernel, store, count);
      network.embeddings(kernel, count, embeddings, start);
      yield;
    }
    return embeddings;
  }

  /** The weights in PyTorch's order. */
  weightsNow() {
    return this.network.read(this.kernel, this.store.values);
  }

  load(weights) {
    this.network.write(this.kernel, this.store.values, weights);
    this.restart();
  }

  /** Normalises image `number` of `images` into row `row` of the network's input. */
  show(images, number, row) {
    const { greys, kernel, network, data } = this;
    const size = data.height ** 2;
    const to = (network.input >> 2) + row * size;
    const isWhole = images instanceof Uint8Array;
    for (let i = 0; i < size; i++) {
      const grey = images[number * size + i];
      kernel.floats[to + i] = isWhole ? greys[grey] : (grey / 255 - data.mean) / data.std;
    }
  }
}

/** A plan of the memory that also holds tables of offsets, and a plan of the weights, whose offsets begin at 0. */
function planTables() {
  const space = plan();
  const tables = [];
  let n = 0;
  const weights = {
    take(count) {
      const offset = 4 * n;
      n += TILE * Math.ceil(count / TILE);
      return offset;
    },
    n: () => n,
  };
  const table = (length, offsetOf) => {
    const address = space.take(length);
    tables.push({ address, length, offsetOf });
    return address;
  };
  const fill = (integers) => {
    for (const { address, length, offsetOf } of tables) {
      for (let row = 0; row < length; row++) integers[(address >> 2) + row] = 4 * offsetOf(row);
    }
  };
  return [{ ...space, table, fill }, weights];
}
