"""The user's own table: `dataset: {csv: data.csv, label: class}`, or `target: price` for a number to be predicted; one sample a line."""

import csv
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from analog_sim.config import DataFile, UserError, at_key
from analog_sim.config.errors import did_you_mean
from learning.data.dataset import Dataset
from learning.data.own import Array, OwnData, file_stamp

DELIMITERS = (",", ";", "\t", "|")


class Csv(OwnData):
    """A CSV file with a line of names.

    Attributes:
        csv: its path. label: column of the class, a text or a whole number; or
        target: column of the number to be predicted (regression), or several of them. columns: of the features, in this order; null for
            all others. delimiter: between columns. test: a second such file with the test part; null to hold one out.
    """

    config_kind_key: ClassVar[str] = "csv"

    kind: Literal["csv"] = "csv"
    csv: DataFile
    label: str | None = None
    target: str | Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    columns: tuple[str, ...] | None = None
    delimiter: Literal[",", ";", "\t", "|"] = ","
    test: DataFile | None = None

    @model_validator(mode="after")
    def _classes_or_numbers(self) -> Self:
        if (self.label is None) == (self.target is None):
            raise at_key("label", "give exactly one of label (a class) and target (a number to be predicted)")
        return self

    @property
    def numeric(self) -> bool:
        """Whether there is a target."""
        return self.target is not None

    @property
    def _answers(self) -> tuple[str, ...]:
        """Columns of the label or of the targets."""
        if self.label is not None:
            return (self.label,)
        assert self.target is not None, "one of the two is given"
        return (self.target,) if isinstance(self.target, str) else self.target

    def read(self, root: Path | None = None) -> Dataset:
        """All samples. Raises UserError."""
        names, x, y = self._table(self.csv, self.columns)
        test = None
        if self.test is not None:
            _, x_test, y_test = self._table(self.test, names)
            test = (x_test, y_test)
        return self.made(self.csv.name, str(self.csv), (x, y), test, None if self.target is None else self._answers)

    def stamp(self) -> tuple[int, ...]:
        """Of the files."""
        return file_stamp(self.csv, self.test)

    def _other_delimiter(self, header: list[str]) -> str:
        """A hint where the line of names is one text with another delimiter in it."""
        found = [mark for mark in DELIMITERS if len(header) == 1 and mark != self.delimiter and mark in header[0]]
        return f" (one column: dataset.delimiter: {found[0]!r}?)" if found else ""

    def _table(self, path: Path, wanted: tuple[str, ...] | None) -> tuple[tuple[str, ...], Array, Array]:
        """Names of the features, features (N, features), labels (N,) or targets (N, n)."""
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
        answers = self._answers
        features = wanted if wanted is not None else tuple(name for name in header if name not in answers)
        for key in (*answers, *features):
            if key not in header:
                raise UserError(
                    f"{path}: no column '{key}'{did_you_mean(key, header) or ';'} allowed: {', '.join(header)}"
                    + self._other_delimiter(header)
                )
        if not features or set(answers) & set(features):
            what = "label" if self.label is not None else "target"
            raise UserError(
                f"{path}: the columns of the features must be others than the {what} '{', '.join(answers)}', at least one"
            )
        places = [header.index(name) for name in features]
        asked = [header.index(name) for name in answers]
        x = np.empty((len(lines) - 1, len(features)))
        targets = np.empty((len(lines) - 1, len(answers)))
        labels: list[str] = []
        for sample, (line, row) in enumerate(lines[1:]):
            if len(row) != len(header):
                raise UserError(f"{path}, line {line}: has {len(row)} columns, the line of names {len(header)}")
            for k, place in enumerate(places):
                x[sample, k] = _number(path, line, header[place], row[place])
            if self.label is None:
                for k, place in enumerate(asked):
                    targets[sample, k] = _number(path, line, header[place], row[place])
                continue
            if not row[asked[0]].strip():
                raise UserError(f"{path}, line {line}: column '{self.label}' is empty")
            labels.append(row[asked[0]].strip())
        return features, x, targets if self.label is None else _labels(labels)


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
