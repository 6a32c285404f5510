"""What README and docs tell a reader to run does run, and what they link to exists."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r'python scripts/\w+\.py[^`"\n#|]*')
DRY = {"estimate_accuracy.py", "train.py", "sweep.py"}
"""Scripts that can check everything without running it."""


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def examples(language: str) -> list[tuple[str, str]]:
    """(where, code) of all fenced blocks in a language."""
    found = []
    for page in PAGES:
        blocks = [code for name, code in FENCE.findall(page.read_text(encoding="utf-8")) if name == language]
        found += [(f"{relative(page)}#{number}", code) for number, code in enumerate(blocks)]
    return found


def commands() -> list[tuple[str, str]]:
    """(where, command line) of every call of one of our scripts, in blocks and in running text but not in Python code."""
    found: dict[str, str] = {}
    for page in PAGES:
        text = FENCE.sub(lambda block: "" if "import " in block[2] else block[0], page.read_text(encoding="utf-8"))
        for match in COMMAND.finditer(text):
            found.setdefault(match[0].strip(), relative(page))
    return [(page, command) for command, page in found.items()]


@cache
def help_of(script: str) -> str:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / script), "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("where", "code"), [pytest.param(*example, id=example[0]) for example in examples("python")])
def test_python_examples_run(where: str, code: str, tmp_path: Path) -> None:
    file = tmp_path / "example.py"
    file.write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(file)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{where}:\n{done.stderr}"


@pytest.mark.parametrize(("where", "command"), [pytest.param(*c, id=c[1][:60]) for c in commands()])
def test_commands_exist_with_their_options(where: str, command: str) -> None:
    _, script, *arguments = shlex.split(command)
    name = Path(script).name
    assert (ROOT / script).is_file(), f"{where}: {script}"
    known = help_of(name)
    for argument in arguments:
        if argument.startswith("--"):
            assert re.search(rf"{re.escape(argument.partition('=')[0])}\b", known), f"{where}: {name} has no {argument}"
        elif argument.startswith(("configs/", "docs/")):
            assert (ROOT / argument.partition(":")[0]).is_file(), f"{where}: {argument} does not exist"


@pytest.mark.parametrize(
    "command",
    [
        command
        for _, command in commands()
        if Path(command.split()[1]).name in DRY
        and "configs/digits" in command
        and "my_cell" not in command
        and "=runs/" not in command
    ],
)
def test_estimates_and_trainings_would_start(command: str, tmp_path: Path) -> None:
    """On the embedded digits, whose data every machine has; not what starts from the run of an earlier command."""
    _, script, *arguments = shlex.split(command)
    found = [str(ROOT / a) if a.startswith(("configs/", "docs/")) else a for a in arguments]
    done = subprocess.run(
        [sys.executable, str(ROOT / script), *found, "--dry-run"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == [], "a dry run writes nothing"


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)]
    missing = [t for t in targets if t and "://" not in t and not (page.parent / t).exists()]
    assert missing == []


def test_every_image_is_shown() -> None:
    shown = {
        (page.parent / target).resolve()
        for page in PAGES
        for target in re.findall(r"!\[[^\]]*\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    }
    assert sorted(set((ROOT / "docs" / "images").iterdir()) - shown) == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or not page.is_file() or page.suffix != ".md":
            continue
        reached.add(page)
        for target in re.findall(r"\]\(([^)\s#]+)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                waiting.append((page.parent / target).resolve())
    assert [relative(page) for page in PAGES if page not in reached] == []
