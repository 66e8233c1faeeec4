"""Lesson 5's explorer: what softmax sees of the four terms of the scores."""

import ipywidgets as widgets
import numpy as np
import torch

from headlab.capture import score_divisor, score_terms
from headlab.contrast import ScoreTerms, effective_tokens
from headlab.explorers.drawn import Explorer, place_controls, show_square
from headlab.explorers.shared import fit_labels
from headlab.masking import causal_mask
from headlab.plots import COLOURS, plot_pattern, plot_scores
from headlab.scores import attention_pattern
from headlab.shift import shift_stats


class ShiftExplorer(Explorer):
    """Lesson 5: multiply a head's key bias, scale the scores, drop any of their four terms, and see what softmax sees.

    model, tokenizer: as load_model gives them; text: what to show first, at most MAX_TOKENS tokens.
    Introduced in lesson 5.
    """

    title = "Shift explorer"
    look = staticmethod(score_terms)

    def __init__(self, model, tokenizer, text, layer=0, head=0):
        self.divisors = [score_divisor(model.config, layer) for layer in range(model.config.n_layer)]
        terms = {name: widgets.Checkbox(True, description=name.replace("_", " ")) for name in ScoreTerms._fields}
        super().__init__(
            model,
            tokenizer,
            text,
            **place_controls(model, layer, head),
            times=widgets.IntSlider(1, -100, 100, description="b_k times"),
            scale=widgets.FloatSlider(1.0, min=0.0, max=3.0, step=0.1, description="Scale by"),
            **terms,
        )

    def draw(self, terms, labels):
        """Scores and pattern, and query by query the effective tokens and the first token's share."""
        n_tokens = len(labels)
        axes = self.figure.subplot_mosaic(
            [["scores", "pattern", "tokens"], ["scores", "pattern", "share"]], width_ratios=(3, 3, 2)
        )
        nothing = torch.zeros(n_tokens, n_tokens, dtype=torch.float32, device="cpu")
        plot_scores(nothing, labels, axes["scores"], label="raw score (hatched: masked)")
        plot_pattern(nothing, labels, axes["pattern"])
        for name in ("scores", "pattern"):
            fit_labels(axes[name].xaxis, axes[name].yaxis)
            axes[name].images[0].colorbar.remove()
        axes["pattern"].set(title="pattern\n(white: 0, dark green: 1)", ylabel="")
        axes["tokens"].set(ylim=(0, n_tokens + 1), ylabel="effective tokens", xticklabels=[])
        axes["share"].set(ylim=(0, 1.05), ylabel="first token's share", xlabel="query")
        self.curves = {}
        for name in ("tokens", "share"):
            axes[name].set_xlim(-0.5, n_tokens - 0.5)
            style = {
                "unchanged": {"color": "0.6", "lw": 4},
                "changed": {"color": COLOURS["loaded model"], "marker": "o", "ms": 3},
            }
            for state, look in style.items():
                self.curves[name, state] = axes[name].plot(range(n_tokens), np.zeros(n_tokens), label=state, **look)[0]
        axes["tokens"].legend(loc="upper left", fontsize=8, frameon=False)
        self.name = axes["scores"].set_title("raw scores")
        self.scores_image, self.pattern_image = axes["scores"].images[0], axes["pattern"].images[0]
        return [self.scores_image, self.pattern_image, self.name, *self.curves.values()]

    def show(self, terms, labels, layer, head, times, scale, **kept):
        """The callback: the sum of the terms that are kept, with the key bias so many times, and its pattern."""
        four = {name: term[head] for name, term in terms[layer]._asdict().items()}
        whole = sum(four.values())
        weights = {"content": 1, "query_bias": 1, "key_bias": times, "constant": times}  # b_k is in the last two
        raw = scale * sum((weights[name] * four[name] for name in four if kept[name]), torch.zeros_like(whole))
        divided_by = self.divisors[layer] ** 2  # attention_pattern takes the root of it: d_head in GPT-2
        patterns = {"unchanged": attention_pattern(whole, divided_by), "changed": attention_pattern(raw, divided_by)}

        for state, pattern in patterns.items():
            self.curves["tokens", state].set_ydata(effective_tokens(pattern))
            self.curves["share", state].set_ydata(pattern[:, 0].numpy())
        future = ~causal_mask(len(labels))
        show_square(self.scores_image, raw, future)
        limit = raw[~future].abs().max().item() or 1.0
        self.scores_image.set_clim(-limit, limit)
        show_square(self.pattern_image, patterns["changed"], future)
        self.name.set_text(f"raw scores of L{layer}H{head}\n(colours from −{limit:.0f} to {limit:.0f})")
        dropped = " and ".join(name.replace("_", " ") for name in four if not kept[name])
        left = f"without {dropped}" if dropped else "all four terms"
        stats = shift_stats(raw)
        tokens = {state: effective_tokens(pattern).mean() for state, pattern in patterns.items()}
        share = {state: pattern[:, 0].mean() for state, pattern in patterns.items()}
        change = (patterns["changed"] - patterns["unchanged"]).abs().max()
        return [
            f"L{layer}H{head}, {left}, scaled by {scale:.1f}, b_k times {times}: "
            f"{stats.fraction_negative:.0%} of the visible scores are negative, median {stats.median:.1f}.",
            f"Over all queries {tokens['changed']:.1f} effective tokens (unchanged: {tokens['unchanged']:.1f}), "
            f"first token's share {share['changed']:.0%} (unchanged: {share['unchanged']:.0%}).",
            f"Largest change of any share: {change:.3f}.",
        ]
