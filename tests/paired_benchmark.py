"""Time the benchmark cases of two checkouts in turn, round by round, by the processor time of one thread. Never asserts a time.

``python tests/paired_benchmark.py OTHER FAMILY [FAMILY ...]``: a process for OTHER (a git worktree of an older commit) and one for this
checkout, each with the cases of its own code; every round calls a case once in either. Cases that only one of them has are left out.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]

CHILD = r"""
import importlib, importlib.util, os, sys, time
say = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what a case prints goes elsewhere
def first(*names):
    for name in names:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if not name.startswith(error.name):
                raise
    raise SystemExit(f"none of {names}")
policy = first("analog_sim.threads", "analog_sim.random.threads").thread_policy
import torch
torch.set_num_threads(1)
cases = {}
with policy(1):
    for family in sys.argv[1:]:
        room = first(f"learning.experiments.commands.benchmark_cases.{family}", f"benchmark_cases.{family}")
        takes_card = family in ("pulse", "train_epoch")
        for case in room.cases(None) if takes_card else room.cases():
            if "one" in case.threads:
                # Worker processes are not counted: chips are those with one worker.
                cases[f"{case.name} {case.size} {case.batch}"] = case.reference if family == "chips" else case.ours
    print("\t".join(cases), file=say, flush=True)
    for line in sys.stdin:
        call = cases[line.strip()]
        start = time.process_time()
        call()
        print(time.process_time() - start, file=say, flush=True)
"""


class Child:
    """The cases of one checkout in a process of their own."""

    def __init__(self, folder: Path, families: list[str]) -> None:
        known = os.pathsep.join([str(folder), str(folder / "scripts")])
        one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
        self._process = subprocess.Popen(
            [sys.executable, "-c", CHILD, *families],
            env={**os.environ, **one, "PYTHONPATH": known},
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.cases = self._answer().split("\t")

    def seconds(self, case: str) -> float:
        """Processor time of one call."""
        assert self._process.stdin is not None
        print(case, file=self._process.stdin, flush=True)
        return float(self._answer())

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("a checkout ended: see its error above")
        return line.rstrip("\n")


def main() -> None:
    """Print a line per case: median times and the median of the ratios of neighbours, with its quartiles."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="a checkout of the code to compare with")
    parser.add_argument("family", nargs="+")
    parser.add_argument("--only", default="", help="cases whose name and size contain this")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    before, now = (Child(folder, options.family) for folder in (options.other.resolve(), HERE))
    print(f"{'case, size, batch':44} {'before ms':>10} {'now ms':>10} {'ratio':>6}  quartiles")
    for case in before.cases:
        if case not in now.cases or options.only not in case:
            continue
        for child in (before, now, before, now):
            child.seconds(case)  # compiles, fills caches
        times = [(before.seconds(case), now.seconds(case)) for _ in range(options.rounds)]
        low, middle, high = statistics.quantiles([b / a for a, b in times], n=4)
        old, new = (1e3 * statistics.median(side) for side in zip(*times, strict=True))
        print(f"{case:44} {old:10.3f} {new:10.3f} {middle:6.3f}  {low:.3f} to {high:.3f}", flush=True)


if __name__ == "__main__":
    main()
