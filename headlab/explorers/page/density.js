// Lesson 6: a sample's Gaussians and their sum, for raw scores and for shares.

const N_GRID = 400; // points of a curve
const WIDEST = 0.25; // of the shares' Gaussians: a wider one would leak over both edges at once
const KERNEL = "#E69F00";

class DensityExplorer extends PageExplorer {
  makePanels() {
    return ["Density of the raw scores", "Density of the shares"].map(
      (name) => new Panel(this, name, { least: 300, most: 560, tall: 240 }),
    );
  }

  load() {
    this.raw = this.array("scores", Float32Array); // (layer, head, query, key)
    this.order = this.array("order", Uint16Array);
    this.setLegend(
      { text: "sum of the kernels: the density", colour: this.colours["loaded model"] },
      { text: "one kernel for each score", colour: KERNEL },
      { text: "the scores of the sample (short lines below)", colour: "currentColor" },
    );
  }

  compute() {
    const { sizes, divisors } = this.model.get("shown");
    const [layer, head, width, n] = ["layer", "head", "width", "n_samples"].map((name) => this.get(name));
    const nTokens = this.tokens.length;
    const start = (layer * sizes[1] + head) * nTokens ** 2;
    const table = Float64Array.from(this.raw.subarray(start, start + nTokens ** 2));
    const pattern = softmax(
      maskScores(
        table.map((score) => score / divisors[layer]),
        nTokens,
      ),
      nTokens,
    );
    const sampleOf = (values) => {
      const seen = causal(values, nTokens);
      return Float64Array.from(this.order.subarray(0, n), (place) => seen[place]);
    };
    const [raw, shares] = [sampleOf(table), sampleOf(pattern)];
    const [raw_width, share_width] = [width * scott(raw), Math.min(WIDEST, width * scott(shares))];
    if (!(raw_width > 0 && share_width > 0))
      throw new Error("n_samples: expected a sample of different numbers, got the same throughout");
    this.edges = this.model.get("mend") ? [0, 1] : [];
    const summed = (sample, each, edges) => {
      const grid = linspace(Math.min(...sample) - 4 * each, Math.max(...sample) + 4 * each, N_GRID);
      return [grid, kde(sample, grid, each, edges)];
    };
    const [raw_grid, raw_density] = summed(raw, raw_width, []);
    const [share_grid, share_density] = summed(shares, share_width, this.edges);
    this.numbers = { raw, raw_grid, raw_density, shares, share_grid, share_density };
    const outside = share_density.filter((_, i) => share_grid[i] < 0 || share_grid[i] > 1);
    this.facts = {
      ...{ layer, head, n, all: this.order.length, width, raw_width, share_width },
      kernels: this.model.get("kernels") ? "shown" : "hidden",
      edges: this.model.get("mend") ? "reflected" : "left open",
      peak: raw_grid[raw_density.indexOf(Math.max(...raw_density))],
      leak: sum(outside) / sum(share_density),
    };
    if (this.mark) this.mark = Math.min(this.mark, n - 1);
  }

  show() {
    const { raw, raw_grid, raw_density, shares, share_grid, share_density } = this.numbers;
    const { layer, head, n, raw_width, share_width } = this.facts;
    const [left, right] = this.panels;
    const content = (sample, grid, density, width, edges) => {
      const kernels = this.model.get("kernels") ? [...sample] : [];
      return {
        y: { low: 0, high: 1.08 * Math.max(...density), label: "density" },
        lines: [
          ...kernels.map((value) => ({
            x: grid,
            y: kde([value], grid, width, edges).map((height) => height / sample.length),
            colour: KERNEL,
          })),
          { x: grid, y: density, colour: this.colours["loaded model"], width: 2.5 },
        ],
        dots: [{ x: sample, y: sample.map(() => 0), isTick: true }],
      };
    };
    const axis = (grid, label) => ({ low: grid[0], high: grid[grid.length - 1], label });
    left.set({
      title: `${n} raw scores of L${layer}H${head}`,
      x: axis(raw_grid, "raw score q·k"),
      ...content(raw, raw_grid, raw_density, raw_width, []),
    });
    right.set({
      title: `${n} shares of L${layer}H${head}`,
      x: axis(share_grid, "share of attention"),
      ...content(shares, share_grid, share_density, share_width, this.edges),
      rules: [{ x: 0 }, { x: 1 }],
    });
  }

  /** The mark is one score of the sample, the nearest to the pointer. */
  point(panel, x) {
    const sample = panel === this.panels[0] ? this.numbers.raw : this.numbers.shares;
    const distances = sample.map((value) => Math.abs(value - x));
    this.setMark(distances.indexOf(Math.min(...distances)));
  }

  /** Move to the next score of the sample, on the right or on the left. */
  move(panel, rows, columns) {
    const sample = panel === this.panels[0] ? this.numbers.raw : this.numbers.shares;
    const order = [...sample.keys()].sort((a, b) => sample[a] - sample[b]);
    const place = this.mark === null ? order.length - 1 : order.indexOf(this.mark) + (columns || -rows);
    this.setMark(order[Math.max(0, Math.min(order.length - 1, place))]);
  }

  markOn(panel) {
    const value = (panel === this.panels[0] ? this.numbers.raw : this.numbers.shares)[this.mark];
    return [[value, 0, value, 0.06 * panel.content.y.high]];
  }

  tell() {
    // The place of the marked score among the visible pairs, row by row.
    const place = this.order[this.mark];
    const query = Math.floor((Math.sqrt(8 * place + 1) - 1) / 2);
    const key = place - (query * (query + 1)) / 2;
    const { raw, shares } = this.numbers;
    const density = kde(raw, [raw[this.mark]], this.facts.raw_width)[0];
    return (
      `Query ${query} “${this.tokens[query]}” → key ${key} “${this.tokens[key]}”: raw score ${signed(raw[this.mark], 2)}, ` +
      `where the density is ${density.toPrecision(3)}; share ${(100 * shares[this.mark]).toFixed(1)}%.`
    );
  }
}

const { render, renderStill } = entry(DensityExplorer);
export { renderStill };
export default { render };
