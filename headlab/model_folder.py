"""Checks that a model's folder holds a whole GPT-2 as safetensors and its tokenizer, or says what can be done."""

import json
from pathlib import Path

from headlab import download
from headlab._expect import shown

INDEX = f"{download.WEIGHTS}.index.json"  # of weights in several files
# Files that hold weights in another form: how they are called, what they are, what can be done about them.
OTHER_FORMS = (
    (
        "adapter_config.json adapter_model.*",
        "an adapter alone",
        "merge it into its model: peft's model.merge_and_unload().save_pretrained(...)",
    ),
    ("*.gguf", "GGUF", "convert it: {load}({folder!r}, gguf_file={name!r}).save_pretrained({new!r})"),
    ("*.onnx onnx/*.onnx", "an ONNX export", "take the model that it was exported from"),
    (
        "*.bin *.pt *.pth *.ckpt *.pkl",
        "pickles, which can run any code",
        "if you trust them: {load}({folder!r}).save_pretrained({new!r})",
    ),
    (
        "*.h5 *.msgpack *.ckpt.index",
        "weights of TensorFlow or Flax",
        "transformers 4 converts them: {load}({folder!r}, from_tf=True).save_pretrained({new!r})",
    ),
    ("*.safetensors", "safetensors under another name", "rename it to model.safetensors"),
)
LOAD = "GPT2LMHeadModel.from_pretrained"
LFS = b"version https://git-lfs"
TOKENIZERS = (
    ("tokenizer.json",),
    ("vocab.json", "merges.txt"),
    ("vocab.txt",),
    ("tokenizer.model",),
    ("spiece.model",),
)


def check_folder(folder):
    """Raise ValueError in one line, with what can be done, unless the folder has every file of a GPT-2 in safetensors.

    The files' names, how they begin, and config.json are looked at, no weight is.
    """
    _check_content(folder)
    _check_config(folder)
    if (folder / download.WEIGHTS).is_file():
        pass
    elif (folder / INDEX).is_file():
        _check_shards(folder)
    else:
        expected = f"{download.WEIGHTS} (headlab opens no pickle files)"
        got, remedy = _other_form(folder) or ("none", "save the model there: model.save_pretrained(...)")
        refuse(folder, expected, got, remedy)
    _check_tokenizer(folder)


def refuse(folder, expected, got, remedy):
    """Raise the ValueError: one line that ends in what can be done."""
    raise ValueError(f"{folder}: expected {expected}, got {shown(got)}; {remedy}")


def is_other_head(key):
    """True for a weight outside of the transformer: the head of another task, which no attention head needs."""
    inside = ("transformer.", "h.", "wte.", "wpe.", "ln_f.")
    return not key.startswith(inside) and "lora_" not in key


def _check_content(folder):
    """Check that every file holds what its name promises, and is no stand-in left by git or by a copied cache."""
    for path in sorted(folder.glob("*")):
        if path.is_symlink() and not path.exists():
            remedy = "copy the folder with the files that its links point to: cp -rL"
            refuse(folder, f"a file {path.name}", "a link to a missing file", remedy)
        if path.is_file():
            with open(path, "rb") as file:
                if file.read(len(LFS)) == LFS:
                    refuse(folder, f"a file {path.name}", "Git LFS's pointer to it", "fetch it: git lfs pull")


def _check_config(folder):
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        model_type = config.get("model_type")
    except (OSError, ValueError, AttributeError):
        config, model_type = {}, "no readable config.json"
    if model_type != "gpt2":
        remedy = (
            "headlab takes apart GPT-2s only" if config else "save the model there again: model.save_pretrained(...)"
        )
        if not (folder / "config.json").is_file():
            nested = sorted(path.parent for path in folder.glob("*/config.json"))
            nested = nested or sorted(path.parent for path in folder.glob("*/*/config.json"))
            remedy = "save the model there: model.save_pretrained(...)"
            if nested:
                remedy = f"name the folder that has it: {nested[-1]}"
            elif _other_form(folder):
                found, remedy = _other_form(folder)
                model_type = f"{model_type} but {found}"
        refuse(folder, "a GPT-2, with model_type gpt2 in config.json", model_type, remedy)
    if config.get("quantization_config"):
        remedy = "save it unquantised: model.dequantize().save_pretrained(...)"
        refuse(folder, "weights as floating-point numbers", "quantised ones", remedy)


def _other_form(folder):
    """(what the folder holds in place of model.safetensors, what can be done), or None where it holds no weights."""
    for patterns, kind, remedy in OTHER_FORMS:
        found = sorted(path.relative_to(folder).as_posix() for one in patterns.split() for path in folder.glob(one))
        found = [name for name in found if name != "training_args.bin"]
        if found:
            names = {"load": LOAD, "folder": str(folder), "name": found[0], "new": f"{folder}-safetensors"}
            return f"{', '.join(found)} ({kind})", remedy.format(**names)
    return None


def _check_shards(folder):
    again = "copy or download it again"
    try:
        names = set(json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values())
        plain = all(Path(name).name == name for name in names)
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        names, plain = set(), False
    if not (names and plain):
        refuse(folder, f"the names of the weights' files in {INDEX}", "none that can be read", again)
    missing = sorted(name for name in names if not (folder / name).is_file())
    if missing:
        refuse(folder, f"all {len(names)} files of the weights that {INDEX} names", f"no {', '.join(missing)}", again)


def _check_tokenizer(folder):
    """The tokenizer's files are there; transformers would make up an empty tokenizer."""
    missing = [[name for name in names if not (folder / name).is_file()] for names in TOKENIZERS]
    if all(missing):
        half = next((names for names, lack in zip(TOKENIZERS, missing, strict=True) if len(lack) < len(names)), ())
        lacking = next((lack for lack in missing if half and lack[0] in half), ["tokenizer.json"])
        got = f"no {' and no '.join(lacking)}"
        remedy = "save it beside the model: tokenizer.save_pretrained(...)"
        refuse(folder, "a tokenizer: tokenizer.json, or vocab.json and merges.txt", got, remedy)
    if missing[0] and not missing[1]:
        _check_merges(folder)


def _check_merges(folder):
    """Every longer token is made by a merge; if merges.txt breaks off, texts would silently be cut up differently."""
    try:
        vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
        lines = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return  # which transformers reports
    made = {line.replace(" ", "") for line in lines}
    lost = [token for token in vocabulary if len(token) > 1 and token not in made]
    if len(lost) > 10 + len(vocabulary) / 100:  # special tokens are not made
        got = f"none for {len(lost):,} of its tokens"
        refuse(folder, "a merge in merges.txt for each longer token of vocab.json", got, "copy or download it again")
