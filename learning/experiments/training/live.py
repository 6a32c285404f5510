"""What an arm at work has come to, as a small file that the process which waits for it reads: the same for workers anywhere.

It decides nothing and is no result: the file goes when the arm has ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from learning.experiments.monte_carlo.progress import Underway
from learning.experiments.monte_carlo.score import Score
from learning.experiments.runs.result_log import Row

FILE = "live.txt"
EVERY_S = 0.5


class LiveCount:
    """Writes `done total best` of an arm, at most every `EVERY_S` seconds.

    Args:
        folder: of the arm and seed. total: batches.
    """

    def __init__(self, folder: Path, total: int) -> None:
        self._path, self._total, self._last = folder / FILE, total, 0.0

    def at(self, done: int, best: float | None) -> None:
        """So many batches are done; best: the highest accuracy, or R2, so far."""
        now = time.monotonic()
        if now - self._last >= EVERY_S:
            self._last = now
            with suppress(OSError):  # a full disk stops the run elsewhere
                self._path.write_text(
                    f"{done} {self._total} {'' if best is None else f'{best:.6f}'}\n", encoding="ascii"
                )

    def close(self) -> None:
        """The arm has ended."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


def watcher(places: Mapping[str, Sequence[Path]], score: Score) -> Callable[[], dict[str, Underway]]:
    """What the board asks: arm -> shares of its seeds that are at work, and the best score there.

    Args:
        places: arm -> folders of its seeds. score: accuracy or R2.
    """
    best: dict[str, float | None] = {}

    def look() -> dict[str, Underway]:
        found = {}
        for arm, folders in places.items():
            parts = [part for folder in folders if (part := _read(folder / FILE)) is not None]
            known = [value for value in (best.get(arm), *(value for _, value in parts)) if value is not None]
            best[arm] = max(known, default=None)
            found[arm] = Underway(sum(share for share, _ in parts), best_note(best[arm], score))
        return found

    return look


def best_row(score: Score, rows: Sequence[Row]) -> str:
    """`best_note` of rows of `metrics.csv`."""
    return best_note(
        max((float(row[score.key] or 0.0) for row in rows if row[score.key] is not None), default=None), score
    )


def best_note(best: float | None, score: Score) -> str:
    """`best 91.20 %`, `best R2 0.9120`; nothing before the first evaluation."""
    return "" if best is None else f"best {'' if score.unit else f'{score.name} '}{score.shown(best)}"


def _read(path: Path) -> tuple[float, float | None] | None:
    """Share that is done, and the best score, None before the first evaluation; None without a whole line."""
    try:
        fields = path.read_text(encoding="ascii").split()
        return int(fields[0]) / int(fields[1]), float(fields[2]) if len(fields) > 2 else None
    except (OSError, ValueError, IndexError, ZeroDivisionError):
        return None
