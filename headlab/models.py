"""Where a model comes from: GPT-2 from the hub, the mini that ships with headlab, or an untrained control."""

import json
import os
from contextlib import contextmanager
from pathlib import Path

import torch
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel
from transformers.utils import logging

from headlab import download
from headlab._expect import expect, finite_array, shown

MINI = Path(__file__).parent / "data" / "mini"
RANDOM_SEED = 0


def load_model(name="auto"):
    """A GPT-2 language model, ready to look into, and its tokenizer.

    name: "gpt2" (GPT-2 small, one fixed version), another GPT-2 id or a local folder; "mini", the small trained
    model that ships with headlab; "random", GPT-2 small's shape with seeded, untrained weights and mini's
    tokenizer: the control; or "auto", which takes the environment variable HEADLAB_MODEL where it is set, else
    gpt2 where it is on this machine or the hub answers within seconds, else mini, and says which, and why, in one line.
    Returns (GPT2LMHeadModel in evaluation mode, float32, eager attention; tokenizer). Raises ValueError where a
    name, a folder or its weights are not what they should be, OSError where a download fails.
    Introduced in lesson 1.
    """
    if not isinstance(name, str):
        raise TypeError(f"name: expected a model's name such as 'mini', got {shown(repr(name))}")
    if name == "auto":
        name, problem = _choose()
        _announce(name, problem)
    if name == "random":
        return _random_model(), _load_tokenizer(MINI)
    folder = _folder(name)
    return _load_weights(folder), _load_tokenizer(folder)


def token_strings(tokenizer, input_ids):
    """Each token as a short printable label, a leading space shown as a middle dot: "·the".

    input_ids (T,) or (1, T), whole numbers. Raises where one is no token of the tokenizer's.
    Introduced in lesson 1.
    """
    ids = finite_array(input_ids, "input_ids")
    if ids.size and ids.dtype.kind not in "iu":
        raise TypeError(f"input_ids: expected whole numbers, got {ids.dtype}")
    fits = ((ids >= 0) & (ids < len(tokenizer))).all()
    expect(fits, "input_ids", f"ids from 0 to {len(tokenizer) - 1} (does the tokenizer belong to them?)", ids)
    return [_label(tokenizer, int(token)) for token in ids.ravel()]


def _label(tokenizer, token):
    text = tokenizer.decode([token])
    if "\ufffd" in text:  # Part of a character that takes several bytes: show the byte-level name.
        text = tokenizer.convert_ids_to_tokens(token)
    text = text.replace(" ", "·").replace("\n", "⏎")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def model_name(model):
    """The name that a model was loaded under: "mini", "gpt2", "random", an id or a folder's name.

    A model that was made, not loaded, is "unnamed": it may be untrained or not.
    Introduced in lesson 1.
    """
    if not isinstance(getattr(model, "name_or_path", None), str):
        raise TypeError(f"model: expected a GPT2LMHeadModel, as load_model gives, got {shown(repr(model))}")
    if not model.name_or_path:
        return "unnamed"
    folder = Path(model.name_or_path)
    if not folder.name:  # the folder that one is in
        return folder.resolve().name
    if folder.parent.name != "snapshots":
        return folder.name
    name = folder.parents[1].name.removeprefix("models--").replace("--", "/")
    return name.removeprefix("openai-community/")


def wished_model():
    """The name in the environment variable HEADLAB_MODEL, or "" where it leaves the choice to "auto"."""
    wish = os.environ.get("HEADLAB_MODEL", "").strip()
    return "" if wish == "auto" else wish


def _choose():
    """(name, problem): the model that "auto" stands for on this machine now, and what kept GPT-2 away, if that did."""
    wish = wished_model()
    if wish:
        return wish, None
    if download.find(download.GPT2):
        return "gpt2", None
    problem = download.problem()
    if problem:
        return "mini", problem
    try:
        download.download(download.GPT2)
    except OSError as error:
        return "mini", str(error)
    return "gpt2", None


def _announce(name, problem):
    mini = "Model: mini, the small GPT-2 that ships with headlab, not GPT-2 itself"
    if problem:
        print(f"{mini}. GPT-2 could not be downloaded: {problem}.")
    elif name == "mini":
        print(f"{mini} (to get that: connect once, run `headlab download gpt2`, leave HEADLAB_MODEL unset).")
    else:
        print(f"Model: {name}.")


def _folder(name):
    """The folder that holds a model's files, downloaded first where need be."""
    if name == "mini":
        return MINI
    if name not in download.SHORT_NAMES and os.path.isdir(name):  # False, too, for names that no file can have
        return Path(name)
    repo = download.repo_of(name)
    return download.find(repo) or download.download(repo)


def _load_weights(folder):
    _check_folder(folder)
    with _quiet():
        try:
            model, report = GPT2LMHeadModel.from_pretrained(
                folder,
                dtype=torch.float32,
                attn_implementation="eager",
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # reported below, where the weight is named
            )
        except Exception as error:  # A wrong config.json alone makes transformers raise some ten kinds.
            reason = " ".join(str(error).split())[:120]
            raise ValueError(f"{folder}: expected whole GPT-2 weights, got: {reason}; download it again") from error
    # transformers would fill what a file lacks with random numbers, leave out what is too much, and only warn.
    for problem in ("missing_keys", "mismatched_keys", "unexpected_keys"):
        # Old files hold the causal mask too, under the name of a bias.
        wrong = sorted(
            str(key) for key in report[problem] if not str(key).endswith((".attn.bias", ".attn.masked_bias"))
        )
        expect(not wrong, folder, "weights for every part of the model", f"{problem}: {', '.join(wrong)[:120]}")
    for name, weight in model.named_parameters():
        expect(weight.isfinite().all(), folder, "finite weights", f"NaN or infinity in {name}; download it again")
    return model.eval()


def _check_folder(folder):
    """Raise ValueError in one line unless the folder holds a GPT-2 as safetensors, and the right one where pinned."""
    weights, config = folder / download.WEIGHTS, folder / "config.json"
    try:
        model_type = json.loads(config.read_text(encoding="utf-8")).get("model_type")
    except (OSError, ValueError, AttributeError):
        model_type = "no readable config.json"
    expect(model_type == "gpt2", folder, "a GPT-2, with model_type gpt2 in config.json", model_type)
    expect(weights.is_file(), folder, f"{download.WEIGHTS} (headlab opens no pickle files)", "none")
    if folder == MINI:
        size, digest = (MINI / "weights.sha256").read_text().split()
        download.check_weights(weights, download.Pin("", int(size), digest), "install headlab again")
    for pin in download.PINS.values():
        if folder.name == pin.revision:
            remedy = "delete this file, then run `headlab download gpt2`"
            download.check_weights(weights.resolve(), pin, remedy)


def _load_tokenizer(folder):
    with _quiet():
        try:
            return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        except Exception as error:  # tokenizers raises a bare Exception for a file it cannot read.
            reason = " ".join(str(error).split())[:120]
            raise ValueError(f"{folder}: expected a tokenizer.json of GPT-2's kind, got: {reason}") from error


def _random_model():
    """GPT-2 small's shape with untrained weights, the same on every call; the caller's random state stays."""
    with torch.random.fork_rng(devices=[]), _quiet():
        torch.manual_seed(RANDOM_SEED)
        model = GPT2LMHeadModel(GPT2Config(attn_implementation="eager")).eval()
    model.name_or_path = "random"
    return model


@contextmanager
def _quiet():
    """transformers without progress bars and warnings, which would land on stderr in every notebook."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
