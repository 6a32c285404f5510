"""How far a long job is: one live board where someone watches, whole lines where the output goes to a file. It never decides what is done.

[###########-----------------]  40 %  1 min 20 s, about 2 min left
  chips as configured      25 of 25   mean 96.44 %
  30 variants x 10 chips   58 of 300
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import NamedTuple, Self

from learning.experiments.monte_carlo.screen import Ticker, live_screen

Shown = bool
EVERY_S = 30.0
"""Between two lines."""
REDRAW_S = 0.5
"""Between two pictures of the board."""
BAR = 28
"""Letters of the bar."""
MOST_GROUPS = 10
"""Lines of the board, beside the bar."""


class Underway(NamedTuple):
    """What a unit that is at work has come to: units of its group that are done in it, fractions, and what to show."""

    done: float
    note: str = ""


@dataclass
class Group:
    """Units of one kind: how many there are, how many are done, what to show beside them."""

    total: int
    done: int = 0
    note: str = ""
    partial: float = 0.0

    @property
    def share(self) -> float:
        """Of its units, those at work by their part."""
        return min(float(self.total), self.done + self.partial)


@dataclass
class Board:
    """Groups of units that are done one by one. Use as a context; `update` after every unit.

    Attributes:
        groups: name -> units. unit: name of a unit, in the singular. shown: whether to show anything. title: what runs.
        place: which of how many such boards in a row this is. watch: asked now and then what the units at work have come to.
    """

    groups: dict[str, Group]
    unit: str = "chip"
    shown: bool = True
    title: str = ""
    place: tuple[int, int] = (1, 1)
    watch: Callable[[], Mapping[str, Underway]] | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self._screen = live_screen() if self.shown else None
        self._ticker = Ticker(self._tick, REDRAW_S)
        self._start = self._last = time.monotonic()
        self._before = self._share()
        self._finished = 0
        self._head = 0.0

    def __enter__(self) -> Self:
        if self._screen is not None:
            self._draw()
            self._ticker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._screen is not None:
            self._ticker.stop()
            with self._lock:
                self._screen.close(self.line() if kind is None else "")

    def update(self, group: str = "", note: str | None = None, took: float | None = None) -> None:
        """One more unit of a group is done.

        Args:
            note: what to show beside the group from now on. took: seconds that the unit itself took; what passed before the first one
                began, while workers started and kernels compiled, comes once and says nothing of the time that is left.
        """
        with self._lock:
            if self._finished == 0 and took is not None:
                self._head = max(0.0, time.monotonic() - self._start - took)
            found = self.groups[group]
            found.done += 1
            found.partial = 0.0
            found.note = note if note is not None else found.note
            self._finished += 1
        if self._screen is None:
            now = time.monotonic()
            ended = all(each.done >= each.total for each in self.groups.values())
            if self.shown and (ended or now - self._last >= EVERY_S):
                self._last = now
                print(self.line(), file=sys.stderr, flush=True)

    def line(self) -> str:
        """The board in one line: `25 of 25 chips; 58 of 300 runs (30 variants x 10 chips), 42 s, about 5 min left`."""
        with self._lock:
            parts = [
                f"{group.done} of {group.total} {self._units(group)}" + (f" ({name})" if name else "")
                for name, group in self.groups.items()
            ]
            several = len(parts) > 3
            done, total = (sum(getattr(group, key) for group in self.groups.values()) for key in ("done", "total"))
            text = f"{done} of {total} {self.unit}s" if several else "; ".join(parts)
            return (f"{self.title}: " if self.title else "") + f"{text}, {self._time()}"

    def picture(self) -> list[str]:
        """The board as lines."""
        with self._lock:
            share = self._share()
            filled = round(BAR * share)
            lines = [self.title] if self.title else []
            lines.append(f"[{'#' * filled}{'-' * (BAR - filled)}] {100 * share:3.0f} %  {self._time()}")
            order = sorted(self.groups, key=lambda name: self.groups[name].done >= self.groups[name].total)
            names = [name for name in self.groups if name in order[:MOST_GROUPS]]
            titles = {name: name or f"{self.unit}s" for name in names}
            width = min(40, max((len(title) for title in titles.values()), default=0))
            counts = {name: f"{self.groups[name].done} of {self.groups[name].total}" for name in names}
            right = max(map(len, counts.values()), default=0)
            for name in names:
                line = f"  {titles[name][:width]:{width}}  {counts[name]:>{right}}   {self.groups[name].note}"
                lines.append(line.rstrip())
            if len(order) > len(names):
                lines.append(f"  and {len(order) - len(names)} more")
            return lines

    def _units(self, group: Group) -> str:
        return f"{self.unit}{'s' if group.total != 1 else ''}"

    def _share(self) -> float:
        """Of all that these boards in a row have to do."""
        total = sum(group.total for group in self.groups.values())
        mine = sum(group.share for group in self.groups.values()) / total if total else 1.0
        number, count = self.place
        return (number - 1 + mine) / count

    def _time(self) -> str:
        """Time since the start, and from the first finished unit on the time that is left."""
        passed = time.monotonic() - self._start
        gained, left = self._share() - self._before, 1.0 - self._share()
        known = gained > 0.0 and (self._finished or self.watch is not None) and left > 0.0
        return span(passed) + (f", about {span((passed - self._head) * left / gained)} left" if known else "")

    def _tick(self) -> None:
        if self.watch is not None:
            found = self.watch()
            with self._lock:
                for name, part in found.items():
                    group = self.groups[name]
                    group.partial = part.done
                    group.note = part.note or group.note
        self._draw()

    def _draw(self) -> None:
        with self._lock:
            if self._screen is not None:
                self._screen.draw(self.picture())


def span(seconds: float) -> str:
    """`42 s`, `1 min 30 s`, `2 h 5 min`."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
