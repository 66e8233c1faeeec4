"""Lessons 7 and 9: short texts of several kinds, written for this course, and the cutting of any others.

Lesson 7 asks how much a profile depends on what is read; lesson 9 compares groups of texts of the reader's own.
"""

import re
from pathlib import Path
from typing import NamedTuple

import torch

from headlab._expect import expect, expect_whole, shown

# Three texts of each kind, each of at least 64 tokens for GPT-2 and for mini, so that all can be cut to one length.
TEXTS = {
    "prose": (
        "The ferry left the harbour before it was light. Nobody stood on the deck but an old woman with a basket and "
        "a boy who had never seen the sea. When the last lamp of the town had gone behind the hill, she gave him half "
        "of her bread, and they ate without a word while the water turned from black to grey and the wind grew cold.",
        "My grandfather kept bees at the end of the garden, behind a wall that he had built himself. In the summer we "
        "children were sent there with a jug of tea, and we walked slowly, because he said that bees can hear a person "
        "who is afraid. He never wore gloves. He talked to the hives in the same low voice in which he talked to us.",
        "Every winter the river froze, and the village on the other side came nearer. Carts that had gone the long way "
        "round by the bridge now drove straight across the ice, and the baker sold his bread on both banks. In March "
        "the first crack went through the middle with a noise like a gun, and for three weeks we were strangers again.",
    ),
    "dialogue": (
        '"Have you seen my keys?"\n"They were on the table this morning."\n"They are not there now."\n"Did you look '
        'under the paper?"\n"Twice."\n"And in your coat?"\n"Of course I looked in my coat."\n"Which coat?"\n"The brown '
        'one. Oh."\n"Yes?"\n"I wore the black one yesterday."\n"Then look in the black one, and bring me my glasses."',
        '"Good morning, doctor. It is my knee again."\n"Which one?"\n"The left one. No, the other."\n"Does it hurt '
        'when you walk?"\n"Only on the stairs."\n"Up or down?"\n"Down. Going up, I hold on to my wife."\n"And what '
        'does your wife say?"\n"She says that it is her shoulder that hurts."\n"Then I will see you both on Monday."',
        '"Is this seat free?" asked the man.\n"It is," said Anna, and moved her bag.\n"Are you going far?"\n"To the '
        'end of the line."\n"So am I. Do you know how long it takes?"\n"Four hours," she said, "if there is no snow."'
        '\n"And if there is?"\n"Last year it took two days. I hope that you have brought something to eat."',
    ),
    "list": (
        "- two eggs\n- a cup of milk\n- three spoons of sugar\n- half a pound of flour\n- a little salt\n- one lemon\n"
        "- four red apples\n- a piece of butter\n- a bag of nuts\n- some honey\n- six small pears\n- a jar of plums\n"
        "- one white loaf\n- two onions\n- a bottle of oil\n- a box of tea\n- a dozen candles\n- fresh fish for Friday",
        "1. Open the window.\n2. Light the stove.\n3. Fill the kettle.\n4. Feed the cat.\n5. Sweep the floor.\n6. Make "
        "the beds.\n7. Wash the cups.\n8. Water the roses.\n9. Write to Mary.\n10. Pay the milkman.\n11. Mend the gate."
        "\n12. Call the plumber.\n13. Buy stamps.\n14. Lock the shed.\n15. Close the window.\n16. Put out the light.",
        "Monday: school, then piano\nTuesday: school, then the market\nWednesday: a visit to Aunt Jane\nThursday: "
        "school, then swimming\nFriday: school, then the cinema\nSaturday: football and a long walk\nSunday: church "
        "and dinner with the neighbours\nMonday: holiday\nTuesday: holiday\nWednesday: the dentist\nThursday: school",
    ),
    "code": (
        "def area(width, height):\n    return width * height\n\n\ndef largest(rooms):\n    best = None\n    for room "
        "in rooms:\n        size = area(room.width, room.height)\n        if best is None or size > best:\n            "
        "best = size\n    return best\n\n\n"
        'print(largest(house.rooms), "square metres")\n',
        "import csv\n\ntotal = 0\nwith open('sales.csv') as file:\n    for row in csv.reader(file):\n        if row[0] "
        "== 'shop':\n            continue\n        total += int(row[2]) * float(row[3])\n        print(row[0], "
        "row[1], total)\nprint(f'total: {total:.2f}')\n",
        "SELECT name, city, SUM(price) AS total\nFROM orders JOIN people ON people.id = orders.buyer\nWHERE year = "
        "1999 AND city <> 'Rome'\nGROUP BY name, city\nHAVING SUM(price) > 100\nORDER BY total DESC, name\nLIMIT 20;\n"
        "\nUPDATE orders SET price = price * 2 WHERE buyer = 7;\nDELETE FROM people WHERE id = 12;\n",
    ),
    "nonsense": (
        "Window the of slowly green eleven because, table jumped are a. Quiet from bread seven the the ran under when "
        "yellow if, stone were it. Fish about never him spoon and tall a which by, grass hundred to slept. Or river "
        "into my open chair was, late upon the four or singing of hat; the near soap they letter but cold a round.",
        "Blon the wug frimly dasted, and a plimmer of grots sarked on the murb. No flane had trolled so neetly, nor "
        "had any sprock gamed the wendle. Then came the old drobber, who frelled his brast and quimmed at the hollin "
        "pell. Sib, said the drobber, sib and marl. But the wug had glimmed, and all its tobs were snarried.",
        "The blue hour ate a ladder of thunder and signed it with soup. Seven doors were drinking the mountain, while "
        "a polite bicycle married the number nine. Nobody had ironed the river, so every spoon voted for winter and "
        "the clouds were sold by the pound. Then the alphabet sneezed, and my left shoe became king of the onions.",
    ),
    "repeated words": (
        " ".join(["lamp", "river", "stone"] * 24),
        " ".join(["the old king gave his golden ring to a poor girl."] * 6),
        " ".join(["apple train letter music window bread summer horse paper garden money winter"] * 6),
    ),
}

# Nine texts more of two kinds, so that lesson 9 can compare twelve with twelve.
MORE = {
    "prose": (
        "The clock in the station had stopped at ten past four, and no one had the key to wind it. Travellers set "
        "their watches by it all the same. When the mayor at last had it repaired, three people missed their trains in "
        "a single week, and a letter in the newspaper asked for the old time back.",
        "On the first warm evening of the year the whole street carried its chairs outside. The tailor brought his "
        "sewing, the widow from number nine brought a bowl of cherries, and somebody's uncle played the same four "
        "songs on an accordion until the lamps were lit and the children had fallen asleep on the steps, one by one.",
        "The map showed a road where there was only a field of barley. We drove along its edge for an hour, looking "
        "for a bridge that the map also promised, and came in the end to a farm where a man in a straw hat told us "
        "that we were the third car that day and sold us a jar of honey.",
        "In the cellar of the museum stands a machine that nobody can explain. It has eleven wheels, a brass plate "
        "with a name that has been filed away, and a drawer full of punched cards. Once a year an engineer comes, "
        "turns the handle, listens for a while, and goes home without having learned anything new.",
        "After the storm the beach was covered with oranges. A ship had lost part of her cargo in the night, and by "
        "noon every kitchen in the town smelled of marmalade. Years later, when people spoke of that winter, they "
        "forgot the broken roofs and the drowned boats, and remembered only the colour of the sand.",
        "The letter had been posted in the spring, but it lay behind a cupboard in the post office until the painters "
        "came. By then the house to which it was addressed had been sold twice. The new owner opened it, read it at "
        "the window, and walked all the way to the harbour to look for the sender.",
        "She learned to swim when she was sixty, in a lake so cold that the guides advised against it. Every morning "
        "she went a little farther from the shore, and every morning her dog ran along the bank beside her and barked. "
        "In September she reached the island, sat down on a stone, and laughed aloud.",
        "The school had only one globe, and it was so old that half of its countries no longer existed. Our teacher "
        "did not mind. He let us turn it with our eyes shut and put a finger down, and then we had to write a page "
        "about the place, whether it was a city, a desert or the middle of the sea.",
        "Nobody had lived in the mill for thirty years, yet there was always a light in the upper window on the night "
        "before the fair. My father said that it was the moon in the glass. My aunt said that it was the miller, who "
        "still owed her mother for two sacks of flour and was counting his money.",
    ),
    "dialogue": (
        '"Who left the gate open?"\n"Not I. I came over the wall."\n"Over the wall? At your age?"\n"The gate was '
        'locked then."\n"So somebody has opened it since."\n"Somebody with a key."\n"There are only two keys."\n"Yes. '
        'Yours and the one you lost in the well."\n"Then we had better go and count the sheep."',
        '"What would you like, madam?"\n"A kilo of pears, please. Are they ripe?"\n"They will be on Thursday."\n"I '
        'need them tonight."\n"Then take the plums. The plums are ready."\n"My husband does not eat plums."\n"Does he '
        'eat apricots?"\n"If you put enough sugar on them."\n"Half a kilo of apricots, then, and a pound of sugar."',
        '"You are late," said the captain.\n"The road was flooded, sir."\n"All of it?"\n"The part I came by, '
        'sir."\n"Could you not have come by another?"\n"I tried, sir. That one was closed because of the flood."\n"And '
        'what have you done with the horse?"\n"He is upstairs, sir. He did not want to get his feet wet."',
        '"Can you read what it says?"\n"The first line, yes. \'Dear Margaret.\'"\n"And after that?"\n"The ink has run. '
        'Something about a train."\n"A train from where?"\n"It might be Lisbon. Or London."\n"When does it '
        'arrive?"\n"On the ninth, I think. Or the nineteenth."\n"Today is the nineteenth."\n"Then you should put on '
        'your coat."',
        '"How long have you played the piano?"\n"Since I was four. And you?"\n"I only turn the pages."\n"Do you turn '
        'them well?"\n"I have never turned two at once."\n"That is more than the last one could say."\n"What happened '
        'to him?"\n"He sneezed in the slow movement."\n"I shall try not to breathe at all."',
        '"Is it far to the top?"\n"An hour, if you do not stop."\n"And if we stop?"\n"Then it is as far as you '
        'like."\n"Is there water on the way?"\n"There is a spring behind the chapel."\n"Can one drink it?"\n"The goats '
        'do."\n"We are not goats."\n"No. The goats start earlier in the day."',
        '"I want to send this parcel to my brother."\n"Where does he live?"\n"That is the difficulty. He moves."\n"You '
        'must write something on it."\n"I have written his name."\n"There must be a thousand people with that '
        'name."\n"He is the tall one."\n"Has he any address at all?"\n"He used to have one in Vienna, near a bakery."',
        '"Did you hear that?" whispered Tom.\n"It was the wind."\n"There is no wind."\n"Then it was the stairs. Old '
        'stairs talk at night."\n"They said my name."\n"What exactly did they say?"\n"They said, \'Tom, your soup is '
        'getting cold.\'"\n"That," said his sister, "was Grandmother, and she said it an hour ago."',
        '"How much for the blue bicycle?"\n"It is not for sale."\n"It stands in the window."\n"Because I like to look '
        'at it."\n"I would give you sixty."\n"For seventy you could have the red one."\n"I do not like the red '
        'one."\n"Nobody does. That is why it is for sale."\n"And if I bought both?"\n"Then I should have nothing to '
        'look at."',
    ),
}


class Pieces(NamedTuple):
    """Pieces of one length: their token ids, int64 (piece, n_tokens), and for each piece the name of its source."""

    ids: torch.Tensor
    sources: tuple[str, ...]


def cut_texts(source, tokenizer, n_tokens=64, n_pieces=12, change=None):
    """Cut a book, a folder of books or a list of texts into pieces of one length, so that they can be compared.

    source: the path of a UTF-8 file, or of a folder, whose .txt files are taken; or a list of texts. Each source gives
    the same number of pieces, as far as it has them, and they are spread evenly over it. A piece begins where a
    paragraph does (after an empty line; where a text has none, on each line), or where the piece before it in the same
    paragraph ends. The header and the licence of a book from Project Gutenberg are left out. n_tokens: the length of
    each piece; n_pieces: the number of pieces of all sources together, by default twelve, which is enough to tell two
    clearly different groups apart; change: a function applied to each text before it is cut, such as one that removes
    its line breaks. Returns Pieces. Raises ValueError in one line where a file is missing or not UTF-8, and where there
    is too little text.

        prose = cut_texts("novel.txt", tokenizer)  # .ids: (12, 64)

    Pieces of one book resemble each other: `profiles.cluster_means` averages over each source.
    Introduced in lesson 9.

    >>> model, tokenizer = load_model("mini")
    >>> cut_texts(["The old man sat. " * 100], tokenizer, n_tokens=16, n_pieces=4).ids.shape
    torch.Size([4, 16])
    """
    n_tokens = expect_whole(n_tokens, "n_tokens", "a whole number of tokens >= 3")
    expect(n_tokens >= 3, "n_tokens", "a whole number of tokens >= 3", n_tokens)
    n_pieces = expect_whole(n_pieces, "n_pieces", "a whole number of pieces >= 1")
    expect(n_pieces >= 1, "n_pieces", "a whole number of pieces >= 1", n_pieces)
    expect(change is None or callable(change), "change", "a function of a text, or None", shown(repr(change)))
    texts = {name: change(text) if change else text for name, text in _named_texts(source).items()}
    pieces = {name: list(_pieces_of(text, tokenizer, n_tokens)) for name, text in texts.items()}
    there = sum(map(len, pieces.values()))
    expect(there >= n_pieces, "source", f"enough text for {n_pieces} pieces of {n_tokens} tokens", f"{there} pieces")
    taken = _evenly({name: len(several) for name, several in pieces.items()}, n_pieces)
    # The middle of each of n equal parts, so that a single piece is no title page.
    chosen = [
        (pieces[name][(2 * i + 1) * len(pieces[name]) // (2 * n)], name) for name, n in taken.items() for i in range(n)
    ]
    return Pieces(torch.tensor([ids for ids, _ in chosen]), tuple(name for _, name in chosen))


def _named_texts(source):
    """{name: text} of a file, of a folder's .txt files, or of a list of texts."""
    if isinstance(source, list | tuple):
        texts = [text for text in source if isinstance(text, str)]
        expect(texts and len(texts) == len(source), "source", "a path, or a list of texts", shown(repr(source)))
        return {f"text {place}": text for place, text in enumerate(source, 1)}
    if not isinstance(source, str | Path):
        raise TypeError(f"source: expected a path, or a list of texts, got {shown(repr(source))}")
    path = Path(source).expanduser()
    expect(path.exists(), "source", "a text file or a folder of .txt files", f"{path}, which does not exist")
    paths = sorted(path.glob("*.txt")) if path.is_dir() else [path]
    expect(paths, "source", "a folder with .txt files", f"{path}, which has none")
    return {path.name: _read(path) for path in paths}


def _read(path):
    """The text of a file, of a book from Project Gutenberg only what stands between its header and its licence."""
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"source: expected a text in UTF-8, got {path}, which is not (save it as UTF-8)") from None
    inside = re.search(r"\*\*\* ?START OF TH[^\n]*\n(.*?)(\*\*\* ?END OF TH|\Z)", text, re.DOTALL)
    return inside[1] if inside else text


def _pieces_of(text, tokenizer, n_tokens):
    """The token ids of each piece, one after the other."""
    held, text = [], text.strip("\n")
    for paragraph in re.split(r"(?<=\n\n)(?=\S)" if "\n\n" in text else r"(?<=\n)", text):
        held += tokenizer(paragraph, verbose=False).input_ids
        if len(held) >= n_tokens:
            starts = range(0, len(held) - n_tokens + 1, n_tokens)
            yield from (held[start : start + n_tokens] for start in starts)
            held = []


def _evenly(available, wanted):
    """{name: how many to take}: one from each in turn that has any left, until there are as many as wanted."""
    taken = dict.fromkeys(available, 0)
    while wanted:
        for name, n in available.items():
            more = wanted > 0 and taken[name] < n
            taken[name] += more
            wanted -= more
    return taken
