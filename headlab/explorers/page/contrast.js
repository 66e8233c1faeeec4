// Lesson 5: what softmax sees of the four terms of the scores.

const TERMS = ["content", "query_bias", "key_bias", "constant"];

class ContrastExplorer extends TokenExplorer {
  makePanels() {
    const tables = ["Raw scores", "Pattern"].map((name) => new Panel(this, name, { ratio: 1 }));
    return [
      ...tables,
      ...["Effective tokens of each query", "The first token's share for each query"].map(
        (name) => new Panel(this, name),
      ),
    ];
  }

  load() {
    this.terms = Object.fromEntries(TERMS.map((name) => [name, this.array(name, Float32Array)]));
    this.setLegend(
      { text: "masked", isMasked: true },
      { text: "unchanged", colour: "#999999" },
      { text: "changed", colour: this.colours["loaded model"] },
    );
  }

  /** One head's four terms, as functions of the cell. */
  termsOf(layer, head) {
    const n = this.tokens.length;
    const place = layer * this.model.get("shown").sizes[1] + head;
    const { content, query_bias, key_bias, constant } = this.terms;
    return {
      content: (cell) => content[place * n * n + cell],
      query_bias: (cell) => query_bias[place * n + (cell % n)],
      key_bias: (cell) => key_bias[place * n + Math.floor(cell / n)],
      constant: () => constant[place],
    };
  }

  compute() {
    const [layer, head, times, scale] = ["layer", "head", "times", "scale"].map((name) => this.get(name));
    const n = this.tokens.length;
    const four = this.termsOf(layer, head);
    const weights = { content: 1, query_bias: 1, key_bias: times, constant: times }; // b_k is in the last two
    const kept = TERMS.map((name) => [scale * weights[name] * this.model.get(name), four[name]]);
    const sumOf = (terms) =>
      Float64Array.from({ length: n * n }, (_, cell) =>
        terms.reduce((all, [weight, term]) => all + weight * term(cell), 0),
      );
    const divisor = this.model.get("shown").divisors[layer];
    const patternOf = (raw) =>
      softmax(
        maskScores(
          raw.map((score) => score / divisor),
          n,
        ),
        n,
      );
    const raw = sumOf(kept);
    const [before, pattern] = [patternOf(sumOf(TERMS.map((name) => [1, four[name]]))), patternOf(raw)];
    const [tokens, tokens_before] = [effectiveTokens(pattern, n), effectiveTokens(before, n)];
    const seen = causal(raw, n);
    const dropped = TERMS.filter((name) => !this.model.get(name))
      .map((name) => name.replace("_", " "))
      .join(" and ");
    this.first = { now: firstShares(pattern, n), before: firstShares(before, n) };
    this.numbers = { raw, pattern, before, tokens, tokens_before };
    this.limit = Math.max(...seen.map(Math.abs)) || 1;
    this.facts = {
      ...{ layer, head, scale, times, kept: dropped ? `without ${dropped}` : "all four terms" },
      ...{ negative: mean(seen.map((score) => Number(score < 0))), median: median(seen) },
      ...{ tokens: mean(tokens), tokens_before: mean(tokens_before) },
      ...{ first: mean(this.first.now), first_before: mean(this.first.before) },
      change: Math.max(...pattern.map((share, cell) => Math.abs(share - before[cell]))),
    };
  }

  show() {
    const { raw, pattern, tokens, tokens_before } = this.numbers;
    const n = this.tokens.length;
    const place = { columns: n, isMasked: inFuture(n) };
    const [scores, shares, effective, first] = this.panels;
    const { layer, head } = this.facts;
    scores.set({
      ...this.square(),
      title: `Raw scores of L${layer}H${head}`,
      table: { ...place, values: raw, palette: this.palettes.score, low: -this.limit, high: this.limit, digits: 1 },
    });
    shares.set({
      ...this.square(),
      title: "Pattern",
      table: { ...place, values: pattern, palette: this.palettes.share, low: 0, high: 1, digits: 0 },
    });
    const middles = linspace(0.5, n - 0.5, Math.max(n, 2)).subarray(0, n);
    const both = (before, now) => ({
      lines: [
        { x: middles, y: before, colour: "#999999", width: 5 },
        { x: middles, y: now, colour: this.colours["loaded model"], width: 1.5 },
      ],
      dots: [{ x: middles, y: now, colour: this.colours["loaded model"] }],
    });
    effective.set({
      title: "Effective tokens",
      x: this.axis("query"),
      y: { low: 0, high: n + 1, label: "effective tokens" },
      ...both(tokens_before, tokens),
    });
    first.set({
      title: "First token's share",
      x: this.axis("query"),
      y: { low: 0, high: 1.05, label: "share" },
      ...both(this.first.before, this.first.now),
    });
  }

  point(panel, x, y) {
    const isTable = this.panels.indexOf(panel) < 2;
    if (isTable) super.point(panel, x, y);
    else this.setMark([Math.floor(x), this.mark?.[1] ?? 0]);
  }

  move(panel, rows, columns) {
    const isTable = this.panels.indexOf(panel) < 2;
    if (isTable) super.move(panel, rows, columns);
    else super.move(panel, columns, this.mark ? 0 : columns);
  }

  markOn(panel) {
    if (this.panels.indexOf(panel) < 2) return super.markOn(panel);
    const { low, high } = panel.content.y;
    return [[this.mark[0], low, this.mark[0] + 1, high]];
  }

  tell() {
    const [query, key] = this.mark;
    const cell = query * this.tokens.length + key;
    const { raw, pattern, before, tokens, tokens_before } = this.numbers;
    const share = (value) => `${(100 * value).toFixed(1)}%`;
    const pair =
      key > query
        ? "in the future, masked"
        : `raw score ${signed(raw[cell], 2)}, share ${share(pattern[cell])} (unchanged: ${share(before[cell])})`;
    return (
      `${this.pair()}: ${pair}. Query ${query}: ${tokens[query].toFixed(2)} effective tokens ` +
      `(unchanged: ${tokens_before[query].toFixed(2)}), first token's share ${share(this.first.now[query])}.`
    );
  }
}

/** The first token's share for each query of a pattern. */
function firstShares(pattern, n) {
  return Float64Array.from({ length: n }, (_, query) => pattern[query * n]);
}

const { render, renderStill } = entry(ContrastExplorer);
export { renderStill };
export default { render };
