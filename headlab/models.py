"""Where a model comes from: GPT-2 from the hub, the mini that ships with headlab, or an untrained control."""

import os
from contextlib import contextmanager
from pathlib import Path

import torch
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel
from transformers.utils import logging

from headlab import download
from headlab._expect import expect, real_array, shown
from headlab._settings import as_torch_starts
from headlab.model_folder import check_folder, is_other_head, refuse

MINI = Path(__file__).parent / "data" / "mini"
RANDOM_SEED = 0
LEAST_LAYERS, LEAST_HEADS, LEAST_POSITIONS = 2, 2, 192  # that the lessons take for granted
WRAPPERS = r"^(module\.|_orig_mod\.|pretrained_model\.)+"  # before the names: DDP, torch.compile, trl


def load_model(name="auto"):
    """A GPT-2 language model, ready to look into, and its tokenizer.

    name: "gpt2" (GPT-2 small, one fixed version), another GPT-2 id or a local folder; "mini", the small trained model
    that ships with headlab; "random", GPT-2 small's shape with seeded, untrained weights and mini's tokenizer: the
    control; or "auto", which takes the environment variable HEADLAB_MODEL where it is set, else gpt2 where it is on
    this machine or the hub answers within seconds, else mini; one line says which, and why. Returns (GPT2LMHeadModel in
    evaluation mode, float32, eager attention; tokenizer). Raises ValueError where a name, a folder or its weights are
    not what they should be, OSError where a download fails.
    Introduced in lesson 1.

    >>> model, tokenizer = load_model("mini")
    >>> model.config.n_layer, model.config.n_head
    (4, 12)
    """
    if not isinstance(name, str):
        raise TypeError(f"name: expected a model's name such as 'mini', got {shown(repr(name))}")
    if name == "auto":
        model, tokenizer = load_model(resolve(name))
        if too_small(model):
            print(f"Note: {too_small(model)}.")
        return model, tokenizer
    if name == "random":
        return _random_model(), _load_tokenizer(MINI)
    folder = _folder(name)
    _check_folder(folder)
    model, tokenizer = _load_weights(folder), _load_tokenizer(folder)
    _check_pair(folder, model, tokenizer)
    return model, tokenizer


def too_small(model):
    """What a model lacks that the lessons take for granted, in one line; "" where it has all of it."""
    layers, heads, positions = model.config.n_layer, model.config.n_head, model.config.n_positions
    if layers >= LEAST_LAYERS and heads >= LEAST_HEADS and positions >= LEAST_POSITIONS:
        return ""
    wanted = f"the lessons need at least {LEAST_LAYERS} layers of {LEAST_HEADS} heads and {LEAST_POSITIONS} positions"
    found = f"{model_name(model)} has {layers} of {heads} and {positions}"
    return f"{wanted}, and {found}, so some of their cells will stop or have nothing to compare"


def token_strings(tokenizer, input_ids):
    """Each token as a short printable label, a leading space shown as a middle dot: "·the".

    input_ids (T,) or (1, T), whole numbers. Raises where one of them is not a token of the tokenizer.
    Introduced in lesson 1.

    >>> model, tokenizer = load_model("mini")
    >>> token_strings(tokenizer, tokenizer("the old man").input_ids)
    ['the', '·old', '·man']
    """
    if not hasattr(tokenizer, "decode"):
        raise TypeError(f"tokenizer: expected a tokenizer, as load_model gives, got {type(tokenizer).__name__}")
    ids = real_array(input_ids, "input_ids")
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

    >>> model, tokenizer = load_model("mini")
    >>> model_name(model)
    'mini'
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


def resolve(name):
    """The name that "auto" stands for now, which is said in one line; any other name as it is."""
    if name == "auto":
        name, problem = _choose()
        _announce(name, problem)
    return name


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
        print(f"{mini}.\nTo get that, connect once, run `headlab download gpt2` and leave HEADLAB_MODEL unset.")
    else:
        print(f"Model: {name}.")


def find_folder(name):
    """(folder, repo) of a model: its folder on this machine or None, and the hub's id of one that comes from there."""
    if name == "mini":
        return MINI, None
    path = os.path.expanduser(name)
    if name not in download.SHORT_NAMES and os.path.isdir(path):  # False, too, for names that no file can have
        return Path(path), None
    _check_name(name, path)
    repo = download.repo_of(name)
    return download.find(repo), repo


def _folder(name):
    """The folder that holds a model's files, downloaded first where need be."""
    folder, repo = find_folder(name)
    try:
        return folder or download.download(repo)
    except OSError as error:
        if name in download.SHORT_NAMES:
            raise
        raise type(error)(f"{error} (nor is there a folder {name} in {os.getcwd()})") from error


def _check_name(name, path):
    """Raise ValueError where a name can only be a slip."""
    known = {known.lower(): known for known in ("mini", "random", "auto", *download.SHORT_NAMES)}
    meant = known.get(name.strip().lower())
    expect(meant in (None, name), "name", f"{meant!r}, in small letters and without spaces", repr(name))
    expect(not os.path.isfile(path), "name", f"a model's folder, {str(Path(path).parent)!r}", f"a file in it, {name!r}")


def _check_folder(folder):
    """Raise ValueError in one line unless the folder holds a GPT-2 as safetensors, and the right one where pinned."""
    check_folder(folder)
    if folder == MINI:
        size, digest = (MINI / "weights.sha256").read_text(encoding="utf-8").split()
        download.check_weights(MINI / download.WEIGHTS, download.Pin("", int(size), digest), "install headlab again")
    for pin in download.PINS.values():
        if folder.name == pin.revision:
            remedy = "delete this file, then run `headlab download gpt2`"
            download.check_weights((folder / download.WEIGHTS).resolve(), pin, remedy)


def _load_weights(folder):
    with _quiet(), torch.device("cpu"):
        try:
            model, report = GPT2LMHeadModel.from_pretrained(
                folder,
                dtype=torch.float32,
                attn_implementation="eager",
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # reported below, where the weight is named
                key_mapping={WRAPPERS: ""},
            )
        except Exception as error:  # A wrong config.json alone makes transformers raise some ten kinds.
            reason = " ".join(str(error).split())[:120]
            raise ValueError(f"{folder}: expected whole GPT-2 weights, got: {reason}; download it again") from error
    _check_report(folder, report)
    for name, weight in model.named_parameters():
        expect(weight.isfinite().all(), folder, "finite weights", f"NaN or infinity in {name}; download it again")
    return model.eval()


def _check_report(folder, report):
    """Refuse what transformers would only warn of: it fills what a file lacks with random numbers."""
    keys = {problem: sorted(map(str, report[problem])) for problem in ("missing_keys", "mismatched_keys")}
    # Old files hold the causal mask too, under the name of a bias.
    masks = (".attn.bias", ".attn.masked_bias")
    extra = sorted(key for key in map(str, report["unexpected_keys"]) if not key.endswith(masks))
    keys["unexpected_keys"] = [key for key in extra if not is_other_head(key)]
    if any("lora_" in key for key in keys["unexpected_keys"]):
        remedy = "merge it: peft's model.merge_and_unload().save_pretrained(...)"
        refuse(folder, "weights for every part of the model", "an adapter (LoRA) beside them", remedy)
    for problem, wrong in keys.items():
        expect(not wrong, folder, "weights for every part of the model", f"{problem}: {', '.join(wrong)[:120]}")
    others = list(filter(is_other_head, extra))
    if others:
        print(
            f"{folder}: trained for another task, whose own weights are left out ({shown(', '.join(others))}); "
            "the attention heads are whole, but the next tokens that it predicts mean little."
        )


def _check_pair(folder, model, tokenizer):
    """Refuse a tokenizer that gives ids for which the model has no embedding."""
    highest, rows = max(tokenizer.get_vocab().values(), default=-1), model.config.vocab_size
    if highest < 0 or highest >= rows:
        got = f"one with ids up to {highest}" if highest >= 0 else "one without tokens"
        remedy = "save the model's own there, or call model.resize_token_embeddings(len(tokenizer)) and save both"
        refuse(folder, f"a tokenizer whose ids the model's {rows} embeddings have", got, remedy)


def _load_tokenizer(folder):
    with _quiet():
        try:
            return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        except Exception as error:  # tokenizers raises a bare Exception for a file it cannot read.
            reason = " ".join(str(error).split())[:120]
            raise ValueError(f"{folder}: expected a tokenizer.json of GPT-2's kind, got: {reason}") from error


def _random_model():
    """GPT-2 small's shape with untrained weights, the same on every call; the caller's random state stays."""
    with torch.random.fork_rng(devices=[]), _quiet(), as_torch_starts():
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
