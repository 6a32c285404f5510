"""Files that hold what was read before each pulse beside what was read after it: two rows of the table for one line. Never a pulse.

Where the cell is not where the line before left it, something was done between that the file does not list, and a new run begins.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from devices.measurements.table.table import Op

F64 = npt.NDArray[np.float64]

FEWEST, CLEAR, OUTLIER = 4, 4.0, 6.0
"""Lines from which on they can hang together; standard errors of a mean change between lines, and standard deviations of a single one,
that are no noise."""
_WORDS = re.compile(r"(?<![a-z])(?:(before|pre|initial|prior)|(after|post|final))(?![a-z])")


def counterpart(name: str, header: Sequence[str]) -> str | None:
    """The column of a header that is called as `name` is but for *before* in place of *after*, or the other way round."""

    def stem(text: str) -> tuple[str, str]:
        match = _WORDS.search(text.lower().replace("_", " "))
        if match is None:
            return "", ""
        rest = match.string[: match.start()] + match.string[match.end() :]
        return ("before" if match[1] else "after"), " ".join(re.sub(r"[(\[].*?[)\]]", "", rest).split())

    side, rest = stem(name)
    if not side:
        return None
    return next((other for other in header if stem(other) == ("after" if side == "before" else "before", rest)), None)


def with_reads_before(
    rows: Mapping[str, Any], before: F64, line: npt.NDArray[Any], new_sequences: Callable[[int], int]
) -> tuple[dict[str, Any], npt.NDArray[Any], int]:
    """Put a plain read before every row; where the lines do not hang together the row begins a sequence of its own.

    Args:
        rows: columns of n rows. before: (n,) amperes read before each. line: (n,) numbers. new_sequences: reserves so many numbers.

    Returns 2n rows, their lines, and how many lines begin anew.
    """
    n = len(before)
    columns = {name: np.broadcast_to(np.asarray(values), (n,)) for name, values in rows.items()}
    anew = _begins(columns["sequence"], before, columns["i_A"])
    sequence = columns["sequence"].astype(np.int64)
    if anew.any():
        fresh = np.flatnonzero(anew)
        own = new_sequences(len(fresh)) + np.arange(len(fresh))
        last: dict[int, int] = {}
        renamed = dict(zip(fresh.tolist(), own.tolist(), strict=True))
        for k, name in enumerate(columns["sequence"].tolist()):
            last[name] = renamed.get(k, last.get(name, name))
            sequence[k] = last[name]
    reads = {
        "i_A": before,
        "op": Op.READ,
        "v_V": np.nan,
        "width_s": np.nan,
        "n_pulses": 0,
        "direction": 0,
        "flag": 0,
    }
    both = {}
    for name, values in (columns | {"sequence": sequence}).items():
        pair = np.empty((n, 2), np.result_type(values, np.asarray(reads.get(name, values))))
        pair[:, 0], pair[:, 1] = reads.get(name, values), values
        both[name] = pair.ravel()
    return both, np.repeat(line, 2), int(anew.sum())


def _begins(sequence: npt.NDArray[Any], before: F64, after: F64) -> npt.NDArray[np.bool_]:
    """(n,) whether a line begins anew: changes between lines that have a sign are no noise, nor is a single one far from the others."""
    same = np.concatenate(([False], sequence[1:] == sequence[:-1]))
    jump = np.full(len(before), np.nan)
    jump[1:] = before[1:] - after[:-1]
    known = same & np.isfinite(jump)
    if known.sum() < FEWEST:
        return same
    values = jump[known]
    spread = float(values.std(ddof=1))
    if abs(float(values.mean())) > CLEAR * spread / np.sqrt(len(values)) + 1e-9 * float(np.abs(after[known]).max()):
        return same
    sigma = 1.4826 * float(np.median(np.abs(values - np.median(values))))
    return known & (np.abs(jump) > OUTLIER * sigma + 1e-9 * np.abs(after)) if sigma > 0 else known & (jump != 0)
