"""One self-contained HTML page of sections, tables and figures, with the figures and tables as files beside it.

It never knows what the figures show. Everything a page needs is inside it: it opens without a network.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from learning.common.versions import version_of
from learning.experiments.report.head import PageHead, linked
from learning.experiments.report.hover import mark, series_of
from learning.experiments.report.notes import warnings_and_facts
from learning.experiments.report.style import inline_png, inline_svg, save_png, save_svg, smallest_text
from learning.experiments.report.tables import Table
from learning.experiments.report.wording import readable
from learning.experiments.runs.files import write_text, writing
from learning.experiments.runs.run_folder import RunDirectory

TEMPLATES = Path(__file__).with_name("templates")
REBUILT = ("estimate", "training", "sweep")
"""Kinds of runs whose page `analog-hil report` writes again."""
SMALLEST = 9.0
"""Pixels: no text of a figure is shown smaller; a narrow screen scrolls within the figure instead."""


@dataclass(frozen=True)
class Plot:
    """A figure on a page.

    Attributes:
        name: of its files. figure: what is drawn. caption: what to see; also the text for those who cannot.
        raster: dense points or images, embedded as PNG.
    """

    name: str
    figure: Figure
    caption: str
    raster: bool = False


@dataclass(frozen=True)
class Section:
    """Part of a page.

    Attributes:
        title: heading. texts: paragraphs. tables: (name of its file, table). plots: figures. links: (text, relative address).
    """

    title: str
    texts: tuple[str, ...] = ()
    tables: tuple[tuple[str, Table], ...] = ()
    plots: tuple[Plot, ...] = ()
    links: tuple[tuple[str, str], ...] = ()

    @property
    def anchor(self) -> str:
        """Fragment to link to."""
        return "".join(c if c.isalnum() else "-" for c in self.title.lower()).strip("-")


@dataclass(frozen=True)
class Fact:
    """A main result: `value` in large type over a `label`."""

    value: str
    label: str


@dataclass(frozen=True)
class _Embedded:
    markup: Markup
    caption: str
    file: str
    raster: bool
    width: int
    least: int
    series: Markup


@dataclass(frozen=True)
class _Shown:
    title: str
    anchor: str
    texts: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    tables: list[Table] = field(default_factory=list)
    figures: list[_Embedded] = field(default_factory=list)


def write_page(
    run: RunDirectory,
    title: str,
    sections: Sequence[Section],
    *,
    head: PageHead | None = None,
    headline: Sequence[Fact] = (),
    notes: Sequence[str] = (),
) -> Path:
    """Write report.html, figures/*.png, *.svg and tables/*.csv into the run's folder; return the page's path.

    Args:
        run: its configuration and environment are shown too. title: heading. sections: in order.
        head: what stands above all: conclusion, subject, verdicts. headline: the main results.
        notes: sentences on the run: warnings go to the top, facts to a section of their own.
    """
    tables = run.path / "tables"
    with writing(tables):
        tables.mkdir(exist_ok=True)
    shown = []
    for section in sections:
        part = _Shown(section.title, section.anchor, section.texts, section.links)
        for name, table in section.tables:
            with writing(tables):
                table.write_csv(tables / f"{name}.csv")
            part.tables.append(table.filled)
        for plot in section.plots:
            with writing(run.figures):
                part.figures.append(_embed(plot, run.figures))
        shown.append(part)
    environment = Environment(  # every text of the page goes through `readable`
        finalize=lambda value: readable(value) if type(value) is str else value,
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    head = head or PageHead()
    warnings, facts = warnings_and_facts(notes)
    html = environment.get_template("report.html.j2").render(
        title=title,
        subtitle=_subtitle(run),
        version=version_of("analog-hil"),
        css=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),
        script=Markup((TEMPLATES / "report.js").read_text(encoding="utf-8")),
        head=head,
        headline=headline,
        warnings=warnings,
        facts=facts,
        cite=_cite(run, version_of("analog-hil")),
        sources=[linked(f"{name}: {reference}") for name, reference in (head.cards or {}).items() if reference],
        sections=shown,
        configuration=run.config_text,
        environment=_environment_rows(run),
        folder=run.path,
        again=run.kind in REBUILT,
    )
    path = run.path / "report.html"
    write_text(path, html)
    return path


def _embed(plot: Plot, folder: Path) -> _Embedded:
    """Write a figure's files and make the element that shows it."""
    png, svg = folder / f"{plot.name}.png", folder / f"{plot.name}.svg"
    ids = mark(plot.figure)
    save_png(plot.figure, png)
    plot.figure.set_layout_engine("none")  # laid out once; what follows keeps the places
    if plot.raster:
        markup, file = inline_png(png, plot.caption), png
    else:
        save_svg(plot.figure, svg)
        markup, file = inline_svg(svg, plot.caption), svg
    width = round(96 * float(plot.figure.get_size_inches()[0]))
    least = math.ceil(width * min(1.0, SMALLEST / smallest_text(plot.figure)))
    series = series_of(plot.figure, ids)
    for one in series:
        one["ids"] = [] if plot.raster else [f"{svg.stem}-{gid}" for gid in one["ids"]]
    data = json.dumps(series, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return _Embedded(Markup(markup), plot.caption, f"figures/{file.name}", plot.raster, width, least, Markup(data))


def _subtitle(run: RunDirectory) -> str:
    environment = run.environment
    return f"Started {environment.started.replace('T', ' ').replace('+00:00', ' UTC')}, seed {environment.seed}"


def _cite(run: RunDirectory, version: str) -> str:
    """How to cite the program and this run."""
    code = f", commit {run.environment.git[:12]}" if run.environment.git else ""
    day, seed = run.environment.started[:10], run.environment.seed
    return f"analog-hil, version {version}{code} (Apache-2.0, see CITATION.cff), run of {day}, seed {seed}."


def _environment_rows(run: RunDirectory) -> list[tuple[str, str]]:
    environment = run.environment
    versions = ", ".join(f"{name} {version}" for name, version in environment.versions.items())
    rows = [
        ("command", command_text(environment.command)),
        ("started", environment.started),
        ("seed", str(environment.seed)),
        ("code", environment.git or "not from a git clone"),
        ("Python", environment.python),
        ("packages", versions),
        ("system", environment.platform),
        ("processor", f"{environment.processor}, {environment.cores} cores"),
        ("threads", "default" if environment.threads is None else str(environment.threads)),
    ]
    restarts = len(environment.previous_starts)
    return [*rows, ("resumed", f"{restarts} times")] if restarts else rows


def command_text(command: Sequence[str]) -> str:
    """A recorded command line, ready for a shell; the program's name and that of its command are one word of the record."""
    program, *arguments = command or [""]
    return f"{program if program.startswith('analog-hil ') else shlex.quote(program)} {shlex.join(arguments)}".strip()
