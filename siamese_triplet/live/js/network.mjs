// `EmbeddingNet` and smaller ones of its kind, forward and backward, with weights in and out in PyTorch's order.

import { Convolution, inTiles, Linear, scaleBackward, scaleToUnitLength, TILE } from "./layers.mjs";

export const NETWORKS = {
  "8-16-64-64-2": { channels: [8, 16], units: [64, 64], dimensions: 2 },
  "32-64-256-256-2": { channels: [32, 64], units: [256, 256], dimensions: 2 },
};

const FIRST_SLOPE = 0.25; // of a PReLU
const TAPS = 25;

/** A network planned in `space` for batches of `batch` images; with `nClasses` it has the head of `ClassificationNet`. */
export class Network {
  constructor(space, weights, { network, side, unitSphere = false, nClasses = 0, batch }) {
    if (!Object.hasOwn(NETWORKS, network)) throw new Error(`unknown network ${network}; there are ${Object.keys(NETWORKS).join(", ")}`);
    const { channels, units, dimensions } = NETWORKS[network];
    Object.assign(this, { side, unitSphere, dimensions, weights });
    this.input = space.take(batch * side * side);
    const first = new Convolution(space, weights, { side, nIn: 1, nOut: channels[0], isFirst: true, batch });
    const second = new Convolution(space, weights, { side: first.wide / 2, nIn: channels[0], nOut: channels[1], isFirst: false, batch });
    this.convolutions = [first, second];
    this.pixels = (second.wide / 2) ** 2; // of the last maps
    const sizes = [this.pixels * channels[1], ...units, dimensions];
    this.linear = units.map((_, i) => i).concat(units.length).map((i) => new Linear(space, weights, { nIn: sizes[i], nOut: sizes[i + 1], activates: i > 0, batch }));
    this.last = this.linear.at(-1);
    this.scaled = unitSphere ? space.take(batch * TILE) : 0;
    this.lengths = new Float64Array(unitSphere ? batch : 0);
    this.head = nClasses ? new Linear(space, weights, { nIn: dimensions, nOut: nClasses, activates: true, batch }) : null;
    this.top = this.head ?? this.last; // whose gradient the loss gives
    this.embedded = this.head ? this.head.active : this.unitSphere ? this.scaled : this.last.output; // rows of TILE numbers
    this.tensors = tensorsOf(this);
    this.places = Int32Array.from(this.tensors.flatMap(({ places }) => places));
  }

  forward(kernel, store, n) {
    const [first, second] = this.convolutions;
    first.forward(kernel, store, this.input, n);
    second.forward(kernel, store, first.output, n);
    this.linear.reduce((input, layer) => (layer.forward(kernel, store, input, n), layer.output), second.output);
    if (this.unitSphere) scaleToUnitLength(kernel.floats, this.last.output >> 2, this.scaled >> 2, n, this.lengths);
    this.head?.forward(kernel, store, this.beforeHead(), n);
  }

  /** Computes all gradients of weights from the gradient of the top layer's output. */
  backward(kernel, store, n) {
    const { floats } = kernel;
    const [first, second] = this.convolutions;
    floats.fill(0, store.gradients >> 2, (store.gradients >> 2) + this.weights.n());
    this.head?.backward(kernel, store, this.beforeHead(), n, this.last.gradient);
    if (this.unitSphere) scaleBackward(floats, this.scaled >> 2, this.last.gradient >> 2, n, this.lengths);
    for (let i = this.linear.length - 1; i >= 0; i--) {
      const below = i ? this.linear[i - 1] : second;
      this.linear[i].backward(kernel, store, below.output, n, below.gradient);
    }
    second.transpose(kernel, store);
    for (const layer of this.convolutions) layer.slopeSum = 0;
    const bytes = second.wide ** 2 * second.nOut; // a quarter of the numbers, 4 bytes each
    for (let image = 0; image < n; image++) {
      second.backward(kernel, store, first.output, image, second.gradient + image * bytes);
      first.backward(kernel, store, this.input, image, second.ofInput);
    }
    for (const layer of this.convolutions) floats[(store.gradients + layer.slope) >> 2] = layer.slopeSum;
  }

  beforeHead() {
    return this.unitSphere ? this.scaled : this.last.output;
  }

  /** Copies the embeddings of the last `n` images: n × dimensions. */
  embeddings({ floats }, n, into = new Float32Array(n * this.dimensions), start = 0) {
    for (let row = 0; row < n; row++) {
      for (let i = 0; i < this.dimensions; i++) into[(start + row) * this.dimensions + i] = floats[(this.embedded >> 2) + row * TILE + i];
    }
    return into;
  }

  /** Draws weights as PyTorch does by default: uniform up to 1/√(inputs of a unit), and slopes of 0.25. */
  initialise({ floats }, { values }, random) {
    for (const { places, fan } of this.tensors) {
      for (const place of places) floats[(values >> 2) + place] = fan ? (2 * random() - 1) / Math.sqrt(fan) : FIRST_SLOPE;
    }
  }

  /** Copies weights, or gradients, from `address` in the order of PyTorch's parameters. */
  read({ floats }, address) {
    return Float32Array.from(this.places, (place) => floats[(address >> 2) + place]);
  }

  write({ floats }, address, numbers) {
    if (numbers.length !== this.places.length) throw new Error(`this network has ${this.places.length} weights, got ${numbers.length}`);
    this.places.forEach((place, i) => (floats[(address >> 2) + place] = numbers[i]));
  }
}

/** The tensors of a network in PyTorch's order: where their numbers lie among the weights, and the inputs of a unit. */
function tensorsOf({ convolutions, linear, head, pixels }) {
  const at = (offset, places) => places.map((place) => offset / 4 + place);
  const numbers = (n) => Array.from({ length: n }, (_, i) => i);
  const ofConvolution = ({ weight, bias, slope, nIn, nOut, nRows }) => {
    const place = (i) => inTiles((i % TAPS) * nIn + (Math.floor(i / TAPS) % nIn), Math.floor(i / nRows), nRows);
    return [
      { fan: nRows, places: at(weight, numbers(nOut * nRows).map(place)) },
      { fan: nRows, places: at(bias, numbers(nOut)) },
      { fan: 0, places: at(slope, [0]) },
    ];
  };
  const ofLinear = ({ weight, bias, slope, activates, nIn, nOut, nRows }, rowOf) => [
    ...(activates ? [{ fan: 0, places: at(slope, [0]) }] : []),
    { fan: nIn, places: at(weight, numbers(nOut * nIn).map((i) => inTiles(rowOf(i % nIn), Math.floor(i / nIn), nRows))) },
    { fan: nIn, places: at(bias, numbers(nOut)) },
  ];
  const nMaps = convolutions.at(-1).nOut;
  const fromMaps = (input) => (input % pixels) * nMaps + Math.floor(input / pixels); // PyTorch has map after map
  const layers = head ? [...linear, head] : linear;
  return [...convolutions.flatMap(ofConvolution), ...layers.flatMap((layer, i) => ofLinear(layer, i ? (row) => row : fromMaps))];
}
