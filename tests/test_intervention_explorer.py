"""Lesson 8's explorer: what it tells is what headlab.interventions measures."""

import base64
import json
import random
import re
from io import BytesIO

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from headlab import interventions
from headlab.explorers import intervention
from headlab.explorers.intervention import SCALES, InterventionExplorer
from headlab.plots import HouseFigure

TEXT = "The old man looked at the little white house by the sea."
OTHER = "A small boat came home, and nobody saw it."
N_LAYERS, N_HEADS = 4, 12
HEADS = "heads: expected a list of (layer, head), layers from 0 to 3, heads from 0 to 11, got"


@pytest.fixture
def explorer(mini):
    return InterventionExplorer(*mini, TEXT)


def measured(mini, text, heads, scale, first_key):
    """The same changes once more: the scores by hand, the heads by a hook on what enters W_o."""
    model, tokenizer = mini
    ids = tokenizer(text, return_tensors="pt").input_ids

    def change(layer, raw):
        raw = raw.clone() * scale
        if not first_key:
            for query in range(1, raw.shape[1]):
                raw[:, query, 0] = -torch.inf
        return raw

    def hook_of(layer):
        def hook(module, args):
            outputs = args[0].clone()
            for at, head in heads:
                if at == layer:
                    own = slice(64 * head, 64 * head + 64)
                    outputs[:, :, own] = outputs[:, :, own].mean(1, keepdim=True)
            return (outputs,)

        return hook

    handles = [
        block.attn.c_proj.register_forward_pre_hook(hook_of(layer)) for layer, block in enumerate(model.transformer.h)
    ]
    try:
        return interventions.loss_with_scores(model, ids, change)
    finally:
        for handle in handles:
            handle.remove()


def test_what_is_sent_is_every_single_change(mini, explorer):
    losses = np.frombuffer(explorer.shown["losses"], "<f4").reshape(-1, len(explorer.shown["tokens"]) - 1)
    assert len(losses) == 1 + N_LAYERS * N_HEADS + len(SCALES) + 1
    rows = iter(losses)
    places = [[place] for place in np.ndindex(N_LAYERS, N_HEADS)]
    choices = [([], 1.0, True), *((place, 1.0, True) for place in places)]
    choices += [*(([], scale, True) for scale in SCALES), ([], 1.0, False)]
    for choice in choices:
        np.testing.assert_allclose(next(rows), measured(mini, TEXT, *choice), rtol=1e-4, atol=1e-4)
    assert "".join(explorer.shown["tokens"]).replace("·", " ") == TEXT


def test_any_choice_is_measured_and_told(mini, explorer):
    draw = random.Random(0)
    for _ in range(12):
        heads = [(draw.randrange(N_LAYERS), draw.randrange(N_HEADS)) for _ in range(draw.randrange(5))]
        explorer.heads, explorer.scale, explorer.first_key = heads, draw.choice(SCALES), draw.random() < 0.5
        expected = measured(mini, TEXT, explorer.heads, explorer.scale, explorer.first_key)
        np.testing.assert_allclose(explorer.losses(), expected, rtol=1e-4, atol=1e-4)
        assert explorer.heads == sorted([layer, head] for layer, head in set(heads))
        line = next(line for line in explorer.lines() if line.startswith("Mean loss"))
        told = [float(number) for number in re.findall(r"-?\d+\.\d+", line)]
        plain = measured(mini, TEXT, [], 1.0, True).mean().item()
        if explorer.heads or explorer.scale != 1 or not explorer.first_key:
            cost = (expected - measured(mini, TEXT, [], 1.0, True)).tolist()
            extremes = [explorer.shown["tokens"][cost.index(end(cost)) + 1] for end in (min, max)]
            assert re.findall("“(.*?)”", explorer.lines()[2]) == extremes
        both = [plain, expected.mean().item(), expected.mean().item() - plain]
        assert np.allclose(told, both[: len(told)], atol=6e-4) and explorer.error == ""


def test_the_words_of_a_choice(explorer):
    assert explorer.lines()[0] == "Nothing is changed."
    explorer.heads = [(1, 3)]
    assert explorer.lines()[0] == "Changed: without L1H3." and len(explorer.lines()) == 3
    explorer.heads, explorer.first_key = [(1, 3), (0, 5)], False
    lines = explorer.lines()
    assert lines[0] == "Changed: without L0H5, L1H3; without the first key."
    single = sum((explorer._losses[row] - explorer._losses[0]).mean() for row in (6, 16, -1))
    assert lines[3] == f"The single changes add up to {single:+.3f}."
    explorer.heads, explorer.scale = [(0, head) for head in range(5)], 1.5
    assert explorer.lines()[0] == "Changed: without L0H0, L0H1, L0H2, 2 more; scores times 1.5; without the first key."


def test_a_text_is_followed_and_what_is_chosen_is_measured_on_it(mini, explorer):
    explorer.heads = [(0, 5), (1, 3)]
    explorer.text = OTHER
    assert explorer.error == "" and explorer.measured["choice"][0] == OTHER
    np.testing.assert_allclose(
        explorer.losses(), measured(mini, OTHER, explorer.heads, 1.0, True), rtol=1e-4, atol=1e-4
    )
    shown = explorer.shown
    for text, line in [
        ("", "text: expected 1 to 64 tokens, got 0 tokens"),
        ("a", "text: expected 2 to 64 tokens, got 1 token"),
        ("a " * 400, "text: expected 1 to 64 tokens, got 4"),
        ("\ud800", "text: expected whole characters, got half of one"),
    ]:
        explorer.text = text
        assert explorer.error.startswith(line) and explorer.shown is shown


@pytest.mark.parametrize(
    ("name", "value", "error", "line"),
    [
        ("heads", [(4, 0)], ValueError, f"{HEADS} (4, 0)"),
        ("heads", [3], TypeError, f"{HEADS} [3]"),
        ("scale", 0.3, ValueError, "scale: expected one of [0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0], got 0.3"),
    ],
)
def test_a_choice_that_is_not_there_is_told_in_one_line(mini, explorer, name, value, error, line):
    for attempt in (lambda: setattr(explorer, name, value), lambda: InterventionExplorer(*mini, TEXT, **{name: value})):
        with pytest.raises(error) as caught:
            attempt()
        assert str(caught.value) == line
    assert explorer.lines()[0] == "Nothing is changed."


def test_a_bad_first_text_is_an_error_at_once(mini):
    with pytest.raises(ValueError, match=r"^text: expected 2 to 64 tokens, got 1 token$"):
        InterventionExplorer(*mini, "a")


def test_what_goes_wrong_in_a_measurement_is_one_line_and_the_next_choice_is_measured(explorer, monkeypatch):
    def fails(*args, **given):
        raise RuntimeError("planted\nfault")

    monkeypatch.setattr(intervention, "loss_without_heads", fails)
    explorer.heads = [(0, 5), (1, 3)]
    assert explorer.measured["error"] == "RuntimeError: planted fault"
    with pytest.raises(ValueError, match="RuntimeError: planted fault"):
        explorer.losses()
    monkeypatch.undo()
    explorer.scale = 2.0
    assert explorer.measured["error"] == "" and len(explorer.losses()) == len(explorer.shown["tokens"]) - 1


def test_standing_still_it_prints_its_summary_and_gives_it_as_alternative_text(mini, explorer, capsys):
    explorer.heads, explorer.scale = [(0, 5)], 2.0
    picture = explorer.still()
    assert capsys.readouterr().out.splitlines() == ["Model: mini.", *explorer.lines()]
    assert picture.alt == " ".join(["Model: mini.", *explorer.lines()])
    assert plt.imread(BytesIO(picture.data)).std() > 0.1
    other = InterventionExplorer(*mini, TEXT, heads=[(0, 5)], scale=2.0).still()
    assert other.data == picture.data
    assert InterventionExplorer(*mini, TEXT, heads=[(0, 6)], scale=2.0).still().data != picture.data


def test_the_colours_of_the_tokens_reach_to_the_largest_change_and_never_less_than_a_hundredth(explorer):
    def limits():
        figure = HouseFigure()
        explorer.draw(figure, *explorer.compute())
        return figure.axes[-1].get_ylim()  # of the colour bar

    assert limits() == (-0.01, 0.01)  # where nothing is changed
    explorer.heads = [(0, 5)]
    most = (explorer.losses() - explorer._losses[0]).abs().max().item()
    assert most > 0.02 and limits() == pytest.approx((-most, most))


def test_the_saved_page_needs_nothing_and_cannot_be_broken_by_a_text(mini):
    explorer = InterventionExplorer(*mini, "</script><b>hi</b> & more", heads=[(0, 5), (1, 3)])
    page = explorer._repr_mimebundle_()[0]["text/html"]
    assert page.count("</script>") == 1 and "<b>" not in page.partition("<div>")[2]
    assert not re.search(r"https?://", page) and len(page) < 90_000
    state = json.loads(re.search(r"const state = (\{.*?\});import", page)[1])
    assert base64.b64decode(state["shown"]["losses"]["base64"]) == explorer.shown["losses"]
    assert (state["heads"], state["scale"], state["first_key"]) == ([[0, 5], [1, 3]], 1.0, True)
    assert state["measured"]["losses"] == explorer.losses().tolist()
