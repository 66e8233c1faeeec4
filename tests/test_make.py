"""`make lab` on a project of small packages: it heals a broken set-up or says in one line what to do, offline too."""

import ast
import contextlib
import functools
import http.server
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.specifiers import SpecifierSet
from small_wheels import write_wheel

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import environment  # noqa: E402
import offline_class  # noqa: E402

PROJECT = """[build-system]
requires = []
build-backend = "small_wheels"
backend-path = ["tests"]
[project]
name = "headlab"
version = "0.1.0"
"""
LAB = "import os, sys\nprint('JupyterLab opens', sys.argv[-1], 'in', os.path.basename(os.getcwd()))"
COMMAND = "import sys\nprint('headlab', *sys.argv[1:])"
TAG = f"cp{sys.version_info.major}{sys.version_info.minor}"
CPU_TAG = f"{TAG}-{TAG}-linux_{platform.machine()}"


def make_project(folder):
    """A checkout with the real Makefile and tools, and with packages of a few lines in `wheels`."""
    for name in ("Makefile", "tools/environment.py", "tools/own_copies.py", "tests/small_wheels.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "constraints.txt").write_text("torch==2.13.0\njupyterlab==4.6.6\n")
    (folder / "headlab").mkdir()
    (folder / "headlab" / "__init__.py").write_text("")
    (folder / "headlab" / "__main__.py").write_text(COMMAND)
    (folder / "notebooks").mkdir()
    shutil.copy(ROOT / "notebooks" / "01_causal_masking.ipynb", folder / "notebooks")
    (folder / "wheels").mkdir()
    write_wheel(folder / "wheels", "torch", "2.13.0", {"torch/__init__.py": "build = 'with everything'\n"})
    write_wheel(folder / "wheels", "jupyterlab", "4.6.6", {"jupyterlab/__init__.py": "", "jupyterlab/__main__.py": LAB})
    for name, version in (("pytest", "1.0"), ("distributed", "1.0"), ("setuptools", "77.0")):
        write_wheel(folder / "wheels", name, version, {f"{name}.py": ""})
    return folder


def make(folder, *arguments, **variables):
    """Run make as a reader does, and return its exit code and what it says."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "MAKE", "HEADLAB_"))}
    clean |= {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1"} | variables
    done = subprocess.run(["make", *arguments], cwd=folder, env=clean, capture_output=True, text=True, timeout=240)
    return SimpleNamespace(code=done.returncode, said=done.stdout + done.stderr)


def fake_python(folder, name, preparation):
    """An interpreter that is this one, changed by a line of Python before it runs a script."""
    code = f"import sys, runpy; {preparation}; del sys.argv[0]; runpy.run_path(sys.argv[0], run_name='__main__')"
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{code}" "$@"\n')
    path.chmod(0o755)
    return str(path)


OLD = "sys.version_info = (3, 10, 2, 'final', 0)"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A project in a folder whose name has spaces and letters beyond ASCII, made ready once, with no index to ask."""
    folder = make_project(tmp_path_factory.mktemp("Khóa học é") / "head lab (1)")
    return folder, make(folder, "lab", f"PYTHON={sys.executable}", "WHEELS=wheels")


def test_lab_opens_in_a_folder_with_spaces_and_other_letters_and_from_a_folder_of_packages(lab):
    folder, first = lab
    assert first.code == 0, first.said
    assert "JupyterLab opens" in first.said and "head lab (1)" in first.said
    again = make(folder, "lab")
    assert again.code == 0 and "Installing" not in again.said and "JupyterLab opens" in again.said
    assert "headlab download gpt2 --if-reachable" in again.said
    assert "my-lessons/01_causal_masking.ipynb in head lab (1)" in again.said
    assert (folder / "my-lessons" / "01_causal_masking.ipynb").exists()
    assert "headlab download" not in make(folder, "lab", HEADLAB_MODEL="mini").said


def test_a_sound_environment_serves_whatever_python3_is(lab, tmp_path):
    folder, _ = lab
    fake_python(tmp_path / "bin", "python3", OLD)
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    assert make(folder, "lab", PATH=path).code == 0
    asked_for = make(folder, "lab", "PYTHON=python3", PATH=path)
    assert asked_for.code != 0 and "headlab needs Python 3.11 to 3.13, and" in asked_for.said
    assert (folder / ".venv" / "pyvenv.cfg").exists(), (
        "a sound .venv was taken away for a Python that cannot replace it"
    )


def test_a_change_of_the_lock_is_installed_and_without_a_network_the_environment_stays(lab):
    folder, _ = lab
    with open(folder / "constraints.txt", "a", encoding="utf-8") as file:
        file.write("pytest==1.0\n")
    nowhere = make(folder, "lab", "TORCH_INDEX=", PIP_INDEX_URL="http://127.0.0.1:9/simple", PIP_RETRIES="1")
    assert nowhere.code == 0, "what is installed fits the lock: there is nothing to ask for" + nowhere.said
    write_wheel(folder / "wheels", "pytest", "1.1", {"pytest.py": ""})
    (folder / "constraints.txt").write_text("torch==2.13.0\njupyterlab==4.6.6\npytest==1.1\n")
    nowhere = make(folder, "ready-test", "TORCH_INDEX=", PIP_INDEX_URL="http://127.0.0.1:9/simple", PIP_RETRIES="1")
    assert nowhere.code != 0 and "The package index does not answer: connect this machine" in nowhere.said
    assert make(folder, "ready-test", "WHEELS=wheels").code == 0
    found = subprocess.run([folder / ".venv/bin/python", "-m", "pip", "list"], capture_output=True, text=True).stdout
    assert re.search(r"pytest +1\.1", found)


def test_a_folder_that_was_moved_is_healed(lab):
    folder, _ = lab
    elsewhere = folder.rename(folder.with_name("head lab (2)"))
    try:
        healed = make(elsewhere, "lab", f"PYTHON={sys.executable}", "WHEELS=wheels")
        assert healed.code == 0 and "JupyterLab opens" in healed.said
        assert ".venv was moved or copied here from another folder; it will be made again." in healed.said
    finally:
        elsewhere.rename(folder)


# What make says before it has an environment


def test_a_python_that_is_not_there(tmp_path):
    folder = make_project(tmp_path)
    done = make(folder, "test", "PYTHON=python3.99")
    assert done.code != 0 and done.said.startswith("There is no python3.99 here: install Python 3.12")


@pytest.mark.parametrize(
    ("preparation", "line"),
    [
        (OLD, r"headlab needs Python 3\.11 to 3\.13, and \S+ is Python 3\.10: .*`make lab PYTHON=python3\.1\d`\."),
        ("sys.version_info = (3, 14, 0)", "headlab needs Python 3.11 to 3.13, and .* is Python 3.14: "),
        ("sys.version_info = (2, 7, 18)", "headlab needs Python 3.11 to 3.13, and .* is Python 2.7: "),
        ("sys.maxsize = 2**31 - 1", r"headlab needs the usual Python \(CPython, 64 bits\)"),
        (
            "sys.modules['ensurepip'] = None",
            r"which cannot make environments: on Debian and Ubuntu run `sudo apt install pyth",
        ),
    ],
    ids=["3.10", "3.14", "2.7", "32 bits", "no ensurepip"],
)
def test_a_python_that_does_not_fit_is_told_first_and_in_one_line(tmp_path, preparation, line):
    folder = make_project(tmp_path / "project")
    python = fake_python(tmp_path / "bin", "python", preparation)
    done = make(folder, "lab", f"PYTHON={python}", "WHEELS=wheels")
    assert done.code != 0 and not (folder / ".venv").exists()
    ours = [said for said in done.said.splitlines() if not said.startswith("make")]
    assert len(ours) == 1 and re.search(line, ours[0]), done.said


def test_a_checkout_that_cannot_be_written_to(tmp_path):
    folder = make_project(tmp_path / "project")
    folder.chmod(0o555)
    as_reader = ["setpriv", "--bounding-set", "-dac_override"] if os.geteuid() == 0 else []
    try:
        command = [*as_reader, "make", "lab", f"PYTHON={sys.executable}", "WHEELS=wheels"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    finally:
        folder.chmod(0o755)
    assert done.returncode != 0 and "This folder cannot be written to: copy it to one that can" in done.stderr


# What the script finds in a folder


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project in which the script works and installs nothing; returns its folder."""
    folder = make_project(tmp_path / "project")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(environment, "__file__", str(folder / "tools" / "environment.py"))
    return folder


def bare_venv(pip="import sys\nif __name__ == '__main__': print('pip 1')\n"):
    """An environment with a pip that only says its version, or none."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", ".venv"], check=True)
    site = Path(
        subprocess.check_output([environment.PYTHON, "-c", "import site; print(site.getsitepackages()[0])"])
        .decode()
        .strip()
    )
    if pip:
        (site / "pip").mkdir()
        (site / "pip" / "__init__.py").write_text("")
        (site / "pip" / "__main__.py").write_text(pip)
        Path(environment.BIN, "pip").write_text(f"#!{os.path.abspath(environment.PYTHON)}\n", encoding="utf-8")
    return site


def another_version():
    Path(".venv/bin").mkdir(parents=True)
    Path(".venv/bin/python").write_text("#!/bin/sh\necho 3 10 1\n", encoding="utf-8")
    Path(".venv/bin/python").chmod(0o755)


def a_dangling_link():
    Path(".venv/bin").mkdir(parents=True)
    Path(".venv/bin/python").symlink_to("/nowhere/python3.12")


def an_empty_folder():
    Path(".venv").mkdir()


def a_python_that_dies():
    another_version()
    Path(".venv/bin/python").write_text("#!/bin/sh\nexit 127\n", encoding="utf-8")


def without_pip():
    bare_venv(pip=None)


def copied():
    bare_venv()
    Path(".venv/bin/pip").write_text("#!/home/another/headlab/.venv/bin/python3\n", encoding="utf-8")


def copied_from_a_folder_with_spaces():
    bare_venv()
    Path(".venv/bin/pip").write_text(
        "#!/bin/sh\n'''exec' \"/home/an other/.venv/bin/python\" \"$0\" \"$@\"\n' '''\n", encoding="utf-8"
    )


def half_a_pip():
    bare_venv(pip="import no_such_module")


def half_a_package():
    site = bare_venv()
    info = site / "torch-2.13.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 2.13.0\n")
    (info / "RECORD").write_text("torch/__init__.py,,1234\n")
    (site / "torch").mkdir()
    (site / "torch" / "__init__.py").write_text("cut off")


def half_a_package_of_a_later_installation():
    half_a_package()
    next(Path(".venv").rglob("torch/__init__.py")).unlink()
    Path(environment.STAMP).write_text("{}", encoding="utf-8")
    Path(environment.UNFINISHED).write_text("", encoding="utf-8")


def a_package_without_its_list():
    half_a_package()
    next(Path(".venv").rglob("RECORD")).unlink()


@pytest.mark.parametrize(
    ("breakage", "said"),
    [
        (another_version, "has Python 3.10, and headlab needs 3.11 to 3.13"),
        (a_dangling_link, "has no Python (it is unfinished, or its Python was removed)"),
        (an_empty_folder, "has no Python (it is unfinished, or its Python was removed)"),
        (a_python_that_dies, "has a Python that does not start"),
        (without_pip, "has no pip (it is unfinished)"),
        (copied, "was moved or copied here from another folder"),
        (copied_from_a_folder_with_spaces, "was moved or copied here from another folder"),
        (half_a_pip, "has a pip that does not run"),
        (half_a_package, "has only part of torch (an installation was interrupted)"),
        (half_a_package_of_a_later_installation, "has only part of torch (an installation was interrupted)"),
        (a_package_without_its_list, "has only part of torch (an installation was interrupted)"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_an_environment_that_is_not_whole_is_made_anew_and_the_reason_is_said(
    project, monkeypatch, capsys, breakage, said
):
    breakage()
    done = []
    monkeypatch.setattr(environment, "call", lambda command, options, needed=True: done.append(command[1:4]))
    monkeypatch.setattr(environment, "install", lambda what, options: done.append(what))
    environment.main(["lab"])
    assert f".venv {said}; it will be made again." in capsys.readouterr().out
    assert done == [["-m", "venv", ".venv"], "lab"] and not Path(".venv").exists()


def test_a_sound_environment_stays_and_one_of_another_python_only_by_name(project, monkeypatch, capsys):
    bare_venv()
    done = []
    monkeypatch.setattr(environment, "call", lambda command, options, needed=True: done.append(command[1:4]))
    monkeypatch.setattr(environment, "install", lambda what, options: done.append(what))
    environment.main(["lab", "--chosen"])
    assert done == ["lab"]
    other = (3, 12 if sys.version_info[1] != 12 else 13)
    monkeypatch.setattr(sys, "version_info", (*other, 1, "final", 0))
    environment.main(["lab"])
    assert done == ["lab", "lab"]
    environment.main(["lab", "--chosen"])
    assert f"and PYTHON is {other[0]}.{other[1]}; it will be made again" in capsys.readouterr().out
    assert done[2:] == [["-m", "venv", ".venv"], "lab"]


def test_a_link_to_an_environment_elsewhere_is_cut_and_that_one_stays(project, monkeypatch):
    elsewhere = project.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine.txt").write_text("mine")
    Path(".venv").symlink_to(elsewhere)
    environment.remove_venv()
    assert not os.path.lexists(".venv") and (elsewhere / "mine.txt").exists()


def test_what_stands_in_the_way_of_an_environment(project, monkeypatch):
    assert environment.folder_fault() is None
    Path(".venv").write_text("", encoding="utf-8")
    assert environment.folder_fault().startswith(".venv is a file")
    monkeypatch.setattr(os, "getcwd", lambda: "/home/a:b")
    assert "path contains ':'" in environment.folder_fault()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("ERROR: Could not install: [Errno 28] No space left on device", "The disk is full"),
        ("OSError: [Errno 122] Disk quota exceeded", "The disk is full"),
        ("[Errno 13] Permission denied: 'headlab.egg-info'", "This folder cannot be written to: copy it"),
        ("ProxyError('Cannot connect to proxy.', OSError(407))", "The proxy refuses: set HTTPS_PROXY"),
        ("SSLError(SSLCertVerificationError: CERTIFICATE_VERIFY_FAILED", "A certificate is refused"),
        (
            "NewConnectionError: [Errno -2] Name or service not known\nERROR: No matching distribution found for torch",
            "The package index does not answer",
        ),
        ("zipfile.BadZipFile: File is not a zip file", "A package's file is damaged"),
        (
            "ERROR: No matching distribution found for torch==2.13.0",
            f"There is no torch==2.13.0 for {platform.system()} {platform.machine()}, Python",
        ),
        ("something else\nERROR: the last word.", "ERROR: the last word. Once that is fixed, `make lab` continues"),
        ("", "a command failed. Once"),
    ],
)
def test_a_failure_ends_in_one_line_that_says_what_to_do(text, line):
    options = SimpleNamespace(what="lab", wheels="")
    said = environment.remedy(text, options)
    assert said.startswith(line) and "\n" not in said and "make lab" in said


def test_a_folder_of_packages_that_is_none_or_lacks_one(project):
    missing = make(project, "lab", f"PYTHON={sys.executable}", "WHEELS=nothing here")
    assert missing.code != 0 and "WHEELS: expected a folder of packages, got 'nothing here'" in missing.said
    (project / "wheels" / "jupyterlab-4.6.6-py3-none-any.whl").unlink()
    lacking = make(project, "lab", "WHEELS=wheels")
    assert "There is no fitting package" in lacking.said and "collect wheels with `make wheels`" in lacking.said


# PyTorch's build for processors


class Files(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, and says nothing of it."""

    def log_message(self, *arguments):
        """Say nothing."""


@contextlib.contextmanager
def served(folder):
    """The address at which a folder's files are served."""
    handler = functools.partial(Files, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def make_index(folder):
    """An index of packages, `simple`, and one that has only PyTorch's build for processors, `cpu`."""
    for path in (folder / "wheels").iterdir():
        place = folder / "simple" / path.name.partition("-")[0]
        place.mkdir(parents=True)
        shutil.copy(path, place)
    (folder / "cpu" / "torch").mkdir(parents=True)
    files = {"torch/__init__.py": "build = 'for processors'\n"}
    write_wheel(folder / "cpu" / "torch", "torch", "2.13.0+cpu", files, tag=CPU_TAG)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere pip finds this build by itself")
def test_on_linux_the_build_for_processors_is_taken_where_its_index_has_it(tmp_path, monkeypatch):
    folder = make_project(tmp_path / "project")
    make_index(folder)
    with served(folder) as url:
        index = {"PIP_INDEX_URL": f"{url}/simple"}
        first = make(folder, "ready-lab", f"PYTHON={sys.executable}", f"TORCH_INDEX={url}/cpu", **index)
        assert first.code == 0, first.said
        assert f"No NVIDIA card found: installing PyTorch 2.13.0 for the CPU, from {url}/cpu." in first.said
        script = "import torch; print(torch.build)"
        assert subprocess.check_output([folder / ".venv/bin/python", "-c", script]) == b"for processors\n"
        again = make(folder, "ready-test", f"TORCH_INDEX={url}/cpu", **index)
        assert again.code == 0 and "No NVIDIA card" not in again.said
        collected = make(folder, "wheels", "WHEELS=to carry", f"TORCH_INDEX={url}/cpu", **index)
        names = sorted(path.name for path in (folder / "to carry").iterdir())
        assert collected.code == 0 and f"torch-2.13.0+cpu-{CPU_TAG}.whl" in names and len(names) >= 4, collected.said


@pytest.fixture
def asks(project, monkeypatch):
    """What pip is told about PyTorch with a given address as its index."""
    monkeypatch.setattr(environment, "probe", lambda: [*sys.version_info[:2], 1])
    monkeypatch.setattr(environment, "has_nvidia", lambda: False)
    monkeypatch.setattr(environment, "SECONDS", 60)
    monkeypatch.setattr(sys, "platform", "linux")
    return lambda index: environment.torch_requirement(SimpleNamespace(torch_index=index))


def test_an_index_that_has_it_is_named_to_pip(project, asks, capsys, monkeypatch):
    make_index(project)
    with served(project) as url:
        assert asks(f"{url}/cpu/") == ["--index-url", f"{url}/cpu/", "torch==2.13.0+cpu"]
        assert asks("") == []
        monkeypatch.setattr(environment, "has_nvidia", lambda: True)
        assert asks(f"{url}/cpu") == []
        monkeypatch.setattr(environment, "has_nvidia", lambda: False)
        monkeypatch.setattr(environment, "probe", lambda: [3, 99, 1])
        assert asks(f"{url}/cpu") == [], "a build for another Python is none"
        monkeypatch.setattr(sys, "platform", "darwin")
        assert asks(f"{url}/cpu") == []
    assert SpecifierSet("==2.13.0").contains("2.13.0+cpu"), "the lock's version is that build's too"


def test_an_index_that_is_absent_or_hangs_is_given_up_in_time(asks, capsys, monkeypatch):
    monkeypatch.setattr(environment, "SECONDS", 0.5)
    assert asks("http://127.0.0.1:9/cpu") == []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        start = time.monotonic()
        assert asks(f"http://127.0.0.1:{silent.getsockname()[1]}/cpu") == []
        assert time.monotonic() - start < 60, "it hangs"
    assert capsys.readouterr().out.count("pip takes what it finds") == 2


def test_an_index_that_sends_a_byte_now_and_then_is_given_up_in_time(asks, monkeypatch):
    monkeypatch.setattr(environment, "SECONDS", 0.5)

    class Drip(Files):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                while True:
                    self.wfile.write(b" ")
                    time.sleep(0.1)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Drip) as server:
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert asks(f"http://127.0.0.1:{server.server_port}/cpu") == []
        server.shutdown()


# The script itself


def test_a_second_make_waits_for_the_first(project):
    bare_venv()
    Path(environment.STAMP).write_text(
        json.dumps(environment.wanted("test") | {"folder": str(project.resolve())}), encoding="utf-8"
    )
    command = [sys.executable, "tools/environment.py", "lab"]
    with environment.only_one():
        second = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert second.stdout.readline() == "Another make is preparing .venv: waiting for it.\n"
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(0.5)
    assert second.communicate(timeout=60)[0] == "" and second.returncode == 0


def test_any_python_can_read_the_script_and_its_versions_are_the_projects():
    text = (ROOT / "tools" / "environment.py").read_text(encoding="utf-8")
    tree = ast.parse(text, feature_version=(3, 4))
    newer = (ast.JoinedStr, ast.NamedExpr, ast.AnnAssign, ast.Starred, ast.AsyncFunctionDef, ast.Nonlocal)
    assert text.isascii() and not [node for node in ast.walk(tree) if isinstance(node, newer)]
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        assert not function.args.kwonlyargs and function.returns is None
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    oldest, newest = (".".join(map(str, version)) for version in (environment.OLDEST, environment.NEWEST))
    fits = SpecifierSet(project["requires-python"])
    assert oldest in fits and newest in fits and "3.10" not in fits and "3.14" not in fits
    asked = {extra for extras in environment.EXTRAS.values() for extra in extras.strip("[]").split(",") if extra}
    assert asked and asked <= set(project["optional-dependencies"])


def test_nothing_of_the_readers_settings_sends_the_packages_elsewhere(monkeypatch):
    for name in ("PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "PIP_PREFIX", "PIP_USER"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("PIP_INDEX_URL", "https://a.mirror/simple")
    assert not {"PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "PIP_PREFIX", "PIP_USER"} & set(environment.environment())
    assert environment.environment()["PIP_INDEX_URL"] == "https://a.mirror/simple"


# A class without a network, as site/running.md has it

SERVER = """
import http.server, json, os, pathlib, sys
class Lab(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        assert self.headers["Authorization"] == "token secret"
        lesson = pathlib.Path("my-lessons", self.path.split("contents/")[1].split("?")[0])
        self.send_response(200 if lesson.exists() else 404)
        self.end_headers()
        self.wfile.write(json.dumps({"path": lesson.name}).encode())
    def log_message(self, *arguments):
        pass
if not any(option.startswith("--ServerApp.ip") for option in sys.argv):
    raise SystemExit("not as make lab starts it")
server = http.server.HTTPServer(("127.0.0.1", 0), Lab)
runtime = pathlib.Path(os.environ["JUPYTER_RUNTIME_DIR"])
runtime.mkdir(exist_ok=True)
info = {"url": f"http://127.0.0.1:{server.server_port}/", "token": "secret"}
(runtime / "jpserver-1.json").write_text(json.dumps(info))
server.serve_forever()
"""
PYTEST = "import os, sys\nprint('pytest', os.environ['HEADLAB_MODEL'], *sys.argv[1:])"


def no_network():
    """Whether a program can be given a network of its own here."""
    alone = ["unshare", "--net", *([] if os.geteuid() == 0 else ["--map-root-user"]), "true"]
    return shutil.which("unshare") and subprocess.run(alone, capture_output=True).returncode == 0


@pytest.mark.skipif(not no_network(), reason="no network can be taken away here")
def test_the_commands_for_a_class_run_as_they_stand_without_a_network(tmp_path, monkeypatch, capfd):
    course = make_project(tmp_path / "course")
    (course / "site").mkdir(exist_ok=True)
    shutil.copy(ROOT / "site" / "running.md", course / "site")
    wheels = (course / "wheels").rename(tmp_path / "wheels")
    write_wheel(wheels, "jupyterlab", "4.6.6", {"jupyterlab/__init__.py": "", "jupyterlab/__main__.py": SERVER})
    write_wheel(wheels, "pytest", "1.0", {"pytest.py": PYTEST})
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nowhere"))
    monkeypatch.setenv("HEADLAB_MODEL", "mini")
    assert offline_class.play(course, wheels) == 0
    said = capfd.readouterr().out
    assert "pytest mini -n 2" in said and "--nbval" in said
    assert "JupyterLab serves 01_causal_masking.ipynb" in said
    with_network, on_each = offline_class.commands((ROOT / "site" / "running.md").read_text(encoding="utf-8"))
    assert with_network[0] == "make wheels" and on_each[-1] == "make lab WHEELS=wheels"
    assert all(f"without a network: {command}: done" in said for command in on_each)
    (course / "Makefile").write_text("nbval lab:\n\tfalse\n")
    assert offline_class.play(course, wheels) != 0, "a class in which a command failed went well"


def test_readme_and_its_pages_name_only_what_there_is():
    pages = [ROOT / "README.md", *(ROOT / "site").glob("*.md")]
    readme = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    code = "\n".join(re.findall(r"`[^`\n]+`|^ {4}.+$", readme, re.MULTILINE))
    targets = set(re.findall(r"\bmake ([a-z][\w-]*)", code))
    rules = set(re.findall(r"^([\w -]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    known = {target for rule in rules for target in rule.split()}
    assert {"lab", "test", "handout", "wheels", "nbval", "notebooks"} <= targets <= known
    tools = {path.replace("\\", "/") for path in re.findall(r"tools[/\\]\w+\.py", code)}
    assert len(tools) >= 3 and all((ROOT / tool).exists() for tool in tools)


def test_a_network_that_is_not_off_is_noticed():
    with pytest.raises(SystemExit, match="expected none but the loopback"):
        offline_class.raise_loopback()
