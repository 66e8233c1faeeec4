// Lesson 3: every head of a text from raw score to pattern.

const STAGES = ["Raw scores", "Scaled", "Masked", "Pattern"];

class HeadExplorer extends TokenExplorer {
  makePanels() {
    const [nLayers, nHeads] = this.model.get("shown").sizes;
    const overview = new Panel(this, "The patterns of all heads, to choose a layer and a head", {
      ratio: nLayers / nHeads,
      least: 251,
      most: 520,
      isAlone: true,
    });
    return [overview, ...STAGES.map((name) => new Panel(this, name, { ratio: 1, least: 165, most: 340 }))];
  }

  load() {
    this.raw = this.array("scores", Float32Array); // (layer, head, query, key)
    const { sizes } = this.model.get("shown");
    const [nLayers, nHeads, n] = [...sizes, this.tokens.length];
    // The patterns of all heads in one table, layers down and heads across.
    const values = new Float64Array(this.raw.length);
    for (let layer = 0; layer < nLayers; layer++) {
      for (let head = 0; head < nHeads; head++) {
        const [, , , pattern] = this.stages(layer, head);
        for (let row = 0; row < n; row++) {
          values.set(pattern.subarray(row * n, (row + 1) * n), ((layer * n + row) * nHeads + head) * n);
        }
      }
    }
    const isMasked = (cell) => cell % n > Math.floor(cell / (n * nHeads)) % n;
    const names = (letter, length) => Array.from({ length }, (_, i) => [i + 0.5, `${letter}${i}`]);
    this.panels[0].set({
      title: "Patterns of all heads",
      x: { low: 0, high: nHeads, label: "head", ticks: names("H", nHeads) },
      y: { low: nLayers, high: 0, label: "layer", ticks: names("L", nLayers), turned: false },
      table: {
        values,
        columns: nHeads * n,
        isMasked,
        palette: this.palettes.share,
        low: 0,
        high: 1,
        digits: 0,
        isSmooth: true,
      },
    });
    this.setLegend({ text: "masked: −∞, and a share of 0", isMasked: true });
  }

  /** The four stages of one head, each (query, key). */
  stages(layer, head) {
    const { sizes, divisors } = this.model.get("shown");
    const n = this.tokens.length;
    const start = (layer * sizes[1] + head) * n ** 2;
    const raw = Float64Array.from(this.raw.subarray(start, start + n ** 2));
    const scaled = raw.map((score) => score / divisors[layer]);
    const masked = maskScores(scaled, n);
    return [raw, scaled, masked, softmax(masked, n)];
  }

  compute() {
    const [raw, scaled, masked, pattern] = this.stages(this.get("layer"), this.get("head"));
    this.numbers = { raw, scaled, masked, pattern };
    this.facts = { layer: this.get("layer"), head: this.get("head") };
  }

  lines() {
    const { summaries, sizes } = this.model.get("shown");
    return summaries[this.get("layer") * sizes[1] + this.get("head")];
  }

  show() {
    const { layer, head } = this.facts;
    const [overview, ...panels] = this.panels;
    overview.content.frames = [[head, layer, head + 1, layer + 1]];
    const limitOf = (values) => Math.max(...values.map(Math.abs)) || 1;
    const limits = [limitOf(this.numbers.raw), limitOf(this.numbers.scaled), limitOf(this.numbers.scaled)];
    const isMasked = inFuture(this.tokens.length);
    Object.values(this.numbers).forEach((values, stage) => {
      const isPattern = stage === 3;
      panels[stage].set({
        title: stage ? STAGES[stage] : `Raw scores of L${layer}H${head}`,
        ...this.square(),
        table: {
          ...{ values, columns: this.tokens.length, isMasked: stage < 2 ? undefined : isMasked },
          ...{ palette: this.palettes[isPattern ? "share" : "score"], digits: isPattern ? 0 : 1 },
          ...{ low: isPattern ? 0 : -limits[stage], high: isPattern ? 1 : limits[stage] },
        },
      });
    });
  }

  choose(layer, head) {
    const [nLayers, nHeads] = this.model.get("shown").sizes;
    const within = (place, n) => Math.max(0, Math.min(n - 1, place));
    this.set({ layer: within(layer, nLayers), head: within(head, nHeads) });
  }

  point(panel, x, y, isPressed) {
    if (panel !== this.panels[0]) super.point(panel, x, y);
    else if (isPressed) this.choose(Math.floor(y), Math.floor(x));
  }

  move(panel, rows, columns) {
    if (panel === this.panels[0]) this.choose(this.get("layer") + rows, this.get("head") + columns);
    else super.move(panel, rows, columns);
  }

  markOn(panel) {
    return panel === this.panels[0] ? [] : super.markOn(panel);
  }

  tell() {
    const cell = this.mark[0] * this.tokens.length + this.mark[1];
    const [raw, scaled, masked, pattern] = Object.values(this.numbers).map((values) => signed(values[cell], 4));
    return `${this.pair()}: raw score ${raw}, scaled ${scaled}, masked ${masked}, share ${pattern}.`;
  }
}

const { render, renderStill } = entry(HeadExplorer);
export { renderStill };
export default { render };
