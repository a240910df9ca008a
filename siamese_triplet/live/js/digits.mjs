// From a drawing to an image as MNIST has them: scaled to 20 × 20 pixels, its centre of mass in the middle of 28 × 28.

const [BOX, SIDE] = [20, 28];

/** Normalises a drawing of `width` × `height` grey values 0 … 255; null for an empty one. */
export function normaliseDigit(ink, width, height) {
  const box = boundsOf(ink, width, height);
  if (!box) return null;
  const scale = BOX / Math.max(box.right - box.left, box.bottom - box.top);
  const [wide, tall] = [box.right - box.left, box.bottom - box.top].map((side) => Math.max(1, Math.round(side * scale)));
  const small = shrink(ink, width, box, wide, tall);
  const [x, y] = centreOfMass(small, wide, tall);
  const [left, top] = [Math.round(SIDE / 2 - 0.5 - x), Math.round(SIDE / 2 - 0.5 - y)];
  const image = new Float32Array(SIDE * SIDE);
  for (let row = 0; row < tall; row++) {
    for (let column = 0; column < wide; column++) {
      const [toRow, toColumn] = [top + row, left + column];
      if (toRow >= 0 && toRow < SIDE && toColumn >= 0 && toColumn < SIDE) image[toRow * SIDE + toColumn] = small[row * wide + column];
    }
  }
  return image;
}

function boundsOf(ink, width, height) {
  let [left, right, top, bottom] = [width, 0, height, 0];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (!ink[y * width + x]) continue;
      [left, right, top, bottom] = [Math.min(left, x), Math.max(right, x + 1), Math.min(top, y), Math.max(bottom, y + 1)];
    }
  }
  return right ? { left, right, top, bottom } : null;
}

/** Averages the ink within a box over `wide` × `tall` cells. */
function shrink(ink, width, { left, right, top, bottom }, wide, tall) {
  const small = new Float32Array(wide * tall);
  const [stepX, stepY] = [(right - left) / wide, (bottom - top) / tall];
  for (let row = 0; row < tall; row++) {
    for (let column = 0; column < wide; column++) {
      const [x0, x1, y0, y1] = [left + column * stepX, left + (column + 1) * stepX, top + row * stepY, top + (row + 1) * stepY];
      let sum = 0;
      for (let y = Math.floor(y0); y < y1; y++) {
        const share = Math.min(y + 1, y1) - Math.max(y, y0);
        for (let x = Math.floor(x0); x < x1; x++) sum += share * (Math.min(x + 1, x1) - Math.max(x, x0)) * (ink[y * width + x] ?? 0);
      }
      small[row * wide + column] = sum / (stepX * stepY);
    }
  }
  return small;
}

function centreOfMass(image, wide, tall) {
  let [mass, x, y] = [0, 0, 0];
  for (let row = 0; row < tall; row++) {
    for (let column = 0; column < wide; column++) {
      const value = image[row * wide + column];
      [mass, x, y] = [mass + value, x + value * column, y + value * row];
    }
  }
  return [x / mass, y / mass];
}

/** An image turned by `turns` radians, moved by (dx, dy) pixels, its strokes made thicker (> 0) or thinner by `weight`. */
export function alter(image, { turn = 0, dx = 0, dy = 0, weight = 0 }) {
  const [sin, cos, middle] = [Math.sin(turn), Math.cos(turn), (SIDE - 1) / 2];
  let altered = new Float32Array(SIDE * SIDE);
  for (let row = 0; row < SIDE; row++) {
    for (let column = 0; column < SIDE; column++) {
      const [x, y] = [column - dx - middle, row - dy - middle];
      altered[row * SIDE + column] = between(image, middle + cos * x + sin * y, middle - sin * x + cos * y);
    }
  }
  for (let round = 0; round < Math.abs(weight); round++) altered = spreadInk(altered, weight > 0 ? Math.max : Math.min);
  return altered;
}

function between(image, x, y) {
  const [left, top] = [Math.floor(x), Math.floor(y)];
  let sum = 0;
  for (const [column, row] of [[left, top], [left + 1, top], [left, top + 1], [left + 1, top + 1]]) {
    if (column < 0 || column >= SIDE || row < 0 || row >= SIDE) continue;
    sum += image[row * SIDE + column] * (1 - Math.abs(x - column)) * (1 - Math.abs(y - row));
  }
  return sum;
}

/** Replaces each pixel by the mean of itself and the extreme of its four neighbours. */
function spreadInk(image, extreme) {
  return image.map((value, place) => {
    const [row, column] = [Math.floor(place / SIDE), place % SIDE];
    const at = (r, c) => (r < 0 || r >= SIDE || c < 0 || c >= SIDE ? 0 : image[r * SIDE + c]);
    const found = extreme(value, at(row - 1, column), at(row + 1, column), at(row, column - 1), at(row, column + 1));
    return (value + found) / 2;
  });
}
