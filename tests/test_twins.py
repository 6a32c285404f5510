"""Every kernel that Python calls has a slow twin, and a test that compares the two; what has no test elsewhere is compared here.

A kernel is a function that Numba compiles and that a file without kernels uses. What kernels call among themselves is tested through them.
"""

import ast
import math
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import naive
import naive_kernels as twins
import numba
import numpy as np
import numpy.typing as npt
import pytest

from analog_sim.cells.kernels.ageing import forget_paths
from analog_sim.cells.kernels.programming import program_cells
from analog_sim.mapping.kernels.weight_mapping import one_sided_pair, scaled_transpose, two_sided_pair
from analog_sim.pulses.kernels.counts import (
    busy_rows,
    clear_lines,
    count_listed,
    gather_taken,
    largest_of_rows,
    lines_of,
    list_pulses,
    slots_of_rows,
    take_whole,
)
from analog_sim.pulses.kernels.trains import draw_trains, fire, share_strength
from analog_sim.random.kernels.magnitude import largest_of_all
from analog_sim.random.kernels.options import JIT_OFF
from analog_sim.random.kernels.philox import add_normals, add_scaled_normals, fill_normals
from analog_sim.reads.kernels.converting import scale_rows
from analog_sim.reads.kernels.energy import read_power, square_and_power, sums_of_squares
from analog_sim.reads.kernels.net import grid_for, load_of_columns, loads_at, mend_points, net_and_load
from analog_sim.reads.kernels.noisy_conversion import evenly_noisy_adc, noisy_adc
from analog_sim.reads.kernels.product import (
    AT_ONCE,
    HALF,
    WIDTH,
    multiply,
    multiply_last,
    pack_rows,
    transpose_lines,
    transpose_panels,
)
from analog_sim.reads.kernels.silence import multiply_silent
from analog_sim.reads.kernels.walsh import label_lines, multiply_walsh, pack_signs
from analog_sim.reads.packed_matrix import PackedMatrix
from analog_sim.threads import team_for
from analog_sim.writing.proposal import add_outer_products
from learning.common.kernels import (
    add_row,
    add_scaled,
    add_to_rows,
    mean_norm,
    rectify,
    sum_rows,
    take_differences,
    take_rows,
    where_positive,
)
from learning.common.patches.windows import Windows
from learning.decorrelation.kernels import bypass_and_scale, centre_rows, scale_columns
from learning.losses.kernels import cross_entropy, cross_entropy_gradient
from learning.optimizers.kernels import adam

ROOT = Path(__file__).resolve().parents[1]
HERE = "test_twins.py"
WIRES = "analog_sim/wires/kernels/"

# Kernel -> file and name of its twin, file and name of the test that compares them; both below tests/.
TWINS: dict[str, tuple[str, str]] = {
    "analog_sim.cells.kernels.ageing.drift_cells": (
        "naive.py:drifted",
        "analog_sim/cells/test_ageing.py:test_drift_is_its_slow_twin",
    ),
    "analog_sim.cells.kernels.ageing.drift_exponents": (
        "naive.py:table_value",
        "analog_sim/cells/test_ageing.py:test_drift_is_its_slow_twin",
    ),
    "analog_sim.cells.kernels.ageing.forget_paths": ("naive_kernels.py:forgotten", f"{HERE}:test_forget_paths"),
    "analog_sim.cells.kernels.ageing.read_variance": (
        "naive.py:read_std",
        "analog_sim/cells/test_targets.py:test_read_noise_is_of_the_target_and_shrinks_with_the_conductance",
    ),
    "analog_sim.cells.kernels.programming.program_cells": ("naive_kernels.py:programmed", f"{HERE}:test_program_cells"),
    "analog_sim.cells.kernels.relaxation.relax_cells": (
        "naive.py:relaxed",
        "analog_sim/cells/test_ageing.py:test_relaxation_is_its_slow_twin",
    ),
    "analog_sim.mapping.kernels.weight_mapping.one_sided_pair": ("naive_kernels.py:one_sided", f"{HERE}:test_pairs"),
    "analog_sim.mapping.kernels.weight_mapping.two_sided_pair": ("naive_kernels.py:two_sided", f"{HERE}:test_pairs"),
    "analog_sim.mapping.kernels.weight_mapping.scaled_transpose": (
        "naive_kernels.py:transposed",
        f"{HERE}:test_scaled_transpose",
    ),
    **{
        f"analog_sim.pulses.kernels.{name}": (
            "naive_pulses.py:pulse",
            "analog_sim/pulses/kernels/test_pulses.py:test_trains_are_what_the_twin_makes_of_them",
        )
        for name in ("plans.lay_out", "pulses.pulse_rows_by_train")
    },
    **{
        f"analog_sim.pulses.kernels.graded.graded_rows_by_{name}": (
            "naive_graded.py:pulse",
            "analog_sim/pulses/test_graded.py:test_the_kernels_are_their_slow_twin",
        )
        for name in ("train", "counts")
    },
    "analog_sim.pulses.kernels.pulses.pulse_rows_by_counts": (
        "naive_pulses.py:pulse",
        "analog_sim/pulses/kernels/test_pulses.py:test_counts_are_what_the_twin_makes_of_them",
    ),
    "analog_sim.pulses.kernels.bits.draw_streams": (
        "analog_sim/pulses/kernels/test_bits.py:word",
        "analog_sim/pulses/kernels/test_bits.py:test_every_bit_is_decided_by_its_own_word",
    ),
    "analog_sim.pulses.kernels.composed.composing.compose_states": (
        "naive_pulses.py:levels_after_pulses",
        "analog_sim/pulses/test_composed_tables.py:test_levels_are_those_of_numpy_to_the_bit",
    ),
    "analog_sim.pulses.kernels.counts.list_pulses": ("naive_kernels.py:listed_pulses", f"{HERE}:test_list_pulses"),
    **{
        f"analog_sim.pulses.kernels.counts.{name}": (
            f"naive_kernels.py:{twin}",
            f"{HERE}:test_count_listed_and_slots",
        )
        for name, twin in (("count_listed", "listed_pulses"), ("slots_of_rows", "slots"))
    },
    "analog_sim.pulses.kernels.counts.gather_taken": ("naive_kernels.py:listed_pulses", f"{HERE}:test_gather_taken"),
    "analog_sim.pulses.kernels.counts.busy_rows": ("naive_kernels.py:largest_counts", f"{HERE}:test_busy_rows"),
    **{
        f"analog_sim._teamwork.{name}": (
            "naive_kernels.py:parts",
            "analog_sim/test_teamwork.py:test_parts_cover_everything_once",
        )
        for name in ("_take", "finish", "serve", "take_parts")
    },
    "analog_sim._spinning.look_until": (
        "naive_kernels.py:changed",
        "analog_sim/test_threads.py:test_a_thread_that_looks_sees_the_other_side",
    ),
    "analog_sim.pulses.kernels.counts.largest_of_rows": ("naive_kernels.py:whole_steps", f"{HERE}:test_take_whole"),
    "analog_sim.pulses.kernels.counts.take_whole": ("naive_kernels.py:whole_steps", f"{HERE}:test_take_whole"),
    "analog_sim.pulses.kernels.trains.draw_trains": ("naive_kernels.py:firing", f"{HERE}:test_draw_trains"),
    "analog_sim.pulses.kernels.trains.share_strength": ("naive_kernels.py:shared", f"{HERE}:test_share_strength"),
    "analog_sim.random.kernels.magnitude.largest_of_all": ("naive_kernels.py:largest", f"{HERE}:test_largest_of_all"),
    "analog_sim.random.kernels.philox.add_normals": ("naive_kernels.py:noisy", f"{HERE}:test_added_normals"),
    "analog_sim.random.kernels.philox.add_scaled_normals": ("naive_kernels.py:noisy", f"{HERE}:test_added_normals"),
    "analog_sim.random.kernels.philox.fill": (
        "naive.py:stream_normal",
        "analog_sim/random/test_streams.py:test_words_uniforms_and_normals_equal_the_naive_twin",
    ),
    "analog_sim.reads.kernels.converting.adc_rows": (
        "naive.py:adc_reading",
        "analog_sim/reads/test_converters.py:test_adc_is_its_naive_twin",
    ),
    "analog_sim.reads.kernels.converting.dac_rows": (
        "naive.py:dac_volts",
        "analog_sim/reads/test_converters.py:test_dac_is_its_naive_twin",
    ),
    "analog_sim.reads.kernels.converting.scale_rows": ("naive_kernels.py:largest_input", f"{HERE}:test_scale_rows"),
    "analog_sim.reads.kernels.energy.read_power": ("naive_kernels.py:power", f"{HERE}:test_power"),
    "analog_sim.reads.kernels.energy.square_and_power": ("naive_kernels.py:power", f"{HERE}:test_power"),
    "analog_sim.reads.kernels.energy.sums_of_squares": ("naive_kernels.py:squares", f"{HERE}:test_sums_of_squares"),
    "analog_sim.reads.kernels.net.load_of_columns": ("naive_kernels.py:column_load", f"{HERE}:test_load_of_columns"),
    "analog_sim.reads.kernels.net.loads_at": ("naive_kernels.py:point_loads", f"{HERE}:test_mend_points"),
    "analog_sim.reads.kernels.net.mend_points": ("naive_kernels.py:net", f"{HERE}:test_mend_points"),
    "analog_sim.reads.kernels.net.net_and_load": ("naive_kernels.py:net", f"{HERE}:test_net_and_load"),
    "analog_sim.reads.kernels.noisy_conversion.noisy_adc": (
        "naive_kernels.py:noisy_reading",
        f"{HERE}:test_noisy_adc",
    ),
    "analog_sim.reads.kernels.outer_product.add_outer_rows": (
        "naive_kernels.py:with_outer_products",
        f"{HERE}:test_sums_of_outer_products",
    ),
    "analog_sim.reads.kernels.noisy_conversion.evenly_noisy_adc": (
        "naive_kernels.py:noisy_reading",
        f"{HERE}:test_noisy_adc",
    ),
    "analog_sim.pulses.kernels.counts.lines_of": ("naive_kernels.py:word_lines", f"{HERE}:test_lines_of"),
    **{
        f"analog_sim.reads.kernels.walsh.{name}": ("naive_kernels.py:walsh_product", f"{HERE}:test_walsh")
        for name in ("label_lines", "multiply_walsh", "pack_signs")
    },
    **{
        f"learning.decorrelation.kernels.{name}": ("naive_kernels.py:through_matrix", f"{HERE}:test_through_matrix")
        for name in ("bypass_and_scale", "centre_rows", "scale_columns")
    },
    "analog_sim.pulses.kernels.counts.clear_lines": ("naive_kernels.py:cleared", f"{HERE}:test_clear_lines"),
    "analog_sim.reads.kernels.product.multiply": ("naive_kernels.py:product", f"{HERE}:test_products"),
    "analog_sim.reads.kernels.product.multiply_last": ("naive_kernels.py:product", f"{HERE}:test_products"),
    "analog_sim.reads.kernels.silence.multiply_silent": (
        "naive_kernels.py:product",
        f"{HERE}:test_products_with_silent_lines",
    ),
    **{
        f"analog_sim.reads.kernels.product.{name}": ("naive_kernels.py:panels", f"{HERE}:test_products")
        for name in ("pack_rows", "transpose_lines", "transpose_panels")
    },
    **{
        f"analog_sim.reads.kernels.wired.{name}": (
            "analog_sim/reads/test_wired_noise.py:naive_form",
            "analog_sim/reads/test_wired_noise.py:test_the_kernels_do_what_the_first_lines_say",
        )
        for name in ("form_inputs", "quadratic_form")
    },
    "analog_sim.wires.kernels.first_order.corrected": (
        "analog_sim/wires/changes/test_first_order.py:defined",
        "analog_sim/wires/changes/test_first_order.py:test_the_kernel",
    ),
    **{
        f"analog_sim.wires.kernels.born.{name}": ("naive_wires.py:operators", f"{WIRES}test_born.py:{test}")
        for name, test in (
            ("deflate", "test_powers_and_products_of_the_basis"),
            ("moments", "test_terms_of_the_series"),
            ("series", "test_terms_of_the_series"),
            ("solve_gram", "test_powers_and_products_of_the_basis"),
        )
    },
    "analog_sim.wires.kernels.first_term.first_order": (
        "naive_wires.py:operators",
        f"{WIRES}test_born.py:test_terms_of_the_series",
    ),
    **{
        f"analog_sim.wires.kernels.conjugate.{name}": (
            "naive_wires.py:operators",
            f"{WIRES}test_conjugate.py:test_solution_currents_and_powers",
        )
        for name in ("back_substitute", "conjugate_gradients", "eliminate", "sources")
    },
    **{
        f"analog_sim.wires.kernels.factor.{name}": ("naive_wires.py:line_matrix", f"{WIRES}test_factor.py:{test}")
        for name, test in (
            ("add_response", "test_line_solves_are_dense_solves"),
            ("factor_bits", "test_line_solves_are_dense_solves"),
            ("seen_from", "test_line_resistances_are_dense_inverses"),
            ("factor_words", "test_line_solves_are_dense_solves"),
            ("solve_words", "test_line_solves_are_dense_solves"),
            ("word_sources", "test_profiles_are_responses_to_the_active_ends"),
        )
    },
    "devices.measurements.fit.history.fit._excess": (
        "devices/measurements/fit/history/test_fit.py:slow_excess",
        "devices/measurements/fit/history/test_fit.py:test_what_a_reversal_leaves",
    ),
    "devices.measurements.fit.pulse.statespace._clipped": (
        "devices/measurements/fit/pulse/test_statespace.py:test_clipped_moments",
        "devices/measurements/fit/pulse/test_statespace.py:test_clipped_moments",
    ),
    "devices.measurements.fit.pulse.statespace._filter": (
        "devices/measurements/fit/pulse/test_statespace.py:exact_loglik",
        "devices/measurements/fit/pulse/test_statespace.py:test_linear_law_is_exact",
    ),
    "learning.common.kernels.add_scaled": ("naive_kernels.py:weighted", f"{HERE}:test_copies_of_a_batch"),
    "learning.common.kernels.mean_norm": ("naive_kernels.py:norm", f"{HERE}:test_rows_of_a_batch"),
    "learning.common.kernels.add_to_rows": ("naive_kernels.py:sums", f"{HERE}:test_add_to_rows"),
    "learning.common.kernels.add_row": ("naive_kernels.py:sums", f"{HERE}:test_add_to_rows"),
    "learning.common.kernels.sum_rows": ("naive_kernels.py:sum_of_rows", f"{HERE}:test_sum_rows"),
    "learning.common.kernels.take_rows": ("naive_kernels.py:taken_rows", f"{HERE}:test_take_rows"),
    "learning.common.kernels.where_positive": ("naive_kernels.py:passed_back", f"{HERE}:test_rectify"),
    "learning.common.kernels.rectify": ("naive_kernels.py:rectified", f"{HERE}:test_rectify"),
    "learning.common.kernels.take_differences": ("naive_kernels.py:difference", f"{HERE}:test_copies_of_a_batch"),
    **{
        f"learning.common.patches.kernels.{name}": (
            "naive.py:patches",
            "learning/common/patches/test_windows.py:test_patches_are_those_of_torch",
        )
        for name in ("gather_pixels", "gather_rows")
    },
    "learning.common.patches.kernels.scatter_rows": ("naive_kernels.py:scattered", f"{HERE}:test_scatter_rows"),
    "learning.losses.kernels.cross_entropy": ("naive_kernels.py:cross_entropy", f"{HERE}:test_cross_entropy"),
    "learning.losses.kernels.cross_entropy_gradient": ("naive_kernels.py:cross_entropy", f"{HERE}:test_cross_entropy"),
    "learning.optimizers.kernels.adam": ("naive_kernels.py:adam", f"{HERE}:test_adam"),
}


# --- The list -------------------------------------------------------------------------------------


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def compiled(source: ast.Module) -> set[str]:
    """Names of the functions of a file that Numba compiles."""
    return {
        node.name
        for node in ast.walk(source)
        if isinstance(node, ast.FunctionDef) and any("njit" in ast.unparse(d) for d in node.decorator_list)
    }


def used(source: ast.Module, kernels: dict[str, set[str]]) -> set[str]:
    """Kernels that a file imports or calls: module and name."""
    found, modules = set(), {}
    for node in ast.walk(source):
        if isinstance(node, ast.ImportFrom) and node.module:
            for name in node.names:
                if name.name in kernels.get(node.module, ()):
                    found.add(f"{node.module}.{name.name}")
                modules[name.asname or name.name] = f"{node.module}.{name.name}"
    for node in ast.walk(source):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = modules.get(node.value.id, "")
            if node.attr in kernels.get(module, ()):
                found.add(f"{module}.{node.attr}")
    return found


def called_kernels() -> set[str]:
    """Kernels that files without kernels use, and those that stand in the file that uses them."""
    sources = {
        path.relative_to(ROOT).with_suffix("").as_posix().replace("/", "."): tree(path)
        for house in ("analog_sim", "devices", "learning")
        for path in (ROOT / house).rglob("*.py")
    }
    kernels = {module: names for module, source in sources.items() if (names := compiled(source))}
    found: set[str] = set()
    for module, source in sources.items():
        if module not in kernels:
            found |= used(source, kernels)
        elif "kernels" not in module:
            found |= {f"{module}.{name}" for name in kernels[module]}
    return found


def test_every_kernel_has_a_twin() -> None:
    kernels = called_kernels()
    assert len(kernels) > 50, "kernels are found"
    assert sorted(kernels - set(TWINS)) == [], "kernels without a slow twin: write one, and name it in TWINS"
    assert sorted(set(TWINS) - kernels) == [], "no such kernel is called"


@pytest.mark.parametrize("kernel", TWINS)
def test_the_twin_is_there_and_compared(kernel: str) -> None:
    twin, test = TWINS[kernel]
    for place in (twin, test):
        file, _, name = place.partition(":")
        path = ROOT / "tests" / file
        names = {node.name for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef)}
        assert name in names, f"tests/{file} has no {name}"
    file, _, name = twin.partition(":")
    where = (ROOT / "tests" / test.partition(":")[0]).read_text(encoding="utf-8")
    assert test == twin or name in where, f"{test} does not use {name}"


# --- Compared here --------------------------------------------------------------------------------

RNG = np.random.default_rng(11)
KEY = 21, 22
KEYS = np.uint64(KEY[0]), np.uint64(KEY[1])


def f32(*shape: int, low: float = -1.0, high: float = 1.0) -> np.ndarray:
    return RNG.uniform(low, high, shape).astype(np.float32)


@pytest.mark.parametrize("own", [False, True])
def test_program_cells(own: bool) -> None:
    n, offset, window = 1500, 70, (1e-6, 21e-6)
    target, std = f32(n, low=-2e-6, high=25e-6), np.array([1e-6, 3e-7, 2e-6], np.float32)
    lo = f32(n if own else 1, low=1e-6, high=3e-6)
    hi = f32(n if own else 1, low=18e-6, high=21e-6)
    out, codes = np.empty(n, np.float32), np.empty(n, np.uint16)
    scale = np.float32(window[0]), np.float32(1 / (window[1] - window[0]))
    z = np.empty(n, np.float32)
    fill_normals(z, *KEYS, np.uint64(offset))
    program_cells(target, lo, hi, std, *scale, z, out, codes)
    for i in range(0, n, 7):
        bounds = (float(lo[i]), float(hi[i])) if own else (float(lo[0]), float(hi[0]))
        z = naive.stream_normal(KEY, offset + i)
        g, code = twins.programmed(float(target[i]), bounds, [float(s) for s in std], window, z)
        assert out[i] == pytest.approx(g, rel=1e-5, abs=1e-11)
        assert abs(int(codes[i]) - code) <= 1


def test_forget_paths() -> None:
    times, decade = RNG.integers(0, 2, 20).astype(np.float64), RNG.integers(-1, 5, 20).astype(np.int8)
    spans = np.array([[2, 7], [11, 18]])
    expected = twins.forgotten([(2, 7), (11, 18)], list(times), 1.0, [int(k) for k in decade])
    forget_paths(spans, times, 1.0, decade)
    assert list(decade) == expected


def test_pairs() -> None:
    x = f32(50, low=-1.3, high=1.3)
    for kernel, twin in ((one_sided_pair, twins.one_sided), (two_sided_pair, twins.two_sided)):
        plus, minus = np.empty_like(x), np.empty_like(x)
        kernel(x, np.float32(1e-6), np.float32(2e-5), plus, minus)
        expected = [twin(float(a), 1e-6, 2e-5) for a in x]
        np.testing.assert_allclose(np.stack([plus, minus], axis=1), expected, rtol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (7, 40), (33, 5)])
def test_scaled_transpose(shape: tuple[int, int]) -> None:
    w = f32(*shape)
    out = np.empty(shape[::-1], np.float32)
    for first, last in pairwise((0, len(out) // 2, len(out))):
        scaled_transpose(w, np.float32(0.7), out, first, last)
    np.testing.assert_allclose(out, twins.transposed(w, 0.7), rtol=1e-6)


@pytest.mark.parametrize("kind", [np.int16, np.int32])
@pytest.mark.parametrize("among", [range(6), (1, 2, 5)])
def test_busy_rows(kind: type, among: Sequence[int]) -> None:
    counts = RNG.integers(-9, 10, (6, 13)).astype(kind)
    counts[2], counts[1, 3] = 0, np.iinfo(np.int16).min
    rows, hits, most = (np.empty(len(among), np.int64) for _ in range(3))
    number = busy_rows(counts, np.array(among), rows, hits, most)
    largest = twins.largest_counts(counts)
    expected = [r for r in among if largest[r]]
    assert list(rows[:number]) == expected
    assert list(hits[:number]) == [sum(abs(int(n)) for n in counts[r]) for r in expected]
    assert list(most[:number]) == [largest[r] for r in expected]


@pytest.mark.parametrize("among", [range(5), (0, 3)])
@pytest.mark.parametrize("cols", [1, 63, 64, 130])
def test_list_pulses(cols: int, among: Sequence[int]) -> None:
    counts = (RNG.integers(-9, 10, (5, cols)) * (RNG.random((5, cols)) < 0.1)).astype(np.int16)
    counts[3, -1], counts[2] = np.iinfo(np.int16).min, 1
    cells, pulses = np.empty(counts.size, np.uint32), np.empty(counts.size, np.int16)
    found = list_pulses(counts, np.array(among), cells, pulses)
    assert list(zip(cells[:found], pulses[:found], strict=True)) == twins.listed_pulses(counts, among)


@pytest.mark.parametrize("threshold", [0.5, 1.0, 2.25])
@pytest.mark.parametrize(("count", "one_sided"), [(1, False), (1, True), (2, False), (2, True)])
def test_take_whole(threshold: float, count: int, one_sided: bool) -> None:
    """Numbers of quarters: nothing is rounded but what the kernel itself rounds."""
    gathered = (RNG.integers(-40, 41, (5, 30)) / 4).astype(np.float32)
    gathered[1], gathered[4] = 0.0, np.float32(0.25)
    gathered[3], gathered[3, [2, 9]] = 0.25, (-2.25, 2.5)
    before, planes = gathered.copy(), np.zeros((count, 5, 31), np.int16)
    largest, taken, listed = np.empty(5, np.int32), np.empty((5, 2), np.int64), np.empty((5, 8), np.int32)
    largest_of_rows(0, 5, 0, gathered.view(np.int32), largest)
    np.testing.assert_array_equal(largest.view(np.float32), np.abs(before).max(axis=1))
    limits = np.float32(threshold), np.float32(5.0), one_sided
    given = gathered, largest, limits, planes, (taken, listed)
    sent = sum(take_whole(first, last, 0, *given) for first, last in ((0, 2), (2, 5)))
    expected = np.array([[twins.whole_steps(float(x), threshold, 5.0) for x in row] for row in before])
    sides = [expected] if count == 1 else [expected, -expected]
    sides = [np.maximum(side, 0) for side in sides] if one_sided and count == 2 else sides
    np.testing.assert_array_equal(planes[:, :, :30], sides)
    assert not planes[:, :, 30].any()
    np.testing.assert_array_equal(gathered, before - expected)
    assert sent == np.abs(expected).sum() > 0
    sums = np.abs(expected).sum(axis=1)
    assert (sums < 8).any()
    assert (sums >= 8).any()
    np.testing.assert_array_equal(
        taken, np.stack([sums, np.where(sums < 8, (expected != 0).sum(axis=1), sums)], axis=1)
    )
    for i in range(5):
        if sums[i] < 8:
            assert set(listed[i, : taken[i, 1]]) == set(np.flatnonzero(expected[i]))


@pytest.mark.parametrize("one_sided", [False, True])
@pytest.mark.parametrize(("room", "cells_fit"), [(8, True), (2, False), (8, False)])
def test_gather_taken(one_sided: bool, room: int, cells_fit: bool) -> None:
    steps = np.zeros((6, 20), np.int16)
    steps[1, [3, 7, 19]], steps[2, 0], steps[5, [0, 1]] = (2, -1, 1), 3, -4
    sides = [np.maximum(steps, 0), np.maximum(-steps, 0)] if one_sided else [steps, -steps]
    planes = np.zeros((2, 6, 21), np.int16)
    planes[:, :, :20] = sides
    taken = np.stack([np.abs(steps).sum(axis=1), (steps != 0).sum(axis=1)], axis=1)
    listed = np.zeros((6, room), np.int32)
    for i in range(6):
        columns = np.concatenate([np.flatnonzero(steps[i] > 0), np.flatnonzero(steps[i] < 0)][::1])
        listed[i, : len(columns)] = (columns if one_sided else np.sort(columns))[:room]
    lines, cells = np.empty(6, np.int64), np.empty(12 if cells_fit else 5, np.int64)
    number, found = gather_taken(taken, listed, planes, lines, cells)
    assert list(lines[:number]) == [1, 2, 5]
    every = [cell for cell, _ in twins.listed_pulses(planes.reshape(12, 21), range(12))]
    assert found == (len(every) if cells_fit and room >= 3 else -1)
    if found > 0:
        assert list(cells[:found]) == every


@pytest.mark.parametrize("planes", [1, 2])
def test_count_listed_and_slots(planes: int) -> None:
    counts = (RNG.integers(-9, 10, (6 * planes, 30)) * (RNG.random((6 * planes, 30)) < 0.1)).astype(np.int16)
    counts[1], counts[0, 0], counts[-1, -1] = 0, np.iinfo(np.int16).min, 3
    named = twins.listed_pulses(counts, range(len(counts)))
    cells = np.array([cell for cell, _ in named])
    rows, hits, most = (np.empty(len(cells), np.int64) for _ in range(3))
    each = np.empty(len(cells), np.int32)
    number = count_listed(counts, cells, rows, hits, most, each)
    largest = twins.largest_counts(counts)
    expected = [r for r in range(len(counts)) if largest[r]]
    assert list(rows[:number]) == expected
    assert list(hits[:number]) == [sum(abs(int(n)) for n in counts[r]) for r in expected]
    assert list(most[:number]) == [largest[r] for r in expected]
    assert [(int(cell), int(n)) for cell, n in zip(cells, each, strict=True)] == named
    assert slots_of_rows(6, rows[:number], most[:number]) == twins.slots(largest, planes)
    empty = int(np.flatnonzero(counts.reshape(-1) == 0)[0])
    for wrong in (cells[::-1].copy(), np.array([cells[0], counts.size]), np.array([-1]), np.array([empty])):
        assert count_listed(counts, wrong, rows, hits, most, each) == -1


@pytest.mark.parametrize("balance", [False, True])
@pytest.mark.parametrize("adapt", [False, True])
@pytest.mark.parametrize("pulses", [0.3, 40.0])
def test_share_strength(balance: bool, adapt: bool, pulses: float) -> None:
    x, d = f32(9, 12), f32(9, 4)
    x[1], d[2] = 0.0, 0.0
    length, row, col = np.empty(9, np.int64), np.empty(9, np.float32), np.empty(9, np.float32)
    bits = x.view(np.int32), d.view(np.int32)
    clipped = share_strength(*bits, pulses, 31, balance, adapt, length, row, col)
    expected = [twins.shared(x[s], d[s], pulses, 31, balance, adapt) for s in range(9)]
    assert list(length) == [one[0] for one in expected]
    np.testing.assert_allclose(row, [one[1] for one in expected], rtol=1e-6)
    np.testing.assert_allclose(col, [one[2] for one in expected], rtol=1e-6)
    assert clipped == sum(one[3] for one in expected)


def test_fire() -> None:
    values, strength = f32(6, 9, low=-2.0, high=2.0), f32(6, low=0.1, high=0.9)
    values[:, 4] = 0.0
    length = np.array([1, 2, 3, 9, 31, 63])
    bits, sign = np.empty((6, 9), np.uint64), np.empty((6, 9), np.int8)
    fire(0, values, strength, np.int8(-1), length, (*KEYS, np.uint64(5)), bits, sign)
    for s in range(6):
        streams, signs = twins.firing([float(v) for v in values[s]], float(strength[s]), -1, s, int(length[s]), KEY, 5)
        assert [int(b) for b in bits[s]] == streams
        assert list(sign[s]) == signs


def test_draw_trains() -> None:
    x, d = f32(5, 12), f32(5, 4)
    calls = np.uint64(5), np.uint64(8)
    places = ((*KEYS, calls[0]), (*KEYS, calls[1]))
    length = np.empty(5, np.int64)
    rows, cols = ((np.empty(v.shape, np.uint64), np.empty(v.shape, np.int8)) for v in (x, d))
    given = x, d, (3.0, 31, True, True), places, length, rows, cols
    clipped = sum(draw_trains(first, last, 0, *given) for first, last in ((0, 2), (2, 5)))
    shared = [twins.shared(x[s], d[s], 3.0, 31, True, True) for s in range(5)]
    assert list(length) == [one[0] for one in shared]
    assert clipped == sum(one[3] for one in shared)
    strengths = np.empty((2, 5), np.float32)
    bits = x.view(np.int32), d.view(np.int32)
    share_strength(*bits, 3.0, 31, True, True, np.empty(5, np.int64), *strengths)
    for lines, values, of_side, positive, call in zip((rows, cols), (x, d), strengths, (1, -1), calls, strict=True):
        for s in range(5):
            row = [float(v) for v in values[s]]
            streams, signs = twins.firing(row, float(of_side[s]), positive, s, int(length[s]), KEY, int(call))
            assert [int(b) for b in lines[0][s]] == streams
            assert list(lines[1][s]) == signs


@pytest.mark.parametrize("offset", [0, 700])
def test_added_normals(offset: int) -> None:
    y, variance = f32(900), f32(900, low=0.0, high=4.0)
    plain, scaled = y.copy(), y.copy()
    add_normals(plain, np.float32(0.3), *KEYS, np.uint64(offset))
    add_scaled_normals(scaled, variance, np.float32(0.5), *KEYS, np.uint64(offset))
    some = slice(0, 900, 1)
    np.testing.assert_allclose(plain[some], twins.noisy(y[some], np.full(900, 0.09), KEY, offset), atol=5e-6)
    np.testing.assert_allclose(scaled[some], twins.noisy(y[some], variance[some] + 0.5, KEY, offset), atol=2e-5)


def test_scale_rows() -> None:
    x = f32(5, 7)
    x[1], x[2], x[3, 0] = 0.0, np.float32(1e-35), np.inf
    out = np.empty(5, np.float32)
    scale_rows(0, 5, 0, x.view(np.int32), out.view(np.int32))
    np.testing.assert_array_equal(out, np.array([twins.largest_input(row) for row in x], np.float32))


@pytest.mark.parametrize("bits", [6, None])
@pytest.mark.parametrize("spread", ["none", "of every line", "of every current"])
def test_noisy_adc(bits: int | None, spread: str) -> None:
    current, variance = f32(40, 70), f32(40, 1 if spread == "of every line" else 70, low=0.0, high=0.2)
    before, steps = current.copy(), np.float32(0 if bits is None else 2 ** (bits - 1) - 1)
    row_scale, full, std, offset = f32(40, low=0.5, high=2.0), 1.7, 0.3, 33
    per_ampere, lsb = (np.full(70, v, np.float32) for v in (steps / full, full / max(steps, 1)))
    draws = (np.float32(std), *KEYS, np.uint64(offset)), (per_ampere, lsb, steps, row_scale)
    if spread == "none":
        evenly_noisy_adc(0, len(current), 0, current, *draws)
    else:
        noisy_adc(0, len(current), 0, current, variance, *draws)
    found, expected = [], []
    for b in range(0, 40, 3):
        for j in range(0, 70, 5):
            own = 0.0 if spread == "none" else float(variance[b, j % variance.shape[1]])
            z = naive.stream_normal(KEY, offset + 70 * b + j)
            expected.append(twins.noisy_reading(float(before[b, j]), own, std, z, full, bits, float(row_scale[b])))
            found.append(current[b, j])
    off = np.abs(np.asarray(found) - expected)
    code = 0.0 if bits is None else 2.0 * full / float(steps)  # a normal that differs in its last bit may turn one code
    assert np.median(off) < 1e-5
    assert (off < 1e-5 + code).all()
    assert (off > 1e-5).sum() <= 1


def test_net_and_load() -> None:
    plus, minus = f32(6, 50, low=0.0), f32(6, 50, low=0.0)
    panels, load = np.zeros((-(-50 // WIDTH), 6, WIDTH), np.float32), np.full(6, -1, np.float64)
    rows = np.array([1, 3, 4])
    net_and_load(0, len(rows), 0, np.stack((plus, minus)), rows, panels, load, grid_for(1.0))
    values, loads = twins.net(plus, minus, [int(r) for r in rows])
    assert set(values) == {1, 3, 4}
    for i in range(6):
        own = np.concatenate([panels[p, i] for p in range(len(panels))])[:50]
        np.testing.assert_allclose(own, values.get(i, np.zeros(50)), rtol=1e-6)
        assert load[i] == pytest.approx(loads.get(i, -1.0), rel=1e-6)


def test_lines_of() -> None:
    rows, found = np.array([1, 3, 7, 10]), np.empty(6, np.int64)
    number = lines_of(rows, np.empty(6, np.bool_), found)
    assert list(found[:number]) == twins.word_lines([int(r) for r in rows], 6) == [1, 3, 4]


def test_clear_lines() -> None:
    planes, lines = RNG.integers(-9, 10, (2, 6, 30)).astype(np.int16), np.array([0, 4, 5])
    expected = twins.cleared(planes, [int(i) for i in lines])
    for part in ((0, 1), (1, 3)):
        clear_lines(*part, 0, lines, planes)
    np.testing.assert_array_equal(planes, expected)


@pytest.mark.parametrize("bypass", [False, True])
def test_through_matrix(bypass: bool) -> None:
    x, product, mean, gain = f32(5, 9), f32(5, 9), f32(9), f32(9)
    expected = twins.through_matrix(x if bypass else np.zeros_like(x), mean if bypass else 0 * mean, product, gain)
    z, y = np.empty_like(x), np.empty_like(x)
    for part in ((0, 2), (2, 5)):
        centre_rows(*part, 0, x, mean, z)
        if bypass:
            bypass_and_scale(*part, 0, z, gain, product, y)
        else:
            scale_columns(*part, 0, product, gain, y)
    np.testing.assert_array_equal(z, x - mean)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("order", [1, 2, 4, 8, 32, 128, 512])
def test_walsh(order: int) -> None:
    """Signs are told from the inputs, and the product is that of the inputs, whatever ways the transform goes."""
    lines, vectors, cols = 40, 50, WIDTH + 3
    volts, matrix = f32(lines, low=0.1), f32(lines, cols)
    labels, patterns = RNG.integers(0, order, lines), RNG.integers(0, order, vectors)
    turns = RNG.choice([-1.0, 1.0], vectors).astype(np.float32)
    labels[7], patterns[0], turns[0] = 0, 0, 1.0
    out = np.empty((vectors, cols), np.float32)
    given = volts, labels, PackedMatrix.of(matrix).array, patterns, turns, out
    for strip in ((0, 1), (1, 2)):
        multiply_walsh(*strip, 0, order, *given)
    np.testing.assert_allclose(out, twins.walsh_product(volts, labels, patterns, turns, matrix), rtol=1e-4, atol=1e-4)
    unit = np.eye(lines, dtype=np.float32)
    inputs = np.array(twins.walsh_product(volts, labels, patterns, turns, unit), np.float32)
    words = np.empty((lines, 2), np.uint32)
    assert pack_signs(inputs.view(np.int32), np.empty(lines, np.uint32), words)
    words ^= words[7]
    found, basis = np.empty(lines, np.int64), np.empty((9, 2), np.uint32)
    size = label_lines(words.copy(), found, basis, np.empty(9, np.int64))
    assert 1 << size <= order, "the labels that were found span no more than those that were drawn"
    for line, label in zip(words, found, strict=True):
        own = [basis[b] for b in range(size) if label >> b & 1]
        np.testing.assert_array_equal(np.bitwise_xor.reduce(own, axis=0) if own else 0 * line, line)


@pytest.mark.parametrize("planes", [1, 2])
def test_load_of_columns(planes: int) -> None:
    g, load = f32(planes, 7, 9, low=0.0), np.zeros(9, np.float64)
    load_of_columns(g, load, grid_for(1.0), 0, len(load))
    np.testing.assert_allclose(load, twins.column_load(g.reshape(-1, 9)), rtol=1e-6)


def test_mend_points() -> None:
    """Cells have changed: matrices and loads are, to the bit, those of all cells as they are then."""
    g, grid = f32(2, 6, 50, low=0.0), grid_for(1.0)

    def known() -> tuple[npt.NDArray[Any], ...]:
        panels, row_load = np.zeros((-(-50 // WIDTH), 6, WIDTH), np.float32), np.empty(6)
        net_and_load(0, 6, 0, g, np.arange(6), panels, row_load, grid)
        turned, col_load = np.zeros((1, 50, WIDTH), np.float32), np.zeros(50)
        transpose_panels(panels, turned, 0, 1)
        load_of_columns(g, col_load, grid, 0, 50)
        return panels, turned, row_load, col_load

    mended = known()
    points = np.array([0, 3, 49, 50, 120, 299])
    before = np.empty(len(points))
    cells = np.sort(np.concatenate([points[:4], points[2:] + 300]))  # some in one plane alone
    found, loads = np.empty(len(cells), np.int64), np.empty(len(cells))
    assert loads_at(g[0], g[1], cells, grid, found, loads) == len(points)
    np.testing.assert_array_equal(found[: len(points)], points)
    before[:] = loads[: len(points)]
    np.testing.assert_allclose(before, twins.point_loads(g[0], g[1], points), rtol=1e-6)
    g[:, points // 50, points % 50] = f32(2, len(points), low=0.0)
    mend_points(g[0], g[1], points, before, grid, *mended)
    for found, expected in zip(mended, known(), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_power() -> None:
    v, g = f32(5, 40), f32(40, low=0.0)
    squared = np.empty_like(v)
    assert read_power(v, g) == pytest.approx(twins.power(v, g), rel=1e-5)
    assert square_and_power(v, g, squared) == pytest.approx(twins.power(v, g), rel=1e-5)
    np.testing.assert_array_equal(squared, v * v)


@pytest.mark.parametrize("n", [1, 63, 64, 200])
def test_sums_of_squares(n: int) -> None:
    v, sums = f32(3, n), np.empty((3, 1), np.float32)
    sums_of_squares(0, 3, 0, v, np.float32(0.7), sums)
    np.testing.assert_allclose(sums[:, 0], twins.squares(v, 0.7), rtol=1e-6)


@pytest.mark.parametrize("last", [0.0, -3.0, -math.inf, math.nan])
def test_largest_of_all(last: float) -> None:
    numbers = f32(4, 21)
    numbers[-1, -1] = last
    found = np.int32(largest_of_all(numbers.view(np.int32))).view(np.float32)
    np.testing.assert_equal(float(found), twins.largest(numbers))


@pytest.mark.parametrize(("batch", "shape"), [(1, (1, 1)), (3, (37, 45)), (64, (40, 70)), (33, (64, 10))])
def test_sums_of_outer_products(batch: int, shape: tuple[int, int]) -> None:
    left, right, target = f32(batch, shape[0]), f32(batch, shape[1]), f32(*shape)
    expected = twins.with_outer_products(target, left, right, -0.75)
    largest = add_outer_products(target, left, right, -0.75)
    np.testing.assert_allclose(target, expected, atol=1e-5)
    np.testing.assert_array_equal(largest.view(np.float32), np.abs(target).max(axis=1))


def test_no_outer_product_changes_nothing() -> None:
    target = f32(3, 4)
    before = target.copy()
    largest = add_outer_products(target, f32(0, 3), f32(0, 4), 1.0)
    np.testing.assert_array_equal(target, before)
    np.testing.assert_array_equal(largest.view(np.float32), np.abs(before).max(axis=1))


@pytest.mark.parametrize("shape", [(1, 1), (5, 40), (37, 70), (64, 96)])
def test_products(shape: tuple[int, int]) -> None:
    matrix, v = f32(*shape), f32(11, shape[0])
    packed = np.zeros((-(-shape[1] // WIDTH), shape[0], WIDTH), np.float32)
    pack_rows(matrix, np.arange(shape[0]), packed)
    np.testing.assert_array_equal(packed, np.asarray(twins.panels(matrix, WIDTH), np.float32))
    turned = np.zeros((-(-shape[0] // WIDTH), shape[1], WIDTH), np.float32)
    transpose_panels(packed, turned, 0, len(turned))
    np.testing.assert_array_equal(turned, np.asarray(twins.panels(matrix.T, WIDTH), np.float32))
    some, expected = np.arange(0, shape[0], 3), turned.copy()
    turned[:, :, :] = np.where(
        np.isin(np.arange(turned.size // shape[1]).reshape(len(turned), 1, WIDTH), some), 7, turned
    )
    transpose_lines(packed, some, turned)
    np.testing.assert_array_equal(turned[:, :, :], expected)
    out = np.empty((11, shape[1]), np.float32)
    multiply(0, len(packed), 0, v, packed, out)
    np.testing.assert_allclose(out, twins.product(v, matrix), atol=1e-5)
    left = shape[1] - (len(packed) - 1) * WIDTH
    if left <= HALF:
        wide, out[:, -left:] = out.copy(), np.nan
        # BLAS, which stands for the kernel with the compiler off, gives a row other last bits in another batch.
        half = 0 if JIT_OFF else len(v) // 2
        for first, last in pairwise((0, half, len(v))):
            multiply_last(first, last, 0, v, packed, out)
        # Without the compiler it is BLAS that multiplies, whose last bits depend on the batch.
        np.testing.assert_allclose(out, wide, rtol=0.0, atol=1e-5 if numba.config.DISABLE_JIT else 0.0)


@pytest.mark.jit
def test_products_with_silent_lines() -> None:
    matrix, v = f32(7, AT_ONCE * WIDTH), f32(11, 7)
    v[v < 0.0] = 0.0
    v[:, :2] = 0.0
    packed = np.zeros((AT_ONCE, 7, WIDTH), np.float32)
    pack_rows(matrix, np.arange(7), packed)
    out = np.empty((11, matrix.shape[1]), np.float32)
    assert multiply_silent(0, AT_ONCE, 0, v, packed, out) == 10 * AT_ONCE
    np.testing.assert_allclose(out[:10], twins.product(v[:10], matrix), atol=1e-5)


@pytest.mark.parametrize("cols", [1, 16, 137])
def test_rows_of_a_batch(cols: int) -> None:
    rows = f32(6, cols)
    assert mean_norm(rows) == pytest.approx(twins.norm(rows), rel=1e-6)


@pytest.mark.parametrize("cols", [1, 16, 137])
@pytest.mark.parametrize("two_sided", [False, True])
@pytest.mark.parametrize("team", [False, True])
def test_copies_of_a_batch(cols: int, two_sided: bool, team: bool) -> None:
    """Four copies of six rows of three samples."""
    after, before, total, factor = f32(8 if two_sided else 4, 6, cols), f32(6, cols), f32(6, cols), f32(4, 3)
    length, start = RNG.uniform(size=(4, 3)), total.copy()
    before_k = after[1::2] if two_sided else np.stack([before] * 4)
    after_k = after[::2] if two_sided else after
    pairs = zip(after_k, before_k, strict=True)
    known = [twins.difference(one, other, 0.5 if two_sided else 1.0, 3) for one, other in pairs]
    moved, added = np.empty((4, 6, cols), np.float32), length.copy()
    others, steps = (after, (2, 1, 2)) if two_sided else (before[None], (1, 0, 0))
    half = np.float32(0.5 if two_sided else 1.0)
    take_differences(0, 24, team_for(24, 1) if team else 0, after, others, steps, half, moved, added)
    np.testing.assert_allclose(moved, [of_copy for of_copy, _ in known], rtol=1e-6)
    np.testing.assert_allclose(added, length + [squares for _, squares in known], rtol=1e-6)
    add_scaled(0, 6, team_for(6, 1) if team else 0, moved, factor, total)
    np.testing.assert_allclose(total, twins.weighted(start, moved, factor), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("team", [False, True])
def test_rectify(team: bool) -> None:
    x = np.concatenate([f32(1, 150)[0], np.array([0.0, -0.0, math.nan, math.inf, -math.inf], np.float32)])
    y = np.empty_like(x)
    among = team_for(len(x), 1) if team else 0
    rectify(0, len(x), among, x, y)
    np.testing.assert_array_equal(y, np.array(twins.rectified(x), np.float32))
    grad, back = f32(1, len(x))[0], np.empty_like(x)
    grad[:2] = math.nan, math.inf
    with np.errstate(invalid="ignore"):
        where_positive(0, len(x), among, x, grad, back)
    np.testing.assert_array_equal(back, np.array(twins.passed_back(x, grad), np.float32))


def test_add_to_rows() -> None:
    rows, added = f32(5, 19), f32(19)
    out = np.empty_like(rows)
    add_to_rows(rows, added, out)
    np.testing.assert_allclose(out, twins.sums(rows, added), rtol=1e-6)
    add_row(rows, added)
    np.testing.assert_array_equal(rows, out)


@pytest.mark.parametrize("columns", [1, 10, 70])
def test_sum_rows(columns: int) -> None:
    rows, total = f32(9, columns), np.empty(columns, np.float32)
    sum_rows(rows, total)
    np.testing.assert_allclose(total, twins.sum_of_rows(rows), rtol=1e-5, atol=1e-6)
    if columns > 1:  # NumPy adds up a single column in pairs
        np.testing.assert_array_equal(total, rows.sum(axis=0))


@pytest.mark.parametrize("team", [False, True])
def test_take_rows(team: bool) -> None:
    x, index = f32(20, 7), RNG.integers(0, 20, 11)
    out = np.empty((11, 7), np.float32)
    take_rows(0, 11, team_for(11, 1) if team else 0, x, index, out)
    np.testing.assert_array_equal(out, np.array(twins.taken_rows(x, index), np.float32))


def test_scatter_rows() -> None:
    kernel, stride, dilation, padding = (3, 2), (2, 1), (1, 2), (1, 2)
    here, shape = Windows(kernel, stride, dilation, 1, 1, 2, 2), (2, 3, 6, 5)
    rows = f32(*here.patches(f32(*shape)).all().shape)
    expected = twins.scattered(rows, shape, kernel, stride, dilation, padding)
    np.testing.assert_allclose(here.scatter(rows, shape), expected, atol=1e-5)


def test_cross_entropy() -> None:
    outputs, target = f32(7, 4, low=-6.0, high=6.0), RNG.integers(0, 4, 7)
    loss, gradient = np.empty(7), np.empty((7, 4), np.float32)
    cross_entropy(0, 7, 0, outputs, target, loss)
    cross_entropy_gradient(outputs, target, gradient)
    for b in range(7):
        expected, slope = twins.cross_entropy([float(o) for o in outputs[b]], int(target[b]))
        assert loss[b] == pytest.approx(expected, rel=1e-6, abs=1e-9)
        np.testing.assert_allclose(gradient[b], np.asarray(slope) / 7, rtol=1e-5, atol=1e-7)


def test_adam() -> None:
    beta1, beta2, eps, rate = 0.9, 0.99, 1e-3, 1.0
    m, v, step = (np.zeros(20, np.float32) for _ in range(3))
    slow = [(0.0, 0.0)] * 20
    for t in (1, 2, 3):
        g = f32(20)
        numbers = beta1, 1 - beta1, beta2, 1 - beta2, (1 - beta2**t) ** -0.5, eps, rate / (1 - beta1**t)
        adam(g, m, v, step, *(np.float32(x) for x in numbers))
        now = [twins.adam(float(a), *old, beta1, beta2, t, eps) for a, old in zip(g, slow, strict=True)]
        slow = [(a, b) for a, b, _ in now]
        np.testing.assert_allclose(np.stack([m, v, step]), np.array(now).T, rtol=1e-4, atol=1e-6)
