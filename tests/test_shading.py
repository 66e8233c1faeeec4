"""Attention on the text: each token as dark as its share, and the same in words."""

import re

import pytest
import torch

from headlab.shading import shade_text

PATTERN = torch.tensor([[1.0, 0, 0, 0], [0.25, 0.75, 0, 0], [0.1, 0.6, 0.3, 0], [0.1, 0.2, 0.3, 0.4]])
TOKENS = ["so", "<b>", "·cat", "·sat"]


def spans(query, pattern=PATTERN, tokens=TOKENS):
    return re.findall(r'<span title="([\d.]+)" style="([^"]*)">(.*?)</span>', shade_text(pattern, tokens, query).html)


def darkness(style):
    ground = re.search(r"background: rgb\((\d+), (\d+), (\d+)\)", style)
    return -sum(map(int, ground.groups()))


def test_every_token_stands_in_its_order_with_its_share_and_the_darker_the_larger():
    found = spans(3)
    assert [(share, text) for share, _, text in found] == [
        ("0.10", "so"),
        ("0.20", "&lt;b&gt;"),
        ("0.30", "·cat"),
        ("0.40", "·sat"),
    ]
    shades = [darkness(style) for _, style, _ in found]
    assert shades == sorted(shades) and len(set(shades)) == 4
    assert ["outline" in style for _, style, _ in found] == [False, False, False, True]


def test_the_future_is_struck_through_and_not_shaded():
    styles = [style for _, style, _ in spans(1)]
    assert ["line-through" in style for style in styles] == [False, False, True, True]
    assert ["background" in style for style in styles] == [True, True, False, False]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.7, 1.0])
def test_every_letter_can_be_read_on_its_ground(share):
    pattern = torch.tensor([[1.0, 0.0], [share, 1 - share]])
    ((_, style, _), _) = re.findall(
        r'<span title="([\d.]+)" style="([^"]*)">(.*?)</span>', shade_text(pattern, "ab", 1).html
    )
    channels = [int(c) / 255 for c in re.search(r"rgb\((\d+), (\d+), (\d+)\)", style).groups()]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    light = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    contrast = 1.05 / (light + 0.05) if "color: white" in style else (light + 0.05) / 0.05
    assert contrast >= 4.5  # WCAG 2, level AA


def test_a_screen_reader_gets_the_largest_shares_in_words():
    shown = shade_text(PATTERN, TOKENS, 2)
    assert shown.text == "·cat (2) gives <b> (1) 0.60, ·cat (2) 0.30, so (0) 0.10."
    assert 'role="img" aria-label="·cat (2) gives &lt;b&gt; (1) 0.60, ·cat (2) 0.30, so (0) 0.10"' in shown.html
    assert shown._repr_mimebundle_() == {"text/html": shown.html, "text/plain": shown.text}


def test_of_many_tokens_five_are_named_and_the_rest_added_up_and_none_without_a_share():
    even = shade_text(torch.full((8, 8), 1 / 8), list("abcdefgh"), 7).text
    assert even.count("0.12") == 5 and even.endswith("; the rest of what it sees gets 0.38.")
    assert (
        shade_text(torch.eye(8), list("abcdefgh"), 7).text
        == "h (7) gives h (7) 1.00; the rest of what it sees gets 0.00."
    )


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((PATTERN[None], TOKENS, 0), "pattern: expected one head's (T, T), got (1, 4, 4)"),
        ((PATTERN * 3, TOKENS, 0), "pattern: expected shares from 0 to 1, got 0 to 3"),
        ((PATTERN, TOKENS[:3], 0), "tokens: expected 4 labels, one for each token, got 3"),
        ((PATTERN, TOKENS, 4), "query: expected a token from 0 to 3, got 4"),
        ((PATTERN, TOKENS, -1), "query: expected a token from 0 to 3, got -1"),
        ((PATTERN, TOKENS, 0.5), "query: expected a token from 0 to 3, got 0.5"),
    ],
)
def test_what_does_not_fit_is_told_in_one_line(arguments, line):
    with pytest.raises((ValueError, TypeError)) as caught:
        shade_text(*arguments)
    assert str(caught.value) == line
