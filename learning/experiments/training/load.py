"""A training file with all its arms checked, every mistake with the line where it is written. It never runs anything."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from analog_sim.config import Location, Problem, Source, expand_sweep, load_with_source
from learning.experiments.configs.train import TrainExperiment, arms_of, with_sweep


def load_training(path: Path, overrides: Sequence[str] = ()) -> tuple[TrainExperiment, Source]:
    """The experiment of a file, a `sweep` multiplied with its arms, and where everything was written.

    Args:
        path: YAML file. overrides: `key=value`, put on top of it.

    Raises:
        ConfigError: every mistake of the file, of its arms, of its hardware and of its sweep. UserError: points that are the same.
    """
    plain, source = load_with_source(path, TrainExperiment, overrides=overrides)
    arms_of(plain, _Places(plain, source, []))  # what the arms have wrong is told once, not at every point of a sweep
    points = [point.label for point in expand_sweep(path, overrides=overrides)]
    experiment = with_sweep(plain, points)
    if experiment is not plain:
        arms_of(experiment, _Places(plain, source, points))
    return experiment, source


class _Places:
    """Where the arms of an experiment set a key: at the point of the sweep, else in the arm, else in its hardware.

    Arms come in the order of `arms_of`: for every hardware, every point, every arm of the file.

    Args:
        plain: without its sweep. source: of the file. points: of the sweep, swept keys with their values; none without.
    """

    def __init__(self, plain: TrainExperiment, source: Source, points: Sequence[dict[str, object]]) -> None:
        self._plain, self._source, self._points = plain, source, points

    def __call__(self, number: int, key: str, message: str) -> Problem:
        """The problem of the arm `number` of all, at a dotted key of its experiment."""
        arms = max(1, len(self._plain.arms))
        hardware, rest = divmod(number, arms * max(1, len(self._points)))
        point, arm = divmod(rest, arms)
        for name in self._points[point] if self._points else ():
            if _below(key, name):
                return Problem(self._at("sweep", name), f"sweep.{name}{key[len(name) :]}", message)
        # Longest first, because of two keys that an arm sets the longer one comes nearer.
        for section, position in (("arms", arm), ("hardware", hardware)):
            for name in sorted(self._set(section, position), key=len, reverse=True):
                if _below(key, name):
                    inside = key[len(name) + 1 :].split(".") if key != name else ()
                    at = self._at(section, position, "set", name, *inside)
                    return Problem(at, f"{self._title(section, position)}.{key}", message)
        section, position = ("arms", arm) if self._plain.arms else ("hardware", hardware)
        return Problem(self._at(section, position, "name"), f"{self._title(section, position)}.{key}", message)

    def _set(self, section: str, position: int) -> list[str]:
        listed = self._plain.arms if section == "arms" else self._plain.hardware
        return list(listed[position].set) if position < len(listed) else []

    def _title(self, section: str, position: int) -> str:
        listed = self._plain.arms if section == "arms" else self._plain.hardware
        return f"{section}[{listed[position].name}]" if position < len(listed) else section

    def _at(self, *path: str | int) -> Location:
        return self._source.at(*path)


def _below(key: str, name: str) -> bool:
    return key == name or key.startswith(f"{name}.")
