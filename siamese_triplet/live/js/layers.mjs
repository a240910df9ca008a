// Layers of a network with their gradients, over one kernel and its memory.
//
// Images are height × width × channels, matrices row by row. Weights lie in tiles of 8 columns: column n of row k of a
// matrix of K rows is number ((n >> 3) · K + k) · 8 + (n & 7), the order in which the kernel reads them. So numbers of
// columns are multiples of 8; a layer with fewer outputs has columns of zeros, which stay zero. Everything is planned
// before there is a memory: `space.take(n)` gives an address, `space.table(n, offset)` that of a table of row offsets.

export const TILE = 8;

const SIZE = 5; // of the convolutions
const BYTES = 4;
const COLUMN = TILE * BYTES; // from a row of a tile to the next

export function paddedTo(n) {
  return Math.ceil(n / TILE) * TILE;
}

/** The place of weight (row, column) in tiles. */
export function inTiles(row, column, nRows) {
  return ((column >> 3) * nRows + row) * TILE + (column & 7);
}

/** Convolution 5 × 5 without padding, PReLU and 2 × 2 max pooling. `isFirst`: nothing needs the gradient of its input. */
export class Convolution {
  constructor(space, weights, { side, nIn, nOut, isFirst, batch }) {
    const wide = side - SIZE + 1;
    if (wide % 2 || nOut % TILE || (!isFirst && nIn % TILE)) {
      throw new Error(`a convolution of ${side} × ${side} × ${nIn} to ${nOut} channels: the side must be even, channels a multiple of 8`);
    }
    Object.assign(this, { side, nIn, nOut, isFirst, wide, nRows: SIZE * SIZE * nIn });
    const pixel = (place) => Math.floor(place / wide) * side + (place % wide);
    const weightAt = (row) => Math.floor(row / (SIZE * nIn)) * side * nIn + (row % (SIZE * nIn));
    this.patches = space.table(wide * wide, (place) => pixel(place) * nIn);
    this.pixels = space.table(wide * wide, (place) => place * nOut);
    this.patchRows = space.table(this.nRows, weightAt);
    this.weightRows = space.table(this.nRows, (row) => row * TILE);
    this.weight = weights.take(this.nRows * nOut);
    this.bias = weights.take(nOut);
    this.slope = weights.take(1);
    this.before = space.take(batch * wide * wide * nOut); // of the PReLU; in the backward pass its gradient
    this.output = space.take((batch * wide * wide * nOut) / 4);
    this.gradient = space.take((batch * wide * wide * nOut) / 4);
    this.transposed = isFirst ? 0 : space.take(this.nRows * nOut);
    this.ofInput = isFirst ? 0 : space.take(side * side * nIn); // the gradient of the input, one image's
  }

  forward({ floats, product, poolForward }, { values }, input, n) {
    const { side, nIn, nOut, wide, nRows } = this;
    const slope = floats[(values + this.slope) >> 2];
    for (let image = 0; image < n; image++) {
      const from = input + image * side * side * nIn * BYTES;
      const to = this.before + image * wide * wide * nOut * BYTES;
      product(wide * wide, nOut / TILE, from, this.patches, SIZE, (side - SIZE) * nIn * BYTES, SIZE * nIn, BYTES,
        values + this.weight, COLUMN, nRows * COLUMN, to, this.pixels, COLUMN, values + this.bias); // prettier-ignore
      poolForward(to, wide, wide, nOut, slope, this.output + (image * wide * wide * nOut * BYTES) / 4);
    }
  }

  /** Prepares the backward pass of a batch: weights (tap, input, output) become (tap, output, input), in tiles. */
  transpose({ floats }, { values }) {
    if (this.isFirst) return;
    const [from, to, taps] = [(values + this.weight) >> 2, this.transposed >> 2, SIZE * SIZE];
    for (let tap = 0; tap < taps; tap++) {
      const place = to + tap * this.nIn * this.nOut;
      for (let input = 0; input < this.nIn; input++) {
        for (let output = 0; output < this.nOut; output++) {
          floats[place + inTiles(output, input, this.nOut)] = floats[from + inTiles(tap * this.nIn + input, output, this.nRows)];
        }
      }
    }
  }

  /** Adds one image's gradients to those of the weights, and sets `ofInput`. */
  backward({ floats, product, poolBackward }, { values, gradients }, input, image, gradient) {
    const { side, nIn, nOut, wide, nRows } = this;
    const from = input + image * side * side * nIn * BYTES;
    const inner = this.before + image * wide * wide * nOut * BYTES;
    const slope = floats[(values + this.slope) >> 2];
    this.slopeSum += poolBackward(inner, wide, wide, nOut, slope, gradient, gradients + this.bias);
    product(nRows, nOut / TILE, from, this.patchRows, wide, (side - wide) * nIn * BYTES, wide, nIn * BYTES,
      inner, nOut * BYTES, COLUMN, gradients + this.weight, this.weightRows, nRows * COLUMN, 0); // prettier-ignore
    if (this.isFirst) return;
    floats.fill(0, this.ofInput >> 2, (this.ofInput >> 2) + side * side * nIn);
    for (let tap = 0; tap < SIZE * SIZE; tap++) {
      const shift = (Math.floor(tap / SIZE) * side + (tap % SIZE)) * nIn * BYTES;
      product(wide * wide, nIn / TILE, inner, this.pixels, 1, 0, nOut, BYTES,
        this.transposed + tap * nIn * nOut * BYTES, COLUMN, nOut * COLUMN, this.ofInput + shift, this.patches, COLUMN, 0); // prettier-ignore
    }
  }
}

/** A linear layer, with a PReLU before it where `activates`: batch × nIn to batch × nOut, both padded. */
export class Linear {
  constructor(space, weights, { nIn, nOut, activates, batch }) {
    const [n, m] = [paddedTo(nIn), paddedTo(nOut)];
    Object.assign(this, { nIn, nOut, nRows: n, nColumns: m, activates });
    this.slope = activates ? weights.take(1) : -1;
    this.weight = weights.take(n * m);
    this.bias = weights.take(m);
    this.inputRows = space.table(batch, (row) => row * n);
    this.outputRows = space.table(batch, (row) => row * m);
    this.inputColumns = space.table(n, (column) => column);
    this.weightRows = space.table(n, (row) => row * TILE);
    this.active = activates ? space.take(batch * n) : 0;
    this.output = space.take(batch * m);
    this.gradient = space.take(batch * m);
    this.transposed = space.take(n * m);
    this.zeros = space.take(n);
  }

  forward({ floats, product }, { values }, input, n) {
    const { nRows, nColumns } = this;
    if (this.activates) prelu(floats, input >> 2, this.active >> 2, n * nRows, floats[(values + this.slope) >> 2]);
    product(n, nColumns / TILE, this.activates ? this.active : input, this.inputRows, 1, 0, nRows, BYTES,
      values + this.weight, COLUMN, nRows * COLUMN, this.output, this.outputRows, COLUMN, values + this.bias); // prettier-ignore
  }

  /** Adds a batch's gradients to those of the weights, and stores the gradient of the input at `ofInput`. */
  backward({ floats, product }, { values, gradients }, input, n, ofInput) {
    const { nRows, nColumns } = this;
    addColumns(floats, this.gradient >> 2, n, nColumns, (gradients + this.bias) >> 2);
    product(nRows, nColumns / TILE, this.activates ? this.active : input, this.inputColumns, 1, 0, n, nRows * BYTES,
      this.gradient, nColumns * BYTES, COLUMN, gradients + this.weight, this.weightRows, nRows * COLUMN, 0); // prettier-ignore
    this.transpose(floats, (values + this.weight) >> 2);
    product(n, nRows / TILE, this.gradient, this.outputRows, 1, 0, nColumns, BYTES,
      this.transposed, COLUMN, nColumns * COLUMN, ofInput, this.inputRows, COLUMN, this.zeros); // prettier-ignore
    if (!this.activates) return;
    const slope = floats[(values + this.slope) >> 2];
    floats[(gradients + this.slope) >> 2] += preluBackward(floats, input >> 2, ofInput >> 2, n * nRows, slope);
  }

  transpose(floats, from) {
    const to = this.transposed >> 2;
    for (let column = 0; column < this.nColumns; column++) {
      for (let row = 0; row < this.nRows; row++) {
        floats[to + inTiles(column, row, this.nColumns)] = floats[from + inTiles(row, column, this.nRows)];
      }
    }
  }
}

function prelu(floats, from, to, n, slope) {
  for (let i = 0; i < n; i++) floats[to + i] = floats[from + i] > 0 ? floats[from + i] : slope * floats[from + i];
}

function preluBackward(floats, before, gradient, n, slope) {
  let ofSlope = 0;
  for (let i = 0; i < n; i++) {
    if (floats[before + i] > 0) continue;
    ofSlope += floats[gradient + i] * floats[before + i];
    floats[gradient + i] *= slope;
  }
  return ofSlope;
}

function addColumns(floats, from, n, nColumns, to) {
  for (let row = 0; row < n; row++) {
    for (let column = 0; column < nColumns; column++) floats[to + column] += floats[from + row * nColumns + column];
  }
}

/** Scales `n` rows to length 1; zero stays zero. Keeps the lengths, 1 for zero, in `lengths`. */
export function scaleToUnitLength(floats, from, to, n, lengths) {
  for (let row = 0; row < n; row++) {
    const at = row * TILE;
    let squared = 0;
    for (let i = 0; i < TILE; i++) squared += floats[from + at + i] ** 2;
    lengths[row] = Math.sqrt(squared) || 1;
    for (let i = 0; i < TILE; i++) floats[to + at + i] = floats[from + at + i] / lengths[row];
  }
}

/** Turns the gradients of rows of length 1 into those of the rows before scaling. */
export function scaleBackward(floats, rows, gradient, n, lengths) {
  for (let row = 0; row < n; row++) {
    const at = row * TILE;
    let along = 0;
    for (let i = 0; i < TILE; i++) along += floats[rows + at + i] * floats[gradient + at + i];
    for (let i = 0; i < TILE; i++) floats[gradient + at + i] = (floats[gradient + at + i] - along * floats[rows + at + i]) / lengths[row];
  }
}
