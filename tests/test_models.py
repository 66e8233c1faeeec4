"""Where models come from: the shipped one, the control, local folders good and bad, and what "auto" does offline."""

import csv
import hashlib
import json
import os
import pickle
import re
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    GPT2DoubleHeadsModel,
    GPT2ForQuestionAnswering,
    GPT2ForSequenceClassification,
    GPT2ForTokenClassification,
    GPT2LMHeadModel,  # noqa: F401  for what a line advises
    GPT2Tokenizer,
)

from headlab import models
from headlab.capture import capture_heads
from headlab.models import MINI, load_model, token_strings

TEXT = "The old man looked at the little white house by the sea."


@pytest.fixture
def folder(tmp_path):
    """A copy of mini that a test may spoil."""
    return shutil.copytree(MINI, tmp_path / "model")


def test_mini_has_the_attention_of_gpt2_small(mini):
    model, tokenizer = mini
    config = model.config
    assert (config.n_layer, config.n_head, config.n_embd, config.n_positions) == (4, 12, 768, 256)
    assert model.transformer.h[0].attn.c_attn.weight.shape == (768, 2304)
    assert type(model).__name__ == "GPT2LMHeadModel" and not model.training
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert len(tokenizer) == config.vocab_size
    assert tokenizer.decode(tokenizer(TEXT).input_ids) == TEXT


def test_mini_ships_small_whole_and_in_half_precision():
    size, digest = (MINI / "weights.sha256").read_text().split()
    weights = MINI / "model.safetensors"
    assert (weights.stat().st_size, hashlib.sha256(weights.read_bytes()).hexdigest()) == (int(size), digest)
    assert sum(path.stat().st_size for path in MINI.iterdir()) <= 32e6
    assert {t.dtype for t in load_file(weights).values()} == {torch.float16}


def held_out_numbers():
    """Loss in nats a token, (bigram, mini), as mini's card states them."""
    rows = [line.split("|") for line in (MINI / "README.md").read_text(encoding="utf-8").splitlines() if "|" in line]
    numbers = {row[1].split()[0]: float(row[2]) for row in rows if row[2].strip()[:1].isdigit()}
    return numbers["bigram"], numbers["mini,"]


def test_the_card_beats_the_bigram():
    bigram, mini = held_out_numbers()
    assert mini <= bigram - 0.3


def test_mini_has_learned_english(mini):
    """Far better than chance (7.6 nats a token) on prose that was written for this test."""
    model, tokenizer = mini
    text = "She opened the door and looked out into the garden, but there was nobody to be seen. "
    ids = tokenizer(text + "He had been waiting for a long time.", return_tensors="pt").input_ids
    with torch.no_grad():
        assert model(ids, labels=ids).loss.item() < 4.5


def test_mini_has_a_previous_token_head(mini):
    model, tokenizer = mini
    ids = tokenizer(
        "The old lighthouse stood at the end of the narrow road, and every evening the keeper climbed the stone stairs "
        "to light the lamp. His daughter carried the oil, the matches and a small basket of bread.",
        return_tensors="pt",
    ).input_ids
    capture = capture_heads(model, ids)
    patterns = torch.stack([capture.pattern(layer) for layer in capture.layers])
    assert patterns[..., 2:, :].diagonal(1, -2, -1).mean(-1).max() >= 0.5


def test_the_trajectory_goes_from_symmetric_to_shifted():
    with open(MINI / "trajectory.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    steps = sorted({int(row["step"]) for row in rows})
    assert steps[0] == 0 and len(steps) >= 10 and len(rows) == 4 * len(steps)

    def negative(step):
        shares = [float(row["fraction_negative"]) for row in rows if int(row["step"]) == step]
        return sum(shares) / len(shares)

    assert abs(negative(0) - 0.5) < 0.1
    assert negative(steps[-1]) > 0.6


def test_the_control_is_untrained_full_size_and_the_same_each_time(control):
    model, tokenizer = control
    config = model.config
    assert (config.n_layer, config.n_head, config.n_embd, config.vocab_size) == (12, 12, 768, 50257)
    state = torch.get_rng_state()
    again, _ = load_model("random")
    assert torch.equal(torch.get_rng_state(), state)
    first = [0.006439220, -0.009369956, -0.044136822]  # of seed 0: figures of the control stay the same in each version
    assert model.transformer.wte.weight[0, :3].tolist() == pytest.approx(first, rel=1e-5)
    for ours, theirs in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    block = model.transformer.h[5]
    assert block.attn.c_attn.weight.std().item() == pytest.approx(0.02, rel=0.01)
    # GPT-2's residual projections start smaller, by the root of their number (Radford et al. 2019, section 2.3).
    for projection in (block.attn.c_proj, block.mlp.c_proj):
        assert projection.weight.std().item() == pytest.approx(0.02 / 24**0.5, rel=0.01)


def test_a_local_folder_loads(folder, mini):
    model, tokenizer = load_model(str(folder))
    ids = tokenizer(TEXT, return_tensors="pt").input_ids
    assert torch.equal(capture_heads(model, ids).q, capture_heads(mini[0], ids).q)


def truncate(folder):
    with open(folder / "model.safetensors", "r+b") as file:
        file.truncate(1_000_000)


def empty(folder):
    (folder / "model.safetensors").write_bytes(b"")


def drop_a_weight(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["transformer.h.2.attn.c_attn.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def cut_a_weight(folder):
    weights = load_file(folder / "model.safetensors")
    weights["transformer.h.2.attn.c_attn.weight"] = weights["transformer.h.2.attn.c_attn.weight"][:, :768].contiguous()
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def configured(**settings):
    """A function that spoils a folder by these settings in its config.json."""

    def spoil(folder):
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, **settings}))

    return spoil


def not_a_number(folder):
    weights = load_file(folder / "model.safetensors")
    weights["transformer.h.2.ln_1.weight"][5] = torch.nan
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def flip_a_bit_of_the_header(folder):
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[weights.index(b"F16")] ^= 1
    (folder / "model.safetensors").write_bytes(weights)


def no_config(folder):
    (folder / "config.json").unlink()


def broken_config(folder):
    (folder / "config.json").write_text("{")


def broken_tokenizer(folder):
    (folder / "tokenizer.json").write_text("{")


class Trap:
    """Unpickling this would write a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def only_a_pickle(folder):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Trap(folder / "sprung")))


def a_pickle_under_another_name(folder):
    (folder / "model.safetensors").write_bytes(pickle.dumps(Trap(folder / "sprung")))


BROKEN = [
    (truncate, "expected whole GPT-2 weights, got: "),
    (empty, "expected whole GPT-2 weights, got: "),
    (drop_a_weight, "expected weights for every part of the model, got missing_keys: transformer.h.2.attn"),
    (cut_a_weight, "h.2.attn.c_attn.weight"),
    (not_a_number, "expected finite weights, got NaN or infinity in transformer.h.2.ln_1.weight"),
    (flip_a_bit_of_the_header, "expected whole GPT-2 weights, got: "),
    (configured(n_layer=3), "expected weights for every part of the model, got unexpected_keys: transformer.h.3."),
    (configured(n_layer=5), "expected weights for every part of the model, got missing_keys: transformer.h.4."),
    (configured(n_layer="many"), "expected whole GPT-2 weights, got: "),
    (configured(n_head=0), "expected whole GPT-2 weights, got: "),
    (configured(activation_function="none"), "expected whole GPT-2 weights, got: "),
    (configured(model_type="llama"), "expected a GPT-2, with model_type gpt2 in config.json, got llama"),
    (no_config, "expected a GPT-2, with model_type gpt2 in config.json, got no readable config.json"),
    (broken_config, "got no readable config.json"),
    (broken_tokenizer, "expected a tokenizer.json of GPT-2's kind, got: "),
    (
        only_a_pickle,
        "expected model.safetensors (headlab opens no pickle files), got pytorch_model.bin (pickles, wh",
    ),
    (a_pickle_under_another_name, "expected whole GPT-2 weights, got: "),
]


@pytest.mark.parametrize(
    ("spoil", "said"),
    BROKEN,
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_folder_that_is_no_whole_gpt2_is_refused_in_one_line(folder, spoil, said, capfd):
    spoil(folder)
    with pytest.raises(ValueError) as caught:
        load_model(str(folder))
    assert str(caught.value).startswith(f"{folder}: ")
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert not (folder / "sprung").exists()
    assert capfd.readouterr() == ("", "")


def in_shards(folder):
    """The weights in several files, as save_pretrained writes large ones."""
    model, _ = load_model(str(folder))
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="20MB")


def without_shard(folder):
    in_shards(folder)
    (folder / "model-00003-of-00005.safetensors").unlink()


def with_broken_shard(folder):
    in_shards(folder)
    (folder / "model-00003-of-00005.safetensors").write_bytes(b"")


def with_broken_index(folder):
    in_shards(folder)
    (folder / "model.safetensors.index.json").write_text("{")


def with_shards_elsewhere(folder, name="../model.safetensors"):
    in_shards(folder)
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    index["weight_map"]["transformer.wte.weight"] = name
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def with_shards_in_a_folder(folder):
    with_shards_elsewhere(folder, "weights/model.safetensors")


def no_tokenizer(folder):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()


def old_tokenizer(folder):
    """vocab.json and merges.txt in place of tokenizer.json."""
    model = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    no_tokenizer(folder)
    (folder / "vocab.json").write_text(json.dumps(model["vocab"]), encoding="utf-8")
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")


def no_merges(folder):
    old_tokenizer(folder)
    (folder / "merges.txt").unlink()


def half_of_the_merges(folder):
    old_tokenizer(folder)
    lines = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()
    (folder / "merges.txt").write_text("\n".join(lines[: len(lines) // 2]), encoding="utf-8")


def a_token_more(folder):
    _, tokenizer = load_model(str(folder))
    tokenizer.add_tokens(["[PAD]"])
    tokenizer.save_pretrained(folder)


def of_another_model(folder):
    no_tokenizer(folder)
    GPT2Tokenizer(vocab={f"w{i}": i for i in range(3000)}, merges=[]).save_pretrained(folder)


def only(*names):
    """A function that leaves files of these names in place of the weights."""

    def spoil(folder):
        (folder / "model.safetensors").unlink()
        for name in names:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(b"{}")

    return spoil


def an_adapter(folder):
    only("adapter_config.json", "adapter_model.safetensors")(folder)
    (folder / "config.json").unlink()


def checkpoints_of_a_training(folder):
    inner = folder / "checkpoint-500"
    inner.mkdir()
    for path in folder.iterdir():
        if path.is_file():
            path.rename(inner / path.name)


def an_adapter_beside_the_weights(folder):
    weights = load_file(folder / "model.safetensors")
    weights["transformer.h.0.attn.c_attn.lora_A.default.weight"] = torch.zeros(8, 768)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def pointers(*names):
    """What `git clone` leaves in the place of large files where git-lfs is not installed."""

    def spoil(folder):
        for name in names:
            (folder / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:12ab\nsize 31000000\n")

    return spoil


def pointer_to_a_shard(folder):
    in_shards(folder)
    pointers("model-00003-of-00005.safetensors")(folder)


def links_to_nothing(folder):
    """A snapshot of the hub's cache that was copied without its blobs."""
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to("../../blobs/12ab")


def config_with(encoding):
    def spoil(folder):
        text = (folder / "config.json").read_text(encoding="utf-8")
        (folder / "config.json").write_text(text, encoding=encoding)

    return spoil


def nothing(folder):
    for path in folder.iterdir():
        path.unlink()


REFUSED = [
    (
        without_shard,
        "all 5 files of the weights that .* names, got no model-00003-of-00005.safetensors; copy",
    ),
    (with_broken_shard, "whole GPT-2 weights, got: .*; download it again"),
    (
        with_broken_index,
        "the names of the weights' files in .*index.json, got none that can be read; copy",
    ),
    (
        with_shards_elsewhere,
        "the names of the weights' files in .*index.json, got none that can be read; c",
    ),
    (
        with_shards_in_a_folder,
        "the names of the weights' files in .*index.json, got none that can be read; c",
    ),
    (no_tokenizer, r"got no tokenizer.json; save it beside the model: tokenizer.save_pretrained\(...\)"),
    (no_merges, r"got no merges.txt; save it beside the model: tokenizer.save_pretrained\(...\)"),
    (
        half_of_the_merges,
        "a merge in merges.txt for each longer token of vocab.json, got none for [0-9]+ of",
    ),
    (a_token_more, "whose ids the model's 2000 embeddings have, got one with ids up to 2000; .*resize_token_embed"),
    (
        of_another_model,
        "whose ids the model's 2000 embeddings have, got one with ids up to [0-9]+; save the model's",
    ),
    (
        only("pytorch_model.bin"),
        r"got pytorch_model.bin \(pickles.*\); if you trust them: GPT2LMHeadModel.from_pre",
    ),
    (only("gpt2.ckpt", "training_args.bin"), r"got gpt2.ckpt \(pickles, which can run any code\); if you trust"),
    (
        only("gpt2-q4.gguf"),
        r"got gpt2-q4.gguf \(GGUF\); convert it: .*, gguf_file='gpt2-q4.gguf'\).save_pretrained",
    ),
    (only("onnx/model.onnx"), r"got onnx/model.onnx \(an ONNX export\); take the model that it was exported from"),
    (only("tf_model.h5"), r"got tf_model.h5 \(weights of TensorFlow or Flax\); transformers 4 converts them: "),
    (only("gpt2.safetensors"), r"got gpt2.safetensors \(safetensors under another name\); rename it to model.safe"),
    (only(), r"got none; save the model there: model.save_pretrained\(...\)"),
    (
        an_adapter,
        r"no readable config.json but adapter_config.json.* \(an adapter alone\); merge it into its model: ",
    ),
    (
        an_adapter_beside_the_weights,
        r"got an adapter \(LoRA\) beside them; merge it: peft's model.merge_and_unload",
    ),
    (checkpoints_of_a_training, "got no readable config.json; name the folder that has it: .*checkpoint-500"),
    (pointers("model.safetensors"), "a file model.safetensors, got Git LFS's pointer to it; fetch it: git lfs pull"),
    (pointers("tokenizer.json"), "a file tokenizer.json, got Git LFS's pointer to it; fetch it: git lfs pull"),
    (
        pointer_to_a_shard,
        "a file model-00003-of-00005.safetensors, got Git LFS's pointer to it; fetch it: git lfs pull",
    ),
    (links_to_nothing, "a file model.safetensors, got a link to a missing file; copy the folder with the files"),
    (config_with("utf-16"), r"got no readable config.json; save the model there again: model.save_pretrained\(...\)"),
    (
        config_with("utf-8-sig"),
        r"got no readable config.json; save the model there again: model.save_pretrained\(...\)",
    ),
    (nothing, r"got no readable config.json; save the model there: model.save_pretrained\(...\)"),
    (configured(model_type="llama"), "got llama; headlab takes apart GPT-2s only"),
    (configured(quantization_config={"bits": 4}), "got quantised ones; save it unquantised: model.dequantize"),
]


@pytest.mark.parametrize(
    ("spoil", "said"),
    REFUSED,
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_of_what_is_refused_the_line_says_what_can_be_done(folder, spoil, said, capfd):
    spoil(folder)
    capfd.readouterr()
    with pytest.raises(ValueError, match=f"^{re.escape(str(folder))}: expected .*{said}") as caught:
        load_model(str(folder))
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def attention_of(model, tokenizer):
    return capture_heads(model, tokenizer(TEXT, return_tensors="pt").input_ids).q


@pytest.mark.parametrize("form", [in_shards, old_tokenizer])
def test_other_forms_of_a_whole_model_are_the_same_model(folder, form, mini):
    form(folder)
    assert torch.equal(attention_of(*load_model(str(folder))), attention_of(*mini))


def test_what_the_line_advises_makes_a_folder_that_loads(folder, mini):
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ValueError) as caught:
        load_model(str(folder))
    exec(str(caught.value).partition("if you trust them: ")[2])
    mini[1].save_pretrained(f"{folder}-safetensors")
    assert torch.equal(attention_of(*load_model(f"{folder}-safetensors")), attention_of(*mini))


TASKS = {
    GPT2ForSequenceClassification: "score.weight",
    GPT2ForTokenClassification: "classifier.bias, classifier.weight",
    GPT2ForQuestionAnswering: "qa_outputs.bias, qa_outputs.weight",
    GPT2DoubleHeadsModel: "multiple_choice_head.summary.bias, multiple_choice_head.summary.weight",
}


@pytest.mark.parametrize("task", TASKS)
def test_a_model_trained_for_another_task_has_every_head_whole(folder, task, mini, capfd):
    model = task(mini[0].config)
    model.transformer.load_state_dict(mini[0].transformer.state_dict())
    model.save_pretrained(folder)
    capfd.readouterr()
    loaded, tokenizer = load_model(str(folder))
    assert type(loaded).__name__ == "GPT2LMHeadModel"
    assert torch.equal(attention_of(loaded, tokenizer), attention_of(*mini))
    assert capfd.readouterr() == (
        f"{folder}: trained for another task, whose own weights are left out ({TASKS[task]}); "
        "the attention heads are whole, but the next tokens that it predicts mean little.\n",
        "",
    )
    weights = load_file(folder / "model.safetensors")
    del weights["transformer.h.2.attn.c_attn.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match="got missing_keys: transformer.h.2.attn.c_attn.weight$"):
        load_model(str(folder))


@pytest.mark.parametrize(
    "prefix", ["", "module.transformer.", "_orig_mod.transformer.", "pretrained_model.transformer."]
)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_transformer_alone_wrapped_or_not_in_any_precision(folder, prefix, dtype, mini, capfd):
    weights = mini[0].transformer.state_dict()
    save_file({prefix + key: value.to(dtype) for key, value in weights.items()}, folder / "model.safetensors")
    model, _ = load_model(str(folder))
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    for key, value in model.transformer.state_dict().items():
        assert torch.equal(value, weights[key].to(dtype).float())
    assert torch.equal(model.lm_head.weight, model.transformer.wte.weight)
    assert capfd.readouterr() == ("", "")


def smaller(n_layer=4, n_positions=256):
    """A function that cuts the model of a folder down."""

    def cut(folder):
        model, _ = load_model(str(folder))
        configured(n_layer=n_layer, n_positions=n_positions)(folder)
        weights = {k: v for k, v in model.state_dict().items() if not k.startswith("transformer.h.")}
        for layer in range(n_layer):
            prefix = f"transformer.h.{layer}."
            weights |= {k: v for k, v in model.state_dict().items() if k.startswith(prefix)}
        weights["transformer.wpe.weight"] = weights["transformer.wpe.weight"][:n_positions].contiguous()
        del weights["lm_head.weight"]
        save_file(weights, folder / "model.safetensors", {"format": "pt"})

    return cut


@pytest.mark.parametrize(
    ("n_layer", "n_head", "n_positions", "enough"),
    [(2, 2, 192, True), (1, 12, 256, False), (4, 12, 191, False), (4, 1, 256, False), (1, 1, 8, False)],
)
def test_a_model_that_is_too_small_for_the_lessons_is_told_where_one_loads_it(
    folder, n_layer, n_head, n_positions, enough, monkeypatch, capsys
):
    smaller(n_layer, n_positions)(folder)
    configured(n_head=n_head)(folder)  # as many heads as one likes share the 768 channels
    load_model(str(folder))  # one's own code takes any size
    assert capsys.readouterr().out == ""
    monkeypatch.setenv("HEADLAB_MODEL", str(folder))
    model, _ = load_model()
    assert model.config.n_layer == n_layer
    note = (
        "Note: the lessons need at least 2 layers of 2 heads and 192 positions, "
        f"and model has {n_layer} of {n_head} and {n_positions}, "
        "so some of their cells will stop or have nothing to compare.\n"
    )
    assert capsys.readouterr().out == f"Model: {folder}.\n" + note * (not enough)


def test_a_folder_in_the_readers_home(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    monkeypatch.setenv("USERPROFILE", str(folder.parent))
    assert load_model("~/model")[0].config.n_layer == 4


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("GPT2", "name: expected 'gpt2', in small letters and without spaces, got 'GPT2'"),
        ("gpt2 ", "name: expected 'gpt2', in small letters and without spaces, got 'gpt2 '"),
        ("Mini", "name: expected 'mini', in small letters and without spaces, got 'Mini'"),
        ("RANDOM", "name: expected 'random', in small letters and without spaces, got 'RANDOM'"),
        ("model/config.json", "name: expected a model's folder, 'model', got a file in it, 'model/config.json'"),
    ],
)
def test_a_slip_in_a_name_is_told(folder, name, said, monkeypatch):
    monkeypatch.chdir(folder.parent)
    with pytest.raises(ValueError) as caught:
        load_model(name)
    assert str(caught.value) == said


def test_a_folder_that_is_not_there_is_not_only_looked_for_on_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OSError, match=rf"^models/x: expected .* \(nor is there a folder models/x in {tmp_path}\)$"):
        load_model("models/x")


def test_code_and_pickles_that_come_with_a_model_stay_shut(folder, mini):
    sprung = folder / "sprung"
    (folder / "evil.py").write_text(f"open({str(sprung)!r}, 'w')\nclass Evil: ...")
    configured(auto_map={"AutoModelForCausalLM": "evil.Evil"})(folder)
    settings = {"auto_map": {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}, "tokenizer_class": "Evil"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Trap(sprung)))
    model, tokenizer = load_model(str(folder))
    assert not sprung.exists()
    ids = tokenizer(TEXT, return_tensors="pt").input_ids
    assert torch.equal(capture_heads(model, ids).q, capture_heads(mini[0], ids).q)


@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation", "_attn_implementation_internal"])
def test_attention_code_that_a_config_names_is_not_looked_for(folder, key):
    configured(**{key: "evil/attention"})(folder)  # to transformers, a kernel to fetch from the hub and run
    model, _ = load_model(str(folder))
    assert model.config._attn_implementation == "eager"


def test_the_trap_would_spring(tmp_path):
    pickle.loads(pickle.dumps(Trap(tmp_path / "sprung"))).close()
    assert (tmp_path / "sprung").exists()


def test_damaged_mini_is_refused(folder, monkeypatch):
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-3] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    monkeypatch.setattr(models, "MINI", folder)
    with pytest.raises(ValueError, match="expected SHA-256 .*; install headlab again$"):
        load_model("mini")


@pytest.mark.parametrize("name", ["nonsense", "", "/no/such/folder", "./gone", "a/b/c", "../x", "a\nb/c"])
def test_a_name_that_means_nothing(name):
    with pytest.raises(ValueError, match="^name: expected one of gpt2, .* or an existing folder, got ") as caught:
        load_model(name)
    assert "\n" not in str(caught.value)


def test_a_name_that_is_no_name():
    with pytest.raises(TypeError, match="^name: expected a model's name such as 'mini', got 3$"):
        load_model(3)


NO_SOCKETS = """
import socket, sys
def refuse(*arguments, **settings):
    raise OSError("no network in this test")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
"""


WITHOUT_NETWORK = """
import os, time
import headlab.models as models
try:
    models.load_model("gpt2")
except OSError as error:
    print(error)
start = time.monotonic()
mini, _ = models.load_model()
print(mini.config.n_layer, time.monotonic() - start)
os.environ["HEADLAB_MODEL"] = "random"
control, _ = models.load_model()
print(control.config.n_layer)
"""


def test_without_a_network_gpt2_is_one_line_and_auto_takes_mini_or_what_the_environment_names(tmp_path):
    """In a fresh Python whose sockets do not work and whose cache is empty; the hub's variable is not set."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HEADLAB_MODEL"))}
    environment |= {"HF_HOME": str(tmp_path / "hf")}
    code = NO_SOCKETS + WITHOUT_NETWORK
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    refused, note, numbers, *control = done.stdout.splitlines()
    assert done.stderr == "" and control == ["Model: random.", "12"]
    assert refused.startswith("openai-community/gpt2: expected the hub to send it, got: ")
    assert note.startswith("Model: mini, the small GPT-2 that ships with headlab, not GPT-2 itself. GPT-2 could not")
    assert "no network in this test" in note
    layers, seconds = numbers.split()
    assert layers == "4" and float(seconds) < 5


def test_tokens_as_labels(mini):
    _, tokenizer = mini
    ids = tokenizer("the old\nman", return_tensors="pt").input_ids
    labels = token_strings(tokenizer, ids)
    assert "".join(labels) == "the·old⏎man"
    assert token_strings(tokenizer, ids[0]) == labels
    assert len(token_strings(tokenizer, [0, 1999])) == 2
    for strange in (-1, 2000):
        with pytest.raises(ValueError, match=r"^input_ids: expected ids from 0 to 1999 \(does the tokenizer belong"):
            token_strings(tokenizer, [0, strange])


def test_part_of_a_character_has_a_label(mini):
    _, tokenizer = mini
    labels = token_strings(tokenizer, tokenizer("🙂", return_tensors="pt").input_ids)
    assert len(labels) > 1 and all(label and "\ufffd" not in label for label in labels)


CLASSROOM = """
import sys, time
import psutil
from headlab import models
from pathlib import Path
import torch, transformers
models.MINI = Path(sys.argv[1])
transformers.AutoTokenizer, transformers.GPT2LMHeadModel  # imported when they are first named
before, starts = psutil.Process().memory_info().rss, (time.monotonic(), time.process_time())
model, tokenizer = models.load_model("mini")
model(**tokenizer("A kernel of thirty.", return_tensors="pt"))
seconds = min(time.monotonic() - starts[0], time.process_time() - starts[1])  # a busy machine does not count
print(seconds, (psutil.Process().memory_info().rss - before) / 1e6)
"""


def test_a_class_loads_mini_from_one_read_only_folder_quickly_and_in_little_memory(folder):
    for path in [*folder.iterdir(), folder]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")}
    done = subprocess.run([sys.executable, "-c", CLASSROOM, str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    seconds, megabytes = map(float, done.stdout.split())
    assert seconds < 3 and megabytes < 300
    assert {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")} == before
