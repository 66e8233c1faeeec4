// Lesson 4: how many of a head's scores lie below zero, and what this number depends on.

const N_BINS = 40;

class ShiftExplorer extends PageExplorer {
  makePanels() {
    const [nLayers, nHeads] = this.model.get("shown").sizes;
    return [
      new Panel(this, "All heads, to choose a layer and a head", { ratio: nLayers / nHeads, least: 300, most: 440 }),
      new Panel(this, "The scores of one head in bins", { least: 300 }),
      new Panel(this, "The fraction of negative scores query by query", { least: 300 }),
    ];
  }

  load() {
    this.raw = this.array("scores", Float32Array); // (layer, head, query, key)
    this.setLegend(
      { text: "scores of the first key", colour: this.colours["first key"] },
      { text: "scores of the other keys", colour: this.colours["other keys"] },
      { text: "this head", colour: this.colours["loaded model"] },
      { text: "all heads", colour: "#999999" },
    );
  }

  /** The raw scores of one head for the tokens that are read, with the added number. */
  rawOf(place, added) {
    const [all, n] = [this.tokens.length, this.get("n_tokens")];
    const start = place * all ** 2;
    return Float64Array.from(
      { length: n * n },
      (_, cell) => this.raw[start + Math.floor(cell / n) * all + (cell % n)] + added,
    );
  }

  compute() {
    const { sizes, divisors } = this.model.get("shown");
    const [layer, head, n, added] = ["layer", "head", "n_tokens", "added"].map((name) => this.get(name));
    const [all, hasFirst] = [this.tokens.length, this.model.get("first_key")];
    const start = hasFirst ? 0 : 1; // without the first key the first row is empty
    const [nHeads, place] = [sizes[0] * sizes[1], layer * sizes[1] + head];
    const fractions = new Float64Array(nHeads);
    const [rows, rows_all] = [new Float64Array(n - start), new Float64Array(n - start)];
    let size = 0;
    const every = this.raw; // counted where it stands, without a table for each of 144 heads
    for (let each = 0; each < nHeads; each++) {
      let negative = 0;
      size = 0;
      for (let row = start; row < n; row++) {
        const first = (each * all + row) * all;
        let inRow = 0;
        for (let key = start; key <= row; key++) inRow += every[first + key] + added < 0 ? 1 : 0;
        const length = row + 1 - start;
        rows_all[row - start] += inRow / (nHeads * length);
        if (each === place) rows[row - start] = inRow / length;
        negative += inRow;
        size += length;
      }
      fractions[each] = negative / size;
    }
    const raw = this.rawOf(place, added);
    const [scores, counted] = [causal(raw, n), causal(raw, n, !hasFirst)];
    const edges = linspace(Math.floor(Math.min(...scores)), Math.floor(Math.max(...scores)) + 1, N_BINS + 1);
    const of_first = histogram(
      raw.filter((_, cell) => cell % n === 0),
      edges,
    );
    const of_others = histogram(scores, edges).map((count, bin) => count - of_first[bin]);
    const patternOf = (table) =>
      softmax(
        maskScores(
          table.map((score) => score / divisors[layer]),
          n,
        ),
        n,
      );
    const [before, after] = [patternOf(this.rawOf(place, 0)), patternOf(raw)];
    this.numbers = { fractions, edges, of_first, of_others, rows, rows_all };
    this.facts = {
      ...{
        layer,
        head,
        n_tokens: n,
        all: this.tokens.length,
        first_key: hasFirst ? "with" : "without",
        added,
        n: size,
      },
      ...{ negative: fractions[place], median: median(counted), mean: mean(counted), negative_all: mean(fractions) },
      ...{ majority: fractions.filter((fraction) => fraction > 0.5).length, n_heads: nHeads },
      change: Math.max(...after.map((share, cell) => Math.abs(share - before[cell]))),
    };
    if (this.mark) this.mark = null;
  }

  show() {
    const { fractions, edges, of_first, of_others, rows, rows_all } = this.numbers;
    const { layer, head } = this.facts;
    const [nLayers, nHeads] = this.model.get("shown").sizes;
    const [grid, bins, queries] = this.panels;
    const names = (letter, length) => Array.from({ length }, (_, i) => [i + 0.5, `${letter}${i}`]);
    grid.set({
      title: "All heads: fraction below zero",
      x: { low: 0, high: nHeads, label: "head", ticks: names("H", nHeads) },
      y: { low: nLayers, high: 0, label: "layer", ticks: names("L", nLayers), turned: false },
      table: { values: fractions, columns: nHeads, palette: this.palettes.fraction, low: 0, high: 1, digits: 0 },
      frames: [[head, layer, head + 1, layer + 1]],
    });
    const shown = this.model.get("first_key") ? of_first : of_first.map(() => 0);
    const bars = [...of_others].flatMap((count, bin) => {
      const [from, to] = [edges[bin], edges[bin + 1]];
      return [
        { from, to, top: count, colour: this.colours["other keys"] },
        { from, to, bottom: count, top: count + shown[bin], colour: this.colours["first key"] },
      ];
    });
    const highest = Math.max(...of_others.map((count, bin) => count + shown[bin]));
    bins.set({
      title: `Scores of L${layer}H${head}`,
      x: { low: edges[0], high: edges[N_BINS], label: "raw score q·k" },
      y: { low: 0, high: 1.1 * highest, label: "scores" },
      bars,
      rules: [{ x: 0 }],
    });
    const start = this.start;
    const places = Float64Array.from(rows, (_, i) => start + i + 0.5);
    const n = this.get("n_tokens");
    queries.set({
      title: "Query by query",
      x: { low: 0, high: n, label: "query", ticks: tokenTicks(this.tokens.slice(0, n)), turned: true },
      y: {
        low: -0.03,
        high: 1.03,
        label: "fraction below zero",
        ticks: [0, 0.5, 1].map((share) => [share, `${share}`]),
      },
      rules: [{ y: 0.5 }],
      lines: [
        { x: places, y: rows_all, colour: "#999999", width: 5 },
        { x: places, y: rows, colour: this.colours["loaded model"], width: 1.5 },
      ],
      dots: [{ x: places, y: rows, colour: this.colours["loaded model"] }],
    });
  }

  /** The first query that has a score to count. */
  get start() {
    return this.model.get("first_key") ? 0 : 1;
  }

  choose(layer, head) {
    const [nLayers, nHeads] = this.model.get("shown").sizes;
    const within = (place, n) => Math.max(0, Math.min(n - 1, place));
    this.set({ layer: within(layer, nLayers), head: within(head, nHeads) });
  }

  point(panel, x, y, isPressed) {
    const [grid, bins, queries] = this.panels;
    const { edges } = this.numbers;
    if (panel === grid && isPressed) this.choose(Math.floor(y), Math.floor(x));
    else if (panel === grid) this.setMark({ layer: Math.floor(y), head: Math.floor(x) });
    else if (panel === bins)
      this.setMark({ bin: Math.min(N_BINS - 1, Math.floor((x - edges[0]) / (edges[1] - edges[0]))) });
    else if (panel === queries && x >= this.start) this.setMark({ query: Math.floor(x) });
  }

  move(panel, rows, columns) {
    const [grid, bins, queries] = this.panels;
    const within = (value, low, high) => Math.max(low, Math.min(high, value));
    if (panel === grid) this.choose(this.get("layer") + rows, this.get("head") + columns);
    else if (panel === bins) this.setMark({ bin: within((this.mark?.bin ?? N_BINS / 2) + columns, 0, N_BINS - 1) });
    else if (panel === queries)
      this.setMark({
        query: within((this.mark?.query ?? this.get("n_tokens") - 1) + columns, this.start, this.get("n_tokens") - 1),
      });
  }

  markOn(panel) {
    const { layer, head, bin, query } = this.mark;
    const { edges } = this.numbers;
    const [grid, bins, queries] = this.panels;
    const { low, high } = panel.content.y;
    if (panel === grid && layer !== undefined) return [[head, layer, head + 1, layer + 1]];
    if (panel === bins && bin !== undefined) return [[edges[bin], low, edges[bin + 1], high]];
    return panel === queries && query !== undefined ? [[query, low, query + 1, high]] : [];
  }

  tell() {
    const { layer, head, bin, query } = this.mark;
    const { fractions, edges, of_first, of_others, rows, rows_all } = this.numbers;
    const share = (value) => `${(100 * value).toFixed(1)}%`;
    if (layer !== undefined) {
      return `L${layer}H${head}: ${share(fractions[layer * this.model.get("shown").sizes[1] + head])} of its scores are negative. Press to choose it.`;
    }
    if (bin !== undefined) {
      const first = this.model.get("first_key") ? ` and ${of_first[bin]} of the first key` : "";
      return `From ${signed(edges[bin], 1)} to ${signed(edges[bin + 1], 1)}: ${of_others[bin]} scores of other keys${first}.`;
    }
    const row = query - this.start;
    return `Query ${query} “${this.tokens[query]}”: ${share(rows[row])} of its scores are negative, ${share(rows_all[row])} over all heads.`;
  }
}

const { render, renderStill } = entry(ShiftExplorer);
export { renderStill };
export default { render };
