"""Capture, against the model's own attentions and against its projection computed by hand."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from headlab.capture import _causal_scores, capture_heads, count_scores, score_terms
from headlab.histogram import ScoreHistogram
from headlab.masking import causal_mask

TEXT = "The old man looked at the little white house by the sea."

ODD_SETTINGS = [
    {},
    {"scale_attn_weights": False},
    {"scale_attn_by_inverse_layer_idx": True},
    {"scale_attn_weights": False, "scale_attn_by_inverse_layer_idx": True},
    {"reorder_and_upcast_attn": True, "scale_attn_by_inverse_layer_idx": True},
]


def ids_of(model, n=7):
    return torch.randint(model.config.vocab_size, (1, n), generator=torch.Generator().manual_seed(3))


def hooks_left(model):
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


def assert_patterns_equal_the_models(model, ids):
    capture = capture_heads(model, ids)
    with torch.no_grad():
        attentions = model(ids, output_attentions=True).attentions
    assert capture.layers == tuple(range(len(attentions)))
    for layer, attention in enumerate(attentions):
        assert torch.allclose(capture.pattern(layer), attention[0], rtol=0, atol=1e-5)
        for head in range(model.config.n_head):
            assert torch.allclose(capture.pattern(layer, head), attention[0, head], rtol=0, atol=1e-5)


def test_patterns_equal_the_models_own_on_mini(mini):
    model, tokenizer = mini
    assert_patterns_equal_the_models(model, tokenizer(TEXT, return_tensors="pt").input_ids)


def test_patterns_equal_the_models_own_on_the_control(control):
    model, tokenizer = control
    assert_patterns_equal_the_models(model, tokenizer(TEXT, return_tensors="pt").input_ids)


@pytest.mark.parametrize("settings", ODD_SETTINGS, ids=lambda s: "+".join(s) or "plain")
def test_patterns_equal_the_models_own_with_odd_settings(odd_gpt2, settings):
    model = odd_gpt2(**settings)
    assert_patterns_equal_the_models(model, ids_of(model))


def test_sdpa_and_eager_give_the_same_capture(odd_gpt2):
    eager, sdpa = odd_gpt2(), odd_gpt2(attn_implementation="sdpa")
    ids = ids_of(eager)
    for name in ("q", "k", "v"):
        ours, theirs = getattr(capture_heads(sdpa, ids), name), getattr(capture_heads(eager, ids), name)
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_q_k_v_are_the_projections_of_the_layers_input(odd_gpt2):
    model = odd_gpt2()
    ids = ids_of(model)
    capture = capture_heads(model, ids)
    assert capture.q.shape == capture.k.shape == capture.v.shape == (2, 3, 7, 4)
    with torch.no_grad():
        states = model(ids, output_hidden_states=True).hidden_states
        for layer, block in enumerate(model.transformer.h):
            fused = block.ln_1(states[layer][0]) @ block.attn.c_attn.weight + block.attn.c_attn.bias
            for third, part in enumerate((capture.q, capture.k, capture.v)):
                for head in range(3):
                    first = 12 * third + 4 * head
                    assert torch.allclose(part[layer, head], fused[:, first : first + 4], rtol=1e-4, atol=1e-4)


def test_scores_are_dot_products(odd_gpt2):
    model = odd_gpt2()
    capture = capture_heads(model, ids_of(model))
    q, k = capture.q[1, 2], capture.k[1, 2]
    slow = torch.tensor([[sum(a * b for a, b in zip(qi, kj, strict=True)) for kj in k.tolist()] for qi in q.tolist()])
    assert torch.allclose(capture.scores(1, 2), slow, rtol=1e-4, atol=1e-4)


def test_it_stops_after_the_last_layer_asked_for(odd_gpt2):
    model = odd_gpt2()
    reached = []
    model.transformer.h[0].mlp.register_forward_hook(lambda *_: reached.append("mlp 0"))
    model.transformer.h[1].register_forward_pre_hook(lambda *_: reached.append("layer 1"))
    capture = capture_heads(model, ids_of(model), layers=[0])
    assert capture.layers == (0,) and capture.q.shape[0] == 1
    assert reached == []


def test_chosen_layers_come_in_order_under_their_own_numbers(mini):
    model, tokenizer = mini
    ids = tokenizer(TEXT, return_tensors="pt").input_ids
    every, some = capture_heads(model, ids), capture_heads(model, ids, layers=[3, 1])
    assert some.layers == (1, 3)
    assert torch.equal(some.scores(3, 5), every.scores(3, 5))
    with pytest.raises(ValueError, match=r"^layer: expected one of the captured layers \[1, 3\], got 2$"):
        some.scores(2, 0)


def test_hooks_never_remain(odd_gpt2):
    model = odd_gpt2()
    capture_heads(model, ids_of(model))
    assert hooks_left(model) == 0
    broken = model.transformer.h[0].mlp.register_forward_pre_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        capture_heads(model, ids_of(model))
    broken.remove()
    assert hooks_left(model) == 0
    assert_patterns_equal_the_models(model, ids_of(model))


@pytest.mark.parametrize("n", [1, 2, 7, 256])
def test_counting_equals_counting_what_was_captured(mini, n):
    model, _ = mini
    ids = ids_of(model, n)
    capture, histogram = capture_heads(model, ids), count_scores(model, ids)
    by_hand = ScoreHistogram(capture.layers, model.config.n_head)
    for layer in capture.layers:
        by_hand.update(layer, capture.scores(layer)[:, causal_mask(n)])
    assert (histogram.n == n * (n + 1) // 2).all()
    # A product of other blocks may round a score into the next bin, one in many thousands.
    assert abs(histogram.counts - by_hand.counts).sum() <= 2e-3 * histogram.counts.sum()
    assert abs(histogram.fraction_negative() - by_hand.fraction_negative()).max() < 1e-4


def test_counting_more_rows_than_a_block_leaves_the_future_out():
    q, k = torch.randn(2, 2, 700, 3, generator=torch.Generator().manual_seed(0)).double()
    ours = _causal_scores(q, k)
    theirs = (q @ k.transpose(-1, -2))[:, causal_mask(700)]
    assert torch.allclose(ours.sort(dim=1).values, theirs.sort(dim=1).values)


def test_counting_some_layers_stops_after_the_last(odd_gpt2):
    model = odd_gpt2()
    reached = []
    model.transformer.h[1].register_forward_pre_hook(lambda *_: reached.append("layer 1"))
    histogram = count_scores(model, ids_of(model), layers=[0])
    assert histogram.layers == (0,) and histogram.n.tolist() == [[28, 28, 28]] and reached == []


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_the_models_attention_is_as_it_was(odd_gpt2, attention):
    model = odd_gpt2(attn_implementation=attention)
    seen = []
    model.transformer.h[0].register_forward_pre_hook(lambda *_: seen.append(model.config._attn_implementation))
    capture_heads(model, ids_of(model))
    with pytest.raises(ValueError):
        capture_heads(model, ids_of(model), layers=[9])
    assert seen == ["sdpa"] and model.config._attn_implementation == attention


def test_one_token_gives_itself_everything(mini):
    model, tokenizer = mini
    capture = capture_heads(model, tokenizer("a", return_tensors="pt").input_ids)
    assert all((capture.pattern(layer) == 1).all() for layer in capture.layers)


def test_ids_without_a_batch_axis_and_ids_left_as_they_were(odd_gpt2):
    model = odd_gpt2()
    ids = ids_of(model)
    before = ids.clone()
    assert torch.equal(capture_heads(model, ids[0]).q, capture_heads(model, ids).q)
    assert torch.equal(ids, before)


@pytest.mark.parametrize(
    ("ids", "layers", "error", "line"),
    [
        (torch.ones(1, 0), None, ValueError, "input_ids: expected at least one token, got none (is the text empty?)"),
        (
            torch.ones(1, 21, dtype=torch.int64),
            None,
            ValueError,
            "input_ids: expected at most 20 tokens for this model (shorten the text), got 21",
        ),
        (torch.ones(1, 3), None, TypeError, "input_ids: expected whole numbers (torch.int64), got torch.float32"),
        (
            torch.ones(2, 3, dtype=torch.int64),
            None,
            ValueError,
            "input_ids: expected one text (T,) or (1, T), got (2, 3)",
        ),
        ("text", None, TypeError, "input_ids: expected a torch tensor of token ids (T,) or (1, T), got 'text'"),
        (
            torch.tensor([3, 50]),
            None,
            ValueError,
            "input_ids: expected ids from 0 to 49 (does the tokenizer belong to this model?), got 3 to 50",
        ),
        (
            torch.tensor([1, 2]),
            [2],
            ValueError,
            "layers: expected layers from 0 to 1, each once, got [2]",
        ),
        (
            torch.tensor([1, 2]),
            [-1],
            ValueError,
            "layers: expected layers from 0 to 1, each once, got [-1]",
        ),
        (
            torch.tensor([1, 2]),
            [0, 0],
            ValueError,
            "layers: expected layers from 0 to 1, each once, got [0, 0]",
        ),
        (torch.tensor([1, 2]), [], ValueError, "layers: expected layers from 0 to 1, each once, got []"),
        (torch.tensor([1, 2]), 1, TypeError, "layers: expected layers from 0 to 1, each once, got 1"),
    ],
)
def test_bad_input_is_told_in_one_line(odd_gpt2, ids, layers, error, line):
    with pytest.raises(error) as caught:
        capture_heads(odd_gpt2(), ids, layers)
    assert str(caught.value) == line


@pytest.mark.parametrize(
    ("layer", "head", "error", "line"),
    [
        (5, 0, ValueError, "layer: expected one of the captured layers [0, 1], got 5"),
        (0, 3, ValueError, "head: expected a head from 0 to 2, got 3"),
        (0, -1, ValueError, "head: expected a head from 0 to 2, got -1"),
        (0, "1", TypeError, "head: expected a whole number, got '1'"),
    ],
)
def test_a_layer_or_head_that_is_not_there(odd_gpt2, layer, head, error, line):
    model = odd_gpt2()
    capture = capture_heads(model, ids_of(model))
    for read in (capture.scores, capture.pattern):
        with pytest.raises(error) as caught:
            read(layer, head)
        assert str(caught.value) == line


def test_threads_that_share_a_model_do_not_get_each_others_scores(odd_gpt2):
    model = odd_gpt2()
    texts = [ids_of(model, n) for n in (5, 11, 17, 20)]

    def everything(ids):
        capture = capture_heads(model, ids)
        terms = score_terms(model, ids)
        return [capture.q, capture.k, capture.v, sum(terms[1]), torch.from_numpy(count_scores(model, ids).n)]

    alone = [everything(ids) for ids in texts]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(10):
            for mine, theirs in zip(alone, pool.map(everything, texts), strict=True):
                assert all(map(torch.equal, mine, theirs))
    assert model.config._attn_implementation == "eager"
    assert not any(block.attn.c_attn._forward_hooks for block in model.transformer.h)


def test_the_terms_of_every_layer_add_up_to_its_scores(odd_gpt2):
    model = odd_gpt2()
    ids = ids_of(model)
    capture = capture_heads(model, ids)
    terms = score_terms(model, ids[0])
    for layer in range(2):
        assert torch.allclose(sum(terms[layer]), capture.scores(layer), rtol=0, atol=1e-4)
    with pytest.raises(ValueError, match="^input_ids: expected ids from 0 to 49 .*, got 3 to 50$"):
        score_terms(model, torch.tensor([3, 50]))
