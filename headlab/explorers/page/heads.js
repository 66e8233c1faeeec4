// The head explorer's own part. Python sends the raw scores of every head once; all else happens here.

const THUMB = 36; // pixels of the largest thumbnail in the overview, its frame included
const GAP = 16; // pixels between two panels
const LABELS = 96; // pixels at most for a token's label
const TITLE = 46; // pixels above a panel: its name and its colour scale
const MARGIN = 24; // pixels for the names of the layers and heads in the overview
const MASKED = ["#d9d9d9", "#a6a6a6"]; // a masked cell and its hatching, as in plots.py
const FONT = "system-ui, sans-serif";
const PANELS = ["raw scores", "scaled", "masked", "pattern"];

/** The four stages of one head as (T * T) arrays, and the largest raw score's size; the same steps as lesson 3's. */
export function stages(raw, nTokens, divisor) {
  const scaled = Float64Array.from(raw, (score) => score / divisor);
  const masked = scaled.map((score, cell) => (cell % nTokens > Math.floor(cell / nTokens) ? -Infinity : score));
  const pattern = new Float64Array(raw.length);
  for (let start = 0; start < raw.length; start += nTokens) {
    const row = masked.subarray(start, start + nTokens);
    const largest = Math.max(...row);
    const weights = row.map((score) => Math.exp(score - largest));
    const sum = weights.reduce((a, b) => a + b);
    pattern.set(weights.map((weight) => weight / sum), start);
  }
  return [raw, scaled, masked, pattern];
}

/** The colours of values between `low` and `high`, `width` of them in a line; what is masked is left out. */
function colours(values, low, high, palette, width, isMasked = () => false) {
  const image = new ImageData(width, values.length / width);
  const target = new Uint32Array(image.data.buffer);
  const steps = 256 / (high - low);
  for (let cell = 0; cell < values.length; cell++) {
    const step = Math.max(0, Math.min(255, Math.floor(steps * (values[cell] - low))));
    if (!isMasked(cell)) target[cell] = palette[step];
  }
  return image;
}

/** One tile of the hatching of masked cells. */
function hatching() {
  const tile = new OffscreenCanvas(6, 6);
  const lines = tile.getContext("2d");
  lines.fillStyle = MASKED[0];
  lines.fillRect(0, 0, 6, 6);
  lines.strokeStyle = MASKED[1];
  for (const start of [-6, 0, 6]) {
    lines.moveTo(start - 1, 7);
    lines.lineTo(start + 7, -1);
  }
  lines.stroke();
  return tile;
}

/** A canvas of its own with these pixels, to be drawn at any size. */
function picture(image) {
  const canvas = new OffscreenCanvas(image.width, image.height);
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/** The drawing context of a canvas that is `width` x `height` on the page and as fine as the screen. */
function fit(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  return context;
}

function outline(context, x, y, width, height) {
  for (const [colour, line] of [["white", 4], ["black", 2]]) {
    context.strokeStyle = colour;
    context.lineWidth = line;
    context.strokeRect(x, y, width, height);
  }
}

/** A number as a reader wants it: four decimals, a true minus sign, and the infinite as such. */
function shown(value) {
  return (value === -Infinity ? "-∞" : value.toFixed(4)).replace("-", "−");
}

class Explorer {
  constructor(model, root, live) {
    this.model = model;
    const palettes = new Uint32Array(bytes(model.get("palettes")).buffer); // 256 colours for scores, 256 for patterns
    this.palettes = [0, 0, 0, 256].map((start) => palettes.subarray(start, start + 256));
    this.hatching = hatching();
    this.build(root, live);
    this.listen();
    this.fill();
    this.load();
  }

  build(root, live) {
    this.heading = element("p", { class: "heading" });
    this.text = element("input", { type: "text", ...KEYS, spellcheck: "false" });
    this.error = element("p", { class: "error", role: "alert" });
    this.sliders = ["layer", "head"].map((name) => element("input", { type: "range", min: 0, name, ...KEYS }));
    this.name = element("output");
    this.overview = element("canvas", { tabindex: 0, role: "application", class: "overview", ...KEYS });
    this.panels = element("canvas", { tabindex: 0, role: "application", class: "panels", ...KEYS });
    this.pair = element("p", { class: "pair", "aria-live": "polite" });
    this.values = element("p", { class: "values", "aria-live": "polite" });
    this.summary = element("div", { class: "summary", "aria-live": "polite" });
    this.panels.setAttribute(
      "aria-label",
      "Raw scores, scaled scores, masked scores and pattern of one head. The arrow keys move the marked cell.",
    );
    this.overview.setAttribute("aria-label", "The patterns of all heads. The arrow keys choose a layer and a head.");
    const [layer, head] = this.sliders;
    const hint = "Choose a head above or with the sliders; point at a cell below, or move the mark with the arrow keys.";
    this.root = element(
      "div",
      { class: "headlab-page headlab-heads" },
      this.heading,
      live ? element("label", {}, "Text ", this.text) : "",
      live ? this.error : "",
      element(
        "div",
        { class: "choice" },
        this.overview,
        element(
          "div",
          { class: "controls" },
          element("label", {}, "Layer ", layer),
          element("label", {}, "Head ", head),
          this.name,
          element("p", { class: "hint" }, hint),
        ),
      ),
      this.panels,
      this.pair,
      this.values,
      this.summary,
    );
    root.append(this.root);
  }

  listen() {
    const on = (target, event, action) => target.addEventListener(event, action);
    for (const slider of this.sliders) on(slider, "input", () => this.choose({ [slider.name]: Number(slider.value) }));
    on(this.text, "change", () => this.set({ text: this.text.value }));
    on(this.text, "keydown", (event) => event.key === "Enter" && this.set({ text: this.text.value }));
    on(this.overview, "pointerdown", (event) => this.choose(this.headAt(event)));
    on(this.overview, "keydown", (event) => step(event, (rows, columns) => {
      this.choose({ layer: this.model.get("layer") + rows, head: this.model.get("head") + columns });
    }));
    for (const event of ["pointermove", "pointerdown"]) on(this.panels, event, (where) => this.mark(this.cellAt(where)));
    on(this.panels, "keydown", (event) => step(event, (rows, columns) => {
      this.mark([this.cell[0] + rows, this.cell[1] + columns]);
    }));
    this.handlers = {
      "change:shown": () => this.load(),
      "change:layer": () => this.draw(),
      "change:head": () => this.draw(),
      "change:error": () => this.say(),
      "change:text": () => this.fill(),
    };
    for (const [event, action] of Object.entries(this.handlers)) this.model.on(event, action);
    this.resizing = new ResizeObserver(() => this.root.clientWidth === this.width || this.resize());
    this.resizing.observe(this.root);
  }

  /** Called when the page drops the explorer. */
  remove() {
    this.resizing.disconnect();
    for (const [event, action] of Object.entries(this.handlers)) this.model.off(event, action);
  }

  set(values) {
    for (const [name, value] of Object.entries(values)) this.model.set(name, value);
    this.model.save_changes();
  }

  /** Go to a layer and a head; beyond the last there is none. */
  choose({ layer = this.model.get("layer"), head = this.model.get("head") }) {
    const within = (value, n) => Math.max(0, Math.min(n - 1, value));
    this.set({ layer: within(layer, this.nLayers), head: within(head, this.nHeads) });
  }

  /** A text has come: its tokens and the scores of all its heads. */
  load() {
    const { model_name, tokens, n_layers, n_heads, divisors, scores } = this.model.get("shown");
    this.tokens = tokens;
    this.nTokens = tokens.length;
    this.inFuture = (cell) => cell % this.nTokens > Math.floor(cell / this.nTokens);
    [this.nLayers, this.nHeads, this.divisors] = [n_layers, n_heads, divisors];
    this.scores = new Float32Array(bytes(scores).buffer);
    this.cell = [this.nTokens - 1, 0];
    this.heading.textContent =
      `Model: ${model_name}, ${n_layers} layers of ${n_heads} heads. ${this.nTokens} tokens.`;
    this.sliders[0].max = n_layers - 1;
    this.sliders[1].max = n_heads - 1;
    this.thumbnails = picture(this.mosaic());
    this.say();
    this.resize();
  }

  /** The text box; left alone when an answer comes, since the reader may be typing the next text by then. */
  fill() {
    this.text.value = this.model.get("text");
  }

  say() {
    this.error.textContent = this.model.get("error");
  }

  stagesOf(layer, head) {
    const size = this.nTokens ** 2;
    const start = (layer * this.nHeads + head) * size;
    return stages(this.scores.subarray(start, start + size), this.nTokens, this.divisors[layer]);
  }

  /** The patterns of all heads in one picture, layers down and heads across. */
  mosaic() {
    const n = this.nTokens;
    const image = new ImageData(this.nHeads * n, this.nLayers * n);
    for (let layer = 0; layer < this.nLayers; layer++) {
      for (let head = 0; head < this.nHeads; head++) {
        const tile = colours(this.stagesOf(layer, head)[3], 0, 1, this.palettes[3], n, this.inFuture);
        for (let row = 0; row < n; row++) {
          const line = tile.data.subarray(4 * row * n, 4 * (row + 1) * n);
          image.data.set(line, 4 * ((layer * n + row) * image.width + head * n));
        }
      }
    }
    return image;
  }

  /** Lay everything out for the width that there is; the height then depends on the text alone. */
  resize() {
    this.width = this.root.clientWidth;
    const inside = Math.max(this.width, 480) - 16; // without the padding, and the ring of what has the focus
    const context = this.panels.getContext("2d");
    context.font = `11px ${FONT}`;
    const widest = Math.max(...this.tokens.map((token) => context.measureText(token).width));
    this.label = Math.max(54, Math.min(LABELS, Math.ceil(widest) + 8));
    this.side = Math.max(60, Math.min(300, Math.floor((inside - this.label - 3 * GAP - 2) / 4)));
    this.thumb = Math.max(14, Math.min(THUMB, Math.floor(432 / Math.max(this.nLayers, this.nHeads))));
    this.draw();
  }

  /** Draw the chosen head. */
  draw() {
    const [layer, head] = [this.model.get("layer"), this.model.get("head")];
    this.stages = this.stagesOf(layer, head);
    const limits = this.stages.slice(0, 2).map((values) => Math.max(...values.map(Math.abs)) || 1);
    this.ranges = [limits[0], limits[1], limits[1]].map((limit) => [-limit, limit]).concat([[0, 1]]);
    this.heatmaps = this.stages.map((values, i) =>
      picture(colours(values, ...this.ranges[i], this.palettes[i], this.nTokens, i < 2 ? undefined : this.inFuture)),
    );
    this.sliders[0].value = layer;
    this.sliders[1].value = head;
    this.sliders.forEach((slider) => slider.setAttribute("aria-valuetext", `L${layer}H${head}`));
    this.name.textContent = `L${layer}H${head}`;
    const lines = this.model.get("shown").summaries[layer * this.nHeads + head];
    this.summary.replaceChildren(...lines.map((line) => element("p", { title: line }, line)));
    this.drawOverview(layer, head);
    this.mark(this.cell);
  }

  drawOverview(layer, head) {
    const thumb = this.thumb;
    const context = fit(this.overview, MARGIN + thumb * this.nHeads + 2, MARGIN + thumb * this.nLayers + 2);
    context.font = `10px ${FONT}`;
    context.fillStyle = getComputedStyle(this.root).color;
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (let i = 0; i < this.nLayers; i++) context.fillText(`L${i}`, MARGIN / 2, MARGIN + thumb * (i + 0.5));
    for (let j = 0; j < this.nHeads; j++) context.fillText(`H${j}`, MARGIN + thumb * (j + 0.5), MARGIN / 2);
    const n = this.nTokens;
    context.fillStyle = context.createPattern(this.hatching, "repeat"); // what is masked is left out of the pictures
    for (let i = 0; i < this.nLayers; i++) {
      for (let j = 0; j < this.nHeads; j++) {
        const place = [MARGIN + j * thumb + 1, MARGIN + i * thumb + 1, thumb - 2, thumb - 2];
        context.fillRect(...place);
        context.drawImage(this.thumbnails, j * n, i * n, n, n, ...place);
      }
    }
    outline(context, MARGIN + head * thumb, MARGIN + layer * thumb, thumb, thumb);
  }

  /** Mark one cell in all four panels and say what it holds. */
  mark(cell) {
    if (!cell) return;
    this.cell = cell.map((place) => Math.max(0, Math.min(this.nTokens - 1, place)));
    const [i, j] = this.cell;
    const values = this.stages.map((stage) => shown(stage[i * this.nTokens + j]));
    this.pair.textContent = `query ${i} “${this.tokens[i]}” → key ${j} “${this.tokens[j]}”`;
    this.values.textContent = PANELS.map((name, panel) => `${name.replace("scores", "score")} ${values[panel]}`).join(" · ");
    this.drawPanels();
  }

  drawPanels() {
    const { label, side, nTokens, tokens } = this;
    const context = fit(this.panels, label + 4 * side + 3 * GAP + 2, TITLE + side + label + 2);
    const ink = getComputedStyle(this.root).color;
    const size = side / nTokens;
    const every = Math.ceil(10 / size); // labels that would overlap are left out
    const ground = context.createPattern(this.hatching, "repeat");
    this.heatmaps.forEach((heatmap, panel) => {
      const left = label + panel * (side + GAP);
      context.imageSmoothingEnabled = false;
      context.fillStyle = ground;
      context.fillRect(left, TITLE, side, side);
      context.drawImage(heatmap, left, TITLE, side, side);
      this.drawScale(context, panel, left, ink);
    });
    context.font = `${Math.min(11, Math.max(9, size))}px ${FONT}`;
    context.textBaseline = "middle";
    context.textAlign = "right";
    context.fillText("query ↓", label - 4, TITLE - 8);
    context.fillText("key →", label - 4, TITLE + side + 10);
    tokens.forEach((token, place) => {
      if (place % every === 0) this.drawLabels(context, token, (place + 0.5) * size);
    });
    const [i, j] = this.cell;
    const frame = Math.max(size, 6);
    for (let panel = 0; panel < 4; panel++) {
      const x = label + panel * (side + GAP) + (j + 0.5) * size;
      outline(context, x - frame / 2, TITLE + (i + 0.5) * size - frame / 2, frame, frame);
    }
  }

  /** A token's name at its row and at its column of each panel. */
  drawLabels(context, token, middle) {
    const { label, side } = this;
    context.fillText(token, label - 4, TITLE + middle, label - 6);
    for (let panel = 0; panel < 4; panel++) {
      context.save();
      context.translate(label + panel * (side + GAP) + middle, TITLE + side + 4);
      context.rotate(-Math.PI / 2);
      context.fillText(token, 0, 0, label - 6);
      context.restore();
    }
  }

  /** A panel's name, and its colours with the values at their two ends. */
  drawScale(context, panel, left, ink) {
    const [low, high] = this.ranges[panel];
    const digits = (value) => (panel === 3 ? `${value}` : value.toFixed(1)).replace("-", "−");
    context.fillStyle = ink;
    context.textBaseline = "middle";
    context.font = `bold 12px ${FONT}`;
    context.textAlign = "left";
    context.fillText(PANELS[panel], left, 10);
    context.font = `10px ${FONT}`;
    context.fillText(digits(low), left, 32);
    context.textAlign = "right";
    context.fillText(digits(high), left + this.side, 32);
    const room = this.side - 88; // between the two numbers
    if (room < 12) return;
    const steps = Float64Array.from({ length: 256 }, (_, step) => step / 255);
    context.imageSmoothingEnabled = true;
    context.drawImage(picture(colours(steps, 0, 1, this.palettes[panel], 256)), left + 44, 27, room, 10);
  }

  cellAt(event) {
    const x = (event.offsetX - this.label) % (this.side + GAP);
    const y = event.offsetY - TITLE;
    if (event.offsetX < this.label || x >= this.side || y < 0 || y >= this.side) return null;
    return [y, x].map((place) => Math.floor((place / this.side) * this.nTokens));
  }

  headAt(event) {
    return {
      layer: Math.floor((event.offsetY - MARGIN) / this.thumb),
      head: Math.floor((event.offsetX - MARGIN) / this.thumb),
    };
  }
}

function render({ model, el }) {
  const explorer = new Explorer(model, el, true);
  return () => explorer.remove();
}

export function renderStill(state, el) {
  new Explorer(stillModel(state, "scores"), el, false);
}

export default { render };
