"""All single-head ablations of a text: headlab beside TransformerLens and beside the arithmetic, all in one run."""

import os
import statistics
import sys
import time
from functools import partial
from pathlib import Path

import torch
from measure import machine, token_ids, untrained
from peers import bridge_of, row
from torch.nn import functional as F

from headlab.interventions import loss_without_each_head

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from hybrid import make_hybrid

ROOT = Path(__file__).parents[1]
REFERENCE = Path(os.environ.get("HEADLAB_REFERENCE") or ROOT.parent / "shared" / "gpt2")
N_TOKENS = 128
N_LAYERS = N_HEADS = 12
ROUNDS = 3  # of a minute each


def loss_of_transformer_lens(bridge, ids, layer, head, replace):
    """Its loss of each token but the first while a hook replaces one head's output."""

    def hook(z, hook):  # (1, T, H, D)
        z[:, :, head] = 0 if replace == "zero" else z[:, :, head].mean(1, keepdim=True)
        return z

    with torch.no_grad():
        hooks = [(f"blocks.{layer}.attn.hook_z", hook)]
        return bridge.run_with_hooks(ids, return_type="loss", loss_per_token=True, fwd_hooks=hooks)[0]


def a_head_of_each_layer(bridge, ids):
    """12 of the 144 passes, all of which take as long."""
    for layer in range(N_LAYERS):
        loss_of_transformer_lens(bridge, ids, layer, layer, "mean")


def passes_above(model, ids):
    """For each layer the bare pass of one text from there to the loss: what one of its heads needs, with no hook."""
    body = model.transformer
    with torch.no_grad():
        for layer in range(N_LAYERS):
            states = torch.randn(1, ids.shape[1], model.config.n_embd)
            for block in body.h[layer:]:
                states = block(states)
            F.cross_entropy(model.lm_head(body.ln_f(states)[0, :-1]), ids[0, 1:])


def multiplications(n_tokens, width=768, n_words=50257):
    """For each token: of a whole pass, of the part that a head's removal needs, and of the unembedding.

    The part is the mean over layers: the MLP of the head's own layer, the layers above, and the unembedding, whose
    every row is new for every head, since each token's final state has changed.
    """
    mlp, unembedding = 8 * width**2, n_words * width
    layer = 12 * width**2 + 2 * n_tokens * width  # with queries, keys, values, W_o, scores and weighted values
    return N_LAYERS * layer + unembedding, mlp + (N_LAYERS - 1) / 2 * layer + unembedding, unembedding


def multiply(states, words, times=20):
    """One large product (token, d_model) x (d_model, word), with nothing around it: as fast as this machine gets."""
    for _ in range(times):
        torch.mm(states, words)
    return times * states.numel() * words.shape[1]  # multiplications


def check_that_the_losses_are_the_same(n_tokens=16):
    """A peer that computes something else would be no peer: every head, zero and mean, on GPT-2's own attention."""
    model = make_hybrid(REFERENCE)
    bridge, ids = bridge_of(model), token_ids(n_tokens)
    worst = 0
    for replace in ("zero", "mean"):
        ours = loss_without_each_head(model, ids, replace)
        for layer in range(N_LAYERS):
            for head in range(N_HEADS):
                theirs = loss_of_transformer_lens(bridge, ids, layer, head, replace)
                torch.testing.assert_close(ours[layer, head], theirs, rtol=1e-5, atol=1e-4)
                worst = max(worst, (ours[layer, head] - theirs).abs().max().item())
    print(f"\nAll 288 losses (zero and mean) on the hybrid equal TransformerLens' to {worst:.1g} nats.")


def processor_seconds(work):
    """What one call takes of one core: a machine that does other things as well changes little of it."""
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(
        f"GPT-2 small's shape, untrained, {N_TOKENS} tokens, one thread. Seconds of the processor, medians of {ROUNDS} "
        "rounds that measure all of them\nin turn; ratios are headlab's / the peer's."
    )
    print(machine("headlab", "torch", "transformers", "transformer-lens"))
    check_that_the_losses_are_the_same()
    print("\n| work | peer | headlab | peer | ratio | reach | |\n|---|---|---|---|---|---|---|", flush=True)
    model, ids = untrained(), token_ids(N_TOKENS)
    product = partial(multiply, torch.randn(512, 768), torch.randn(768, 2048))
    works = (
        partial(loss_without_each_head, model, ids),
        partial(a_head_of_each_layer, bridge_of(model), ids),
        partial(passes_above, model, ids),
        product,
    )
    rounds = [[processor_seconds(work) for work in works] for _ in range(ROUNDS)]
    for place, peer, reach in (
        (1, "TransformerLens run_with_hooks, 144 passes (12 measured)", 0.5),
        (2, "the passes above each head (12 measured)", 1.3),
    ):
        mine, others = (statistics.median(one[i] for one in rounds) for i in (0, place))
        ratio = statistics.median(one[0] / one[place] for one in rounds) / N_HEADS
        row("loss without each of 144 heads", peer, mine, N_HEADS * others, ratio, reach)
    whole, needed, unembedding = multiplications(N_TOKENS)
    per_second = product() / statistics.median(one[3] for one in rounds)
    least = N_LAYERS * N_HEADS * N_TOKENS * needed / per_second
    peers = N_HEADS * statistics.median(one[1] for one in rounds)
    print(
        f"\nOn average a head's removal needs {needed / whole:.1%} of the multiplications of a whole pass, "
        f"{unembedding / needed:.1%} of them for the unembedding, which\nevery head needs afresh, because its removal "
        "changes each token's final state. At the speed of a large product on this\nmachine, "
        f"{2 * per_second / 1e9:.0f} GFLOP/s, those of all 144 heads take {least:.1f} s: "
        f"{least / peers:.2f} of TransformerLens' time, before anything else is\ncomputed."
    )
