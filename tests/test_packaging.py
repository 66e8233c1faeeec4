"""The four lists of packages agree: what the project asks for, the lock, conda's environment and what is installed."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONDA_NAMES = {"pytorch-cpu": "torch", "matplotlib-base": "matplotlib"}
PYTHONS = ("3.11.7", "3.12.5", "3.13.1")
PLATFORMS = (
    {"sys_platform": "linux", "os_name": "posix", "platform_system": "Linux", "platform_machine": "x86_64"},
    {"sys_platform": "darwin", "os_name": "posix", "platform_system": "Darwin", "platform_machine": "arm64"},
    {"sys_platform": "win32", "os_name": "nt", "platform_system": "Windows", "platform_machine": "AMD64"},
)


def requirements():
    """Everything that headlab and its extras ask for."""
    extras = PROJECT["optional-dependencies"].values()
    return [Requirement(text) for text in PROJECT["dependencies"] + [text for extra in extras for text in extra]]


def lock_lines():
    return (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()


def locked(python, platform):
    """{name: version} that the lock gives on one Python and platform."""
    environment = {**platform, "python_version": python.rpartition(".")[0], "python_full_version": python}
    pins = [Requirement(line) for line in lock_lines()]
    pins = [pin for pin in pins if pin.marker is None or pin.marker.evaluate(environment)]
    return {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in pins}


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("platform", PLATFORMS, ids=lambda platform: platform["sys_platform"])
def test_the_lock_has_one_fitting_version_of_everything(python, platform):
    versions = locked(python, platform)
    assert versions["torch"] == "2.13.0"
    for wanted in requirements():
        found = versions.get(canonicalize_name(wanted.name))
        assert found and wanted.specifier.contains(found, prereleases=True), wanted


def test_every_line_of_the_lock_is_one_exact_version():
    for line in lock_lines():
        pin = Requirement(line)
        assert re.fullmatch(r"==[0-9][0-9a-z.]*", str(pin.specifier)), line
    assert not re.search(r"^(triton|nvidia|cuda)", "\n".join(lock_lines()), re.MULTILINE)


def test_condas_environment_asks_for_what_the_package_asks_for():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    *packages, by_pip = environment["dependencies"]
    assert by_pip == {"pip": ["-e ."]}
    conda = {}
    for text in packages:
        name, _, rest = re.fullmatch(r"([\w-]+)((.*))", text).groups()
        conda[canonicalize_name(CONDA_NAMES.get(name, name))] = rest
    python = conda.pop("python").removeprefix("=")
    assert re.fullmatch(r"3\.\d+", python) and Requirement(f"x{PROJECT['requires-python']}").specifier.contains(python)
    assert conda.pop("pip") == ""
    asked = {
        canonicalize_name(r.name): set(str(r.specifier).split(",")) for r in map(Requirement, PROJECT["dependencies"])
    }
    assert {name: set(rest.split(",")) for name, rest in conda.items()} == asked


def test_what_is_installed_is_what_the_package_asks_for():
    from importlib.metadata import version

    for text in PROJECT["dependencies"]:
        wanted = Requirement(text)
        assert wanted.specifier.contains(Version(version(wanted.name)), prereleases=True), wanted
