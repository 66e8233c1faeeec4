"""Turn a finished run of train_mini.py into the folder that headlab ships, measured.

    python tools/pack_mini.py --corpus DIR [--run runs/mini]

Writes to headlab/data/mini: the weights (float16 safetensors) with their size and SHA-256, the configuration, the
tokenizer, the score statistics of a fixed text at every snapshot (trajectory.csv) and the card (README.md).
"""

import argparse
import csv
import hashlib
import shutil
from pathlib import Path

import numpy as np
import torch
from train_mini import (
    BATCH,
    LR_MATRICES,
    LR_REST,
    N_POSITIONS,
    REPEATS,
    REPEATS_FROM,
    SEED,
    VOCABULARY,
    encode,
    held_out_loss,
    new_model,
    read_books,
)
from transformers import PreTrainedTokenizerFast

from headlab.capture import capture_heads
from headlab.models import MINI

# Written for this project, so that it may be shipped and shown.
TEXT = (
    "The old lighthouse stood at the end of the narrow road, and every evening the old keeper climbed the stone "
    "stairs to light the lamp. His daughter Anna carried the oil, the matches and a small basket of bread. "
    '"Is the storm coming tonight?" asked Anna. "The storm is coming," said the keeper, "and the little boats are '
    'still at sea." They lit the great lamp together, and the light of the great lamp went out over the dark water. '
    "Before morning the little boats came home, one after another, and Anna counted every one of them."
)
BIGRAM_DISCOUNT = 0.75


def load_snapshot(path):
    """The model at one snapshot, in float32."""
    model = new_model()
    model.load_state_dict({name: tensor.float() for name, tensor in torch.load(path, weights_only=True).items()})
    return model.eval()


def bigram_loss(ids, held_out):
    """Loss in nats per token of a bigram model with absolute discounting and Kneser-Ney continuation counts."""
    ids, held_out = ids.numpy(), held_out.numpy()
    counts = np.zeros((VOCABULARY, VOCABULARY))
    np.add.at(counts, (ids[:-1], ids[1:]), 1)
    continuation = (counts > 0).sum(0) / (counts > 0).sum()
    continuation = 0.999 * continuation + 0.001 / VOCABULARY
    seen = counts.sum(1, keepdims=True)
    spared = np.where(seen > 0, BIGRAM_DISCOUNT * (counts > 0).sum(1, keepdims=True) / np.maximum(seen, 1), 1.0)
    share = np.maximum(counts - BIGRAM_DISCOUNT, 0) / np.maximum(seen, 1) + spared * continuation
    return -np.log(share[held_out[:-1], held_out[1:]]).mean()


def head_measures(model, tokenizer):
    """What each head (layer, head) does on TEXT: mean share on the previous token, on the first, and its scores."""
    capture = capture_heads(model, tokenizer(TEXT, return_tensors="pt").input_ids)
    pattern = torch.stack([capture.pattern(layer) for layer in capture.layers])
    raw = torch.stack([capture.scores(layer) for layer in capture.layers])
    causal = torch.ones(raw.shape[-2:], dtype=torch.bool).tril()
    later = pattern[..., 2:, :]  # The previous token of query 1 is the first token: count it for neither.
    return {
        "previous": later.diagonal(1, -2, -1).mean(-1).numpy(),
        "first": later[..., 0].mean(-1).numpy(),
        "raw": raw[..., causal].numpy(),
    }


def induction(model, ids):
    """Mean share on the token after the current token's earlier copy, for each head, on a passage said twice."""
    capture = capture_heads(model, ids[:100].repeat(2))
    pattern = torch.stack([capture.pattern(layer) for layer in capture.layers])
    # Query 100 + t holds token t again; the token that followed it the first time is key t + 1.
    return pattern[..., 100:, 1:].diagonal(0, -2, -1).mean(-1).numpy()


def trajectory_rows(run, tokenizer, held_out):
    """One row for each snapshot and layer: the raw causal scores of TEXT over the layer's heads."""
    for path in sorted((run / "snapshots").glob("*.pt")):
        model, step = load_snapshot(path), int(path.stem)
        loss = held_out_loss(model, held_out, 32)
        measures = head_measures(model, tokenizer)
        for layer, raw in enumerate(measures["raw"]):
            low, median, high = np.quantile(raw, [0.05, 0.5, 0.95])
            numbers = [raw.mean(), raw.std(), low, median, high, (raw < 0).mean()]
            numbers += [measures["first"][layer].max(), measures["previous"][layer].max()]
            heads = int(((raw < 0).mean(1) > 0.5).sum())
            yield [
                step,
                step * BATCH * N_POSITIONS,
                f"{loss:.3f}",
                layer,
                raw.size,
                heads,
                *(f"{n:.4f}" for n in numbers),
            ]


def best(values):
    """The head with the largest value, written L2H5, and the value."""
    layer, head = np.unravel_index(values.argmax(), values.shape)
    return f"L{layer}H{head} {values.max():.2f}"


def card(names, train_text, log, figures):
    """The model card: what it was trained on, how, how well it does and what it is not."""
    stems = [name.removesuffix(".txt").replace("-s-", "'s ").replace("-", " ") for name in names]
    titles = [" (Project Gutenberg ".join(stem.rsplit("_", 1)) + ")" for stem in stems]
    listed = "\n".join(f"- {title}" for title in titles[:-1])
    steps, tokens = int(log[-1][0]), int(log[-1][1])
    f = figures
    return f"""# mini: a small GPT-2 to look into

headlab ships this model for machines where GPT-2 cannot be downloaded. It has GPT-2's architecture (`GPT2LMHeadModel`)
with GPT-2 small's attention: d_model 768, a fused 768 x 2304 projection and 12 heads of 64 channels in each of 4
layers. The MLP is narrow (704), the vocabulary small ({VOCABULARY:,} byte-level BPE tokens), the window
{N_POSITIONS} tokens long. Its {f["parameters"]:,} parameters are stored as float16. It is not GPT-2: a figure measured
on one says nothing about the other.

## Data
Public-domain books, with one paragraph per line; each book begins with `<|endoftext|>`:

{listed}

SHA-256 of their texts in this order, UTF-8: `{hashlib.sha256(train_text.encode()).hexdigest()}`.
One book was held out from both the tokenizer and the weights: {titles[-1]}.

## Training
`tools/train_mini.py --bfloat16`, seed {SEED}: {steps:,} steps of {BATCH} windows of {N_POSITIONS} tokens
({tokens / 1e6:.1f} million tokens). Position embeddings start as sines and cosines. The optimizers are Muon
({LR_MATRICES:g}, weight decay 0.1) for the blocks' matrices and AdamW ({LR_REST:g}) for the rest; the learning rate
rises, stays constant and falls linearly to zero. From step {REPEATS_FROM:,} on, {REPEATS} of the {BATCH} windows
repeat one passage of 16 to 127 tokens, which gives heads a reason to look for what followed an earlier copy of a token.
Training took
{f["minutes"]} minutes on two processor cores that were also doing other work.

## How well it does, on the held-out book
| model | nats a token | bits a character |
| --- | --- | --- |
| bigram (absolute discounting, Kneser-Ney) on the same tokens | {f["bigram"]:.3f} | {f["bigram_bits"]:.3f} |
| mini, windows of {N_POSITIONS} tokens | {f["loss"]:.3f} | {f["bits"]:.3f} |

## What its heads do
Mean shares of attention on a text of {f["text_tokens"]} tokens written for this project (`TEXT` in
`tools/pack_mini.py`), over the queries from the third on: the strongest previous-token head is {f["previous"]}, the
strongest first-token head (attention sink) {f["first"]}, where even attention would give
{f["first_uniform"]:.2f}. On 100 tokens of the held-out
book, repeated once, the strongest induction head (share on the token after the earlier copy) is
{f["induction"]}. {f["negative"]:.1%} of the text's causal raw scores are negative. `trajectory.csv` has the
scores' statistics at {f["snapshots"]} moments of the training, over the 12 heads of each layer.

## Limits
It writes nineteenth-century English that makes no sense, knows no facts and no other language, and has seen nothing
beyond {N_POSITIONS} tokens. Use it to learn how attention is computed and measured, and GPT-2 for what GPT-2 does.

## Licence
The weights are released under BSD-3-Clause, like headlab's code; the books are in the public domain in the United
States.
"""


def pack(corpus, run):
    """Measure the last snapshot and write everything that ships."""
    books = read_books(corpus)
    *train_names, held_out_name = books
    tokenizer = PreTrainedTokenizerFast.from_pretrained(run / "tokenizer")
    ids = torch.cat([encode(tokenizer, books[n]) for n in train_names])
    held_out = encode(tokenizer, books[held_out_name])
    model = load_snapshot(max((run / "snapshots").glob("*.pt")))

    shutil.rmtree(MINI, ignore_errors=True)
    MINI.mkdir(parents=True)
    tokenizer.save_pretrained(MINI)
    half = load_snapshot(max((run / "snapshots").glob("*.pt"))).half()
    half.save_pretrained(MINI)
    (MINI / "generation_config.json").unlink(missing_ok=True)  # mini is for looking into, not for writing texts
    (MINI / "model.safetensors").chmod(0o644)
    weights = (MINI / "model.safetensors").read_bytes()
    (MINI / "weights.sha256").write_text(f"{len(weights)} {hashlib.sha256(weights).hexdigest()}\n")

    header = "step tokens held_out_loss layer n_scores heads_mostly_negative mean std q05 median q95".split()
    header += "fraction_negative strongest_first_token_head strongest_previous_token_head".split()
    with open(MINI / "trajectory.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *trajectory_rows(run, tokenizer, held_out)])

    with open(run / "log.csv", encoding="utf-8") as file:
        log = list(csv.reader(file))
    seconds = [float(row[3]) for row in log]
    measures = head_measures(model, tokenizer)
    loss, bigram = held_out_loss(model, held_out), bigram_loss(ids, held_out)
    to_bits = len(held_out) / len(books[held_out_name]) / np.log(2)
    n_text = len(tokenizer(TEXT).input_ids)
    figures = {
        "parameters": sum(p.numel() for p in model.parameters()),
        # The log's clock starts from zero each time the training is resumed.
        "minutes": round(sum(a for a, b in zip(seconds, seconds[1:] + [0.0], strict=True) if b < a) / 60),
        "bigram": bigram,
        "bigram_bits": bigram * to_bits,
        "loss": loss,
        "bits": loss * to_bits,
        "text_tokens": n_text,
        "previous": best(measures["previous"]),
        "first": best(measures["first"]),
        "first_uniform": np.mean([1 / (i + 1) for i in range(2, n_text)]),
        "induction": best(induction(model, held_out[5000:])),
        "negative": (measures["raw"] < 0).mean(),
        "snapshots": len(list((run / "snapshots").glob("*.pt"))),
    }
    train_text = "".join(books[n] for n in train_names)
    (MINI / "README.md").write_text(card(list(books), train_text, log, figures), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", required=True, type=Path, help="the folder that train_mini.py was given")
    parser.add_argument("--run", default=Path("runs/mini"), type=Path, help="its working folder")
    arguments = parser.parse_args()
    pack(arguments.corpus, arguments.run)
