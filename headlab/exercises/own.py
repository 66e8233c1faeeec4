"""A task for each student in each lesson, drawn from their name, so that an answer cannot be copied."""

import hashlib
import random
import unicodedata
from dataclasses import dataclass

from headlab._expect import expect
from headlab.texts import TEXTS

N_LAYERS, N_HEADS = 4, 12  # of the smallest model of the course, so that every layer and head exists in each
QUESTIONS = {
    1: {
        "first share": "the mean share that the head gives the first token, over all queries but the first",
        "strongest link": "the largest share that a query gives a key other than the first token and the query itself",
        "one share": "the share that query {query} gives to key {key}",
    },
    2: {
        "query length": "the length (Euclidean norm) of the query vector of token {query}",
        "key length": "the length (Euclidean norm) of the key vector of token {query}",
        "value length": "the length (Euclidean norm) of the value vector of token {query}",
    },
    3: {
        "raw score": "the raw score of query {query} and key {key}",
        "scaled score": "the scaled score (attn_scores) of query {query} and key {key}",
        "looks back": "how far back query {query} looks, in tokens: the mean distance of all keys, weighted by share",
    },
    4: {
        "negative": "the fraction of the head's causal raw scores that are below zero",
        "median": "the median of the head's causal raw scores",
        "row mean": "the mean of the visible raw scores of query {query}",
    },
    5: {
        "gap": "in the row of query {query}, the first raw score minus the mean of the other visible ones",
        "effective tokens": "the number of effective tokens of query {query}",
        "centred": "the centred score of query {query} and key {key}: raw, minus the mean of the row's visible scores",
    },
    6: {
        "density": "the density of the head's causal raw scores at 0, with Scott's bandwidth",
        "bandwidth": "Scott's bandwidth for the head's causal raw scores",
        "density at its mean": "the density of the head's causal raw scores at their mean, with Scott's bandwidth",
    },
    7: {
        "step back": "the head's mean step back, in tokens, over the queries from the third on",
        "share high": "the fraction of the visible shares that are 0.1 or more, from the third query on",
        "without first": "the share that query {query} gives key {key}, key 0 left out and the row summing to 1 again",
    },
    8: {
        "mean": "the rise of the mean loss (nats a token) when the head's output is replaced by its mean over the text",
        "zero": "the rise of the mean loss (nats a token) when the head's output is set to zero",
        "token": "the loss (nats) of token {query} when the head's output is replaced by its mean over the text",
    },
}


@dataclass(frozen=True)
class OwnTask:
    """A task that is one student's own: a text, how many of its tokens to read, a head, and what to find there.

    question names the kind of task; print(task) says it in words. query and key count tokens from 0.
    """

    lesson: int
    student: str
    question: str
    text: str
    n_tokens: int
    layer: int
    head: int
    query: int
    key: int

    def __str__(self):
        asked = QUESTIONS[self.lesson][self.question].format(query=self.query, key=self.key)
        return (
            f"Run the class's model on the first {self.n_tokens} tokens of task.text, and look at layer {self.layer}, "
            f"head {self.head}. Find {asked}. Give at least three significant digits."
        )


def own_task(lesson, student):
    """The task of one student in one lesson: always the same for one name, and rarely the same for two.

    lesson: 1 to 8; student: the name under which you hand in. Capitals, spaces around it and the way Unicode encodes
    an accent do not matter. Returns an OwnTask. Raises ValueError where there is no such lesson or name.

    >>> task = own_task(3, "Ada")
    >>> print(task)  # doctest: +ELLIPSIS
    Run the class's model on the first ... tokens of task.text, and look at layer ..., head .... Find ...
    """
    known = isinstance(lesson, int) and lesson in QUESTIONS
    expect(known, "lesson", f"one of {', '.join(map(str, QUESTIONS))}", repr(lesson))
    name = same_name(student) if isinstance(student, str) else ""
    expect(name, "student", "your name, as your teacher has it", repr(student))
    draw = random.Random(int.from_bytes(hashlib.sha256(f"{lesson} {name}".encode()).digest()))
    n_tokens = draw.randint(20, 40)
    query = draw.randint(8, n_tokens - 1)
    return OwnTask(
        lesson=lesson,
        student=name,
        question=draw.choice([*QUESTIONS[lesson]]),
        text=draw.choice([text for texts in TEXTS.values() for text in texts]),
        n_tokens=n_tokens,
        layer=draw.randrange(N_LAYERS),
        head=draw.randrange(N_HEADS),
        query=query,
        key=draw.randint(1, query - 1),
    )


def same_name(name):
    """A name as it is compared: one way to write each accent, no capitals, single spaces."""
    return " ".join(unicodedata.normalize("NFC", unicodedata.normalize("NFKC", name).casefold()).split())
