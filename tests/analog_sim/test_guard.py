"""A user's folder called `devices` or `learning` must be named in the error, not fail somewhere inside ours."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import analog_sim
from analog_sim import check_shadowing
from analog_sim._guard import ShadowedPackageError

ROOT = Path(analog_sim.__file__).resolve().parent.parent


def test_our_own_packages_pass():
    check_shadowing()
    check_shadowing("devices")


@pytest.mark.parametrize("kind", ["package", "namespace", "module"])
@pytest.mark.parametrize("name", ["devices", "learning"])
def test_a_shadowing_folder_is_named(tmp_path, name, kind):
    if kind == "module":
        culprit = tmp_path / f"{name}.py"
        culprit.write_text("x = 1\n")
    else:
        culprit = tmp_path / name
        culprit.mkdir()
        if kind == "package":
            (culprit / "__init__.py").write_text("x = 1\n")
    # The user's folder comes first on the path, as that of a script does. Without __init__.py it does not shadow ours.
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    code = f"import analog_sim; analog_sim.check_shadowing({name!r})"
    result = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, env=env, check=False)
    if kind == "namespace":
        assert result.returncode == 0, result.stderr
    else:
        assert f"ShadowedPackageError: package '{name}' of analog-hil is shadowed by {culprit}" in result.stderr


def test_learning_notices_shadowed_devices(tmp_path):
    (tmp_path / "devices").mkdir()
    (tmp_path / "devices" / "__init__.py").write_text("")
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    result = subprocess.run(
        [sys.executable, "-P", "-c", "import learning"], capture_output=True, text=True, env=env, check=False
    )
    assert f"'devices' of analog-hil is shadowed by {tmp_path / 'devices' / '__init__.py'}" in result.stderr


def test_an_absent_package_is_called_absent():
    with pytest.raises(ShadowedPackageError, match="'no_such_package' is not installed"):
        check_shadowing("no_such_package")
