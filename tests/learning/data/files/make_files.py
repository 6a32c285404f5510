"""Write the sample files of the user's own data beside this script: three classes whose features tell them apart."""

from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
NAMES = ("low", "middle", "high")


def main() -> None:
    """Write mine.npz, mine.csv and pictures/."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(3), 10)
    x = np.round(2.0 * y[:, None] + rng.normal(0.0, 0.3, (30, 4)), 3)
    np.savez(HERE / "mine.npz", x_train=x[::2], y_train=y[::2], x_test=x[1::2], y_test=y[1::2])
    lines = ["a,b,c,d,class", *(",".join([*map(str, row), NAMES[label]]) for row, label in zip(x, y, strict=True))]
    (HERE / "mine.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for label in (0, 1):
        for number in range(3):
            path = HERE / "pictures" / NAMES[label] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((120 * label + rng.integers(0, 60, (4, 5))).astype(np.uint8)).save(path)


if __name__ == "__main__":
    main()
