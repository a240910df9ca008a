// Compares the kernels of training in the page with plain loops in float64: node kernel_checks.mjs JS.
// Prints "kernels: …", those that were compared, and then what differs by more than 1e-5, a line each.

import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { setFlagsFromString } from "node:v8";

setFlagsFromString("--experimental-wasm-relaxed-simd"); // Node 20 needs it
const load = (name) => import(pathToFileURL(join(resolve(process.argv[2]), `${name}.mjs`)));
const { kernelsHere, makeKernel } = await load("kernels");
const { generator } = await load("random");

const TOLERANCE = 1e-5;
const SIZE = 1 << 20; // bytes
const [A, B, C, BIAS, A_ROWS, C_ROWS] = [64, 200_000, 400_000, 600_000, 700_000, 800_000]; // addresses
const kernels = kernelsHere().map((name) => makeKernel(name, SIZE));
console.log(`kernels: ${kernels.map(({ name }) => name).join(" ")}`);

function check(what, found, expected) {
  const most = expected.reduce((before, number) => Math.max(before, Math.abs(number)), 1e-30);
  const apart = expected.reduce((before, number, i) => Math.max(before, Math.abs(number - found[i])), 0);
  if (!(apart <= TOLERANCE * most)) console.log(`${what}: ${apart / most}`);
}

function filled(n, random) {
  return Float32Array.from({ length: n }, () => 2 * random() - 1);
}

/** One product of m × k and k × 8 · tiles, of which `steps` says how A lies in memory. */
function checkProduct(what, { m, tiles, aRow, outer, outerStep, inner, innerStep, adds }, random) {
  const [k, n] = [outer * inner, 8 * tiles];
  const [a, b, c, bias] = [filled(20_000, random), filled(k * n, random), filled(m * n, random), filled(n, random)];
  const expected = new Float64Array(m * n);
  for (let row = 0; row < m; row++) {
    for (let column = 0; column < n; column++) {
      let sum = adds ? c[row * n + column] : bias[column];
      for (let i = 0; i < k; i++) {
        const place = aRow(row) + Math.floor(i / inner) * (inner * innerStep + outerStep) + (i % inner) * innerStep;
        sum += a[place] * b[i * n + column];
      }
      expected[row * n + column] = sum;
    }
  }
  for (const { name, floats, integers, product } of kernels) {
    floats.set(a, A / 4);
    floats.set(c, C / 4);
    floats.set(bias, BIAS / 4);
    for (let i = 0; i < k; i++) {
      for (let column = 0; column < n; column++) floats[B / 4 + ((column >> 3) * k + i) * 8 + (column & 7)] = b[i * n + column];
    }
    for (let row = 0; row < m; row++) [integers[A_ROWS / 4 + row], integers[C_ROWS / 4 + row]] = [4 * aRow(row), 4 * n * row];
    product(m, tiles, A, A_ROWS, outer, 4 * outerStep, inner, 4 * innerStep, B, 32, 32 * k, C, C_ROWS, 32, adds ? 0 : BIAS);
    check(`${name}: ${what}`, floats.subarray(C / 4, C / 4 + m * n), expected);
  }
}

function checkPooling(slope, numberOf, what) {
  const [height, width, channels] = [6, 8, 12];
  const x = Float32Array.from({ length: height * width * channels }, numberOf);
  const gradient = Float32Array.from({ length: x.length / 4 }, (_, i) => Math.sin(i));
  const [y, dx, bias] = [new Float64Array(gradient.length), new Float64Array(x.length), new Float64Array(channels)];
  let ofSlope = 0;
  for (let place = 0; place < y.length; place++) {
    const channel = place % channels;
    const [row, column] = [Math.floor(place / channels / (width / 2)), Math.floor(place / channels) % (width / 2)];
    const four = [0, 1, 2, 3].map((i) => ((2 * row + (i >> 1)) * width + 2 * column + (i & 1)) * channels + channel);
    const active = four.map((i) => Math.fround(x[i] > 0 ? x[i] : Math.fround(slope) * x[i]));
    const best = four[active.indexOf(Math.max(...active))]; // the first of equal ones
    y[place] = Math.max(...active);
    dx[best] = gradient[place] * (x[best] > 0 ? 1 : slope);
    bias[channel] += dx[best];
    if (x[best] < 0) ofSlope += gradient[place] * x[best];
  }
  for (const { name, floats, poolForward, poolBackward } of kernels) {
    floats.set(x, A / 4);
    floats.set(gradient, B / 4);
    floats.fill(0, BIAS / 4, BIAS / 4 + channels);
    poolForward(A, height, width, channels, slope, C);
    check(`${name}: pooling, ${what}, slope ${slope}`, floats.subarray(C / 4, C / 4 + y.length), y);
    const found = poolBackward(A, height, width, channels, slope, B, BIAS);
    check(`${name}: gradient of pooling, ${what}, slope ${slope}`, floats.subarray(A / 4, A / 4 + x.length), dx);
    check(`${name}: gradient of bias, ${what}, slope ${slope}`, floats.subarray(BIAS / 4, BIAS / 4 + channels), bias);
    check(`${name}: gradient of slope, ${what}, slope ${slope}`, [found], [ofSlope]);
  }
}

const random = generator(1);
for (const [m, k, tiles] of [[1, 1, 1], [4, 7, 1], [5, 16, 2], [6, 3, 3], [7, 40, 2], [160, 64, 1]]) {
  for (const adds of [false, true]) {
    const sizes = `${m} × ${k} × ${8 * tiles}${adds ? ", added" : ""}`;
    const shape = { m, tiles, outer: 1, outerStep: 0, inner: k, adds };
    checkProduct(`A · B, ${sizes}`, { ...shape, aRow: (row) => row * k, innerStep: 1 }, random);
    checkProduct(`Aᵀ · B, ${sizes}`, { ...shape, aRow: (row) => row, innerStep: m }, random);
  }
}
const patches = { m: 9, tiles: 2, aRow: (row) => (Math.floor(row / 3) * 7 + (row % 3)) * 2, outer: 5, outerStep: 4, inner: 10, innerStep: 1 };
checkProduct("patches of an image", { ...patches, adds: false }, random);
checkProduct("patches of an image, added", { ...patches, adds: true }, random);
for (const slope of [0.25, -0.5, 0, 1.5]) {
  checkPooling(slope, () => 2 * random() - 1, "random numbers");
  checkPooling(slope, () => Math.floor(random() * 3) - 1, "equal numbers");
}
