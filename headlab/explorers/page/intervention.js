// Lesson 8. Python sends the cost of each single change once for each text. Several changes together must be measured
// by Python; until they are, or where no kernel runs, the page adds up the single ones and says so.

const LEAST_SCALE = 0.01; // nats: changes smaller than this get no strong colour
const NAMED = 3; // heads that the summary names

const name = ([layer, head]) => `L${layer}H${head}`;
const isSame = (one, other) => JSON.stringify(one) === JSON.stringify(other);

/** A change in nats with its sign. */
const change = (value, digits = 3) => (Number(value.toFixed(digits)) < 0 ? "" : "+") + signed(value, digits);

/** How sure the model was, in words. */
function chance(loss) {
  const oneIn = Math.exp(loss);
  return `one chance in ${oneIn < 10 ? oneIn.toFixed(1) : Math.round(oneIn).toLocaleString("en")}`;
}

/** Buttons in rows of `columns`: the Tab key reaches one of them, the arrow keys move to the others. */
function walk(buttons, columns) {
  buttons.forEach((button, place) => {
    button.tabIndex = place ? -1 : 0;
    button.addEventListener("focus", () =>
      buttons.forEach((each) => {
        each.tabIndex = each === button ? 0 : -1;
      }),
    );
    button.addEventListener("keydown", (event) =>
      step(event, (down, right) => {
        const column = (place % columns) + right;
        const next = buttons[place + down * columns + right];
        if (next && column >= 0 && column < columns) next.focus();
      }),
    );
  });
}

class InterventionExplorer extends PageExplorer {
  get settings() {
    return ["heads", ...super.settings];
  }

  /** No panels, but buttons: one for each head, one for each token. */
  makePanels() {
    this.grid = element("div", { class: "grid", role: "group", "aria-label": "Heads to remove, layers by heads" });
    this.reset = element("button", { type: "button" }, "Undo all changes");
    this.head = element("p", { class: "head" });
    this.tokenRow = element("div", {
      class: "tokens",
      role: "group",
      "aria-label": "Tokens, coloured by change of loss",
    });
    this.ends = [element("span"), element("span")];
    this.source = element("p", { class: "source" });
    const colours = [0, 0.25, 0.5, 0.75, 1].map((part) => this.colour(2 * part - 1, 1)).join(", ");
    const bar = element("i");
    bar.style.background = `linear-gradient(to right, ${colours})`;
    this.root.classList.add("headlab-losses");
    this.pictures.append(
      this.grid,
      element("div", { class: "beside" }, this.reset, this.head),
      this.source,
      this.tokenRow,
      element("div", { class: "scale" }, this.ends[0], bar, this.ends[1]),
    );
    this.reset.addEventListener("click", () => this.set({ heads: [], scale: 1, first_key: true }));
    this.model.on("change:measured", (this.handlers["change:measured"] = () => this.changed()));
    return [];
  }

  /** Take a head away, or put it back. */
  toggle(head) {
    const others = this.model.get("heads").filter((each) => !isSame(each, head));
    const heads = others.length < this.model.get("heads").length ? others : [...others, head];
    this.set({ heads: heads.sort((a, b) => a[0] - b[0] || a[1] - b[1]) });
  }

  /** The losses (T - 1) of one row of what Python sent. */
  row(place) {
    const n = this.tokens.length - 1;
    return this.rows.subarray(place * n, (place + 1) * n);
  }

  /** The colour of a change, on a scale from -limit to limit. */
  colour(change, limit) {
    const place = Math.max(0, Math.min(255, Math.floor(128 * (change / limit + 1))));
    const [r, g, b] = new Uint8Array(this.palettes.score.slice(place, place + 1).buffer);
    return `rgb(${r} ${g} ${b})`;
  }

  /** Colour a button by a change, with text that can be read on it. */
  paint(button, change, limit) {
    button.style.background = this.colour(change, limit);
    button.style.color = ink(button.style.background.match(/\d+/g));
  }

  /** Take in a new text: its tokens, and the losses under each single change. */
  load() {
    const [nLayers, nHeads] = this.model.get("shown").sizes;
    this.rows = this.array("losses", Float32Array);
    this.own = this.row(0);
    this.places = Array.from({ length: nLayers * nHeads }, (_, i) => [Math.floor(i / nHeads), i % nHeads]);
    this.costs = this.places.map((_, i) => mean(this.row(1 + i)) - mean(this.own));
    this.buildGrid(nLayers, nHeads);
    this.buildTokens();
    this.mark = 1;
  }

  buildGrid(nLayers, nHeads) {
    const limit = Math.max(LEAST_SCALE, ...this.costs.map(Math.abs));
    this.heads = this.places.map((place, i) => {
      const button = element("button", { type: "button", ...KEYS });
      this.paint(button, this.costs[i], limit);
      button.addEventListener("click", () => this.toggle(place));
      const tell = () => {
        this.head.textContent = `${name(place)} by itself: ${change(this.costs[i])} nats a token.`;
      };
      for (const event of ["focus", "pointerenter"]) button.addEventListener(event, tell);
      return button;
    });
    const label = (text) => element("span", { "aria-hidden": "true" }, text);
    this.grid.style.gridTemplateColumns = `24px repeat(${nHeads}, minmax(0, 34px))`;
    const rows = Array.from({ length: nLayers }, (_, layer) => [
      label(`L${layer}`),
      ...this.heads.slice(layer * nHeads, (layer + 1) * nHeads),
    ]);
    this.grid.replaceChildren(
      label(""),
      ...Array.from({ length: nHeads }, (_, head) => label(`H${head}`)),
      ...rows.flat(),
    );
    walk(this.heads, nHeads);
    this.head.textContent =
      "Choose heads to remove: a click, or the arrow keys and the space bar. " +
      `Colours: the cost of each by itself, from ${change(-limit)} (orange) to ${change(limit)} nats a token (blue).`;
  }

  buildTokens() {
    this.words = this.tokens.map((label, place) => {
      const button = element("button", { type: "button", ...KEYS }, label);
      for (const event of ["focus", "pointerenter", "click"]) button.addEventListener(event, () => this.setMark(place));
      return button;
    });
    this.tokenRow.replaceChildren(...this.words);
    walk(this.words, this.words.length);
  }

  /** The rows of the single changes that are chosen, as Python orders them. */
  chosen() {
    const { sizes, controls } = this.model.get("shown");
    const scales = controls.scale.values;
    const after = 1 + this.places.length;
    const rows = this.model.get("heads").map(([layer, head]) => 1 + layer * sizes[1] + head);
    if (this.model.get("scale") !== 1) rows.push(after + scales.indexOf(this.model.get("scale")));
    return this.model.get("first_key") ? rows : [...rows, after + scales.length];
  }

  /** The losses under all changes together, whether they are measured, where they come from, and what went wrong. */
  together(rows) {
    if (rows.length < 2) return { losses: this.row(rows[0] ?? 0), measured: true, source: "", error: "" };
    const get = (trait) => this.model.get(trait);
    const { choice, losses, error } = get("measured");
    const answered = isSame(choice, [get("shown").text, get("heads"), get("scale"), get("first_key")]);
    if (answered && !error) return { losses, measured: true, source: "Measured: all changes together.", error };
    const sum = this.own.map((own, t) => rows.reduce((total, row) => total + this.row(row)[t] - own, own));
    const rest = this.live
      ? "The kernel measures all changes together."
      : "Only a running kernel can measure them together.";
    const source = `An estimate, not a measurement: the single changes added up. ${rest}`;
    return { losses: sum, measured: false, source, error: answered ? error : "" };
  }

  /** What is changed and what that costs, in words, as Python's `lines`. */
  lines() {
    const [rows, measured] = [this.chosenRows, this.measured];
    const own = mean(this.own);
    if (!rows.length) return ["Nothing is changed.", `Mean loss ${own.toFixed(3)} nats a token.`];
    const { losses } = this.numbers;
    const changes = Array.from(losses, (loss, t) => loss - this.own[t]);
    const [low, high] = [Math.min, Math.max].map((end) => changes.indexOf(end(...changes)));
    const tell = (t) => `${change(changes[t])} (“${this.tokens[t + 1]}”)`;
    const lines = [
      `Changed: ${this.choiceInWords()}.`,
      `Mean loss ${own.toFixed(3)} nats a token as it is, ${measured ? "" : "an estimated "}${mean(losses).toFixed(3)} with the change ` +
        `(${change(mean(changes))}).`,
      `A token's loss changes by ${tell(low)} to ${tell(high)}.`,
    ];
    if (rows.length > 1) {
      const single = rows.reduce((sum, row) => sum + mean(this.row(row)) - own, 0);
      lines.push(`The single changes add up to ${change(single)}.`);
    }
    return lines;
  }

  choiceInWords() {
    const names = this.model.get("heads").map(name);
    if (names.length > NAMED) names.splice(NAMED, names.length, `${names.length - NAMED} more`);
    const parts = names.length ? [`without ${names.join(", ")}`] : [];
    if (this.model.get("scale") !== 1) parts.push(`scores times ${this.model.get("scale")}`);
    if (!this.model.get("first_key")) parts.push("without the first key");
    return parts.join("; ");
  }

  compute() {
    this.chosenRows = this.chosen();
    const { losses, measured, source, error } = this.together(this.chosenRows);
    this.measured = measured;
    this.source.textContent = source;
    if (error) throw new Error(error);
    this.numbers = { losses };
  }

  show() {
    const { losses } = this.numbers;
    const heads = this.model.get("heads");
    this.heads.forEach((button, i) => {
      const pressed = heads.some((head) => isSame(head, this.places[i]));
      button.setAttribute("aria-pressed", pressed);
      button.setAttribute("aria-label", `${name(this.places[i])}, ${change(this.costs[i])} nats`);
      button.textContent = pressed ? "×" : "";
    });
    const changes = Array.from(losses, (loss, t) => loss - this.own[t]);
    const limit = Math.max(LEAST_SCALE, ...changes.map(Math.abs));
    this.ends[0].textContent = `${change(-limit, 2)} nats`;
    this.ends[1].textContent = `${change(limit, 2)} nats`;
    this.words.forEach((button, place) => this.paint(button, place ? changes[place - 1] : 0, limit));
  }

  /** What one token costs. */
  tell() {
    const label = `Token ${this.mark}, “${this.tokens[this.mark]}”`;
    const [before, after] = [this.own[this.mark - 1], this.numbers.losses[this.mark - 1]];
    return this.mark
      ? `${label}: ${before.toFixed(3)} nats as it is, ${after.toFixed(3)} now (${change(after - before)}). ` +
          `The model gave it ${chance(before)}, and now ${chance(after)}.`
      : `${label}: nothing stands before it, so it has no loss.`;
  }
}

const { render, renderStill } = entry(InterventionExplorer);
export { renderStill };
export default { render };
