// The page's side of an explorer: what all of them share, before the part of one explorer. It works in JupyterLab
// (`render`, called by anywidget) and in a saved page without a kernel (`renderStill`).

// JupyterLab takes the arrow keys for itself unless the element that has the focus says otherwise.
const KEYS = { "data-lm-suppress-shortcuts": "true" };

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** Call `move` with the rows and columns that an arrow key asks for. */
function step(event, move) {
  const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
  if (!steps) return;
  event.preventDefault();
  event.stopPropagation();
  move(...steps);
}

/** A copy of the bytes that stands on its own, since a view may start at an odd place of a larger buffer. */
function bytes(view) {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice();
}

/** What takes the place of anywidget's model in a page without a kernel: `state` holds what Python would have sent, its
 * bytes in base64, of `shown` under the name `array`. */
function stillModel(state, array) {
  const decode = (text) => new DataView(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
  state.palettes = decode(state.palettes);
  state.shown[array] = decode(state.shown[array]);
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

