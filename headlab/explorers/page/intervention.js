// The intervention explorer's own part. Python sends what each single change costs once for each text. Several changes
// together are Python's to measure; until it has, or where no kernel runs, the page adds the single ones up and says so.

const LEAST_SCALE = 0.01; // nats: a smaller change than that gets no strong colour
const NAMED = 3; // heads that the summary names

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const name = ([layer, head]) => `L${layer}H${head}`;
const isSame = (one, other) => JSON.stringify(one) === JSON.stringify(other);

/** A change in nats with its sign. */
function signed(value, digits = 3) {
  const size = Math.abs(value).toFixed(digits);
  return (value < 0 && Number(size) !== 0 ? "−" : "+") + size;
}

/** How sure the model was, in words. */
function chance(loss) {
  const oneIn = Math.exp(loss);
  return `one chance in ${oneIn < 10 ? oneIn.toFixed(1) : Math.round(oneIn).toLocaleString("en")}`;
}

/** Buttons in rows of `columns`, of which the tabulator key reaches one, and the arrow keys the others. */
function walk(buttons, columns) {
  buttons.forEach((button, place) => {
    button.tabIndex = place ? -1 : 0;
    button.addEventListener("focus", () => buttons.forEach((each) => { each.tabIndex = each === button ? 0 : -1; }));
    button.addEventListener("keydown", (event) => step(event, (down, right) => {
      const column = (place % columns) + right;
      const next = buttons[place + down * columns + right];
      if (next && column >= 0 && column < columns) next.focus();
    }));
  });
}

class Explorer {
  constructor(model, root, live) {
    this.model = model;
    this.live = live;
    this.palette = bytes(model.get("palettes"));
    this.build(root);
    this.listen();
    this.fill();
    this.load();
  }

  build(root) {
    this.heading = element("p", { class: "heading" });
    this.text = element("input", { type: "text", ...KEYS, spellcheck: "false" });
    this.error = element("p", { class: "error", role: "alert" });
    this.grid = element("div", { class: "grid", role: "group", "aria-label": "Heads to remove, layers by heads" });
    this.slider = element("input", { type: "range", min: 0, step: 1, ...KEYS });
    this.times = element("output");
    this.firstKey = element("input", { type: "checkbox", ...KEYS });
    this.reset = element("button", { type: "button" }, "Undo all changes");
    this.head = element("p", { "aria-live": "polite" });
    this.tokens = element("div", { class: "tokens", role: "group", "aria-label": "Tokens, coloured by change of loss" });
    this.ends = [element("span"), element("span")];
    this.token = element("p", { class: "token", "aria-live": "polite" });
    this.source = element("p", { class: "source", "aria-live": "polite" });
    this.summary = element("div", { class: "summary", "aria-live": "polite" });
    const colours = [0, 0.25, 0.5, 0.75, 1].map((part) => this.colour(2 * part - 1, 1)).join(", ");
    const bar = element("i", { style: `background: linear-gradient(to right, ${colours})` });
    this.root = element(
      "div",
      { class: "headlab-page headlab-losses" },
      this.heading,
      this.live ? element("label", {}, "Text ", this.text) : "",
      this.live ? this.error : "",
      element(
        "div",
        { class: "choice" },
        this.grid,
        element(
          "div",
          { class: "controls" },
          element("label", {}, "Scores times ", this.slider, this.times),
          element("label", {}, this.firstKey, "First key visible"),
          this.reset,
          this.head,
        ),
      ),
      this.summary,
      this.source,
      this.tokens,
      element("div", { class: "scale" }, this.ends[0], bar, this.ends[1]),
      this.token,
    );
    root.append(this.root);
  }

  listen() {
    const on = (target, event, action) => target.addEventListener(event, action);
    on(this.text, "change", () => this.set({ text: this.text.value }));
    on(this.text, "keydown", (event) => event.key === "Enter" && this.set({ text: this.text.value }));
    on(this.slider, "input", () => this.set({ scale: this.model.get("shown").scales[this.slider.value] }));
    on(this.firstKey, "input", () => this.set({ first_key: this.firstKey.checked }));
    on(this.reset, "click", () => this.set({ heads: [], scale: 1, first_key: true }));
    const draw = () => this.draw();
    const choices = ["heads", "scale", "first_key", "measured"].map((trait) => [`change:${trait}`, draw]);
    this.handlers = Object.fromEntries([
      ...choices,
      ["change:shown", () => this.load()],
      ["change:error", draw],
      ["change:text", () => this.fill()],
    ]);
    for (const [event, action] of Object.entries(this.handlers)) this.model.on(event, action);
  }

  /** Called when the page drops the explorer. */
  remove() {
    for (const [event, action] of Object.entries(this.handlers)) this.model.off(event, action);
  }

  set(values) {
    for (const [trait, value] of Object.entries(values)) this.model.set(trait, value);
    this.model.save_changes();
  }

  /** Take a head away, or put it back. */
  toggle(head) {
    const others = this.model.get("heads").filter((each) => !isSame(each, head));
    const heads = others.length < this.model.get("heads").length ? others : [...others, head];
    this.set({ heads: heads.sort((a, b) => a[0] - b[0] || a[1] - b[1]) });
  }

  /** The text box; left alone when an answer comes, since the reader may be typing the next text by then. */
  fill() {
    this.text.value = this.model.get("text");
  }

  /** The losses (T - 1) of one row of what Python sent. */
  row(place) {
    const n = this.nLosses;
    return this.rows.subarray(place * n, (place + 1) * n);
  }

  /** The colour of a change, as far as `limit` to both sides of no change. */
  colour(change, limit) {
    const place = Math.max(0, Math.min(255, Math.floor(128 * (change / limit + 1))));
    return `rgb(${this.palette.subarray(4 * place, 4 * place + 3).join(" ")})`;
  }

  /** Colour a button by a change, with ink that can be read on it. */
  paint(button, change, limit) {
    button.style.background = this.colour(change, limit);
    const [r, g, b] = button.style.background.match(/\d+/g);
    button.style.color = 0.299 * r + 0.587 * g + 0.114 * b < 128 ? "white" : "black";
  }

  /** A text has come: its tokens, and the losses under each single change. */
  load() {
    const { model_name, tokens, n_layers, n_heads, scales, losses } = this.model.get("shown");
    [this.labels, this.nHeads, this.nLosses] = [tokens, n_heads, tokens.length - 1];
    this.rows = new Float32Array(bytes(losses).buffer);
    this.own = this.row(0);
    this.heading.textContent = `Model: ${model_name}, ${n_layers} layers of ${n_heads} heads. ${tokens.length} tokens.`;
    this.slider.max = scales.length - 1;
    this.places = Array.from({ length: n_layers * n_heads }, (_, i) => [Math.floor(i / n_heads), i % n_heads]);
    this.costs = this.places.map((_, i) => mean(this.row(1 + i)) - mean(this.own));
    this.buildGrid(n_layers, n_heads);
    this.buildTokens();
    this.draw();
  }

  buildGrid(nLayers, nHeads) {
    const limit = Math.max(LEAST_SCALE, ...this.costs.map(Math.abs));
    this.heads = this.places.map((place, i) => {
      const button = element("button", { type: "button", ...KEYS });
      this.paint(button, this.costs[i], limit);
      button.addEventListener("click", () => this.toggle(place));
      const tell = () => { this.head.textContent = `${name(place)} by itself: ${signed(this.costs[i])} nats a token.`; };
      for (const event of ["focus", "pointerenter"]) button.addEventListener(event, tell);
      return button;
    });
    const label = (text) => element("span", { "aria-hidden": "true" }, text);
    this.grid.style.gridTemplateColumns = `24px repeat(${nHeads}, minmax(0, 34px))`;
    const rows = Array.from({ length: nLayers }, (_, layer) => [
      label(`L${layer}`), ...this.heads.slice(layer * nHeads, (layer + 1) * nHeads),
    ]);
    this.grid.replaceChildren(label(""), ...Array.from({ length: nHeads }, (_, head) => label(`H${head}`)), ...rows.flat());
    walk(this.heads, nHeads);
    this.head.textContent = "Choose heads to remove: a click, or the arrow keys and the space bar.";
  }

  buildTokens() {
    this.words = this.labels.map((label, place) => {
      const button = element("button", { type: "button", ...KEYS }, label);
      for (const event of ["focus", "pointerenter", "click"]) button.addEventListener(event, () => this.tell(place));
      return button;
    });
    this.tokens.replaceChildren(...this.words);
    walk(this.words, this.words.length);
    this.place = 1;
  }

  /** The rows of the single changes that are chosen, as Python orders them. */
  chosen() {
    const { scales } = this.model.get("shown");
    const after = 1 + this.places.length;
    const rows = this.model.get("heads").map(([layer, head]) => 1 + layer * this.nHeads + head);
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
    const rest = this.live ? "The kernel measures all changes together." : "Only a running kernel can measure them together.";
    const source = `An estimate, not a measurement: the single changes added up. ${rest}`;
    return { losses: sum, measured: false, source, error: answered ? error : "" };
  }

  /** Show what is chosen. */
  draw() {
    const [heads, scale] = [this.model.get("heads"), this.model.get("scale")];
    const rows = this.chosen();
    const { losses, measured, source, error } = this.together(rows);
    this.losses = losses;
    this.heads.forEach((button, i) => {
      const pressed = heads.some((head) => isSame(head, this.places[i]));
      button.setAttribute("aria-pressed", pressed);
      button.setAttribute("aria-label", `${name(this.places[i])}, ${signed(this.costs[i])} nats`);
      button.textContent = pressed ? "×" : "";
    });
    this.slider.value = this.model.get("shown").scales.indexOf(scale);
    this.slider.setAttribute("aria-valuetext", `${scale}`);
    this.times.textContent = `${scale}`;
    this.firstKey.checked = this.model.get("first_key");
    this.error.textContent = this.model.get("error") || error;
    this.source.textContent = source;
    this.summary.replaceChildren(...this.lines(rows, measured).map((line) => element("p", {}, line)));
    const changes = Array.from(losses, (loss, t) => loss - this.own[t]);
    const limit = Math.max(LEAST_SCALE, ...changes.map(Math.abs));
    this.ends[0].textContent = `${signed(-limit, 2)} nats`;
    this.ends[1].textContent = `${signed(limit, 2)} nats`;
    this.words.forEach((button, place) => this.paint(button, place ? changes[place - 1] : 0, limit));
    this.tell(this.place);
  }

  /** What is changed and what it costs, in words; as Python's `lines`. */
  lines(rows, measured) {
    const own = mean(this.own);
    if (!rows.length) return ["Nothing is changed.", `Mean loss ${own.toFixed(3)} nats a token.`];
    const changes = Array.from(this.losses, (loss, t) => loss - this.own[t]);
    const [low, high] = [Math.min, Math.max].map((end) => changes.indexOf(end(...changes)));
    const tell = (t) => `${signed(changes[t])} (“${this.labels[t + 1]}”)`;
    const lines = [
      `Changed: ${this.choiceInWords()}.`,
      `Mean loss ${own.toFixed(3)} nats a token as it is, ${measured ? "" : "an estimated "}${mean(this.losses).toFixed(3)} with the change ` +
        `(${signed(mean(changes))}).`,
      `A token's loss changes by ${tell(low)} to ${tell(high)}.`,
    ];
    if (rows.length > 1) {
      const single = rows.reduce((sum, row) => sum + mean(this.row(row)) - own, 0);
      lines.push(`The single changes add up to ${signed(single)}.`);
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

  /** Say what one token costs. */
  tell(place) {
    this.place = place;
    const label = `Token ${place}, “${this.labels[place]}”`;
    const [before, after] = [this.own[place - 1], this.losses[place - 1]];
    this.token.textContent = place
      ? `${label}: ${before.toFixed(3)} nats as it is, ${after.toFixed(3)} now (${signed(after - before)}). ` +
        `The model gave it ${chance(before)}, and now ${chance(after)}.`
      : `${label}: nothing stands before it, so it has no loss.`;
  }
}

function render({ model, el }) {
  const explorer = new Explorer(model, el, true);
  return () => explorer.remove();
}

export function renderStill(state, el) {
  new Explorer(stillModel(state, "losses"), el, false);
}

export default { render };
