"""What can be wrong with a measurement file: an error that ends the work, or a count in the report.

Never drops a value in silence.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from analog_sim.config import Location, UserError


class MeasurementError(UserError):
    """A measurement that cannot be used: file, line, column, what was found and what is allowed, in one line."""


def shown(path: Path) -> str:
    """Path as the user is used to see it: relative to the current folder when below it."""
    return Location.of_file(path).source


def failure(path: Path, message: str, *, line: int | None = None, column: str | None = None) -> MeasurementError:
    """Make an error `file:line: column 'x': message`."""
    where = shown(path) + (f":{line}" if line is not None else "")
    return MeasurementError(
        ": ".join(part for part in (where, f"column '{column}'" if column else "", message) if part)
    )


@dataclass
class Oddity:
    """One kind of handled irregularity of one file: how often, and where it was first seen."""

    what: str
    count: int
    line: int | None
    column: str | None
    example: str


@dataclass
class ReadLog:
    """Everything the readers handled instead of refusing: rows read per file, irregularities counted per file and kind.

    Attributes:
        rows: per file. oddities: per file and kind. notes: sentences. life: told how far a long reading has come.
    """

    rows: dict[Path, int] = field(default_factory=dict)
    oddities: dict[tuple[Path, str], Oddity] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    life: Callable[[str], None] = lambda text: None

    def add_rows(self, path: Path, count: int) -> None:
        """Count rows that reached the table."""
        self.rows[path] = self.rows.get(path, 0) + count

    def count(
        self,
        path: Path,
        what: str,
        *,
        times: int = 1,
        line: int | None = None,
        column: str | None = None,
        got: str = "",
    ) -> None:
        """Count an irregularity; only its first place is kept."""
        if times <= 0:
            return
        key = (path, what)
        if key in self.oddities:
            self.oddities[key].count += times
        else:
            self.oddities[key] = Oddity(what, times, line, column, got)

    def note(self, text: str) -> None:
        """Remember a sentence for the report, once."""
        if text not in self.notes:
            self.notes.append(text)

    def total(self, what: str) -> int:
        """How often `what` was counted over all files."""
        return sum(oddity.count for (_, name), oddity in self.oddities.items() if name == what)

    def lines(self) -> Iterable[str]:
        """Yield one sentence per file and kind."""
        for (path, _), oddity in self.oddities.items():
            where = shown(path) + (f":{oddity.line}" if oddity.line is not None else "")
            column = f", column '{oddity.column}'" if oddity.column else ""
            example = f", e.g. {oddity.example!r}" if oddity.example else ""
            yield f"{where}{column}: {oddity.count} x {oddity.what}{example}"
        yield from self.notes
