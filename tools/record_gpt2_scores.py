"""Write the scores of real GPT-2's heads on one recorded text, for explorers that show GPT-2 without loading it.

    python tools/record_gpt2_scores.py --reference DIR

DIR holds recordings of GPT-2 small: what enters each layer on a prompt of nine tokens (john_smith.safetensors) and the
attention weights. Writes headlab/data/gpt2_john_smith.npz: the four terms of the raw scores of all heads, float32;
`recorded_gpt2` in headlab/explorers/recorded.py loads it.
"""

import argparse
import os
from pathlib import Path

import numpy as np
from measure_gpt2_reference import decompose_layers, read_layers
from safetensors.torch import load_file

from headlab.explorers.recorded import RECORDED


def record(folder):
    """All that ships, as {name: numpy array}."""
    text, tokens, inputs = read_layers(folder)
    weights = load_file(folder / "attention_weights.safetensors")
    content, query_bias, key_bias, constant = (term.float().numpy() for term in decompose_layers(inputs, weights, None))
    return {
        "text": np.array(text),
        "tokens": np.array([token.replace(" ", "·") for token in tokens]),
        "content": content,  # (layer, head, query, key)
        "query_bias": query_bias[..., 0, :],  # (layer, head, key)
        "key_bias": key_bias[..., :, 0],  # (layer, head, query)
        "constant": constant[..., 0, 0],  # (layer, head)
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reference", required=True, type=Path, help="the folder of recordings")
    part = RECORDED.with_suffix(".part")
    with open(part, "wb") as file:
        np.savez_compressed(file, **record(parser.parse_args().reference))
    os.replace(part, RECORDED)
