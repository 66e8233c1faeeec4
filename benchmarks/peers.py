"""headlab beside its peers, all in one run: a table of times, memory and ratios, each with what it should reach."""

import tempfile
from functools import partial

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import seaborn
import torch
from KDEpy import FFTKDE
from measure import MIB, extra_memory, in_fresh_process, machine, paired, token_ids, untrained
from scipy.stats import gaussian_kde

from headlab.capture import capture_heads, count_scores
from headlab.density import choose_bandwidth, fast_kde, kde
from headlab.masking import causal_mask
from headlab.models import load_model

matplotlib.use("Agg")
N_TOKENS = 1024
ids = token_ids(N_TOKENS)


def all_scores(model):
    """Raw scores of all heads, one layer after the other, as a lesson reads them."""
    capture = capture_heads(model, ids)
    for layer in capture.layers:
        capture.scores(layer)


def one_head(model, layer):
    """Raw scores of one head, for which the model runs as far as its layer."""
    return capture_heads(model, ids, layers=[layer]).scores(layer, 0)


def bridge_of(model):
    """The same weights in TransformerLens, whose only way in without a network is a folder."""
    from transformer_lens import TransformerBridge

    _, tokenizer = load_model("random")
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return TransformerBridge.boot_transformers(folder).eval()


def all_scores_of_transformer_lens(bridge):
    """Its (scaled) scores of all heads, and nothing else, in its cache."""
    with torch.no_grad():
        _, cache = bridge.run_with_cache(ids, names_filter=lambda name: name.endswith("hook_attn_scores"))
    return cache


def forward(model, **settings):
    """The model's own forward pass."""
    with torch.no_grad():
        return model(ids, use_cache=False, **settings)


def memory_of_headlab():
    """Bytes beside the model."""
    model = untrained()
    return extra_memory(lambda: all_scores(model))


def memory_of_counting():
    """Bytes beside the model, streaming into histograms."""
    model = untrained()
    return extra_memory(lambda: count_scores(model, ids))


def memory_of_transformer_lens():
    """Bytes beside the model."""
    bridge = bridge_of(untrained())
    return extra_memory(lambda: all_scores_of_transformer_lens(bridge))


def row(work, peer, ours, theirs, ratio, reach, unit="s"):
    """Print one line of the table."""
    verdict = "reached" if ratio <= reach else "MISSED"
    print(
        f"| {work} | {peer} | {ours:.3g} {unit} | {theirs:.3g} {unit} | {ratio:.3g} | {reach:.3g} | {verdict} |",
        flush=True,
    )


def capture_rows():
    """The scores of all 144 heads, and of a few."""
    model, eager = untrained(), untrained(attention="eager")
    bridge = bridge_of(model)
    check_that_the_scores_are_the_same(model, bridge)
    work = f"raw scores of 144 heads, {N_TOKENS:,} tokens"
    ours, counting = partial(all_scores, model), partial(count_scores, model, ids)
    row(work, "TransformerLens run_with_cache", *paired(ours, partial(all_scores_of_transformer_lens, bridge)), 0.5)
    theirs = in_fresh_process(memory_of_transformer_lens) / MIB
    for what, function in (("memory", memory_of_headlab), ("memory, counted", memory_of_counting)):
        grown = in_fresh_process(function) / MIB
        row(f"{work}: {what}", "TransformerLens run_with_cache", grown, theirs, grown / theirs, 0.25, "MiB")
    row(f"{work}: counted", "the bare forward pass, sdpa", *paired(counting, partial(forward, model)), 1.5)
    attentions = partial(forward, eager, output_attentions=True)
    row(work, "transformers, eager attentions", *paired(ours, attentions), 0.75)
    for layer in (2, 5, 8):
        row(
            f"scores of L{layer}H0 alone",
            "headlab, all heads",
            *paired(partial(one_head, model, layer), ours),
            (layer + 1) / 12,
        )


def check_that_the_scores_are_the_same(model, bridge):
    """A peer that computes something else would be no peer."""
    capture, cache = capture_heads(model, ids), all_scores_of_transformer_lens(bridge)
    visible = causal_mask(N_TOKENS)
    for layer in capture.layers:
        theirs = 8 * cache[f"blocks.{layer}.attn.hook_attn_scores"][0]
        torch.testing.assert_close(capture.scores(layer)[:, visible], theirs[:, visible], rtol=1e-4, atol=1e-3)


def density_rows():
    """Densities of the scores of layer 6."""
    scores = capture_heads(untrained(), ids, layers=[6]).scores(6)[:, causal_mask(N_TOKENS)].double().numpy()
    every, heads = scores.ravel(), np.ascontiguousarray(scores[:2, :200_000])
    width = choose_bandwidth(every)
    grid, ours = fast_kde(every, bandwidth=width)

    def kdepy():
        return FFTKDE(bw=width).fit(every).evaluate(grid)

    work = f"density of {every.size:,} scores"
    row(work, "KDEpy FFTKDE", *paired(partial(fast_kde, every, bandwidth=width), kdepy, 15), 1)
    exact = kde(every, grid[::8], width)
    errors = [np.abs(found[::8] - exact).max() / exact.max() for found in (ours, kdepy())]
    row(f"{work}: largest error / peak", "KDEpy FFTKDE", *errors, errors[0], 1e-3, "")

    grid, ours = fast_kde(heads[0])
    exact = gaussian_kde(heads[0])(grid)
    work = f"density of {heads[0].size:,} scores"
    row(work, "scipy gaussian_kde", *paired(partial(fast_kde, heads[0]), lambda: gaussian_kde(heads[0])(grid)), 1 / 300)
    error = np.abs(ours - exact).max() / exact.max()
    row(f"{work}: largest error / peak", "scipy gaussian_kde", error, 0, error, 1e-3, "")

    axes = plt.figure().gca()

    def drawn():
        for head in heads:
            axes.plot(*fast_kde(head))

    def kdeplot():
        for head in heads:
            seaborn.kdeplot(head, ax=axes)

    row(f"{work}, drawn, 2 of 144 heads", "seaborn kdeplot", *paired(drawn, kdeplot, 3), 1 / 100)


if __name__ == "__main__":
    print("GPT-2 small's shape, untrained. Medians of paired runs; ratios are headlab's over the peer's.")
    print(machine("headlab", "torch", "transformers", "transformer-lens", "numpy", "scipy", "KDEpy", "seaborn"))
    print("\n| work | peer | headlab | peer | ratio | reach | |\n|---|---|---|---|---|---|---|")
    capture_rows()
    density_rows()
