"""Every plug-in has a row in the catalogue and every row a plug-in: a new one cannot be forgotten by the tests."""

import importlib
import pkgutil
import re
from pathlib import Path

import pytest
from catalogue import REGISTRIES

from analog_sim.config import Part, discover

RUN_BY = {
    "analog_sim.chip.backends": ("conformance/conftest.py", "CHIPS"),
    "analog_sim.writing": ("golden/cases.py", "WRITING"),
    "devices.drift": ("cards_helpers.py", "REGISTRIES"),
    "devices.measurements.readers": ("devices/measurements/readers/test_readers.py", "READERS"),
    "devices.programming": ("cards_helpers.py", "REGISTRIES"),
    "devices.pulse": ("cards_helpers.py", "REGISTRIES"),
    "devices.read_noise": ("cards_helpers.py", "REGISTRIES"),
    "learning.data": ("learning/data/test_own.py", "DATA"),
    "learning.decorrelation": ("learning/decorrelation/test_decorrelation.py", "DECORRELATION"),
    "learning.losses": ("learning/losses/test_losses.py", "LOSSES"),
    "learning.network.forms": ("learning/network/forms/test_forms.py", "NETWORKS"),
    "learning.network.layers": ("learning/network/layers/test_layers.py", "LAYERS"),
    "learning.optimizers": ("learning/optimizers/test_optimizers.py", "OPTIMIZERS"),
    "learning.rules": ("learning/rules/test_rules.py", "RULES"),
}
"""Package -> the test file that runs every row of it, or gives them to the tests that do, and the name of its rows there."""

ONLY_VALIDATED = {
    "learning.experiments.parallel": "a row names a cluster; tests/learning/experiments/parallel runs what is at hand, loky and Dask",
}
"""Package -> why not."""

ROWS = [
    (package, kind, i) for package, (_, rows) in REGISTRIES.items() for kind in rows for i in range(len(rows[kind]))
]


def packages() -> list[str]:
    """Every package of the project that holds at least one plug-in."""
    found = []
    for root in ("analog_sim", "devices", "learning"):
        module = importlib.import_module(root)
        names = [info.name for info in pkgutil.walk_packages(module.__path__, f"{root}.") if info.ispkg]
        found += [name for name in names if discover(name, Part)]
    return found


def test_every_package_of_plugins_is_in_the_catalogue() -> None:
    missing = sorted(set(packages()) - set(REGISTRIES))
    assert not missing, f"tests/catalogue.py: no rows for {missing}"


@pytest.mark.parametrize("package", REGISTRIES)
def test_rows_are_the_plugins(package: str) -> None:
    base, rows = REGISTRIES[package]
    module, _, name = base.partition(":")
    kinds = set(discover(package, getattr(importlib.import_module(module), name)))
    assert kinds == set(rows), (
        f"tests/catalogue.py, {package}: missing rows {sorted(kinds - set(rows))}, "
        f"no such plug-in {sorted(set(rows) - kinds)}"
    )
    assert all(rows.values()), f"tests/catalogue.py, {package}: a kind needs at least one row"


@pytest.mark.parametrize(("package", "kind", "i"), ROWS)
def test_row_is_valid_and_its_plugin_documented(package: str, kind: str, i: int) -> None:
    part = discover(package, Part)[kind]
    part.model_validate({"kind": kind, **REGISTRIES[package][1][kind][i]})
    assert importlib.import_module(part.__module__).__doc__, f"{part.__module__} does not say what it is for"
    assert part.__doc__, f"{part.__name__} has no docstring"


def test_every_row_is_run() -> None:
    assert set(RUN_BY) | set(ONLY_VALIDATED) == set(REGISTRIES)
    for package, (file, rows) in RUN_BY.items():
        text = (Path(__file__).parent / file).read_text(encoding="utf-8")
        assert re.search(rf"(catalogue import .*|catalogue\.)\b{rows}\b", text), f"{package}: {file} has no rows {rows}"
        assert len(re.findall(rf"\b{rows}\b", text)) > text.count("import " + rows), (
            f"{package}: {file} makes no use of {rows}"
        )
