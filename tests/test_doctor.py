"""headlab doctor: what it looks at, in the kernel that the lessons will have, and what it says where none would run."""

import json
import os
import shlex
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from huggingface_hub import constants
from test_models import (
    BROKEN,
    MINI,
    REFUSED,
    TASKS,
    configured,
    folder,  # noqa: F401  a fixture
    in_shards,
    old_tokenizer,
    smaller,
)

from headlab import cli, doctor, models


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch, tmp_path):
    """No GPT-2 on this machine, whatever lies in the reader's own cache, and no wish."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("HEADLAB_MODEL", raising=False)


@pytest.fixture
def no_kernel_asked(monkeypatch):
    """The kernel's part left out, which takes seconds."""
    monkeypatch.setattr(doctor, "_kernel", lambda: [])


def test_a_sound_machine(capsys):
    assert cli.main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("ok   ") for line in lines[:-1])
    assert lines[-1] == "The lessons will run here."
    for part in ("Python 3.", "torch 2.", "ipywidgets 8.", "in the page", "GiB of memory free"):
        assert any(part in line for line in lines)
    assert lines[-4:-2] == [
        "ok   the kernel 'python3' starts this Python",
        "ok   mini loads (4 layers of 12 heads, 256 positions)",
    ]
    assert lines[-2].startswith(
        "ok   gpt2 is not on this machine, so the lessons show mini; it cannot be downloaded now: HF_HUB_O"
    )


def bad_lines(capsys):
    """Run the doctor, who has to find something, and return the lines that say what."""
    assert cli.main(["doctor"]) == 1
    *lines, last = capsys.readouterr().out.splitlines()
    bad = [line.removeprefix("BAD  ") for line in lines if line.startswith("BAD  ")]
    said, _, again = last.partition(" Then check again: ")
    assert said == f"{len(bad)} thing(s) to repair before the lessons run; see BAD above."
    assert shlex.split(again) == [sys.executable, "-m", "headlab", "doctor"]
    return bad


@pytest.mark.usefixtures("no_kernel_asked")
def test_a_package_that_is_missing_or_too_old(monkeypatch, capsys):
    real = doctor.version

    def version(name):
        if name == "scipy":
            raise doctor.PackageNotFoundError(name)
        return "4.57.0" if name == "transformers" else real(name)

    monkeypatch.setattr(doctor, "version", version)
    monkeypatch.setattr(sys, "executable", "/my course/.venv/bin/python")
    old, missing = bad_lines(capsys)
    python = "'/my course/.venv/bin/python'"  # as a shell needs it where nothing is activated
    assert old == f"transformers 4.57.0 (<6,>=5.15 wanted); run: {python} -m pip install 'transformers<6,>=5.15'"
    assert missing.startswith("scipy is missing (") and missing.endswith(f"{python} -m pip install 'scipy<2,>=1.14'")


@pytest.mark.usefixtures("no_kernel_asked")
@pytest.mark.parametrize("page", ["1.1.0", "4.0.0"])
def test_widgets_whose_halves_do_not_fit(monkeypatch, capsys, page):
    real = doctor.version
    monkeypatch.setattr(doctor, "version", lambda name: page if name == "jupyterlab_widgets" else real(name))
    (line,) = bad_lines(capsys)
    assert f"jupyterlab_widgets {page} in the page; run: {sys.executable} -m pip install --upgrade ipywidgets" in line


@pytest.mark.usefixtures("no_kernel_asked")
def test_too_little_memory(monkeypatch, capsys):
    memory = type("Memory", (), {"available": 2**29})
    monkeypatch.setattr(doctor.psutil, "virtual_memory", lambda: memory)
    assert bad_lines(capsys) == ["0.5 GiB of memory free (2 wanted, 3 with GPT-2)"]


def test_no_mini(monkeypatch, tmp_path):
    monkeypatch.setattr(models, "MINI", tmp_path)
    fine, line = next(doctor.model_findings())
    assert not fine and line.startswith(f"{tmp_path}: expected a GPT-2")


def kernel_of(python, monkeypatch, tmp_path, **spec):
    """Jupyter's first 'python3' from now on is the one of this Python."""
    place = tmp_path / "jupyter" / "kernels" / "python3"
    place.mkdir(parents=True)
    argv = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    settings = {"argv": argv, "display_name": "Python 3", "language": "python", **spec}
    (place / "kernel.json").write_text(json.dumps(settings))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))


def environment(place):
    """A bare environment of the same base Python; returns its Python."""
    venv.create(place, with_pip=False, symlinks=os.name != "nt")
    return place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def kernel_lines():
    return [line for fine, line in doctor._kernel() if not fine]


def test_the_kernel_of_another_environment_that_dies(monkeypatch, tmp_path):
    python = environment(tmp_path / "other")
    assert python.resolve() == Path(sys.executable).resolve()  # the same base
    kernel_of(python, monkeypatch, tmp_path)
    (line,) = kernel_lines()
    assert line.startswith(f"the kernel 'python3' ({python}) does not start: ") and "No module named ipykernel" in line
    assert line.endswith(f"; run: {sys.executable} -m ipykernel install --sys-prefix")


def test_the_kernel_of_another_environment_that_works(monkeypatch, tmp_path):
    python = environment(tmp_path / "other")
    packages = sysconfig.get_path("purelib", vars={"base": str(tmp_path / "other")})
    Path(packages, "shared.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    kernel_of(python, monkeypatch, tmp_path)
    (line, *_) = kernel_lines()
    assert line.startswith(
        f"the kernel 'python3' starts another Python, of {tmp_path / 'other'}; run: {sys.executable}"
    )


def test_the_kernel_of_a_python_that_is_gone(monkeypatch, tmp_path):
    kernel_of("/usr/bin/another-python", monkeypatch, tmp_path)
    (line,) = kernel_lines()
    assert line.startswith("the kernel 'python3' (/usr/bin/another-python) does not start: ")


def test_no_kernel(monkeypatch):
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    def none(self, name):
        raise NoSuchKernel(name)

    monkeypatch.setattr(KernelSpecManager, "get_kernel_spec", none)
    assert kernel_lines() == [f"there is no kernel 'python3'; run: {sys.executable} -m ipykernel install --sys-prefix"]


def test_the_kernels_own_variables_and_folder_count(monkeypatch, tmp_path):
    """A name that the kernel's file sets, and a path that is relative to the lessons' folder."""
    (tmp_path / "my-lessons").mkdir()
    (tmp_path / "my-lessons" / "01.ipynb").write_text("{}")
    (tmp_path / "my-lessons" / "models").mkdir()
    (tmp_path / "my-lessons" / "models" / "x").symlink_to(MINI, target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    kernel_of(sys.executable, monkeypatch, tmp_path, env={"HEADLAB_MODEL": "models/x"})
    *_, (fine, line) = doctor._kernel()
    assert (fine, line) == (True, "HEADLAB_MODEL=models/x: models/x loads (4 layers of 12 heads, 256 positions)")


def test_what_a_lessons_first_cells_raise_is_told(monkeypatch, tmp_path):
    startup = tmp_path / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00.py").write_text("import sys; sys.modules['headlab.plots'] = None")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    (line,) = kernel_lines()
    assert line.startswith("the first cells of a lesson raise ModuleNotFoundError: import of headlab.plots halted")


def as_it_is(place):
    return None


def task(cls):
    def save(place):
        cls.from_pretrained(place).save_pretrained(place)

    return save


FOLDERS = [spoil for spoil, _ in BROKEN + REFUSED] + [as_it_is, in_shards, old_tokenizer, *map(task, TASKS)]
FOLDERS += [
    configured(n_positions=0),
    configured(vocab_size=3000),
    configured(auto_map={"AutoModelForCausalLM": "x.Y"}),
]


@pytest.mark.parametrize("spoil", FOLDERS)
def test_the_doctor_is_right_about_every_folder_of_the_model_tests(spoil, folder, monkeypatch):  # noqa: F811
    spoil(folder)
    monkeypatch.setenv("HEADLAB_MODEL", str(folder))
    try:
        models.load_model()
        refusal = None
    except ValueError as error:
        refusal = str(error)
    *_, (fine, line) = doctor.model_findings()
    assert fine == (refusal is None)
    said = f"HEADLAB_MODEL={folder}: "
    assert line == said + refusal if refusal else line.startswith(f"{said}{folder} loads (4 layers of 12 heads, 256")


@pytest.mark.parametrize(
    ("wish", "fine", "said"),
    [
        ("GPT2", False, "HEADLAB_MODEL=GPT2: name: expected 'gpt2', in small letters"),
        ("~/course model", True, "HEADLAB_MODEL=~/course model: ~/course model loads (4 layers"),
        ("~/gone", False, "HEADLAB_MODEL=~/gone: name: expected one of gpt2"),
        ("here", True, "HEADLAB_MODEL=here: here loads (4 layers"),
        ("models/x", False, "HEADLAB_MODEL=models/x: models/x is neither on this machine nor a folder in "),
        ("gpt2", False, "HEADLAB_MODEL=gpt2: gpt2 is neither on this machine nor a folder in "),
        ("mini", True, "HEADLAB_MODEL=mini: mini loads (4 layers"),
        (
            "auto",
            True,
            "gpt2 is not on this machine, so the lessons show mini; it cannot be downloaded now: HF_HUB_OFFLINE is set",
        ),
        (
            " ",
            True,
            "gpt2 is not on this machine, so the lessons show mini; it cannot be downloaded now: HF_HUB_OFFLINE is set",
        ),
    ],
)
def test_the_doctor_is_right_about_every_name(wish, fine, said, monkeypatch, tmp_path):
    for name in ("course model", "here"):
        (tmp_path / name).symlink_to(MINI, target_is_directory=True)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADLAB_MODEL", wish)
    found = list(doctor.model_findings())[-1]
    assert found[0] == fine and found[1].startswith(said)
    try:
        models.load_model()
    except (OSError, ValueError):
        assert not fine
    else:
        assert fine


def test_a_model_that_is_too_small_for_the_lessons(folder, monkeypatch):  # noqa: F811
    smaller(n_layer=1)(folder)
    monkeypatch.setenv("HEADLAB_MODEL", str(folder))
    *_, (fine, line) = doctor.model_findings()
    assert not fine
    assert "loads, but the lessons need at least 2 layers of 2 heads and 192 positions, and model has 1 of 12" in line


def test_gpt2_that_can_be_downloaded_is_fine_and_not_downloaded(monkeypatch):
    monkeypatch.setattr("headlab.download.problem", lambda repo: None)
    monkeypatch.setattr("headlab.download.download", lambda repo: pytest.fail("the doctor downloads nothing"))
    assert list(doctor.model_findings())[-1] == (True, "gpt2 is not on this machine; the first lesson downloads it")


def test_as_a_module_and_with_a_command_that_is_none():
    done = subprocess.run([sys.executable, "-m", "headlab", "mend"], capture_output=True, text=True)
    assert done.returncode == 2 and "invalid choice: 'mend'" in done.stderr
