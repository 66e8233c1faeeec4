"""The drawing of the data flow: its shapes are the model's, and what is marked is said in words too."""

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
