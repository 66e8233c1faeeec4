"""Downloads from a hub that behaves and from hubs that do not; a local server plays them all."""

import hashlib
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from fake_hub import serving
from huggingface_hub import constants

from headlab import download, models
from headlab.cli import main

REPO = "someone/tiny-gpt2"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The files of a small but real GPT-2: mini's own."""
    return {name: (models.MINI / name).read_bytes() for name in download.REQUIRED + download.OPTIONAL}


@pytest.fixture
def hub(files, tmp_path, monkeypatch):
    """A running hub that serves the small GPT-2, an empty cache, and a client that goes to them."""
    with serving(dict(files)) as hub:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        for pinned in (REPO, download.GPT2):
            pin = download.Pin(
                "a" * 40, len(files[download.WEIGHTS]), hashlib.sha256(files[download.WEIGHTS]).hexdigest()
            )
            monkeypatch.setitem(download.PINS, pinned, pin)
        yield hub


def cache():
    return Path(constants.HF_HUB_CACHE)


def partial_files():
    return [path for path in cache().rglob("*") if "part" in path.name or "incomplete" in path.name]


def test_a_download_arrives_whole_and_loads(hub, files):
    assert download.find(REPO) is None
    folder = download.download(REPO)
    assert download.find(REPO) == folder
    assert (folder / download.WEIGHTS).read_bytes() == files[download.WEIGHTS]
    assert not [path for path in partial_files() if not path.name.endswith(".lock")]
    model, tokenizer = models.load_model(REPO)
    assert model.config.n_layer == 4 and len(tokenizer) == 2000


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_an_interrupted_download_loads_nothing_and_is_resumed(hub, files, share, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the client waits between its own retries
    whole = len(files[download.WEIGHTS])
    hub.drop_after = int(whole * share)
    # The hub hangs up at once after the first part, so that the client's own retries bring nothing more.
    real_answer, sent = hub.RequestHandlerClass.answer, []

    def once(handler, with_body):
        if with_body and handler.path.endswith(".safetensors"):
            sent.append(1)
            hub.drop_after = int(whole * share) if len(sent) == 1 else 0
        real_answer(handler, with_body)

    monkeypatch.setattr(hub.RequestHandlerClass, "answer", once)
    with pytest.raises(ConnectionError, match="run again to resume$") as caught:
        download.download(REPO)
    assert "\n" not in str(caught.value)
    assert download.find(REPO) is None
    monkeypatch.setattr(hub.RequestHandlerClass, "answer", real_answer)
    hub.drop_after = None
    hub.requests.clear()
    download.download(REPO)
    ranges = [wanted for method, name, wanted in hub.requests if method == "GET" and name == download.WEIGHTS]
    assert ranges == [f"bytes={int(whole * share)}-"]
    assert (download.find(REPO) / download.WEIGHTS).read_bytes() == files[download.WEIGHTS]


@pytest.fixture
def part(hub):
    """What an interrupted download left."""
    hub.drop_after = 1000
    with pytest.raises(ConnectionError):
        download.download(REPO)
    hub.drop_after = None
    (part,) = cache().rglob("*.headlab-part")
    return part


@pytest.mark.parametrize(("more", "whole"), [(1, False), (-1, True)], ids=["too long", "a hub without ranges"])
def test_wrong_bytes_are_replaced_where_the_weights_come_anew(hub, files, part, more, whole):
    hub.whole = whole
    part.write_bytes(bytes(len(files[download.WEIGHTS]) + more))
    download.download(REPO)
    assert (download.find(REPO) / download.WEIGHTS).read_bytes() == files[download.WEIGHTS]


@pytest.mark.parametrize("wrong", [1, 2, 4, 8])
def test_a_flipped_bit_never_arrives(hub, files, wrong):
    hub.flip = wrong
    with pytest.raises(ConnectionError, match="got: a damaged file, which is deleted; run again$"):
        download.download(REPO)
    assert download.find(REPO) is None
    hub.flip = 0
    download.download(REPO)
    assert (download.find(REPO) / download.WEIGHTS).read_bytes() == files[download.WEIGHTS]


@pytest.mark.parametrize("length", [9, 10, 20_000])
def test_a_page_in_the_place_of_the_weights_is_no_part_of_them(hub, monkeypatch, length):
    answer = hub.RequestHandlerClass.answer

    def page(handler, with_body):
        if with_body and handler.path.endswith(".safetensors"):
            return handler.send(200, b"x" * length, {}, with_body)
        return answer(handler, with_body)

    monkeypatch.setattr(hub.RequestHandlerClass, "answer", page)
    with pytest.raises(ConnectionError, match="got: a page that is no"):
        download.download(REPO)
    assert not [path for path in cache().rglob("*.headlab-part") if path.stat().st_size]


def test_it_gives_up_after_five_goes_that_bring_little_and_goes_on_while_they_bring_more(hub, files, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    for hub.drop_after, goes in ((99_000, 5), (5_000_000, 7)):
        shutil.rmtree(cache(), ignore_errors=True)
        hub.requests.clear()
        if goes == 5:
            with pytest.raises(ConnectionError, match="run again to resume$"):
                download.download(REPO)
        else:
            download.download(REPO)
        sent = [method for method, name, _ in hub.requests if name == download.WEIGHTS and method == "GET"]
        assert len(sent) == goes


def test_a_login_page_is_no_model(hub):
    hub.html = True
    with pytest.raises(
        ConnectionError, match="^someone/tiny-gpt2: expected the hub to send it, got: a page that is no"
    ):
        download.download(REPO)
    assert download.find(REPO) is None
    assert download.problem().startswith("a page that is no model")


def test_a_redirect_to_a_login_page_is_no_model(hub):
    hub.redirect = True
    with pytest.raises(
        ConnectionError, match="^someone/tiny-gpt2: expected the hub to send it, got: a page that is no"
    ):
        download.download(REPO)
    assert download.find(REPO) is None and not any(cache().rglob("*.safetensors"))
    assert download.problem().startswith("a page that is no model")


@pytest.mark.parametrize("status", [401, 403, 404, 410, 429, 500, 503])
def test_a_hub_that_refuses_is_told_in_one_line(hub, status):
    hub.status = status
    with pytest.raises(ConnectionError, match=f"^someone/tiny-gpt2: expected .* got: .*{status}") as caught:
        download.download(REPO)
    assert "\n" not in str(caught.value)
    assert download.find(REPO) is None


def test_a_hub_that_is_not_there_is_told_in_one_line(hub):
    hub.shutdown()
    hub.server_close()
    with pytest.raises(ConnectionError, match="Connection refused; check the network, then run again to resume$"):
        download.download(REPO)


def test_a_hub_that_stalls_in_the_middle_is_given_up_and_resumed(hub, files, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the client waits between its own retries
    monkeypatch.setattr(download, "SILENCE", 0.2)  # 10 seconds, where nobody waits for a test
    hub.hang_after = 10_000_000
    with pytest.raises(ConnectionError, match="got: no answer from 127.0.0.1 in time; .*, then run again to resume$"):
        download.download(REPO)
    assert download.find(REPO) is None
    assert [path.stat().st_size for path in partial_files() if path.suffix == ".headlab-part"] == [10_000_000]
    hub.hang_after = None
    hub.hang.set()
    download.download(REPO)
    assert (download.find(REPO) / download.WEIGHTS).read_bytes() == files[download.WEIGHTS]


def test_another_revision_in_the_cache_is_not_taken_for_the_pinned_one(hub, files):
    other = cache() / "models--someone--tiny-gpt2"
    (other / "refs").mkdir(parents=True)
    (other / "refs" / "main").write_text("b" * 40)
    (other / "snapshots" / ("b" * 40)).mkdir(parents=True)
    for name in files:
        (other / "snapshots" / ("b" * 40) / name).write_bytes(b"of another version")
    assert download.find(REPO) is None
    assert download.download(REPO).name == "a" * 40
    assert (download.find(REPO) / download.WEIGHTS).read_bytes() == files[download.WEIGHTS]


def test_other_weights_than_the_pinned_ones_are_refused(hub, files):
    hub.files[download.WEIGHTS] = files[download.WEIGHTS] + b"more"
    with pytest.raises(ConnectionError, match="not the pinned weights"):
        download.download(REPO)
    assert download.find(REPO) is None


def test_a_cache_that_cannot_be_written_is_told_in_one_line(hub, tmp_path):
    tmp_path.chmod(0o555)
    root = hasattr(os, "geteuid") and os.geteuid() == 0  # whom no folder refuses
    if root:
        os.seteuid(65534)
    try:
        with pytest.raises(OSError, match="^someone/tiny-gpt2: expected a folder that can be written, got .*; set HF"):
            download.download(REPO)
    finally:
        if root:
            os.seteuid(0)
        tmp_path.chmod(0o755)
    assert not cache().exists()


NOTEBOOK = """
import sys
from huggingface_hub import constants
from headlab import download, models
url, revision, size, digest = sys.argv[1:]
constants.HUGGINGFACE_CO_URL_TEMPLATE = url + "/{repo_id}/resolve/{revision}/{filename}"
download.PINS["someone/tiny-gpt2"] = download.Pin(revision, int(size), digest)
print(models.load_model("someone/tiny-gpt2")[0].config.n_layer)
"""


def test_two_notebooks_at_once_both_load_and_fetch_the_weights_once(hub, tmp_path):
    environment = os.environ | {"HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "hf"), "HF_ENDPOINT": hub.url}
    command = [sys.executable, "-c", NOTEBOOK, hub.url, *map(str, download.PINS[REPO])]
    running = [
        subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    for process in running:
        out, err = process.communicate(timeout=120)
        assert (process.returncode, out[-2:]) == (0, "4\n"), err
    assert sum(method == "GET" and name == download.WEIGHTS for method, name, _ in hub.requests) == 1


def test_two_downloads_at_once_fetch_the_weights_once(hub, files):
    errors = []

    def get():
        try:
            download.download(REPO)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=get) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sum(method == "GET" and name == download.WEIGHTS for method, name, _ in hub.requests) == 1


def test_auto_downloads_where_the_hub_answers(hub, monkeypatch, capsys):
    monkeypatch.delenv("HEADLAB_MODEL", raising=False)
    models.load_model("auto")
    assert capsys.readouterr().out == "Model: gpt2.\n"
    hub.requests.clear()
    models.load_model("gpt2")
    assert hub.requests == []  # the second time nobody is asked


def test_auto_falls_back_where_a_download_breaks(hub, monkeypatch, capsys):
    monkeypatch.delenv("HEADLAB_MODEL", raising=False)
    hub.flip = 1
    model, _ = models.load_model("auto")
    said = capsys.readouterr().out.splitlines()
    (line,) = said
    assert line.startswith("Model: mini,") and line.endswith(" got: a damaged file, which is deleted; run again.")


def test_a_damaged_cache_says_which_file_to_delete(hub, files):
    folder = download.download(REPO)
    weights = (folder / download.WEIGHTS).resolve()
    weights.write_bytes(files[download.WEIGHTS][:-100])
    with pytest.raises(ValueError, match=f"^{weights}: expected .* bytes, got .*; delete this file, then run"):
        models.load_model(REPO)
    damaged = bytearray(files[download.WEIGHTS])
    damaged[-5] ^= 64
    weights.write_bytes(damaged)
    digits = "[0-9a-f]{12}[.]{3}"
    with pytest.raises(
        ValueError, match=f"^{weights}: expected SHA-256 {digits}, got {digits}; delete this file, then run"
    ):
        models.load_model(REPO)
    shutil.rmtree(cache())


def test_the_command_downloads_once(hub, capsys):
    assert main(["download", REPO]) == 0
    assert "is on this machine now" in capsys.readouterr().out
    assert main(["download", REPO]) == 0
    assert capsys.readouterr().out.startswith(f"{REPO} is on this machine: ")
    hub.html = True
    assert main(["download", "gpt2"]) == 1
    assert capsys.readouterr().out == ""
    assert main(["download", "someone/else"]) == 1
    assert main(["download", "nonsense"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and lines[1].startswith("name: expected one of gpt2, gpt2-medium,")
