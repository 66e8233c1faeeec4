"""Texts cut into pieces of one length: of books, folders and lists, wherever their paragraphs begin."""

import pytest
import torch

from headlab.texts import TEXTS, cut_texts

HEADER = "The Project Gutenberg eBook of X\n\n*** START OF THE PROJECT GUTENBERG EBOOK X ***\n"
FOOTER = "\n\n*** END OF THE PROJECT GUTENBERG EBOOK X ***\nThe licence.\n"


class Words:
    """A tokenizer with a token for each word: its number, and nothing for line ends."""

    def __call__(self, text, verbose):
        assert verbose is False  # a long text is no reason for a warning: it is going to be cut
        return type("Encoding", (), {"input_ids": [int(word) for word in text.split()]})


def book(*paragraphs, join="\n\n"):
    """Paragraphs of so many words, which are numbered through; 0 begins each of them."""
    return join.join(
        " ".join(["0", *(str(100 * place + i) for i in range(1, n))]) for place, n in enumerate(paragraphs)
    )


def test_a_piece_begins_where_a_paragraph_does_or_goes_on_in_it():
    pieces = cut_texts([book(3, 2, 9, 1, 4)], Words(), n_tokens=4, n_pieces=4)
    # 3 + 2 words make one piece, 9 make two, 1 + 4 one; what is left over of each is dropped.
    assert pieces.ids.tolist() == [[0, 1, 2, 0], [0, 201, 202, 203], [204, 205, 206, 207], [0, 0, 401, 402]]
    assert pieces.ids.dtype == torch.int64 and pieces.sources == ("text 1",) * 4
    lines = cut_texts([book(3, 2, 9, 1, 4, join="\n")], Words(), n_tokens=4, n_pieces=4)
    assert torch.equal(lines.ids, pieces.ids)  # no empty line anywhere: each line is a paragraph


def test_pieces_are_spread_over_the_book_and_dealt_out_among_the_books(tmp_path):
    for name, n in (("a.txt", 20), ("b.txt", 1), ("c.txt", 8)):
        (tmp_path / name).write_text(book(*[4] * n))
    (tmp_path / "notes.md").write_text("no text")
    pieces = cut_texts(tmp_path, Words(), n_tokens=4, n_pieces=9)
    assert pieces.sources == ("a.txt",) * 4 + ("b.txt",) + ("c.txt",) * 4
    assert (pieces.ids[:, 1] // 100).tolist() == [2, 7, 12, 17, 0, 1, 3, 5, 7]
    assert len(cut_texts(str(tmp_path / "a.txt"), Words(), 4).ids) == 12
    assert cut_texts(tmp_path, Words(), 4, 2).sources == ("a.txt", "b.txt")


def test_a_short_text_gives_its_beginning(mini):
    tokenizer = mini[1]
    for text in (text for kind in TEXTS.values() for text in kind):
        (piece,) = cut_texts([text], tokenizer, n_pieces=1).ids
        whole = tokenizer(text).input_ids
        assert piece.tolist() in [whole[start : start + 64] for start in range(0, len(whole) - 63)]


def test_a_text_can_be_changed_before_it_is_cut():
    changed = cut_texts([book(3, 2)], Words(), 4, 1, change=lambda text: text.replace("\n", " ") + " 7 8 9")
    assert changed.ids.tolist() == [[101, 7, 8, 9]]  # the second of two pieces of one paragraph


def test_gutenbergs_frame_is_left_out(tmp_path):
    (tmp_path / "book.txt").write_bytes(b"\xef\xbb\xbf" + (HEADER + book(4, 4) + FOOTER).replace("\n", "\r\n").encode())
    assert (cut_texts(tmp_path / "book.txt", Words(), 4, 2).ids[:, 1] // 100).tolist() == [0, 1]
    (tmp_path / "windows.txt").write_bytes(b"\xef\xbb\xbf1 2 3")
    assert cut_texts(tmp_path / "windows.txt", Words(), 3, 1).ids.tolist() == [[1, 2, 3]]


@pytest.mark.parametrize(
    ("make", "error", "line"),
    [
        (lambda path: ["1 2 3"], ValueError, "source: expected enough text for 12 pieces of 64 tokens, got 0 pieces"),
        (lambda path: [], ValueError, "source: expected a path, or a list of texts, got []"),
        (lambda path: ["1", 2], ValueError, "source: expected a path, or a list of texts, got ['1', 2]"),
        (lambda path: None, TypeError, "source: expected a path, or a list of texts, got None"),
        (
            lambda path: path / "gone.txt",
            ValueError,
            "source: expected a text file or a folder of .txt files, got PATH/gone.txt, which does not exist",
        ),
        (lambda path: path, ValueError, "source: expected a folder with .txt files, got PATH, which has none"),
        (
            lambda path: path / "latin.md",
            ValueError,
            "source: expected a text in UTF-8, got PATH/latin.md, which is not (save it as UTF-8)",
        ),
    ],
)
def test_what_cannot_be_cut_is_told_in_one_line(make, error, line, tmp_path):
    (tmp_path / "latin.md").write_bytes("é".encode("latin-1"))
    with pytest.raises(error) as caught:
        cut_texts(make(tmp_path), Words())
    assert str(caught.value) == line.replace("PATH", str(tmp_path))


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"n_tokens": 2}, "n_tokens: expected a whole number of tokens >= 3, got 2"),
        ({"change": "lower"}, "change: expected a function of a text, or None, got 'lower'"),
        ({"n_pieces": 0}, "n_pieces: expected a whole number of pieces >= 1, got 0"),
    ],
)
def test_sizes_that_make_no_sense_are_told(options, line):
    with pytest.raises(ValueError) as caught:
        cut_texts(["1 2 3"], Words(), **options)
    assert str(caught.value) == line
