// The three kernels, the choice between them, and the memory in which all numbers of a run lie.

import { KERNELS } from "./kernel_bytes.mjs";
import { plainKernel } from "./plain.mjs";

export const KERNEL_NAMES = ["relaxed", "simd", "plain"]; // the fastest first

const PAGE = 65536;
const ALIGNMENT = 64;

/** The kernels that this browser runs, the fastest first. */
export function kernelsHere() {
  if (typeof WebAssembly === "undefined") return ["plain"];
  return KERNEL_NAMES.filter((name) => name === "plain" || WebAssembly.validate(bytesOf(name)));
}

/**
 * Makes a kernel with a memory of `size` bytes that never grows: {name, floats, integers, product, poolForward, poolBackward}.
 */
export function makeKernel(name, size) {
  if (!KERNEL_NAMES.includes(name)) throw new Error(`unknown kernel ${name}; there are ${KERNEL_NAMES.join(", ")}`);
  const pages = Math.ceil(size / PAGE);
  if (name === "plain") {
    const buffer = new ArrayBuffer(pages * PAGE);
    return { name, ...views(buffer), ...plainKernel(buffer) };
  }
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const instance = new WebAssembly.Instance(new WebAssembly.Module(bytesOf(name)), { page: { memory } });
  return { name, ...views(memory.buffer), ...instance.exports };
}

/** Plans a memory: take(n) returns the address of n numbers, a multiple of 64 bytes and never 0; `size()` is what is taken. */
export function plan() {
  let size = ALIGNMENT;
  return {
    take(n) {
      const address = size;
      size += Math.ceil((4 * n) / ALIGNMENT) * ALIGNMENT;
      return address;
    },
    size: () => size,
  };
}

function views(buffer) {
  return { floats: new Float32Array(buffer), integers: new Int32Array(buffer) };
}

function bytesOf(name) {
  return Uint8Array.from(atob(KERNELS[name]), (letter) => letter.charCodeAt(0));
}
