// Decoders of the data in the page: points and indices as 16-bit integers, and all images in one picture.

/** Decodes points [[x, y], …] from base64 of little-endian 16-bit integers, multiples of `unit`. */
export function decodePoints(text, unit) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Array.from({ length: bytes.length / 4 }, (_, i) => [view.getInt16(4 * i, true) * unit, view.getInt16(4 * i + 2, true) * unit]);
}

/** Decodes base64 of little-endian 16-bit integers from 0. */
export function decodeIndices(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Uint16Array.from({ length: bytes.length / 2 }, (_, i) => view.getUint16(2 * i, true));
}

/** Returns a function that draws image `number` of a sheet {source, width, height, columns} into a canvas. */
export function imageSheet(sheet) {
  if (!sheet) return null;
  const picture = new Image();
  picture.src = sheet.source;
  const loaded = picture.decode();
  return (canvas, number) => {
    canvas.width = sheet.width;
    canvas.height = sheet.height;
    const [x, y] = [(number % sheet.columns) * sheet.width, Math.floor(number / sheet.columns) * sheet.height];
    loaded.then(() => canvas.getContext("2d").drawImage(picture, x, y, sheet.width, sheet.height, 0, 0, sheet.width, sheet.height));
  };
}
