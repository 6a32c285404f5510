"""Every method from I + programming error to a decorrelated output; the algebra it stands for; gains, probes, means, subsets, metrics."""

from typing import Any

import catalogue
import catalogue_helpers
import numpy as np
import numpy.typing as npt
import pytest

from analog_sim.config import ConfigError, UserError, discover, validate
from analog_sim.mapping.weight_mapping import MappingSpec
from analog_sim.random.streams import Streams
from analog_sim.tiles.digital import DigitalTile
from analog_sim.tiles.tile import Tile, TileSpec
from analog_sim.writing.proposal import Dense, OuterProduct, Proposal
from devices.card import load_card
from learning.common.memory import Memory
from learning.common.weight_tile import WeightTile
from learning.decorrelation.base import ClippedMatrixWarning, Matrix, Method, Passed
from learning.decorrelation.decorrelator import DecorrelationSpec, Decorrelator
from learning.decorrelation.metrics import correlation_loss
from learning.decorrelation.rows import random_signs

F32 = npt.NDArray[np.float32]
METHODS = catalogue_helpers.cases(catalogue.DECORRELATION)
WITH_MATRIX = [case for case in METHODS if case["kind"] != "centre"]
N = 6


def method(**case: Any) -> Method:
    return discover("learning.decorrelation", Method)[case["kind"]].model_validate(case)


def matrix_with(r: npt.NDArray[Any], gain: float = 1.0, *, bypass: bool = False) -> Matrix:
    tile = DigitalTile(r.shape)
    tile.program(r - np.eye(len(r)) if bypass else r)
    matrix = Matrix(tile, None, bypass=bypass)
    matrix.gain[:] = gain
    return matrix


def mixture(seed: int = 0) -> npt.NDArray[np.float64]:
    """Covariance with eigenvalues from 0.3 to 3."""
    rng = np.random.default_rng(seed)
    q = np.linalg.qr(rng.standard_normal((N, N)))[0]
    return (q * np.geomspace(0.3, 3.0, N)) @ q.T


def samples(n: int, seed: int = 1) -> F32:
    return np.random.default_rng(seed).multivariate_normal(np.zeros(N), mixture(), n).astype(np.float32)


def correlation(c: npt.NDArray[Any]) -> float:
    return float(1.0 - np.square(np.diag(c)).sum() / np.square(c).sum())


def noisy_identity(std: float = 0.3) -> npt.NDArray[np.float64]:
    return np.eye(N) + std * np.random.default_rng(8).standard_normal((N, N))


def memory() -> Memory:
    return Memory(Streams(0).stream("decorrelation", "test"))


@pytest.mark.parametrize("case", WITH_MATRIX, ids=catalogue_helpers.name)
def test_it_converges_from_identity_plus_noise(case: dict[str, Any]) -> None:
    """In expectation C becomes diagonal, or a multiple of the identity where the method whitens."""
    fields = dict(case)
    if "interval" not in fields:
        fields["rate"] = 0.02
    if fields["kind"] == "lateral":
        start = noisy_identity(0.1)  # not a gradient: only near the identity, see Lateral
    else:
        start = noisy_identity()
    rule, matrix, kept = method(**fields), matrix_with(start), memory()
    sigma = mixture()
    before = matrix.effective() @ sigma @ matrix.effective().T
    z = samples(400)
    z = z @ np.linalg.inv(np.linalg.cholesky(z.T @ z / len(z))).T.astype(np.float32)  # exactly white ...
    z = z @ np.linalg.cholesky(sigma).T.astype(np.float32)  # ... then exactly sigma
    for _ in range(2000 if "interval" not in fields else 20):
        rule.learn(matrix, matrix.forward(z), kept)
    after = matrix.effective() @ sigma @ matrix.effective().T
    # Probes leave their sampling noise in R: of the order of rate / probes, squared in this measure.
    allowed = 0.01 if fields.get("diagonal") == "probes" else 2e-3
    assert correlation(after) < allowed
    assert correlation(after) < correlation(before) / 10
    if rule.whitens:
        values = np.linalg.eigvalsh(after)
        assert values.std() / values.mean() < 0.15
    if fields["kind"] == "kappa":
        np.testing.assert_allclose(np.diag(after), 1.0, atol=0.1)
    elif fields["kind"] != "off_diagonal":
        # The scalar gain keeps the mean norm (of white outputs slightly other than the square root of the power).
        norms = [np.sqrt(np.square(v).sum(axis=1)).mean() for v in (z, matrix.forward(z).y)]
        assert norms[1] == pytest.approx(norms[0], rel=0.05)


@pytest.mark.parametrize(
    "case",
    [c for c in METHODS if c["kind"] in ("natural", "off_diagonal", "kappa", "lateral")],
    ids=catalogue_helpers.name,
)
def test_one_step_is_its_equation(case: dict[str, Any]) -> None:
    """The effective matrix diag(g) R after a step with a small rate, against the formula; the wrong side would be far off."""
    rate, gain = 1e-4, 1.4
    r = noisy_identity() / gain
    matrix = matrix_with(r, gain)
    z = samples(256)
    passed = matrix.forward(z)
    e = matrix.effective().astype(np.float64)
    c = passed.y.astype(np.float64).T @ passed.y / len(z)
    d = np.diag(np.diag(c))
    kappa = case.get("kappa", 0.5)
    gradient = {
        "natural": c @ e,
        "off_diagonal": (c - d) @ e,
        "kappa": (1 - kappa) * (c - d) @ e + kappa * (d - np.eye(N)) @ e,
        "lateral": c - d,
    }[case["kind"]]
    rule, kept = method(**{**case, "rate": rate}), memory()
    if case.get("diagonal") == "probes":  # in expectation: many repetitions from the same state
        steps = []
        for _ in range(400):
            fresh = matrix_with(r, gain)
            rule.learn(fresh, fresh.forward(z), kept)
            steps.append(fresh.effective().astype(np.float64) - e)
        step, tolerance = np.mean(steps, axis=0), 0.05
    else:
        rule.learn(matrix, passed, kept)
        after = matrix.effective().astype(np.float64)
        if case["kind"] in ("natural", "lateral"):
            after *= gain / matrix.gain[0]  # leave the norm-restoring gain out of the comparison
        step, tolerance = after - e, 5e-3
    expected = -rate * gradient
    assert np.linalg.norm(step - expected) < tolerance * np.linalg.norm(expected)
    if case["kind"] == "natural":
        wrong_side = -rate * e @ c
        assert np.linalg.norm(step - wrong_side) > 0.2 * np.linalg.norm(expected)


class Recorded(DigitalTile):
    """A tile that remembers what was done to it."""

    def __init__(self, shape: tuple[int, int]) -> None:
        super().__init__(shape)
        self.done: list[str] = []

    def forward(self, x: F32) -> F32:
        self.done.append("read")
        return super().forward(x)

    def backward(self, d: F32) -> F32:
        self.done.append("transposed read")
        return super().backward(d)

    def update(self, proposal: Proposal, rate: float) -> None:
        self.done.append("outer product" if isinstance(proposal, OuterProduct) else "dense")
        if isinstance(proposal, Dense):
            off = proposal.dw - np.diag(np.diag(proposal.dw))
            assert not off.any(), "a dense write beyond the diagonal"
        super().update(proposal, rate)

    def read_weights(self, *, exact: bool = False) -> F32:
        self.done.append("read weights")
        return super().read_weights(exact=exact)


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ({"kind": "natural"}, ["transposed read", "outer product"]),
        ({"kind": "off_diagonal"}, ["transposed read", "outer product"]),
        ({"kind": "kappa"}, ["transposed read", "outer product"]),
        ({"kind": "kappa", "kappa": 1.0}, []),
        ({"kind": "off_diagonal", "diagonal": "probes"}, ["transposed read", "outer product"]),
        ({"kind": "lateral"}, ["outer product", "dense"]),
    ],
)
def test_learning_on_chip_takes_no_more_than_stated(case: dict[str, Any], expected: list[str]) -> None:
    """One transposed read, one outer product; the matrix is never read back."""
    tile = Recorded((N, N))
    tile.program(np.eye(N, dtype=np.float32))
    matrix = Matrix(tile, None)
    passed = matrix.forward(samples(10))
    tile.done.clear()
    method(**case).learn(matrix, passed, memory())
    assert tile.done == expected


def test_the_wrong_side_does_not_converge_far_from_the_identity() -> None:
    """Why the side matters: R <- R - rate R C, from the same start, does not decorrelate."""
    sigma = mixture()
    left = right = np.eye(N) + 0.8 * np.random.default_rng(2).standard_normal((N, N))
    for _ in range(4000):
        left = left - 0.01 * (left @ sigma @ left.T) @ left
        right = right - 0.01 * right @ (right @ sigma @ right.T)
        left, right = (m * np.sqrt(np.trace(sigma) / np.trace(m @ sigma @ m.T)) for m in (left, right))
    assert correlation(left @ sigma @ left.T) < 1e-3
    assert not correlation(right @ sigma @ right.T) < 0.05


def test_the_diagonal_costs_a_gain_or_sampling_noise() -> None:
    """`gain` leaves R shrunk and the gains grown; `probes` leaves the gains at 1. Both end decorrelated."""
    z = samples(400)
    for diagonal in ("gain", "probes"):
        matrix, kept = matrix_with(np.eye(N)), memory()
        rule = method(kind="off_diagonal", rate=0.02, diagonal=diagonal)
        for _ in range(300):
            rule.learn(matrix, matrix.forward(z), kept)
        shrunk = np.linalg.norm(matrix.tile.read_weights()) / np.sqrt(N)
        if diagonal == "gain":
            assert matrix.gain.min() > 3.0
            assert shrunk < 0.3
        else:
            np.testing.assert_array_equal(matrix.gain, 1.0)
            assert shrunk > 0.5


def test_a_bypass_starts_with_empty_cells_and_a_finer_window() -> None:
    stored = validate({"method": "natural"}, DecorrelationSpec)
    bypass = validate({"method": "natural", "identity": "bypass"}, DecorrelationSpec)
    np.testing.assert_array_equal(stored.start(3) - bypass.start(3), np.eye(3))
    assert not bypass.start(3).any()
    assert (stored.window, bypass.window) == (1.25, 0.25)
    assert validate({"method": "natural", "full_scale": 0.7}, DecorrelationSpec).window == 0.7


def decorrelator(n: int = N, where: str = "digital", **fields: Any) -> Decorrelator:
    fields.setdefault("method", {"kind": "natural", "rate": 0.02})
    spec = validate({"where": where, **fields}, DecorrelationSpec)
    tile = DigitalTile((n, n))
    tile.program(np.eye(n, dtype=np.float32))
    return Decorrelator(spec, tile, Streams(0).stream("decorrelation", "test"), "linear1_R")


def test_the_running_mean_becomes_the_mean_and_is_subtracted() -> None:
    centre = np.linspace(-3, 3, N).astype(np.float32)
    it = decorrelator(mean_memory=0.9)
    for seed in range(200):
        it.learn(it.forward(samples(64, seed) + centre))
    # Standard error of the running mean: sqrt(variance / (64 * 20)) < 0.05 for variances up to 3.
    np.testing.assert_allclose(it.mean, centre, atol=0.3)
    z = it.forward(samples(64, 999) + centre).z
    np.testing.assert_allclose(z, samples(64, 999) + centre - it.mean, atol=1e-6)


def test_the_first_batches_count_equally() -> None:
    it = decorrelator(mean_memory=0.99)
    batches = [samples(8, seed) + 5 for seed in range(4)]
    for each in batches:
        it.learn(it.forward(each))
    np.testing.assert_allclose(it.mean, np.mean([b.mean(axis=0) for b in batches], axis=0), rtol=1e-5)


@pytest.mark.parametrize("where", ["chip", "digital"])
@pytest.mark.parametrize("identity", ["stored", "bypass"])
def test_centring_alone_is_decorrelation_at_a_rate_of_nothing_without_a_matrix(where: str, identity: str) -> None:
    """Same outputs, slopes and means as `natural` at rate 1e-12; no cell is made, wherever matrices would live."""

    def no_chip(name: str, weights: F32) -> WeightTile:
        raise AssertionError(f"{name}: a tile was made")

    method: dict[str, Any]
    made = []
    for method, place in (({"kind": "natural", "rate": 1e-12}, "digital"), ({"kind": "centre"}, where)):
        spec = validate({"method": method, "where": place, "identity": identity, "samples": 16}, DecorrelationSpec)
        tile = spec.make_tile("linear1_R", N, no_chip)
        made.append(Decorrelator(spec, tile, Streams(0).stream("decorrelation", "test"), "linear1_R"))
    natural, centre = made
    for seed in range(5):
        x = samples(64, seed) + np.linspace(-3, 3, N).astype(np.float32)
        for it in made:
            it.learn(it.forward(x))
    np.testing.assert_array_equal(natural.mean, centre.mean)
    np.testing.assert_allclose(centre.forward(x).y, natural.forward(x).y, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(centre.forward(x).y, x - centre.mean, rtol=1e-6)
    np.testing.assert_allclose(centre.backward(x), natural.backward(x), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(centre.matrix.effective(), np.eye(N))
    assert not centre.tile.on_chip
    with pytest.raises(ValueError, match="holds the identity"):
        centre.tile.program(np.zeros((N, N), np.float32))
    with pytest.raises(ValueError, match="holds the identity"):
        centre.tile.update(Dense(np.eye(N, dtype=np.float32)), 1.0)


def test_a_subset_and_an_interval_save_updates() -> None:
    spent = {}
    for name, fields in {"all": {}, "some": {"samples": 8}, "seldom": {"every": 5}}.items():
        it = decorrelator(**fields)
        tile = Recorded((N, N))
        tile.program(np.eye(N, dtype=np.float32))
        it.matrix.tile = tile
        rows = []
        for seed in range(1, 11):
            passed = it.forward(samples(64, seed))
            tile.done.clear()
            it.learn(passed)
            rows.append(tile.done.count("outer product"))
        spent[name] = sum(rows)
    assert spent == {"all": 9, "some": 9, "seldom": 2}  # the first batch only centres


RATED = [case for case in METHODS if "rate" in type(method(**case)).model_fields]


@pytest.mark.parametrize("case", RATED, ids=catalogue_helpers.name)
def test_the_schedule_scales_the_rate_of_every_method_that_has_one(case: dict[str, Any]) -> None:
    """Half way through a linear schedule a method takes the step that it takes at half the rate; at the end, none."""
    z = samples(64)
    made = []
    for rate, progress in ((0.02, 0.5), (0.01, 0.0), (0.02, 1.0)):
        it = decorrelator(method={**case, "rate": rate}, schedule="linear")
        it.matrix.program(noisy_identity().astype(np.float32))
        for _ in range(2):  # the first batch only centres
            it.learn(it.forward(z), progress)
        made.append(it.matrix.tile.read_weights() * it.matrix.gain[:, None] / it.matrix.gain.mean())
    halved, half, none = made
    np.testing.assert_allclose(halved, half, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(none, noisy_identity(), rtol=1e-6)
    assert np.abs(half - none).max() > 1e-4


def test_a_schedule_without_a_rate_is_refused_and_the_control_does_not_mind() -> None:
    with pytest.raises(ConfigError, match="schedule: method zca has no rate that could fall; allowed: constant"):
        validate({"method": "zca", "schedule": "linear"}, DecorrelationSpec)
    assert validate({"method": "centre", "schedule": "linear"}, DecorrelationSpec).schedule == "linear"


def test_a_subset_learns_the_same_in_the_long_run() -> None:
    it = decorrelator(samples=16, method={"kind": "natural", "rate": 0.01})
    for seed in range(2000):
        it.learn(it.forward(samples(64, seed)))
    e = it.matrix.effective()
    assert correlation(e @ mixture() @ e.T) < 0.02


def test_gains_are_folded_into_a_digital_matrix_and_never_into_a_chip_unless_asked() -> None:
    it = decorrelator(method={"kind": "natural", "rate": 0.3})
    assert it.matrix.refold == 16.0
    z = samples(256)
    for _ in range(300):
        it.learn(it.forward(z))
        assert it.matrix.gain.max() <= 16.0
    assert np.linalg.norm(it.matrix.tile.read_weights()) > 0.05  # without folding it would have shrunk by exp(-80)

    class OnChip(DigitalTile):
        on_chip = True

    spec = validate({"method": "natural", "where": "chip"}, DecorrelationSpec)
    assert Decorrelator(spec, OnChip((N, N)), Streams(0).stream("d"), "R").matrix.refold is None
    spec = validate({"method": "natural", "where": "chip", "refold": 4.0}, DecorrelationSpec)
    assert Decorrelator(spec, OnChip((N, N)), Streams(0).stream("d"), "R").matrix.refold == 4.0


@pytest.mark.parametrize("case", WITH_MATRIX, ids=catalogue_helpers.name)
def test_a_bypass_learns_the_same(case: dict[str, Any]) -> None:
    """The tile holds R - I: reads, transposed reads and learning are those of R."""
    stored, bypassed = (matrix_with(noisy_identity(), 1.3, bypass=bypass) for bypass in (False, True))
    kept = memory(), memory()
    rule = method(**case)
    for seed in range(12):
        z = samples(32, seed)
        passed = [matrix.forward(z) for matrix in (stored, bypassed)]
        np.testing.assert_allclose(passed[0].y, passed[1].y, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(stored.backward(z), bypassed.backward(z), rtol=1e-4, atol=1e-5)
        for matrix, each, m in zip((stored, bypassed), passed, kept, strict=True):
            rule.learn(matrix, each, m)
    np.testing.assert_allclose(stored.effective(), bypassed.effective(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        stored.tile.read_weights() - bypassed.tile.read_weights(), np.eye(N), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("bypass", [False, True])
def test_folding_changes_nothing_that_counts(bypass: bool) -> None:
    matrix = matrix_with(noisy_identity(), 3.0, bypass=bypass)
    matrix.refold = 2.0
    before, z = matrix.effective(), samples(5)
    y = matrix.forward(z).y
    matrix.fold()
    np.testing.assert_array_equal(matrix.gain, 1.0)
    np.testing.assert_allclose(matrix.effective(), before, rtol=1e-6)
    np.testing.assert_allclose(matrix.forward(z).y, y, rtol=1e-5)


def test_backward_is_gamma_r_transposed() -> None:
    matrix = matrix_with(noisy_identity())
    matrix.gain[:] = np.linspace(0.5, 2, N)
    d = samples(4)
    np.testing.assert_allclose(matrix.backward(d), d @ matrix.effective(), rtol=1e-5, atol=1e-6)


def test_a_checkpoint_continues_bit_for_bit() -> None:
    for case in METHODS:
        fields = {"method": case, "samples": 16}
        one = decorrelator(**fields)
        for seed in range(13):
            one.learn(one.forward(samples(32, seed)))
        other = decorrelator(**fields)
        other.restore(one.state())
        for it in (one, other):
            for seed in range(20, 33):
                it.learn(it.forward(samples(32, seed)))
        np.testing.assert_array_equal(one.forward(samples(5)).y, other.forward(samples(5)).y, err_msg=str(case))


def test_a_chip_without_transposed_reads_is_refused() -> None:
    from dataclasses import replace

    class OneWay(DigitalTile):
        @property
        def capabilities(self) -> Any:
            return replace(super().capabilities, transposed_read=False)

    for case in METHODS:
        spec = validate({"method": case}, DecorrelationSpec)
        make = lambda spec=spec: Decorrelator(spec, OneWay((N, N)), Streams(0).stream("d"), "linear1_R")  # noqa: E731
        if spec.method.needs.transposed_read:
            with pytest.raises(UserError, match=f"decorrelation {case['kind']}: needs transposed reads.*linear1_R"):
                make()
        else:
            make()


class TestMetrics:
    def test_closed_forms(self) -> None:
        rng = np.random.default_rng(0)
        y = rng.standard_normal((200_000, 2)) @ np.linalg.cholesky([[4.0, 1.2], [1.2, 1.0]]).T
        y = y.astype(np.float32)
        # off-diagonal 2 * 1.2**2 / 5**2; eigenvalues have trace 5 and squares 16 + 1 + 2.88
        assert correlation_loss(y) == pytest.approx(2 * 1.2**2 / 25, rel=0.03)

    def test_both_gram_matrices_agree(self) -> None:
        y = samples(30)
        wide = np.concatenate([y, np.zeros((30, 40), np.float32)], axis=1)  # more columns than rows
        assert correlation_loss(wide) == pytest.approx(correlation_loss(y), rel=1e-4)

    def test_scale_and_offset_do_not_matter(self) -> None:
        y = samples(100)
        assert correlation_loss(7 * y + 3) == pytest.approx(correlation_loss(y), rel=1e-4)

    def test_nothing_to_correlate(self) -> None:
        assert correlation_loss(np.ones((5, 3), np.float32)) == 0.0


def test_random_signs_are_balanced_and_independent() -> None:
    s = random_signs(Streams(0).stream("signs"), (1000, 33))
    assert set(np.unique(s)) == {-1.0, 1.0}
    # 33,000 signs: the mean has a standard deviation of 0.0055; correlations of columns of 1000 one of 0.032.
    assert abs(s.mean()) < 0.03
    c = s.T @ s / 1000 - np.eye(33)
    assert np.abs(c).max() < 0.2


@pytest.mark.parametrize("name", ["zca", "pca", "cholesky"])
def test_references_are_the_textbook_matrices(name: str) -> None:
    s = mixture()
    r = method(kind=name).whitening(s)  # type: ignore[attr-defined]
    np.testing.assert_allclose(r @ s @ r.T, np.eye(N), atol=1e-10)
    if name == "zca":
        np.testing.assert_allclose(r, r.T, atol=1e-10)
    elif name == "cholesky":
        np.testing.assert_array_equal(np.triu(r, 1), 0.0)
    else:
        assert (np.diff(np.linalg.norm(r, axis=1)) > 0).all()  # strongest component first: smallest row


@pytest.mark.parametrize("bypass", [False, True])
def test_a_matrix_that_does_not_fit_its_cells_is_programmed_with_one_warning(bypass: bool) -> None:
    spec = TileSpec(mapping=MappingSpec(weight_max=2.0))
    matrix = Matrix(Tile(spec, load_card("ideal").compile(), (N, N), Streams(0)), None, bypass=bypass)
    wanted = np.diag(np.array([1.0, 1.0, 1.0, 1.0, 2.0, 5.0], np.float32))
    with pytest.warns(
        ClippedMatrixWarning, match=r"1 of 36 entries of a matrix exceed .* clipped at 2 \(largest: [45]\).*full_scale"
    ):
        matrix.program(wanted)
    matrix.program(wanted)
    wanted[5, 5] = 3.0 if bypass else 2.0
    np.testing.assert_allclose(matrix.effective(), wanted, atol=1e-5)
    digital = matrix_with(np.eye(N))
    digital.program(1e6 * wanted)  # has no window


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"method": {"kind": "natural", "rate": 0.0}}, "decorrelation.method.rate|method.rate"),
        ({"method": {"kind": "kappa", "kappa": 1.5}}, "method.kappa"),
        ({"method": {"kind": "naturel"}}, "natural"),
        ({"method": "natural", "where": "cip"}, "where"),
        ({"method": "natural", "refold": 0.5}, "refold"),
    ],
)
def test_mistakes_are_named(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(fields, DecorrelationSpec)


def test_passed_rows_are_the_chosen_ones() -> None:
    passed = Passed(*(samples(5, seed) for seed in range(3)))
    chosen = passed.rows(np.array([3, 1]))
    np.testing.assert_array_equal(chosen.y, passed.y[[3, 1]])
