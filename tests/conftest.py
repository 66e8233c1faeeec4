"""What several test files share: models loaded once, and the folder of recorded GPT-2 data."""

import os
from pathlib import Path

# Before any test imports Hugging Face's libraries, which read these once: no test reaches for the network.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("MPLBACKEND", "Agg")

import hypothesis
import matplotlib.pyplot as plt
import pytest
import torch
from hybrid import make_hybrid
from transformers import GPT2Config, GPT2LMHeadModel, GPT2Tokenizer

from headlab.capture import one_at_a_time
from headlab.models import load_model

hypothesis.settings.register_profile("headlab", deadline=None, derandomize=True, max_examples=60)
hypothesis.settings.register_profile("fuzz", deadline=None, max_examples=10_000, print_blob=True)
hypothesis.settings.load_profile("headlab")

REFERENCE = Path(os.environ.get("HEADLAB_REFERENCE") or Path(__file__).parents[2] / "shared" / "gpt2")


@pytest.fixture(scope="session")
def reference():
    """The folder of recorded GPT-2 data; without it the test is skipped, or fails where it is required."""
    if not REFERENCE.is_dir():
        reason = f"no recorded GPT-2 data in {REFERENCE}; set HEADLAB_REFERENCE to its folder"
        (pytest.fail if os.environ.get("HEADLAB_REQUIRE_REFERENCE") == "1" else pytest.skip)(reason)
    return REFERENCE


@pytest.fixture(scope="session")
def mini():
    """(model, tokenizer) of the small trained model."""
    return load_model("mini")


@pytest.fixture(scope="session")
def control():
    """(model, tokenizer) of the untrained GPT-2 small."""
    return load_model("random")


@pytest.fixture(scope="session")
def hybrid(reference):
    """(model, tokenizer): real attention, biases, layer norms and positions; seeded embeddings and MLP matrices."""
    return make_hybrid(reference), GPT2Tokenizer.from_pretrained(reference / "tokenizer")


@pytest.fixture(scope="session")
def odd_gpt2():
    """A function that makes a two-layer GPT-2 of uneven sizes (3 heads of 4 channels) with the settings it is given."""

    def make(**settings):
        torch.manual_seed(7)
        config = GPT2Config(
            vocab_size=50,
            n_positions=20,
            n_layer=2,
            n_embd=12,
            n_head=3,
            initializer_range=1.0,  # large weights, so that patterns are far from even
            attn_implementation=settings.pop("attn_implementation", "eager"),
            bos_token_id=0,
            eos_token_id=0,
            **settings,
        )
        return GPT2LMHeadModel(config).eval()

    return make


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(autouse=True)
def _lock_is_free():
    """A lock that a test leaves held would make a later test with threads wait for ever: this one fails instead."""
    yield
    left = 0
    while one_at_a_time._is_owned():
        one_at_a_time.release()
        left += 1
    assert not left, f"the model's lock is still held {left} times after the test"
    if not one_at_a_time.acquire(timeout=10):
        pytest.exit("a thread of the last test still holds the model's lock, and later tests would wait for it", 1)
    one_at_a_time.release()
