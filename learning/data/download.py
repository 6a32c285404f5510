"""Fetch a public file whose SHA-256 is known. It never keeps a file that does not match, nor one that was cut short."""

from __future__ import annotations

import hashlib
import os
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from analog_sim.config import UserError

TIMEOUT_S = 30.0
CHUNK = 1 << 20


@dataclass(frozen=True)
class Original:
    """One published file: the addresses that serve it, its SHA-256, and its size in bytes (no more is read)."""

    urls: tuple[str, ...]
    sha256: str
    size: int


def fetch(original: Original, what: str, otherwise: str) -> bytes:
    """Return the content of a published file, from the first of its addresses that serves the right bytes.

    Args:
        original: addresses, size and checksum. what: name of the data for the message.
        otherwise: what the user can do instead, for the message.

    Raises:
        UserError: no address served the file with the right checksum.
    """
    failures = []
    for url in original.urls:
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
                content: bytes = answer.read(original.size + 1)
        except (OSError, urllib.error.URLError, ValueError) as error:
            failures.append(f"{url}: {error}")
            continue
        got = hashlib.sha256(content).hexdigest()
        if got == original.sha256:
            return content
        failures.append(f"{url}: sha256 is {got[:12]}..., expected {original.sha256[:12]}...")
    raise UserError(f"{what}: could not be downloaded ({'; '.join(failures)}); {otherwise}")


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that readers and other writers only ever see all of it. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
