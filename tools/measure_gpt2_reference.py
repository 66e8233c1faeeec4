"""Measure recorded GPT-2 small and write the figures that headlab ships for readers who cannot load GPT-2.

    python tools/measure_gpt2_reference.py --reference DIR

DIR holds recordings of GPT-2 small: the raw scores of five prompts (prompts.safetensors), the layer inputs of a sixth
(john_smith.safetensors), the raw scores of four longer texts (llm_visualized.safetensors), patterns of more and longer
ones (patterns.safetensors) and the attention weights. Writes headlab/data/gpt2_reference.npz; `gpt2_reference` in
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

from headlab.contrast import (
    FOLDS,
    ScoreTerms,
    below_first_key,
    below_row_mean,
    decompose_scores,
    effective_tokens,
    row_contrast,
)
from headlab.masking import causal_mask
from headlab.profiles import (
    LargeWeights,
    Profile,
    QueryProfile,
    head_profile,
    large_weights,
    query_profile,
    share_above,
)
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


def read_prompts(folder):
    """{text: raw scores (layer, head, query, key)} of the five prompts."""
    scores = load_file(folder / "prompts.safetensors")
    prompts = json.loads(metadata(folder / "prompts.safetensors")["prompts"])
    return {prompt["text"]: scores[f"attn_scores.{i}"].double() for i, prompt in enumerate(prompts)}


def read_longer(folder):
    """{text: raw scores (layer, head, query, key)} of the four texts of 11 and 12 tokens."""
    scores = load_file(folder / "llm_visualized.safetensors")
    prompts = json.loads(metadata(folder / "llm_visualized.safetensors")["prompts"])
    raws = {"".join(prompt["tokens"]): scores[f"attn_scores.{prompt['name']}"].double() for prompt in prompts}
    return {text: raw.masked_fill(~causal_mask(raw.shape[-1]), 0.0) for text, raw in raws.items()}


def read_layers(folder):
    """The sixth prompt: its text, its tokens and what enters each layer's c_attn (layer, token, d_model)."""
    path = folder / "john_smith.safetensors"
    return metadata(path)["text"], json.loads(metadata(path)["tokens"]), load_file(path)["ln_1"].double()


def read_patterns(folder):
    """{name: pattern (..., query, key)} of all heads and of single layers and heads, and which begin with a BOS."""
    path = folder / "patterns.safetensors"
    patterns = {name.removeprefix("pattern."): p.double() for name, p in load_file(path).items()}
    patterns = {name.removesuffix(".pattern"): p / p.sum(-1, keepdim=True) for name, p in patterns.items()}
    return patterns, {text["name"]: text["bos"] for text in json.loads(metadata(path)["texts"])}


def metadata(path):
    """The notes in the head of a file of tensors."""
    with safe_open(path, "pt") as file:
        return file.metadata()


def decompose_layers(inputs, weights, fold):
    """The terms (layer, head, query, key) of every layer in one convention."""
    layers = []
    for layer, x in enumerate(inputs):
        weight, bias, ln_bias = (
            weights[f"h.{layer}.{name}"].double() for name in ("attn.c_attn.weight", "attn.c_attn.bias", "ln_1.bias")
        )
        given = ln_bias if fold == "layer_norm" else None
        layers.append(decompose_scores(x, weight, bias, N_HEADS, fold, given))
    return ScoreTerms(*(torch.stack(parts) for parts in zip(*layers, strict=True)))


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
        "histogram": count_bins(scores, edges),
        "histogram_no_first_key": count_bins(pooled(raw, drop_first_key=True), edges),
    }


def count_bins(scores, edges):
    """How many of the scores (layer, head, score) lie in each bin (layer, head, bin)."""
    return np.apply_along_axis(lambda row: np.histogram(row, edges)[0], -1, scores)


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
    large = [np.stack(large_weights(pattern)) for pattern in patterns]
    means["large_weight_names"] = np.array(LargeWeights._fields)
    means["large_weights"] = np.average(large, axis=0, weights=n_queries)
    return means


def measure_texts(raws):
    """Text by text: what depends on the gauge, what does not, and the counts of negative scores query by query."""
    most = max(raw.shape[-1] for raw in raws.values())
    measured = {"texts": np.array(list(raws)), "text_n_tokens": np.array([raw.shape[-1] for raw in raws.values()])}
    patterns = [attention_pattern(raw, D_HEAD) for raw in raws.values()]
    contrasts = [row_contrast(raw) for raw in raws.values()]
    n_negative = [count_negative(raw)[0].sum(1) for raw in raws.values()]  # (layer, row)
    each = {
        "fraction_negative": [shift_stats(raw).fraction_negative for raw in raws.values()],
        "below_first_key": [below_first_key(raw) for raw in raws.values()],
        "below_row_mean": [below_row_mean(raw) for raw in raws.values()],
        "first_share": [query_profile(pattern).first_share.mean(-1) for pattern in patterns],
        "effective_tokens": [query_profile(pattern).effective_tokens.mean(-1) for pattern in patterns],
        "spread": [contrast.spread for contrast in contrasts],
        "gap": [contrast.gap for contrast in contrasts],
        "n_negative": [np.pad(counts, ((0, 0), (0, most - counts.shape[1]))) for counts in n_negative],
    }
    return measured | {f"text_{name}": np.stack(values) for name, values in each.items()}


def measure_queries(raws, patterns, bos):
    """Query by query: the first key's share and the effective tokens, of all heads and of single layers and heads."""
    every = {text: (attention_pattern(raw, D_HEAD), False) for text, raw in raws.items()}
    every |= {name: (p, bos[name]) for name, p in patterns.items() if p.shape[:2] == (N_LAYERS, N_HEADS)}
    single = {name: (p, bos[name]) for name, p in patterns.items() if name not in every}
    measured = {}
    for prefix, group in (("query", every), ("single", single)):
        most = max(pattern.shape[-1] for pattern, _ in group.values())
        measured[f"{prefix}_names"] = np.array(list(group))
        measured[f"{prefix}_bos"] = np.array([begins for _, begins in group.values()])
        for name, of in (("first_share", lambda p: p[..., 0].numpy()), ("effective_tokens", effective_tokens)):
            rows = [of(pattern).reshape(-1, pattern.shape[-1]).mean(0) for pattern, _ in group.values()]
            padded = [np.pad(row, (0, most - len(row)), constant_values=np.nan) for row in rows]
            measured[f"{prefix}_{name}"] = np.stack(padded)
    return measured


def measure_terms(terms):
    """One convention: each term's mean and contrast, key by key against the first, and what removing it does."""
    raw = sum(terms)
    patterns = [attention_pattern(other, D_HEAD) for other in (raw, *(raw - term for term in terms))]
    queries = [query_profile(pattern) for pattern in patterns]
    contrasts = [row_contrast(term) for term in terms]
    return {
        "term_mean": np.stack([shift_stats(term).mean.mean(-1) for term in terms], -1),
        "term_spread": np.stack([contrast.spread for contrast in contrasts], -1),
        "term_gap": np.stack([contrast.gap for contrast in contrasts], -1),
        "term_of_key": np.stack([over_first_key(term) for term in (terms.content, terms.query_bias)], -1),
        "first_share_without": np.stack([q.first_share.mean(-1) for q in queries]),
        "effective_tokens_without": np.stack([q.effective_tokens.mean(-1) for q in queries]),
        "pattern_change_without": np.stack([(p - patterns[0]).abs().amax((-2, -1, 0, 1)) for p in patterns]),
    }


def over_first_key(term):
    """How far a term lies above that of the first key, key by key: (layer, head, key), mean over its queries."""
    visible = causal_mask(term.shape[-1])
    return (((term - term[..., :1]) * visible).sum(-2) / visible.sum(-2)).numpy()


def measure_first_token(inputs, weights):
    """Why the first token: length and direction of what enters each layer, position rows and biases."""
    unit = torch.nn.functional.normalize(inputs, dim=-1)
    biases = torch.stack([weights[f"h.{layer}.attn.c_attn.bias"] for layer in range(N_LAYERS)])
    return {
        "input_length": inputs.norm(dim=-1).numpy(),
        "input_cosine": (unit @ unit.mT).numpy(),
        "position_length": weights["wpe.weight"].norm(dim=-1).numpy(),
        "bias_length": biases.reshape(N_LAYERS, 3, N_HEADS, D_HEAD).norm(dim=-1).transpose(0, 1).numpy(),
    }


def measure(folder):
    """All that ships, as {name: numpy array}."""
    prompts, (text, tokens, inputs) = read_prompts(folder), read_layers(folder)
    weights = load_file(folder / "attention_weights.safetensors")
    terms = [decompose_layers(inputs, weights, fold) for fold in FOLDS]
    six = prompts | {text: sum(terms[0])}
    ten = six | read_longer(folder)
    raw = list(prompts.values())
    layers = [describe_scores(causal_scores(r).reshape(N_LAYERS, -1)) for r in six.values()]
    profiles = [head_profile(r, attention_pattern(r, D_HEAD)) for r in six.values()]
    conventions = [measure_terms(t) for t in terms]
    measured = {
        "prompts": np.array(list(six)),
        "tokens": np.array([token.replace(" ", "·") for token in tokens]),
        "n_tokens": np.array([r.shape[-1] for r in six.values()]),
        **measure_scores(raw, False, ""),
        **measure_scores(raw, True, "_no_first_key"),
        **measure_distribution(raw),
        **measure_patterns(raw),
        "layer_quantiles": np.quantile(pooled(raw).reshape(N_LAYERS, -1), QUANTILE_LEVELS, axis=-1).T,
        "profile_names": np.array(Profile._fields),
        "prompt_profiles": np.stack(profiles),
        "prompt_median": np.stack([stats.median for stats in layers]),
        "prompt_fraction_negative": np.stack([stats.fraction_negative for stats in layers]),
        **measure_texts(ten),
        **measure_queries(ten, *read_patterns(folder)),
        "fold_names": np.array([str(fold).lower() for fold in FOLDS]),
        "term_names": np.array(ScoreTerms._fields),
        **{name: np.stack([convention[name] for convention in conventions]) for name in conventions[0]},
        **measure_first_token(inputs, weights),
    }
    return {name: _small(value) for name, value in measured.items()}


def _small(value):
    """The same values in a smaller type: six digits of a measurement are plenty."""
    smaller = {"f": np.float32, "i": np.int32}.get(value.dtype.kind)
    return value.astype(smaller) if smaller else value


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reference", required=True, type=Path, help="the folder of recordings")
    part = REFERENCE.with_suffix(".part")
    with open(part, "wb") as file:
        np.savez_compressed(file, **measure(parser.parse_args().reference))
    os.replace(part, REFERENCE)
