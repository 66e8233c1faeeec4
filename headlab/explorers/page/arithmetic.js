// The arithmetic of all explorers. It does what headlab's own functions do, and tests compare the two. Numbers come in
// arrays of doubles; a table is one array, row after row.

export const sum = (values) => values.reduce((total, value) => total + value, 0);
export const mean = (values) => sum(values) / values.length;

/** `n` even steps from `low` to `high`, as numpy.linspace. */
export function linspace(low, high, n) {
  const step = (high - low) / (n - 1);
  return Float64Array.from({ length: n }, (_, i) => (i === n - 1 ? high : low + i * step));
}

/** The middle value, or the mean of the middle two, as numpy.median. */
export function median(values) {
  const sorted = Float64Array.from(values).sort();
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/** The standard deviation, with n - `less` in the denominator. */
export function standardDeviation(values, less = 0) {
  const middle = mean(values);
  return Math.sqrt(sum(values.map((value) => (value - middle) ** 2)) / (values.length - less));
}

/** True where the key comes after the query in a table of n queries by n keys. */
export const inFuture = (n) => (cell) => cell % n > Math.floor(cell / n);

/** The entries of an n by n table that a query may look at, row by row; without those of the first key if asked. */
export function causal(table, n, dropFirstKey = false) {
  const isFuture = inFuture(n);
  const isSeen = (_, cell) => !isFuture(cell) && !(dropFirstKey && cell % n === 0);
  return Float64Array.from(table).filter(isSeen);
}

/** Scores with -Infinity for the future, as masking.mask_scores. */
export function maskScores(scores, n) {
  const isFuture = inFuture(n);
  return Float64Array.from(scores, (score, cell) => (isFuture(cell) ? -Infinity : score));
}

/** Each row of `n` scores as shares that sum to 1, as masking.softmax. */
export function softmax(scores, n) {
  const shares = new Float64Array(scores.length);
  for (let start = 0; start < scores.length; start += n) {
    let [largest, total] = [-Infinity, 0];
    for (let i = start; i < start + n; i++) largest = Math.max(largest, scores[i]);
    for (let i = start; i < start + n; i++) total += shares[i] = Math.exp(scores[i] - largest);
    for (let i = start; i < start + n; i++) shares[i] /= total;
  }
  return shares;
}

/** exp of the entropy of each row of `n` shares, as contrast.effective_tokens. */
export function effectiveTokens(pattern, n) {
  return Float64Array.from({ length: pattern.length / n }, (_, row) => {
    const shares = pattern.subarray(row * n, (row + 1) * n);
    return Math.exp(-sum(shares.map((share) => (share > 0 ? share * Math.log(share) : 0))));
  });
}

/** Scott's bandwidth, as density.choose_bandwidth. */
export const scott = (sample) => standardDeviation(sample, 1) * sample.length ** -0.2;

/** One Gaussian for each number of the sample, summed on the grid and divided by their number, as density.kde; if
 * there are `edges`, what leaks over them is reflected, and the density beyond them is 0. */
export function kde(sample, grid, width, edges = []) {
  const height = 1 / (sample.length * width * Math.sqrt(2 * Math.PI));
  const gaussian = (distance) => Math.exp(-0.5 * (distance / width) ** 2);
  const [low, high] = edges.length ? edges : [-Infinity, Infinity];
  return Float64Array.from(grid, (x) => {
    if (x < low || x > high) return 0;
    let total = 0;
    for (const value of sample) {
      total += gaussian(x - value);
      for (const edge of edges) total += gaussian(2 * edge - x - value);
    }
    return height * total;
  });
}

/** How many values lie between each edge and the next, the last edge included, as numpy.histogram. */
export function histogram(values, edges) {
  const counts = new Float64Array(edges.length - 1);
  for (const value of values) {
    if (value < edges[0] || value > edges[edges.length - 1]) continue;
    let bin = 0;
    while (bin < counts.length - 1 && value >= edges[bin + 1]) bin++;
    counts[bin]++;
  }
  return counts;
}

/** Half-precision numbers, given by their 16 bits each, as single precision. */
export function fromHalf(bits) {
  const number = (half) => {
    const [exponent, fraction] = [(half >> 10) & 31, half & 1023];
    const size = exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024);
    return half >> 15 ? -size : size;
  };
  // All 65,536 of them in a table: there are more activations than that.
  const table = Float32Array.from({ length: 2 ** 16 }, (_, half) => number(half));
  return new Float32Array(bits.length).map((_, place) => table[bits[place]]);
}
