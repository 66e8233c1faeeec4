"""Lesson 5's explorer: what softmax sees of the four terms of the scores."""

import numpy as np
import torch

from headlab.capture import score_divisor, score_terms
from headlab.contrast import ScoreTerms, effective_tokens
from headlab.explorers.shared import PageExplorer, Setting, as_bytes, fit_labels, page_side, slider
from headlab.masking import causal_mask, mask_scores
from headlab.plots import COLOURS, plot_pattern, plot_scores
from headlab.scores import attention_pattern
from headlab.shift import shift_stats


class ContrastExplorer(PageExplorer):
    """Lesson 5: multiply a head's key bias, scale the scores, drop any of their four terms, and see what softmax sees.

    model, tokenizer: as load_model gives them; text: what to show first, at most MAX_TOKENS tokens. Each setting can
    be read and set from Python too: layer, head, times (the factor of the key bias), scale (that of all scores), and
    content, query_bias, key_bias and constant (whether each of these terms counts).
    Introduced in lesson 5.

    >>> from headlab.explorers import recorded_gpt2
    >>> ContrastExplorer(*recorded_gpt2(), layer=4, head=11, times=-100).lines()[2]
    'Largest change of any share: 0.000.'
    """

    _esm, _css = page_side("contrast")
    title = "Contrast explorer"
    words = (
        "L{layer}H{head}, {kept}, scaled by {scale:.1f}, b_k times {times}: {negative:.0%} of the visible scores are "
        "negative, median {median:.1f}.",
        "Mean over the queries: {tokens:.1f} effective tokens (unchanged: {tokens_before:.1f}), first token's share "
        "{first:.0%} (unchanged: {first_before:.0%}).",
        "Largest change of any share: {change:.3f}.",
    )
    size = (11, 4.2)
    look = staticmethod(score_terms)
    layer, head, times, scale = Setting(0), Setting(0), Setting(1), Setting(1.0)
    content, query_bias, key_bias, constant = (Setting(True) for _ in ScoreTerms._fields)

    def __init__(self, model, tokenizer, text, **settings):
        self._divisors = [score_divisor(model.config, layer) for layer in range(model.config.n_layer)]
        super().__init__(model, tokenizer, text, **settings)

    def make_controls(self, n_layers, n_heads):
        """Layer, head, the key bias's factor, the scale, and the four terms."""
        return {
            **super().make_controls(n_layers, n_heads),
            "times": slider("b_k times", -100, 100),
            "scale": slider("Scale by", 0.0, 3.0, 0.1),
            **{name: {"label": name.replace("_", " ").capitalize()} for name in ScoreTerms._fields},
        }

    def prepare(self, terms, labels):
        """The four terms of every head, without the values that a term only repeats."""
        content, query_bias, key_bias, constant = map(torch.stack, zip(*terms, strict=True))  # each (layer, head, T, T)
        return {
            "content": as_bytes(content),
            "query_bias": as_bytes(query_bias[..., 0, :]),  # one for each key
            "key_bias": as_bytes(key_bias[..., :, 0]),  # one for each query
            "constant": as_bytes(constant[..., 0, 0]),
            "divisors": self._divisors,
        }

    def compute(self):
        """The sum of the chosen terms, with the key bias multiplied, and its pattern beside the unchanged one."""
        four = {name: term[self.head].double() for name, term in self._reading[self.layer]._asdict().items()}
        weights = {
            "content": 1,
            "query_bias": 1,
            "key_bias": self.times,
            "constant": self.times,
        }  # b_k is in the last two
        kept = {name: self.scale * weights[name] * getattr(self, name) for name in four}
        raw = sum(kept[name] * four[name] for name in four)
        divided_by = self._divisors[self.layer] ** 2  # attention_pattern takes the root of it: d_head in GPT-2
        before, pattern = attention_pattern(sum(four.values()), divided_by), attention_pattern(raw, divided_by)

        tokens, tokens_before = effective_tokens(pattern), effective_tokens(before)
        dropped = " and ".join(name.replace("_", " ") for name in four if not getattr(self, name))
        stats = shift_stats(raw)
        facts = {
            **{"layer": self.layer, "head": self.head, "scale": self.scale, "times": self.times},
            "kept": f"without {dropped}" if dropped else "all four terms",
            **{"negative": stats.fraction_negative.item(), "median": stats.median.item()},
            **{"tokens": tokens.mean(), "tokens_before": tokens_before.mean()},
            **{"first": pattern[:, 0].mean().item(), "first_before": before[:, 0].mean().item()},
            "change": (pattern - before).abs().max().item(),
        }
        numbers = {"raw": raw, "pattern": pattern, "before": before}
        return {**numbers, "tokens": tokens, "tokens_before": tokens_before}, facts

    def draw(self, figure, numbers, facts):
        """Scores and pattern; query by query, the effective tokens and the first token's share."""
        axes = figure.subplot_mosaic(
            [["scores", "pattern", "tokens"], ["scores", "pattern", "share"]], width_ratios=(3, 3, 2)
        )
        limit = numbers["raw"][causal_mask(len(self._labels))].abs().max().item() or None
        plot_scores(mask_scores(numbers["raw"]), self._labels, axes["scores"], "raw score (hatched: masked)", limit)
        plot_pattern(numbers["pattern"], self._labels, axes["pattern"])
        axes["scores"].set_title("raw scores of L{layer}H{head}".format(**facts))
        axes["pattern"].set_title("pattern")
        for name in ("scores", "pattern"):
            fit_labels(axes[name].xaxis, axes[name].yaxis)
        queries = np.arange(len(self._labels))
        styles = {
            "before": {"color": "0.6", "lw": 4, "label": "unchanged"},
            "now": {"color": COLOURS["loaded model"], "marker": "o", "ms": 3, "label": "changed"},
        }
        for when, names in {"before": ("tokens_before", "before"), "now": ("tokens", "pattern")}.items():
            axes["tokens"].plot(queries, numbers[names[0]], **styles[when])
            axes["share"].plot(queries, numbers[names[1]][:, 0], **styles[when])
        axes["tokens"].set(ylim=(0, len(queries) + 1), ylabel="effective tokens", xticklabels=[])
        axes["share"].set(ylim=(0, 1.05), ylabel="first token's share", xlabel="query")
        axes["tokens"].legend(loc="upper left", fontsize=8, frameon=False)
