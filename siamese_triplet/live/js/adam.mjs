// Adam, as `torch.optim.Adam` (Kingma and Ba, 2015), with weight decay as part of the gradient.

export const BETAS = [0.9, 0.999];
export const EPSILON = 1e-8;

/** Takes step number `count`, from 1, for `n` weights: `values`, `gradients`, `first` and `second` are their addresses. */
export function adamStep(floats, { values, gradients, first, second }, n, count, { learningRate, weightDecay = 0 }) {
  const [beta1, beta2] = BETAS;
  const size = learningRate / (1 - beta1 ** count);
  const correction = Math.sqrt(1 - beta2 ** count);
  const [value, gradient, m, v] = [values >> 2, gradients >> 2, first >> 2, second >> 2];
  for (let i = 0; i < n; i++) {
    const g = floats[gradient + i] + weightDecay * floats[value + i];
    const mean = beta1 * floats[m + i] + (1 - beta1) * g;
    const square = beta2 * floats[v + i] + (1 - beta2) * g * g;
    floats[m + i] = mean;
    floats[v + i] = square;
    floats[value + i] -= (size * mean) / (Math.sqrt(square) / correction + EPSILON);
  }
}
