"""Real GPT-2 as the explorers show it where it is not loaded: one recorded text, and nothing that was not recorded."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from headlab.explorers import (
    ContrastExplorer,
    DensityExplorer,
    HeadExplorer,
    InterventionExplorer,
    MaskExplorer,
    ProfileExplorer,
    ShiftExplorer,
    SplittingExplorer,
    recorded_gpt2,
)
from headlab.explorers.recorded import RECORDED

TOOLS = Path(__file__).parents[1] / "tools"
RECORDABLE = (MaskExplorer, HeadExplorer, ShiftExplorer, ContrastExplorer, DensityExplorer, ProfileExplorer)


@pytest.fixture(scope="module")
def recording(reference):
    return load_file(reference / "john_smith.safetensors")


def test_the_file_is_small_and_what_the_tool_writes(reference, monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    measured = importlib.import_module("record_gpt2_scores").record(reference)
    assert RECORDED.stat().st_size < 60_000
    with np.load(RECORDED) as shipped:
        assert set(measured) == set(shipped)
        for name, values in measured.items():
            same = np.array_equal if values.dtype.kind == "U" else lambda a, b: np.allclose(a, b, rtol=1e-5, atol=1e-6)
            assert same(values, shipped[name]), name


def test_every_head_has_the_recorded_scores_and_patterns(recording):
    explorer = HeadExplorer(*recorded_gpt2())
    sent = np.frombuffer(explorer.shown["scores"], "<f4").reshape(12, 12, 9, 9)
    raw = recording["queries"] @ recording["keys"].mT  # (layer, head, query, key)
    assert np.allclose(sent, raw, rtol=1e-4, atol=2e-3)
    for layer, head in np.ndindex(12, 12):
        assert np.allclose(explorer._reading.pattern(layer, head), recording["pattern"][layer, head], atol=2e-5)


def test_the_facts_about_gpt2_that_the_lessons_tell(recording):
    explorer = ShiftExplorer(*recorded_gpt2())
    numbers, facts = explorer.compute()
    assert round(100 * facts["negative_all"], 1) == 74.0 and numbers["fractions"].shape == (12, 12)
    previous = HeadExplorer(*recorded_gpt2(), layer=4, head=11).compute()[0]["pattern"].diagonal(-1)
    assert previous[2:].mean() > 0.9  # L4H11 looks at the token before


@pytest.mark.parametrize("make", RECORDABLE, ids=lambda make: make.__name__)
def test_it_always_says_that_it_is_real_gpt2_recorded(make, capsys):
    explorer = make(*recorded_gpt2(), head=3)
    assert explorer.shown["model_name"] == "real GPT-2, recorded" and explorer.shown["fixed"] is True
    assert explorer.shown["tokens"] == "John ·Smith ·is ·also ·the ·son ·of ·Fred ·Smith".split()
    assert explorer.still().alt.startswith("Model: real GPT-2, recorded. ")
    assert "of real GPT-2, recorded: run this cell" in explorer._repr_mimebundle_()[0]["text/plain"]
    shown, explorer.text = explorer.shown, "John Smith"
    assert explorer.error == "text: expected the recorded one (load a model to read another), got 'John Smith'"
    assert explorer.shown is shown


@pytest.mark.parametrize("make", [SplittingExplorer, InterventionExplorer])
def test_what_was_not_recorded_is_not_shown(make):
    line = r"^model: expected a loaded model, as this explorer needs more than scores, got real GPT-2, recorded$"
    with pytest.raises(ValueError, match=line):
        make(*recorded_gpt2())


def test_the_terms_sum_to_the_scores_and_softmax_sees_no_key_bias(recording):
    explorer = ContrastExplorer(*recorded_gpt2(), layer=5, head=1, times=-100)
    numbers, facts = explorer.compute()
    assert facts["change"] < 1e-6
    explorer.times = 1
    raw = (recording["queries"] @ recording["keys"].mT)[5, 1]
    assert torch.allclose(explorer.compute()[0]["raw"].float(), raw, atol=2e-3)
    assert (numbers["raw"].float() - raw).abs().max() > 5
