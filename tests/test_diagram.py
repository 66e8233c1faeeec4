"""The drawing of the data flow: its shapes are the model's, and what is marked is said in words too."""

import itertools
import re
from xml.etree import ElementTree

import pytest
import torch

from headlab.capture import capture_heads
from headlab.diagram import STEPS, data_flow
from headlab.scores import head_outputs

SVG = "{http://www.w3.org/2000/svg}"


def texts(drawing):
    return [text.text for text in ElementTree.fromstring(drawing.svg).iter(f"{SVG}text")]


def test_the_shapes_are_those_of_the_models_own_tensors(odd_gpt2):
    model = odd_gpt2()  # 3 heads of 4 channels
    ids = torch.tensor([[3, 1, 4, 1, 5]])
    capture = capture_heads(model, ids)
    seen = {"heads": capture.q[0], "scores": capture.scores(0), "pattern": capture.pattern(0)}
    seen["outputs"] = head_outputs(capture.pattern(0), capture.v[0])
    attention = model.transformer.h[0].attn
    kept = {}
    modules = {"c_attn": attention.c_attn, "W_o": attention.c_proj, "residual": model.transformer.h[0].ln_1}
    handles = [
        module.register_forward_hook(lambda _, __, output, name=name: kept.update({name: output[0]}))
        for name, module in modules.items()
    ]
    model(ids)
    for handle in handles:
        handle.remove()
    seen |= kept | {"sum": kept["W_o"], "thirds": kept["c_attn"].split(12, dim=-1)[0]}
    lines = texts(data_flow(model=model))
    for name, (*_, title, _, shape) in STEPS.items():
        place = lines.index(title) if name != "sum" else len(lines) - 1 - lines[::-1].index(title)
        assert not shape or lines[place + 2] == shape
        if name in seen:
            numbers = str(tuple(seen[name].shape)).replace("5", "T")
            assert lines[place + 3] == shape.replace(shape[shape.index("(") :], numbers)
    assert len(seen) == 9


def test_what_is_marked_is_said_in_words_and_no_step_is_lost():
    plain, marked = data_flow(), data_flow("scores", "pattern")
    assert "this lesson" not in texts(plain) and texts(marked).count("this lesson") == 2
    assert [text for text in texts(marked) if text != "this lesson"] == texts(plain)
    assert marked.text == plain.text + " This lesson: raw scores, pattern."
    for *_, title, _, shape in STEPS.values():
        assert f"{title} {shape}".strip() in plain.text and title in texts(plain)


def boxes(root):
    """{step: (left, top, right, bottom)} of the drawing's boxes, in the order of STEPS."""
    places = []
    for rect in list(root.iter(f"{SVG}rect"))[1:]:  # the first is the ground
        x, y, width, height = (float(rect.get(name)) for name in ("x", "y", "width", "height"))
        places.append((x, y, x + width, y + height))
    return dict(zip(STEPS, places, strict=True))


def corners(path):
    """The points of a path of straight lines: M, H and V with places, h and v with distances."""
    points = []
    for letter, numbers in re.findall(r"([MHVhv])([-\d. ]+)", path):
        values = [float(number) for number in numbers.split()]
        x, y = values if letter == "M" else points[-1]
        moved = {
            "M": (x, y),
            "H": (values[0], y),
            "V": (x, values[0]),
            "h": (x + values[0], y),
            "v": (x, y + values[0]),
        }
        points.append(moved[letter])
    return points


def holder(point, places, within=1.5):
    """The one box that has this point on its edge or so near to it."""
    x, y = point
    found = [
        name
        for name, (left, top, right, bottom) in places.items()
        if left - within <= x <= right + within and top - within <= y <= bottom + within
    ]
    assert len(found) == 1, (point, found)
    return found[0]


def test_boxes_stand_apart_and_in_the_middle_of_the_drawing():
    root = ElementTree.fromstring(data_flow().svg)
    width, height = (float(root.get(name)) for name in ("width", "height"))
    places = boxes(root)
    assert min(box[0] for box in places.values()) == width - max(box[2] for box in places.values()) > 0
    assert min(box[1] for box in places.values()) > 0 and max(box[3] for box in places.values()) < height
    for (name, one), (other, two) in itertools.combinations(places.items(), 2):
        apart = max(two[0] - one[2], one[0] - two[2], two[1] - one[3], one[1] - two[3])
        assert apart >= 12, (name, other)
        if STEPS[name][0] == STEPS[other][0] and STEPS[other][1] - STEPS[name][1] == 1:
            assert one[1] == two[1] and apart == places["ids"][0] - places["text"][2]


def test_what_a_box_says_stands_in_its_middle(mini):
    root = ElementTree.fromstring(data_flow("pattern", model=mini[0]).svg)
    places, said = boxes(root), {name: [] for name in STEPS}
    for text in root.iter(f"{SVG}text"):
        x, y = float(text.get("x")), float(text.get("y"))
        for name, (left, top, right, bottom) in places.items():
            if left <= x <= right and top - 10 < y < bottom:
                said[name].append((text.text, x - left, y - top))
                # A letter of Helvetica is about half as wide as it is high.
                assert text.text == "this lesson" or 0.53 * size(text) * len(text.text) <= right - left
    marks = said["pattern"].pop(0)
    assert marks[0] == "this lesson" and -10 < marks[2] < -2
    for name, lines in said.items():
        assert lines[0][0] == STEPS[name][2] and 2 <= len(lines) <= 4
        assert {x for _, x, _ in lines} == {(places[name][2] - places[name][0]) / 2}
        steps = [below[2] - above[2] for above, below in itertools.pairwise(lines)]
        assert lines[0][2] >= 16 and lines[-1][2] <= places[name][3] - places[name][1] - 5
        assert all(15 <= step <= 22 for step in steps)


def test_arrows_lead_from_step_to_step_and_cross_no_box():
    root = ElementTree.fromstring(data_flow().svg)
    places = boxes(root)
    ways, lines = [], []
    for path in root.iter(f"{SVG}path"):
        if path.get("marker-end"):
            points = corners(path.get("d"))
            ways.append((holder(points[0], places), holder(points[-1], places)))
            for (x, y), (other_x, _), name in (
                (points[0], points[1], ways[-1][0]),
                (points[-1], points[-2], ways[-1][1]),
            ):
                left, top, right, bottom = places[name]
                assert left + 8 < x < right - 8 if x == other_x else top + 8 < y < bottom - 8
            lines += itertools.pairwise(points)
    first, second = (list(itertools.pairwise(name for name in STEPS if STEPS[name][0] == row)) for row in (0, 1))
    assert ways == [*first, *second, ("thirds", "heads"), ("heads", "outputs"), ("residual", "sum")]
    for (x, y), (to_x, to_y) in lines:
        for left, top, right, bottom in places.values():
            assert max(x, to_x) <= left or min(x, to_x) >= right or max(y, to_y) <= top or min(y, to_y) >= bottom
    labels = [text for text in root.iter(f"{SVG}text") if text.text.startswith(("v goes", "the residual"))]
    assert len(labels) == 2
    for label in labels:
        x, y, half = float(label.get("x")), float(label.get("y")), 0.265 * size(label) * len(label.text)
        assert x - half > 0 and x + half < float(root.get("width")) and 10 < y < float(root.get("height")) - 3
        assert any(0 < abs(y - start[1]) < 16 for start, end in lines if start[1] == end[1] and start[0] < x < end[0])
        for left, top, right, bottom in places.values():
            assert x + half < left or x - half > right or y < top or y - size(label) > bottom


def size(text):
    return float(text.get("font-size", 12))


def test_a_page_gets_an_image_with_its_text():
    drawing = data_flow("W_o")
    bundle = drawing._repr_mimebundle_()
    assert bundle["text/plain"] == drawing.text
    assert re.search('alt="([^"]*)"', bundle["text/html"])[1] == drawing.text
    assert "\n" not in drawing.text and drawing.svg == data_flow("W_o").svg


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="^highlight: expected steps of .*, got 'mask'$"):
        data_flow("scores", "mask")
    with pytest.raises(TypeError, match="^model: expected a GPT2LMHeadModel, as load_model gives, got 'mini'$"):
        data_flow(model="mini")
