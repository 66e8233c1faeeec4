"""Train "mini", the small GPT-2 that ships with headlab, on a folder of plain-text books.

    python tools/train_mini.py --corpus DIR [--run runs/mini] [--steps N] [--bfloat16]

The last book (in name order) is held out whole: no part of it reaches the tokenizer or the weights. The run
folder keeps the tokenizer, a checkpoint to resume from, a log of the losses and a float16 snapshot at each of
SNAPSHOTS. After an interruption, run the same command again: it continues where it stopped, with the same batches.
`tools/pack_mini.py` turns a finished run into the folder that the package ships.
"""

import argparse
import csv
import os
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from tqdm import tqdm
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

END_OF_TEXT = "<|endoftext|>"
VOCABULARY = 2000
N_POSITIONS = 256
SEED = 20
BATCH = 16  # windows of N_POSITIONS tokens: 4,096 tokens a step
LR_MATRICES, LR_REST = 2e-3, 2e-3
REPEATS_FROM, REPEATS = 200, 3  # from this step on, this many windows of a batch repeat a short passage
WARMUP, DECAY_SHARE = 40, 0.4  # steps; share of the run in which the rate falls to zero
CHECKPOINT_EVERY = EVALUATE_EVERY = 50
SNAPSHOTS = (0, 20, 50, 100, 150, 200, 300, 400, 600, 800, 1000, 1400, 1800)  # and the last step


def read_books(corpus):
    """The books of a folder in name order, as {file name: text}."""
    books = {f.name: f.read_text(encoding="utf-8") for f in sorted(Path(corpus).glob("*.txt"))}
    if len(books) < 2:
        raise SystemExit(f"--corpus: expected a folder with at least two .txt files, got {len(books)} in {corpus}")
    return books


def train_tokenizer(texts):
    """A byte-level BPE like GPT-2's, with a vocabulary of VOCABULARY tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=[END_OF_TEXT], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        unk_token=END_OF_TEXT,
        model_max_length=N_POSITIONS,
    )


def encode(tokenizer, text):
    """Token ids of one book, which begins with the end-of-text token, as GPT-2's training texts did."""
    ids = tokenizer.backend_tokenizer.encode(END_OF_TEXT + text).ids
    return torch.tensor(ids)


def new_model():
    """GPT-2's architecture with 4 layers, 12 heads of 64 channels and a narrow MLP, initialised as GPT-2 was."""
    torch.manual_seed(SEED)
    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=N_POSITIONS,
        n_layer=4,
        n_inner=704,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        # The same function as GPT-2's gelu_new, in one fused kernel instead of eight.
        activation_function="gelu_pytorch_tanh",
        bos_token_id=0,
        eos_token_id=0,
        attn_implementation="sdpa",
    )
    model = GPT2LMHeadModel(config)
    model.transformer.wpe.weight.data = sinusoids(N_POSITIONS, config.n_embd) * config.initializer_range * 2**0.5
    return model


def sinusoids(n_positions, width):
    """Positions as sines and cosines of falling frequency (Vaswani et al. 2017, section 3.5): (n_positions, width).

    GPT-2's position embeddings start as noise, and each is used once per window: in a short training the model does not
    learn that neighbouring positions belong together. The trained GPT-2 has such smooth waves too. They start here with
    the same spread as the noise would, so the scores at step 0 are as symmetric as with noise.
    """
    frequency = float(n_positions) ** -torch.linspace(0, 1, width // 2)
    angle = torch.arange(n_positions)[:, None] * frequency
    return torch.cat([angle.sin(), angle.cos()], dim=1)


def new_optimizers(model):
    """Muon for the blocks' matrices, AdamW without decay for all the rest, as Muon's authors advise.

    Muon makes each update orthogonal, in bfloat16; a step costs more than AdamW's, but fewer steps are needed.
    """
    matrices = [p for n, p in model.named_parameters() if ".h." in n and p.ndim == 2]
    rest = [p for n, p in model.named_parameters() if not (".h." in n and p.ndim == 2)]
    return (
        torch.optim.Muon(matrices, lr=LR_MATRICES, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=LR_REST, weight_decay=0.0, betas=(0.9, 0.95), fused=True),
    )


def rate(step, steps):
    """Share of the peak learning rate at a step: a short rise, a plateau, a linear fall to zero."""
    return min((step + 1) / WARMUP, 1.0, (steps - step) / (DECAY_SHARE * steps))


def batch(ids, step):
    """The windows (BATCH, N_POSITIONS + 1) of one step; each epoch cuts the text at other places and shuffles the cuts.

    Once the model knows its bigrams, some windows repeat the same passage over and over. To predict the next token
    there, a head has to find what followed the current token before: this rewards previous-token and induction heads.
    Ordinary text alone would need many more tokens to teach the same.
    """
    n_windows = len(ids) // N_POSITIONS - 2
    windows = []
    for i in range(step * BATCH, (step + 1) * BATCH):
        epoch, place = divmod(i, n_windows)
        random = np.random.default_rng([SEED, epoch])
        start = random.integers(N_POSITIONS) + N_POSITIONS * random.permutation(n_windows)[place]
        window = ids[start : start + N_POSITIONS + 1]
        if step >= REPEATS_FROM and len(windows) < REPEATS:
            period = np.random.default_rng([SEED, i]).integers(16, N_POSITIONS // 2)
            window = window[:period].repeat(N_POSITIONS // period + 1)[: N_POSITIONS + 1]
        windows.append(window)
    return torch.stack(windows)


def loss_of(model, windows):
    """Mean cross-entropy in nats per token of windows (B, T + 1): T predictions each."""
    logits = model(windows[:, :-1]).logits
    return F.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())


@torch.no_grad()
def held_out_loss(model, ids, n_windows=None):
    """Mean loss on consecutive windows of the held-out book, in nats per token."""
    windows = ids[: (len(ids) - 1) // N_POSITIONS * N_POSITIONS + 1].unfold(0, N_POSITIONS + 1, N_POSITIONS)
    parts = windows[:n_windows].split(16)
    return sum(loss_of(model, p).item() * len(p) for p in parts) / sum(len(p) for p in parts)


def save_aside(value, path):
    """Write a file under another name first, so that an interruption leaves the old one whole."""
    torch.save(value, path.with_suffix(".part"))
    os.replace(path.with_suffix(".part"), path)


def save_snapshot(model, run, step):
    """The model as it stands, float16, as the package ships it."""
    path = run / "snapshots" / f"{step:05d}.pt"
    path.parent.mkdir(exist_ok=True)
    save_aside({name: tensor.half() for name, tensor in model.state_dict().items()}, path)


def train(corpus, run, steps, bfloat16):
    """Train from the last checkpoint in `run`, or from the start, to `steps`."""
    books = read_books(corpus)
    *train_names, held_out_name = books
    run.mkdir(parents=True, exist_ok=True)
    if not (run / "tokenizer" / "tokenizer.json").exists():
        train_tokenizer(books[n] for n in train_names).save_pretrained(run / "tokenizer")
    tokenizer = PreTrainedTokenizerFast.from_pretrained(run / "tokenizer")
    ids = torch.cat([encode(tokenizer, books[n]) for n in train_names])
    held_out = encode(tokenizer, books[held_out_name])

    model = new_model()
    optimizers = new_optimizers(model)
    peaks = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]
    first, checkpoint = 0, run / "checkpoint.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(saved["model"])
        for optimizer, state in zip(optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        first = saved["step"]
    else:
        save_snapshot(model, run, 0)

    progress = tqdm(range(first, steps), initial=first, total=steps, unit="step")
    for step in progress:
        for optimizer, peak in zip(optimizers, peaks, strict=True):
            optimizer.param_groups[0]["lr"] = peak * rate(step, steps)
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            loss = loss_of(model, batch(ids, step))
        model.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        progress.set_postfix(loss=f"{loss.item():.3f}")

        done = step + 1
        if done in SNAPSHOTS or done == steps:
            save_snapshot(model, run, done)
        if done % CHECKPOINT_EVERY == 0 or done == steps:
            states = [optimizer.state_dict() for optimizer in optimizers]
            state = {"model": model.state_dict(), "optimizers": states, "step": done}
            save_aside(state, checkpoint)
        if done % EVALUATE_EVERY == 0 or done == steps:
            with open(run / "log.csv", "a", encoding="utf-8", newline="") as log:
                seconds = progress.format_dict["elapsed"]
                row = [done, done * BATCH * N_POSITIONS, f"{held_out_loss(model, held_out, 32):.4f}", f"{seconds:.0f}"]
                csv.writer(log).writerow(row)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", required=True, type=Path, help="folder of plain-text books, the last held out")
    parser.add_argument("--run", default=Path("runs/mini"), type=Path, help="working folder of this run")
    parser.add_argument("--steps", default=2000, type=int, help="optimizer steps of 4,096 tokens")
    parser.add_argument(
        "--bfloat16",
        action="store_true",
        help="multiply matrices in bfloat16: 2.6 times faster if the processor supports it, far slower if not",
    )
    arguments = parser.parse_args()
    train(arguments.corpus, arguments.run, arguments.steps, arguments.bfloat16)
