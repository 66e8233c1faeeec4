"""Copies of the lessons for the reader, from a checkout and from where a wheel puts them."""

import re
from importlib.metadata import PackagePath
from pathlib import Path
from types import SimpleNamespace

import pytest

from headlab import lessons
from headlab.cli import main


def test_a_lesson_that_is_there_stays_as_it_is(tmp_path, capsys):
    assert main(["lessons", str(tmp_path / "mine")]) == 0
    copies = sorted((tmp_path / "mine").glob("*.ipynb"))
    copies[1].write_text("my answers")
    copies[2].unlink()
    assert main(["lessons", str(tmp_path / "mine")]) == 0
    assert copies[1].read_text() == "my answers" and copies[2].exists()
    said = capsys.readouterr().out
    assert f"lessons copied: {len(copies)}; there already, and left as they are: 0\n" in said
    assert f"lessons copied: 1; there already, and left as they are: {len(copies) - 1}\n" in said
    assert not list((tmp_path / "mine").rglob(".*"))


def test_what_cannot_be_copied_is_one_line(tmp_path, capsys, monkeypatch):
    (tmp_path / "file").write_text("")
    assert main(["lessons", str(tmp_path / "file")]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"{tmp_path / 'file'}: expected a folder that can be written, got: File exists"
    ]
    monkeypatch.setattr(lessons, "HERE", tmp_path / "nowhere" / "headlab")
    monkeypatch.setattr(lessons.metadata, "files", lambda name: [])
    assert main(["lessons", str(tmp_path / "mine")]) == 1
    assert "install headlab again" in capsys.readouterr().err


@pytest.fixture
def from_the_wheel(tmp_path, monkeypatch):
    """The package away from a checkout, with two notebooks where a wheel puts them."""
    notebooks = tmp_path / "share" / "headlab" / "notebooks"
    (notebooks / "solutions").mkdir(parents=True)
    places = [notebooks / "02_b.ipynb", notebooks / "01_a.ipynb", notebooks / "solutions" / "01_a.ipynb"]
    for place in places:
        place.write_text(str(place))
    files = [PackagePath(place.relative_to(tmp_path).as_posix()) for place in [*places, tmp_path / "x" / "03_c.ipynb"]]
    for file in files:
        file.dist = SimpleNamespace(locate_file=lambda name: tmp_path / name)
    monkeypatch.setattr(lessons, "HERE", tmp_path / "nowhere" / "headlab")
    monkeypatch.setattr(lessons.metadata, "files", lambda name: files if name == "headlab" else None)
    return notebooks


def test_a_wheels_lessons_are_copied_in_their_order_with_the_solutions_that_there_are(from_the_wheel, tmp_path):
    assert lessons.copy_lessons(tmp_path / "mine") == (["01_a.ipynb", "02_b.ipynb"], [])
    copies = {path.relative_to(tmp_path / "mine"): path for path in (tmp_path / "mine").rglob("*") if path.is_file()}
    assert {str(name) for name in copies} == {"01_a.ipynb", "02_b.ipynb", str(Path("solutions", "01_a.ipynb"))}
    assert all(path.read_text() == str(from_the_wheel / name) for name, path in copies.items())


def test_a_copy_is_written_whole_or_not_at_all(from_the_wheel, tmp_path, monkeypatch):
    def broken(part, path):
        assert part != path and not path.exists() and part.read_text() == str(from_the_wheel / path.name)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(lessons.os, "replace", broken)
    line = f"{tmp_path / 'mine'}: expected a folder that can be written, got: No space left on device"
    with pytest.raises(OSError, match=f"^{re.escape(line)}$"):
        lessons.copy_lessons(tmp_path / "mine")
    assert not [path for path in (tmp_path / "mine").rglob("*") if path.is_file()]
