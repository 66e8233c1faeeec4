"""headlab profile: each text counted once, whatever interrupts it and whoever does the counting."""

import gzip
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from filelock import FileLock

from headlab import cli, download, streaming
from headlab.capture import count_scores
from headlab.histogram import ScoreHistogram
from headlab.models import MINI
from headlab.streaming import profile_texts

WORDS = "the old man looked at a little white house by the sea and said nothing for a long time".split()
N_PIECES = {"a.txt": 3, "b.txt": 2, "c.txt": 1}


@pytest.fixture(scope="module")
def texts(tmp_path_factory, mini):
    """Three texts of 3, 2 and 1 pieces, of which the last ones are short."""
    model, tokenizer = mini
    folder, rng = tmp_path_factory.mktemp("texts"), np.random.default_rng(0)
    for name, n_pieces in N_PIECES.items():
        text = " ".join(rng.choice(WORDS, 3 * model.config.n_positions))
        ids = tokenizer(text, verbose=False)["input_ids"][: (n_pieces - 1) * model.config.n_positions + 40]
        (folder / name).write_text(tokenizer.decode(ids), encoding="utf-8")
    return [str(folder / name) for name in N_PIECES]


@pytest.fixture(scope="module")
def in_one_go(texts, tmp_path_factory):
    return profile_texts("mini", texts, tmp_path_factory.mktemp("out") / "counts.npz")


def test_every_piece_of_every_text_is_counted(texts, in_one_go, mini):
    model, tokenizer = mini
    length, by_hand = model.config.n_positions, []
    for path in texts:
        with open(path, encoding="utf-8") as file:
            ids = tokenizer(file.read(), verbose=False)["input_ids"]
        by_hand += [count_scores(model, torch.tensor(ids[i : i + length])) for i in range(0, len(ids), length)]
    assert len(by_hand) == len(in_one_go.counted) == sum(N_PIECES.values())
    assert np.array_equal(sum(by_hand[1:], start=by_hand[0]).counts, in_one_go.counts)


def test_a_text_given_twice_or_again_counts_once(texts, in_one_go, tmp_path, monkeypatch):
    out = tmp_path / "counts.npz"
    copy = shutil.copy(texts[0], tmp_path / "under another name.txt")
    first = profile_texts("mini", [texts[0], texts[0], copy], out)
    assert len(first.counted) == N_PIECES["a.txt"]
    everything = profile_texts("mini", texts, out)
    assert np.array_equal(everything.counts, in_one_go.counts) and everything.counted == in_one_go.counted
    monkeypatch.setattr(streaming, "count_scores", lambda *_: pytest.fail("nothing was left to count"))
    assert np.array_equal(profile_texts("mini", texts, out).counts, in_one_go.counts)
    assert np.array_equal(ScoreHistogram.load(out).counts, in_one_go.counts)


def test_an_interrupted_run_says_so_and_goes_on_where_it_was(texts, in_one_go, tmp_path, monkeypatch, capsys):
    out, counted = tmp_path / "counts.npz", []

    def count_twice(model, ids):
        if len(counted) == 2:
            raise KeyboardInterrupt
        counted.append(len(ids))
        return count_scores(model, ids)

    command = ["profile", "--model", "mini", "--out", str(out), "--texts", *texts]
    monkeypatch.setattr(streaming, "count_scores", count_twice)
    assert cli.main(command) == 130
    line = f"Interrupted; {out} has what was counted. Run the same command to continue.\n"
    assert capsys.readouterr() == ("", line)
    assert len(ScoreHistogram.load(out).counted) == 2
    monkeypatch.setattr(streaming, "count_scores", count_scores)
    assert cli.main(command) == 0
    assert np.array_equal(ScoreHistogram.load(out).counts, in_one_go.counts)
    first, *table = capsys.readouterr().out.splitlines()
    total = in_one_go.counts.sum()
    assert first == f"{out}: {total:,} raw scores of mini, from 6 pieces of text, 4 layers of 12 heads"
    assert table.pop() == f"To look at it again, with a picture: headlab show {out} --plot counts.png"
    assert len(table) == 1 + 4
    for layer, line in enumerate(table[1:]):
        share = in_one_go.counts[layer, :, : in_one_go.counts.shape[-1] // 2].sum() / in_one_go.counts[layer].sum()
        medians = in_one_go.quantile(0.5)[layer]
        n = in_one_go.counts[layer].sum()
        assert line.split() == [
            str(layer),
            f"{n:,}",
            f"{share:.1%}",
            f"{medians.min():.2f}",
            "to",
            f"{medians.max():.2f}",
        ]


SLOW_RUN = """
import signal, sys, time
from headlab import cli, streaming
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's jobs in the background do not have
streaming.SAVE_EVERY = 0
count = streaming.count_scores
streaming.count_scores = lambda *a: (time.sleep(0.5), count(*a))[1]
sys.exit(cli.main(["profile", "--model", "mini", "--out", sys.argv[1], "--texts", *sys.argv[2:]]))
"""


@pytest.mark.parametrize("signal_name", ["SIGKILL", "SIGTERM", "SIGINT"])
def test_a_run_killed_halfway_and_resumed_equals_a_run_in_one_go(texts, in_one_go, tmp_path, signal_name):
    if not hasattr(signal, signal_name) or os.name == "nt":
        pytest.skip("Windows has no such signals")
    out = tmp_path / "counts.npz"
    run = subprocess.Popen([sys.executable, "-c", SLOW_RUN, str(out), *texts], stderr=subprocess.PIPE)
    while run.poll() is None and not out.exists():
        time.sleep(0.01)
    run.send_signal(getattr(signal, signal_name))
    _, errors = run.communicate(timeout=120)
    assert run.returncode == (-signal.SIGKILL if signal_name == "SIGKILL" else 130)
    assert errors.count(b"\n") == (signal_name != "SIGKILL")
    assert 1 <= len(ScoreHistogram.load(out).counted) < 6
    resumed = profile_texts("mini", texts, out)
    assert np.array_equal(resumed.counts, in_one_go.counts) and resumed.counted == in_one_go.counted
    assert [file.name for file in tmp_path.iterdir()] == ["counts.npz"]


def test_a_terminal_gets_a_progress_bar_and_a_file_does_not(texts, tmp_path, monkeypatch, capsys):
    profile_texts("mini", texts[:1], tmp_path / "1.npz")
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    profile_texts("mini", texts[:1], tmp_path / "2.npz")
    bar = capsys.readouterr().err
    assert bar.split("\r")[-1].startswith("100%") and "char" in bar


def test_profiles_of_other_texts_add_up_and_those_of_the_same_do_not(texts, in_one_go, tmp_path):
    halves = [profile_texts("mini", part, tmp_path / f"{i}.npz") for i, part in enumerate((texts[:1], texts[1:]))]
    assert np.array_equal((halves[1] + halves[0]).counts, in_one_go.counts)
    with pytest.raises(ValueError, match="^counted: expected each piece of text in one histogram only, got 3 in both$"):
        halves[0] + in_one_go


@pytest.fixture
def distributed():
    return pytest.importorskip("distributed", reason="Dask is not here; pip install 'headlab[cluster]'")


def test_workers_count_what_one_process_counts(distributed, texts, in_one_go, tmp_path, monkeypatch):
    monkeypatch.setattr(streaming, "PIECES_PER_TASK", 2)
    out = tmp_path / "counts.npz"
    command = ["profile", "--model", "mini", "--workers", "2", "--out", str(out), "--texts", *texts, texts[0]]
    assert cli.main(command) == 0
    found = ScoreHistogram.load(out)
    assert np.array_equal(found.counts, in_one_go.counts) and found.counted == in_one_go.counted


def test_a_worker_killed_midway_changes_no_count(distributed, texts, in_one_go, tmp_path, monkeypatch):
    monkeypatch.setattr(streaming, "PIECES_PER_TASK", 1)
    monkeypatch.setattr(streaming, "SAVE_EVERY", 0)
    out, killed = tmp_path / "counts.npz", []
    settings = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "silence_logs": 50}
    with distributed.LocalCluster(**settings) as cluster:

        def kill_one():
            while not out.exists():
                time.sleep(0.005)
            worker = next(iter(cluster.workers.values()))
            killed.append((worker.pid, len(ScoreHistogram.load(out).counted)))
            os.kill(worker.pid, signal.SIGKILL)

        killer = threading.Thread(target=kill_one, daemon=True)
        killer.start()
        found = profile_texts("mini", texts, out, scheduler=cluster.scheduler_address)
        killer.join()
    assert killed[0][1] < 6
    assert np.array_equal(found.counts, in_one_go.counts) and found.counted == in_one_go.counted


def test_another_models_file_and_a_file_that_is_no_histogram_stay_as_they_are(texts, tmp_path):
    other, foreign = tmp_path / "other.npz", tmp_path / "notes.npz"
    foreign.write_text("my notes")
    for name, found in (
        ("gpt2", "those of gpt2"),
        ("mini", "those of mini with other weights"),
        ("", "those of an un"),
    ):
        ScoreHistogram([0], 1, name, weights="0" * 16).save(other)
        before = other.read_bytes(), foreign.read_bytes()
        with pytest.raises(ValueError) as caught:
            profile_texts("mini", texts, other)
        assert str(caught.value).startswith(f"{other}: expected counts of mini, or a new file, got {found}")
    with pytest.raises(ValueError) as caught:
        profile_texts("mini", texts, foreign)
    assert str(caught.value) == f"{foreign}: expected a file that ScoreHistogram.save wrote, got something else"
    assert (other.read_bytes(), foreign.read_bytes()) == before


def test_two_runs_do_not_write_one_file(texts, tmp_path):
    out = tmp_path / "counts.npz"
    with FileLock(tmp_path / ".counts.npz.lock"), pytest.raises(ValueError) as caught:
        profile_texts("mini", texts, out)
    assert str(caught.value) == f"out: expected no other run that writes to {out}, got one; wait until it ends"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (None, "{}: expected a text file that can be read, got: No such file or directory"),
        (b"caf\xe9", "{}: expected text in UTF-8, got byte 0xe9"),
        (b" \n", "{}: expected at least one word, got an empty text"),
    ],
)
def test_a_text_that_cannot_be_read_is_one_line_before_anything_is_counted(texts, tmp_path, capsys, content, line):
    bad, out = tmp_path / "bad.txt", tmp_path / "counts.npz"
    if content is not None:
        bad.write_bytes(content)
    assert cli.main(["profile", "--model", "mini", "--out", str(out), "--texts", texts[0], str(bad)]) == 1
    assert capsys.readouterr() == ("", line.format(bad) + "\n")
    assert not out.exists()


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"workers": 0}, "workers: expected a whole number of processes >= 1, got 0"),
        ({"workers": 2, "scheduler": "tcp://x:1"}, "workers: expected either workers or a scheduler, got both"),
        ({"texts": []}, "texts: expected a list of paths of files, at least one, got none"),
        ({"out": "nowhere/counts.npz"}, "out: expected a file in an existing folder, got nowhere/counts.npz"),
    ],
)
def test_settings_that_cannot_be(texts, tmp_path, settings, line):
    with pytest.raises(ValueError) as caught:
        profile_texts(**{"name": "mini", "texts": texts, "out": tmp_path / "counts.npz", **settings})
    assert str(caught.value) == line


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"texts": "a.txt"}, "texts: expected a list of paths of files, got 'a.txt'"),
        ({"texts": 5}, "texts: expected a list of paths of files, got 5"),
        ({"texts": [3]}, "texts: expected a list of paths of files, got 3 among them"),
        ({"out": None}, "out: expected the path of a file, got None"),
    ],
)
def test_settings_of_the_wrong_kind(texts, tmp_path, settings, line):
    with pytest.raises(TypeError) as caught:
        profile_texts(**{"name": "mini", "texts": texts, "out": tmp_path / "counts.npz", **settings})
    assert str(caught.value) == line


def test_a_folder_is_no_place_for_counts(texts, tmp_path):
    for out, name in ((tmp_path, str(tmp_path)), (".", ".")):
        with pytest.raises(ValueError) as caught:
            profile_texts("mini", texts, out)
        assert str(caught.value) == f"out: expected the path of a file, got a folder, {name}"


def test_a_lock_that_cannot_be_made_is_one_line(texts, tmp_path):
    out = tmp_path / ("n" * 250)  # a name that the file may have, but not its lock
    with pytest.raises(OSError) as caught:
        profile_texts("mini", texts, out)
    assert str(caught.value) == f"out: expected a folder that can be written, got {out}: File name too long"


def test_a_byte_order_mark_is_no_part_of_a_text(texts, tmp_path):
    with open(texts[2], encoding="utf-8") as file:
        (tmp_path / "marked.txt").write_text(file.read(), encoding="utf-8-sig")
    counted = [profile_texts("mini", [path], tmp_path / "counts.npz") for path in (texts[2], tmp_path / "marked.txt")]
    assert counted[0].counted == counted[1].counted and np.array_equal(counted[0].counts, counted[1].counts)


def test_an_interruption_before_anything_is_counted_says_so(texts, tmp_path, monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    out = tmp_path / "counts.npz"
    for what in ("load_model", "count_scores"):
        with monkeypatch.context() as patch:
            patch.setattr(streaming, what, interrupt)
            assert cli.main(["profile", "--model", "mini", "--out", str(out), "--texts", *texts]) == 130
        told = capsys.readouterr().err.splitlines()[-1]
        assert told == "Interrupted; nothing was counted yet. Run the same command to continue."
        assert not out.exists()
    monkeypatch.setattr(download, "find", lambda _: None)
    monkeypatch.setattr(download, "download", interrupt)
    assert cli.main(["download", "gpt2"]) == 130
    assert capsys.readouterr().err == "Interrupted. Run the same command to continue.\n"


def test_without_dask_workers_are_refused_in_one_line(texts, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ValueError) as caught:
        profile_texts("mini", texts, tmp_path / "counts.npz", workers=2)
    command = f"{sys.executable} -m pip install -c constraints.txt -e '.[cluster]'"
    line = f"workers: expected Dask to be installed, got none; run in headlab's folder: {command}"
    assert str(caught.value) == line
    assert not (tmp_path / "counts.npz").exists()


def test_a_scheduler_that_does_not_answer_is_one_line(distributed, texts, tmp_path, monkeypatch):
    monkeypatch.setattr(streaming, "ANSWER_WITHIN", 1)
    with pytest.raises(OSError) as caught:
        profile_texts("mini", texts, tmp_path / "counts.npz", scheduler="tcp://127.0.0.1:1")
    assert str(caught.value).startswith("scheduler: expected Dask's, with workers, at tcp://127.0.0.1:1, got: ")


def test_a_scheduler_without_workers_is_left_as_it_was(distributed, texts, tmp_path, monkeypatch):
    monkeypatch.setattr(streaming, "ANSWER_WITHIN", 1)
    with distributed.LocalCluster(n_workers=0, dashboard_address=None, silence_logs=50) as cluster:
        before = set(cluster.scheduler.clients)
        with pytest.raises(OSError, match="^scheduler: expected Dask's, with workers, at tcp://.*, got: "):
            profile_texts("mini", texts, tmp_path / "counts.npz", scheduler=cluster.scheduler_address)
        deadline = time.monotonic() + 10
        while set(cluster.scheduler.clients) != before and time.monotonic() < deadline:
            time.sleep(0.1)
        assert set(cluster.scheduler.clients) == before


def test_counts_without_a_median_are_one_line(texts, tmp_path, monkeypatch, capsys):
    too_far = ScoreHistogram([0], 1, "a model")
    too_far.update(0, torch.tensor([[1e9, 2e9]]))
    monkeypatch.setattr(streaming, "profile_texts", lambda *_: too_far)
    assert cli.main(["profile", "--model", "mini", "--out", str(tmp_path / "counts.npz"), "--texts", *texts]) == 1
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 1 and "expected" in told


def test_the_same_weights_under_another_name_are_the_same_model(texts, in_one_go, tmp_path):
    out = tmp_path / "counts.npz"
    profile_texts("mini", texts[:1], out)
    (tmp_path / "renamed").symlink_to(MINI, target_is_directory=True)
    found = profile_texts(str(tmp_path / "renamed"), texts, out)
    assert found.model == "mini" and np.array_equal(found.counts, in_one_go.counts)
    alone = profile_texts(str(tmp_path / "renamed"), texts[1:], tmp_path / "alone.npz")
    assert alone.model == "renamed"
    both = profile_texts("mini", texts[:1], tmp_path / "first.npz") + alone
    assert np.array_equal(both.counts, in_one_go.counts)


def test_a_repr_says_what_is_counted(in_one_go):
    n = in_one_go.counts.sum()
    assert repr(in_one_go) == (
        f"<ScoreHistogram of mini: {n:,} raw scores from 6 pieces of text, 4 layers of 12 heads>"
    )
    assert repr(ScoreHistogram([3], 2)) == "<ScoreHistogram of an unnamed model: 0 raw scores, 1 layer of 2 heads>"


def test_no_lock_stays_and_two_runs_still_do_not_write_one_file(texts, tmp_path):
    out = tmp_path / "counts.npz"
    profile_texts("mini", texts[:1], out)
    with streaming._only_run(out):
        assert (tmp_path / ".counts.npz.lock").exists()
        with pytest.raises(ValueError, match="^out: expected no other run that writes to"), streaming._only_run(out):
            pass
        with pytest.raises(ValueError, match="^out: expected no other run that writes to"):
            profile_texts("mini", texts, out)
    assert [file.name for file in tmp_path.iterdir()] == ["counts.npz"]


COMMAND = [sys.executable, "-m", "headlab", "profile", "--model", "mini"]


@pytest.mark.skipif(os.name == "nt", reason="no such pipes")
def test_a_pipe_is_read_once(texts, in_one_go, tmp_path):
    reader, writer = os.pipe()
    with open(texts[0], "rb") as file:
        threading.Thread(target=lambda: (os.write(writer, file.read()), os.close(writer))).start()
        found = profile_texts("mini", [f"/dev/fd/{reader}", *texts[1:]], tmp_path / "counts.npz")
    os.close(reader)
    assert np.array_equal(found.counts, in_one_go.counts) and found.counted == in_one_go.counted


@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
def test_the_standard_input_is_a_text(texts, in_one_go, tmp_path, name):
    if name != "-" and not os.path.exists(name):
        pytest.skip("Windows has no such file")
    out = tmp_path / "counts.npz"
    with open(texts[0], "rb") as file:
        done = subprocess.run(
            [*COMMAND, "--out", str(out), "--texts", name, *texts[1:]], stdin=file, capture_output=True
        )
    assert done.returncode == 0, done.stderr
    assert np.array_equal(ScoreHistogram.load(out).counts, in_one_go.counts)


def test_a_pattern_stands_for_its_files(texts, in_one_go, tmp_path, monkeypatch):
    folder = os.path.dirname(texts[0])
    found = profile_texts("mini", [os.path.join(folder, "*.txt"), texts[0]], tmp_path / "counts.npz")
    assert np.array_equal(found.counts, in_one_go.counts)
    odd = tmp_path / "[1]*.txt"  # a file's own name, not a pattern
    shutil.copy(texts[2], odd)
    assert len(profile_texts("mini", [odd], tmp_path / "odd.npz").counted) == 1
    (tmp_path / "empty.d.txt").mkdir()
    monkeypatch.chdir(tmp_path)
    assert len(profile_texts("mini", ["*.txt"], tmp_path / "folderless.npz").counted) == 1
    with pytest.raises(ValueError, match=r"^texts: expected a pattern that matches a file, got '\*.md'$"):
        profile_texts("mini", ["*.md"], tmp_path / "none.npz")


def test_a_home_is_written_out_and_an_address_is_no_path(texts, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    shutil.copy(texts[2], tmp_path / "a.txt")
    assert len(profile_texts("mini", ["~/a.txt", Path("~/a.txt"), "~/*.txt"], "~/counts.npz").counted) == 1
    assert (tmp_path / "counts.npz").is_file()
    line = r"^texts: expected [^\n]+\(give an address as <\(curl -L ADDRESS\)\), got https://example.com/a.txt$"
    with pytest.raises(ValueError, match=line):
        profile_texts("mini", ["https://example.com/a.txt"], tmp_path / "none.npz")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (
            gzip.compress(b"the old man", mtime=0),
            "expected text in UTF-8, got a gzip file; unpack it first, or give <(gzip -dc F",
        ),
        ("the old man".encode("utf-16"), "expected text in UTF-8, got UTF-16, as Windows writes it; save it as UTF-8"),
        (b"%PDF-1.7", "expected text in UTF-8, got a PDF; save its text as a .txt file"),
        (None, "expected a text file, got a folder; name its files: "),
    ],
)
def test_other_kinds_of_files_are_told_by_name(tmp_path, content, line):
    path = tmp_path / "text"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises((OSError, ValueError)) as caught:
        profile_texts("mini", [path], tmp_path / "counts.npz")
    assert str(caught.value).startswith(f"{path}: {line}") and "\n" not in str(caught.value)


def test_the_model_is_said_once_and_workers_are_given_its_name(texts, tmp_path, monkeypatch, capfd):
    given = []
    monkeypatch.setenv("HEADLAB_MODEL", "mini")
    monkeypatch.setattr(streaming, "_on_dask", lambda name, *rest: given.append(name) or (_ for _ in ()))
    profile_texts("auto", texts[:1], tmp_path / "counts.npz", workers=2)
    assert given == ["mini"] and capfd.readouterr().out.count("Model: ") == 1


def test_show_prints_what_is_counted_and_draws_it(in_one_go, tmp_path, capsys):
    out, picture = tmp_path / "my counts.npz", tmp_path / "counts.png"
    in_one_go.save(out)
    assert cli.main(["show", str(out), "--plot", str(picture)]) == 0
    first, header, *table, last = capsys.readouterr().out.splitlines()
    total = in_one_go.counts.sum()
    assert first == f"{out}: {total:,} raw scores of mini, from 6 pieces of text, 4 layers of 12 heads"
    assert header.split()[:3] == ["layer", "scores", "negative"] and len(table) == 4
    assert [int(line.split()[1].replace(",", "")) for line in table] == in_one_go.counts.sum((1, 2)).tolist()
    assert last == f"{picture}: drawn"
    pixels = plt.imread(picture)
    assert pixels.shape[0] > 300 and pixels.shape[1] > 300 and pixels[..., :3].std() > 0.05
    assert sorted(path.name for path in tmp_path.iterdir()) == ["counts.png", "my counts.npz"]


def test_what_show_cannot_show_is_one_line(in_one_go, tmp_path, capsys):
    good, foreign, empty = tmp_path / "counts.npz", tmp_path / "notes.npz", tmp_path / "empty.npz"
    in_one_go.save(good)
    foreign.write_text("my notes")
    ScoreHistogram([0], 1).save(empty)
    for arguments, line in (
        ([str(tmp_path / "gone.npz")], f"{tmp_path}/gone.npz: expected a file that headlab profile wrote, got: No s"),
        ([str(foreign)], f"{foreign}: expected a file that ScoreHistogram.save wrote"),
        ([str(empty)], "L0H0: expected at least 1 score"),
        ([str(good), "--plot", "x.txt"], "--plot: expected a file that ends in one of "),
        ([str(good), "--plot", "x"], "--plot: expected a file that ends in one of "),
        ([str(good), "--plot", str(tmp_path / "no" / "x.png")], f"{tmp_path}/no/x.png: expected room and the right to"),
        ([str(tmp_path)], f"{tmp_path}: expected a file that headlab profile wrote, got: "),
    ):
        assert cli.main(["show", *arguments]) == 1
        told = capsys.readouterr().err
        assert told.startswith(line) and told.count("\n") == 1
