"""What was measured, as files of a lab with the YAML for `scripts/fit_device.py`, which fits and proves at leisure. It never fits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

Arrays = Mapping[str, npt.NDArray[Any]]

MOST_PAIRS = 40_000
"""Targets and results that the programming error is fitted to; more say nothing new."""
OWN_END = 0.03
"""Share of the window by which a target must lie within a cell's own ends: beyond them it is cut, which is no error of writing."""


def write_lab_files(folder: Path, name: str, ends: Arrays, ramps: Arrays | None, rest: Arrays) -> None:
    """Write CSV files and `fit.yaml` into a folder. name: of the card that a fit makes."""
    folder.mkdir(parents=True, exist_ok=True)
    readers: list[dict[str, Any]] = []

    def csv(role: str, header: str, columns: list[npt.NDArray[Any]], formats: str) -> None:
        path = folder / f"{role}.csv"
        np.savetxt(path, np.column_stack(columns), fmt=formats.split(), delimiter=",", header=header, comments="")
        named = {name: ({"name": name, "unit": "S"} if name in ("g", "target") else name) for name in header.split(",")}
        if "t" in named:
            named["t"] = {"name": "t", "unit": "s"}
        readers.append({"kind": "csv", "path": path.name, "role": role, "columns": named, "negative": "keep"})

    if ramps is not None:
        direction = np.where(ramps["n"] > 0, np.where(ramps["up"], 1, -1), 0)
        order = np.lexsort((np.arange(len(direction)), ramps["cell"]))
        columns = [ramps["cell"], ramps["sequence"], ramps["n"], direction, ramps["g"]]
        csv("pulses", "cell,sequence,n_pulses,direction,g", [c[order] for c in columns], "%d %d %d %d %.7g")
    target, written = programming_pairs(ends, rest)
    if len(target):
        csv("programming", "target,g", [target, written], "%.7g %.7g")
    if "aged" in rest:
        t, healthy = rest["t"], followed(ends, rest)
        cell = np.repeat(np.flatnonzero(healthy), len(t))
        aged, targets = rest["aged"][:, healthy], rest["aged_target"][healthy]
        columns = [cell, np.tile(t, healthy.sum()), aged.T.ravel(), np.repeat(targets, len(t))]
        csv("retention", "cell,t,g,target", columns, "%d %.6g %.7g %.7g")
    path = folder / "noise.csv"
    np.savetxt(path, rest["noise"], fmt="%.7g", delimiter=",")
    rate = float(rest["noise_rate"][0])
    noise = {"kind": "noise_series", "path": path.name, "sample_rate": rate, "value": "conductance", "unit": "S"}
    readers.append({**noise, "negative": "keep"})
    whole = {"schema": "measurements/1", "name": name, "measurements": readers}
    (folder / "fit.yaml").write_text(yaml.safe_dump(whole, sort_keys=False), encoding="utf-8")


def programming_pairs(ends: Arrays, rest: Arrays) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Targets and what was read, of cells that answer and can reach their target."""
    targets, results = [np.empty(0)], [np.empty(0)]
    for name in rest:
        write, _, tail = name.partition("/")
        k, _, what = tail.partition("/")
        if what != "target":
            continue
        low, high = ends[f"{k}/low"], ends[f"{k}/high"]
        margin = OWN_END * float(np.median(high - low))
        target = rest[name]
        inside = np.isnan(ends[f"{k}/stuck"]) & (target > low + margin) & (target < high - margin)
        targets.append(target[inside])
        results.append(rest[f"{write}/{k}/written"][inside])
    target, result = np.concatenate(targets), np.concatenate(results)
    step = max(1, -(-len(target) // MOST_PAIRS))
    return target[::step], result[::step]


def followed(ends: Arrays, rest: Arrays) -> npt.NDArray[np.bool_]:
    """Which of the followed cells answer and could reach their target."""
    k, rows = (int(n) for n in rest["aged_place"])
    low, high = (ends[f"{k}/{end}"][:, :rows] for end in ("low", "high"))
    target = rest["aged_target"].reshape(low.shape)
    inside = np.isnan(ends[f"{k}/stuck"][:, :rows]) & (target > low) & (target < high)
    return inside.reshape(-1)
