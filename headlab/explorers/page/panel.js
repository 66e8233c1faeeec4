// One picture of an explorer on a canvas of its own: a table in colours, lines, bars and dots over two axes.

const FONT = "system-ui, sans-serif";
const MASKED = ["#d9d9d9", "#a6a6a6"]; // a masked cell and its hatching, as in plots.py
const TOP = 40; // pixels for the title and the colour scale
const LONGEST = 92; // pixels for a token's label, at most

/** The drawing context of a canvas that is `width` x `height` on the page and as sharp as the screen. */
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

/** A canvas of its own with a table in colours from `low` to `high`; what is masked is left out. */
function tableOf({ values, columns, palette, low, high, isMasked = () => false }) {
  const canvas = new OffscreenCanvas(columns, values.length / columns);
  const image = new ImageData(canvas.width, canvas.height);
  const target = new Uint32Array(image.data.buffer);
  const steps = 256 / (high - low);
  for (let cell = 0; cell < values.length; cell++) {
    const place = Math.max(0, Math.min(255, Math.floor(steps * (values[cell] - low))));
    if (!isMasked(cell)) target[cell] = palette[place];
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
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

/** Round numbers from `low` to `high`, with their text. */
function ticksOf(low, high, most = 5) {
  const rough = Math.abs(high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const size = [1, 2, 5, 10].find((times) => times * power >= rough * (1 - 1e-9)) * power;
  const digits = Math.max(0, -Math.floor(Math.log10(size) + 1e-9));
  const [first, last] = [Math.ceil(Math.min(low, high) / size - 1e-9), Math.floor(Math.max(low, high) / size + 1e-9)];
  return Array.from({ length: last - first + 1 }, (_, i) => [(first + i) * size, signed((first + i) * size, digits)]);
}

/** A number with this many digits after the point and a true minus sign. */
function signed(value, digits) {
  if (value === -Infinity) return "−∞";
  const text = Math.abs(value).toFixed(digits);
  return (value < 0 && Number(text) !== 0 ? "−" : "") + text;
}

/** The ticks of an axis of tokens: in the middle of each cell, the token. */
const tokenTicks = (tokens) => tokens.map((token, place) => [place + 0.5, token]);

class Panel {
  /** name: for a screen reader; ratio: of height to width inside the axes, or tall: that height in pixels; least, most:
   * limits of the whole width; isAlone: whether the panel has a row of its own. */
  constructor(explorer, name, { ratio, tall = 200, least = 250, most = 440, isAlone = false } = {}) {
    Object.assign(this, { explorer, ratio, tall, least, most, isAlone, marks: [] });
    const label = `${name}. The arrow keys move the mark.`;
    this.canvas = element("canvas", { tabindex: 0, role: "application", "aria-label": label, ...KEYS });
    for (const event of ["pointermove", "pointerdown"]) {
      this.canvas.addEventListener(event, (where) => {
        const place = this.placeOf(where);
        if (place) explorer.point(this, ...place, event === "pointerdown");
      });
    }
    this.canvas.addEventListener("keydown", (event) =>
      step(event, (rows, columns) => explorer.move(this, rows, columns)),
    );
  }

  /** What the panel shows: title; x and y, each {low, high, label, ticks, turned}; table; bars, lines, dots, rules,
   * frames. */
  set(content) {
    this.content = { bars: [], lines: [], dots: [], rules: [], frames: [], ...content };
    this.table = content.table && tableOf(content.table);
    for (const axis of [content.x, content.y]) axis.ticks ??= ticksOf(axis.low, axis.high);
  }

  /** Find room for the labels, so that the height depends on the width and the text alone. */
  layout(width) {
    const { x, y } = this.content;
    const context = this.canvas.getContext("2d");
    context.font = `11px ${FONT}`;
    const widest = (ticks) => Math.max(0, ...ticks.map(([, text]) => context.measureText(text).width));
    const names = Math.min(LONGEST, 0.3 * width);
    this.left = 22 + (y.turned === undefined ? 34 : Math.min(names, widest(y.ticks) + 4));
    this.right = x.turned ? 4 : 14;
    this.names = Math.min(names, widest(x.ticks) + 6);
    this.bottom = 22 + (x.turned ? this.names : 14);
    this.width = Math.max(60, width - this.left - this.right);
    this.height = this.ratio ? this.ratio * this.width : this.tall;
    this.whole = [width, TOP + this.height + this.bottom];
  }

  atX(value) {
    const { low, high } = this.content.x;
    return this.left + (this.width * (value - low)) / (high - low);
  }

  atY(value) {
    const { low, high } = this.content.y;
    return TOP + this.height * (1 - (value - low) / (high - low));
  }

  placeOf(event) {
    const { x, y } = this.content;
    const [right, up] = [(event.offsetX - this.left) / this.width, 1 - (event.offsetY - TOP) / this.height];
    if (right < 0 || right >= 1 || up <= 0 || up > 1) return null;
    return [x.low + right * (x.high - x.low), y.low + up * (y.high - y.low)];
  }

  draw() {
    const { bars, lines, dots, rules, frames } = this.content;
    const context = fit(this.canvas, ...this.whole);
    const ink = getComputedStyle(this.explorer.root).color;
    this.drawTitle(context, ink);
    this.drawAxes(context, ink);
    context.save();
    context.beginPath();
    context.rect(this.left, TOP, this.width, this.height);
    context.clip();
    if (this.table) this.drawTable(context);
    for (const { from, to, top, bottom = 0, colour } of bars) {
      context.fillStyle = colour;
      context.fillRect(this.atX(from), this.atY(top), this.atX(to) - this.atX(from), this.atY(bottom) - this.atY(top));
    }
    for (const { x, y, colour = ink } of rules) {
      const line =
        x === undefined
          ? { x: [this.content.x.low, this.content.x.high], y: [y, y] }
          : { x: [x, x], y: [this.content.y.low, this.content.y.high] };
      this.drawLine(context, { ...line, colour, dash: [4, 4] });
    }
    for (const line of lines) this.drawLine(context, { colour: ink, ...line });
    for (const dot of dots) this.drawDots(context, { colour: ink, ...dot });
    context.restore();
    for (const frame of [...frames, ...this.marks]) this.drawFrame(context, frame);
  }

  drawTitle(context, ink) {
    const { title, table } = this.content;
    context.fillStyle = ink;
    context.textBaseline = "middle";
    context.textAlign = "left";
    context.font = `bold 12px ${FONT}`;
    context.fillText(title, this.left, 10, this.width + this.right);
    if (!table) return;
    context.font = `11px ${FONT}`;
    const ends = [table.low, table.high].map((value) => signed(value, table.digits));
    context.fillText(ends[0], this.left, 28);
    context.textAlign = "right";
    context.fillText(ends[1], this.left + this.width, 28);
    const [before, after] = ends.map((text) => context.measureText(text).width + 6);
    const room = this.width - before - after;
    if (room < 20) return;
    const values = Float64Array.from({ length: 256 }, (_, place) => place);
    context.drawImage(
      tableOf({ values, columns: 256, palette: table.palette, low: 0, high: 256 }),
      this.left + before,
      23,
      room,
      10,
    );
  }

  drawAxes(context, ink) {
    const { x, y } = this.content;
    context.fillStyle = context.strokeStyle = ink;
    context.lineWidth = 1;
    context.strokeRect(this.left - 0.5, TOP - 0.5, this.width + 1, this.height + 1);
    context.font = `11px ${FONT}`;
    context.textBaseline = "middle";
    context.textAlign = "right";
    const [bottom, room] = [TOP + this.height, this.left - 22];
    for (const [value, text] of this.thinned(y.ticks, this.height))
      context.fillText(text, this.left - 4, this.atY(value), room);
    for (const [value, text] of this.thinned(x.ticks, this.width, x.turned ? 12 : this.names + 4)) {
      if (x.turned) {
        this.turn(context, this.atX(value), bottom + 4, text, this.names);
      } else {
        context.textAlign = "center";
        context.fillText(text, this.atX(value), bottom + 9);
      }
    }
    context.textAlign = "center";
    context.fillText(x.label, this.left + this.width / 2, bottom + this.bottom - 8, this.width + this.left);
    this.turn(context, 9, TOP + this.height / 2, y.label, this.height + TOP, "center");
  }

  /** Ticks without those that would overlap. */
  thinned(ticks, room, each = 12) {
    const every = Math.ceil((each * ticks.length) / room);
    return ticks.filter((_, place) => place % every === 0);
  }

  turn(context, x, y, text, room, align = "right") {
    context.save();
    context.translate(x, y);
    context.rotate(-Math.PI / 2);
    context.textAlign = align;
    context.fillText(text, 0, 0, room);
    context.restore();
  }

  drawTable(context) {
    context.fillStyle = context.createPattern(this.explorer.hatching, "repeat");
    context.imageSmoothingEnabled = Boolean(this.content.table.isSmooth);
    // The table may have fewer tokens than the axes.
    const { across = this.content.x.high, down = this.content.y.low } = this.content.table;
    const place = [this.left, TOP, this.atX(across) - this.left, this.atY(down) - TOP];
    context.fillRect(...place);
    context.drawImage(this.table, ...place);
  }

  drawLine(context, { x, y, colour, width = 1, dash = [] }) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.setLineDash(dash);
    context.beginPath();
    x.forEach((value, i) => context.lineTo(this.atX(value), this.atY(y[i])));
    context.stroke();
    context.setLineDash([]);
  }

  drawDots(context, { x, y, colour, size = 3, isTick = false }) {
    context.fillStyle = colour;
    x.forEach((value, i) => {
      const [right, down] = [this.atX(value), this.atY(y[i])];
      if (isTick) {
        context.fillRect(right - 0.5, down - 9, 1, 9);
      } else {
        context.beginPath();
        context.arc(right, down, size, 0, 2 * Math.PI);
        context.fill();
      }
    });
  }

  /** A frame from one corner to the other, at least 6 pixels wide, in black on white. */
  drawFrame(context, [x0, y0, x1, y1]) {
    const [left, right] = [this.atX(x0), this.atX(x1)].sort((a, b) => a - b);
    const [top, bottom] = [this.atY(y0), this.atY(y1)].sort((a, b) => a - b);
    const [width, height] = [Math.max(6, right - left), Math.max(6, bottom - top)];
    for (const [colour, line] of [
      ["white", 4],
      ["black", 2],
    ]) {
      context.strokeStyle = colour;
      context.lineWidth = line;
      context.strokeRect((left + right - width) / 2, (top + bottom - height) / 2, width, height);
    }
  }
}
