"""Every kind of report, laid out by a browser: no column lost, no sideways scroll, no text too small to read; what its script does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from browser_helpers import WIDTHS, browser, dom, laid_out
from page_helpers import check_page, page_text
from report_helpers import estimate, new_run, training

from devices.card import load_card
from devices.measurements.configuration.measurement_config import MeasurementConfig
from devices.measurements.pipeline.composition import CardFiles
from devices.measurements.pipeline.fit_result import FitResult
from devices.measurements.proof.proof import Bin, Curve, Proof
from learning.experiments.report.device.page import write_device_report
from learning.experiments.report.device.results import measure
from learning.experiments.report.estimate.comparison import Comparison, EstimatePoint, write_comparison_report
from learning.experiments.report.estimate.page import write_estimate_report
from learning.experiments.report.measurement.page import write_fit_report
from learning.experiments.report.tables import Table
from learning.experiments.report.training.page import write_training_report
from learning.experiments.report.training.search_page import write_search_report

STUDIES = {"without": {"drift": 0.004, "read_noise": 0.001}, "adc_bits": {"4": -0.1, "8": 0.0, "none": 0.003}}
ARMS = ("ideal digital twin", *(f"iterative_node_perturbation + natural, reram_soft_bounds_{k}" for k in range(7)))


def fit_report(folder: Path) -> Path:
    """A page of a fit with long tables, from made-up proofs on a packaged card."""
    bins = tuple(
        Bin(
            label=f"change after 1.02e+05 s of cells at {k}.625 to {k + 1}.38 uS",
            direction=1,
            low=0.0,
            high=1.0,
            measured=4003,
            emulated=4003,
            mean=(1e-6, 1.1e-6),
            std=(2e-6, 2.1e-6),
            wasserstein=1e-7,
            ks=0.1,
            band=2e-7,
            ks_band=0.12,
            scale=1e-6,
        )
        for k in range(12)
    )
    x = np.array([1.0, 60.0, 3600.0])
    rows = np.array([[1e-6, 2e-6, 3e-6], [1.1e-6, 2e-6, 2.8e-6]])
    curve = Curve("seconds", "0.625 to 9.38 uS", x, rows, rows, np.array([9, 9, 9]))
    proofs = (
        Proof("ageing", "3 folds, each held out in turn", bins, (curve,)),
        Proof("programming", "nothing is held out", ()),
    )
    card = load_card("reram_wan2022")
    result = FitResult(
        config=MeasurementConfig.model_construct(name="a_lab_with_a_long_name"),
        files=CardFiles(Path("reram_wan2022"), None),
        window=card.window,
        fitted={},
        proven={proof.key: proof for proof in proofs},
        whole=None,
        notes=("A fact.",),
        counted=(),
        rows=(("/a/long/path/of/a/file/in/a/laboratory/with_relaxation_data.tsv.gz", 89115),),
    )
    return write_fit_report(new_run(folder), result)


def sweep_report(folder: Path) -> Path:
    run = new_run(folder)
    points = []
    for k, (bits, device) in enumerate((b, d) for d in ("pcm", "reram_wan2022") for b in ("4", "8")):
        point = new_run(folder / f"{k}")
        results = estimate(point)
        write_estimate_report(point, results)
        points.append(EstimatePoint({"tile.adc.bits": bits, "device": device}, f"{k}", results))
    comparison = Comparison("demo: sweep", tuple(points))
    comparison.save(run)
    return write_comparison_report(run, comparison)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One page of every kind, with long names and many arms."""
    root = tmp_path_factory.mktemp("reports")
    run = new_run(root / "estimate")
    found = {"estimate": write_estimate_report(run, estimate(run, studies=STUDIES))}
    run = new_run(root / "train")
    found["train"] = write_training_report(run, training(run, arms=ARMS))
    found["sweep"] = sweep_report(root / "sweep")
    card = load_card("ecram")
    run = new_run(root / "card")
    found["characterise"] = write_device_report(run, card, measure(card, cells=10), load_card("reram_wan2022"))
    found["fit"] = fit_report(root / "fit")
    run = new_run(root / "search")
    setting = {"learning_rate": 0.1, "decorrelation.method.rate": 0.001}
    text = ", ".join(f"{key}={value}" for key, value in setting.items())
    table = Table(
        ("arm", "setting", "accuracy", "best"), ((ARMS[1], text, "91.20", "best"), (ARMS[2], text, "diverged", ""))
    )
    found["search"] = write_search_report(run, table, {ARMS[1]: setting}, list(setting))
    return found


def test_every_kind_of_page_is_whole(pages: dict[str, Path]) -> None:
    for path in pages.values():
        check_page(path)
        text = page_text(path)
        assert "How to cite" in text
        assert "uS" not in text, path
        assert not re.search(r"\de\+\d", text), f"{path}: a count or time in powers of ten"


def test_pages_fit_a_desk_a_phone_and_paper(pages: dict[str, Path], tmp_path: Path) -> None:
    wrong = laid_out(pages, tmp_path)
    assert len(wrong) == len(pages) * len(WIDTHS)
    assert {where: faults for where, faults in wrong.items() if faults} == {}


def test_a_page_that_is_too_wide_is_found(tmp_path: Path) -> None:
    """The measuring itself: a wide cell, a small text, a drawing scaled down."""
    page = tmp_path / "bad.html"
    page.write_text(
        "<style>@media print { p { color: black } }</style><h1>x</h1><table><tr><td><div style='width:2000px'>wide</div></td></tr></table>"
        "<p style='font-size:8px'>small</p><svg viewBox='0 0 1000 10' width='300'><text style='font-size:20px'>drawn</text></svg>",
        encoding="utf-8",
    )
    for faults in laid_out({"bad": page}, tmp_path).values():
        said = " ".join(faults)
        assert "scrolls sideways" in said
        assert "text of 8.0 px" in said
        assert "text of 6.0 px: drawn" in said


def test_the_script_adds_switches_sorting_and_values(pages: dict[str, Path], tmp_path: Path) -> None:
    """Clicks and a pointer, given by a script of the test; the page's own script answers."""
    browser()
    probe = """
<script>
addEventListener("load", () => {
  const said = {};
  const figure = [...document.querySelectorAll("figure")].find((one) => one.querySelector(".switches"));
  const button = figure.querySelector(".switches button:last-child");
  button.click();
  const one = JSON.parse(figure.querySelector("script.series").textContent).find((each) => each.name === button.textContent);
  said.hidden = one.ids.map((id) => document.getElementById(id).style.display);
  button.click();
  said.shown = one.ids.map((id) => document.getElementById(id).style.display);
  const svg = figure.querySelector("svg"), box = svg.getBoundingClientRect(), point = one.points[0];
  svg.dispatchEvent(new PointerEvent("pointermove", {clientX: box.left + point[0] * box.width, clientY: box.top + point[1] * box.height}));
  said.tip = document.querySelector(".tip").textContent;
  const table = document.querySelector("table.data"), column = 2;
  const cells = () => [...table.tBodies[0].rows].map((row) => row.cells[column].textContent);
  said.given = cells();
  const sort = table.tHead.rows[0].cells[column].querySelector("button");
  sort.click();
  said.down = cells();
  sort.click();
  said.up = cells();
  said.copies = document.querySelectorAll(".copy").length === document.querySelectorAll("table.data").length;
  document.title = "SAID" + JSON.stringify(said);
});
</script></body>"""
    page = tmp_path / "train.html"
    page.write_text(pages["train"].read_text(encoding="utf-8").replace("</body>", probe), encoding="utf-8")
    found = re.search(r"<title>SAID(.*?)</title>", dom(page), re.DOTALL)
    assert found is not None
    said = SimpleNamespace(**json.loads(found[1].replace("&gt;", ">").replace("&amp;", "&")))
    assert said.hidden
    assert set(said.hidden) == {"none"}
    assert set(said.shown) == {""}
    assert "test accuracy: " in said.tip
    assert "training samples: 0" in said.tip
    down, up = ([float(text.split()[0]) for text in cells if text] for cells in (said.down, said.up))
    assert down == sorted(down, reverse=True)
    assert up == sorted(down) != down
    assert sorted(said.given) == sorted(said.up)
    assert said.copies
