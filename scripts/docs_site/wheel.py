"""Build hook of the wheel (pyproject.toml): packs the built documentation when it is there. It never builds it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class WheelDocs(BuildHookInterface):  # type: ignore[type-arg]
    """Adds build/site as learning/experiments/site, where `analog-hil docs` looks."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before the wheel is made; an editable install reads the clone's own build."""
        site = Path(self.root) / "build" / "site"
        if version == "editable":
            return
        if (site / "index.html").is_file():
            build_data["force_include"][str(site)] = "learning/experiments/site"
        else:
            self.app.display_warning("no documentation packed: run python scripts/build_docs.py first")
