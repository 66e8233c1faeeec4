// Lesson 7: the density of the scores and one statistic of every head, layer by layer.

const MOST_COLUMNS = 1024; // of the picture of the densities: as many as a sharp screen shows

class ProfileExplorer extends PageExplorer {
  makePanels() {
    return ["Density of the raw scores layer by layer", "One statistic of every head layer by layer"].map(
      (name) => new Panel(this, name, { least: 300, most: 560, tall: 300 }),
    );
  }

  load() {
    const { sizes } = this.model.get("shown");
    this.densities = this.array("densities", Float32Array); // (layer, grid)
    this.nGrid = this.densities.length / sizes[0];
    this.profile = this.array("profile", Float64Array); // (statistic, layer, head)
    this.setLegend(
      { text: "each head", colour: "#999999" },
      { text: "median of the heads", colour: "currentColor" },
      { text: "chosen head", colour: this.colours["loaded model"] },
    );
  }

  /** The first and the last layer that are shown. */
  ends() {
    return [this.get("first"), this.get("last")].sort((a, b) => a - b);
  }

  compute() {
    const { sizes, controls, meanings } = this.model.get("shown");
    const [nLayers, nHeads] = sizes;
    const [[first, last], head, statistic] = [this.ends(), this.get("head"), this.model.get("statistic")];
    const start = controls.statistic.options.indexOf(statistic) * nLayers * nHeads;
    const values = this.profile.subarray(start, start + nLayers * nHeads);
    const middle = Float64Array.from({ length: nLayers }, (_, layer) =>
      median(values.subarray(layer * nHeads, (layer + 1) * nHeads)),
    );
    const chosen = middle.subarray(first, last + 1);
    const [low, high] = [Math.min(...chosen), Math.max(...chosen)];
    this.numbers = { values, middle };
    this.facts = {
      ...{ first, last, head, meaning: meanings[statistic], low, high },
      ...{ lowest: first + chosen.indexOf(low), highest: first + chosen.indexOf(high) },
      ...{ at_first: values[first * nHeads + head], at_last: values[last * nHeads + head] },
    };
    if (this.mark && (this.mark.layer < first || this.mark.layer > last)) this.mark = null;
  }

  show() {
    const { sizes, ends } = this.model.get("shown");
    const [nLayers, nHeads] = sizes;
    const { values, middle } = this.numbers;
    const { first, last, head, meaning } = this.facts;
    const [left, right] = this.panels;
    const layers = Float64Array.from({ length: nLayers }, (_, layer) => layer + 0.5);
    const names = Array.from({ length: last - first + 1 }, (_, i) => [first + i + 0.5, `${first + i}`]);
    const y = () => ({ low: last + 1, high: first, label: "layer", ticks: names, turned: false });
    const thin = Math.ceil(this.nGrid / MOST_COLUMNS);
    const shown = this.densities
      .subarray(first * this.nGrid, (last + 1) * this.nGrid)
      .filter((_, place) => (place % this.nGrid) % thin === 0);
    const highest = this.densities.reduce((most, density) => Math.max(most, density), 0);
    left.set({
      title: "Density per unit of q·k",
      x: { low: ends[0], high: ends[1], label: "raw score q·k" },
      y: y(),
      table: {
        values: shown,
        columns: Math.ceil(this.nGrid / thin),
        palette: this.palettes.amount,
        low: 0,
        high: highest,
        digits: 3,
      },
      rules: [{ x: 0, colour: "#777777" }],
    });
    const inSight = [...values.subarray(first * nHeads, (last + 1) * nHeads)];
    const [low, high] = [Math.min(...inSight), Math.max(...inSight)];
    const room = 0.05 * (high - low) || 1;
    const [blue, each] = [this.colours["loaded model"], layers.map((_, layer) => values[layer * nHeads + head])];
    right.set({
      title: `${this.model.get("statistic")}, head ${head} in colour`,
      x: { low: low - room, high: high + room, label: meaning },
      y: y(),
      lines: [
        { x: middle, y: layers, width: 2 },
        { x: each, y: layers, colour: blue, width: 1.5 },
      ],
      dots: [
        { x: values, y: values.map((_, place) => Math.floor(place / nHeads) + 0.5), colour: "#999999", size: 2.5 },
        { x: each, y: layers, colour: blue, size: 4 },
      ],
    });
  }

  /** The mark is a layer, with a score on the left and a head on the right. */
  point(panel, x, y, isPressed) {
    const layer = Math.floor(y);
    if (panel === this.panels[0]) {
      this.setMark({ layer, score: x });
      return;
    }
    const nHeads = this.model.get("shown").sizes[1];
    const distances = this.numbers.values
      .subarray(layer * nHeads, (layer + 1) * nHeads)
      .map((value) => Math.abs(value - x));
    const head = distances.indexOf(Math.min(...distances));
    if (isPressed) this.set({ head });
    this.setMark({ layer, head });
  }

  move(panel, rows, columns) {
    const [first, last] = this.ends();
    const { ends, sizes } = this.model.get("shown");
    const within = (value, low, high) => Math.max(low, Math.min(high, value));
    const layer = within((this.mark?.layer ?? first - rows) + rows, first, last);
    if (panel === this.panels[0]) {
      const size = (ends[1] - ends[0]) / 100;
      this.setMark({ layer, score: within((this.mark?.score ?? 0) + columns * size, ...ends) });
    } else {
      this.setMark({ layer, head: within((this.mark?.head ?? this.get("head")) + columns, 0, sizes[1] - 1) });
    }
  }

  markOn(panel) {
    const { layer, score, head } = this.mark;
    const { low, high } = panel.content.x;
    const isHere = panel === this.panels[0] ? score !== undefined : head !== undefined;
    if (!isHere) return [[low, layer, high, layer + 1]];
    const value =
      panel === this.panels[0] ? score : this.numbers.values[layer * this.model.get("shown").sizes[1] + head];
    return [[value, layer, value, layer + 1]];
  }

  tell() {
    const { layer, score, head } = this.mark;
    const { ends, sizes } = this.model.get("shown");
    const { values, middle } = this.numbers;
    const name = this.model.get("statistic");
    const median = `median of the heads ${signed(middle[layer], 2)}`;
    if (score === undefined)
      return `L${layer}H${head}: ${name} ${signed(values[layer * sizes[1] + head], 3)}, ${median}.`;
    const place = Math.round(((score - ends[0]) / (ends[1] - ends[0])) * (this.nGrid - 1));
    const density = this.densities[layer * this.nGrid + place];
    return `Layer ${layer}, raw score ${signed(score, 1)}: density ${density.toPrecision(3)} per unit of q·k; ${name}: ${median}.`;
  }
}

const { render, renderStill } = entry(ProfileExplorer);
export { renderStill };
export default { render };
