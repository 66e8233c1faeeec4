"""Simulate a class without a network: run the commands of site/running.md where nothing outside can be reached.

    python tools/offline_class.py COURSE WHEELS

Copies the course and the packages to a machine of the class (a folder in the temporary directory) and runs what
site/running.md says under "A class without a network" for such machines, in a network namespace that has only the
loopback. `make lab` counts as done when JupyterLab serves the first lesson. Linux only (unshare).
"""

import fcntl
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.request import Request, urlopen

SECTION = re.compile(r"^## A class without a network\n(.*?)(?=^#)", re.DOTALL | re.MULTILINE)
BLOCK = re.compile(r"(?:^ {4}.+\n)+", re.MULTILINE)
INSIDE = "--without-network"
SERVER_STARTS, LAST_COMMAND = 1800, 3600  # seconds: the first command installs everything


def commands(text):
    """The commands of the page: those to run where there is a network, and those on each machine of the class."""
    blocks = BLOCK.findall(SECTION.search(text)[1])
    with_network, on_each_machine = ([line.strip() for line in block.splitlines()] for block in blocks)
    return with_network, on_each_machine


def play(course, wheels):
    """Run the class's commands on a copy, without a network; the exit code says whether all of them succeeded."""
    with tempfile.TemporaryDirectory(prefix="class ") as place:
        folder = shutil.copytree(course, Path(place, "headlab"), ignore=shutil.ignore_patterns(".venv", "wheels"))
        shutil.copytree(wheels, folder / "wheels")
        alone = ["unshare", "--net", *([] if os.geteuid() == 0 else ["--map-root-user"])]
        # pip's settings on this machine may name other folders of packages.
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
        clean["PIP_CONFIG_FILE"] = os.devnull
        return subprocess.call([*alone, sys.executable, os.path.abspath(__file__), INSIDE, folder], env=clean)


def inside(folder):
    """The class's machine: every command of the page's second block, one after the other."""
    raise_loopback()
    folder = Path(folder)
    for command in commands((folder / "site" / "running.md").read_text(encoding="utf-8"))[1]:
        print(f"without a network: {command}", flush=True)
        start = time.monotonic()
        if command.startswith("make lab"):
            serve(command, folder)
        elif subprocess.call(command, shell=True, cwd=folder, timeout=LAST_COMMAND):
            raise SystemExit(f"without a network: {command}: failed, see above")
        print(f"without a network: {command}: done in {time.monotonic() - start:.0f} s", flush=True)


def raise_loopback():
    """Switch the loopback on, after checking that there is no other network."""
    names = [name for _, name in socket.if_nameindex()]
    if names != ["lo"]:
        raise SystemExit(f"network: expected none but the loopback, got {', '.join(names)}")
    up, get_flags, set_flags = 0x1, 0x8913, 0x8914  # IFF_UP, SIOCGIFFLAGS, SIOCSIFFLAGS
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        flags = struct.unpack("16sh", fcntl.ioctl(control, get_flags, struct.pack("16sh", b"lo", 0)))[1]
        fcntl.ioctl(control, set_flags, struct.pack("16sh", b"lo", flags | up))


def serve(command, folder):
    """Run `make lab` until JupyterLab answers and serves the first lesson; then end it."""
    runtime = folder / "runtime"
    variables = os.environ | {"JUPYTER_RUNTIME_DIR": str(runtime), "BROWSER": "true"}
    server = subprocess.Popen(command, shell=True, cwd=folder, env=variables, start_new_session=True)
    try:
        info = wait_for(lambda: [json.loads(path.read_text()) for path in runtime.glob("jpserver-*.json")], server)[0]
        lesson = Request(f"{info['url']}api/contents/01_causal_masking.ipynb?content=0")
        lesson.add_header("Authorization", f"token {info['token']}")
        print(f"JupyterLab serves {json.loads(wait_for(lambda: urlopen(lesson, timeout=60).read(), server))['path']}")
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(60)


def wait_for(answer, server):
    """What a function returns once it returns something; SystemExit where the server ends or never answers."""
    for _ in range(SERVER_STARTS):
        try:
            found = answer()
            if found:
                return found
        except (OSError, ValueError):  # not yet there, or half written
            pass
        if server.poll() is not None:
            break
        time.sleep(1)
    raise SystemExit("without a network: JupyterLab does not answer, see above")


if __name__ == "__main__":
    if sys.argv[1] == INSIDE:
        inside(sys.argv[2])
    else:
        raise SystemExit(play(*sys.argv[1:3]))
