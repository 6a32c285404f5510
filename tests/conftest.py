"""Settings of every test run: the markers `jit` and `data`, and fixed draws for every property test. It defines no fixtures of its own."""

import os

import pytest
from hypothesis import settings

import analog_sim  # before any test imports torch: see docs/decisions/random_numbers.md, Threads

assert analog_sim.__analog_hil__

# What passes today passes tomorrow, as with every fixed seed here. To search for new failures: pytest --hypothesis-profile=default.
settings.register_profile("fixed", derandomize=True)
settings.load_profile("fixed")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`pytest tests/conformance --chip module:factory` runs the conformance suite on a chip of the user's."""
    parser.addoption("--chip", default=None, help="module:function or file.py:function that returns a fabric")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this run cannot do, with the reason."""
    jit_off = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")
    no_data = not os.environ.get("ANALOG_SIM_DATA")
    for item in items:
        if jit_off and item.get_closest_marker("jit"):
            item.add_marker(pytest.mark.skip(reason="needs compiled kernels, and NUMBA_DISABLE_JIT is set"))
        if no_data and item.get_closest_marker("data"):
            item.add_marker(pytest.mark.skip(reason="needs the files of ANALOG_SIM_DATA, which is not set"))
