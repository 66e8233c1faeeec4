"""Every branch of every sentence that a lesson may say is taken: by a model, or here by values made up for it.

The calls of `says` and `reveal` are cut out of the masters, so that what is tested is what stands there. A call is
known by its first condition, a branch by its place; the wording is free. The same conditions are tried on real GPT-2.
"""

import ast
import re
from dataclasses import dataclass
from functools import cache
from itertools import permutations
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lesson_runs import MASTERS, MODELS, said
from safetensors.torch import load_file

from headlab.contrast import FOLDS, below_first_key, decompose_scores, row_contrast
from headlab.masking import causal_mask
from headlab.predict import Prediction
from headlab.profiles import Comparison, VarianceShares, variance_shares
from headlab.says import first_true
from headlab.scores import attention_pattern, head_outputs, project_heads, raw_scores
from headlab.shift import bootstrap_fraction, gpt2_reference, shift_stats
from headlab.splitting import split_heads, split_qkv


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

    def place(self, **values):
        """The place of the branch that is taken where the call's names have these values; every sentence is written."""
        names = {"says": lambda *branches: first_true(branches), "who": lambda model: "the model", "torch": torch}
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


class Guess(Prediction):
    """A prediction whose reveal also tells the place of the branch it took."""

    def reveal(self, *branches, overlooked):
        super().reveal(*branches, overlooked=overlooked)
        return first_true(branches)


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
        "says: bias.abs().max() == 0": {
            1: {"bias": t([0.1, -0.2]), "bias_forgotten": "cut", "gaps": {"cut": t([1e-7, 2e-6])}},
        },
        "reveal: off[1] < 0.0001 * max(scale, 1)": {1: {"off": {1: 0.5}, "scale": 20.0}},
    },
    "03_head_scores": {
        "says: who(model) == 'random control'": {2: {"model": MODEL, "trained": 0.3, "divided": 0.25}},
        "reveal: (4, 2) in marked['induction']": {1: {"marked": {"induction": {(4, 1)}}}},
        "reveal: partner is None": {
            2: {"partner": (0, 3), "share": 0.9, "without": 0.8, "others": 0.9},
            3: {"partner": (0, 3), "share": 0.9, "without": 0.6, "others": 0.9},
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
        "says: low > 0.5": {1: {"model": MODEL, "low": 0.3, "high": 0.4, "both": "35%, from 30% to 40%"}},
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
            1: {"apart": 0.1, "chance": 1.0, "told": "so."},
            2: {"apart": 1.1, "chance": 1.0, "told": "so."},
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
            1: {"model": MODEL, "p_groups": 0.4, "found": 0.4, "shuffled": np.array([0.3, 0.5])},
        },
        "reveal: false > 0.5": {1: {"false": 0.3}, 2: {"false": 0.05}},
        "says: deepest['random control'].max() >= 0.5 * len(texts)": {
            0: {"deepest": {"random control": np.array([1, 17])}, "texts": 18 * ["a"]},
            1: {"deepest": {"random control": np.array([8, 5, 5])}, "texts": 18 * ["a"]},
        },
        "reveal: on_first > 0.8": {1: {"on_first": 0.5}, 2: {"on_first": 0.3}},
        "says: mine.sum() < 2 * by_chance.sum() + 0.01": {
            place: {"model": MODEL, "mine": np.array(mine), "by_chance": np.array([0.01, 0.0, 0.01, 0.0])}
            for place, mine in enumerate([[0.01, 0.0, 0.01, 0.0], [0.4, 0.1, 0.1, 0.0], [0.1, 0.2, 0.1, 0.0]])
        },
        "says: low > 0 and rest_low > 0": {
            place: {"model": MODEL, "low": low, "high": high, "rest_low": rest_low, "both": "so"}
            for place, (low, high, rest_low) in enumerate(
                [(0.1, 0.2, 0.1), (0.1, 0.2, -0.1), (-0.2, -0.1, 0.1), (-0.1, 0.1, 0.1)]
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
            0: {"model": MODEL, "range_of_scales": 0.02, "halved": 0.01, "doubled": 0.0},
            1: {"model": MODEL, "range_of_scales": 4.0, "halved": 0.2, "doubled": 0.1},
            2: {"model": MODEL, "range_of_scales": 4.0, "halved": 0.2, "doubled": 0.3},
            3: {"model": MODEL, "range_of_scales": 4.0, "halved": -0.2, "doubled": 0.3},
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
            0: {"model": MODEL, "cheap_together": 2.0, "cheap_sum": -0.3},
            1: {"model": MODEL, "cheap_together": 0.25, "cheap_sum": 0.2},
            2: {"model": MODEL, "cheap_together": 0.1, "cheap_sum": 0.5},
        },
        "reveal: (gap.abs() < 0.05).all()": {
            0: {"gap": t([0.01, -0.02, 0.0])},
            1: {"gap": t([0.1, 0.2, 0.3])},
            2: {"gap": t([-0.1, -0.2, -0.3])},
            3: {"gap": t([-0.1, 0.2, 0.0])},
            4: {"gap": t([0.1, 0.2, 0.0])},
        },
        "says: mean_cost.max() < 0.05": {
            0: {"model": MODEL, "mean_cost": torch.zeros(2, 4), "shares": [0.5, 0.4], "agreement": 0.1},
            1: {"model": MODEL, "mean_cost": torch.ones(2, 4), "shares": [0.7, 0.4], "agreement": 0.1},
            2: {"model": MODEL, "mean_cost": torch.ones(2, 4), "shares": [0.4, 0.4], "agreement": 0.1},
        },
        "reveal: learned and gone_blind and costly": {
            place: {"learned": learned, "gone_blind": gone_blind, "costly": costly}
            | {"shares": [0.9, 0.1, 0.9], "cut_loss": 9.0, "second_half": 3.0}
            for place, (learned, gone_blind, costly) in enumerate(
                [(True, True, True), (True, False, True), (True, True, False), (False, True, True)]
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


@pytest.mark.parametrize(
    ("name", "key", "place"),
    [(name, key, place) for name, cases in MADE_UP.items() for key, places in cases.items() for place in places],
)
def test_made_up_values_take_their_branch(name, key, place):
    assert calls(name)[key].place(**MADE_UP[name][key][place]) == place


# Real GPT-2: the branches that it takes, {(master, call): place}, where the recordings suffice to tell

REAL = {
    ("07_laminar_profiles", "reveal: moved > 3 and median_moved < 0.5 * moved"): 0,
    ("07_laminar_profiles", "reveal: on_first > 0.8"): 0,
    ("07_laminar_profiles", "reveal: split.head == max(split)"): 0,
    ("01_causal_masking", "says: share_negative > 0"): 0,
    ("01_causal_masking", "reveal: above > 0 and below > 0"): 0,
    ("01_causal_masking", "says: ratio > 1 + 2 * chance / even"): 0,
    ("02_splitting_qkv", "says: sum(equal.values()) == 1"): 0,
    ("02_splitting_qkv", "says: bias.abs().max() == 0"): 2,
    ("02_splitting_qkv", "says: ratio > 2"): 0,
    ("04_negative_shift", "says: low > 0.5"): 0,
    ("05_what_softmax_sees", "reveal: width['below the first key'] < width['negative']"): 0,
    ("05_what_softmax_sees", "says: not apart"): 1,
    ("05_what_softmax_sees", "reveal: (query_bias.mean(1) > 2 * content.mean(1)).all()"): 0,
    ("05_what_softmax_sees", "says: all(led) and max(cut) < 0.8"): 0,
    ("05_what_softmax_sees", "says: not key_biases.any()"): 1,
}


@pytest.fixture(scope="module")
def recorded(reference):
    """The recordings: of one prompt in all layers, the weights, and the raw scores of all ten texts."""
    prompts, longer, one, weights = (
        load_file(reference / f"{name}.safetensors")
        for name in ("prompts", "llm_visualized", "john_smith", "attention_weights")
    )
    raw = one["queries"] @ one["keys"].mT  # (layer, head, query, key)
    texts = [raw, *(scores for name, scores in (prompts | longer).items() if name.startswith("attn_scores."))]
    visible = [scores.masked_fill(~causal_mask(scores.shape[-1]), 0.0) for scores in texts]  # some futures are NaN
    return SimpleNamespace(raw=raw, texts=visible, weights=weights, **one)


def lesson_1(recorded):
    """What section 5 measures of the future's scores, and section 9 of the first token."""
    future = ~causal_mask(recorded.raw.shape[-1])
    negative = (recorded.raw < 0) & future
    collected = recorded.pattern[..., 1:, 0].mean(-1)  # (layer, head)
    even = (1 / torch.arange(2.0, len(future) + 1)).mean().item()
    chance = 0.05  # more than the control's heads stray on the lesson's text
    above, below = (collected > even + 2 * chance).sum().item(), (collected < even - 2 * chance).sum().item()
    return HEAD | {
        "share_negative": (negative.sum() / future.expand_as(negative).sum()).item(),
        "broken_rows": negative.any(-1)[..., :-1].float().mean().item(),
        "collected": collected,
        "even": even,
        "chance": chance,
        "above": above,
        "below": below,
        "rest": collected.numel() - above - below,
        "ratio": collected.max().item() / even,
    }


def lesson_2(recorded, layer=1):
    """The six choices of thirds, a forgotten bias, and the length of what each head adds, in the lesson's layer."""
    names = ("c_attn.weight", "c_attn.bias", "c_proj.weight", "c_proj.bias")
    weight, bias, w_o, b_o = (recorded.weights[f"h.{layer}.attn.{name}"] for name in names)
    pattern, fused = recorded.pattern[layer], recorded.ln_1[layer] @ weight  # without the bias
    thirds = [split_heads(third, 12) for third in split_qkv(fused + bias)]  # (head, token, channel)
    equal = {
        (i, j): torch.allclose(attention_pattern(raw_scores(thirds[i][0], thirds[j][0]), 64), pattern[0], atol=1e-5)
        for i, j in permutations(range(3), 2)
    }
    q, k, _ = (split_heads(third, 12) for third in split_qkv(fused))
    gap = (attention_pattern(raw_scores(q, k), 64) - pattern).abs().amax((-2, -1))  # (head,)
    lengths = project_heads(head_outputs(pattern, thirds[2]), w_o, b_o).norm(dim=-1).mean(-1)  # (head,)
    most, least = lengths.argmax().item(), lengths.argmin().item()
    ratio = (lengths[most] / lengths[least]).item()
    cut = {"bias": bias, "bias_forgotten": "cut", "gaps": {"cut": gap}}
    return cut | {"equal": equal, "most": most, "least": least, "ratio": ratio}


def lesson_4(recorded):
    """The fraction of negative scores and its interval over heads, in one prompt."""
    stats = shift_stats(recorded.raw)
    low, high = bootstrap_fraction((stats.fraction_negative * stats.n).round().ravel(), stats.n.ravel())
    return {"model": MODEL, "low": low, "high": high, "both": f"{stats.fraction_negative.mean():.1%}"}


def lesson_5(recorded):
    """What lies below the first key, what the query bias does in three conventions, whether queries agree on b_k."""
    measures = {"below the first key": below_first_key, "negative": lambda raw: shift_stats(raw).fraction_negative}
    width = {name: np.ptp([measure(raw).mean() for raw in recorded.texts]) for name, measure in measures.items()}
    first = below_first_key(recorded.raw)  # (layer, head)
    chance = below_first_key(torch.randn(recorded.raw.shape, generator=torch.Generator().manual_seed(0)))
    apart = first.mean() - 0.5 > 2 * chance.std() / np.sqrt(chance.size) + abs(chance.mean() - 0.5)

    gaps, led, cut = [], [], []
    share = recorded.pattern[..., 2:, 0].mean().item()
    for fold in FOLDS:
        terms = [_terms(recorded, layer, fold) for layer in range(12)]
        gap = np.array([[row_contrast(term).gap.mean() for term in (t.content, t.query_bias)] for t in terms])
        without = [attention_pattern((sum(t) - t.query_bias).double(), 64)[:, 2:, 0].mean().item() for t in terms]
        gaps.append(gap)  # (layer, 2)
        led.append(gap[:, 1].mean() > max(gap[:, 0].mean(), 0))
        cut.append(np.mean(without) / share)
    content, query_bias = np.moveaxis(gaps, -1, 0)  # (convention, layer)

    biases = torch.stack([recorded.weights[f"h.{layer}.attn.c_attn.bias"] for layer in range(12)])
    key_biases = biases[:, 768:1536].reshape(12, 12, 64, 1)  # (layer, head, channel, 1)
    agree = (recorded.queries @ key_biases).sign().mean((-2, -1)).abs().numpy()  # (layer, head)
    collected = recorded.pattern[..., 2:, 0].mean(-1).numpy()
    product = collected * shift_stats(recorded.raw).fraction_negative * agree
    layer, head = divmod(int(product.argmax()), 12)
    return {"model": MODEL, "layer": layer, "head": head, "agree": agree, "key_biases": key_biases} | {
        "width": width,
        "first": first,
        "apart": apart,
        "content": content,
        "query_bias": query_bias,
        "led": led,
        "cut": cut,
    }


def lesson_7():
    """A mean that one head moves, where the large weights lie, and the variance of the effective tokens."""
    gpt2 = gpt2_reference()
    heads = np.sort(gpt2["median"][0])
    left = np.delete(heads, np.abs(heads - heads.mean()).argmax())
    large = gpt2["large_weights"].mean((1, 2))
    return {
        "heads": heads,
        "left": left,
        "middle": np.median(heads),
        "middle_left": np.median(left),
        "moved": abs(left.mean() - heads.mean()),
        "median_moved": abs(np.median(left) - np.median(heads)),
        "on_first": large[0] / large.sum(),
        "split": variance_shares(gpt2["prompt_profiles"][:5, 3]),
        "told": "so.",
    }


def _terms(recorded, layer, fold):
    names = ("attn.c_attn.weight", "attn.c_attn.bias", "ln_1.bias")
    weight, bias, ln_bias = (recorded.weights[f"h.{layer}.{name}"] for name in names)
    return decompose_scores(recorded.ln_1[layer], weight, bias, 12, fold, ln_bias if fold == "layer_norm" else None)


@pytest.fixture(scope="module")
def measured(recorded):
    """{master: values that its conditions need}, computed as the master does."""
    return {
        "01_causal_masking": lesson_1(recorded),
        "02_splitting_qkv": lesson_2(recorded),
        "04_negative_shift": lesson_4(recorded),
        "05_what_softmax_sees": lesson_5(recorded),
        "07_laminar_profiles": lesson_7(),
    }


@pytest.mark.parametrize(("name", "key"), REAL)
def test_the_branch_that_real_gpt2_takes(name, key, measured):
    assert calls(name)[key].place(**measured[name]) == REAL[name, key]
