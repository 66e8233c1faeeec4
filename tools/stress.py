"""Run the notebooks as a careless class would, again and again, and say how often they failed.

    python tools/stress.py [--runs 20] [--interrupts 5] [NAME ...]

Each run takes the notebooks in another order, each in a kernel of its own whose sockets reach nothing but this
machine, with 1 or 2 threads and 2 GB of data (RLIMIT_DATA: memory that is written to, not the files that are mapped),
in a read-only folder, which is the notebooks' own or another. Then a long cell is interrupted at random moments, and
the next cell has to run. Needs Linux; exits with 1 if anything failed. To root, no folder is read-only; so root runs:

    setpriv --bounding-set -dac_override python tools/stress.py
"""

import argparse
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from queue import Empty

import nbformat
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

ROOT = Path(__file__).parents[1]
LIMIT = 2 * 10**9  # bytes of data for each kernel
GUARD = f"""
import resource, socket
resource.setrlimit(resource.RLIMIT_DATA, ({LIMIT}, {LIMIT}))
_connect, _resolve = socket.socket.connect, socket.getaddrinfo
def _refuse(*arguments, **settings):
    raise OSError("no network in this test")
def _connect_here(self, address):
    return _connect(self, address) if self.family == socket.AF_UNIX or address[0] == "127.0.0.1" else _refuse()
socket.socket.connect, socket.getaddrinfo, socket.create_connection = _connect_here, _refuse, _refuse
"""
PEAK = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
# As in the lessons, a cell of its own: torch, once interrupted in its import, cannot be imported again by any kernel.
IMPORT_CELL = """
from headlab.capture import capture_heads
from headlab.models import load_model
"""
LONG_CELL = """
model, tokenizer = load_model("mini")
for _ in range(10_000):  # longer than any wait
    ids = tokenizer("The old man looked at the little white house. " * 20, return_tensors="pt").input_ids
    capture_heads(model, ids)
"""
CHECK_CELL = """
model, tokenizer = load_model("mini")
assert not any(block.attn.c_attn._forward_hooks for block in model.transformer.h)
capture = capture_heads(model, tokenizer("All is well.", return_tensors="pt").input_ids)
assert capture.pattern(0).sum(-1).allclose(capture.q.new_ones(()))
"""


def environment(threads):
    """A student's environment variables: mini is chosen, and nothing tells the hub's client that it is offline."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "OMP_", "MKL_"))}
    plain |= {
        "HEADLAB_MODEL": "mini",
        "OMP_NUM_THREADS": str(threads),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }
    return plain | {"PYTHONPATH": str(ROOT)}


def run_notebook(path, folder, threads):
    """(seconds, peak memory in MB) of one notebook; raises where a cell fails."""
    notebook = nbformat.read(path, as_version=4)
    cells = [nbformat.v4.new_code_cell(GUARD), *notebook.cells, nbformat.v4.new_code_cell(PEAK)]
    notebook.cells = cells
    start = time.monotonic()
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources).execute(env=environment(threads))
    for output in (output for cell in cells if cell.cell_type == "code" for output in cell.outputs):
        if output.get("name") == "stderr":
            raise ValueError(f"{path.name}: expected nothing on stderr, got {output.text[:200]!r}")
    return time.monotonic() - start, int(cells[-1].outputs[0].text) / 1000


def interrupt(rng):
    """Interrupt a long cell at a random moment; raises unless another cell runs afterwards in the same kernel."""
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(env=environment(2))
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        client.execute_interactive(IMPORT_CELL, timeout=120)
        client.execute(LONG_CELL)
        while client.get_iopub_msg(timeout=60)["msg_type"] != "execute_input":
            pass  # an interrupt before the cell begins is lost
        time.sleep(rng.uniform(0.0, 12.0))
        manager.interrupt_kernel()
        ended = client.get_shell_msg(timeout=60)["content"].get("ename", "no error")
        if ended != "KeyboardInterrupt":
            raise ValueError(f"the long cell: expected to be interrupted, got {ended}")
        time.sleep(0.5)  # at once after an error a kernel drops what is sent to it, unrun, and calls it aborted
        reply = client.execute_interactive(CHECK_CELL, timeout=60, output_hook=lambda message: None)
        if reply["content"]["status"] != "ok":
            raise ValueError(f"after an interrupt: {reply['content'].get('evalue', reply['content']['status'])}")
        return ended
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def main():
    """Run, print a line for each run and the figures at the end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="notebooks, by the start of their file names")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--interrupts", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    paths = sorted((ROOT / "notebooks").rglob("[0-9][0-9]_*.ipynb"))
    paths = [path for path in paths if not options.names or path.name.startswith(tuple(options.names))]
    failures, seconds, peaks = [], [], []
    with tempfile.TemporaryDirectory() as place:
        copied = Path(shutil.copytree(ROOT / "notebooks", Path(place, "notebooks")))
        elsewhere = Path(place, "elsewhere")
        elsewhere.mkdir()
        for folder in (copied, copied / "solutions", elsewhere):
            folder.chmod(0o555)
        if os.access(elsewhere, os.W_OK):
            raise SystemExit("user: expected one who cannot write to read-only folders, got root; see --help")
        for number in range(options.runs):
            threads = 1 + number % 2
            for path in rng.sample(paths, len(paths)):
                folder = rng.choice([copied / path.parent.relative_to(ROOT / "notebooks"), elsewhere])
                try:
                    took, peak = run_notebook(path, folder, threads)
                    seconds.append(took)
                    peaks.append(peak)
                except (CellExecutionError, DeadKernelError, ValueError) as error:
                    reason = " ".join(str(error).split())[-300:]
                    failures.append(f"run {number + 1}, {path.name}, {threads} threads: {reason}")
                    print(failures[-1], file=sys.stderr, flush=True)
            print(f"run {number + 1} of {options.runs}: {len(failures)} failures so far", flush=True)
        for folder in (copied, copied / "solutions", elsewhere):
            folder.chmod(0o755)
    for number in range(options.interrupts):
        try:
            print(f"interrupt {number + 1} of {options.interrupts}: the cell ended with {interrupt(rng)}, the next ran")
        except (ValueError, RuntimeError, TimeoutError, Empty) as error:
            failures.append(f"interrupt {number + 1}: {error!r}"[:300])
            print(failures[-1], file=sys.stderr, flush=True)
    if seconds:
        print(
            f"{len(seconds)} notebooks ran, median {statistics.median(seconds):.0f} s, "
            f"most {max(seconds):.0f} s, peak memory {max(peaks):.0f} MB"
        )
    print(f"{len(failures)} failures")
    raise SystemExit(bool(failures))


if __name__ == "__main__":
    main()
