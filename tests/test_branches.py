"""Every branch of every sentence that a lesson may say is taken: by a model, or here by values made up for it.

The calls of `says` and `reveal` are cut out of the masters, so that what is tested is what stands there. A call is
known by its first condition, a branch by its place. TOLD is the committed table of what the made-up values are told;
with HEADLAB_UPDATE=1 it is rewritten before it is compared.
"""

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lesson_runs import MASTERS, MODELS, kept, said

from headlab.predict import Prediction
from headlab.profiles import Comparison, VarianceShares
from headlab.says import first_true

TOLD = Path(__file__).with_name("made_up.csv")


@dataclass(frozen=True)
class Call:
    """One call of `says`, or of a `reveal` with the choices of its question."""

    node: ast.Call
    choices: tuple

    @property
    def branches(self):
        return [branch.elts for branch in self.node.args]

    @property
    def key(self):
        return ("reveal: " if self.choices else "says: ") + ast.unparse(self.branches[0][0])

    def takes(self, **values):
        """The place and the words of the branch that is taken where the call's names have these values."""
        names = {"says": taken, "who": lambda model: "the model", "torch": torch}
        if self.choices:
            names["guess"] = Guess("?", self.choices)
        return eval(compile(ast.Expression(self.node), self.key, "eval"), names | values)

    def taken(self, rows):
        """The places of the branches whose sentences stand in these rows of the table."""
        return {place for place in range(len(self.branches)) if any(self._says(place, *row) for row in rows)}

    def _says(self, place, branch, sentence):
        """Whether a row of the table, (branch, sentence), is what this branch says."""
        *choice, text = self.branches[place][1:]
        start, label = "", f"{place + 1} of {len(self.branches)}"
        if self.choices:
            start, label = f"✓ {choice[0].value}: " if choice[0].value else "None of the choices: ", "reveal"
        parts = text.values if isinstance(text, ast.JoinedStr) else [text]
        pattern = "".join(re.escape(part.value) if isinstance(part, ast.Constant) else ".*" for part in parts)
        return branch == label and re.fullmatch(re.escape(start) + pattern, sentence) is not None


def taken(*branches):
    """The place of the first branch whose condition holds, and its words."""
    place = first_true(branches)
    return place, ": ".join(map(str, branches[place][1:]))


class Guess(Prediction):
    """A prediction whose reveal also tells which branch it took."""

    def reveal(self, *branches, overlooked):
        super().reveal(*branches, overlooked=overlooked)
        return taken(*branches)


@cache
def calls(name):
    """{key: Call} of a master: its calls of `says`, and those of `reveal` that have branches."""
    nodes = [node for node in ast.walk(ast.parse(MASTERS[name].read_text("utf-8"))) if isinstance(node, ast.Call)]
    found, choices = [], ()
    for node in sorted(nodes, key=lambda node: node.lineno):  # a question stands before its reveal
        called = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if called in ("predict", "predict_number"):
            choices = tuple(ast.literal_eval(argument) for argument in node.args[1:]) if called == "predict" else ()
        elif called == "says" or (called == "reveal" and choices):
            found.append(Call(node, choices if called == "reveal" else ()))
    keyed = {call.key: call for call in found}
    assert len(keyed) == len(found), f"{name}: two calls with the same first condition"
    return keyed


# {master: {call: {place of the branch: values with which it is taken}}}
t = torch.tensor
MODEL = SimpleNamespace(dtype=torch.float32, config=SimpleNamespace(vocab_size=50257))
HEAD = {"model": MODEL, "layer": 3, "head": 1}
BEFORE = {"model": MODEL, "before": t([0.6, 0.05]), "sinks": t([False, True]), "even": 0.1}
FOUND = Comparison(np.array([[0.0, 0, 0], [1, 1, 1]]), np.ones(3), np.array([0.01, 0.2, 0.04]), 0.01, 1e-4)
MADE_UP = {
    "01_causal_masking": {
        "reveal: best == 'old'": {1: {"best": "stone"}},
        "reveal: (future == 0).all()": {1: {"future": t([0.0, 1e-9])}},
        "reveal: leaked[-100000.0] > 0": {1: {"leaked": {-1e5: 0.0}}},
        "says: lowest.isnan()": {
            0: {"model": MODEL, "lowest": t(torch.nan)},
            1: {"model": MODEL, "lowest": t(-torch.inf)},
            3: {"model": MODEL, "lowest": t(-1e4)},
        },
        "reveal: found[0] == -torch.inf and found[1] != found[1] and (found[2] == torch.inf)": {
            1: {"found": [-torch.inf, 0.0, torch.inf]},
        },
        "says: share_negative > 0": {1: {"model": MODEL, "share_negative": 0.0, "broken_rows": 0.0}},
        "reveal: (sums[:-1] < 0.999).all() and abs(sums[-1] - 1) < 1e-06": {1: {"sums": t([0.2, 0.9, 0.9])}},
        "reveal: (patterns[..., 0, 0] == 1).all()": {1: {"patterns": torch.full((2, 3, 4, 4), 0.25)}},
        "reveal: moved[:-1].max() == 0": {1: {"moved": t([0.0, 1e-5, 2.0])}, 2: {"moved": t([0.0, 0.1, 2.0])}},
        "reveal: above > 0 and below > 0": {
            1: {"collected": torch.ones(2, 3), "above": 6, "below": 0, "rest": 0},
            3: {"collected": torch.ones(2, 3), "above": 2, "below": 0, "rest": 4},
        },
    },
    "02_splitting_qkv": {
        "reveal: len(fused) == n_tokens": {1: {"fused": torch.zeros(1, 5, 12), "n_tokens": 5}},
        "reveal: swapped[0, 0] == 1": {1: {"swapped": torch.full((3, 3), 1 / 3)}},
        "says: sum(equal.values()) == 1": {1: {"equal": {"qkv": True, "kqv": True, "vkq": False}}},
        "reveal: sums_to_one and causal": {1: {"sums_to_one": True, "causal": False}},
        "says: n_heads == 1": {
            0: {"n_heads": 1, "bias": t([0.1, -0.2]), "bias_forgotten": "cut", "gaps": {"cut": t([0.1])}},
            2: {"n_heads": 2, "bias": t([0.1, -0.2]), "bias_forgotten": "cut", "gaps": {"cut": t([1e-7, 2e-6])}},
        },
        "says: ratio > 2": {1: {"ratio": 1.0, "n_heads": 1, "most": 0, "least": 0}},
        "reveal: off[1] < 0.0001 * max(scale, 1)": {1: {"off": {1: 0.5}, "scale": 20.0}},
    },
    "03_head_scores": {
        "says: who(model) == 'random control'": {2: {"model": MODEL, "trained": 0.3, "divided": 0.25}},
        "reveal: (4, 2) in marked['induction']": {1: {"marked": {"induction": {(4, 1)}}}},
        "reveal: partner is None": {
            2: {"partner": (0, 3), "share": 0.9, "without": 0.8, "others": 0.9, "compared": "so."},
            3: {"partner": (0, 3), "share": 0.9, "without": 0.6, "others": 0.9, "compared": "so."},
        },
        "reveal: to_adjective[layer, head].mean() < 2 * evenly": {
            2: HEAD | {"habits": {"previous": 0.1}, "to_adjective": torch.full((4, 2, 5), 0.6), "evenly": 0.05},
        },
        "says: chosen[0] == chosen[1] and chosen[0][-1]": {
            0: HEAD | {"chosen": [(3, 1, True), (3, 1, True)]},
            1: HEAD | {"chosen": [(3, 1, True), (3, 1, False)]},
            2: HEAD | {"chosen": [(3, 1, True), (2, 5, True)]},
        },
    },
    "04_negative_shift": {
        "reveal: sure > 0.25": {1: {"sure": 0.1}},
        "says: low > 0.5": {
            1: {"low": 0.3, "high": 0.4, "both": "35%, from 30% to 40%", "told": "35%", "several": True},
            3: {"low": 0.0, "high": 1.0, "both": "35%, from 0% to 100%", "told": "35%", "several": False},
        },
        "reveal: coverage['rows'] < 0.8": {1: {"coverage": {"rows": 0.93}}},
        "reveal: wide < low_until": {1: {"wide": 500, "low_until": 400}},
    },
    "05_what_softmax_sees": {
        "reveal: change < 0.001 * (logits.max() - logits.min())": {1: {"change": 0.5, "logits": t([-30.0, 10.0])}},
        "says: slopes[1] < 0.001 * min(slopes[0], slopes[2])": {1: {"slopes": t([0.1, 0.001, 0.3])}},
        "reveal: width['below the first key'] < width['negative']": {
            1: {"width": {"below the first key": 0.2, "negative": 0.1}},
        },
        "reveal: (query_bias.mean(1) > 2 * content.mean(1)).all()": {
            1: {"query_bias": np.array([[9.0], [9.0], [9.0]]), "content": np.array([[1.0], [1.0], [5.0]])},
        },
        "says: all(led) and max(cut) < 0.8": {
            2: {"model": MODEL, "apart": True, "led": [False, False, False], "cut": [0.5, 0.5, 0.9]},
            4: {"model": MODEL, "apart": True, "led": [True, True, True], "cut": [0.9, 0.9, 1.0]},
            5: {"model": MODEL, "apart": True, "led": [True, False, True], "cut": [0.5, 0.5, 0.7]},
        },
        "reveal: not sinks.any()": {
            2: BEFORE | {"moved": t([-0.05, 0.05]), "after": {"positions swapped": t([0.55, 0.1])}},
        },
        "says: not sinks.any()": {
            1: BEFORE | {"part": "the query bias", "name": "cut", "after": {"cut": t([0.2, 0.1])}},
        },
        "says: not key_biases.any()": {
            2: HEAD | {"key_biases": torch.ones(4, 2, 8, 1), "agree": torch.full((4, 2), 0.7)},
        },
    },
    "06_scatter_vs_kde": {
        "reveal: seen['one head'] < 0.5": {
            place: {"seen": dict(zip(("one head", "one layer", "all heads"), shares, strict=True))}
            for place, shares in enumerate([(0.4, 0.1, 0.01), (0.9, 0.4, 0.01), (0.9, 0.6, 0.4), (0.9, 0.8, 0.6)])
        },
        "reveal: len(set(found)) > 1": {1: {"found": [2, 2, 2, 2]}},
        "reveal: set(closest.values()) == {'sheather-jones'}": {
            1: {"closest": {"independent": "cross-validation"}, "middle": {"independent": [2.4, 2.8, 1.1, 1.2]}},
            2: {"closest": {"a": "scott", "b": "silverman"}, "middle": {"independent": [2.4, 2.8, 1.1, 1.2]}},
        },
        "says: at[0.5] < 2": {
            0: HEAD | {"at": {0.5: 1, 1: 1, 2: 1}, "steady": 0.0},
            1: HEAD | {"at": {0.5: 2, 1: 2, 2: 2}, "steady": 1.0},
            2: HEAD | {"at": {0.5: 2, 1: 2, 2: 2}, "steady": 0.7},
            3: HEAD | {"at": {0.5: 3, 1: 2, 2: 1}, "steady": 0.99},
        },
        "reveal: effective < 0.25": {
            place: {"effective": effective, "sample": np.zeros(4000), "worth": {"rows": 900.0, "rows and keys": 400.0}}
            for place, effective in enumerate([0.1, 0.5, 0.9])
        },
        "reveal: leak > 0.05": {1: {"leak": 0.01}, 2: {"leak": 0.0}},
    },
    "07_laminar_profiles": {
        "reveal: apart > 2 * chance": {
            1: {"model": MODEL, "n_heads": 1, "apart": 0.0, "chance": 1.0, "told": "so."},
            2: {"model": MODEL, "n_heads": 12, "apart": 0.1, "chance": 1.0, "told": "so."},
            3: {"model": MODEL, "n_heads": 12, "apart": 1.1, "chance": 1.0, "told": "so."},
        },
        "reveal: moved > 3 and median_moved < 0.5 * moved": {
            1: {
                "moved": 1.0,
                "median_moved": 0.2,
                "heads": t([1.0]),
                "left": t([1.0]),
                "middle": 1.0,
                "middle_left": 1.0,
            },
            2: {
                "moved": 4.0,
                "median_moved": 3.0,
                "heads": t([1.0]),
                "left": t([1.0]),
                "middle": 1.0,
                "middle_left": 1.0,
            },
        },
        "says: p_groups <= 0.05": {
            place: {
                "model": MODEL,
                "p_groups": 0.4,
                "found": 0.4,
                "shuffled": np.array([0.3, 0.5]),
                "rows": np.ones((n, 7)),
            }
            for place, n in ((1, 4), (2, 5))
        },
        "reveal: false > 0.5": {1: {"false": 0.3}, 2: {"false": 0.05}},
        "says: deepest['random control'].max() >= 0.5 * len(texts)": {
            0: {"deepest": {"random control": np.array([1, 17])}, "texts": 18 * ["a"]},
            1: {"deepest": {"random control": np.array([8, 5, 5])}, "texts": 18 * ["a"]},
        },
        "reveal: on_first > 0.8": {1: {"on_first": 0.5}, 2: {"on_first": 0.3}},
        "says: mine.sum() < 2 * by_chance.sum() + 0.01": {
            place: {"model": MODEL, "mine": np.array(mine), "by_chance": np.array([0.01, 0.0, 0.01, 0.0])}
            | {"mine_first": mine[0] / sum(mine)}
            for place, mine in enumerate([[0.01, 0.0, 0.01, 0.0], [0.4, 0.1, 0.1, 0.0], [0.1, 0.2, 0.1, 0.0]])
        },
        "says: low > 0 and rest_low > 0": {
            place: {"model": MODEL, "n_layers": layers, "low": low, "high": high, "rest_low": rest_low, "both": "so"}
            for place, (layers, low, high, rest_low) in enumerate(
                [(4, 0.1, 0.2, 0.1), (4, 0.1, 0.2, -0.1), (1, 0.0, 0.0, 0.0), (4, -0.2, -0.1, 0.1), (4, -0.1, 0.1, 0.1)]
            )
        },
        "reveal: split.head == max(split)": {
            place: {"split": VarianceShares(*np.roll([0.7, 0.1, 0.1, 0.1], shift)), "told": "so."}
            for place, shift in enumerate([1, 0, 2, 3])
        },
        "says: len(robust) == 7": {
            place: {"model": MODEL, "robust": robust * ["spread"], "names": "spread"}
            for place, robust in enumerate([7, 3, 0])
        },
        "says: len(different) == 7": {
            place: {"model": MODEL, "different": different * ["first_share"]}
            for place, different in enumerate([7, 3, 0])
        },
    },
    "08_heads_at_work": {
        "says: base < ignorant - 0.5": {
            0: {"model": MODEL, "ignorant": 10.8, "base": 3.5},
            1: {"model": MODEL, "ignorant": 10.8, "base": 10.9},
            2: {"model": MODEL, "ignorant": 10.8, "base": 12.0},
        },
        "reveal: largest < 0.01": {0: {"largest": 1e-4}, 1: {"largest": 0.3}},
        "reveal: range_of_scales < 0.1": {
            0: {"range_of_scales": 0.02, "best": 1, "one_is_best": "its curve is lowest there."},
            1: {"range_of_scales": 4.0, "best": 1, "one_is_best": "its curve is lowest there."},
            2: {"range_of_scales": 4.0, "best": 1.5, "one_is_best": "its curve is lowest there."},
            3: {"range_of_scales": 4.0, "best": 0.5, "one_is_best": "its curve is lowest there."},
        },
        "says: range_of_scales < 0.1": {
            place: {"model": MODEL, "texts": 6 * [""], "blurring": 2}
            | {"range_of_scales": spread, "halved": halved, "doubled": 0.3}
            for place, (spread, halved) in enumerate([(0.02, 0.01), (4.0, 0.2), (4.0, -0.2)])
        },
        "reveal: ((first_cost > second_cost + 0.02) & (first_cost > 0)).all()": {
            0: {"first_cost": t([1.0, 1.4]), "second_cost": t([0.1, -0.1])},
            1: {"first_cost": t([-0.1, -0.2]), "second_cost": t([0.1, 0.1])},
            2: {"first_cost": t([0.01, 0.02]), "second_cost": t([0.0, 0.01])},
            3: {"first_cost": t([1.0, -0.2]), "second_cost": t([0.1, 0.1])},
        },
        "says: all_at_once > 0.05 and sum(sink_costs) < 0.8 * all_at_once": {
            0: {"model": MODEL, "all_at_once": 1.0, "sink_costs": [0.2, 0.3]},
            1: {"model": MODEL, "all_at_once": 1.0, "sink_costs": [0.5, 0.6]},
            2: {"model": MODEL, "all_at_once": 0.01, "sink_costs": [0.0, 0.0]},
        },
        "reveal: dear > mean_cost.numel() / 2": {
            0: {"dear": 5, "mean_cost": torch.ones(2, 4)},
            1: {"dear": 4, "mean_cost": torch.ones(2, 4)},
            2: {"dear": 0, "mean_cost": torch.ones(2, 4)},
        },
        "says: cheap_together > max(cheap_sum, 0) + 0.1": {
            place: {"model": MODEL, "cheap": heads * [(0, 0)], "cheap_together": together, "cheap_sum": one_by_one}
            for place, (heads, together, one_by_one) in enumerate(
                [(9, 2.0, -0.3), (1, 0.01, 0.01), (9, 0.25, 0.2), (9, 0.1, 0.5)]
            )
        },
        "reveal: (gap.abs() < 0.05).all()": {
            0: {"gap": t([0.01, -0.02, 0.0])},
            1: {"gap": t([0.1, 0.2, 0.3])},
            2: {"gap": t([-0.1, -0.2, -0.3])},
            3: {"gap": t([-0.1, 0.2, 0.0])},
            4: {"gap": t([0.1, 0.2, 0.0])},
        },
        "says: n_layers == 1 or mean_cost.max() < 0.05": {
            place: {"model": MODEL, "n_layers": 2, "middle": 1, "agreement": 0.1}
            | {"mean_cost": torch.full((2, 4), cost), "shares": [share, 0.4]}
            for place, (cost, share) in enumerate([(0.0, 0.5), (1.0, 0.7), (1.0, 0.4)])
        },
        "reveal: n_layers == 1": {
            place: {"n_layers": 1 if place == 0 else 4, "learned": learned, "gone_blind": gone_blind, "costly": costly}
            | {"shares": [0.9, share, 0.9], "cut_loss": cut_loss, "second_half": 3.0, "compared": "so."}
            for place, (learned, gone_blind, costly, share, cut_loss) in enumerate(
                [
                    (True, False, False, 0.9, 3.0),
                    (True, True, True, 0.1, 9.0),
                    (True, False, True, 0.8, 9.0),
                    (True, True, False, 0.1, 3.1),
                    (True, False, True, 0.1, 9.0),  # the other cut blinds the upper head as well
                    (False, True, True, 0.1, 9.0),
                ]
            )
        },
    },
    "09_your_own_project": {
        "says: test.p_any <= 0.05": {
            0: {"model": MODEL, "test": FOUND},
            1: {"model": MODEL, "test": FOUND._replace(p_any=0.1, least_p=0.1)},
            2: {"model": MODEL, "test": FOUND._replace(p_any=0.3)},
        },
        "says: test.p_any > 0.05": {
            place: {
                "test": FOUND._replace(p_any=0.3) if place == 0 else FOUND,
                "tests": {"random control": FOUND._replace(p_any=0.01 if place == 1 else 0.6)},
                "stays": stays,
                "gap": 1.0,
                "untrained_gap": 0.5,
            }
            for place, stays in enumerate([[], [], ["a", "b"], ["a"], []])
        },
        "says: prose.mean() < 0.02 and dialogue.mean() < 0.02": {
            place: {
                "model": MODEL,
                "prose": np.full(3, prose),
                "dialogue": np.full(3, dialogue),
                "dialogue_more": dialogue - prose,
                "error": 0.1,
                "found": {0: FOUND._replace(p_any=p)},
            }
            for place, (prose, dialogue, p) in enumerate(
                [(0.01, -0.01, 0.01), (0.3, 0.6, 0.01), (0.6, 0.3, 0.01), (0.3, 0.4, 0.3)]
            )
        },
        "says: found[1].p_any <= 0.05": {
            place: {"found": {1: FOUND._replace(p_any=p)}} for place, p in enumerate([0.01, 0.3])
        },
        "says: found[0].p_any > 0.05 and plain_test.p_any > 0.05": {
            place: {"found": {0: FOUND._replace(p_any=p)}, "plain_test": FOUND._replace(p_any=plain)}
            for place, (p, plain) in enumerate([(0.3, 0.3), (0.3, 0.01), (0.01, 0.01), (0.01, 0.3)])
        },
    },
}


@pytest.mark.parametrize("name", MASTERS)
def test_every_branch_is_taken_by_a_model_or_by_made_up_values(name):
    found, made_up = calls(name), MADE_UP.get(name, {})
    assert made_up.keys() <= found.keys(), f"no such call: {made_up.keys() - found.keys()}"
    rows = [row for model in MODELS for row in said(name, model)]
    for key, call in found.items():
        places = set(range(len(call.branches)))
        missing = places - call.taken(rows) - made_up.get(key, {}).keys()
        assert not missing, f"{key}: no model takes branches {missing}; put values in MADE_UP that do"


def test_made_up_values_take_their_branch_and_are_told_what_they_were_told():
    heard = []
    for name, cases in MADE_UP.items():
        for key, places in cases.items():
            for place, values in places.items():
                took, words = calls(name)[key].takes(**values)
                assert took == place, (name, key)
                heard.append([name, key, str(place), words])
    expected = kept(TOLD, ("lesson", "call", "place", "words"), heard)
    assert heard == expected, "HEADLAB_UPDATE=1 takes the new words over"
