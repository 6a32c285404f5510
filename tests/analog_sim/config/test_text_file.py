"""What is no plain UTF-8 file of moderate size is refused in one line, before any of it is used."""

import os
from pathlib import Path

import pytest

from analog_sim.config import ConfigError, StrictModel, load_config
from analog_sim.config.text_file import LARGEST


class One(StrictModel):
    a: str = ""


def refusal(path: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path, One)
    assert len(caught.value.problems) == 1
    return str(caught.value)


@pytest.fixture(autouse=True)
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_devices_pipes_and_endless_files() -> None:
    os.mkfifo("pipe")
    with Path("large").open("wb") as file:
        file.truncate(LARGEST + 1)
    assert refusal("/dev/zero") == "/dev/zero: is a device, not a YAML file"
    assert refusal("pipe") == "pipe: is a pipe, not a YAML file"
    assert refusal("large") == "large: is too large for a configuration (more than 16 MiB)"


def test_a_base_that_is_none_is_told_where_it_is_named() -> None:
    Path("a.yaml").write_text("a: x\nbase: /dev/zero\n")
    assert refusal("a.yaml") == "a.yaml:2: /dev/zero: is a device, not a YAML file"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (
            "a: 1\nb: é\n".encode("latin-1"),
            "f:2: is not UTF-8 text (byte 0xe9, number 4 of the line); save it as UTF-8",
        ),
        ("a: x\n".encode("utf-16"), "f:1: is UTF-16 text; save it as UTF-8"),
        ("a: x\n".encode("utf-32"), "f:1: is UTF-32 text; save it as UTF-8"),
    ],
)
def test_other_encodings(data: bytes, told: str) -> None:
    Path("f").write_bytes(data)
    assert refusal("f") == told


def test_byte_order_mark_and_windows_lines() -> None:
    Path("f").write_bytes(b"\xef\xbb\xbfa: x\r\n")
    assert load_config("f", One).a == "x"
