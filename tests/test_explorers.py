"""Every callback of the explorers, over every layer and head of mini, with what the picture holds compared."""

import base64
import copy
import json
import re
from io import BytesIO
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from scipy.stats import gaussian_kde
from transformers import GPT2Config, GPT2LMHeadModel

from headlab.capture import capture_heads
from headlab.explorers import (
    DensityExplorer,
    HeadExplorer,
    MaskExplorer,
    ProfileExplorer,
    ShiftExplorer,
    SplittingExplorer,
)
from headlab.explorers.heads import head_summary
from headlab.explorers.shared import one_line, text_reader
from headlab.models import model_name, token_strings
from headlab.plots import MAPS

TEXT = "The old man looked at the little white house by the sea."
OTHER = "A small boat came home, and nobody saw it."
CORE = [MaskExplorer, SplittingExplorer, ShiftExplorer, DensityExplorer, ProfileExplorer]
N_LAYERS, N_HEADS = 4, 12
PLACES = [(layer, head) for layer in range(N_LAYERS) for head in range(N_HEADS)]


@pytest.fixture(scope="module")
def truth(mini):
    """What the model itself does with TEXT: labels' number, fused projections and attentions of every layer."""
    model, tokenizer = mini
    ids = tokenizer(TEXT, return_tensors="pt").input_ids
    with torch.no_grad():
        result = model(ids, output_hidden_states=True, output_attentions=True)
        fused = [
            block.ln_1(state[0]) @ block.attn.c_attn.weight + block.attn.c_attn.bias
            for block, state in zip(model.transformer.h, result.hidden_states, strict=False)
        ]
    return fused, [attention[0] for attention in result.attentions]


def raw_of(truth, layer, head):
    """Raw scores of one head by plain slicing of the model's own projection."""
    fused = truth[0][layer]
    q, k = fused[:, 64 * head : 64 * (head + 1)], fused[:, 768 + 64 * head : 768 + 64 * (head + 1)]
    return q @ k.T


def go(explorer, **values):
    """Move controls as a reader does, one after the other."""
    for name, value in values.items():
        explorer.controls[name].value = value
    assert explorer.error.value == ""


def go_to(explorer, layer, head):
    """Move to a head; the explorer of lesson 7 shows all layers at once."""
    go(explorer, **({"layer": layer} if "layer" in explorer.controls else {}), head=head)


def pixels(explorer):
    """The picture that the reader sees, (rows, columns, 4), from 0 to 1."""
    return plt.imread(BytesIO(explorer.image.value))


def colour_at(explorer, image, row, column):
    """The colour in the middle of one cell of a heatmap, out of the PNG."""
    shape, (left, right, bottom, top) = image.get_array().shape, image.get_extent()
    x, y = left + (column + 0.5) * (right - left) / shape[1], top + (row + 0.5) * (bottom - top) / shape[0]
    across, up = image.axes.transData.transform((x, y))
    seen = pixels(explorer)
    return seen[len(seen) - 1 - int(up), int(across), :3]


def assert_shows(explorer, image, values, cells):
    """The heatmap's data are these values, and the PNG has their colours."""
    shown = image.get_array()
    assert np.allclose(shown.filled(-np.inf), values, rtol=1e-4, atol=1e-5)
    for row, column in cells:
        expected = image.to_rgba(shown)[row, column, :3]
        assert np.abs(colour_at(explorer, image, row, column) - expected).max() < 0.02


# Lesson 1


def test_the_mask_explorer_shows_every_head(mini, truth):
    explorer, n_tokens = MaskExplorer(*mini, TEXT), len(truth[0][0])
    future = np.triu(np.ones((n_tokens, n_tokens), dtype=bool), 1)
    for layer, head in PLACES:
        go(explorer, layer=layer, head=head)
        scaled = np.where(future, -np.inf, raw_of(truth, layer, head).numpy() / 8)
        assert_shows(explorer, explorer.scores_image, scaled, [(5, 3)])
        pattern = np.where(future, -np.inf, truth[1][layer][head].numpy())
        assert_shows(explorer, explorer.pattern_image, pattern, [(0, 0), (7, 6)])
        low, high = explorer.scores_image.get_clim()
        assert low == -high and high >= np.abs(scaled[~future]).max() - 1e-4
        assert explorer.lines[0] == f"L{layer}H{head}, {n_tokens} of {n_tokens} tokens read, mask on, temperature 1.0."
        assert explorer.lines[0] in explorer.summary.value


@pytest.mark.parametrize(
    ("n_tokens", "mask", "temperature"), [(14, False, 1.0), (5, True, 0.3), (7, False, 4.0), (1, True, 1.0)]
)
def test_the_mask_explorer_follows_length_mask_and_temperature(mini, truth, n_tokens, mask, temperature):
    explorer = MaskExplorer(*mini, TEXT, layer=2, head=3)
    go(explorer, n_tokens=n_tokens, mask=mask, temperature=temperature)
    scores = raw_of(truth, 2, 3)[:n_tokens, :n_tokens] / 8 / temperature
    if mask:
        scores[torch.triu(torch.ones(n_tokens, n_tokens), 1) == 1] = -torch.inf
    pattern = scores.softmax(-1)
    assert_shows(explorer, explorer.scores_image, scores.numpy(), [(n_tokens - 1, 0)])
    shown = torch.where(scores.isneginf(), scores, pattern)
    assert_shows(explorer, explorer.pattern_image, shown.numpy(), [(n_tokens - 1, n_tokens - 1)])
    future = pattern.triu(1).sum() / n_tokens
    assert explorer.lines[1].startswith(f"The future gets {future:.0%} of the attention.")
    axes, last = explorer.scores_image.axes, len(truth[0][0]) - 0.5
    assert axes.get_xlim() == (-0.5, last) and axes.get_ylim() == (last, -0.5)
    if n_tokens < 14:  # what is not read yet is left white
        across, up = axes.transData.transform((n_tokens, n_tokens))
        assert (pixels(explorer)[-1 - int(up), int(across), :3] == 1).all()


# Lesson 2


def test_the_splitting_explorer_shows_every_head(mini, truth):
    explorer = SplittingExplorer(*mini, TEXT)
    for layer, head in PLACES:
        go(explorer, layer=layer, head=head)
        fused = truth[0][layer].numpy()
        assert np.allclose(explorer.images["fused"].get_array(), fused, rtol=1e-4, atol=1e-4)
        for third, name in enumerate(("query", "key", "value")):
            first = 768 * third + 64 * head
            assert_shows(explorer, explorer.images[name], fused[:, first : first + 64], [(4, 9)])
            band = explorer.bands[third]
            assert (band.get_x(), band.get_width()) == (first, 64)
            assert f"{first} to {first + 63}" in explorer.lines[1]
        assert explorer.lines[0].startswith(
            f"L{layer}H{head}: the fused matrix is {len(fused)} tokens by 2304 = 3 x 768"
        )


# Lesson 5


def entropy_tokens(pattern):
    """exp(entropy) of each row, share by share."""
    return [np.exp(-sum(p * np.log(p) for p in row if p > 0)) for row in pattern.double().tolist()]


def test_the_shift_explorer_shows_every_head(mini, truth):
    explorer = ShiftExplorer(*mini, TEXT)
    visible = np.tril(np.ones((len(truth[0][0]),) * 2, dtype=bool))
    for layer, head in PLACES:
        go(explorer, layer=layer, head=head)
        raw, pattern = raw_of(truth, layer, head).numpy(), truth[1][layer][head]
        assert_shows(explorer, explorer.pattern_image, np.where(visible, pattern, -np.inf), [(6, 2)])
        assert np.allclose(
            explorer.scores_image.get_array().filled(-np.inf), np.where(visible, raw, -np.inf), atol=1e-3
        )
        for state in ("changed", "unchanged"):
            assert np.allclose(explorer.curves["tokens", state].get_ydata(), entropy_tokens(pattern), atol=1e-3)
            assert np.allclose(explorer.curves["share", state].get_ydata(), pattern[:, 0], atol=1e-5)
        negative, median = (raw[visible] < 0).mean(), np.median(raw[visible])
        assert explorer.lines[0].startswith(
            f"L{layer}H{head}, all four terms, scaled by 1.0, b_k times 1: {negative:.0%} of"
        )
        assert abs(float(explorer.lines[0].split()[-1][:-1]) - median) < 0.06
        assert (
            f"first token's share {pattern[:, 0].mean():.0%} (unchanged: {pattern[:, 0].mean():.0%})"
            in explorer.lines[1]
        )
        assert explorer.lines[2] == "Largest change of any share: 0.000."


def test_softmax_does_not_see_the_key_bias_but_a_scale_and_the_query_bias(mini, truth):
    explorer = ShiftExplorer(*mini, TEXT, layer=1, head=3)
    raw, pattern = raw_of(truth, 1, 3), truth[1][1][3]
    go(explorer, times=-37)
    visible = np.tril(np.ones(raw.shape, dtype=bool))
    fused, bias = truth[0][1], mini[0].transformer.h[1].attn.c_attn.bias.detach()
    moved = fused[:, 192:256] @ (fused[:, 960:1024] - 38 * bias[960:1024]).T  # k + (-37 - 1) b_k
    assert (moved - raw).abs().max() > 10
    assert np.allclose(explorer.scores_image.get_array().filled(0)[visible], moved.numpy()[visible], atol=1e-3)
    assert explorer.lines[2] == "Largest change of any share: 0.000."
    assert np.allclose(explorer.pattern_image.get_array(), pattern, atol=1e-5)
    go(explorer, times=1, scale=2.5)
    expected = (raw * 2.5 / 8).masked_fill(torch.from_numpy(~visible), -torch.inf).softmax(-1)
    assert np.allclose(explorer.pattern_image.get_array(), expected, atol=1e-5)
    assert np.allclose(explorer.curves["tokens", "changed"].get_ydata(), entropy_tokens(expected), atol=1e-3)
    assert np.allclose(explorer.curves["tokens", "unchanged"].get_ydata(), entropy_tokens(pattern), atol=1e-3)
    go(explorer, scale=1.0, query_bias=False, constant=False)
    without = (fused[:, 192:256] - bias[192:256]) @ fused[:, 960:1024].T  # (q - bq).k
    expected = (without / 8).masked_fill(torch.from_numpy(~visible), -torch.inf).softmax(-1)
    assert np.allclose(explorer.pattern_image.get_array(), expected, atol=1e-5)
    assert "without query bias and constant" in explorer.lines[0]
    change = (expected - pattern).abs().max().item()
    assert abs(float(explorer.lines[2].split()[-1][:-1]) - change) < 6e-4
    go(explorer, content=False, key_bias=False)
    even = visible / visible.sum(-1, keepdims=True)
    assert np.allclose(explorer.pattern_image.get_array(), even, atol=1e-6)


def test_multiples_of_the_key_bias_take_the_signs_from_all_to_none(mini):
    # The head on which lesson 5 opens it: a sink, nearly all negative, whose queries agree on the sign of b_k.
    explorer = ShiftExplorer(*mini, TEXT, layer=2, head=6)
    negative = []
    for times in (-100, 1, 100):
        go(explorer, times=times)
        negative.append(int(re.search(r"(\d+)% of the visible", explorer.lines[0])[1]))
        assert explorer.lines[2] == "Largest change of any share: 0.000."
    assert negative[1] > 80 and {min(negative) < 5, max(negative) > 95} == {True}


# Lesson 6


def test_the_density_explorer_shows_every_head(mini, truth):
    explorer = DensityExplorer(*mini, TEXT)
    visible = np.tril(np.ones((len(truth[0][0]),) * 2, dtype=bool))
    for layer, head in PLACES:
        go(explorer, layer=layer, head=head)
        everything = raw_of(truth, layer, head).numpy()[visible], truth[1][layer][head].numpy()[visible]
        for place, population in enumerate(everything):
            sample = explorer.rugs[place].get_xdata()
            assert len(sample) == 40 and np.abs(sample[:, None] - population).min(1).max() < 1e-4
            grid, density = explorer.sums[place].get_data()
            kernel = gaussian_kde(sample)
            if kernel.factor * sample.std(ddof=1) < 0.25 or place == 0:
                assert np.allclose(density, kernel(grid), rtol=1e-4, atol=1e-4 * density.max())
            kernels = np.array([segment[:, 1] for segment in explorer.kernels[place].get_segments()])
            assert np.allclose(kernels.sum(0), density, rtol=1e-6, atol=1e-9)
        assert explorer.lines[0].startswith(f"L{layer}H{head}: 40 of {visible.sum()} visible pairs")


def test_the_density_explorer_follows_sample_bandwidth_kernels_and_edges(mini):
    explorer = DensityExplorer(*mini, TEXT, layer=1, head=3)
    small = explorer.rugs[0].get_xdata()
    go(explorer, n_samples=90)
    assert np.array_equal(explorer.rugs[0].get_xdata()[:40], small)  # the larger sample holds the smaller
    width = float(re.search(r"bandwidth (\S+),", explorer.lines[1])[1])
    go(explorer, width=0.5)
    assert abs(float(re.search(r"bandwidth (\S+),", explorer.lines[1])[1]) - width / 2) < 0.011
    assert float(re.search(r", (\S+)% of", explorer.lines[2])[1]) > 0.5
    go(explorer, mend=True, kernels=False)
    grid, density = explorer.sums[1].get_data()
    assert (density[(grid < 0) | (grid > 1)] == 0).all()
    assert np.trapezoid(density, grid) == pytest.approx(1, abs=0.03)
    assert ", 0.0% of the density" in explorer.lines[2] and "kernels hidden, edges mended" in explorer.lines[0]
    assert len(explorer.kernels[0].get_segments()) == 0


# Lesson 7


def test_the_profile_explorer_shows_every_head_and_statistic(mini, truth):
    explorer, n_tokens = ProfileExplorer(*mini, TEXT), len(truth[0][0])
    visible = np.tril(np.ones((n_tokens, n_tokens), dtype=bool))
    raw = np.array([raw_of(truth, *place).numpy()[visible] for place in PLACES]).reshape(N_LAYERS, N_HEADS, -1)
    pattern = torch.stack(truth[1]).numpy()
    tokens = np.array([entropy_tokens(head[2:]) for layer in torch.stack(truth[1]) for head in layer]).mean(-1)
    position = np.arange(n_tokens)
    expected = {
        "median": np.median(raw, -1),
        "fraction_negative": (raw < 0).mean(-1),
        "effective_tokens": tokens.reshape(N_LAYERS, N_HEADS),
        "first_share": pattern[:, :, 2:, 0].mean(-1),
        "previous_share": np.array([pattern[:, :, i, i - 1] for i in range(2, n_tokens)]).mean(0),
        "mean_step_back": (pattern * (position[:, None] - position))[:, :, 2:].sum(-1).mean(-1),
    }
    for statistic, values in expected.items():
        go(explorer, statistic=statistic)
        shown = explorer.points.get_offsets()
        assert np.allclose(shown[:, 0], values.ravel(), rtol=1e-4, atol=1e-4)
        assert np.allclose(shown[:, 1], np.repeat(range(N_LAYERS), N_HEADS))
        assert np.allclose(explorer.middle.get_xdata(), np.median(values, 1), rtol=1e-4, atol=1e-4)
        for head in range(N_HEADS):
            go(explorer, head=head)
            assert np.allclose(explorer.track.get_xdata(), values[:, head], rtol=1e-4, atol=1e-4)
            assert explorer.lines[2] == (
                f"Head {head}: {values[0, head]:.2f} in layer 0, {values[-1, head]:.2f} in layer {N_LAYERS - 1}."
            )
    densities, extent = explorer.densities.get_array(), explorer.densities.get_extent()
    step = (extent[1] - extent[0]) / densities.shape[1]
    grid = extent[0] + step * (np.arange(densities.shape[1]) + 0.5)
    assert densities.shape[0] == N_LAYERS and np.allclose(densities.sum(1) * step, 1, atol=0.01)
    assert np.allclose((densities * grid).sum(1) * step, raw.mean((1, 2)), atol=0.05)


@pytest.mark.parametrize(("first", "last"), [(0, 3), (1, 2), (3, 3), (0, 0)])
def test_the_profile_explorer_keeps_to_its_layers(mini, first, last):
    explorer = ProfileExplorer(*mini, TEXT)
    go(explorer, layers=(first, last), statistic="spread")
    assert all(ax.get_ylim() == (last + 0.5, first - 0.5) for ax in explorer.axes)
    assert explorer.lines[0].startswith(f"Layers {first} to {last}:")
    lowest, highest = map(int, re.findall(r"layer (\d+)", explorer.lines[1]))
    middle = explorer.middle.get_xdata()[first : last + 1]
    assert (lowest, highest) == (first + middle.argmin(), first + middle.argmax())


# What these explorers share


@pytest.mark.parametrize("make", CORE)
def test_one_forward_pass_for_each_text(mini, make, monkeypatch):
    model, tokenizer = mini
    calls = []
    handle = model.transformer.wte.register_forward_hook(lambda *_: calls.append(1))
    try:
        explorer = make(model, tokenizer, TEXT)
        for layer, head in PLACES[::5]:
            go_to(explorer, layer, head)
        assert len(calls) == 1
        go(explorer, text=OTHER)
        go_to(explorer, 0, 1)
        assert len(calls) == 2
    finally:
        handle.remove()


@pytest.mark.parametrize("make", CORE)
def test_no_label_sticks_out_of_the_picture(mini, make):
    explorer = make(*mini, TEXT)
    whole = explorer.figure.bbox
    for layer, head in np.ndindex(4, 12):
        go(explorer, **{"head": head} | ({"layer": layer} if "layer" in explorer.controls else {}))
        for ax in explorer.figure.axes:
            box = ax.get_tightbbox()
            assert whole.x0 <= box.x0 and box.x1 <= whole.x1 and whole.y0 <= box.y0 and box.y1 <= whole.y1, (
                layer,
                head,
            )


@pytest.mark.parametrize(
    ("wrong", "kind", "line"),
    [
        ({"head": 12}, ValueError, "head: expected a head from 0 to 11, got 12"),
        ({"head": -1}, ValueError, "head: expected a head from 0 to 11, got -1"),
        ({"head": 1.5}, TypeError, "head: expected a head from 0 to 11, got 1.5"),
        ({"layer": 4}, ValueError, "layer: expected a layer from 0 to 3, got 4"),
    ],
)
def test_it_does_not_start_at_a_layer_or_head_that_is_not_there(mini, wrong, kind, line):
    for make in CORE:
        if make is ProfileExplorer and "layer" in wrong:
            continue  # it shows all layers at once
        with pytest.raises(kind) as caught:
            make(*mini, TEXT, **wrong)
        assert str(caught.value) == line


@pytest.mark.parametrize("n_words", [1, 20, 40, 55])
@pytest.mark.parametrize("make", [MaskExplorer, SplittingExplorer, ShiftExplorer])
def test_of_many_tokens_as_many_are_labelled_as_can_be_read(mini, make, n_words):
    model, tokenizer = mini
    text = " ".join(["a"] + (TEXT.lower().split() * 5)[: n_words - 1])
    labels = token_strings(tokenizer, tokenizer(text, return_tensors="pt").input_ids)
    explorer = make(model, tokenizer, text)
    query = next(
        ax for ax in explorer.figure.axes if ax.get_ylabel().startswith("query (") or ax.get_title() == "query"
    )
    for axis in [query.yaxis] if make is SplittingExplorer else [query.yaxis, query.xaxis]:
        shown = axis.get_ticklabels()
        texts = [label.get_text() for label in shown]
        every = len(labels) // len(texts) + (len(labels) % len(texts) > 0)
        most = 15 if make is SplittingExplorer else 26
        assert texts == labels[::every] and len(texts) <= most
        assert all(label.get_fontsize() >= 7 for label in shown)
        if len(labels) <= most:
            assert every == 1


def test_any_exception_becomes_one_line_that_names_its_kind_unless_it_is_ours():
    assert one_line(TypeError("one\ntwo")) == "TypeError: one two"
    assert one_line(ValueError("text: expected a word, got none")) == "text: expected a word, got none"


@pytest.mark.parametrize("make", CORE)
def test_a_text_is_followed_and_a_bad_one_is_told_in_one_line(mini, make):
    model, tokenizer = mini
    explorer = make(model, tokenizer, TEXT)
    before = explorer.image.value
    go(explorer, text=OTHER)
    assert explorer.image.value != before
    n_tokens = len(tokenizer(OTHER).input_ids)
    assert f"{n_tokens} tokens" in explorer.heading.value
    good, lines = explorer.image.value, explorer.lines
    for text, line in [
        ("", "text: expected 1 to 64 tokens, got 0 tokens"),
        ("a " * 400, "text: expected 1 to 64 tokens, got 4"),
        ("\ud800", "text: expected whole characters, got half of one (type that place again)"),
    ]:
        explorer.controls["text"].value = text
        assert line in explorer.error.value and "\n" not in explorer.error.value
        assert explorer.image.value == good and explorer.lines == lines
    # The last good text still follows the sliders, and the complaint stays while the bad text does.
    explorer.controls["head"].value = 5
    assert re.search("L0H5|Head 5", explorer.summary.value)
    assert "half of one" in explorer.error.value and explorer.image.value != good
    for text in ("日本 <b>&$x$</b> 🙂", "An old boat.", TEXT):
        go(explorer, text=text)
    assert explorer.controls["head"].value == 5


@pytest.mark.parametrize("make", CORE)
def test_an_error_in_a_callback_is_shown_and_the_picture_stays(mini, make, monkeypatch):
    explorer = make(*mini, TEXT)
    before = explorer.image.value
    monkeypatch.setattr(make, "show", lambda self, *_, **__: {}["planted\nfault"])
    explorer.controls["head"].value = 5
    assert "KeyError: &#x27;planted\\nfault&#x27;" in explorer.error.value
    assert explorer.image.value == before
    monkeypatch.undo()
    go(explorer, head=6)
    assert explorer.image.value != before


@pytest.mark.parametrize("make", CORE)
def test_a_bad_first_text_is_an_error_at_once(mini, make):
    with pytest.raises(ValueError, match=r"^text: expected 1 to 64 tokens, got 0 tokens$"):
        make(*mini, "")


@pytest.mark.parametrize("make", [*CORE, HeadExplorer])
def test_a_model_that_is_not_on_the_cpu_is_refused(mini, make):
    model, tokenizer = mini
    elsewhere = copy.deepcopy(model).to("meta")
    with pytest.raises(
        ValueError, match=r"^model: expected a model on the CPU \(model.cpu\(\) moves it\), got one on meta$"
    ):
        make(elsewhere, tokenizer, TEXT)


@pytest.mark.parametrize(("make", "n_changes"), [(MaskExplorer, 1000), *((make, 60) for make in CORE[1:])])
def test_no_figure_is_left_open_and_the_picture_keeps_its_size(mini, make, n_changes):
    explorer = make(*mini, "An old boat.")
    figure, size = explorer.figure, pixels(explorer).shape
    for step in range(n_changes):
        explorer.controls["head"].value = step % N_HEADS
    assert explorer.error.value == "" and plt.get_fignums() == []
    assert explorer.figure is figure
    go(explorer, text=OTHER)
    assert pixels(explorer).shape == size and len(explorer.lines) == 3


@pytest.mark.parametrize("make", CORE)
def test_a_picture_depends_on_where_it_is_not_on_how_it_got_there(mini, make):
    wandered, direct = make(*mini, OTHER), make(*mini, OTHER)
    for layer, head in ((1, 1), (3, 9)):
        go_to(wandered, layer, head)
    for explorer in (wandered, direct):
        go_to(explorer, 2, 7)
        go(explorer, text=TEXT)
    assert np.abs(pixels(wandered) - pixels(direct)).max() < 0.02
    assert wandered.lines == direct.lines


@pytest.mark.parametrize("make", [*CORE, HeadExplorer])
def test_they_say_which_model_they_show(mini, control, make):
    for name, (model, tokenizer) in (("mini", mini), ("random", control)):
        explorer = make(model, tokenizer, "An old boat.")
        told = explorer.shown["model_name"] if make is HeadExplorer else explorer.heading.value
        assert re.search(rf"\b{name}\b", told)


@pytest.mark.parametrize("make", CORE)
def test_every_control_has_a_description_and_the_cell_a_plain_text(mini, make):
    explorer = make(*mini, TEXT)
    assert all(control.description for control in explorer.controls.values())
    bundle = explorer._repr_mimebundle_()
    assert bundle["text/plain"] == f"{make.title}: run this cell to use it."
    assert "application/vnd.jupyter.widget-view+json" in bundle


@pytest.mark.parametrize("make", [*CORE, HeadExplorer])
def test_standing_still_it_prints_its_summary_and_gives_it_as_alternative_text(mini, make, capsys):
    explorer = make(*mini, TEXT, head=2)
    picture = explorer.still()
    lines = ["Model: mini.", *(explorer.shown["summaries"][2] if make is HeadExplorer else explorer.lines)]
    assert capsys.readouterr().out.splitlines() == lines
    assert picture.alt == " ".join(lines) and re.search("L0H2|Head 2", picture.alt)
    assert plt.imread(BytesIO(picture.data)).std() > 0.1


@pytest.mark.parametrize(("make", "text"), [(DensityExplorer, "a"), (ProfileExplorer, "hi")])
def test_a_text_too_short_for_its_statistics_is_told_and_the_last_one_stays(mini, make, text):
    explorer = make(*mini, TEXT)
    good, lines = explorer.image.value, explorer.lines
    explorer.controls["text"].value = text
    assert "expected at least" in explorer.error.value
    assert explorer.lines == lines
    go(explorer, text=TEXT)
    assert np.abs(plt.imread(BytesIO(good)) - pixels(explorer)).max() < 0.02


# Lesson 3


def test_the_head_explorer_sends_every_head_of_a_text(mini, truth):
    explorer = HeadExplorer(*mini, TEXT)
    shown, n_tokens = explorer.shown, len(truth[0][0])
    scores = np.frombuffer(shown["scores"], "<f4").reshape(4, 12, n_tokens, n_tokens)
    for layer, head in PLACES:
        assert np.allclose(scores[layer, head], raw_of(truth, layer, head), rtol=1e-4, atol=1e-3)
    assert (shown["n_layers"], shown["n_heads"], shown["divisors"]) == (4, 12, [8.0] * 4)
    assert "".join(shown["tokens"]).replace("·", " ") == TEXT
    for name, start in (("score", 0), ("share", 1024)):
        colours = np.frombuffer(explorer.palettes[start : start + 1024], np.uint8).reshape(256, 4)
        assert np.abs(colours / 255 - MAPS[name](np.arange(256))).max() < 0.01


def test_the_head_explorer_follows_a_text_and_tells_what_is_wrong_with_another(mini):
    explorer = HeadExplorer(*mini, TEXT)
    explorer.text = OTHER
    assert "".join(explorer.shown["tokens"]).replace("·", " ") == OTHER and explorer.error == ""
    shown = explorer.shown
    for text, line in [("", "got 0 tokens"), ("a " * 400, "1 to 64 tokens, got 4"), ("\ud800", "half of one")]:
        explorer.text = text
        assert line in explorer.error and "\n" not in explorer.error
        assert explorer.shown is shown
    explorer.text = "日本 <b>&</b> 🙂"
    assert explorer.error == "" and len(explorer.shown["summaries"]) == 48


@pytest.mark.parametrize(("name", "value", "last"), [("layer", 4, 3), ("head", 12, 11), ("head", -1, 11)])
def test_a_layer_or_head_that_is_not_there(mini, name, value, last):
    explorer = HeadExplorer(*mini, TEXT)
    with pytest.raises(ValueError, match=rf"^{name}: expected a {name} from 0 to {last}, got {value}$"):
        setattr(explorer, name, value)


def test_the_summary_names_the_strongest_links(mini, truth):
    model, tokenizer = mini
    capture, labels = text_reader(model, tokenizer)(TEXT)
    n_tokens = len(labels)
    for layer, head in PLACES:
        lines = head_summary(capture, labels, layer, head)
        pattern = truth[1][layer][head]
        scores = raw_of(truth, layer, head).tolist()
        raw = [score for i, row in enumerate(scores) for score in row[: i + 1]]
        low, high = map(float, re.findall(r"-?\d+\.\d", lines[0]))
        assert abs(low - min(raw)) < 0.06 and abs(high - max(raw)) < 0.06
        assert f"{sum(score < 0 for score in raw) / len(raw):.0%} of them negative" in lines[0]
        assert f"{pattern[1:, 0].mean():.0%} of the others'" in lines[1]
        links = sorted(((pattern[i, j].item(), i, j) for i in range(n_tokens) for j in range(1, i)), reverse=True)
        assert len(lines) == 5
        for line, (share, i, j) in zip(lines[2:], links, strict=False):
            assert f"gives {share:.0%} of its attention" in line
            if share - links[3][0] > 1e-3:
                assert any(f"“{labels[i]}”" in line and f"“{labels[j]}”" in line for line in lines[2:])


@pytest.mark.parametrize(("text", "n_lines"), [("a", 1), ("hi", 2), ("his", 2)])
def test_short_texts_have_short_summaries(mini, text, n_lines):
    model, tokenizer = mini
    capture, labels = text_reader(model, tokenizer)(text)
    assert len(labels) <= 2
    assert len(head_summary(capture, labels, 1, 1)) == (1 if len(labels) == 1 else 2)


def test_the_saved_page_needs_nothing_and_cannot_be_broken_by_a_text(mini):
    explorer = HeadExplorer(*mini, "</script><b>hi</b> & more", layer=2, head=5)
    page = explorer.to_html()
    assert not re.search(r"https?://", page.replace("http://www.w3.org", ""))
    assert page.count("</script>") == 1 and "<b>" not in page.partition("<div>")[2]
    state = json.loads(re.search(r"const state = (\{.*?\});import", page)[1])
    assert base64.b64decode(state["shown"]["scores"]) == explorer.shown["scores"]
    assert (state["layer"], state["head"]) == (2, 5)
    script = base64.b64decode(re.search(r"base64,([A-Za-z0-9+/=]+)\"\)", page)[1]).decode()
    assert "import " not in script and "http" not in script
    bundle = explorer._repr_mimebundle_()[0]
    assert bundle["text/html"] == page and "0x" not in bundle["text/plain"]


def test_names_of_models(mini, control, tmp_path, monkeypatch):
    assert model_name(mini[0]) == "mini" and model_name(control[0]) == "random"
    assert model_name(GPT2LMHeadModel(GPT2Config(n_layer=1, n_embd=4, n_head=1, vocab_size=9))) == "unnamed"
    monkeypatch.chdir(tmp_path)
    assert model_name(SimpleNamespace(name_or_path=".")) == tmp_path.name
    for folder, name in [
        ("models--openai-community--gpt2/snapshots/607a", "gpt2"),
        ("models--someone--tiny/snapshots/1", "someone/tiny"),
        ("mine", "mine"),
    ]:
        assert model_name(SimpleNamespace(name_or_path=str(tmp_path / folder))) == name


def test_the_shift_explorer_divides_as_the_model_does(mini):
    model, tokenizer = copy.deepcopy(mini[0]), mini[1]
    model.config.scale_attn_by_inverse_layer_idx = True
    explorer = ShiftExplorer(model, tokenizer, TEXT, layer=3, head=1)
    capture = capture_heads(model, tokenizer(TEXT, return_tensors="pt").input_ids)
    np.testing.assert_allclose(explorer.pattern_image.get_array(), capture.pattern(3, 1), atol=1e-5)
