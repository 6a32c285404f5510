"""The project's own files agree: dependencies with tested versions, the README's test command with CI, packages with files."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = [r for requirements in PROJECT["optional-dependencies"].values() for r in requirements]


def pins() -> dict[str, str]:
    """Distribution -> tested version."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    found = {}
    for line in lines:
        if line and not line.startswith("#"):
            name, _, pinned = line.partition("==")
            assert pinned, f"constraints.txt: {line!r} is not an exact version"
            found[canonicalize_name(name)] = pinned
    return found


@pytest.mark.parametrize("text", [*PROJECT["dependencies"], *EXTRAS])
def test_every_dependency_has_a_tested_version_in_its_range(text: str) -> None:
    requirement = Requirement(text)
    pinned = pins().get(canonicalize_name(requirement.name))
    assert pinned is not None, f"constraints.txt lacks {requirement.name}"
    assert pinned in requirement.specifier


@pytest.mark.parametrize("text", PROJECT["dependencies"])
def test_what_is_installed_is_in_range(text: str) -> None:
    requirement = Requirement(text)
    assert requirement.specifier.contains(version(requirement.name), prereleases=True)


def test_ci_runs_the_readmes_test_command() -> None:
    readme, script = (ROOT / "README.md").read_text(encoding="utf-8"), (ROOT / ".ci/run").read_text(encoding="utf-8")
    [command] = re.findall(r"^(python -m pip install .* && python -m pytest)$", readme, re.MULTILINE)
    install, _, test = command.partition(" && ")
    assert install.replace("pip install", "pip install --quiet") in script
    assert test in script


def test_the_package_holds_what_it_needs() -> None:
    """Files that are no Python but are read at run time lie inside the listed packages, so the wheel has them."""
    for name in (
        "learning/experiments/report/style.mplstyle",
        "learning/experiments/report/templates/report.html.j2",
        "devices/cards/pcm.yaml",
    ):
        assert (ROOT / name).is_file()
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert config["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == [
        "analog_sim",
        "devices",
        "learning",
        "analog_hil",
    ]


def test_the_licence_is_the_whole_apache_licence() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Version 2.0, January 2004" in text
    assert "TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION" in text
    assert "9. Accepting Warranty or Additional Liability" in text
    assert PROJECT["license"] == "Apache-2.0"
