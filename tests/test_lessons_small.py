"""Lessons 1 to 8 run to their end on a model of one layer and one head, and speak of it in the singular."""

import re

import pytest
import torch
from lesson_runs import MASTERS, run
from transformers import GPT2Config, GPT2LMHeadModel

from headlab.models import LEAST_POSITIONS

PLURAL = re.compile(r"\b1 (heads|layers)\b|[+-]nan\b")  # "1 heads", a correlation over one head


@pytest.fixture(scope="module")
def folder(mini, tmp_path_factory):
    folder = tmp_path_factory.mktemp("small") / "small"
    torch.manual_seed(7)
    config = GPT2Config(
        vocab_size=len(mini[1]),
        n_positions=LEAST_POSITIONS,
        n_layer=1,
        n_embd=32,
        n_head=1,
        initializer_range=0.3,  # large weights, so that patterns are far from even
        bos_token_id=0,
        eos_token_id=0,
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    mini[1].save_pretrained(folder)
    return folder


@pytest.mark.parametrize("name", list(MASTERS)[:8])  # lesson 9 compares texts, not heads or layers
def test_a_lesson_runs_on_one_layer_of_one_head(name, folder, monkeypatch, capsys):
    monkeypatch.setenv("HEADLAB_MODEL", str(folder))
    run(MASTERS[name])
    assert not PLURAL.findall(capsys.readouterr().out)
