"""Lesson 7: short texts of six kinds, written for this course, to see how much a profile depends on what is read."""

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
