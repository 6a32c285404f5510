"""Time the emulator side by side with torch and numpy: interleaved rounds, medians and ratios. Never asserts a time."""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from learning.experiments.commands._cli import HelpText

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.thread_time}
GROWTH = "growth"
"""Not a family of cases, but a page: see `learning.experiments.commands.growth`."""
TAKES_CARD = ("pulse", "train_epoch")
EXAMPLE = "analog-hil benchmark mvm --sizes 512 1024 --threads one --json mvm.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the families asked for and print one line per case."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if GROWTH in options.family:
        if options.family != [GROWTH]:
            parser.error(f"{GROWTH} measures by itself: give it alone")
        return _grow(options)
    if options.clock == "cpu" and options.threads != ["one"]:
        parser.error("--clock cpu sees only the calling thread: add --threads one")
    rows = []
    print(_HEADER)
    for threads in options.threads:
        with _threads(threads) as count:
            for case in _cases(options):
                if threads in case.threads:
                    row = measure(case, count, options.clock, rounds=options.rounds, seconds=options.seconds)
                    rows.append(row)
                    print(_line(row), flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


def _grow(options: argparse.Namespace) -> int:
    """Measure how time and memory grow, and write the page."""
    from learning.experiments.commands.growth.run import run

    page = run(options.out, quick=options.quick, only=options.only, say=lambda line: print(line, flush=True))
    print(f"page: {page}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, epilog=f"example:\n  {EXAMPLE}", formatter_class=HelpText)
    names = [*_families(), GROWTH]
    parser.add_argument("family", nargs="+", metavar="NAME", choices=names, help=", ".join(names))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows as a JSON list")
    parser.add_argument("--sizes", type=int, nargs="+", metavar="N", help="only these sizes")
    parser.add_argument("--batches", type=int, nargs="+", metavar="B", help="only these batches")
    parser.add_argument("--only", metavar="TEXT", default="", help="only cases whose name contains this")
    parser.add_argument(
        "--card", metavar="NAME", help=f"device card, for the families that take one ({', '.join(TAKES_CARD)})"
    )
    parser.add_argument("--threads", nargs="+", choices=("one", "all"), default=["one", "all"])
    parser.add_argument(
        "--clock",
        choices=tuple(CLOCKS),
        default="wall",
        help="cpu: time of the calling thread, for --threads one on a busy machine (default: wall)",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", default=Path("growth"), help=f"of the page of {GROWTH} (default: growth)"
    )
    parser.add_argument("--quick", action="store_true", help=f"a look at small sizes, for {GROWTH}")
    parser.add_argument("--rounds", type=int, default=15, metavar="N", help="interleaved rounds at least (default: 15)")
    parser.add_argument("--seconds", type=float, default=2.0, metavar="S", help="time per case at least (default: 2)")
    return parser


def _families() -> list[str]:
    folder = Path(__file__).resolve().parent / "benchmark_cases"
    return sorted(m.name for m in pkgutil.iter_modules([str(folder)]) if not m.name.startswith("_"))


def _cases(options: argparse.Namespace) -> Iterator[Any]:
    for family in options.family:
        module = importlib.import_module(f"{__package__}.benchmark_cases.{family}")
        for case in module.cases(options.card) if family in TAKES_CARD else module.cases():
            if options.only in case.name and _chosen(case.size, options.sizes) and _chosen(case.batch, options.batches):
                yield case


def _chosen(value: int, wanted: list[int] | None) -> bool:
    return not wanted or value in wanted


@contextmanager
def _threads(which: str) -> Iterator[int]:
    """The thread policy of the emulator, and the same number for torch."""
    from analog_sim.threads import available_cores, thread_policy

    count = 1 if which == "one" else available_cores()
    with thread_policy(count):
        if "torch" in sys.modules or importlib.util.find_spec("torch"):
            import torch

            torch.set_num_threads(count)
        yield count


def measure(case: Any, threads: int, clock: str, *, rounds: int, seconds: float) -> dict[str, Any]:
    """Time one case: every round calls each contender once, in turn; return the row of medians and ratios."""
    contenders: dict[str, Callable[[], object]] = {"ours": case.ours}
    if case.reference is not None:
        contenders["reference"] = case.reference
    contenders.update(case.also)
    now = CLOCKS[clock]
    first = {
        name: _time(call, now) for name, call in contenders.items()
    }  # compiles, fills caches; reported, not counted
    _time(case.ours, now)
    times: dict[str, list[float]] = {name: [] for name in contenders}
    until = time.perf_counter() + seconds
    while len(times["ours"]) < rounds or time.perf_counter() < until:
        for name, call in contenders.items():
            times[name].append(_time(call, now))
    median = {name: statistics.median(t) for name, t in times.items()}
    row: dict[str, Any] = {
        "name": case.name,
        "size": case.size,
        "batch": case.batch,
        "reference": case.reference_name,
        "ratio": _ratio(times, "reference"),
        "ours_s": median["ours"],
        "reference_s": median.get("reference"),
        "threads": threads,
        "clock": clock,
        "first_call_s": first["ours"],
    }
    row.update({f"ratio_{name}": _ratio(times, name) for name in case.also})
    row.update({f"ns_per_{unit}": median["ours"] * 1e9 / n for unit, n in case.per_call.items()})
    row.update(case.facts)
    return row


def _ratio(times: dict[str, list[float]], name: str) -> float | None:
    """Median over the rounds of ours / reference: neighbours in time see the same machine."""
    if name not in times:
        return None
    return statistics.median(a / b for a, b in zip(times["ours"], times[name], strict=True))


def _time(call: Callable[[], object], now: Callable[[], float]) -> float:
    start = now()
    call()
    return now() - start


_HEADER = f"{'case':34} {'size':>6} {'batch':>6} {'thr':>4} {'ours ms':>10} {'ref ms':>10} {'ratio':>7}  more"


def _line(row: dict[str, Any]) -> str:
    known = {"name", "size", "batch", "threads", "clock", "ours_s", "reference_s", "ratio", "reference", "first_call_s"}
    more = "  ".join(f"{k}={_short(v)}" for k, v in row.items() if k not in known)
    reference = f"{row['reference_s'] * 1e3:10.3f}" if row["reference_s"] else f"{'-':>10}"
    ratio = f"{row['ratio']:7.2f}" if row["ratio"] else f"{'-':>7}"
    return (
        f"{row['name']:34} {row['size']:6d} {row['batch']:6d} {row['threads']:4d} {row['ours_s'] * 1e3:10.3f} "
        f"{reference} {ratio}  {more}"
    )


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
