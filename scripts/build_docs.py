"""Build the documentation site into build/site, warnings as errors: python scripts/build_docs.py [--out DIR]. Needs the extra `docs`."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ("mkdocs", "material", "latex2mathml")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", metavar="DIR", type=Path, default=ROOT / "build" / "site")
    options = parser.parse_args(arguments)
    missing = [tool for tool in TOOLS if find_spec(tool) is None]
    if missing:
        print(
            f"build_docs: {', '.join(missing)} missing; python -m pip install -c constraints.txt -e '.[docs]'",
            file=sys.stderr,
        )
        return 2
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--quiet",
        "--clean",
        "--site-dir",
        str(options.out.resolve()),
    ]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, check=False)
    if done.returncode == 0:
        print(f"documentation: {options.out / 'index.html'}")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
