"""A GPT-2 small whose attention is the real one: recorded weights where there are any, seeded ones elsewhere."""

from safetensors.torch import load_file
from transformers import GPT2Config

from headlab.models import load_model


def make_hybrid(reference):
    """GPT-2 small with its own attention, biases, layer norms and positions; embeddings and MLP matrices are drawn.

    The drawn token embeddings have the size of GPT-2's own, so that tokens count beside positions. Nothing that such a
    model predicts is a finding on GPT-2.
    """
    model, _ = load_model("random")  # seeded
    model.transformer.wte.weight.data *= 0.14 / GPT2Config().initializer_range
    recorded = load_file(reference / "attention_weights.safetensors")
    recorded |= load_file(reference / "other_small_weights.safetensors")
    unknown = model.transformer.load_state_dict(recorded, strict=False).unexpected_keys
    assert not unknown, unknown
    model.name_or_path = "hybrid"
    return model
