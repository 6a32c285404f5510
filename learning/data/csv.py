"""The user's own table: `dataset: {csv: data.csv, label: class}`; one sample a line, numbers in every column but the label's."""

import csv
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from analog_sim.config import DataFile, UserError
from analog_sim.config.errors import did_you_mean
from learning.data.dataset import Dataset
from learning.data.own import Array, OwnData, file_stamp


class Csv(OwnData):
    """A CSV file with a line of names.

    Attributes:
        csv: its path. label: column of the class, a text or a whole number. columns: of the features, in this order; null for all
            others. delimiter: between columns. test: a second such file with the test part; null to hold one out.
    """

    config_kind_key: ClassVar[str] = "csv"

    kind: Literal["csv"] = "csv"
    csv: DataFile
    label: str
    columns: tuple[str, ...] | None = None
    delimiter: Literal[",", ";", "\t", "|"] = ","
    test: DataFile | None = None

    def read(self, root: Path | None = None) -> Dataset:
        """All samples. Raises UserError."""
        names, x, y = self._table(self.csv, self.columns)
        test = None
        if self.test is not None:
            _, x_test, y_test = self._table(self.test, names)
            test = (x_test, y_test)
        return self.made(self.csv.name, str(self.csv), (x, y), test)

    def stamp(self) -> tuple[int, ...]:
        """Of the files."""
        return file_stamp(self.csv, self.test)

    def _table(self, path: Path, wanted: tuple[str, ...] | None) -> tuple[tuple[str, ...], Array, Array]:
        """Names of the features, features (N, features), labels (N,)."""
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                lines = [
                    (number, row) for number, row in enumerate(csv.reader(file, delimiter=self.delimiter), 1) if row
                ]
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise UserError(f"{path}: cannot be read as CSV ({error})") from error
        if len(lines) < 2:
            raise UserError(f"{path}: needs a line of names and at least one sample (got {len(lines)} lines)")
        header = [name.strip() for name in lines[0][1]]
        if twice := sorted({name for name in header if header.count(name) > 1}):
            raise UserError(f"{path}: two columns of the same name: {', '.join(twice)}")
        features = wanted if wanted is not None else tuple(name for name in header if name != self.label)
        for key in (self.label, *features):
            if key not in header:
                raise UserError(
                    f"{path}: no column '{key}'{did_you_mean(key, header) or ';'} allowed: {', '.join(header)}"
                )
        if not features or self.label in features:
            raise UserError(
                f"{path}: the columns of the features must be others than the label '{self.label}', at least one"
            )
        places = [header.index(name) for name in features]
        label = header.index(self.label)
        x = np.empty((len(lines) - 1, len(features)))
        y: list[str] = []
        for sample, (line, row) in enumerate(lines[1:]):
            if len(row) != len(header):
                raise UserError(f"{path}, line {line}: has {len(row)} columns, the line of names {len(header)}")
            for k, place in enumerate(places):
                x[sample, k] = _number(path, line, header[place], row[place])
            if not row[label].strip():
                raise UserError(f"{path}, line {line}: column '{self.label}' is empty")
            y.append(row[label].strip())
        return features, x, _labels(y)


def _number(path: Path, line: int, column: str, text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = float("nan")
    if not np.isfinite(found):
        raise UserError(f"{path}, line {line}: column '{column}' must be a finite number (got {text.strip()!r})")
    return found


def _labels(texts: list[str]) -> Array:
    """Whole numbers where all are, so that 10 comes after 9."""
    if all(text.isascii() and text.isdecimal() and len(text) < 10 for text in texts):
        return np.array([int(text) for text in texts], np.int64)
    return np.array(texts)
