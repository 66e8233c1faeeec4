"""Lesson 1's explorer: how far a text is read, the mask on and off, and temperature."""

import ipywidgets as widgets
import torch
from matplotlib.patches import Rectangle

from headlab.explorers.drawn import Explorer, place_controls, show_square
from headlab.explorers.shared import MAX_TOKENS, fit_labels
from headlab.masking import causal_mask, mask_scores, softmax
from headlab.plots import masked_future, plot_pattern, plot_scores


class MaskExplorer(Explorer):
    """Lesson 1: how far a text is read, the mask on and off, and temperature: scores and pattern side by side.

    model, tokenizer: as load_model gives them; text: what to show first, at most MAX_TOKENS tokens.
    Introduced in lesson 1.
    """

    title = "Mask explorer"

    def __init__(self, model, tokenizer, text, layer=0, head=0):
        super().__init__(
            model,
            tokenizer,
            text,
            **place_controls(model, layer, head),
            n_tokens=widgets.IntSlider(MAX_TOKENS, 1, MAX_TOKENS, description="Tokens read"),
            mask=widgets.Checkbox(True, description="Causal mask"),
            temperature=widgets.FloatSlider(1.0, min=0.1, max=5.0, step=0.1, description="Temperature"),
        )

    def draw(self, capture, labels):
        """Scores and pattern, and what covers the tokens that are not read yet."""
        n_tokens = len(labels)
        self.controls["n_tokens"].max = n_tokens
        self.controls["n_tokens"].value = n_tokens
        left, right = self.figure.subplots(1, 2)
        nothing = torch.zeros(n_tokens, n_tokens, dtype=torch.float32, device="cpu")
        plot_scores(nothing, labels, left, label="scaled score over temperature (hatched: -inf)")
        plot_pattern(nothing, labels, right)
        for ax in (left, right):
            ax.autoscale(False)  # the axes stay as they are while fewer tokens are read
            fit_labels(ax.xaxis, ax.yaxis)
        right.set_title("pattern")
        self.name = left.set_title("scores")
        self.scores_image, self.pattern_image = left.images[0], right.images[0]
        self.covers = [ax.add_patch(Rectangle((0, 0), 1, 1, color="white")) for ax in (left, left, right, right)]
        return [self.scores_image, self.pattern_image, *self.covers, self.name, self.scores_image.colorbar.ax]

    def show(self, capture, labels, layer, head, n_tokens, mask, temperature):
        """The callback: raw scores, scaled, masked or not, and their softmax."""
        raw = capture.scores(layer, head)[:n_tokens, :n_tokens]  # later tokens change nothing before them
        scores = raw / (capture.divisors[layer] * temperature)
        masked = mask_scores(scores) if mask else scores
        pattern = softmax(masked)

        show_square(self.scores_image, masked, masked.isneginf())
        limit = scores.abs().max().item() or 1.0
        self.scores_image.set_clim(-limit, limit)
        show_square(self.pattern_image, pattern, masked_future(pattern))
        for cover, corner in zip(self.covers, [(n_tokens, 0), (0, n_tokens)] * 2, strict=True):
            cover.set(x=corner[0] - 0.5, y=corner[1] - 0.5, width=len(labels), height=len(labels))
        self.name.set_text(f"scores of L{layer}H{head}")
        future = pattern[~causal_mask(n_tokens)].sum() / n_tokens
        return [
            f"L{layer}H{head}, {n_tokens} of {len(labels)} tokens read, mask {'on' if mask else 'off'}, "
            f"temperature {temperature:.1f}.",
            f"The future gets {future:.0%} of the attention. The first token gives itself {pattern[0, 0]:.0%}.",
            f"A query's largest share is {pattern.amax(-1).mean():.0%} on average.",
        ]
