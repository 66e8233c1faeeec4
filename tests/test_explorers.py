"""What the explorers compute, send to the page and tell, over every layer and head of mini."""

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
    EXPLORERS,
    ContrastExplorer,
    DensityExplorer,
    HeadExplorer,
    InterventionExplorer,
    MaskExplorer,
    ProfileExplorer,
    ShiftExplorer,
    SplittingExplorer,
)
from headlab.explorers.heads import head_summary
from headlab.explorers.shared import one_line, text_reader
from headlab.models import model_name
from headlab.plots import MAPS, HouseFigure

TEXT = "The old man looked at the little white house by the sea."
OTHER = "A small boat came home, and nobody saw it."
N_LAYERS, N_HEADS = 4, 12
PLACES = [(layer, head) for layer in range(N_LAYERS) for head in range(N_HEADS)]
FEWEST = {ShiftExplorer: 2, DensityExplorer: 2, ProfileExplorer: 3, InterventionExplorer: 2}  # tokens
every = pytest.mark.parametrize("make", EXPLORERS, ids=lambda make: make.__name__)


@pytest.fixture(scope="module")
def truth(mini):
    """What the model itself does with TEXT: fused projections and attentions of every layer."""
    model, tokenizer = mini
    ids = tokenizer(TEXT, return_tensors="pt").input_ids
    with torch.no_grad():
        result = model(ids, output_hidden_states=True, output_attentions=True)
        fused = [
            block.ln_1(state[0]) @ block.attn.c_attn.weight + block.attn.c_attn.bias
            for block, state in zip(model.transformer.h, result.hidden_states, strict=False)
        ]
    return fused, [attention[0] for attention in result.attentions]


@pytest.fixture(scope="module")
def made(mini):
    """One explorer of each kind on TEXT, for the tests that change no text of it."""
    return {make: make(*mini, TEXT) for make in EXPLORERS}


def raw_of(truth, layer, head):
    """Raw scores of one head by plain slicing of the model's own projection."""
    fused = truth[0][layer]
    q, k = fused[:, 64 * head : 64 * (head + 1)], fused[:, 768 + 64 * head : 768 + 64 * (head + 1)]
    return q @ k.T


def sent(explorer, name, dtype, *shape):
    return np.frombuffer(explorer.shown[name], dtype).reshape(*shape)


def go(explorer, **settings):
    """The numbers of another setting."""
    for name, value in settings.items():
        setattr(explorer, name, value)
    return explorer.compute()[0]


# Lesson 1


def test_the_mask_explorer_computes_every_head(mini, truth):
    explorer, n_tokens = MaskExplorer(*mini, TEXT), len(truth[0][0])
    future = torch.triu(torch.ones(n_tokens, n_tokens), 1) == 1
    scores = sent(explorer, "scores", "<f4", N_LAYERS, N_HEADS, n_tokens, n_tokens)
    for layer, head in PLACES:
        numbers = go(explorer, layer=layer, head=head)
        raw = raw_of(truth, layer, head)
        assert np.allclose(scores[layer, head], raw, rtol=1e-4, atol=1e-3)
        assert np.allclose(numbers["masked"], (raw / 8).masked_fill(future, -torch.inf), rtol=1e-4, atol=1e-4)
        assert np.allclose(numbers["pattern"], truth[1][layer][head], atol=1e-5)
        line = f"L{layer}H{head}, {n_tokens} of {n_tokens} tokens read, mask on, temperature 1.0."
        assert explorer.lines()[0] == line


@pytest.mark.parametrize(
    ("n_tokens", "mask", "temperature"), [(14, False, 1.0), (5, True, 0.3), (7, False, 4.0), (1, True, 1.0)]
)
def test_the_mask_explorer_follows_length_mask_and_temperature(mini, truth, n_tokens, mask, temperature):
    explorer = MaskExplorer(*mini, TEXT, layer=2, head=3, n_tokens=n_tokens, mask=mask, temperature=temperature)
    scores = raw_of(truth, 2, 3)[:n_tokens, :n_tokens].double() / 8 / temperature
    if mask:
        scores[torch.triu(torch.ones(n_tokens, n_tokens), 1) == 1] = -torch.inf
    numbers, pattern = explorer.compute()[0], scores.softmax(-1)
    assert np.allclose(numbers["masked"], scores, rtol=1e-4) and np.allclose(numbers["pattern"], pattern, atol=1e-5)
    future = pattern.triu(1).sum() / n_tokens
    first = f"The first token gives itself {pattern[0, 0]:.0%}."
    assert explorer.lines()[1:] == [
        f"The future gets {future:.0%} of the attention. {first}",
        f"A query's largest share is {pattern.amax(-1).mean():.0%} on average.",
    ]


# Lesson 2


def test_the_splitting_explorer_cuts_out_every_head(mini, truth):
    explorer = SplittingExplorer(*mini, TEXT)
    halves = sent(explorer, "fused", "<f2", N_LAYERS, -1, 2304)
    for layer, head in PLACES:
        numbers = go(explorer, layer=layer, head=head)
        fused = truth[0][layer].numpy()
        assert np.allclose(numbers["fused"], fused, rtol=1e-4, atol=1e-4)
        assert np.allclose(halves[layer], fused, rtol=1e-3, atol=1e-3)
        lines = explorer.lines()
        for third, name in enumerate(("query", "key", "value")):
            first = 768 * third + 64 * head
            assert np.allclose(numbers[name], fused[:, first : first + 64], rtol=1e-4, atol=1e-4)
            assert re.search(rf"\b{first} to {first + 63} (are )?its {name[0]}\b", lines[1])
        assert lines[0] == f"L{layer}H{head}: the fused matrix is {len(fused)} tokens by 2304 = 3 x 768 columns."


def test_activations_that_half_precision_cannot_hold_are_refused(mini):
    model = copy.deepcopy(mini[0])
    module = model.transformer.h[0].attn.c_attn
    module.weight.data[:, 5] = 0.0
    module.bias.data[5] = 65504.0
    SplittingExplorer(model, mini[1], TEXT)
    module.bias.data[5] = 65505.0
    line = r"^model: expected activations that half precision holds, up to 65504, got 65505$"
    with pytest.raises(ValueError, match=line):
        SplittingExplorer(model, mini[1], TEXT)


# Lesson 4


def test_the_shift_explorer_counts_by_hand(mini, truth):
    explorer, n_all = ShiftExplorer(*mini, TEXT), len(truth[0][0])
    for layer, head, n_tokens, added, first_key in ((1, 3, 14, 0, True), (0, 2, 9, -3, False), (3, 11, 2, 100, False)):
        settings = {"layer": layer, "head": head, "n_tokens": n_tokens, "added": added, "first_key": first_key}
        numbers = go(explorer, **settings)
        start, negative = 0 if first_key else 1, []
        for place in PLACES:
            raw = raw_of(truth, *place).tolist()
            rows = [[raw[i][j] + added for j in range(start, i + 1)] for i in range(start, n_tokens)]
            scores = [score for row in rows for score in row]
            negative.append(sum(score < 0 for score in scores) / len(scores))
            assert numbers["fractions"][place] == pytest.approx(negative[-1])
            if place == (layer, head):
                assert np.allclose(numbers["rows"], [sum(score < 0 for score in row) / len(row) for row in rows])
                facts = explorer.compute()[1]
                assert facts["n"] == len(scores) and facts["median"] == pytest.approx(np.median(scores), abs=1e-3)
        assert numbers["of_first"].sum() == n_tokens
        assert numbers["of_others"].sum() == n_tokens * (n_tokens - 1) // 2
        n_most = sum(fraction > 0.5 for fraction in negative)
        all_heads = f"All heads together: {np.mean(negative):.0%}; heads with a negative majority: {n_most} of 48."
        assert explorer.lines()[1] == all_heads
        assert explorer.lines()[2].endswith("attention by more than 0.000.")
        assert f"{n_tokens} of {n_all} tokens read" in explorer.lines()[0]


# Lesson 5


def entropy_tokens(pattern):
    """exp(entropy) of each row, share by share."""
    return [np.exp(-sum(p * np.log(p) for p in row if p > 0)) for row in pattern.double().tolist()]


def test_the_contrast_explorer_computes_every_head(mini, truth):
    explorer, n_tokens = ContrastExplorer(*mini, TEXT), len(truth[0][0])
    content = sent(explorer, "content", "<f4", N_LAYERS, N_HEADS, n_tokens, n_tokens)
    of_keys, of_queries = (sent(explorer, n, "<f4", N_LAYERS, N_HEADS, n_tokens) for n in ("query_bias", "key_bias"))
    constant = sent(explorer, "constant", "<f4", N_LAYERS, N_HEADS)
    visible = np.tril(np.ones((n_tokens, n_tokens), dtype=bool))
    for layer, head in PLACES:
        numbers = go(explorer, layer=layer, head=head)
        raw, pattern = raw_of(truth, layer, head).numpy(), truth[1][layer][head]
        whole = content[layer, head] + of_keys[layer, head] + of_queries[layer, head, :, None] + constant[layer, head]
        assert np.allclose(whole, raw, atol=2e-3) and np.allclose(numbers["raw"], raw, atol=2e-3)
        assert all(np.allclose(numbers[name], pattern, atol=1e-5) for name in ("pattern", "before"))
        for name in ("tokens", "tokens_before"):
            assert np.allclose(numbers[name], entropy_tokens(pattern), atol=1e-3)
        lines, negative = explorer.lines(), (raw[visible] < 0).mean()
        assert lines[0].startswith(f"L{layer}H{head}, all four terms, scaled by 1.0, b_k times 1: {negative:.0%} of")
        assert lines[2] == "Largest change of any share: 0.000."


def test_softmax_does_not_see_the_key_bias_but_a_scale_and_the_query_bias(mini, truth):
    explorer = ContrastExplorer(*mini, TEXT, layer=1, head=3)
    raw, pattern = raw_of(truth, 1, 3), truth[1][1][3]
    numbers = go(explorer, times=-37)
    visible = np.tril(np.ones(raw.shape, dtype=bool))
    fused, bias = truth[0][1], mini[0].transformer.h[1].attn.c_attn.bias.detach()
    moved = fused[:, 192:256] @ (fused[:, 960:1024] - 38 * bias[960:1024]).T  # k + (-37 - 1) b_k
    assert (moved - raw).abs().max() > 10
    assert np.allclose(numbers["raw"], moved, atol=1e-3)
    assert explorer.lines()[2] == "Largest change of any share: 0.000."
    numbers = go(explorer, times=1, scale=2.5)
    expected = (raw * 2.5 / 8).masked_fill(torch.from_numpy(~visible), -torch.inf).softmax(-1)
    assert np.allclose(numbers["pattern"], expected, atol=1e-5) and np.allclose(numbers["before"], pattern, atol=1e-5)
    numbers = go(explorer, scale=1.0, query_bias=False, constant=False)
    without = (fused[:, 192:256] - bias[192:256]) @ fused[:, 960:1024].T  # (q - bq).k
    expected = (without / 8).masked_fill(torch.from_numpy(~visible), -torch.inf).softmax(-1)
    assert np.allclose(numbers["pattern"], expected, atol=1e-5)
    lines = explorer.lines()
    assert "without query bias and constant" in lines[0]
    assert abs(float(lines[2].split()[-1][:-1]) - (expected - pattern).abs().max()) < 6e-4
    numbers = go(explorer, content=False, key_bias=False)
    assert np.allclose(numbers["pattern"], visible / visible.sum(-1, keepdims=True), atol=1e-6)


def test_multiples_of_the_key_bias_take_the_signs_from_all_to_none(mini):
    # The head on which lesson 5 opens it: a sink, nearly all negative, whose queries agree on the sign of b_k.
    explorer = ContrastExplorer(*mini, TEXT, layer=2, head=6)
    negative = []
    for times in (-100, 1, 100):
        explorer.times = times
        negative.append(int(re.search(r"(\d+)% of the visible", explorer.lines()[0])[1]))
        assert explorer.lines()[2] == "Largest change of any share: 0.000."
    assert negative[1] > 80 and {min(negative) < 5, max(negative) > 95} == {True}


def test_the_contrast_explorer_divides_as_the_model_does(mini):
    model, tokenizer = copy.deepcopy(mini[0]), mini[1]
    model.config.scale_attn_by_inverse_layer_idx = True
    explorer = ContrastExplorer(model, tokenizer, TEXT, layer=3, head=1)
    capture = capture_heads(model, tokenizer(TEXT, return_tensors="pt").input_ids)
    np.testing.assert_allclose(explorer.compute()[0]["pattern"], capture.pattern(3, 1), atol=1e-5)
    assert explorer.shown["divisors"] == list(capture.divisors)


# Lesson 6


def test_the_density_explorer_computes_every_head(mini, truth):
    explorer = DensityExplorer(*mini, TEXT)
    visible = np.tril(np.ones((len(truth[0][0]),) * 2, dtype=bool))
    for layer, head in PLACES:
        numbers = go(explorer, layer=layer, head=head)
        everything = raw_of(truth, layer, head).numpy()[visible], truth[1][layer][head].numpy()[visible]
        for name, place, population in zip(("raw", "shares"), ("raw", "share"), everything, strict=True):
            sample, grid, density = numbers[name], numbers[f"{place}_grid"], numbers[f"{place}_density"]
            assert len(sample) == 40 and np.abs(sample[:, None] - population).min(1).max() < 1e-4
            kernel = gaussian_kde(sample)
            if name == "raw" or kernel.factor * sample.std(ddof=1) < 0.25:
                assert np.allclose(density, kernel(grid), rtol=1e-4, atol=1e-4 * density.max())
        assert explorer.lines()[0].startswith(f"L{layer}H{head}: 40 of {visible.sum()} visible pairs")


def test_the_density_explorer_follows_sample_bandwidth_and_edges(mini):
    explorer = DensityExplorer(*mini, TEXT, layer=1, head=3)
    small = explorer.compute()[0]["raw"]
    assert np.array_equal(go(explorer, n_samples=90)["raw"][:40], small)  # the larger sample holds the smaller
    width = explorer.compute()[1]["raw_width"]
    explorer.width = 0.5
    facts = explorer.compute()[1]
    assert facts["raw_width"] == pytest.approx(width / 2) and facts["leak"] > 0.005
    numbers = go(explorer, mend=True, kernels=False)
    grid, density = numbers["share_grid"], numbers["share_density"]
    assert (density[(grid < 0) | (grid > 1)] == 0).all()
    assert np.trapezoid(density, grid) == pytest.approx(1, abs=0.03)
    assert ", 0.0% of the density" in explorer.lines()[2] and "kernels hidden, edges reflected" in explorer.lines()[0]


# Lesson 7


def test_the_profile_explorer_computes_every_head_and_statistic(mini, truth):
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
    options = explorer.controls["statistic"]["options"]
    everything = sent(explorer, "profile", "<f8", len(options), N_LAYERS, N_HEADS)
    for statistic, values in expected.items():
        numbers = go(explorer, statistic=statistic)
        for found in (numbers["values"], everything[options.index(statistic)]):
            assert np.allclose(found, values, rtol=1e-4, atol=1e-4)
        assert np.allclose(numbers["middle"], np.median(values, 1), rtol=1e-4, atol=1e-4)
    densities, (low, high) = sent(explorer, "densities", "<f4", N_LAYERS, -1), explorer.shown["ends"]
    grid, step = np.linspace(low, high, densities.shape[1], retstep=True)
    assert np.allclose(densities.sum(1) * step, 1, atol=0.01)
    assert np.allclose((densities * grid).sum(1) * step, raw.mean((1, 2)), atol=0.05)
    figure = HouseFigure()
    explorer.draw(figure, *explorer.compute())
    (picture,) = figure.axes[0].images  # a column for each point of the grid, in its middle; a row for each layer
    assert picture.get_extent() == pytest.approx((low - step / 2, high + step / 2, N_LAYERS - 0.5, -0.5))


@pytest.mark.parametrize(("first", "last"), [(0, 3), (1, 2), (3, 3), (2, 0)])
def test_the_profile_explorer_keeps_to_its_layers(made, first, last):
    explorer = made[ProfileExplorer]
    numbers = go(explorer, first=first, last=last, statistic="spread", head=5)
    first, last = sorted((first, last))
    lines, middle = explorer.lines(), numbers["middle"][first : last + 1]
    assert lines[0].startswith(f"Layers {first} to {last}: spread")
    assert list(map(int, re.findall(r"layer (\d+)", lines[1]))) == [first + middle.argmin(), first + middle.argmax()]
    at = numbers["values"][:, 5]
    assert lines[2] == f"Head 5: {at[first]:.2f} in layer {first}, {at[last]:.2f} in layer {last}."
    figure = HouseFigure()
    explorer.draw(figure, *explorer.compute())
    seen, ends = numbers["values"][first : last + 1], figure.axes[1].get_xlim()
    room = 0.05 * np.ptp(seen)
    assert ends == pytest.approx((seen.min() - room, seen.max() + room))
    assert figure.axes[1].get_ylim() == (last + 0.5, first - 0.5)


# Lesson 3


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
                where = "just before it" if i - j == 1 else f"{i - j} tokens before it"
                ends = f"“{labels[i]}” gives {share:.0%} of its attention to “{labels[j]}”, {where}."
                assert ends in lines[2:]


@pytest.mark.parametrize(("text", "n_lines"), [("a", 1), ("hi", 2), ("his", 2)])
def test_short_texts_have_short_summaries(mini, text, n_lines):
    capture, labels = text_reader(*mini)(text)
    assert len(labels) <= 2
    assert len(head_summary(capture, labels, 1, 1)) == (1 if len(labels) == 1 else 2)


def test_the_head_explorer_computes_the_four_stages(made, truth):
    numbers = go(made[HeadExplorer], layer=1, head=4)
    raw, future = raw_of(truth, 1, 4), torch.triu(torch.ones(len(truth[0][0]), len(truth[0][0])), 1) == 1
    for name, values in zip(
        ("raw", "scaled", "masked", "pattern"),
        (raw, raw / 8, (raw / 8).masked_fill(future, -torch.inf), truth[1][1][4]),
        strict=True,
    ):
        assert np.allclose(numbers[name], values, rtol=1e-4, atol=1e-4)


# What all share


@every
def test_one_forward_pass_for_each_text(mini, make):
    model, tokenizer = mini
    calls = []
    handle = model.transformer.wte.register_forward_hook(lambda *_: calls.append(1))
    try:
        explorer = make(model, tokenizer, TEXT)
        first = len(calls)
        for name, control in explorer.controls.items():
            setattr(explorer, name, control["min"] if "min" in control else getattr(explorer, name))
        explorer.compute()
        if make is not InterventionExplorer:  # its changes are measured by running the model
            assert first == len(calls) == 1
        explorer.text = OTHER
        assert len(calls) == 2 * first
        assert explorer.error == "" and "".join(explorer.shown["tokens"]).replace("·", " ") == OTHER
    finally:
        handle.remove()


LAYER, HEAD = "a layer from 0 to 3", "a head from 0 to 11"


@pytest.mark.parametrize(
    ("make", "name", "value", "kind", "expected"),
    [
        (HeadExplorer, "head", 12, ValueError, HEAD),
        (MaskExplorer, "head", -1, ValueError, HEAD),
        (DensityExplorer, "head", 1.5, TypeError, HEAD),
        (ShiftExplorer, "layer", 4, ValueError, LAYER),
        (SplittingExplorer, "layer", "1", TypeError, LAYER),
        (MaskExplorer, "temperature", 0, ValueError, "a number from 0.1 to 5.0"),
        (MaskExplorer, "mask", "yes", TypeError, "True or False"),
        (ContrastExplorer, "times", 101, ValueError, "a number from -100 to 100"),
        (ProfileExplorer, "last", 4, ValueError, "a number from 0 to 3"),
        (InterventionExplorer, "scale", 0.3, ValueError, "one of [0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0]"),
    ],
)
def test_a_setting_that_is_not_there_is_refused_in_one_line(mini, made, make, name, value, kind, expected):
    before = getattr(made[make], name)
    for attempt in (lambda: setattr(made[make], name, value), lambda: make(*mini, TEXT, **{name: value})):
        with pytest.raises(kind) as caught:
            attempt()
        assert re.fullmatch(
            rf"{name}: expected {re.escape(expected)}.*, got {re.escape(repr(value))}", str(caught.value)
        )
    assert getattr(made[make], name) == before


def test_any_exception_becomes_one_line_that_names_its_kind_unless_it_is_ours():
    assert one_line(TypeError("one\ntwo")) == "TypeError: one two"
    assert one_line(ValueError("text: expected a word, got none")) == "text: expected a word, got none"


@every
def test_a_text_is_followed_and_a_bad_one_is_told_in_one_line(mini, make):
    explorer = make(*mini, TEXT)
    explorer.text = OTHER
    assert "".join(explorer.shown["tokens"]).replace("·", " ") == explorer.shown["text"] == OTHER
    shown, lines = explorer.shown, explorer.lines()
    bad = [
        ("", "text: expected 1 to 64 tokens, got 0 tokens"),
        ("a " * 400, "text: expected 1 to 64 tokens, got 4"),
        ("\ud800", "text: expected whole characters, got half of one (type that place again)"),
    ]
    words, fewest = ["old", " white", " house"], FEWEST.get(make, 1)
    bad += [("".join(words[:n]), f"text: expected {fewest} to 64 tokens, got {n} token") for n in range(1, fewest)]
    for text, line in bad:
        explorer.text = text
        assert explorer.error.startswith(line) and "\n" not in explorer.error
        assert explorer.shown is shown and explorer.lines() == lines
    explorer.text = "".join(words[:fewest])
    assert explorer.error == "" and len(explorer.shown["tokens"]) == fewest
    explorer.text = "日本 <b>&$x$</b> 🙂"
    assert explorer.error == "" and explorer.lines() != lines


@every
def test_a_bad_first_text_is_an_error_at_once(mini, make):
    with pytest.raises(ValueError, match=r"^text: expected 1 to 64 tokens, got 0 tokens$"):
        make(*mini, "")


@every
def test_a_model_that_is_not_on_the_cpu_is_refused(mini, make):
    elsewhere = copy.deepcopy(mini[0]).to("meta")
    line = r"^model: expected a model on the CPU \(model.cpu\(\) moves it\), got one on meta$"
    with pytest.raises(ValueError, match=line):
        make(elsewhere, mini[1], TEXT)


def test_they_say_which_model_they_show(mini, control):
    for name, (model, tokenizer) in (("mini", mini), ("random", control)):
        assert MaskExplorer(model, tokenizer, "An old boat.").shown["model_name"] == name


def test_the_ends_of_every_slider(made):
    ends = {
        (make.__name__.removesuffix("Explorer"), name): (control["min"], control["max"], control["step"])
        for make, explorer in made.items()
        for name, control in explorer.controls.items()
        if "min" in control
    }
    assert {place: slider for place, slider in ends.items() if place[1] not in ("layer", "head")} == {
        ("Mask", "n_tokens"): (1, 64, 1),
        ("Mask", "temperature"): (0.1, 5.0, 0.1),
        ("Shift", "n_tokens"): (2, 64, 1),
        ("Shift", "added"): (-100, 100, 1),
        ("Contrast", "times"): (-100, 100, 1),
        ("Contrast", "scale"): (0.0, 3.0, 0.1),
        ("Density", "n_samples"): (3, 200, 1),
        ("Density", "width"): (0.1, 10**0.5, 0.05),
        ("Profile", "first"): (0, N_LAYERS - 1, 1),
        ("Profile", "last"): (0, N_LAYERS - 1, 1),
    }
    assert {ends[place] for place in ends if place[1] == "head"} == {(0, N_HEADS - 1, 1)}
    assert {ends[place] for place in ends if place[1] == "layer"} == {(0, N_LAYERS - 1, 1)}


@every
def test_every_control_has_a_label_and_the_cell_a_plain_text(made, make):
    explorer = made[make]
    assert all(control["label"] for control in explorer.controls.values())
    bundle = explorer._repr_mimebundle_()[0]
    assert bundle["text/plain"] == f"{make.title} of mini: run this cell to use it."
    assert "application/vnd.jupyter.widget-view+json" in bundle


@every
def test_standing_still_it_prints_its_summary_and_gives_it_as_alternative_text(mini, make, capsys):
    explorer = make(*mini, TEXT)
    picture = explorer.still()
    lines = ["Model: mini.", *explorer.lines()]
    assert capsys.readouterr().out.splitlines() == lines
    assert picture.alt == " ".join(lines)
    assert plt.imread(BytesIO(picture.data)).std() > 0.1 and len(picture.data) < 200_000
    assert plt.get_fignums() == []
    name, value = ("heads", [(0, 5)]) if make is InterventionExplorer else ("head", 6)
    setattr(explorer, name, value)
    assert explorer.still().data != picture.data
    assert make(*mini, TEXT, **{name: value}).still().data == explorer.still().data


@every
def test_the_still_picture_shows_every_point_that_it_draws(mini, make):
    explorer = make(*mini, TEXT)
    figure = HouseFigure(figsize=explorer.size)
    explorer.draw(figure, *explorer.compute())
    for ax in figure.axes:
        low, high = np.sort(np.array([ax.get_xlim(), ax.get_ylim()])).T
        curves = [line.get_xydata() for line in ax.lines if line.get_transform() == ax.transData]
        dots = [dots.get_offsets() for dots in ax.collections if len(dots.get_offsets()) > 1]
        areas = [np.reshape(image.get_extent(), (2, 2)).T for image in ax.images]  # two opposite corners
        for points in [*curves, *dots, *areas]:
            room = 1e-6 * (high - low)
            assert (points >= low - room).all() and (points <= high + room).all(), ax.get_title()
        if curves:
            across = np.concatenate([*curves, *dots])[:, 0]
            assert np.ptp(across) > 0.7 * (high - low)[0], ax.get_title()


@every
def test_the_saved_page_needs_nothing_and_cannot_be_broken_by_a_text(mini, make):
    explorer = make(*mini, "</script><b>hi</b> & more and more")
    page = explorer.to_html()
    assert not re.search(r"https?://", page)
    assert page.count("</script>") == 1 and "<b>" not in page.partition("<div>")[2]
    state = json.loads(re.search(r"const state = (\{.*?\});import", page)[1])
    for name, value in explorer.shown.items():
        if isinstance(value, bytes):
            assert base64.b64decode(state["shown"][name]["base64"]) == value
    assert all(state[name] == getattr(explorer, name) for name in explorer.controls)
    script = base64.b64decode(re.search(r"base64,([A-Za-z0-9+/=]+)\"\)", page)[1]).decode()
    assert not re.search(r"^\s*import\b", script, re.MULTILINE) and "http" not in script and "eval(" not in script
    bundle = explorer._repr_mimebundle_()[0]
    assert bundle["text/html"] == page and "0x" not in bundle["text/plain"]


@every
def test_the_page_gets_the_colours_of_the_figures(made, make):
    explorer = made[make]
    for place, colours in enumerate(MAPS.values()):
        own = np.frombuffer(explorer.palettes[1024 * place : 1024 * (place + 1)], np.uint8).reshape(256, 4)
        assert np.abs(own / 255 - colours(np.arange(256))).max() < 0.01


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
