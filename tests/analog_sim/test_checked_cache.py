"""Numba's disk cache under damage: every file is intact or dropped, and a kernel gives the same numbers as before."""

import os
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from analog_sim._checked_cache import checked, intact, sealed

ROOT = Path(__file__).parents[2]


def cache_in(folder: Path):
    from numba.core import caching

    plain = caching.IndexDataCacheFile.__mro__[1]  # Numba's own
    return checked(plain)(str(folder), "kernel", ("stamp", 1)), plain(str(folder), "kernel", ("stamp", 1))


def test_every_cache_of_this_process_is_checked() -> None:
    from numba.core import caching

    import analog_sim.pulses.kernels.bits
    import learning.losses.kernels

    assert caching.IndexDataCacheFile._analog_hil
    kernels = [
        value
        for module in (analog_sim.pulses.kernels.bits, learning.losses.kernels)
        for value in vars(module).values()
        if hasattr(getattr(value, "_cache", None), "_cache_file")
    ]
    assert kernels or os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")
    assert all(type(kernel._cache._cache_file).__name__ == "CheckedCacheFile" for kernel in kernels)


def test_a_sealed_file_is_one_that_numba_reads(tmp_path: Path) -> None:
    ours, plain = cache_in(tmp_path)
    ours.save("sig", {"code": b"\x90" * 50})
    assert ours.load("sig") == plain.load("sig") == {"code": b"\x90" * 50}
    plain.save("other", {"code": b"\x91"})  # and what Numba alone wrote is taken as it is
    assert ours.load("other") == {"code": b"\x91"}
    assert ours.load("absent") is None


@pytest.mark.parametrize("kind", ["nbi", "nbc"])
def test_damage_anywhere_costs_a_compilation_and_nothing_else(tmp_path: Path, kind: str) -> None:
    ours, _ = cache_in(tmp_path)
    ours.save("sig", {"code": bytes(range(60))})
    (path,) = tmp_path.glob(f"*.{kind}")
    content = path.read_bytes()
    for place in range(len(content)):
        for damaged in (content[:place], content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :]):
            path.write_bytes(damaged)
            found = ours.load("sig")
            assert found in (None, {"code": bytes(range(60))}), place
            if found is None:
                ours.save("sig", {"code": bytes(range(60))})
                assert ours.load("sig") == {"code": bytes(range(60))}, "and it is healed"
            path.write_bytes(content)


def test_what_is_no_file_is_compiled_around(tmp_path: Path) -> None:
    ours, _ = cache_in(tmp_path)
    ours.save("sig", 1)
    (path,) = tmp_path.glob("*.nbc")
    path.unlink()
    path.mkdir()
    assert ours.load("sig") is None
    with pytest.warns(UserWarning, match=r"compiled kernels cannot be kept \(Is a directory\)"):
        ours.save("sig", 1)


def test_the_seal() -> None:
    content = pickle.dumps([1, 2])
    assert pickle.loads(sealed(content)) == [1, 2]
    assert intact(sealed(content))
    assert intact(content)
    assert not intact(sealed(content)[1:])


@pytest.mark.jit
def test_a_run_on_a_damaged_cache_gives_the_same_numbers_and_heals_it(tmp_path: Path) -> None:
    (tmp_path / "kernel.py").write_text("from numba import njit\n@njit(cache=True)\ndef f(x):\n    return x * 3 + 1\n")
    code = """
        import analog_sim, sys
        sys.path.insert(0, sys.argv[1])
        from kernel import f
        print(f(4), f(0.5), f.stats.cache_hits[f.signatures[0]])
    """

    def run() -> str:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", textwrap.dedent(code), str(tmp_path)],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)},
            check=True,
        )
        return done.stdout.strip()

    assert run() == "13 2.5 0"
    for number, path in enumerate(sorted((tmp_path / "cache").rglob("*.nb?"))):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0xFF  # in the middle of machine code: nothing but the digest shows it
        path.write_bytes(content if number % 2 else content[: len(content) // 2])
    assert run() == "13 2.5 0", "compiled again"
    assert run() == "13 2.5 1", "and kept"
