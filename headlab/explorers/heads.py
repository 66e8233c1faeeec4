"""Lesson 3's explorer: every head of a text from raw score to pattern."""

from io import BytesIO

import numpy as np
import torch
import traitlets

from headlab._expect import expect
from headlab.explorers.shared import PageExplorer, fit_labels, in_house_style, page_side, still
from headlab.masking import causal_mask, mask_scores
from headlab.plots import HouseFigure, plot_pattern, plot_scores


class HeadExplorer(PageExplorer):
    """Lesson 3: every head of a text from raw score to pattern, drawn in the browser from scores that are sent once.

    model, tokenizer: as load_model gives them; text: what to show first, at most MAX_TOKENS tokens. `layer`, `head`
    and `text` can be read and set from Python too; `error` is the line that the reader sees where a text cannot be
    shown. Works in a saved page without a kernel: see `to_html`.
    Introduced in lesson 3.
    """

    _esm, _css = page_side("heads.js"), page_side("heads.css")
    title = "Head explorer"
    maps = ("score", "share")
    kept = ("layer", "head")
    layer = traitlets.Int(0).tag(sync=True)
    head = traitlets.Int(0).tag(sync=True)

    def __init__(self, model, tokenizer, text, layer=0, head=0):
        super().__init__(model, tokenizer, text, layer=layer, head=head)

    def prepare(self, text):
        """What the page needs to draw any head of this text."""
        self._reading = capture, labels = self._read(text)
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

    def lines(self):
        """The summary of the chosen head."""
        return self.shown["summaries"][self.layer * self.shown["n_heads"] + self.head]

    @traitlets.validate("layer", "head")
    def _expect_place(self, proposal):
        name, value = proposal.trait.name, proposal.value
        last = self.shown[f"n_{name}s"] - 1
        expect(0 <= value <= last, name, f"a {name} from 0 to {last}", value)
        return value

    @in_house_style
    def still(self):
        """The chosen head's four stages as a picture, for a page that runs nothing, with the summary of the head."""
        capture, labels = self._reading
        raw = capture.scores(self.layer, self.head)
        scaled = raw / capture.divisors[self.layer]
        figure = HouseFigure(figsize=(9.6, 8.4), layout="constrained")
        axes = figure.subplots(2, 2).flat
        limit = scaled.abs().max().item() or None  # one scale for the scaled scores, masked or not
        plot_scores(raw, labels, axes[0], label="raw score q·k").set_title(f"raw scores of L{self.layer}H{self.head}")
        plot_scores(scaled, labels, axes[1], "scaled score", limit).set_title("scaled")
        plot_scores(mask_scores(scaled), labels, axes[2], "masked score (hatched: -inf)", limit).set_title("masked")
        plot_pattern(capture.pattern(self.layer, self.head), labels, axes[3]).set_title("pattern")
        for ax in axes:
            fit_labels(ax.xaxis, ax.yaxis)
        png = BytesIO()
        figure.savefig(png)
        return still(png.getvalue(), self._name, self.lines())


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
        even = (1 / np.arange(2, n_tokens + 1)).mean()
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
