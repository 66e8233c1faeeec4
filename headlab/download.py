"""GPT-2's files from the Hugging Face hub into its own cache: resumed after an interruption, whole or not at all."""

import errno
import hashlib
import os
import re
import threading
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock
from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError
from huggingface_hub.file_download import http_get, repo_folder_name
from huggingface_hub.utils import logging

from headlab._expect import shown

WEIGHTS = "model.safetensors"
REQUIRED = ("config.json", "tokenizer.json", WEIGHTS)
OPTIONAL = ("tokenizer_config.json",)
SHORT_NAMES = ("gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl")
GPT2 = "openai-community/gpt2"


class Pin(NamedTuple):
    """One exact version of a model: its revision and its weights' size in bytes and SHA-256."""

    revision: str
    size: int
    sha256: str


PINS = {
    GPT2: Pin(
        revision="607a30d783dfa663caf39e06633721c8d4cfcd7e",
        size=548_105_171,
        sha256="248dfc3911869ec493c76e65bf2fcf7f615828b0254c12b473182f0f81d3a707",
    )
}


def repo_of(name):
    """The hub's id, owner/name, of a short name such as "gpt2" or of an id; ValueError where it is neither."""
    if not isinstance(name, str):
        raise TypeError(f"name: expected a model's name such as 'gpt2', got {shown(repr(name))}")
    if name in SHORT_NAMES:
        return f"openai-community/{name}"
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", name, re.ASCII):
        known = ", ".join(SHORT_NAMES)
        raise ValueError(
            f"name: expected one of {known}, an id owner/name or a folder that is there, got {shown(repr(name))}"
        )
    return name


def find(repo):
    """Folder of a model in the hub's cache, or None where a file is missing. Asks no network."""
    files = [try_to_load_from_cache(repo, name, revision=_revision(repo)) for name in REQUIRED]
    return Path(files[0]).parent if all(isinstance(f, str) for f in files) else None


def hub_answers(seconds=3.0):
    """True where the hub offers GPT-2's pinned weights within so many seconds; a login page does not count."""
    if constants.HF_HUB_OFFLINE:
        return False
    answers = []

    def ask():
        try:
            metadata = _weights_metadata(GPT2, seconds)
            answers.append((metadata.size, metadata.etag) == PINS[GPT2][1:])
        except Exception:  # Whatever keeps the hub from answering, the answer is no.
            return

    # A thread of its own, because looking up the hub's name can outlast any timeout given to the request.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(seconds)
    return any(answers)


def download(repo):
    """Bring a model's files into the hub's cache, with a progress bar, and return their folder.

    repo: an id such as "openai-community/gpt2". Weights are safetensors only, resumed after an interruption, and
    renamed into place once their size and SHA-256 are right. Raises ConnectionError or OSError in one line.
    """
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # the client's own retries, or it writes a line about each
    try:
        # The hub is asked once before anything is fetched, so that no connection means no long row of retries.
        metadata = _weights_metadata(repo, seconds=10)
        # The weights come last, so that a folder that has them has everything.
        for name in OPTIONAL + REQUIRED[:-1]:
            try:
                hf_hub_download(repo, name, revision=_revision(repo))
            except EntryNotFoundError:
                if name in REQUIRED:
                    raise
        _download_weights(repo, metadata)
        return Path(hf_hub_download(repo, WEIGHTS, revision=_revision(repo))).parent
    except Exception as error:  # The hub's client raises some twenty kinds; a reader needs one line.
        raise _one_line(repo, error) from error
    finally:
        logging.set_verbosity(verbosity)


def check_weights(path, pin, remedy):
    """Raise ValueError in one line unless the file has the pinned size and SHA-256; `remedy` says what to do."""
    size = path.stat().st_size
    if size != pin.size:
        raise ValueError(f"{path}: expected {pin.size:,} bytes, got {size:,}; {remedy}")
    digest = _sha256(path)
    if digest != pin.sha256:
        raise ValueError(f"{path}: expected SHA-256 {pin.sha256[:12]}..., got {digest[:12]}...; {remedy}")


def _one_line(repo, error):
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return OSError(f"{repo}: expected room in {constants.HF_HUB_CACHE}, got a full disk; free some, then run again")
    if isinstance(error, PermissionError) or getattr(error, "errno", None) == errno.EROFS:
        return OSError(f"{repo}: expected a folder that can be written, got {error.filename}; set HF_HOME to one")
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return ConnectionError(f"{repo}: expected the hub to send it, got: {reason}; run again to resume")


def _revision(repo):
    return PINS[repo].revision if repo in PINS else "main"


def _sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _weights_metadata(repo, seconds):
    return get_hf_file_metadata(hf_hub_url(repo, WEIGHTS, revision=_revision(repo)), timeout=seconds)


def _download_weights(repo, metadata):
    """The weights as a blob of the hub's cache, where its own client then finds them.

    The hub's client starts again from nothing after an interruption, hence this part file of our own.
    """
    pin = PINS.get(repo, Pin(metadata.commit_hash, metadata.size, metadata.etag))
    if (metadata.size, metadata.etag) != (pin.size, pin.sha256):
        raise ValueError(f"the hub offers {metadata.size} bytes with tag {metadata.etag}, not the pinned weights")
    if not re.fullmatch("[0-9a-f]{64}", pin.sha256):
        raise ValueError(f"the hub gives no SHA-256 for {WEIGHTS}, so a damaged file could not be told")
    blob = Path(constants.HF_HUB_CACHE, repo_folder_name(repo_id=repo, repo_type="model"), "blobs", pin.sha256)
    part = blob.with_name(blob.name + ".headlab-part")
    blob.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{part}.lock"):  # A second notebook waits here, then finds the file.
        if blob.exists() or find(repo):
            return
        with open(part, "ab") as file:
            if file.tell() > pin.size:
                file.truncate(0)
            http_get(
                metadata.location,
                file,
                resume_size=file.tell(),
                expected_size=pin.size,
                displayed_filename=f"{repo} {WEIGHTS}",
            )
        if _sha256(part) != pin.sha256:
            part.unlink()
            raise ValueError("a damaged file, which is deleted")
        os.replace(part, blob)
