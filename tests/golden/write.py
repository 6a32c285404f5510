"""Make the tables of golden/ again: `python tests/golden/write.py [NAME ...]`. Commit what changes, with the reason beside it.

`--weights` trains the digital network of `digits_pcm` again first; with it every figure of the estimate changes.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from golden.cases import CASES, CONFIGS, FITS, TABLES, WEIGHTS, text


def freeze_weights() -> None:
    """Train the network as `digits_pcm` does and keep its weights in half precision."""
    from learning.experiments.estimation.load import load_estimate
    from learning.experiments.estimation.prepared import check, prepare_estimate

    experiment, _ = load_estimate(CONFIGS / "digits_pcm.yaml")
    weights = prepare_estimate(experiment, check(experiment), print).weights
    names = ("1.weight", "1.bias", "3.weight", "3.bias")
    arrays = dict(zip(names, weights.values(), strict=True))
    np.savez_compressed(WEIGHTS, **{name: array.astype(np.float16) for name, array in arrays.items()})  # type: ignore[arg-type]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="tables to write; all without")
    parser.add_argument("--weights", action="store_true", help="train the digital network again")
    parser.add_argument("--out", type=Path, default=TABLES, help="folder of the tables")
    asked = parser.parse_args()
    if asked.weights:
        freeze_weights()
    cases = CASES | (FITS if os.environ.get("ANALOG_SIM_DATA") else {})
    if unknown := [name for name in asked.names if name not in cases]:
        parser.error(f"no such table: {', '.join(unknown)}; fits need ANALOG_SIM_DATA")
    asked.out.mkdir(parents=True, exist_ok=True)
    for name in asked.names or cases:
        (asked.out / f"{name}.txt").write_text(text(cases[name]()), encoding="utf-8")
        print(name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
