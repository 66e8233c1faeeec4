"""The reader's own copies: made once, never overwritten, with changed lessons laid beside them."""

import asyncio
import errno
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
from jupyterlab.commands import get_app_dir

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import own_copies  # noqa: E402


def notebook(*sources, output="1"):
    """A notebook as it is built."""
    outputs = [{"output_type": "stream", "text": output}]
    cells = [
        {"cell_type": "code", "id": source, "metadata": {}, "source": [source], "outputs": outputs}
        for source in sources
    ]
    built_from = {"its cells": own_copies.digest(*own_copies.cells_of({"cells": cells}))}
    return json.dumps({"cells": cells, "metadata": {"headlab": built_from}})


def typed(text, source):
    """The same notebook, its last cell's source another."""
    changed = json.loads(text)
    changed["cells"][-1]["source"] = [source]
    return json.dumps(changed)


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course of two lessons with a solution and a picture; returns its folder."""
    lessons = tmp_path / "notebooks"
    (lessons / "solutions").mkdir(parents=True)
    (lessons / ".ipynb_checkpoints").mkdir()
    (lessons / "01_a.ipynb").write_text(notebook("a", "..."))
    (lessons / "02_b.ipynb").write_text(notebook("b"))
    (lessons / "solutions" / "01_a.ipynb").write_text(notebook("a", "solved"))
    (lessons / "flow.svg").write_text("<svg/>")
    (lessons / ".ipynb_checkpoints" / "01_a.ipynb").write_text("{}")
    monkeypatch.setattr(own_copies, "LESSONS", lessons)
    monkeypatch.setattr(own_copies, "OWN", tmp_path / "my-lessons")
    return tmp_path


def files(folder):
    """{path: content} of a folder, but for the record."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != ".given.json"]
    return {path.relative_to(folder).as_posix(): path.read_text() for path in paths}


def test_every_lesson_its_solution_and_its_pictures_are_copied_once(course):
    assert own_copies.lay_out() == []
    given = files(course / "my-lessons")
    assert set(given) == {"01_a.ipynb", "02_b.ipynb", "solutions/01_a.ipynb", "flow.svg"}
    assert own_copies.lay_out() == [] and files(course / "my-lessons") == given


def test_an_answer_stays_and_a_changed_lesson_is_laid_beside_it_once(course):
    own_copies.lay_out()
    mine = course / "my-lessons" / "01_a.ipynb"
    mine.write_text(notebook("a", "my answer"))
    (course / "notebooks" / "01_a.ipynb").write_text(notebook("a, better", "..."))
    (line,) = own_copies.lay_out()
    assert line == (
        "my-lessons/01_a.ipynb stays as you left it; the lesson has changed: the new one is my-lessons/01_a-2.ipynb"
    )
    assert mine.read_text() == notebook("a", "my answer")
    assert (course / "my-lessons" / "01_a-2.ipynb").read_text() == notebook("a, better", "...")
    assert own_copies.lay_out() == []
    (course / "my-lessons" / "01_a-2.ipynb").write_text(notebook("a, better", "again"))
    (course / "notebooks" / "01_a.ipynb").write_text(notebook("a, best", "..."))
    assert own_copies.lay_out()[0].endswith("my-lessons/01_a-3.ipynb")
    assert mine.read_text() == notebook("a", "my answer")
    assert "again" in (course / "my-lessons" / "01_a-2.ipynb").read_text()


def test_a_copy_that_nobody_changed_follows_the_lesson(course):
    own_copies.lay_out()
    (course / "notebooks" / "02_b.ipynb").write_text(notebook("b, better"))
    (course / "notebooks" / "flow.svg").write_text("<svg></svg>")
    assert own_copies.lay_out() == []
    assert files(course / "my-lessons") == files_without_hidden(course / "notebooks")


def files_without_hidden(folder):
    return {name: text for name, text in files(folder).items() if not name.startswith(".")}


def test_other_outputs_are_no_other_lesson(course):
    own_copies.lay_out()
    (course / "my-lessons" / "01_a.ipynb").write_text(notebook("a", "my answer"))
    (course / "notebooks" / "01_a.ipynb").write_text(notebook("a", "...", output="2"))
    assert own_copies.lay_out() == [] and len(files(course / "my-lessons")) == 4


def test_a_copy_that_was_deleted_comes_again_and_a_lost_record_costs_nothing(course):
    own_copies.lay_out()
    (course / "my-lessons" / "02_b.ipynb").unlink()
    (course / "my-lessons" / "01_a.ipynb").write_text(notebook("a", "my answer"))
    assert own_copies.lay_out() == []
    assert (course / "my-lessons" / "02_b.ipynb").exists()
    (course / "my-lessons" / ".given.json").write_text("{")
    (line,) = own_copies.lay_out()
    assert "01_a-2.ipynb" in line and "my answer" in (course / "my-lessons" / "01_a.ipynb").read_text()
    assert "02_b-2.ipynb" not in files(course / "my-lessons")


def test_what_was_typed_into_the_built_lessons_comes_over_and_stays_when_git_restores_them(course):
    own_copies.lay_out()
    (course / "my-lessons" / "01_a.ipynb").write_text(notebook("a", "my answer"))
    answers = set()
    for name in ("01_a.ipynb", "02_b.ipynb"):
        built = (course / "notebooks" / name).read_text()
        answers.add(typed(built, f"an answer in {name}"))
        (course / "notebooks" / name).write_text(typed(built, f"an answer in {name}"))
        own_copies.lay_out()
        (course / "notebooks" / name).write_text(built)
    own_copies.lay_out()
    own = files(course / "my-lessons")
    assert own["01_a.ipynb"] == notebook("a", "my answer")
    assert answers <= set(own.values())
    assert own_copies.lay_out() == []


@pytest.mark.parametrize("place", ["the first", "a changed lesson", "the record"])
def test_a_full_disk_costs_nothing(course, monkeypatch, place):
    own = course / "my-lessons"
    if place != "the first":
        own_copies.lay_out()
        (own / "01_a.ipynb").write_text(notebook("a", "my answer"))
        (course / "notebooks" / "01_a.ipynb").write_text(notebook("a, better", "..."))
    before = files(own) if own.exists() else {}
    write = Path.write_bytes

    def full(path, content):
        if place == "the record" and "given" not in path.name:
            return write(path, content)
        write(path, content[:5])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="No space left"):
            own_copies.lay_out()
    after = files(own)
    assert before.items() <= after.items() and not [name for name in after if name.endswith(".part")]
    own_copies.lay_out()
    assert before.items() <= files(own).items() and "better" in str(files(own)) or place == "the first"
    assert "01_a-3.ipynb" not in files(own), "the same lesson was given twice"


def test_a_copy_is_there_whole_or_not_at_all_when_the_machine_dies(course, monkeypatch):
    def dies(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", dies)
        with pytest.raises(KeyboardInterrupt):
            own_copies.lay_out()
    assert files(course / "my-lessons") == {}
    own_copies.lay_out()
    assert len(files(course / "my-lessons")) == 4


def test_a_lesson_with_a_conflict_of_git_is_not_given(course):
    (course / "notebooks" / "01_a.ipynb").write_text("<<<<<<< HEAD\n{}")
    (line,) = own_copies.lay_out()
    assert line.endswith("git checkout notebooks/01_a.ipynb") and "01_a.ipynb" not in files(course / "my-lessons")


def test_the_command_says_where_the_copies_are_and_in_one_line_what_failed(course):
    (course / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "own_copies.py", course / "tools")
    command = [sys.executable, "tools/own_copies.py"]
    done = subprocess.run(command, cwd=course, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == "Your copies of the lessons are in my-lessons.\n"
    shutil.rmtree(course / "my-lessons")
    (course / "my-lessons").write_text("a file of this name")
    done = subprocess.run(command, cwd=course, capture_output=True, text=True)
    assert done.returncode == 1 and re.match(r"my-lessons: .*Your answers are unchanged", done.stderr)
    assert done.stderr.count("\n") == 1


def test_what_a_lesson_points_to_is_in_the_folder_of_copies():
    """Pictures and links that a lesson names by a path are copied with it, or lie outside and are no file at all."""
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
        for target in re.findall(r"\]\(([^)\s#]+)\)|<img[^>]*src=\"([^\"]+)\"|`(solutions/[^`]+)`", text):
            target = next(filter(None, target))
            if "://" not in target and not target.startswith(("attachment:", "data:")):
                there = (path.parent / target).resolve()
                assert there.is_file() and there.is_relative_to(ROOT / "notebooks"), f"{path.name}: {target}"


# A server that saves an answer, and then another one, and is killed over it: a process for each moment.
MOMENTS = {"copying": 1, "0": 1, "0.5": 1, "1": 2, "cleaning up": 2}  # and which answer is there afterwards
KILLED = """
import asyncio, os, shutil, signal, sys
import nbformat
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
from nbformat.v4 import new_code_cell, new_notebook

def save(folder, answer):
    notebook = new_notebook(cells=[new_code_cell(answer, id="a")])
    model = {"type": "notebook", "format": "json", "content": notebook}
    asyncio.run(AsyncLargeFileManager(root_dir=folder).save(model, "01_a.ipynb"))

def killed(*arguments, **settings):
    os.kill(os.getpid(), signal.SIGKILL)

def half_copied(source, target):
    with open(source) as old, open(target, "w") as new:
        new.write(old.read()[:99])
    killed()

def written(share):
    def write(notebook, file, *arguments, **settings):
        text = nbformat.writes(notebook)
        file.write(text[: int(share * len(text))])
        file.flush()
        killed()
    return write

for moment in sys.argv[2:]:
    folder = os.path.join(sys.argv[1], moment)
    os.mkdir(folder)
    process = os.fork()
    if process:
        assert os.waitpid(process, 0)[1] == signal.SIGKILL, moment
        continue
    save(folder, "answer 1")
    if moment == "copying":
        shutil.copyfile = half_copied
    elif moment == "cleaning up":
        os.remove = killed
    else:
        nbformat.write = written(float(moment))
    save(folder, "answer 2")
    os._exit(0)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_server_killed_while_it_saves_leaves_what_was_saved_before(tmp_path):
    done = subprocess.run([sys.executable, "-c", KILLED, tmp_path, *MOMENTS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for moment, answer in MOMENTS.items():
        manager = AsyncLargeFileManager(root_dir=str(tmp_path / moment))
        (cell,) = asyncio.run(manager.get("01_a.ipynb"))["content"]["cells"]
        assert cell["source"] == f"answer {answer}", moment


def test_jupyterlab_saves_what_is_typed_every_two_minutes():
    plugin = Path(get_app_dir(), "schemas", "@jupyterlab", "docmanager-extension", "plugin.json")
    settings = json.loads(plugin.read_text(encoding="utf-8"))["properties"]
    assert settings["autosave"]["default"] is True and settings["autosaveInterval"]["default"] == 120
