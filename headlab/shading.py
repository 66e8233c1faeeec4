"""Attention drawn on the text itself: the tokens in reading order, shaded by the share that one query gives each."""

import html

from headlab._expect import expect, expect_finite, expect_list, expect_square, expect_whole
from headlab.plots import MAPS, ink

NAMED, LEAST = 5, 0.005  # the summary names so many tokens at most, and none with a smaller share


class ShadedText:
    """A text as notebooks show it: `html` has the shaded tokens, `text` says in words what they show."""

    def __init__(self, html, text):
        self.html, self.text = html, text

    def _repr_mimebundle_(self, **kwargs):
        return {"text/html": self.html, "text/plain": self.text}


def shade_text(pattern, tokens, query):
    """The tokens of a text, each shaded by the share of attention that one query gives it; returns a ShadedText.

    pattern (query, key) of one head; tokens: its T labels; query: the number of the token that looks. That token is
    framed, its future is struck through, and a summary in words names the largest shares. Raises where the sizes do not
    fit.
    Introduced in lesson 3.

    >>> shaded = shade_text(torch.tensor([[1.0, 0.0], [0.2, 0.8]]), ["the", "·old"], query=1)
    >>> print(shaded.text)
    ·old (1) gives ·old (1) 0.80, the (0) 0.20.
    """
    expect_square(pattern, "pattern")
    expect(pattern.ndim == 2, "pattern", "one head's (T, T)", tuple(pattern.shape))
    expect_finite(pattern.detach(), "pattern")
    n_tokens = len(pattern)
    expected = f"{n_tokens} labels, one for each token"
    tokens = [str(token) for token in expect_list(tokens, "tokens", expected)]
    expect(len(tokens) == n_tokens, "tokens", expected, len(tokens))
    query = expect_whole(query, "query", f"a token from 0 to {n_tokens - 1}")
    expect(0 <= query < n_tokens, "query", f"a token from 0 to {n_tokens - 1}", query)
    shares = pattern[query].tolist()
    low, high = min(shares), max(shares)
    expect(low >= 0 and high <= 1.01, "pattern", "shares from 0 to 1", f"{low:.3g} to {high:.3g}")
    largest = sorted(range(query + 1), key=lambda key: -shares[key])[:NAMED]
    largest = [key for key in largest if key == largest[0] or shares[key] >= LEAST]
    named = ", ".join(f"{tokens[key]} ({key}) {shares[key]:.2f}" for key in largest)
    rest = query + 1 - len(largest)
    text = f"{tokens[query]} ({query}) gives {named}"
    if rest:
        text += f"; the rest of what it sees gets {max(0.0, 1 - sum(shares[key] for key in largest)):.2f}"
    spans = "".join(_span(tokens[key], shares[key], key, query) for key in range(n_tokens))
    label = html.escape(text)
    page = (
        f'<figure style="margin: 0.5em 0"><div role="img" aria-label="{label}" style="line-height: 2.1; '
        f'background: white; color: black; padding: 6px">{spans}</div><figcaption>{label}.</figcaption></figure>'
    )
    return ShadedText(page, f"{text}.")


def _span(token, share, key, query):
    """One token, its ground the darker the larger its share."""
    ground = MAPS["share"](0.9 * share)
    red, green, blue = (round(255 * part) for part in ground[:3])
    style = f"background: rgb({red}, {green}, {blue}); color: {ink(ground)}"
    if key > query:
        style = "color: #767676; text-decoration: line-through"
    if key == query:
        style += "; outline: 2px solid black"
    style += "; padding: 2px; margin: 1px; display: inline-block"
    return f'<span title="{share:.2f}" style="{style}">{html.escape(token)}</span>'
