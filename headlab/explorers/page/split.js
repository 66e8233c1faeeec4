// Lesson 2: the columns of the fused matrix that belong to one head.

const PARTS = ["query", "key", "value"];

class SplittingExplorer extends PageExplorer {
  makePanels() {
    const fused = new Panel(this, "The fused matrix", { least: 251, most: 1400, tall: 220, isAlone: true });
    return [fused, ...PARTS.map((name) => new Panel(this, `The head's ${name}`, { least: 230, tall: 220 }))];
  }

  load() {
    this.fused = fromHalf(this.array("fused", Uint16Array)); // (layer, token, 3 * d_model)
    this.nColumns = this.fused.length / this.model.get("shown").sizes[0] / this.tokens.length;
    this.setLegend({ text: "framed: the chosen head's columns", colour: "transparent" });
  }

  compute() {
    const [layer, head] = [this.get("layer"), this.get("head")];
    const [n, width] = [this.tokens.length, this.nColumns];
    const d_head = width / 3 / this.model.get("shown").sizes[1];
    const fused = this.fused.subarray(layer * n * width, (layer + 1) * n * width);
    this.numbers = { fused };
    this.facts = { layer, head, n_tokens: n, width, d_model: width / 3, d_head };
    PARTS.forEach((name, third) => {
      const first = (third * width) / 3 + head * d_head;
      const part = Float64Array.from(
        { length: n * d_head },
        (_, i) => fused[Math.floor(i / d_head) * width + first + (i % d_head)],
      );
      const lengths = Array.from({ length: n }, (_, row) =>
        Math.hypot(...part.subarray(row * d_head, (row + 1) * d_head)),
      );
      this.numbers[name] = part;
      Object.assign(this.facts, {
        [`${name[0]}_first`]: first,
        [`${name[0]}_last`]: first + d_head - 1,
        [`${name[0]}_length`]: mean(lengths),
      });
    });
    if (this.mark) this.mark.channel = Math.min(this.mark.channel, d_head - 1);
  }

  show() {
    const { limit } = this.model.get("shown");
    const { layer, n_tokens, width, d_model, d_head } = this.facts;
    const [whole, ...parts] = this.panels;
    const style = { palette: this.palettes.score, low: -limit, high: limit, digits: 1 };
    const y = () => ({ low: n_tokens, high: 0, label: "token", ticks: tokenTicks(this.tokens), turned: false });
    const thirds = [0, 1, 2, 3].map((third) => [third * d_model, `${third * d_model}`]);
    whole.set({
      title: `Fused matrix of layer ${layer}: activations`,
      x: { low: 0, high: width, label: "column of the fused matrix", ticks: thirds },
      y: y(),
      table: { ...style, values: this.numbers.fused, columns: width },
      frames: PARTS.map((name) => [this.facts[`${name[0]}_first`], n_tokens, this.facts[`${name[0]}_last`] + 1, 0]),
    });
    PARTS.forEach((name, place) => {
      const title = `${name[0].toUpperCase()}${name.slice(1)}: columns ${this.facts[`${name[0]}_first`]} to ${this.facts[`${name[0]}_last`]}`;
      parts[place].set({
        title,
        x: { low: 0, high: d_head, label: "channel of the head" },
        y: y(),
        table: { ...style, values: this.numbers[name], columns: d_head },
      });
    });
  }

  /** The mark is a token and a channel; in the fused matrix, pressing a column chooses its head. */
  point(panel, x, y, isPressed) {
    const { d_model, d_head } = this.facts;
    const token = Math.floor(y);
    if (panel !== this.panels[0]) {
      this.setMark({ token, channel: Math.floor(x) });
      return;
    }
    const column = Math.floor(x) % d_model;
    if (isPressed) this.set({ head: Math.floor(column / d_head) });
    this.setMark({ token, column: Math.floor(x), channel: column % d_head });
  }

  move(panel, rows, columns) {
    const { n_tokens, d_head } = this.facts;
    const within = (value, n) => Math.max(0, Math.min(n - 1, value));
    const { token, channel } = this.mark ?? { token: -rows, channel: -columns };
    this.setMark({ token: within(token + rows, n_tokens), channel: within(channel + columns, d_head) });
  }

  markOn(panel) {
    const { token, channel } = this.mark;
    const starts = panel === this.panels[0] ? PARTS.map((name) => this.facts[`${name[0]}_first`]) : [0];
    return starts.map((start) => [start + channel, token + 1, start + channel + 1, token]);
  }

  tell() {
    const { token, channel, column } = this.mark;
    const { layer, head, width, d_model, d_head } = this.facts;
    const name = `Token ${token} “${this.tokens[token]}”`;
    if (column !== undefined) {
      const [third, of] = [PARTS[Math.floor(column / d_model)], Math.floor((column % d_model) / d_head)];
      const value = signed(this.numbers.fused[token * width + column], 3);
      return `${name}, column ${column}: ${value}. It is channel ${channel} of the ${third} of L${layer}H${of}; press to choose that head.`;
    }
    const values = PARTS.map((part) => `${part} ${signed(this.numbers[part][token * d_head + channel], 3)}`);
    return `${name}, channel ${channel} of L${layer}H${head}: ${values.join(", ")}.`;
  }
}

const { render, renderStill } = entry(SplittingExplorer);
export { renderStill };
export default { render };
