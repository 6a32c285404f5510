"""Deliberate faults, each of which some test must find: what the suite is worth. Not collected by pytest; it changes copies only.

    python tests/mutation_run.py                 all mutants, about ten minutes on one core
    python tests/mutation_run.py resume pulses   those of some subjects
    python tests/mutation_run.py --list

A mutant replaces a text that occurs once in the sources (wherever the file may be) in a copy of the tree, and runs the tests that are
said to find it there, without compiled kernels. It is killed when a test fails, survives when all pass. Before, the same tests must
pass on the copy as it is. The last run is in docs/decisions/mutations.md. Exits 1 when a mutant survives.
"""

from __future__ import annotations

import argparse
import importlib
import multiprocessing
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("analog_sim", "devices", "learning")
LIBRARIES = (
    "numba",
    "scipy.stats",
    "scipy.signal",
    "scipy.optimize",
    "pydantic",
    "yaml",
    "matplotlib.pyplot",
)
"""Imported once for all runs; not torch, since our packages must come before it, and no plugin of pytest."""


@dataclass(frozen=True)
class Mutant:
    """A fault.

    Attributes:
        subject, name: what is wrong. old, new: text of one source, and what takes its place. tests: file name of a test, with a -k
            expression after "::".
    """

    subject: str
    name: str
    old: str
    new: str
    tests: str


MUTANTS = (
    Mutant(
        "sensing",
        "variance of constant read noise grows with abs(v), not with its square",
        "sums_of_squares(*rows_of(v, SQUARED_BY_A_THREAD), v, np.float32(each), variance)",
        "variance[:, 0] = np.float32(each) * np.abs(v).sum(axis=1)",
        "test_emulated.py::constant_read_noise",
    ),
    Mutant(
        "sensing",
        "a transposed read has the noise of a forward one",
        "each = state.variance_back if transpose else state.variance",
        "each = state.variance",
        "test_emulated.py::read_noise_at_the_output or sensed_read",
    ),
    Mutant(
        "sensing",
        "converters have a code too many",
        "return 0 if bits is None else 2 ** (bits - 1) - 1",
        "return 0 if bits is None else 2 ** (bits - 1)",
        "test_converters.py",
    ),
    Mutant(
        "sensing",
        "the converter's own noise is left out",
        "std = self.spec.noise * float(self._full[0])",
        "std = 0.0 * self.spec.noise * float(self._full[0])",
        "test_converters.py test_nonidealities.py",
    ),
    Mutant(
        "sensing",
        "unsigned converters use half of their codes",
        "return 2**bits - 1 if bits is not None and self._polarity.unsigned else steps(bits)",
        "return steps(bits)",
        "test_polarity.py",
    ),
    Mutant(
        "sensing",
        "unsigned converters clip later negatives in silence",
        'x = self._polarity.admit(np.ascontiguousarray(_real(x, "Tile.forward: inputs")))',
        'x = np.ascontiguousarray(_real(x, "Tile.forward: inputs"))',
        "test_polarity.py",
    ),
    Mutant(
        "ageing",
        "drift without its reference time",
        "per_t_ref = 1.0 / t_ref",
        "per_t_ref = 1.0",
        "test_emulated.py::power_law or see_the_drift",
    ),
    Mutant(
        "ageing",
        "what reads see of the cells is held for ever",
        "return now <= self._until",
        "return True",
        "test_emulated.py::drift or relaxation",
    ),
    Mutant(
        "ageing",
        "programming does not restart the clock of the cells",
        "if state.t_written is not None:\n            if where is None:",
        "if state.t_written is not None and not state.t_written.any():\n            if where is None:",
        "test_emulated.py::restarts_the_clock",
    ),
    Mutant(
        "ageing",
        "a pulse acts on the cell as it was written",
        "return self._aged_rows(sent.rows, now) if self.cell.ages else None",
        "return None",
        "test_apply.py::drifted_state test_ageing.py::pulses_act",
    ),
    Mutant(
        "ageing",
        "a pulse that comes through wires acts on the cell as it was written",
        "present = self._pulsed(prepared, now)\n        return prepared, apply.apply_graded",
        "present = None\n        return prepared, apply.apply_graded",
        "test_graded.py::drifted",
    ),
    Mutant(
        "pulses",
        "both cells of a pair move the same way",
        '(2, "both"): np.array([[1, -1], [-1, 1]], np.int8),',
        '(2, "both"): np.array([[1, -1], [1, -1]], np.int8),',
        "test_apply.py::coincidences",
    ),
    Mutant(
        "pulses",
        "probabilities of a train without the square root",
        "amplitude = np.sqrt(pulses / slots)",
        "amplitude = pulses / slots",
        "test_trains.py::strengths or lengths or probabilities or clip",
    ),
    Mutant(
        "pulses",
        "the step of a pair counts one cell",
        'step = up - down if scheme.pair == "both" else up',
        "step = up",
        "test_pairs.py test_accumulating.py::sum_of_gradients",
    ),
    Mutant(
        "pulses",
        "whole pulses are always rounded down",
        "counts = np.floor(wanted + r)",
        "counts = np.floor(wanted)",
        "test_trains.py::dense or whole or rounding test_compensated.py::wanted_step",
    ),
    Mutant(
        "pulses",
        "what was sent stays in the accumulator",
        "part -= steps[:, : part.shape[1]] * gain",
        "part -= 0.5 * steps[:, : part.shape[1]] * gain",
        "test_compensated.py::leaves_the_accumulator",
    ),
    Mutant(
        "pulses",
        "pairs begin at the end of their window whatever pulses them",
        'sides = "two" if writing is not None and writing.moves_both_cells else "one"',
        'sides = "one"',
        "test_pairs.py",
    ),
    Mutant(
        "pulses",
        "choppers do not act on what is written",
        "OuterProduct(part.x * self._chopper, part.d)",
        "OuterProduct(part.x, part.d)",
        "test_transfer.py::sign_of_its_chopper",
    ),
    Mutant(
        "pulses",
        "the dynamic reference is never renewed",
        "self._reference[lines[flip]] = self._average[lines[flip]]",
        "self._reference[lines[flip]] = 0.0",
        "test_transfer.py::slow_twin",
    ),
    Mutant(
        "pulses",
        "a line is moved once a batch",
        "last = self._samples // self._every",
        "last = min(self._samples // self._every, first + 1)",
        "test_transfer.py::slow_twin or longer_than_the_matrix",
    ),
    Mutant(
        "intervals",
        "Student-t with n degrees of freedom",
        "float(stdtrit(n - 1, 0.5 + level / 2))",
        "float(stdtrit(n, 0.5 + level / 2))",
        "test_metrics.py",
    ),
    Mutant(
        "intervals",
        "spread over chips divided by n",
        "float(x.std(ddof=1)) / math.sqrt(n)",
        "float(x.std(ddof=0)) / math.sqrt(n)",
        "test_metrics.py",
    ),
    Mutant(
        "intervals",
        "Wilson without its centre",
        "centre = (p + z * z / (2 * n)) / (1 + z * z / n)",
        "centre = p",
        "test_metrics.py",
    ),
    Mutant(
        "intervals",
        "a chip at the threshold is bad",
        "wilson_interval(int((x >= threshold).sum()), x.size, level)",
        "wilson_interval(int((x > threshold).sum()), x.size, level)",
        "test_metrics.py",
    ),
    Mutant(
        "intervals",
        "plotting positions k/n",
        "levels = (np.arange(n) + 0.5) / n",
        "levels = np.arange(n) / n",
        "test_quantiles.py::middles",
    ),
    Mutant(
        "resume",
        "all tiles of a training chip share one stream",
        "tile = Tile(spec, self._fabric.at(name), shape, self._streams.child(name))",
        "tile = Tile(spec, self._fabric, shape, self._streams)",
        "test_training_streams.py::share_a_stream",
    ),
    Mutant(
        "resume",
        "all tiles of an estimated chip share one stream",
        "fabric.at(*place), shape, streams.child(*place))",
        "fabric, shape, streams)",
        "test_chip.py::share_a_stream",
    ),
    Mutant(
        "resume",
        "a checkpoint forgets the reference of the drift compensation",
        "self._probe_reference = None if reference is None else np.array(reference, np.float32)",
        "self._probe_reference = self._probe_reference",
        "test_compensated.py::checkpoint",
    ),
    Mutant(
        "resume",
        "write_weights keeps the old compensation",
        "self._program_blocks(w)\n        self._reference_compensation(np.asarray(w, np.float32))\n\n    def _program_blocks",
        "self._program_blocks(w)\n\n    def _program_blocks",
        "test_compensated.py::refresh_writes or checkpoint",
    ),
    Mutant(
        "resume",
        "write_weights keeps the reference of the old compensation",
        "self._program_blocks(w)\n        self._reference_compensation(np.asarray(w, np.float32))\n\n    def _program_blocks",
        "self._program_blocks(w)\n        self._set_gain(np.ones(self.shape[0], np.float32))\n\n    def _program_blocks",
        "test_compensated.py::written_anew",
    ),
    Mutant(
        "resume",
        "programming restarts the streams of the writer",
        "self._writers += 1",
        "self._writers += 0",
        "test_writer_streams.py::five_rounds",
    ),
    Mutant(
        "resume",
        "a new writer fabricates its arrays anew",
        "if name not in self._arrays:",
        "if True:",
        "test_writer_streams.py::outlives",
    ),
    Mutant(
        "resume",
        "a checkpoint forgets the noise of the converters",
        "adc.noise.restore(noise)",
        "pass",
        "test_tile.py::restored or checkpoint or same_bits",
    ),
    Mutant(
        "resume",
        "a checkpoint forgets the streams of a crossbar",
        'stream.restore(saved["streams"][name])',
        "pass",
        "test_emulated.py::restored",
    ),
    Mutant(
        "resume",
        "a resumed run forgets the perturbations",
        'self.memory.restore(state["rule"])',
        "pass",
        "test_training.py::killed and digital",
    ),
    Mutant(
        "resume",
        "a checkpoint forgets whether converters are unsigned",
        'self._polarity.restore(saved["polarity"])',
        "pass",
        "test_polarity.py::checkpoint",
    ),
)


def source_of(mutant: Mutant, root: Path) -> Path:
    """The one file whose text has `mutant.old`, once. Raises ValueError otherwise."""
    found = [path for path in _sources(root) for _ in range(path.read_text(encoding="utf-8").count(mutant.old))]
    if len(found) != 1:
        raise ValueError(f"mutant '{mutant.name}': its text occurs {len(found)} times in the sources, needs once")
    return found[0]


def tests_of(mutant: Mutant, root: Path) -> list[list[str]]:
    """Arguments of pytest, one list for each file that is named. Raises ValueError for a file that is not there."""
    runs = []
    for part in re.split(r" (?=test_\w+\.py)", mutant.tests):
        name, _, only = part.partition("::")
        files = sorted(str(path) for path in (root / "tests").rglob(name))
        if not files:
            raise ValueError(f"mutant '{mutant.name}': there is no test file {name}")
        runs.append([*files, *(["-k", only] if only else [])])
    return runs


def copy_to(root: Path) -> None:
    """Copy the repository without its history, caches and the runs that a user has made in it (a package is called `runs` as well)."""
    hidden = shutil.ignore_patterns(".git", "__pycache__", ".*_cache")

    def left_out(folder: str, names: list[str]) -> set[str]:
        return set(hidden(folder, names)) | ({"runs"} & set(names) if Path(folder) == ROOT else set())

    shutil.copytree(ROOT, root, ignore=left_out)


def _sources(root: Path) -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((root / package).rglob("*.py"))


def _pass(root: Path, runs: Sequence[Sequence[str]]) -> bool:
    """Whether all tests pass, and there are any. Each run is a fork: the libraries are imported once, our packages every time."""
    for run in runs:
        output = root.parent / "output.txt"
        child = multiprocessing.get_context("fork").Process(target=_run, args=(root, run, output))
        child.start()
        child.join(900)
        said = output.read_text(encoding="utf-8")
        if child.exitcode == 1 and " failed" in said:
            return False
        if child.exitcode != 0 or " passed" not in said:
            child.kill()
            raise RuntimeError(f"pytest {' '.join(run)} tested nothing:\n{said[-4000:]}")
    return True


def _run(root: Path, run: Sequence[str], output: Path) -> None:
    with output.open("w", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        os.chdir(root)
        sys.path[:] = [str(root), *(p for p in sys.path if Path(p or ".").resolve() not in (ROOT, ROOT / "tests"))]
        code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", *run])
        sys.stdout.flush()
    os._exit(int(code))


def survives(mutant: Mutant, root: Path) -> bool:
    """Whether the tests of a mutant pass on it, in the copy below `root`, which is put right again."""
    path = source_of(mutant, root)
    right = path.read_text(encoding="utf-8")
    path.write_text(right.replace(mutant.old, mutant.new), encoding="utf-8")
    try:
        return _pass(root, tests_of(mutant, root))
    finally:
        path.write_text(right, encoding="utf-8")


def main() -> int:
    """Run the mutants that were asked for and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "subjects", nargs="*", help="sensing, ageing, pulses, intervals, resume; all when none is given"
    )
    parser.add_argument("--list", action="store_true", help="only say what there is")
    options = parser.parse_args()
    chosen = [m for m in MUTANTS if not options.subjects or m.subject in options.subjects]
    if options.list:
        print("\n".join(f"{m.subject}: {m.name} ({m.tests})" for m in chosen))
        return 0
    os.environ |= {"NUMBA_DISABLE_JIT": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    sys.dont_write_bytecode = True
    for library in LIBRARIES:
        importlib.import_module(library)
    alive = 0
    print("| subject | fault | tests | result |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "copy"
        copy_to(root)
        right: dict[str, bool] = {}
        for mutant in chosen:
            began = time.monotonic()
            if mutant.tests not in right:
                right[mutant.tests] = _pass(root, tests_of(mutant, root))
            result = "the tests fail without it"
            if right[mutant.tests]:
                result = "**survives**" if survives(mutant, root) else "killed"
            alive += result != "killed"
            shown = f"| {mutant.subject} | {mutant.name} | {mutant.tests.replace('::', ': ')} | {result} |"
            print(shown, flush=True)
            print(f"{time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    print(f"\n{len(chosen) - alive} of {len(chosen)} killed")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
