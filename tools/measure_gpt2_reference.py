"""Measure recorded GPT-2 small and write the figures that headlab ships for readers who cannot load GPT-2.

    python tools/measure_gpt2_reference.py --reference DIR

DIR holds recordings of GPT-2 small: the raw scores of five prompts (prompts.safetensors), the layer inputs of a sixth
(john_smith.safetensors) and the attention weights. Writes headlab/data/gpt2_reference.npz; `gpt2_reference` in
headlab/shift.py loads it and says what each array is.
"""

import argparse
import json
import os
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from headlab.contrast import ScoreTerms, decompose_scores, row_contrast
from headlab.masking import causal_mask
from headlab.profiles import Profile, QueryProfile, head_profile, query_profile, share_above
from headlab.scores import attention_pattern
from headlab.shift import (
    REFERENCE,
    causal_scores,
    count_negative,
    describe_scores,
    shift_stats,
)

D_HEAD, N_HEADS, N_LAYERS = 64, 12, 12
QUANTILE_LEVELS = [0.05, 0.25, 0.5, 0.75, 0.95]
SHARE_LEVELS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.8, 0.9]


def read(folder):
    """The six texts, the tokens of the sixth, raw scores (layer, head, query, key) of five and terms of the sixth."""
    prompts = load_file(folder / "prompts.safetensors")
    with safe_open(folder / "prompts.safetensors", "pt") as file:
        texts = [prompt["text"] for prompt in json.loads(file.metadata()["prompts"])]
    with safe_open(folder / "john_smith.safetensors", "pt") as file:
        texts.append(file.metadata()["text"])
        tokens = json.loads(file.metadata()["tokens"])
        inputs = file.get_tensor("ln_1").double()
    weights = load_file(folder / "attention_weights.safetensors")
    layers = []
    for layer in range(N_LAYERS):
        weight, bias = (weights[f"h.{layer}.attn.c_attn.{name}"].double() for name in ("weight", "bias"))
        layers.append(decompose_scores(inputs[layer], weight, bias, N_HEADS))
    raw = [prompts[f"attn_scores.{i}"].double() for i in range(len(texts) - 1)]
    return texts, tokens, raw, ScoreTerms(*(torch.stack(parts) for parts in zip(*layers, strict=True)))


def measure_scores(raw, drop_first_key, suffix):
    """Counts and moments of several prompts' causal scores together."""
    counts = [count_negative(r, drop_first_key) for r in raw]
    measured = {
        **describe_scores(pooled(raw, drop_first_key))._asdict(),
        "n_negative": np.concatenate([negative for negative, _ in counts], -1),
        "n_scores": np.concatenate([scores for _, scores in counts]),
    }
    return {name + suffix: value for name, value in measured.items()}


def measure_distribution(raw):
    """Quantiles and the histogram in unit bins of several prompts' causal scores together."""
    scores = pooled(raw)
    edges = np.arange(np.floor(scores.min()), np.floor(scores.max()) + 2)
    return {
        "quantile_levels": np.array(QUANTILE_LEVELS),
        "quantiles": np.moveaxis(np.quantile(scores, QUANTILE_LEVELS, axis=-1), 0, -1),
        "edges": edges.astype(int),
        "histogram": np.apply_along_axis(lambda row: np.histogram(row, edges)[0], -1, scores),
    }


def pooled(raw, drop_first_key=False):
    """The causal scores (layer, head, score) of several prompts, one after the other."""
    return np.concatenate([causal_scores(r, drop_first_key) for r in raw], -1)


def measure_patterns(raw):
    """What the queries of several prompts do, and how much their rows' keys differ: means over the queries."""
    patterns = [attention_pattern(r, D_HEAD) for r in raw]
    queries = [np.concatenate(parts, -1) for parts in zip(*map(query_profile, patterns), strict=True)]
    means = {name: values.mean(-1) for name, values in zip(QueryProfile._fields, queries, strict=True)}
    n_queries = [r.shape[-1] - 2 for r in raw]
    contrasts = [row_contrast(r) for r in raw]
    for name in ("spread", "gap"):
        means[name] = np.average([getattr(c, name) for c in contrasts], axis=0, weights=n_queries)
    means["share_levels"] = np.array(SHARE_LEVELS)
    for suffix, drop in (("", False), ("_no_first_key", True)):
        shares = [share_above(pattern, SHARE_LEVELS, drop) for pattern in patterns]
        n_pairs = [sum(range(3 - drop, r.shape[-1] + 1 - drop)) for r in raw]
        means["share_above" + suffix] = np.average(shares, axis=0, weights=n_pairs)
    return means


def by_key(term):
    """The mean of a term over the queries that see each key: (layer, head, key)."""
    visible = causal_mask(term.shape[-1])
    return ((term * visible).sum(-2) / visible.sum(-2)).numpy()


def measure_terms(terms):
    """The mean of each term, and what removing each does to the pattern."""
    raw = sum(terms)
    pattern = attention_pattern(raw, D_HEAD)
    others = [pattern, *(attention_pattern(raw - term, D_HEAD) for term in terms)]
    queries = [query_profile(other) for other in others]
    return {
        "term_names": np.array(ScoreTerms._fields),
        "terms": np.stack([shift_stats(term).mean for term in terms], -1),
        "terms_by_key": np.stack([by_key(term) for term in terms], -1),
        "terms_other_keys": np.stack([shift_stats(term, drop_first_key=True).mean for term in terms], -1),
        "first_share_without": np.stack([q.first_share.mean(-1) for q in queries]),
        "effective_tokens_without": np.stack([q.effective_tokens.mean(-1) for q in queries]),
        "pattern_change_without": np.stack([(other - pattern).abs().amax((-2, -1)).numpy() for other in others]),
    }


def measure(folder):
    """All that ships, as {name: numpy array}."""
    texts, tokens, raw, terms = read(folder)
    every = [*raw, sum(terms)]
    layers = [describe_scores(causal_scores(r).reshape(N_LAYERS, -1)) for r in every]
    profiles = [head_profile(r, attention_pattern(r, D_HEAD)) for r in every]
    measured = {
        "prompts": np.array(texts),
        "tokens": np.array([token.replace(" ", "·") for token in tokens]),
        "n_tokens": np.array([r.shape[-1] for r in every]),
        **measure_scores(raw, False, ""),
        **measure_scores(raw, True, "_no_first_key"),
        **measure_distribution(raw),
        **measure_patterns(raw),
        **measure_terms(terms),
        "layer_quantiles": np.quantile(pooled(raw).reshape(N_LAYERS, -1), QUANTILE_LEVELS, axis=-1).T,
        "profile_names": np.array(Profile._fields),
        "prompt_profiles": np.stack(profiles),
        "prompt_median": np.stack([stats.median for stats in layers]),
        "prompt_fraction_negative": np.stack([stats.fraction_negative for stats in layers]),
    }
    return {name: _small(value) for name, value in measured.items()}


def _small(value):
    """The same values in a type that takes less room: six digits of a measurement are plenty."""
    smaller = {"f": np.float32, "i": np.int32}.get(value.dtype.kind)
    return value.astype(smaller) if smaller else value


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reference", required=True, type=Path, help="the folder of recordings")
    part = REFERENCE.with_suffix(".part")
    with open(part, "wb") as file:
        np.savez_compressed(file, **measure(parser.parse_args().reference))
    os.replace(part, REFERENCE)
