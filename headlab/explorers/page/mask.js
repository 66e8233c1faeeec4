// Lesson 1: how far a text is read, the mask on and off, and temperature.

class MaskExplorer extends TokenExplorer {
  load() {
    this.raw = this.array("scores", Float32Array); // (layer, head, query, key)
  }

  makePanels() {
    return ["Scores", "Pattern"].map((name) => new Panel(this, name, { ratio: 1 }));
  }

  get reach() {
    return this.get("n_tokens");
  }

  compute() {
    const { sizes, divisors } = this.model.get("shown");
    const [all, n, layer, head] = [this.tokens.length, this.get("n_tokens"), this.get("layer"), this.get("head")];
    const start = (layer * sizes[1] + head) * all ** 2;
    const divisor = divisors[layer] * this.get("temperature");
    const scores = Float64Array.from(
      { length: n * n },
      (_, cell) => this.raw[start + Math.floor(cell / n) * all + (cell % n)] / divisor,
    );
    const isMasked = this.model.get("mask");
    this.setLegend({ text: isMasked ? "masked: −∞, and a share of 0" : "nothing is masked", isMasked });
    const masked = isMasked ? maskScores(scores, n) : scores;
    const pattern = softmax(masked, n);
    const rows = Array.from({ length: n }, (_, row) => pattern.subarray(row * n, (row + 1) * n));
    this.numbers = { masked, pattern };
    this.limit = Math.max(...scores.map(Math.abs)) || 1;
    this.facts = {
      ...{ layer, head, n_tokens: n, all, mask: isMasked ? "on" : "off", temperature: this.get("temperature") },
      future: sum(pattern.filter((_, cell) => inFuture(n)(cell))) / n,
      first: pattern[0],
      largest: mean(rows.map((row) => Math.max(...row))),
    };
    if (this.mark) this.mark = this.mark.map((place) => Math.min(place, n - 1));
  }

  show() {
    const { masked, pattern } = this.numbers;
    const n = this.get("n_tokens");
    const isMasked = (cell) => masked[cell] === -Infinity;
    const place = { columns: n, across: n, down: n, isMasked };
    const name = `L${this.get("layer")}H${this.get("head")}`;
    const [left, right] = this.panels;
    left.set({
      ...this.square(),
      title: `Scores of ${name}, scaled, over temperature`,
      table: { ...place, values: masked, palette: this.palettes.score, low: -this.limit, high: this.limit, digits: 1 },
    });
    right.set({
      ...this.square(),
      title: "Pattern",
      table: { ...place, values: pattern, palette: this.palettes.share, low: 0, high: 1, digits: 0 },
    });
  }

  tell() {
    const cell = this.mark[0] * this.get("n_tokens") + this.mark[1];
    return `${this.pair()}: score ${signed(this.numbers.masked[cell], 3)}, share ${(100 * this.numbers.pattern[cell]).toFixed(1)}%.`;
  }
}

const { render, renderStill } = entry(MaskExplorer);
export { renderStill };
export default { render };
