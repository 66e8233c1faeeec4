"""Real GPT-2 as far as it was recorded: a model that repeats one sentence, and captures of ten texts' scores."""

from hybrid import make_hybrid
from measure_gpt2_reference import D_HEAD, N_LAYERS, read_layers, read_longer, read_prompts
from safetensors.torch import load_file
from transformers import GPT2Tokenizer

from headlab.explorers.recorded import RecordedScores

SENTENCE = "John Smith is also the son of Fred Smith"


def make_replay(reference):
    """(model, tokenizer): its attention blocks read what GPT-2's read in SENTENCE, whatever tokens it is given.

    So its queries, keys, values and patterns are GPT-2's, and so is what each head adds. What the MLPs, the embeddings
    or a change of the model would do was not recorded: no logit, loss or intervention of it says anything.
    """
    model, inputs = make_hybrid(reference), read_layers(reference)[2].float()  # (layer, token, d_model), from ln_1
    for block, recorded in zip(model.transformer.h, inputs, strict=True):
        block.ln_1.register_forward_hook(
            lambda module, arguments, output, recorded=recorded: recorded.expand_as(output)
        )
    model.name_or_path = "GPT-2, recorded"
    return model, GPT2Tokenizer.from_pretrained(reference / "tokenizer")


def read_captures(reference):
    """{text: RecordedScores} of the ten texts whose raw scores were recorded."""
    sentence = load_file(reference / "john_smith.safetensors")
    scores = {SENTENCE: sentence["queries"] @ sentence["keys"].mT}
    scores = read_prompts(reference) | scores | read_longer(reference)  # (layer, head, query, key)
    return {text: RecordedScores(raw.float(), N_LAYERS * (D_HEAD**0.5,)) for text, raw in scores.items()}
