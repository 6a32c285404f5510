"""Pages laid out by a real browser (headless Chromium) at several widths, and what is wrong with them."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WIDTHS = {"desk": 1280, "phone": 390, "A4": 688}
"""Pixels; A4 is 210 mm less two margins of 14 mm, laid out by the rules for print."""

MEASURE = """
const wrong = {};
for (const frame of document.querySelectorAll("iframe")) {
  const found = [], view = frame.contentWindow, page = view.document, root = page.documentElement;
  if (!page.querySelector("h1")) found.push("did not load");
  if (root.scrollWidth > root.clientWidth) found.push(`scrolls sideways: ${root.scrollWidth} of ${root.clientWidth} px`);
  for (const cell of page.querySelectorAll("td, th, dd, p, li, pre, figcaption, caption")) {
    const box = cell.getBoundingClientRect(), style = view.getComputedStyle(cell);
    if (!box.width || cell.closest("thead") && view.getComputedStyle(cell.closest("thead")).position === "absolute") continue;
    if (cell.scrollWidth > cell.clientWidth + 1 && style.display !== "inline" || box.right > root.clientWidth + 1)
      found.push(`clipped ${cell.tagName}: ${cell.textContent.trim().slice(0, 40)}`);
  }
  const walker = page.createTreeWalker(page.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const own = walker.currentNode.parentElement, text = walker.currentNode.textContent.trim();
    if (!text || !own.getClientRects().length || own.closest("script, style")) continue;
    let size = parseFloat(view.getComputedStyle(own).fontSize);
    const svg = own.closest("svg");
    if (svg) size *= svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
    if (size < 8.99) found.push(`text of ${size.toFixed(1)} px: ${text.slice(0, 40)}`);
  }
  for (const picture of page.querySelectorAll("figure.raster img")) {
    const least = parseFloat(picture.closest("figure").style.getPropertyValue("--least"));
    if (picture.getBoundingClientRect().width < least - 1) found.push(`picture narrower than ${least} px`);
  }
  const pre = page.querySelector("details pre");
  if (frame.title.endsWith("A4") && pre && !pre.getClientRects().length) found.push("the configuration is not printed");
  wrong[frame.title] = [...new Set(found)];
}
document.getElementById("found").textContent = JSON.stringify(wrong);
"""


def browser() -> str:
    """Path of Chromium; the test is skipped where there is none."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium (Debian: apt-get install chromium)")
    return CHROMIUM


def dom(page: Path | str, *, width: int = 1300, height: int = 4000) -> str:
    """The HTML of a page, a file or an address, after its scripts have run."""
    done = subprocess.run(
        [
            browser(),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--window-size={width},{height}",
            "--virtual-time-budget=8000",
            "--dump-dom",
            page if isinstance(page, str) else page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=400,
        check=True,
    )
    return done.stdout


def laid_out(pages: Mapping[str, Path], folder: Path, sizes: Collection[str] = tuple(WIDTHS)) -> dict[str, list[str]]:
    """What is wrong with pages at each width: `name at phone` -> faults. One start of the browser for all."""
    frames = []
    for name, path in pages.items():
        text = path.read_text(encoding="utf-8")
        for size in sizes:
            shown, width = text, WIDTHS[size]
            if size == "A4":
                assert "@media print {" in text
                shown = re.sub(r"@page \{[^}]*\}", "", text.replace("@media print {", "@media all {"))
                shown = shown.replace("@media screen", "@media (max-width: 0px)")
            frames.append(
                f'<iframe title="{name} at {size}" style="width:{width}px;height:3000px;border:0" srcdoc="{html.escape(shown)}"></iframe>'
            )
    wrapper = folder / "frames.html"
    script = f"<pre id=found></pre><script>addEventListener('load', () => {{ {MEASURE} }});</script>"
    wrapper.write_text(f"<!doctype html><body>{''.join(frames)}{script}</body>", encoding="utf-8")
    found = re.search(r'<pre id="found">(.*?)</pre>', dom(wrapper), re.DOTALL)
    assert found is not None, "the browser measured nothing"
    wrong: dict[str, list[str]] = json.loads(html.unescape(found[1]))
    return wrong
