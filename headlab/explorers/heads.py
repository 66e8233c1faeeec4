"""Lesson 3's explorer: every head of a text from raw score to pattern."""

import numpy as np

from headlab.explorers.shared import PageExplorer, Setting, all_scores, as_bytes, fit_labels, page_side
from headlab.masking import causal_mask, mask_scores, softmax
from headlab.plots import plot_pattern, plot_scores


class HeadExplorer(PageExplorer):
    """Lesson 3: every head of a text from raw score to pattern.

    model, tokenizer: as load_model gives them; text: what to show first, at most MAX_TOKENS tokens. `layer`, `head`
    and `text` can be read and set from Python too; `error` is the line that the reader sees when a text cannot be
    shown. It works in a saved page without a kernel: see `to_html`.
    Introduced in lesson 3.

    >>> from headlab.explorers import recorded_gpt2
    >>> HeadExplorer(*recorded_gpt2(), layer=4, head=11).lines()[2]
    '“·Fred” gives 100% of its attention to “·of”, just before it.'
    """

    _esm, _css = page_side("heads")
    title = "Head explorer"
    size = (9.6, 8.4)
    layer, head = Setting(0), Setting(0)

    def prepare(self, capture, labels):
        """The raw scores of every head, and its summary."""
        scores = all_scores(capture)
        places = np.ndindex(*scores.shape[:2])
        return {
            "scores": as_bytes(scores),
            "divisors": list(capture.divisors),
            "summaries": [head_summary(capture, labels, *place) for place in places],
        }

    def compute(self):
        """The four stages of the chosen head."""
        raw = self._reading.scores(self.layer, self.head).double()
        scaled = raw / self._reading.divisors[self.layer]
        masked = mask_scores(scaled)
        numbers = {"raw": raw, "scaled": scaled, "masked": masked, "pattern": softmax(masked)}
        return numbers, {"layer": self.layer, "head": self.head}

    def lines(self):
        """The summary of the chosen head."""
        return self.shown["summaries"][self.layer * self._sizes[1] + self.head]

    def draw(self, figure, numbers, facts):
        """The four stages."""
        raw, scaled, masked, pattern = numbers.values()
        axes, labels = figure.subplots(2, 2).flat, self._labels
        limit = scaled.abs().max().item() or None  # one scale for the scaled scores, masked or not
        name = "raw scores of L{layer}H{head}".format(**facts)
        plot_scores(raw, labels, axes[0], label="raw score q·k").set_title(name)
        plot_scores(scaled, labels, axes[1], "scaled score", limit).set_title("scaled")
        plot_scores(masked, labels, axes[2], "masked score (hatched: -inf)", limit).set_title("masked")
        plot_pattern(pattern, labels, axes[3]).set_title("pattern")
        for ax in axes:
            fit_labels(ax.xaxis, ax.yaxis)


def head_summary(capture, labels, layer, head):
    """What one head does with a text, in a few sentences.

    capture: a HeadCapture of the text; labels: its tokens as token_strings gives them. Returns a list of lines; on one
    text, all heads get the same number of lines. Introduced in lesson 3.

    >>> from headlab.capture import capture_heads
    >>> from headlab.models import load_model, token_strings
    >>> model, tokenizer = load_model("mini")
    >>> ids = tokenizer("The old man sat.", return_tensors="pt").input_ids
    >>> head_summary(capture_heads(model, ids), token_strings(tokenizer, ids), layer=0, head=5)[0]
    'L0H5: raw scores of the visible pairs from -60.0 to 76.6, 67% of them negative.'
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
            f"(if each spread its attention evenly: {even:.0%})."
        )
    # The first token has its own line above, and a token's attention to itself is no link.
    links = pattern.tril(-1)[:, 1:]
    for place in links.flatten().argsort(descending=True, stable=True)[: min(3, (n_tokens - 1) * (n_tokens - 2) // 2)]:
        query, key = place.item() // (n_tokens - 1), place.item() % (n_tokens - 1) + 1
        distance = query - key
        before = "just before it" if distance == 1 else f"{distance} tokens before it"
        share = links[query, key - 1]
        lines.append(f"“{labels[query]}” gives {share:.0%} of its attention to “{labels[key]}”, {before}.")
    return lines
