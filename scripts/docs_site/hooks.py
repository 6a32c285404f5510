"""Hooks of the documentation site (mkdocs.yml): generated pages, links out of docs/, equations as MathML. Needs the extra `docs`."""

from __future__ import annotations

import html
import posixpath
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)")
PAGES = {"README.md": "index.md", "CHANGELOG.md": "changelog.md"}
"""File beside docs/ -> the page that stands for it."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is generated: key reference, gallery, notebooks, changes."""
    sys.path.insert(0, str(Path(__file__).parent))
    import api
    import gallery
    import keys
    import notebooks

    for name, text in keys.pages().items():
        level = InclusionLevel.INCLUDED if f"reference/{name}" in str(config.nav) else InclusionLevel.NOT_IN_NAV
        files.append(File.generated(config, f"reference/{name}", content=text, inclusion=level))
    with tempfile.TemporaryDirectory() as folder:
        text, figures = gallery.gallery(Path(folder))
    files.append(File.generated(config, "gallery/index.md", content=text))
    for name, svg in figures.items():
        files.append(File.generated(config, f"gallery/{name}", content=svg))
    for name, text, pictures in notebooks.pages():
        files.append(File.generated(config, f"notebooks/{name}", content=text))
        for picture, content in pictures.items():
            files.append(File.generated(config, f"notebooks/{picture}", content=content))
    files.append(File.generated(config, "api.md", content=api.page()))
    files.append(File.generated(config, "changelog.md", content=(ROOT / "CHANGELOG.md").read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links to files outside docs/ into the pages that stand for them, or into names of files of the source."""
    folder = posixpath.dirname(page.file.src_uri)
    outside = page.file.src_uri == "changelog.md"

    def turned(found: re.Match[str]) -> str:
        text, (target, hash_, anchor) = found[1], found[2].partition("#")
        if not target or "://" in target:
            return found[0]
        place = posixpath.normpath(posixpath.join("." if outside else posixpath.join("docs", folder), target))
        if place in PAGES:
            return f"[{text}]({posixpath.relpath(PAGES[place], folder or '.')}{hash_}{anchor})"
        if place.endswith(".ipynb") and not page.file.src_uri.startswith("notebooks/"):
            place = place.removesuffix(".ipynb") + ".md"
        if place.startswith("docs/") and files.get_file_from_path(place.removeprefix("docs/")) is not None:
            return f"[{text}]({posixpath.relpath(place.removeprefix('docs/'), folder or '.')}{hash_}{anchor})"
        if (ROOT / place).exists() and not place.startswith("docs/"):
            return text if text.startswith("`") else f"{text} (`{place}`)"
        return found[0]  # mkdocs says what is wrong with it

    fences = re.split(r"(^```.*?^```)", markdown, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if part.startswith("```") else LINK.sub(turned, part) for part in fences)


SHIM = "https://unpkg.com/iframe-worker/shim"
EQUATION = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Equations as MathML: browsers draw it without a script and without a network."""
    from latex2mathml.converter import convert

    def drawn(found: re.Match[str]) -> str:
        return str(convert(html.unescape(found[2]).strip(), display="block" if found[1] == "div" else "inline"))

    return EQUATION.sub(drawn, content)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """A page loads nothing from elsewhere; the search's helper for pages in a folder is our own. Raises ValueError when one would load."""
    output = output.replace(
        SHIM, posixpath.relpath("assets/iframe_worker.js", posixpath.dirname(page.file.dest_uri) or ".")
    )
    loads = re.findall(r'<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)="(https?://[^"]+)"', output)
    loads = [
        address
        for address in loads
        if "canonical" not in output[max(0, output.index(address) - 60) : output.index(address)]
    ]
    if loads:
        raise ValueError(f"{page.file.src_uri}: loads {loads[0]}")
    return output


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Show the version of the program."""
    from importlib.metadata import version

    extra: dict[str, Any] = config.extra
    extra["version_text"] = version("analog-hil")
    config.copyright = f"analog-hil {extra['version_text']}, Apache-2.0"
    return config
