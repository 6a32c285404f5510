"""What README and docs tell a reader to run does run, and what they link to exists."""

from __future__ import annotations

import contextlib
import importlib
import io
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from learning.experiments.commands.completion import SCHEMAS, examples_for
from learning.experiments.commands.dispatch import COMMANDS, dispatch

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))
COMMAND = re.compile(r'python scripts/\w+\.py[^`"\n#|]*')
NAMED = re.compile(r"(?:`|^[#> ]*)(analog-hil [a-z][^`\n#|]*)", re.MULTILINE)
"""A call of the installed command: in backticks, or a line of a block or of a comment."""
SCRIPTS = {
    "estimate_accuracy": "estimate",
    "fit_device": "fit",
    "check_config": "check",
    "serve_chip": "serve",
}
"""Script -> command, where they are not of one name."""
DRY = {"estimate", "train", "sweep"}
"""Commands that can check everything without running it."""


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
    """(where, command line) of every call of a script or of `analog-hil`, in blocks, running text and comments of the examples."""
    found: dict[str, str] = {}
    for page in [*PAGES, *CONFIGS]:
        text = page.read_text(encoding="utf-8")
        text = FENCE.sub(lambda block: "" if "import " in block[2] else block[2], text).replace("\\\n", "")
        called = [match[1] for match in NAMED.finditer(text) if match[1].split()[1] in COMMANDS or match[0][0] == "`"]
        for command in (*COMMAND.findall(text), *called):
            found.setdefault(command.strip(), relative(page))
    each = {part: page for command, page in found.items() for part in command.split(" && ")}
    return [(page, command) for command, page in each.items() if "{" not in command.partition("--set")[0]]


def parts(command: str) -> tuple[str, list[str]]:
    """Name of the command of `analog-hil`, and its arguments, of either form; a tool of the repository alone has no name."""
    words = shlex.split(command)
    if words[0] == "python":
        name = Path(words[1]).stem
        assert (ROOT / words[1]).is_file(), words[1]
        return SCRIPTS.get(name, name if name in COMMANDS else ""), words[2:]
    return words[1], words[2:]


@cache
def help_of(command: str) -> str:
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        importlib.import_module(f"learning.experiments.commands.{command}").main(["--help"])
    return text.getvalue()


@pytest.mark.parametrize(("where", "code"), [pytest.param(*example, id=example[0]) for example in examples("python")])
def test_python_examples_run(where: str, code: str, tmp_path: Path) -> None:
    file = tmp_path / "example.py"
    file.write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(file)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{where}:\n{done.stderr}"


@pytest.mark.parametrize(("where", "command"), [pytest.param(*c, id=c[1][:60]) for c in commands()])
def test_commands_exist_with_their_options_and_files(where: str, command: str) -> None:
    name, arguments = parts(command)
    if name in ("--help", "--version", ""):
        return
    known = help_of(name) if name in COMMANDS else ""
    assert known, f"{where}: analog-hil has no command {name}"
    for place, argument in enumerate(arguments):
        if argument.startswith("--"):
            assert re.search(rf"{re.escape(argument.partition('=')[0])}\b", known), f"{where}: {name} has no {argument}"
        elif argument.startswith(("configs/", "docs/")):
            assert (ROOT / argument.partition(":")[0]).is_file(), f"{where}: {argument} does not exist"
        elif place == 0 and name in (*SCHEMAS, "check") and re.fullmatch(r"[a-z][\w/]*", argument):
            assert argument in examples_for(name), f"{where}: there is no example {argument} for {name}"
        elif place == 0 and name == "characterise" and re.fullmatch(r"[a-z]\w*", argument):
            assert (ROOT / "devices" / "cards" / f"{argument}.yaml").is_file(), f"{where}: there is no card {argument}"


@pytest.mark.parametrize(
    "command",
    [
        command
        for _, command in commands()
        if parts(command)[0] in DRY
        and re.match(r"(configs/)?digits_", (parts(command)[1] or [""])[0])
        and not re.search(r"my_|[=:]runs/|scpi://|--dry-run", command)
    ],
)
def test_estimates_and_trainings_would_start(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the embedded digits, whose data every machine has; not what starts from the run of an earlier command."""
    name, arguments = parts(command)
    found = [str(ROOT / a) if a.startswith(("configs/", "docs/")) else a for a in arguments]
    monkeypatch.chdir(tmp_path)
    status = dispatch([name, *found, "--dry-run"])
    assert status == 0, capsys.readouterr().err
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
