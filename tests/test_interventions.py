"""Interventions, against a forward pass written out by hand, hooks on the model, and what must change nothing."""

import copy
import math
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from test_capture import ODD_SETTINGS, hooks_left, ids_of
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from headlab import interventions
from headlab.capture import capture_heads, one_at_a_time
from headlab.exercises.engine import observe
from headlab.interventions import (
    logit_attribution,
    logit_terms,
    loss,
    loss_with_biases,
    loss_with_scores,
    loss_without_each_head,
    loss_without_heads,
)
from headlab.texts import TEXTS

TEXT = "The old man looked at the little white house by the sea."


def ids_of_length(model, n, seed=0):
    return torch.randint(model.config.vocab_size, (n,), generator=torch.Generator().manual_seed(seed))


def close(ours, theirs, atol=1e-5):
    """Equal to atol nats and a millionth of the loss.

    On the hybrid, losses lie between 23 and 84 nats, and float32 allows no less: eager attention itself is 4.1e-5 nats
    (5.5e-7 of the loss) from the same pass in float64.
    """
    return torch.allclose(ours, theirs, rtol=1e-6, atol=atol)


def losses_by_hand(model, ids, change=lambda layer, raw: raw, patch=lambda layer, outputs: outputs, bias=None):
    """A GPT-2's forward pass in float64, head by head and row by row; `bias(layer, c_attn's bias)` replaces it."""
    config, body = model.config, model.transformer
    weights = {name: value.detach().double() for name, value in body.named_parameters()}
    n, width, d_head = len(ids), config.n_embd, config.n_embd // config.n_head

    def norm(x, name):
        centred = x - x.mean(1, keepdim=True)
        scale = (centred.pow(2).mean(1, keepdim=True) + config.layer_norm_epsilon).sqrt()
        return centred / scale * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    x = weights["wte.weight"][ids] + weights["wpe.weight"][:n]
    for layer in range(config.n_layer):
        part = f"h.{layer}"
        b = weights[f"{part}.attn.c_attn.bias"]
        fused = norm(x, f"{part}.ln_1") @ weights[f"{part}.attn.c_attn.weight"] + (bias(layer, b) if bias else b)
        q, k, v = (
            torch.stack([fused[:, third * width + h * d_head :][:, :d_head] for h in range(config.n_head)])
            for third in range(3)
        )
        raw = change(layer, torch.stack([q[h] @ k[h].T for h in range(config.n_head)]))
        divisor = math.sqrt(d_head) if config.scale_attn_weights else 1
        divisor *= layer + 1 if config.scale_attn_by_inverse_layer_idx else 1
        outputs = torch.zeros_like(q)
        for h in range(config.n_head):
            for i in range(n):
                weight = torch.exp(raw[h, i, : i + 1] / divisor)
                outputs[h, i] = weight / weight.sum() @ v[h, : i + 1]
        merged = torch.cat(list(patch(layer, outputs)), dim=1)
        x = x + merged @ weights[f"{part}.attn.c_proj.weight"] + weights[f"{part}.attn.c_proj.bias"]
        u = norm(x, f"{part}.ln_2") @ weights[f"{part}.mlp.c_fc.weight"] + weights[f"{part}.mlp.c_fc.bias"]
        u = 0.5 * u * (1 + torch.tanh(math.sqrt(2 / math.pi) * (u + 0.044715 * u**3)))
        x = x + u @ weights[f"{part}.mlp.c_proj.weight"] + weights[f"{part}.mlp.c_proj.bias"]
    logits = norm(x, "ln_f") @ weights["wte.weight"].T
    return torch.stack([logits[t].exp().sum().log() - logits[t, ids[t + 1]] for t in range(n - 1)]).float()


def assert_the_identity_changes_nothing(model, ids):
    with torch.no_grad():
        logits = model(ids).logits[0]
    eager = -logits.log_softmax(-1)[:-1].gather(1, ids[0, 1:, None])[:, 0]
    assert close(loss(model, ids), eager)
    assert close(loss_with_scores(model, ids, lambda layer, raw: raw), eager)
    assert close(loss_with_biases(model, ids, lambda layer, bias: bias), eager)
    assert close(loss_without_heads(model, ids, []), eager)


@pytest.mark.parametrize("name", ["mini", "control", "hybrid"])
def test_the_identity_changes_nothing(request, name):
    model, tokenizer = request.getfixturevalue(name)
    assert model.config._attn_implementation == "eager"
    assert_the_identity_changes_nothing(model, tokenizer(TEXT, return_tensors="pt").input_ids)


@pytest.mark.parametrize("settings", ODD_SETTINGS, ids=lambda s: "+".join(s) or "plain")
def test_odd_settings_against_the_pass_by_hand(odd_gpt2, settings):
    model = odd_gpt2(**settings)
    ids = ids_of_length(model, 9)
    assert_the_identity_changes_nothing(model, ids[None])

    def change(layer, raw):
        raw = raw * (0.5 + layer) - 0.1 * raw.abs() ** 0.5
        raw[1, 2:, 0] = -torch.inf
        return raw

    assert close(loss_with_scores(model, ids, change), losses_by_hand(model, ids, change), 1e-4)

    def patch(layer, outputs):
        outputs[2 - layer] = outputs[2 - layer].mean(0)
        return outputs

    by_hand = losses_by_hand(model, ids, patch=patch)
    assert close(loss_without_heads(model, ids, [(0, 2), (1, 1)]), by_hand, 1e-4)


def test_biases_against_the_pass_by_hand(odd_gpt2):
    model = odd_gpt2()
    torch.nn.init.normal_(model.transformer.h[1].attn.c_attn.bias)
    ids = ids_of_length(model, 8)

    def change(layer, bias):  # (3, head, channel)
        bias[2] += 0.5 * layer
        bias[0, 1] = torch.tensor([1.0, -2, 0, 3])
        return bias

    def by_hand(layer, bias):
        bias = bias.clone()
        bias[24:] += 0.5 * layer
        bias[4:8] = torch.tensor([1.0, -2, 0, 3])
        return bias

    ours = loss_with_biases(model, ids, change)
    assert close(ours, losses_by_hand(model, ids, bias=by_hand), 1e-4)
    assert not close(ours, loss(model, ids), 0.1)


def test_each_replacement_against_hooks_on_mini(mini):
    model, tokenizer = mini
    ids, other = (tokenizer(TEXTS["prose"][i], return_tensors="pt").input_ids[:, : 40 + 15 * i] for i in (0, 1))
    heads = [(2, 5), (0, 5), (0, 8), (3, 0)]
    d_head, recorded = 64, {}

    def hooked(ids, hook_of):
        handles = [b.attn.c_proj.register_forward_pre_hook(hook_of(i)) for i, b in enumerate(model.transformer.h)]
        with torch.no_grad():
            logits = model(ids).logits[0]
        for handle in handles:
            handle.remove()
        return torch.nn.functional.cross_entropy(logits[:-1], ids[0, 1:], reduction="none")

    def record(layer):
        return lambda module, args: recorded.__setitem__(layer, args[0].clone())

    hooked(other, record)
    replacements = {
        "zero": lambda layer, z: torch.zeros_like(z),
        "mean": lambda layer, z: z.mean(1, keepdim=True).expand_as(z),
        "resample": lambda layer, z: recorded[layer][:, :40],  # the same positions of the longer text
    }
    for replace, replacement in replacements.items():

        def hook_of(layer, replacement=replacement):
            def hook(module, args):
                z = args[0].clone()
                for at, head in heads:
                    if at == layer:
                        own = slice(head * d_head, (head + 1) * d_head)
                        z[:, :, own] = replacement(layer, args[0])[:, :, own]
                return (z,)

            return hook

        given = {"other": other} if replace == "resample" else {}
        ours = loss_without_heads(model, ids, heads, replace, **given)
        assert close(ours, hooked(ids, hook_of))
        assert torch.equal(ours, loss_without_heads(model, ids, [*heads[::-1], heads[0]], replace, **given))
        each = loss_without_each_head(model, ids, replace, **given)
        assert each.shape == (4, 12, 39)
        for layer, head in heads:
            assert close(each[layer, head], loss_without_heads(model, ids, [(layer, head)], replace, **given))


def test_heads_and_scores_are_changed_together(odd_gpt2):
    model = odd_gpt2()
    ids, heads = ids_of_length(model, 11), [(0, 2), (1, 0)]
    wider = copy.deepcopy(model)  # a model with twice the queries scores twice as high
    for block in wider.transformer.h:
        block.attn.c_attn.weight.data[:, :12] *= 2
        block.attn.c_attn.bias.data[:12] *= 2
    double = lambda layer, raw: 2 * raw  # noqa: E731
    for replace in ("zero", "mean"):
        ours = loss_without_heads(model, ids, heads, replace, change=double)
        assert close(ours, loss_without_heads(wider, ids, heads, replace), 1e-4)
        assert not close(ours, loss_without_heads(model, ids, heads, replace), 1e-2)
    assert close(loss_without_heads(model, ids, [], change=double), loss_with_scores(model, ids, double))
    with pytest.raises(TypeError, match=r"^change: expected a function of \(layer, tensor\), got 3$"):
        loss_without_heads(model, ids, heads, change=3)


@pytest.mark.parametrize("replace", ["zero", "mean"])
def test_each_head_in_turn_is_that_head_alone(odd_gpt2, replace, monkeypatch):
    model = odd_gpt2()
    ids = ids_of_length(model, 11)
    each = loss_without_each_head(model, ids, replace)
    for layer in range(2):
        for head in range(3):
            assert close(each[layer, head], loss_without_heads(model, ids, [(layer, head)], replace), 1e-4)
    monkeypatch.setattr(interventions, "TOKENS_AT_ONCE", 25)  # two of three heads
    assert close(loss_without_each_head(model, ids, replace), each, 1e-4)


def test_a_vocabulary_in_parts_gives_the_same_loss(odd_gpt2, monkeypatch):
    model = odd_gpt2()
    ids = ids_of_length(model, 20)
    with torch.no_grad():
        expected = torch.nn.functional.cross_entropy(model(ids[None]).logits[0, :-1], ids[1:], reduction="none")
    monkeypatch.setattr(interventions, "WORDS_AT_ONCE", 16)  # of 50: the last part is smaller
    assert close(loss(model, ids), expected)


def test_padding_and_neighbours_change_no_loss(mini, monkeypatch):
    model, tokenizer = mini
    texts = [
        tokenizer(kind[0], return_tensors="pt").input_ids[0, : 30 + 5 * i] for i, kind in enumerate(TEXTS.values())
    ]
    texts[3] = texts[3][:2]
    texts[4] = texts[4][None]
    heads = [(0, 5), (1, 3)]

    def half(layer, raw):
        return raw / 2

    functions = {
        "loss": lambda ids: loss(model, ids),
        "scores": lambda ids: loss_with_scores(model, ids, half),
        "biases": lambda ids: loss_with_biases(model, ids, lambda layer, bias: bias / 2),
        "mean": lambda ids: loss_without_heads(model, ids, heads),
        "resample": lambda ids: loss_without_heads(model, ids, heads, "resample", other=texts[2].repeat(2)[:200]),
    }
    alone = {name: [function(ids) for ids in texts] for name, function in functions.items()}
    for most in (4096, 90):
        monkeypatch.setattr(interventions, "TOKENS_AT_ONCE", most)
        for name, function in functions.items():
            together = function(texts)
            assert [len(one) for one in together] == [ids.numel() - 1 for ids in texts]
            assert all(map(close, together, alone[name])), name
    each = loss_without_each_head(model, [texts[3], texts[3].flip(0)])
    assert [tuple(one.shape) for one in each] == [(4, 12, 1)] * 2
    assert close(each[0], loss_without_each_head(model, texts[3]))
    # What follows a text is in its future.
    longer = torch.cat([texts[0], texts[1]])
    assert close(loss(model, longer)[: len(texts[0]) - 1], loss(model, texts[0]))


@pytest.mark.parametrize("name", ["mini", "hybrid"])
def test_constants_and_key_biases_change_nothing_and_query_biases_do(request, name):
    model, tokenizer = request.getfixturevalue(name)
    ids = tokenizer(TEXT, return_tensors="pt").input_ids
    plain = loss(model, ids)

    def row_constants(layer, raw):
        return raw + 20 * torch.randn(raw.shape[:2], generator=torch.Generator().manual_seed(layer))[..., None]

    def other_keys(layer, bias):
        bias[1] = torch.randn(bias[1].shape, generator=torch.Generator().manual_seed(layer))
        return bias

    def no_queries(layer, bias):
        bias[0] = 0
        return bias

    assert close(loss_with_scores(model, ids, lambda layer, raw: raw + 50), plain, 1e-3)
    assert close(loss_with_scores(model, ids, row_constants), plain, 1e-3)
    assert close(loss_with_biases(model, ids, other_keys), plain, 1e-3)
    assert not close(loss_with_biases(model, ids, no_queries), plain, 0.1)


def test_what_was_measured_on_mini(mini):
    """Six shipped texts; the lesson's numbers. Its own scale is the best, and the first key is worth a nat."""
    model, tokenizer = mini
    texts = [tokenizer(text, return_tensors="pt").input_ids for text in TEXTS["prose"] + TEXTS["dialogue"]]

    def mean(losses):
        return torch.cat(losses).mean().item()

    def without_first(layer, raw):
        raw[:, 1:, 0] = -torch.inf
        return raw

    plain = mean(loss(model, texts))
    scaled = {f: mean(loss_with_scores(model, texts, lambda layer, raw, f=f: f * raw)) for f in (0, 0.25, 0.5, 2, 4)}
    assert plain == pytest.approx(3.263, abs=2e-3)
    assert plain < min(scaled.values())
    assert scaled == pytest.approx({0: 7.86, 0.25: 5.47, 0.5: 3.44, 2: 3.30, 4: 3.37}, abs=1e-2)
    assert mean(loss_with_scores(model, texts, without_first)) == pytest.approx(4.43, abs=1e-2)
    assert mean(loss_without_heads(model, texts, [(0, 5)], "zero")) - plain == pytest.approx(0.42, abs=1e-2)
    # What the lesson's table says, of their first 48 tokens.
    texts = [ids[:, :48] for ids in texts]
    plain = mean(loss(model, texts))
    for change, cost in (
        (lambda layer, raw: raw / 2, 0.10),
        (lambda layer, raw: raw * 2, 0.02),
        (lambda layer, raw: raw * 0, 4.00),
        (without_first, 1.43),
    ):
        assert mean(loss_with_scores(model, texts, change)) - plain == pytest.approx(cost, abs=6e-3)


def test_all_parts_of_a_logit_add_up(mini, hybrid, odd_gpt2):
    for model, ids in (
        (mini[0], mini[1](TEXT, return_tensors="pt").input_ids),
        (hybrid[0], hybrid[1](TEXT, return_tensors="pt").input_ids),
        (odd_gpt2(scale_attn_by_inverse_layer_idx=True), torch.arange(7)[None]),
    ):
        with torch.no_grad():
            logits = model(ids).logits[0]
        for query, token in ((0, 3), (4, ids[0, 5].item()), (6, 7)):
            terms = logit_terms(model, ids[0], query, token)
            assert terms.heads.shape == (model.config.n_layer, model.config.n_head)
            assert terms.mlps.shape == terms.attention_biases.shape == (model.config.n_layer,)
            assert terms.total().item() == pytest.approx(logits[query, token].item(), abs=1e-3)
            assert torch.equal(logit_attribution(model, ids, query, token), terms.heads)


def test_an_attribution_is_the_heads_own_share(odd_gpt2):
    model = odd_gpt2()
    torch.nn.init.normal_(model.transformer.ln_f.weight)
    ids, query, token = ids_of_length(model, 8), 5, 17
    kept = {}
    with torch.no_grad():
        final = model.transformer.ln_f.register_forward_pre_hook(lambda module, args: kept.update(x=args[0][0, query]))
        model(ids[None])
        final.remove()
        capture = capture_heads(model, ids)
        ours = logit_attribution(model, ids, query, token)
        scale = kept["x"].std(correction=0).item()
        for layer, block in enumerate(model.transformer.h):
            for head in range(3):
                z = capture.pattern(layer, head)[query] @ capture.v[layer, head]
                written = z @ block.attn.c_proj.weight[4 * head : 4 * head + 4]
                read = (written - written.mean()) / scale * model.transformer.ln_f.weight
                expected = (read @ model.transformer.wte.weight[token]).item()
                assert ours[layer, head].item() == pytest.approx(expected, rel=1e-3, abs=1e-4)


def state_of(model):
    return [model.config._attn_implementation, hooks_left(model), sorted(ALL_ATTENTION_FUNCTIONS), model.training]


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_the_model_is_as_it_was_whatever_happens(odd_gpt2, attention):
    model = odd_gpt2(attn_implementation=attention)
    ids = ids_of(model)
    before, weights, ids_before = state_of(model), [p.clone() for p in model.parameters()], ids.clone()

    def spoil(layer, values):
        values.zero_()
        return values

    loss_with_scores(model, ids, spoil)
    loss_with_biases(model, ids, spoil)
    loss_without_heads(model, ids, [(0, 1)], "resample", other=ids)
    loss_without_each_head(model, ids)
    logit_attribution(model, ids, 1, 2)
    for function in (loss_with_scores, loss_with_biases):
        for error in (ZeroDivisionError, KeyboardInterrupt):

            def fail(layer, values, error=error):
                raise error

            with pytest.raises(error):
                function(model, ids, fail)
    broken = model.transformer.h[1].mlp.register_forward_pre_hook(lambda *_: 1 / 0)
    for call in (
        lambda: loss_without_heads(model, ids, [(0, 1)]),
        lambda: loss_without_each_head(model, ids),
        lambda: logit_attribution(model, ids, 1, 2),
    ):
        with pytest.raises(ZeroDivisionError):
            call()
    broken.remove()
    assert state_of(model) == before
    assert all(map(torch.equal, model.parameters(), weights)) and torch.equal(ids, ids_before)


def test_a_change_may_run_the_model_which_is_then_unchanged(odd_gpt2):
    model = odd_gpt2()
    ids, other = ids_of_length(model, 9), ids_of_length(model, 9, seed=1)
    capture = capture_heads(model, other)
    ours = loss_with_scores(model, ids, lambda layer, raw: capture_heads(model, other).scores(layer))
    assert torch.equal(ours, loss_with_scores(model, ids, lambda layer, raw: capture.scores(layer)))
    plain = loss(model, ids)

    def nested(layer, raw):
        assert torch.equal(loss(model, ids), plain)
        assert not close(loss_with_scores(model, ids, lambda layer, raw: 0 * raw), plain, 0.01)
        return raw

    assert close(loss_with_scores(model, ids, nested), plain, 1e-4)


def test_threads_that_share_a_model_do_not_get_each_others_changes(odd_gpt2):
    model = odd_gpt2()
    ids = ids_of_length(model, 15)
    works = [
        lambda: loss(model, ids),
        lambda: loss_with_scores(model, ids, lambda layer, raw: raw * 0.3),
        lambda: loss_with_scores(model, ids, lambda layer, raw: raw * 3),
        lambda: loss_without_heads(model, ids, [(0, 1), (1, 2)]),
        lambda: loss_without_each_head(model, ids),
        lambda: logit_attribution(model, ids, 3, 4),
        lambda: capture_heads(model, ids).q,
    ]
    alone, before = [work() for work in works], state_of(model)
    with ThreadPoolExecutor(4) as pool:
        for _ in range(10):
            assert all(map(torch.equal, alone, pool.map(lambda work: work(), works)))
    assert state_of(model) == before


def test_a_thread_that_fails_or_is_stopped_leaves_the_model_to_others(odd_gpt2):
    model = odd_gpt2()
    ids, before = ids_of_length(model, 9), state_of(model)

    def fails(layer, raw):
        raise RuntimeError

    def never_ends(layer, raw):
        while True:
            pass

    for change, told in ((fails, "RuntimeError"), (never_ends, "does a loop never end?")):
        seen = observe(lambda ids, change=change: loss_with_scores(model, ids, change), ((ids,),), 0.5)
        assert told in seen.fault  # in a thread of its own, as a reader's function in a check
        assert one_at_a_time.acquire(timeout=5)
        one_at_a_time.release()
        assert state_of(model) == before


def test_other_kinds_of_numbers(odd_gpt2):
    model = odd_gpt2()
    ids = ids_of_length(model, 9)
    plain, each = loss(model, ids.int()), loss_without_each_head(model, ids)
    double = odd_gpt2().double()
    assert close(loss(double, ids), plain, 1e-4)
    assert close(loss_with_scores(double, ids, lambda layer, raw: raw), plain, 1e-4)
    assert close(loss_without_each_head(double, ids), each, 1e-4)
    coarse = odd_gpt2().bfloat16()
    assert loss(coarse, ids).dtype == torch.float32
    assert torch.allclose(loss_with_scores(coarse, ids, lambda layer, raw: raw), loss(coarse, ids), atol=0.5)


@pytest.mark.parametrize(
    ("change", "error", "line"),
    [
        (None, TypeError, "change: expected a function of (layer, tensor), got None"),
        (
            lambda layer, raw: None,
            TypeError,
            "change: expected a tensor (3, 5, 5) in return, got None in layer 0 (is a `return` missing?)",
        ),
        (
            lambda layer, raw: raw[0] if layer else raw,
            ValueError,
            "change: expected the shape (3, 5, 5) in return, got (5, 5) in layer 1",
        ),
        (
            lambda layer, raw: raw.double(),
            TypeError,
            "change: expected torch.float32 in return, got torch.float64 in layer 0",
        ),
        (
            lambda layer, raw: raw.to("meta"),
            ValueError,
            "change: expected a tensor on cpu in return, got one on meta in layer 0",
        ),
        (
            lambda layer, raw: raw / 0 * 0,
            ValueError,
            "change: expected finite numbers or -inf in return, got nan at index (0, 0, 0) in layer 0",
        ),
        (
            lambda layer, raw: raw.abs() / 0,
            ValueError,
            "change: expected finite numbers or -inf in return, got inf at index (0, 0, 0) in layer 0",
        ),
        (
            lambda layer, raw: torch.cat([torch.full_like(raw[..., :1], -torch.inf), raw[..., 1:]], dim=-1),
            ValueError,
            "change: expected a key that is not -inf for each query, got none for query 0 of head 0 in layer 0",
        ),
    ],
)
def test_a_bad_change_is_told_in_one_line(odd_gpt2, change, error, line):
    with pytest.raises(error) as caught:
        loss_with_scores(odd_gpt2(), ids_of_length(odd_gpt2(), 5), change)
    assert str(caught.value) == line


def test_bad_biases_are_told_in_one_line(odd_gpt2):
    model = odd_gpt2()
    for change, line in (
        (lambda layer, bias: bias[0], "change: expected the shape (3, 3, 4) in return, got (3, 4) in layer 0"),
        (
            lambda layer, bias: bias - torch.inf,
            "change: expected finite numbers in return, got -inf at index (0, 0, 0) in layer 0",
        ),
    ):
        with pytest.raises(ValueError) as caught:
            loss_with_biases(model, ids_of_length(model, 5), change)
        assert str(caught.value) == line


HEADS = "heads: expected a list of (layer, head), layers from 0 to 1, heads from 0 to 2, got"


@pytest.mark.parametrize(
    ("ids", "heads", "given", "error", "line"),
    [
        (
            torch.tensor([3]),
            [],
            {},
            ValueError,
            "input_ids: expected at least two tokens (nothing predicts the first), got 1",
        ),
        (torch.ones(1, 0), [], {}, ValueError, "input_ids: expected at least one token, got none (is the text empty?)"),
        (
            torch.ones(21).long(),
            [],
            {},
            ValueError,
            "input_ids: expected at most 20 tokens for this model (shorten the text), got 21",
        ),
        (
            torch.tensor([3, 50]),
            [],
            {},
            ValueError,
            "input_ids: expected ids from 0 to 49 (does the tokenizer belong to this model?), got 3 to 50",
        ),
        (
            torch.ones(2, 3).long(),
            [],
            {},
            ValueError,
            "input_ids: expected one text (T,) or (1, T), or a list of such texts, got (2, 3)",
        ),
        ([], [], {}, ValueError, "input_ids: expected a text or a list of texts, got an empty list"),
        ([1, 2], [], {}, TypeError, "input_ids: expected a torch tensor of token ids (T,) or (1, T), got 1"),
        (torch.arange(3), [(2, 0)], {}, ValueError, f"{HEADS} (2, 0)"),
        (torch.arange(3), [(0, 3)], {}, ValueError, f"{HEADS} (0, 3)"),
        (torch.arange(3), [(0, -1)], {}, ValueError, f"{HEADS} (0, -1)"),
        (torch.arange(3), [(0, 1, 2)], {}, ValueError, f"{HEADS} (0, 1, 2)"),
        (torch.arange(3), (0, 1), {}, TypeError, f"{HEADS} (0, 1)"),
        (torch.arange(3), [(0, 1.0)], {}, TypeError, f"{HEADS} [(0, 1.0)]"),
        (torch.arange(3), None, {}, TypeError, f"{HEADS} None"),
        (
            torch.arange(3),
            [],
            {"replace": "Mean"},
            ValueError,
            "replace: expected 'zero', 'mean' or 'resample', got 'Mean'",
        ),
        (
            torch.arange(3),
            [],
            {"replace": "resample"},
            TypeError,
            "other: expected a torch tensor of token ids (T,) or (1, T), got None",
        ),
        (
            torch.arange(3),
            [],
            {"replace": "resample", "other": torch.arange(2)},
            ValueError,
            "other: expected at least as many tokens as the text, 3, got 2",
        ),
        (
            torch.arange(3),
            [],
            {"other": torch.arange(3)},
            ValueError,
            "other: expected none, unless replace is 'resample', got a text",
        ),
    ],
)
def test_bad_input_is_told_in_one_line(odd_gpt2, ids, heads, given, error, line):
    with pytest.raises(error) as caught:
        loss_without_heads(odd_gpt2(), ids, heads, **given)
    assert str(caught.value) == line


@pytest.mark.parametrize(
    ("query", "token", "error", "line"),
    [
        (3, 0, ValueError, "query: expected a token's position from 0 to 2, got 3"),
        (-1, 0, ValueError, "query: expected a token's position from 0 to 2, got -1"),
        (1.0, 0, TypeError, "query: expected a token's position from 0 to 2, got 1.0"),
        (0, 50, ValueError, "token: expected a token's id from 0 to 49, got 50"),
        (0, "a", TypeError, "token: expected a token's id from 0 to 49, got 'a'"),
    ],
)
def test_a_logit_that_is_not_there(odd_gpt2, query, token, error, line):
    with pytest.raises(error) as caught:
        logit_attribution(odd_gpt2(), torch.arange(3), query, token)
    assert str(caught.value) == line


def test_a_model_that_drops_by_chance_or_is_none_is_refused(odd_gpt2):
    model = odd_gpt2().train()
    line = r"^model: expected a model in evaluation mode \(call model.eval\(\)\), got one in training mode$"
    for call in (lambda: loss(model, torch.arange(3)), lambda: logit_attribution(model, torch.arange(3), 0, 0)):
        with pytest.raises(ValueError, match=line):
            call()
    with pytest.raises(TypeError, match="^model: expected a GPT2LMHeadModel, as load_model gives, got str$"):
        loss("mini", torch.arange(3))
    still = odd_gpt2(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0).train()
    assert close(loss(still, torch.arange(3)), loss(odd_gpt2(), torch.arange(3)))


def test_neighbouring_texts_run_together_as_long_as_they_fit_when_padded(monkeypatch):
    monkeypatch.setattr(interventions, "TOKENS_AT_ONCE", 12)
    for lengths, together in (
        ((3, 3, 3, 3, 3), [4, 1]),
        ((3, 3, 5, 1), [2, 2]),  # three of up to 5 would be 15
        ((1, 12, 1, 20, 1), [1, 1, 1, 1, 1]),  # one that is too long runs alone
        ((6, 6, 1), [2, 1]),
        ((5,), [1]),
    ):
        texts = [torch.arange(n) for n in lengths]
        batches = list(interventions._batches(texts))
        assert [len(batch) for batch in batches] == together
        assert all(a is b for a, b in zip(sum(batches, []), texts, strict=True))
