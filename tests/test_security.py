"""JupyterLab as `make lab` starts it answers on the loopback alone, and nobody without its token."""

import base64
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import nbformat
import pytest

from headlab.explorers import EXPLORERS
from headlab.predict import Prediction

ROOT = Path(__file__).parents[1]


def lab_command():
    """The arguments with which `make lab` starts JupyterLab."""
    lines = subprocess.run(["make", "-n", "lab"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    (line,) = (line for line in lines.replace("\\\n", "").splitlines() if " -m jupyterlab " in line)
    return shlex.split(line)[3:]


@pytest.mark.skipif(not shutil.which("make"), reason="no make on this machine")
def test_jupyterlab_listens_on_the_loopback_and_asks_for_its_token(tmp_path):
    folders = {f"JUPYTER_{name}_DIR": str(tmp_path / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    shutil.copytree(ROOT / "notebooks", tmp_path / "my-lessons")
    command = [sys.executable, "-m", "jupyterlab", *lab_command(), "--no-browser", "--port=0", "--allow-root"]
    with open(tmp_path / "log", "w", encoding="utf-8") as log:
        server = subprocess.Popen(command, cwd=tmp_path, env=os.environ | folders, stdout=log, stderr=log)
    try:
        info = wait_for(tmp_path / "RUNTIME", server)
        assert info["hostname"] == "127.0.0.1" and len(info["token"]) >= 32
        with pytest.raises(HTTPError) as refused:
            urlopen(f"{info['url']}api/contents", timeout=20)
        assert refused.value.code == 403
        refused.value.close()
        with urlopen(f"{info['url']}api/contents?token={info['token']}", timeout=20) as answer:
            assert answer.status == 200
    finally:
        server.terminate()
        server.wait(30)


def test_the_only_scripts_in_the_saved_notebooks_are_the_explorers_and_the_predictions():
    widgets = (*EXPLORERS, Prediction)
    ours = [base64.b64encode(str(widget._esm).encode()).decode() for widget in widgets]
    for path in (ROOT / "notebooks").rglob("*.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            for output in cell.get("outputs", []):
                data = output.get("data", {})
                assert "application/javascript" not in data, path
                page = data.get("text/html", "")
                assert page.count("<script") <= any(script in page for script in ours), path


def wait_for(folder, server):
    """What the server writes down about itself once it listens."""
    for _ in range(600):
        for path in folder.glob("jpserver-*.json"):
            try:
                info = json.loads(path.read_text())
                urlopen(f"{info['url']}api", timeout=5).close()
                return info
            except (OSError, ValueError):
                pass
        assert server.poll() is None
        time.sleep(0.1)
    raise AssertionError("JupyterLab did not start")
