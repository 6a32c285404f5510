"""The wheel, installed in an environment of its own that borrows the dependencies of this one: no network, no repository, no pip."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def installed_wheel(folder: Path) -> Path:
    """Build the wheel, install it below `folder`, and return the command `analog-hil` of that environment."""
    build = "import sys; from hatchling.build import build_wheel; build_wheel(sys.argv[1])"
    made = subprocess.run(
        [sys.executable, "-c", build, str(folder)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    [wheel] = folder.glob("*.whl")
    environment = folder / "environment"
    venv.create(environment, symlinks=True)
    [site] = environment.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    # A path in a .pth file brings the packages there, and not their .pth files: the editable installation of this clone stays out.
    (site / "borrowed.pth").write_text("\n".join(path for path in sys.path if path.endswith("-packages")) + "\n")
    entries = ConfigParser()
    entries.read(next(site.glob("*.dist-info")) / "entry_points.txt")
    module, _, function = entries["console_scripts"]["analog-hil"].partition(":")
    command = environment / "bin" / "analog-hil"
    python = environment / "bin" / "python"
    command.write_text(f"#!{python}\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n")
    command.chmod(0o755)
    return command


def in_empty_folder(command: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of an environment where nothing of the clone can be found."""
    folder.mkdir(exist_ok=True)
    env = {
        key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV", "NUMBA_CACHE_DIR")
    }
    return subprocess.run([str(command), *arguments], cwd=folder, env=env, capture_output=True, text=True, check=False)
