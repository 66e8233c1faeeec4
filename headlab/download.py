"""GPT-2's files from the Hugging Face hub into its own cache: resumed after an interruption, whole or not at all."""

import errno
import hashlib
import os
import re
import time
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import NamedTuple

from filelock import FileLock, Timeout
from huggingface_hub import (
    constants,
    get_hf_file_metadata,
    get_token,
    hf_hub_download,
    hf_hub_url,
    try_to_load_from_cache,
)
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HTTPError
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.utils import get_session, hf_raise_for_status, logging, tqdm

from headlab._expect import shown
from headlab.hub_errors import PAGE, NotTheModel, TooSlow, why

WEIGHTS = "model.safetensors"
REQUIRED = ("config.json", "tokenizer.json", WEIGHTS)
OPTIONAL = ("tokenizer_config.json",)
SHORT_NAMES = ("gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl")
OWNER = "openai-community"
GPT2 = f"{OWNER}/gpt2"

# Seconds, so that nothing waits for ever.
ASKED = 10  # the hub, for what it has
SMALL_FILE = 120  # a megabyte, the tokenizer
SILENCE = 10  # nothing more of the weights
PACE, PACED = 5_000, 60  # bytes a second of the weights at least, looked at every so many seconds
ATTEMPTS, PROGRESS = 5, 100_000  # goes at the weights that bring less than so many bytes


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
        return f"{OWNER}/{name}"
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", name, re.ASCII):
        known = ", ".join(SHORT_NAMES)
        raise ValueError(
            f"name: expected one of {known}, an id owner/name or an existing folder, got {shown(repr(name))}"
        )
    return name


def find(repo):
    """Folder of a model in the hub's cache, or None where a file is missing. Asks no network."""
    files = [try_to_load_from_cache(repo, name, revision=_revision(repo)) for name in REQUIRED]
    return Path(files[0]).parent if all(isinstance(f, str) for f in files) else None


def problem(repo=GPT2, seconds=3.0):
    """Why a model cannot be downloaded now, "cause; remedy"; None where the hub offers it within so many seconds."""
    try:
        _offer(repo, seconds)
    except Exception as error:  # Whatever keeps the hub from answering, the reader is told.
        return why(error)
    return None


def download(repo):
    """Bring a model's files into the hub's cache, with a progress bar, and return their folder.

    repo: an id such as "openai-community/gpt2". Weights are safetensors only, resumed after an interruption, and
    renamed into place once their size and SHA-256 are right. Raises ConnectionError or OSError in one line, with the
    cause and what to do.
    """
    try:
        with _quiet():
            # The hub is asked once before anything is fetched, so that no connection means no long row of retries.
            metadata, token = _offer(repo, ASKED)
            # The weights come last, so that a folder that has them has everything.
            for name in OPTIONAL + REQUIRED[:-1]:
                _small_file(repo, name, token)
            _download_weights(repo, metadata, token)
            return Path(_small_file(repo, WEIGHTS, token)).parent  # which is there, and gets its name in the cache
    except Exception as error:  # The hub's client raises some twenty kinds; a reader needs one line.
        raise _one_line(repo, error) from error


def check_weights(path, pin, remedy):
    """Raise ValueError in one line unless the file has the pinned size and SHA-256; `remedy` says what to do."""
    size = path.stat().st_size
    if size != pin.size:
        raise ValueError(f"{path}: expected {pin.size:,} bytes, got {size:,}; {remedy}")
    digest = _sha256(path)
    if digest != pin.sha256:
        raise ValueError(f"{path}: expected SHA-256 {pin.sha256[:12]}..., got {digest[:12]}...; {remedy}")


def _one_line(repo, error):
    number, place = getattr(error, "errno", None), getattr(error, "filename", None)
    if number in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        full = "a full disk" if number == errno.ENOSPC else "a quota that is used up"
        remedy = "free some, or set HF_HOME to a folder elsewhere, then run again"
        return OSError(f"{repo}: expected room in {constants.HF_HUB_CACHE}, got {full}; {remedy}")
    if place and number in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
        return OSError(f"{repo}: expected a folder that can be written, got {place}; set HF_HOME to one")
    return ConnectionError(f"{repo}: expected the hub to send it, got: {why(error)}")


@contextmanager
def _quiet():
    """Without the lines that the hub's client writes about each of its own retries."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def _within(seconds, call, *arguments, **settings):
    """What a call gives or raises, or TimeoutError after so many seconds.

    In a thread of its own, because looking up the hub's name, or an answer that comes byte by byte, can outlast any
    timeout given to the request.
    """
    outcome = Future()

    def run():
        try:
            outcome.set_result(call(*arguments, **settings))
        except BaseException as error:
            outcome.set_exception(error)

    Thread(target=run, daemon=True).start()
    try:
        return outcome.result(seconds)
    except TimeoutError:
        if outcome.done():
            raise
        raise TooSlow(f"no answer within {seconds:g} seconds") from None


def _revision(repo):
    return PINS[repo].revision if repo in PINS else "main"


def _sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _offer(repo, seconds):
    """What the hub says of a model's weights, checked, and the token that it wanted (False: none).

    OpenAI's models are public. A token is sent only where the hub refuses without one: it answers 401 to an old one.
    """
    url = hf_hub_url(repo, WEIGHTS, revision=_revision(repo))
    token = False
    try:
        metadata = _within(seconds, get_hf_file_metadata, url, token=token, timeout=seconds)
    except HfHubHTTPError as error:
        token = get_token()
        if not token or repo.startswith(f"{OWNER}/") or error.response.status_code not in (401, 403, 404):
            raise
        metadata = _within(seconds, get_hf_file_metadata, url, token=token, timeout=seconds)
    if metadata.commit_hash is None:  # which every answer of the hub has
        raise NotTheModel(*PAGE)
    pin = PINS.get(repo)
    if pin and (metadata.size, metadata.etag) != (pin.size, pin.sha256):
        found = f"{metadata.size} bytes with tag {metadata.etag}, not the pinned weights"
        raise NotTheModel(found, "unset HF_ENDPOINT, if it is set")
    if not re.fullmatch("[0-9a-f]{64}", metadata.etag or ""):
        raise NotTheModel(f"no SHA-256 for {WEIGHTS}, so a damaged file would go unnoticed", "choose another model")
    return metadata, token


def _small_file(repo, name, token):
    """Path of a file in the hub's cache, fetched where need be; None where it is optional and not there."""
    try:
        return _within(SMALL_FILE, hf_hub_download, repo, name, revision=_revision(repo), token=token)
    except EntryNotFoundError as error:
        # The client gives a broken connection the same class.
        if name in OPTIONAL and isinstance(error, HfHubHTTPError):
            return None
        raise


def _download_weights(repo, metadata, token):
    """The weights as a blob of the hub's cache, where its own client then finds them.

    The hub's client starts again from nothing after an interruption, hence this part file of our own.
    """
    blob = Path(constants.HF_HUB_CACHE, repo_folder_name(repo_id=repo, repo_type="model"), "blobs", metadata.etag)
    part = blob.with_name(blob.name + ".headlab-part")
    blob.parent.mkdir(parents=True, exist_ok=True)
    with _alone(f"{part}.lock", repo):  # A second notebook waits here, then finds the file.
        if blob.exists() or find(repo):
            return
        with open(part, "ab") as file:
            _fill(file, metadata, token, f"{repo} {WEIGHTS}")
        if _sha256(part) != metadata.etag:
            part.unlink()
            raise NotTheModel("a damaged file, which is deleted", "run again")
        os.replace(part, blob)


@contextmanager
def _alone(path, repo):
    lock = FileLock(path)
    try:
        lock.acquire(timeout=1)
    except Timeout:
        print(f"Another program is downloading {repo}; waiting for it.")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _fill(file, metadata, token, title):
    """Append to a file what it lacks, in several attempts, as long as each of them brings something."""
    if file.tell() > metadata.size:
        file.truncate(file.seek(0))  # truncate alone does not move tell()
    attempts = 0
    with tqdm(desc=title[-40:], total=metadata.size, initial=file.tell(), unit="B", unit_scale=True) as bar:
        while file.tell() < metadata.size:
            before = file.tell()
            try:
                _append(file, metadata, token, bar)
            except HTTPError as error:
                attempts = 1 if file.tell() >= before + PROGRESS else attempts + 1
                if isinstance(error, HfHubHTTPError) or attempts >= ATTEMPTS:
                    raise
                time.sleep(1)


def _append(file, metadata, token, bar):
    """One attempt: append what the hub sends from the file's end on."""
    headers = {"Range": f"bytes={file.tell()}-", "Accept-Encoding": "identity"}
    if token and metadata.location.startswith(f"{constants.ENDPOINT}/"):  # the hub itself, not where it stores files
        headers["Authorization"] = f"Bearer {token}"
    with get_session().stream("GET", metadata.location, headers=headers, timeout=SILENCE) as answer:
        hf_raise_for_status(answer)
        if answer.status_code != 206:  # everything from its start, or a page in its place
            if answer.headers.get("Content-Length") != str(metadata.size):
                raise NotTheModel(*PAGE)
            file.truncate(file.seek(0))
            bar.reset()
        since, came = time.monotonic(), 0
        for block in answer.iter_raw():
            file.write(block)
            bar.update(len(block))
            came += len(block)
            seconds = time.monotonic() - since
            if seconds >= PACED:
                if came < PACE * seconds:
                    raise TooSlow(f"only {came / seconds:,.0f} bytes a second")
                since, came = time.monotonic(), 0
            if file.tell() > metadata.size:  # _sha256 will find it wrong
                return
