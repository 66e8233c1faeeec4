"""The wheel by itself, installed away from the checkout: lessons, models, explorers, data and the command."""

import os
import shlex
import shutil
import site
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
USES = """
from pathlib import Path
import headlab
from headlab.explorers import HeadExplorer
from headlab.models import load_model
from headlab.predict import predict
from headlab.shift import gpt2_reference

model, tokenizer = load_model("mini")
page = HeadExplorer(model, tokenizer, "The old man sat.").to_html()
print(Path(headlab.__file__).parent, "renderStill" in page, gpt2_reference()["n"].shape)
predict("Which?", "this", "that")
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """(Python of an environment in which headlab is the wheel, an empty folder)."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    left_out = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__", "handout", "my-lessons", "wheels")
    shutil.copytree(ROOT, source, ignore=left_out)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    options = ["--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*pip, "wheel", *options, "-w", str(folder), str(source)], check=True, timeout=120)
    (wheel,) = folder.glob("headlab-*.whl")
    shutil.rmtree(source)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    python = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    subprocess.run([*pip, "--python", str(python), "install", *options, str(wheel)], check=True, timeout=120)
    # Everything but headlab comes from this environment; the link to the checkout, in a .pth of its own, does not.
    place = subprocess.check_output([python, "-c", "import site; print(site.getsitepackages()[0])"], text=True).strip()
    Path(place, "others.pth").write_text("\n".join(site.getsitepackages()))
    work = folder / "work"
    work.mkdir()
    return python, work


def run(installed, *arguments):
    python, folder = installed
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "HEADLAB_"))}
    clean |= {"HF_HUB_OFFLINE": "1", "HEADLAB_MODEL": "mini"}
    return subprocess.run([python, *arguments], cwd=folder, env=clean, capture_output=True, text=True, timeout=120)


def test_the_package_works_from_the_wheel(installed):
    done = run(installed, "-c", USES)
    assert done.returncode == 0, done.stderr
    place, page, shape = done.stdout.splitlines()[0].split(maxsplit=2)
    assert Path(place).is_relative_to(installed[0].parents[1]) and page == "True" and shape == "(12, 12)"


def test_the_lessons_come_with_the_wheel_and_the_doctor_finds_them(installed):
    done = run(installed, "-m", "headlab", "lessons", "my-lessons")
    assert done.returncode == 0, done.stderr
    copies = {path.relative_to(ROOT / "notebooks"): path for path in (ROOT / "notebooks").rglob("[0-9]*.ipynb")}
    folder = installed[1] / "my-lessons"
    assert {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()} == copies.keys()
    assert all((folder / name).read_bytes() == path.read_bytes() for name, path in copies.items())
    assert shlex.split(done.stdout.splitlines()[-1].partition(": ")[2])[1:] == [
        *("-m", "jupyterlab"),
        "my-lessons/01_causal_masking.ipynb",
    ]
    doctor = run(installed, "-m", "headlab", "doctor")
    assert doctor.returncode == 0 and "The lessons will run here." in doctor.stdout, doctor.stdout
