"""headlab doctor: what it looks at, and what it says where a lesson would not run."""

import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import constants

from headlab import cli, models


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch, tmp_path):
    """No GPT-2 on this machine, whatever lies in the reader's own cache."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))


def test_a_sound_machine(capsys):
    assert cli.main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("ok   ") for line in lines[:-1])
    assert lines[-1] == "The lessons will run here."
    for part in ("Python 3.", "torch 2.", "ipywidgets 8.", "in the page", "the kernel 'python3'", "GiB of memory free"):
        assert any(part in line for line in lines)
    assert "ok   mini, the model that ships with headlab, loads (4 layers)" in lines
    assert "ok   gpt2 is not on this machine, so the lessons show mini; to get it: headlab download gpt2" in lines


def bad_lines(capsys):
    """Run the doctor, who has to find something, and return the lines that say what."""
    assert cli.main(["doctor"]) == 1
    *lines, last = capsys.readouterr().out.splitlines()
    bad = [line.removeprefix("BAD  ") for line in lines if line.startswith("BAD  ")]
    assert last == f"{len(bad)} thing(s) to mend before the lessons run; see BAD above."
    return bad


def test_a_package_that_is_missing_or_too_old(monkeypatch, capsys):
    real = cli.version

    def version(name):
        if name == "scipy":
            raise cli.PackageNotFoundError(name)
        return "4.57.0" if name == "transformers" else real(name)

    monkeypatch.setattr(cli, "version", version)
    old, missing = bad_lines(capsys)
    python = Path(sys.executable).name
    assert old == f"transformers 4.57.0 (<6,>=5.15 wanted); run: {python} -m pip install 'transformers<6,>=5.15'"
    assert missing.startswith("scipy is missing (") and missing.endswith("-m pip install 'scipy<2,>=1.14'")


def test_widgets_whose_halves_do_not_fit(monkeypatch, capsys):
    real = cli.version
    monkeypatch.setattr(cli, "version", lambda name: "1.1.0" if name == "jupyterlab_widgets" else real(name))
    (line,) = bad_lines(capsys)
    assert "in the kernel, jupyterlab_widgets 1.1.0 in the page; run: pip install --upgrade" in line


def test_no_mini(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(models, "MINI", tmp_path)
    (line,) = bad_lines(capsys)
    assert line.startswith(f"{tmp_path}: expected a GPT-2")


def test_too_little_memory(monkeypatch, capsys):
    memory = type("Memory", (), {"available": 2**29})
    monkeypatch.setattr(cli.psutil, "virtual_memory", lambda: memory)
    assert bad_lines(capsys) == ["0.5 GiB of memory free (2 wanted, 3 with GPT-2)"]


def test_the_kernel_of_another_python(monkeypatch, capsys):
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager

    other = KernelSpec(argv=["/usr/bin/another-python"])
    monkeypatch.setattr(KernelSpecManager, "get_kernel_spec", lambda self, name: other)
    (line,) = bad_lines(capsys)
    assert line.startswith("the kernel 'python3' starts /usr/bin/another-python; run: ")


def test_no_kernel(monkeypatch, capsys):
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    def none(self, name):
        raise NoSuchKernel(name)

    monkeypatch.setattr(KernelSpecManager, "get_kernel_spec", none)
    assert bad_lines(capsys) == ["there is no kernel 'python3'; run: python -m ipykernel install --sys-prefix"]


def test_as_a_module_and_with_a_command_that_is_none():
    done = subprocess.run([sys.executable, "-m", "headlab", "mend"], capture_output=True, text=True)
    assert done.returncode == 2 and "invalid choice: 'mend'" in done.stderr
