"""Lesson 4's explorer: how many of a head's scores lie below zero, and what this number depends on."""

import numpy as np

from headlab._expect import expect
from headlab.explorers.shared import MAX_TOKENS, PageExplorer, Setting, all_scores, as_bytes, page_side, slider
from headlab.plots import COLOURS, plot_head_grid
from headlab.scores import attention_pattern
from headlab.shift import causal_scores, count_negative, shift_stats

N_BINS = 40


class ShiftExplorer(PageExplorer):
    """Lesson 4: the fraction of negative scores of every head, one head's scores, and the fraction query by query.

    model, tokenizer: as load_model gives them; text: what to show first, from 2 to MAX_TOKENS tokens. Each setting can
    be read and set from Python too: layer, head, n_tokens (if the text is shorter, all of it), first_key (whether its
    scores count) and added, a number that is added to every raw score.
    Introduced in lesson 4.

    >>> from headlab.explorers import recorded_gpt2
    >>> ShiftExplorer(*recorded_gpt2(), layer=2).lines()[1]
    'All heads together: 74%; heads with a negative majority: 124 of 144.'
    """

    _esm, _css = page_side("shift")
    title = "Shift explorer"
    words = (
        "L{layer}H{head}, {n_tokens} of {all} tokens read, {first_key} the first key, {added:+.0f} on every score: "
        "{negative:.0%} of its {n} causal scores are negative, median {median:.1f}, mean {mean:.1f}.",
        "All heads together: {negative_all:.0%}; heads with a negative majority: {majority} of {n_heads}.",
        "The added number changes no share of this head's attention by more than {change:.3f}.",
    )
    size = (12, 4)
    layer, head, n_tokens = Setting(0), Setting(0), Setting(MAX_TOKENS)
    first_key, added = Setting(True), Setting(0)

    def make_controls(self, n_layers, n_heads):
        """Layer, head, tokens read, the first key, and what is added."""
        return {
            **super().make_controls(n_layers, n_heads),
            "n_tokens": slider("Tokens read", 2, MAX_TOKENS),
            "added": slider("Added to every score", -100, 100),
            "first_key": {"label": "First key counts"},
        }

    def prepare(self, capture, labels):
        """The raw scores of every head."""
        expect(len(labels) >= 2, "text", f"2 to {MAX_TOKENS} tokens", f"{len(labels)} token")
        scores = all_scores(capture)
        return {"scores": as_bytes(scores), "divisors": list(capture.divisors), "most": {"n_tokens": len(labels)}}

    def compute(self):
        """shift_stats of every head, the chosen head's scores in bins, and the fraction below zero of each row."""
        n_tokens, drop = min(self.n_tokens, len(self._labels)), not self.first_key
        own = all_scores(self._reading)[..., :n_tokens, :n_tokens].double()  # (layer, head, query, key)
        raw = own + self.added
        stats = shift_stats(raw, drop)  # each (layer, head)
        place = self.layer, self.head
        scores = causal_scores(raw[place])
        edges = np.linspace(np.floor(scores.min()), np.floor(scores.max()) + 1, N_BINS + 1)
        firsts = raw[place][:, 0].numpy()
        n_negative, n_scores = count_negative(raw, drop)  # (layer, head, row), (row,)

        patterns = [attention_pattern(x, self._reading.divisors[self.layer] ** 2) for x in (own[place], raw[place])]
        facts = {
            **{"layer": self.layer, "head": self.head, "n_tokens": n_tokens, "all": len(self._labels)},
            **{"first_key": "without" if drop else "with", "added": self.added},
            **{"n": int(stats.n[place]), "negative": stats.fraction_negative[place]},
            **{"median": stats.median[place], "mean": stats.mean[place]},
            "negative_all": stats.fraction_negative.mean(),
            **{"majority": int((stats.fraction_negative > 0.5).sum()), "n_heads": stats.n.size},
            "change": (patterns[1] - patterns[0]).abs().max().item(),
        }
        of_first = np.histogram(firsts, edges)[0]
        numbers = {
            "fractions": stats.fraction_negative,
            "edges": edges,
            "of_first": of_first,
            "of_others": np.histogram(scores, edges)[0] - of_first,
            "rows": n_negative[place] / n_scores,
            "rows_all": n_negative.sum((0, 1)) / (stats.n.size * n_scores),
        }
        return numbers, facts

    def draw(self, figure, numbers, facts):
        """The heads as a grid, the chosen head's scores in bins, and the rows."""
        grid, bins, rows = figure.subplots(1, 3)
        plot_head_grid(numbers["fractions"], grid, "fraction of the scores below zero", meaning="fraction")
        grid.set_title("all heads")
        edges = numbers["edges"]
        counts = [numbers["of_others"], numbers["of_first"]] if self.first_key else [numbers["of_others"]]
        names = ["other keys", "first key"][: len(counts)]
        style = {"stacked": True, "color": [COLOURS[name] for name in names], "label": names}
        bins.hist([edges[:-1]] * len(counts), edges, weights=counts, **style)
        bins.axvline(0, color="0.45", ls="--", lw=1)
        bins.set(xlabel="raw score q·k", ylabel="scores", title="scores of L{layer}H{head}".format(**facts))
        bins.legend(frameon=False, fontsize=8)
        queries = np.arange(len(numbers["rows"])) + (not self.first_key)
        rows.plot(queries, numbers["rows_all"], color="0.6", lw=4, label="all heads")
        rows.plot(queries, numbers["rows"], "o-", ms=3, color=COLOURS["loaded model"], label="this head")
        rows.axhline(0.5, color="0.45", ls="--", lw=1)
        rows.set(xlabel="query", ylabel="fraction of its scores below zero", ylim=(-0.03, 1.03), title="query by query")
        rows.legend(frameon=False, fontsize=8)
