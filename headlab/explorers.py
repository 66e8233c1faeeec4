"""The widgets: change text, layer and head, and the picture follows. One explorer for each lesson."""

import base64
import html
import json
import threading
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import anywidget
import ipywidgets as widgets
import matplotlib
import numpy as np
import torch
import traitlets
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imsave
from matplotlib.patches import Rectangle

from headlab._expect import expect
from headlab.capture import capture_heads
from headlab.masking import causal_mask, mask_scores, softmax
from headlab.models import model_name, token_strings
from headlab.plots import plot_pattern, plot_scores

MAX_TOKENS = 64  # more could not be told apart in a picture
HERE = Path(__file__).parent


def text_reader(model, tokenizer):
    """A function from a text to (HeadCapture, token labels), with one forward pass for each text.

    Raises ValueError where the text is empty or longer than MAX_TOKENS or than the model can read.
    """
    limit = min(MAX_TOKENS, model.config.n_positions)

    @lru_cache(maxsize=8)
    def read(text):
        input_ids = tokenizer(text, return_tensors="pt", verbose=False).input_ids
        n_tokens = input_ids.shape[1]
        expect(1 <= n_tokens <= limit, "text", f"1 to {limit} tokens", f"{n_tokens} tokens")
        return capture_heads(model, input_ids), token_strings(tokenizer, input_ids)

    return read


def one_line(error):
    """An exception as one line for the reader; headlab's own complaints already are one."""
    name = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
    return " ".join(f"{name}{error}".split())[:200]


class HeadExplorer(anywidget.AnyWidget):
    """Lesson 3: every head of a text from raw score to pattern, drawn in the browser from scores that are sent once.

    model, tokenizer: as load_model gives them; text: what to show first, at most MAX_TOKENS tokens. `layer`, `head`
    and `text` can be read and set from Python too; `error` is the line that the reader sees where a text cannot be
    shown. Works in a saved page without a kernel: see `to_html`.
    Introduced in lesson 3.
    """

    _esm = HERE / "head_explorer.js"
    _css = HERE / "head_explorer.css"
    text = traitlets.Unicode().tag(sync=True)
    layer = traitlets.Int(0).tag(sync=True)
    head = traitlets.Int(0).tag(sync=True)
    error = traitlets.Unicode().tag(sync=True)
    shown = traitlets.Dict().tag(sync=True)
    palettes = traitlets.Bytes().tag(sync=True)

    def __init__(self, model, tokenizer, text, layer=0, head=0):
        self._name = model_name(model)
        self._read = text_reader(model, tokenizer)
        colours = [matplotlib.colormaps[name](range(256), bytes=True).tobytes() for name in ("PuOr", "viridis")]
        super().__init__(
            text=text, layer=layer, head=head, shown=self._all_heads(text), palettes=b"".join(colours)
        )
        self.observe(self._follow_text, "text")

    def _all_heads(self, text):
        """What the page needs to draw any head of this text."""
        capture, labels = self._read(text)
        scores = torch.stack([capture.scores(layer) for layer in capture.layers])  # (layer, head, query, key)
        n_layers, n_heads = scores.shape[:2]
        places = np.ndindex(n_layers, n_heads)
        return {
            "model_name": self._name,
            "tokens": labels,
            "n_layers": n_layers,
            "n_heads": n_heads,
            "divisors": list(capture.divisors),
            "summaries": [head_summary(capture, labels, layer, head) for layer, head in places],
            "scores": scores.numpy().astype("<f4").tobytes(),
        }

    def _follow_text(self, change):
        try:
            shown = self._all_heads(self.text)
        except Exception as error:
            self.error = one_line(error)
        else:
            with self.hold_sync():
                self.shown, self.error = shown, ""

    @traitlets.validate("layer", "head")
    def _expect_place(self, proposal):
        name, value = proposal.trait.name, proposal.value
        last = self.shown[f"n_{name}s"] - 1
        expect(0 <= value <= last, name, f"a {name} from 0 to {last}", value)
        return value

    def to_html(self):
        """The explorer as it stands as a piece of HTML that needs no kernel, no network and no other file.

        Where scripts do not run, it shows its summary.
        """
        shown = {**self.shown, "scores": base64.b64encode(self.shown["scores"]).decode()}
        state = {name: getattr(self, name) for name in ("text", "layer", "head", "error")}
        state |= {"shown": shown, "palettes": base64.b64encode(self.palettes).decode()}
        script = base64.b64encode(str(self._esm).encode()).decode()
        lines = shown["summaries"][self.layer * shown["n_heads"] + self.head]
        still = "".join(f"<p>{html.escape(line)}</p>" for line in [self._description(), *lines])
        data = json.dumps(state).replace("<", "\\u003c")  # so that no text can end the script
        return (
            f"<style>{self._css}</style><div>{still}</div><script>{{"
            "const place = document.currentScript.previousElementSibling;"
            f"const state = {data};"
            f'import("data:text/javascript;base64,{script}").then((explorer) => {{'
            "place.replaceChildren(); explorer.renderStill(state, place); });"
            "}</script>"
        )

    def _description(self):
        return f"Head explorer of {self._name}: run this cell to use it."

    def _repr_mimebundle_(self, **kwargs):
        bundle = super()._repr_mimebundle_(**kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        return {**data, "text/html": self.to_html(), "text/plain": self._description()}, metadata


def head_summary(capture, labels, layer, head):
    """What one head does with a text, in a few lines of words.

    capture: a HeadCapture of the text; labels: its tokens as token_strings gives them. Returns a list of lines, as
    many for each head of the text. Introduced in lesson 3.
    """
    raw, pattern = capture.scores(layer, head), capture.pattern(layer, head)
    n_tokens = len(labels)
    seen = raw[causal_mask(n_tokens)]
    lines = [
        f"L{layer}H{head}: raw scores of the visible pairs from {seen.min():.1f} to {seen.max():.1f}, "
        f"{(seen < 0).float().mean():.0%} of them negative."
    ]
    if n_tokens > 1:
        even = (1 / torch.arange(2, n_tokens + 1)).mean()
        lines.append(
            f"The first token gets {pattern[1:, 0].mean():.0%} of the others' attention on average "
            f"(if each shared evenly: {even:.0%})."
        )
    # The first token is told apart above; a token's link to itself is none.
    links = pattern.tril(-1)[:, 1:]
    for place in links.flatten().argsort(descending=True, stable=True)[: min(3, (n_tokens - 1) * (n_tokens - 2) // 2)]:
        query, key = place.item() // (n_tokens - 1), place.item() % (n_tokens - 1) + 1
        distance = query - key
        before = "just before it" if distance == 1 else f"{distance} tokens before it"
        share = links[query, key - 1]
        lines.append(f"“{labels[query]}” gives {share:.0%} of its attention to “{labels[key]}”, {before}.")
    return lines
