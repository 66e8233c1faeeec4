"""Lesson 1's explorer: how far a text is read, the mask on and off, and temperature."""

from headlab.explorers.shared import (
    MAX_TOKENS,
    PageExplorer,
    Setting,
    all_scores,
    as_bytes,
    fit_labels,
    page_side,
    slider,
)
from headlab.masking import causal_mask, mask_scores, softmax
from headlab.plots import plot_pattern, plot_scores


class MaskExplorer(PageExplorer):
    """Lesson 1: how far a text is read, the mask on and off, and temperature: scores and pattern side by side.

    model, tokenizer: as load_model gives them; text: what to show first, at most MAX_TOKENS tokens. Each setting can
    be read and set from Python too: layer, head, n_tokens (if the text is shorter, all of it), mask, temperature.
    Introduced in lesson 1.

    >>> from headlab.explorers import recorded_gpt2
    >>> MaskExplorer(*recorded_gpt2(), layer=4, head=11, n_tokens=5).lines()[0]
    'L4H11, 5 of 9 tokens read, mask on, temperature 1.0.'
    """

    _esm, _css = page_side("mask")
    title = "Mask explorer"
    words = (
        "L{layer}H{head}, {n_tokens} of {all} tokens read, mask {mask}, temperature {temperature:.1f}.",
        "The future gets {future:.0%} of the attention. The first token gives itself {first:.0%}.",
        "A query's largest share is {largest:.0%} on average.",
    )
    layer, head, n_tokens = Setting(0), Setting(0), Setting(MAX_TOKENS)
    mask, temperature = Setting(True), Setting(1.0)

    def make_controls(self, n_layers, n_heads):
        """Layer, head, tokens read, the mask and the temperature."""
        return {
            **super().make_controls(n_layers, n_heads),
            "n_tokens": slider("Tokens read", 1, MAX_TOKENS),
            "mask": {"label": "Causal mask"},
            "temperature": slider("Temperature", 0.1, 5.0, 0.1),
        }

    def prepare(self, capture, labels):
        """The raw scores of every head."""
        scores = all_scores(capture)
        return {"scores": as_bytes(scores), "divisors": list(capture.divisors), "most": {"n_tokens": len(labels)}}

    def compute(self):
        """Raw scores, scaled, masked or not, and their softmax."""
        n_tokens = min(self.n_tokens, len(self._labels))
        raw = self._reading.scores(self.layer, self.head).double()
        raw = raw[:n_tokens, :n_tokens]  # later tokens change nothing before them
        scores = raw / (self._reading.divisors[self.layer] * self.temperature)
        masked = mask_scores(scores) if self.mask else scores
        pattern = softmax(masked)

        facts = {
            **{"layer": self.layer, "head": self.head, "n_tokens": n_tokens, "all": len(self._labels)},
            **{"mask": "on" if self.mask else "off", "temperature": self.temperature},
            "future": (pattern[~causal_mask(n_tokens)].sum() / n_tokens).item(),
            "first": pattern[0, 0].item(),
            "largest": pattern.amax(-1).mean().item(),
        }
        return {"masked": masked, "pattern": pattern}, facts

    def draw(self, figure, numbers, facts):
        """Scores and pattern."""
        left, right = figure.subplots(1, 2)
        labels = self._labels[: facts["n_tokens"]]
        plot_scores(numbers["masked"], labels, left, label="scaled score over temperature (hatched: -inf)")
        plot_pattern(numbers["pattern"], labels, right)
        left.set_title("scores of L{layer}H{head}".format(**facts))
        right.set_title("pattern")
        for ax in (left, right):
            fit_labels(ax.xaxis, ax.yaxis)
