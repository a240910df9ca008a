// Decoders of what `live/training.py` packs: images with their labels, and weights.

/** Promises the `data` of training_worker, decoded from {images, levels, labels, n: {train, shown, others}, nClasses, …}. */
export function decodeImages({ images, levels, labels, n, ...about }) {
  return inflate(bytesOf(images)).then((numbers) => {
    const greys = Uint8Array.from({ length: levels }, (_, level) => Math.round((level * 255) / (levels - 1)));
    const pixels = numbers.map((level) => greys[level]);
    const [classes, size] = [bytesOf(labels), about.height * about.width];
    let to = 0;
    const parts = Object.entries(n).map(([part, count]) => {
      const from = to;
      to += count;
      return [part, { images: pixels.slice(from * size, to * size), labels: classes.slice(from, to) }];
    });
    return { ...Object.fromEntries(parts), ...about };
  });
}

/** Promises weights, decoded from 16-bit floats: all higher bytes, then all lower ones, compressed, in base64. */
export function decodeWeights(text) {
  return inflate(bytesOf(text)).then((planes) => {
    const n = planes.length / 2;
    return Float32Array.from({ length: n }, (_, i) => floatOf((planes[i] << 8) | planes[n + i]));
  });
}

function floatOf(bits) {
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
  const size = exponent ? 2 ** (exponent - 25) * (1024 + fraction) : 2 ** -24 * fraction;
  return bits >> 15 ? -size : size;
}

function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer().then((buffer) => new Uint8Array(buffer));
}

function bytesOf(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}
