"""Open the documentation that is packed with the program, or the one built in a clone. It never builds and never uses the network."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from learning.experiments.commands._cli import HelpText

PACKED = Path(__file__).resolve().parents[1] / "site" / "index.html"
BUILT = Path(__file__).resolve().parents[3] / "build" / "site" / "index.html"


def main(arguments: Sequence[str] | None = None) -> int:
    """Open the pages in a browser, or print where they are; return the exit status."""
    parser = argparse.ArgumentParser(
        description="Open the documentation in a browser: pages that came with the program, no network needed.",
        epilog="example:\n  analog-hil docs --path",
        formatter_class=HelpText,
        allow_abbrev=False,
    )
    parser.add_argument("--path", action="store_true", help="print where the pages are instead of opening them")
    options = parser.parse_args(arguments)
    page = find_pages()
    if page is None:
        from analog_sim.config import UserError

        raise UserError(
            "documentation: this installation has no built pages; in a clone: python -m pip install -e '.[docs]', then "
            "python scripts/build_docs.py; or read the Markdown in docs/"
        )
    print(page)
    if not options.path:
        import webbrowser

        webbrowser.open(page.as_uri())
    return 0


def find_pages() -> Path | None:
    """The first page, of a clone's build before what was packed; None without any."""
    return next((page for page in (BUILT, PACKED) if page.is_file()), None)
