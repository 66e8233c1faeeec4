// What all explorers share in the browser; each explorer's own part follows it. It works in JupyterLab (`render`,
// called by anywidget) and in a page without a kernel (`renderStill`).

// JupyterLab takes the arrow keys for itself unless the element that has the focus says otherwise.
const KEYS = { "data-lm-suppress-shortcuts": "true" };
const MAPS = ["score", "share", "fraction", "amount", "layer"]; // as in plots.py, 256 colours each
const QUIET = 700; // milliseconds without a change before a screen reader is told
const GAP = 14; // pixels between two panels

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** "1 head" or "12 heads". */
function counted(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

/** Black or white, whichever can be read on this colour [red, green, blue] (equal contrast, WCAG 2). */
function ink(colour) {
  const [red, green, blue] = colour.map((part) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18 ? "black" : "white";
}

/** Call `move` with the rows and columns that an arrow key asks for. */
function step(event, move) {
  const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
  if (!steps) return;
  event.preventDefault();
  event.stopPropagation();
  move(...steps);
}

/** A copy of the bytes in a buffer of its own, since a view may start at an odd place of a larger one. */
function bytes(view) {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice();
}

/** Stands in for anywidget's model in a page without a kernel: `state` holds what Python would have sent, with bytes as
 * {base64: text}. */
function stillModel(state) {
  const revive = (value) => {
    if (value === null || typeof value !== "object" || Array.isArray(value)) return value;
    if ("base64" in value)
      return new DataView(Uint8Array.from(atob(value.base64), (letter) => letter.charCodeAt(0)).buffer);
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, revive(each)]));
  };
  state = revive(state);
  const events = new EventTarget();
  return {
    get: (name) => state[name],
    set: (name, value) => {
      state[name] = value;
      events.dispatchEvent(new Event(`change:${name}`));
    },
    on: (event, action) => events.addEventListener(event, action),
    off: (event, action) => events.removeEventListener(event, action),
    save_changes: () => {},
  };
}

/** A sentence with its facts, written as Python's format writes {name}, {name:.1f}, {name:.0%} and {name:+.3f}. */
function fill(sentence, facts) {
  return sentence.replace(/\{(\w+)(?::(\+?)\.(\d)([f%]))?\}/g, (_, name, plus, digits, kind) => {
    if (!kind) return facts[name];
    const text = (kind === "%" ? 100 * facts[name] : facts[name]).toFixed(digits);
    return (plus && !text.startsWith("-") ? "+" : "") + text + (kind === "%" ? "%" : "");
  });
}

/** A value as Python writes it. */
function asPython(value) {
  return typeof value === "boolean" ? (value ? "True" : "False") : JSON.stringify(value);
}

/** What explorers share: a text, controls, panels, a summary in words and a line about the marked place.
 *
 * A subclass has `load`, for a new text; `compute`, which turns the settings into `numbers` and `facts`; `show`, which
 * gives the panels their content; `point` and `move`, which set `mark`; `tell`, the mark in words; and `markOn`, the
 * mark as frames on a panel. */
class PageExplorer {
  constructor(model, root, live) {
    Object.assign(this, { model, live, inputs: {}, mark: null });
    const colours = new Uint32Array(bytes(model.get("palettes")).buffer);
    this.palettes = Object.fromEntries(MAPS.map((name, i) => [name, colours.subarray(256 * i, 256 * (i + 1))]));
    this.colours = model.get("colours");
    this.hatching = hatching();
    this.build(root);
    this.listen();
    this.receive();
  }

  get tokens() {
    return this.model.get("shown").tokens;
  }

  /** The setting of a control, at most what this text allows. */
  get(name) {
    const most = this.model.get("shown").most?.[name];
    return most === undefined ? this.model.get(name) : Math.min(most, this.model.get(name));
  }

  /** What a reader can set. */
  get settings() {
    return Object.keys(this.model.get("shown").controls);
  }

  /** An array that Python sent, of numbers of this type. */
  array(name, Type) {
    return new Type(bytes(this.model.get("shown")[name]).buffer);
  }

  build(root) {
    const { controls, fixed } = this.model.get("shown");
    this.heading = element("p", { class: "heading" });
    this.text = element("input", { type: "text", ...KEYS, spellcheck: "false" });
    this.error = element("span", { class: "error", role: "alert" });
    this.undo = element("button", { type: "button", hidden: "" }, "Back to the last text");
    this.summary = element("div", { class: "summary" });
    this.pictures = element("div", { class: "pictures" });
    this.reading = element("p", { class: "reading" });
    this.legend = element("ul", { class: "legend" });
    this.status = element("p", { role: "status", class: "unseen" });
    this.copy = element("button", { type: "button" }, "Copy as Python");
    this.line = element("code", { class: "line" });
    this.root = element(
      "div",
      { class: "headlab-page", role: "group" },
      this.heading,
      this.live && !fixed ? element("label", { class: "text" }, "Text ", this.text) : "",
      element("p", { class: "trouble" }, this.error, " ", this.undo),
      element("div", { class: "controls" }, ...Object.entries(controls).map((control) => this.control(...control))),
      this.summary,
      this.pictures,
      this.reading,
      this.legend,
      element("p", { class: "copy" }, this.copy, " ", this.line),
      this.status,
    );
    this.root.explorer = this; // for scripts, such as tests, that read the numbers from the page
    root.append(this.root);
  }

  /** A slider, a check box or a list, with its label and its value. A slider over `values` moves from one to the next;
   * a logarithmic one moves by its step in powers of ten. */
  control(name, { label, options, values, min, max, step: size, log }) {
    const value = element("output");
    const range = (low, high, by) => element("input", { type: "range", name, min: low, max: high, step: by, ...KEYS });
    let [input, read, write] = [
      null,
      () => input.value,
      (setting) => {
        input.value = setting;
      },
    ];
    if (options) {
      input = element(
        "select",
        { name, ...KEYS },
        ...options.map((option) => element("option", { value: option }, option)),
      );
    } else if (values) {
      input = range(0, values.length - 1, 1);
      [read, write] = [
        () => values[input.value],
        (setting) => {
          input.value = values.indexOf(setting);
        },
      ];
    } else if (min === undefined) {
      input = element("input", { type: "checkbox", name, ...KEYS });
      [read, write] = [
        () => input.checked,
        (setting) => {
          input.checked = setting;
        },
      ];
    } else if (log) {
      input = range(Math.log10(min), Math.log10(max), size);
      [read, write] = [
        () => Math.min(max, 10 ** input.value),
        (setting) => {
          input.value = Math.log10(setting);
        },
      ];
    } else {
      input = range(min, max, size);
      read = () => Number(input.value);
    }
    const show = (setting) => {
      write(setting);
      if (input.type !== "range") return;
      value.textContent = Number.isInteger(setting) ? setting : setting.toFixed(log || values ? 2 : 1);
      input.setAttribute("aria-valuetext", value.textContent);
    };
    input.addEventListener("input", () => this.set({ [name]: read() }));
    this.inputs[name] = { input, show };
    return element(
      "label",
      { class: input.type },
      ...(input.type === "checkbox" ? [input, label] : [label, input, value]),
    );
  }

  listen() {
    const settle = () => this.set({ text: this.text.value });
    this.text.addEventListener("change", settle);
    this.text.addEventListener("keydown", (event) => event.key === "Enter" && settle());
    this.undo.addEventListener("click", () => {
      this.text.value = this.model.get("shown").text;
      this.set({ text: this.text.value });
      this.text.focus();
    });
    this.copy.addEventListener("click", () => this.write());
    this.handlers = {
      "change:shown": () => this.receive(),
      "change:error": () => this.say(this.model.get("error")),
      "change:text": () => {
        this.text.value = this.model.get("text");
      },
      ...Object.fromEntries(this.settings.map((name) => [`change:${name}`, () => this.changed()])),
    };
    for (const [event, action] of Object.entries(this.handlers)) this.model.on(event, action);
    this.resizing = new ResizeObserver(() => this.root.clientWidth === this.width || this.resize());
    this.resizing.observe(this.root);
    // The text's colour changes with the theme; the style sheet makes this a transition, so that its end can be heard.
    this.root.addEventListener("transitionend", (event) => event.propertyName === "color" && this.draw());
  }

  /** Called when the page drops the explorer. */
  remove() {
    this.resizing.disconnect();
    clearTimeout(this.waiting);
    for (const [event, action] of Object.entries(this.handlers)) this.model.off(event, action);
  }

  set(values) {
    for (const [name, value] of Object.entries(values)) this.model.set(name, value);
    this.model.save_changes();
  }

  /** Take in a new text. */
  receive() {
    const { title, model_name, tokens, sizes, most = {} } = this.model.get("shown");
    this.text.value = this.model.get("text");
    const [layers, heads] = sizes;
    this.heading.textContent = `Model: ${model_name}, ${counted(layers, "layer")} of ${counted(heads, "head")}. ${counted(tokens.length, "token")}.`;
    for (const [name, value] of Object.entries(most)) this.inputs[name].input.max = value;
    this.mark = null;
    if (!this.panels) {
      this.panels = this.makePanels();
      const rowOf = ({ canvas, isAlone }) => (isAlone ? [canvas, element("i", { class: "end" })] : [canvas]);
      this.pictures.append(...this.panels.flatMap(rowOf));
      this.root.setAttribute("aria-label", `${title} of ${model_name}`);
    }
    this.load();
    this.update();
    this.resize();
  }

  /** A setting has changed: show it with the next frame. */
  changed() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.update();
      this.draw();
    });
  }

  /** Compute what the controls ask for; if that fails, say why in a line and keep the last good picture. */
  update() {
    for (const [name, { show }] of Object.entries(this.inputs)) show(this.get(name));
    try {
      this.compute();
    } catch (error) {
      this.say(error.message);
      return;
    }
    this.say(this.model.get("error"));
    const lines = this.lines();
    this.summary.replaceChildren(...lines.map((line) => element("p", {}, line)));
    this.line.textContent = "";
    this.show();
    this.announce(lines.join(" "));
  }

  /** The summary in words. */
  lines() {
    return this.model.get("shown").words.map((sentence) => fill(sentence, this.facts));
  }

  say(trouble) {
    this.error.textContent = trouble;
    this.undo.hidden = !(trouble && this.model.get("text") !== this.model.get("shown").text);
  }

  /** Tell a screen reader, once nothing has changed for a moment. */
  announce(text) {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => {
      this.status.textContent = text;
    }, QUIET);
  }

  /** Lay the panels out, as many side by side as there is room for. */
  resize() {
    this.width = this.root.clientWidth;
    const inside = Math.max(240, this.width - 10);
    for (const panel of this.panels) {
      const alike = this.panels.filter((each) => each.least === panel.least).length;
      const rows = Math.ceil(alike / Math.max(1, Math.floor((inside + GAP) / (panel.least + GAP))));
      const beside = Math.ceil(alike / rows);
      panel.layout(Math.min(panel.most, Math.floor((inside - GAP * (beside - 1)) / beside)));
    }
    this.draw();
  }

  draw() {
    if (!this.numbers) return;
    for (const panel of this.panels) {
      panel.marks = this.mark ? this.markOn(panel) : [];
      panel.draw();
    }
    this.reading.textContent = this.mark ? this.tell() : "Point at a picture, or move the mark with the arrow keys.";
  }

  /** Mark a place in all panels and say what is there. */
  setMark(mark) {
    this.mark = mark;
    this.draw();
    this.announce(this.reading.textContent);
  }

  /** What each colour stands for: {text, colour} or {text, isMasked}. */
  setLegend(...entries) {
    this.legend.replaceChildren(
      ...entries.map(({ text, colour, isMasked }) => {
        const swatch = element("i", isMasked ? { class: "masked" } : {});
        if (colour) swatch.style.background = colour;
        return element("li", {}, swatch, text);
      }),
    );
  }

  /** The present settings as a line of Python, on the page and, where that is allowed, on the clipboard. */
  write() {
    const { make, text, fixed } = this.model.get("shown");
    const given = fixed ? ["*recorded_gpt2()"] : ["model", "tokenizer", asPython(text)];
    const setting = this.settings.map((name) => `${name}=${asPython(this.model.get(name))}`);
    this.line.textContent = `${make}(${[...given, ...setting].join(", ")})`;
    navigator.clipboard?.writeText(this.line.textContent).catch(() => {});
    this.announce("Copied.");
  }
}

/** An explorer whose mark is a query and a key, in tables of tokens by tokens. */
class TokenExplorer extends PageExplorer {
  /** An axis with a cell for each token. */
  axis(label) {
    const n = this.tokens.length;
    const ticks = tokenTicks(this.tokens);
    return { low: 0, high: n, label, ticks, turned: true };
  }

  /** Axes for a table of queries by keys. */
  square() {
    const down = this.axis("query");
    return { x: this.axis("key"), y: { ...down, low: down.high, high: 0, turned: false } };
  }

  /** How many tokens can be marked. */
  get reach() {
    return this.tokens.length;
  }

  point(panel, x, y) {
    const place = [y, x].map(Math.floor);
    if (Math.max(...place) < this.reach) this.setMark(place);
  }

  move(panel, rows, columns) {
    const [query, key] = this.mark ?? [this.reach - 1, -columns];
    const within = (place) => Math.max(0, Math.min(this.reach - 1, place));
    this.setMark([within(query + rows), within(key + columns)]);
  }

  markOn() {
    const [query, key] = this.mark;
    return [[key, query, key + 1, query + 1]];
  }

  /** The pair of tokens at the mark, in words. */
  pair() {
    const [query, key] = this.mark;
    return `Query ${query} “${this.tokens[query]}” → key ${key} “${this.tokens[key]}”`;
  }
}

/** The functions that anywidget calls, and that a page without a kernel calls, for one kind of explorer. */
function entry(Explorer) {
  return {
    render({ model, el }) {
      const explorer = new Explorer(model, el, true);
      return () => explorer.remove();
    },
    renderStill: (state, el) => new Explorer(stillModel(state), el, false),
  };
}
