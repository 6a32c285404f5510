"""What a format finds before the data of a file of columns. Never the data."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class Layout:
    """What a format finds before its data.

    Attributes:
        header: names of the columns, None when the file has none; header_line: its line number.
        si: whether the format is known to be in SI where a header states no unit.
        delimiter: between fields. comment: lines that start with it are not data.
        constants: SI values the preamble holds for quantities without a column.
    """

    header: list[str] | None
    header_line: int | None
    delimiter: str
    comment: str | None = None
    constants: Mapping[str, float] = field(default_factory=dict)
    si: bool = False
