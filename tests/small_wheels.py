"""Wheels of a few lines, made by hand, and the build backend of a project that has nothing else to be built with."""

import base64
import hashlib
import zipfile
from pathlib import Path


def write_wheel(folder, name, version, files=(), requires=(), tag="py3-none-any"):
    """Write a wheel that holds these files, {path: text}, and return its file name."""
    info = f"{name}-{version}.dist-info"
    extras = {line.split("extra == ")[1].strip("\"'") for line in requires if "extra ==" in line}
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
    metadata += [f"Provides-Extra: {extra}" for extra in sorted(extras)]
    metadata += [f"Requires-Dist: {line}" for line in requires]
    contents = dict(files) | {
        f"{info}/METADATA": "\n".join(metadata) + "\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: headlab\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    record = [f"{path},sha256={_hash(text)},{len(text.encode())}" for path, text in contents.items()]
    contents[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,"]) + "\n"
    file_name = f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(Path(folder, file_name), "w") as archive:
        for path, text in contents.items():
            archive.writestr(path, text)
    return file_name


def _hash(text):
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    """A wheel of headlab that is but a link to this folder (PEP 660)."""
    requires = ["torch", "jupyterlab", 'pytest; extra == "test"', 'distributed; extra == "cluster"']
    link = {"headlab.pth": f"{Path.cwd()}\n"}
    return write_wheel(wheel_directory, "headlab", "0.1.0", link, requires)


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    """The same, for `pip download`, which wants to know what headlab needs."""
    return build_editable(wheel_directory)
