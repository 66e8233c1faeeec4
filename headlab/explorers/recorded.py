"""Real GPT-2 without loading it: its 144 heads' scores on one recorded text, for explorers that need only scores."""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from transformers import GPT2Config

from headlab._expect import expect
from headlab.capture import capture_heads, score_divisor, score_terms
from headlab.contrast import ScoreTerms
from headlab.scores import attention_pattern

RECORDED = Path(__file__).parents[1] / "data" / "gpt2_john_smith.npz"


class RecordedScores:
    """The raw scores of every head on one text, with the methods of a HeadCapture."""

    def __init__(self, raw, divisors):
        """raw (layer, head, query, key), and what each layer divides its raw scores by."""
        self.raw, self.divisors, self.layers = raw, divisors, tuple(range(len(raw)))

    def scores(self, layer, head=None):
        """As HeadCapture.scores."""
        return self.raw[layer] if head is None else self.raw[layer, head]

    def pattern(self, layer, head=None):
        """As HeadCapture.pattern."""
        return attention_pattern(self.scores(layer, head), self.divisors[layer] ** 2)


class Recording:
    """What stands in a model's place: its shape and name, and what was recorded of it on one text."""

    name_or_path = "real GPT-2, recorded"
    config = GPT2Config()  # GPT-2 small's

    def __init__(self, text, labels, terms):
        """text, its tokens as token_strings gives them, and ScoreTerms (layer, head, query, key)."""
        self.text, self.labels = text, labels
        divisors = tuple(score_divisor(self.config, layer) for layer in range(self.config.n_layer))
        self._made = {
            capture_heads: RecordedScores(sum(terms), divisors),
            score_terms: [ScoreTerms(*of_layer) for of_layer in zip(*terms, strict=True)],
        }

    def reader(self, look):
        """As text_reader; but it reads only the recorded text, and gives only its scores or their terms."""
        expect(
            look in self._made, "model", "a loaded model, as this explorer needs more than scores", self.name_or_path
        )

        def read(text):
            expect(text == self.text, "text", "the recorded one (load a model to read another)", repr(text))
            return self._made[look], self.labels

        return read


@cache
def recorded_gpt2():
    """Real GPT-2 small on one recorded text of nine tokens, as an explorer takes a model: (model, tokenizer, text).

    headlab computed its raw scores and their four terms (with the weights as Hugging Face has them) from recorded
    activations, and ships only these numbers; there is no tokenizer, and no other text can be read. It serves the
    explorers of lessons 1, 3, 4, 5, 6 and 7: HeadExplorer(*recorded_gpt2(), layer=4, head=11).
    Introduced in lesson 3. Source: activations recorded in jessevig/bertviz (Apache-2.0), GPT-2 by OpenAI (MIT);
    tools/record_gpt2_scores.py makes the file.

    >>> recording, _, text = recorded_gpt2()
    >>> text
    'John Smith is also the son of Fred Smith'
    """
    with np.load(RECORDED) as file:
        content, query_bias, key_bias, constant = (torch.from_numpy(file[name]) for name in ScoreTerms._fields)
        text, labels = str(file["text"]), file["tokens"].tolist()
    terms = ScoreTerms(
        content,  # (layer, head, query, key)
        query_bias[..., None, :].expand_as(content),  # one for each key
        key_bias[..., :, None].expand_as(content),  # one for each query
        constant[..., None, None].expand_as(content),
    )
    return Recording(text, labels, terms), None, text
