"""What is told of a fit after it has ended, from the files in its run folder. It never fits or draws."""

from __future__ import annotations

from typing import Literal

from learning.experiments.runs.files import JsonRecord, checked_record
from learning.experiments.runs.run_folder import RunDirectory


class FitSummary(JsonRecord):
    """What is told of a fit later: the card's file, the verdict of each quantity, a sentence of each, the worst first."""

    kind: Literal["fit"]
    card: str
    verdicts: dict[str, str]
    sentences: list[str]

    @classmethod
    def load(cls, run: RunDirectory) -> FitSummary | None:
        """The summary of a fit's folder, None where there is none. Raises UserError when it is damaged."""
        found = run.load_json("summary")
        remedy = "delete it: the report says the same"
        return None if found is None else checked_record(run.path / "summary.json", found, cls, remedy)
