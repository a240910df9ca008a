// The functions of ../kernel/kernel.wat in JavaScript, for browsers without SIMD. See there for what they compute; addresses
// and steps are in bytes, as there.

export function plainKernel(buffer) {
  const x = new Float32Array(buffer);
  const rows = new Int32Array(buffer);

  function product(m, tiles, a, aRows, outer, outerStep, inner, innerStep, b, bStep, bTile, c, cRows, cTile, bias) {
    for (let half = 0; half < 2 * tiles; half++) {
      const shift = (half >> 1) * bTile + (half & 1) * 16;
      const cAt = c + (half >> 1) * cTile + (half & 1) * 16;
      for (let row = 0; row < m; row += 2) {
        const [first, second] = [row, Math.min(row + 1, m - 1)];
        const c0 = (cAt + rows[(cRows >> 2) + first]) >> 2;
        const c1 = (cAt + rows[(cRows >> 2) + second]) >> 2;
        const [from0, from1] = bias ? [(bias >> 2) + 4 * half, (bias >> 2) + 4 * half] : [c0, c1];
        let [s00, s01, s02, s03] = [x[from0], x[from0 + 1], x[from0 + 2], x[from0 + 3]];
        let [s10, s11, s12, s13] = [x[from1], x[from1 + 1], x[from1 + 2], x[from1 + 3]];
        let a0 = (a + rows[(aRows >> 2) + first]) >> 2;
        let a1 = (a + rows[(aRows >> 2) + second]) >> 2;
        let at = (b + shift) >> 2;
        for (let i = 0; i < outer; i++, a0 += outerStep >> 2, a1 += outerStep >> 2) {
          for (let j = 0; j < inner; j++, a0 += innerStep >> 2, a1 += innerStep >> 2, at += bStep >> 2) {
            const [left, right] = [x[a0], x[a1]];
            s00 += left * x[at];
            s01 += left * x[at + 1];
            s02 += left * x[at + 2];
            s03 += left * x[at + 3];
            s10 += right * x[at];
            s11 += right * x[at + 1];
            s12 += right * x[at + 2];
            s13 += right * x[at + 3];
          }
        }
        x[c0] = s00;
        x[c0 + 1] = s01;
        x[c0 + 2] = s02;
        x[c0 + 3] = s03;
        x[c1] = s10;
        x[c1 + 1] = s11;
        x[c1 + 2] = s12;
        x[c1 + 3] = s13;
      }
    }
  }

  function poolForward(input, height, width, channels, slope, output) {
    const [at, to, line] = [input >> 2, output >> 2, width * channels];
    for (let i = 0; i < height; i += 2) {
      for (let j = 0; j < width; j += 2) {
        for (let channel = 0; channel < channels; channel++) {
          const from = at + i * line + j * channels + channel;
          const most = Math.max(
            prelu(x[from], slope),
            prelu(x[from + channels], slope),
            prelu(x[from + line], slope),
            prelu(x[from + line + channels], slope),
          );
          x[to + ((i >> 1) * (width >> 1) + (j >> 1)) * channels + channel] = most;
        }
      }
    }
  }

  function poolBackward(input, height, width, channels, slope, gradient, bias) {
    const [at, from, line] = [input >> 2, gradient >> 2, width * channels];
    let ofSlope = 0;
    for (let i = 0; i < height; i += 2) {
      for (let j = 0; j < width; j += 2) {
        for (let channel = 0; channel < channels; channel++) {
          const place = at + i * line + j * channels + channel;
          let best = place;
          for (const other of [place + channels, place + line, place + line + channels]) {
            if (prelu(x[other], slope) > prelu(x[best], slope)) best = other;
          }
          const number = x[best];
          const given = x[from + ((i >> 1) * (width >> 1) + (j >> 1)) * channels + channel];
          const passed = number > 0 ? given : slope * given;
          x[place] = x[place + channels] = x[place + line] = x[place + line + channels] = 0;
          x[best] = passed;
          x[(bias >> 2) + channel] += passed;
          if (number < 0) ofSlope += given * number;
        }
      }
    }
    return ofSlope;
  }

  return { product, poolForward, poolBackward };
}

function prelu(number, slope) {
  return number > 0 ? number : slope * number;
}
