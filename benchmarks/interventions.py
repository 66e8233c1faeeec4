"""All single-head ablations of a text: headlab beside TransformerLens and beside the arithmetic, all in one run."""

import os
import sys
from functools import partial
from pathlib import Path

import torch
from measure import machine, paired, token_ids, untrained
from peers import bridge_of, row
from torch.nn import functional as F

from headlab.interventions import loss_without_each_head

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests"))
from hybrid import make_hybrid

REFERENCE = Path(os.environ.get("HEADLAB_REFERENCE") or ROOT.parent / "shared" / "gpt2")
N_TOKENS = 128
N_LAYERS = N_HEADS = 12


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


def arithmetic(n_tokens, width=768, n_words=50257):
    """Multiplications that a head's removal needs, as a share of a whole pass; and the unembedding's part of them.

    The mean over layers: the MLP of the head's own layer, the layers above, and the unembedding, whose every row is
    new for every head, since each token's final state has changed.
    """
    mlp, unembedding = 8 * width**2, n_words * width
    layer = 12 * width**2 + 2 * n_tokens * width  # with queries, keys, values, W_o, scores and weighted values
    needed = mlp + (N_LAYERS - 1) / 2 * layer + unembedding
    return needed / (N_LAYERS * layer + unembedding), unembedding / needed


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


if __name__ == "__main__":
    print(
        f"GPT-2 small's shape, untrained, {N_TOKENS} tokens. Medians of paired runs; ratios are headlab's / the peer's."
    )
    print(machine("headlab", "torch", "transformers", "transformer-lens"))
    check_that_the_losses_are_the_same()
    print("\n| work | peer | headlab | peer | ratio | reach | |\n|---|---|---|---|---|---|---|")
    model, ids = untrained(), token_ids(N_TOKENS)
    ours, bridge = partial(loss_without_each_head, model, ids), bridge_of(model)
    for peer, theirs, reach in (
        ("TransformerLens run_with_hooks, 144 passes (12 measured)", partial(a_head_of_each_layer, bridge, ids), 0.5),
        ("the passes above each head (12 measured)", partial(passes_above, model, ids), 1.3),
    ):
        mine, others, ratio = paired(ours, theirs, rounds=3)
        row("loss without each of 144 heads", peer, mine, N_HEADS * others, ratio / N_HEADS, reach)
    share, unembedding = arithmetic(N_TOKENS)
    print(
        f"\nA head's removal needs {share:.1%} of the multiplications of a whole pass, {unembedding:.1%} of them for "
        "the unembedding: what the layers below the head save\nis less than half of a pass. So no exact method takes "
        "half of the time of a peer whose passes do nothing in vain; the second row is what there is to win."
    )
