"""The documentation site: what it is generated from, that a browser reads it from a folder, and the command that opens it."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from learning.experiments.commands import docs
from learning.experiments.commands.check import MODELS

ROOT = Path(__file__).resolve().parents[1]
BUILT = ROOT / "build" / "site" / "index.html"


@pytest.fixture(scope="module")
def reference() -> dict[str, str]:
    """Pages of the key reference."""
    sys.path.insert(0, str(ROOT / "scripts" / "docs_site"))
    try:
        import api  # noqa: F401  (found there by the tests below)
        import keys
    finally:
        sys.path.pop(0)
    found: dict[str, str] = keys.pages()
    return found


def rows(page: str) -> list[list[str]]:
    """Cells of every key on a page."""
    lines = [line for line in page.splitlines() if line.startswith("| `") and line.count(" | ") == 5]
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]


def test_every_kind_of_file_has_a_page_of_keys(reference: dict[str, str]) -> None:
    import keys

    assert set(keys.FILES) == set(MODELS)
    found = [row for page in reference.values() for row in rows(page)]
    assert len(found) > 400
    assert all(all((name, meaning, default, example, allowed)) for name, meaning, _, default, example, allowed in found)


def test_a_key_is_shown_with_unit_default_example_and_what_is_allowed(reference: dict[str, str]) -> None:
    [g_max] = [row for row in rows(reference["card.md"]) if row[0] == "`g_max`"][:1]
    assert g_max[2] == "conductance, uS"
    assert g_max[3] == "*required*"
    assert re.fullmatch(r"`g_max: [\d.]+ uS`", g_max[4])
    [bits] = [row for row in rows("\n".join(reference.values())) if row[0] == "`bits`"][:1]
    assert "`null`" in bits[5]
    [epochs] = [row for row in rows(reference["train.md"]) if row[0] == "`epochs`"]
    assert epochs[3] == "`1.0`"


def test_links_within_the_reference_lead_somewhere(reference: dict[str, str]) -> None:
    anchors = {name: set(re.findall(r"\{ #([\w-]+) \}", text)) for name, text in reference.items()}
    for name, text in reference.items():
        for page, anchor in re.findall(r"\]\(([\w/]*\.md)?#?([\w-]*)\)", text):
            assert (page or name) in reference, f"{name}: {page}"
            assert not anchor or anchor in anchors[page or name], f"{name}: {page}#{anchor}"


def test_every_name_of_the_door_is_on_its_page(reference: dict[str, str]) -> None:
    import api

    import analog_hil

    page = api.page()
    for name in getattr(analog_hil, "__all__", ()):
        assert f"\n## `ah.{name}`\n" in page
    lines = api.entry("ah.docs", docs.main)
    assert lines[0] == "## `ah.docs`"
    assert "ah.docs(arguments" in lines[3]
    assert "exit status" in lines[6]


def test_the_command_says_where_the_pages_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from analog_sim.config import UserError

    page = tmp_path / "index.html"
    monkeypatch.setattr(docs, "PACKED", page)
    monkeypatch.setattr(docs, "BUILT", tmp_path / "none.html")
    with pytest.raises(UserError, match="no built pages"):
        docs.main(["--path"])
    page.write_text("<h1>x</h1>", encoding="utf-8")
    assert docs.main(["--path"]) == 0
    assert capsys.readouterr().out == f"{page}\n"


def test_the_build_says_what_is_missing(tmp_path: Path) -> None:
    program = "import sys, runpy; sys.modules['mkdocs'] = None; sys.argv = ['build_docs.py', '--out', sys.argv[1]]; "
    program += f"runpy.run_path({str(ROOT / 'scripts' / 'build_docs.py')!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False)
    if done.returncode == 2:
        assert "missing; python -m pip install" in done.stderr
    else:
        assert find_spec("mkdocs") is not None


@pytest.mark.skipif(not BUILT.is_file(), reason="needs the built site: python scripts/build_docs.py")
def test_the_search_works_from_a_folder(tmp_path: Path) -> None:
    """The built page, opened as a file with a question: the answers are there, without a server and a network."""
    from browser_helpers import browser

    done = subprocess.run(
        [
            browser(),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--virtual-time-budget=15000",
            "--dump-dom",
            f"{BUILT.as_uri()}?q=relaxation",
        ],
        capture_output=True,
        text=True,
        timeout=400,
        check=True,
    )
    assert "md-search-result__item" in done.stdout
    assert "http://" not in "".join(re.findall(r'<(?:script|link)[^>]*(?:src|href)="([^"]*)"', done.stdout))


@pytest.mark.skipif(not BUILT.is_file(), reason="needs the built site: python scripts/build_docs.py")
def test_the_wheel_opens_the_documentation_that_it_brings(tmp_path: Path) -> None:
    from wheel_helpers import in_empty_folder, installed_wheel

    done = in_empty_folder(installed_wheel(tmp_path), tmp_path / "empty", "docs", "--path")
    assert done.returncode == 0, done.stderr
    page = Path(done.stdout.strip())
    assert page.is_relative_to(tmp_path / "environment")
    assert "Start in five minutes" in page.read_text(encoding="utf-8")
    assert (page.parent / "notebooks" / "1_first_result.html").is_file()
