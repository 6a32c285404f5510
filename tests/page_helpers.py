"""What every report page must be: whole, self-contained, accessible."""

from html.parser import HTMLParser
from pathlib import Path

VOID = {"meta", "img", "br", "hr", "input", "link"}


class _Page(HTMLParser):
    """Collects what the checks need."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.sources: list[str] = []
        self.unlabelled: list[str] = []
        self.tags: list[str] = []
        self.scripts: list[str] = []
        self.text: list[str] = []

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note(tag, dict(attrs))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note(tag, dict(attrs))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> is not what is open"

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.text.append(data)

    def _note(self, tag: str, attributes: dict[str, str | None]) -> None:
        self.tags.append(tag)
        if attributes.get("id"):
            self.ids.append(str(attributes["id"]))
        for name in ("href", "xlink:href"):
            if attributes.get(name):
                self.links.append(str(attributes[name]))
        if tag == "script":
            self.scripts.append(attributes.get("type") or "text/javascript")
        if attributes.get("src"):
            self.sources.append(str(attributes["src"]))
        if (tag == "img" and not attributes.get("alt")) or (tag == "svg" and not attributes.get("aria-label")):
            self.unlabelled.append(tag)


def _parse(path: Path) -> _Page:
    page = _Page()
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    assert page.open == [], f"never closed: {page.open}"
    return page


def page_text(path: Path) -> str:
    """What a reader sees, without the drawings' shapes."""
    return " ".join("".join(_parse(path).text).split())


def check_page(path: Path) -> None:
    """Assert that a page is well formed, loads nothing, links only to itself and to files beside it, and labels its figures."""
    page = _parse(path)
    assert len(set(page.ids)) == len(page.ids), "an id occurs twice"
    for link in page.links:
        if link.startswith("https://doi.org/10."):
            continue  # a source to cite; nothing is loaded from it
        if link.startswith("#"):
            assert link[1:] in page.ids, f"{link} leads nowhere"
        else:
            assert (path.parent / link).is_file(), f"{link} does not exist"
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert not {"link", "iframe", "object"} & set(page.tags)
    assert page.scripts.count("text/javascript") == 1, "one small script, and data for it"
    assert set(page.scripts) <= {"text/javascript", "application/json"}
    assert page.unlabelled == []
    assert page.tags.count("h1") == 1
    text = path.read_text(encoding="utf-8")
    assert '<html lang="en">' in text
    assert "@import" not in text
    assert not {"nan", "NaN", "None", "inf"} & set(page_text(path).split()), "a number is missing"
