"""Make the environment in .venv ready, or say in one line what stands in the way and what to do.

    python3 tools/environment.py lab      headlab and all that the lessons need
    python3 tools/environment.py test     and all that the tests need
    python3 tools/environment.py wheels   the packages as files in wheels/, for machines without a network

`make lab`, `make test` and `make wheels` call it. Standard library only, and no syntax newer than Python 2.7: a Python
that is too old must be able to read this file and say so.
"""

import argparse
import errno
import glob
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import threading

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

OLDEST, NEWEST = (3, 11), (3, 13)
VENV = ".venv"
BIN = os.path.join(VENV, "Scripts" if os.name == "nt" else "bin")
PYTHON = os.path.join(BIN, "python.exe" if os.name == "nt" else "python")
STAMP = os.path.join(VENV, ".headlab.json")  # says what was installed last
UNFINISHED = os.path.join(VENV, ".unfinished")  # exists while pip works
EXTRAS = {"lab": "", "test": "[test,cluster,site,teach]"}
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
SECONDS = 5  # for PyTorch's index to answer
COPY = "copy it to one that can (cp -r . ~/headlab) and run make there"

# The version of an environment's Python, and whether it has pip.
PROBE = "import importlib.util as u, sys; print(*sys.version_info[:2], int(u.find_spec('pip') is not None))"

# The packages of an environment that were not unpacked completely: a file of their list is missing or has another size.
DAMAGED = """
import csv, importlib.metadata, os
for found in importlib.metadata.distributions():
    record = found.read_text("RECORD")
    rows = list(csv.reader(record.splitlines())) if record else [[None]]
    for row in rows:
        path = row[0] and str(found.locate_file(row[0]))
        if row[0] and (row[0].startswith("..") or row[0].endswith(".pyc")):
            continue
        if not path or not os.path.exists(path) or (row[2] and os.path.getsize(path) != int(row[2])):
            print(found.name)
            break
"""

# What is said when something fails (the first that fits counts), and what to do about it.
FAULTS = (
    (
        "No space left|Errno 28|Disk quota|Errno 122",
        "The disk is full: headlab needs about 2 GB here, and for a while as much in the folder for temporary files.",
    ),
    ("Read-only file system|Permission denied|Errno 13|Errno 30", "This folder cannot be written to: {copy}."),
    (
        "ProxyError|407 |Cannot connect to proxy",
        "The proxy refuses: set HTTPS_PROXY to your proxy's address, with name and password if it asks for them.",
    ),
    (
        "CERTIFICATE_VERIFY_FAILED|SSLError",
        "A certificate is refused, as behind a school's or a company's proxy: set PIP_CERT to the proxy's certificate.",
    ),
    (
        "getaddrinfo|NameResolution|Name or service not known|NewConnectionError|Failed to establish|timed out",
        "The package index does not answer: connect this machine, or bring the packages (see site/running.md).",
    ),
    (
        "BadZipFile|is invalid|DO NOT MATCH THE HASHES",
        "A package's file is damaged: remove it from {wheels}, or run {python} -m pip cache purge.",
    ),
    (
        r"No matching distribution found for (\S+)|ResolutionImpossible",
        "There is no {package} for {system}: {missing}.",
    ),
)


def main(arguments=None):
    """Do what the command line says; one line and exit code 1 where that is impossible."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["lab", "test", "wheels"])
    parser.add_argument("--chosen", action="store_true", help="this Python was asked for by name")
    parser.add_argument("--wheels", default="", help="the folder that packages come from, or for `wheels` go to")
    parser.add_argument("--torch-index", default=CPU_INDEX, help="PyTorch's own index, asked on Linux without a card")
    options = parser.parse_args(arguments)
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
    try:
        with only_one():
            if options.what == "wheels":
                folder, options.wheels = options.wheels or "wheels", ""
                ready("lab", options)
                collect(folder, options)
            else:
                ready(options.what, options)
    except KeyboardInterrupt:
        stop("Interrupted. Run `make %s` to continue." % options.what)
    except (IOError, OSError) as error:
        stop(remedy(str(error), options))


def only_one():
    """A lock, so that a second make waits for the first instead of deleting its unfinished .venv."""
    lock = open("pyproject.toml", encoding="utf-8")
    if fcntl:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (IOError, OSError) as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):  # otherwise the file system has no locks
                say("Another make is preparing .venv: waiting for it.")
                fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def ready(what, options):
    """Make or repair .venv and install what is missing."""
    version = sys.version_info[:2] if options.chosen else None
    fault = venv_fault(version)
    if not fault and installed(what):
        return
    fault = fault or unfinished()
    if fault or not os.path.isdir(VENV):
        stop_at(python_fault(options.what), folder_fault())
        if fault:
            say("%s %s; it will be made again." % (VENV, fault))
            remove_venv()
        say("Making an environment in %s with Python %s." % (VENV, platform.python_version()))
        call([getattr(sys, "_base_executable", None) or sys.executable, "-m", "venv", VENV], options)
    install(what, options)


def python_fault(what):
    """Why no environment can be made with the Python that runs this; nothing where one can."""
    version = tuple(sys.version_info[:2])
    found = "%s is Python %d.%d" % ((os.path.basename(sys.executable or "python"),) + version)
    if not OLDEST <= version <= NEWEST:
        fitting = [name for name in ("python3.13", "python3.12", "python3.11") if which(name)]
        first = "run" if fitting else "install one of these (python.org has them), then run"
        command = "make %s PYTHON=%s" % (what, (fitting or ["python3.12"])[0])
        return "headlab needs Python 3.11 to 3.13, and %s: %s `%s`." % (found, first, command)
    if platform.python_implementation() != "CPython" or sys.maxsize < 2**32:
        return "headlab needs the usual Python (CPython, 64 bits), as PyTorch does, and %s of another kind." % found
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        package = "python%d.%d-venv" % version
        cure = "on Debian and Ubuntu run `sudo apt install %s`, then `make %s`" % (package, what)
        return "%s, which cannot make environments: %s." % (found, cure)
    return None


def folder_fault():
    """Why no environment can be made in this folder; nothing where one can."""
    if os.pathsep in os.getcwd():
        return "This folder's path contains %r, which no environment's path may: rename the folder." % os.pathsep
    if not os.access(".", os.W_OK):
        return "This folder cannot be written to: %s." % COPY
    if os.path.isfile(VENV):
        return "%s is a file, but has to be a folder for the environment: move the file away." % VENV
    if os.path.isdir(VENV) and not os.access(VENV, os.W_OK):
        advice = "run `sudo rm -r %s`, then make without sudo" % VENV
        return "%s belongs to another user (was make run with sudo?): %s." % (VENV, advice)
    return None


def venv_fault(version):
    """What is wrong with .venv, which must have this version of Python if one is given; nothing where it is sound."""
    if not os.path.isdir(VENV):
        return None
    if not os.path.exists(PYTHON):
        return "has no Python (it is unfinished, or its Python was removed)"
    try:
        major, minor, has_pip = probe()
    except (OSError, ValueError, subprocess.CalledProcessError):
        return "has a Python that does not start"
    if not OLDEST <= (major, minor) <= NEWEST:
        return "has Python %d.%d, and headlab needs 3.11 to 3.13" % (major, minor)
    if version and (major, minor) != tuple(version):
        return "has Python %d.%d, and PYTHON is %d.%d" % ((major, minor) + tuple(version))
    if not has_pip:
        return "has no pip (it is unfinished)"
    if moved():
        return "was moved or copied here from another folder"
    return None


def probe():
    """Major and minor version of .venv's Python, and whether it has pip."""
    return [int(word) for word in ask("-c", PROBE).split()]


def ask(*arguments):
    """What .venv's Python prints; CalledProcessError where it fails."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        answer = subprocess.check_output([PYTHON] + list(arguments), env=environment(), stderr=nowhere)
    return answer.decode("utf-8", "replace")


def moved():
    """Whether the commands in .venv start the Python of another folder."""
    for script in glob.glob(os.path.join(BIN, "pip*")):
        with open(script, "rb") as file:
            first = file.read(4096).decode("utf-8", "replace")
        # Where the path has spaces or is long, pip writes a line for the shell instead.
        started = re.match(r"""#!(?:/bin/sh\n.*?exec' )?"?(.+?)/python""", first)
        if started:
            return os.path.realpath(started.group(1)) != os.path.realpath(BIN)
    return False


def unfinished():
    """What an interrupted installation has left behind; nothing where the last one was finished."""
    if not os.path.isdir(VENV):
        return None
    try:
        ask("-m", "pip", "--version")
    except subprocess.CalledProcessError:
        return "has a pip that does not run"
    whole = os.path.exists(STAMP) and not os.path.exists(UNFINISHED)
    damaged = [] if whole else ask("-c", DAMAGED).split()
    return "has only part of %s (an installation was interrupted)" % ", ".join(damaged) if damaged else None


def remove_venv():
    """Delete .venv; where it is a link, only the link."""
    if os.path.islink(VENV):
        os.unlink(VENV)
    else:
        shutil.rmtree(VENV)


def wanted(what):
    """Everything that decides what has to be installed, as the stamp holds it."""
    lists = b""
    for name in ("pyproject.toml", "constraints.txt"):
        with open(name, "rb") as file:
            lists += file.read()
    return {"lists": hashlib.sha256(lists).hexdigest(), "folder": os.getcwd(), "extras": EXTRAS[what]}


def installed(what):
    """Whether .venv has what is wanted."""
    try:
        with open(STAMP, encoding="utf-8") as file:
            found = json.load(file)
    except (IOError, OSError, ValueError):
        return False
    return found in (wanted(what), wanted("test"))


def install(what, options):
    """Install headlab, as a link to this folder, and all that it needs."""
    stop_at(folder_fault())
    open(UNFINISHED, "w", encoding="utf-8").close()
    source = []
    if options.wheels:
        if not os.path.isdir(options.wheels):
            stop("WHEELS: expected a folder of packages, got %r. `make wheels` makes one." % options.wheels)
        source = ["--no-index", "--find-links", options.wheels]
    elif not has_torch():
        torch = torch_requirement(options)
        if torch:
            call(pip("install", "--no-deps") + torch, options, needed=False)
    say("Installing the packages into %s; the first time, this takes a few minutes." % VENV)
    call(pip("install", "-c", "constraints.txt") + source + ["-e", "." + EXTRAS[what]], options)
    part = STAMP + ".part"
    with open(part, "w", encoding="utf-8") as file:
        json.dump(wanted(what), file)
    getattr(os, "replace", os.rename)(part, STAMP)
    os.unlink(UNFINISHED)


def collect(folder, options):
    """Bring every package that the lessons and the tests need into a folder."""
    torch = torch_requirement(options)
    if torch:
        call(pip("download", "--no-deps", "-d", folder) + torch, options, needed=False)
    packages = ["." + EXTRAS["test"], "setuptools>=77"]
    call(pip("download", "-c", "constraints.txt", "-d", folder, "--find-links", folder) + packages, options)
    say("%s has the packages. On each machine: make lab WHEELS=%s" % (folder, folder))


def pip(*arguments):
    """The command that runs pip in .venv."""
    quiet = [] if sys.stdout is not None and sys.stdout.isatty() else ["--quiet"]
    return [PYTHON, "-m", "pip", arguments[0], "--disable-pip-version-check"] + quiet + list(arguments[1:])


def has_torch():
    """Whether .venv has any torch."""
    return ask("-c", "import importlib.util as u; print(u.find_spec('torch'))").strip() != "None"


def torch_requirement(options):
    """pip's arguments for PyTorch's CPU build, where that is wanted and its index answers; else none."""
    if not sys.platform.startswith("linux") or has_nvidia() or not options.torch_index:
        return []
    with open("constraints.txt", encoding="utf-8") as file:
        version = re.search(r"^torch==(\S+)", file.read(), re.MULTILINE).group(1)
    major, minor, _ = probe()
    build = r"torch-%s(\+|%%2B)cpu-cp%d%d-[^\"<>]*%s\.whl" % (re.escape(version), major, minor, platform.machine())
    if re.search(build, page(options.torch_index.rstrip("/") + "/torch/", SECONDS)):
        say("No NVIDIA card found: installing PyTorch %s for the CPU, from %s." % (version, options.torch_index))
        return ["--index-url", options.torch_index, "torch==%s+cpu" % version]
    say("%s did not offer PyTorch %s in %d seconds: pip takes what it finds." % (options.torch_index, version, SECONDS))
    return []


def has_nvidia():
    """Whether this machine has an NVIDIA card with its driver."""
    return bool(glob.glob("/dev/nvidia[0-9]*") or which("nvidia-smi"))


def page(url, seconds):
    """The text at an address; empty where it has not arrived after so many seconds, whatever the reason."""
    from urllib.request import urlopen

    found = []

    def ask():
        try:
            found.append(urlopen(url, timeout=seconds).read().decode("utf-8", "replace"))
        except Exception:  # name, connection, certificate, protocol: there is no answer
            pass

    thread = threading.Thread(target=ask)
    thread.daemon = True
    thread.start()
    thread.join(seconds)
    return found[0] if found else ""


def call(command, options, needed=True):
    """Run a command, showing what it says; where it fails and is needed, stop with a line."""
    process = subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE)
    said = []
    for line in iter(process.stderr.readline, b""):
        said.append(line.decode("utf-8", "replace"))
        sys.stderr.write(said[-1])
        sys.stderr.flush()
    if process.wait() and needed:
        stop(remedy("".join(said), options))


def remedy(text, options):
    """One line that says what to do about a failure; text: what the failed command or the exception said."""
    if hasattr(shutil, "disk_usage") and shutil.disk_usage(".").free < 2**24:
        text = "No space left"  # whatever else that led to
    if options.wheels:
        missing = "collect %s with `make wheels` on the same system with the same Python" % options.wheels
    else:
        missing = "PyTorch has no build for Intel Macs, Alpine Linux or 32 bits; there, use Colab (see site/running.md)"
    for pattern, advice in FAULTS:
        found = re.search(pattern, text)
        if found:
            advice = advice.format(
                copy=COPY,
                python=PYTHON,
                wheels=options.wheels or "the folder of packages",
                package=found.groups() and found.group(1) or "fitting package",
                system="%s %s, Python %s" % (platform.system(), platform.machine(), platform.python_version()),
                missing=missing,
            )
            return "%s Then run `make %s` again." % (advice, options.what)
    last = text.strip().splitlines()[-1:] or ["a command failed"]
    return "%s. Once that is fixed, `make %s` continues from there." % (last[0].rstrip("."), options.what)


def environment():
    """The variables for .venv's Python and pip, without those that send either elsewhere."""
    elsewhere = ("PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "PIP_PREFIX", "PIP_USER", "__PYVENV_LAUNCHER__")
    return dict((name, value) for name, value in os.environ.items() if name not in elsewhere)


def which(name):
    """The path of a command, or nothing."""
    paths = [os.path.join(folder, name) for folder in os.environ.get("PATH", "").split(os.pathsep)]
    return next((path for path in paths if os.access(path, os.X_OK)), None)


def say(line):
    """Tell the reader, at once."""
    print(line)
    sys.stdout.flush()


def stop_at(*faults):
    """Stop at the first fault, if there is one."""
    for fault in faults:
        if fault:
            stop(fault)


def stop(line):
    """End with a line."""
    sys.stderr.write(line.rstrip() + "\n")
    raise SystemExit(1)


if __name__ == "__main__":
    main()
