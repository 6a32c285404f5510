"""Digital networks: their forms, deterministic training, and a cache that is keyed, whole and optional."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from analog_sim.config import UserError, validate
from learning.data.datasets import Dataset, load
from learning.experiments.monte_carlo.metrics import accuracy
from learning.network.forms.conv import ConvStages
from learning.network.forms.lenet import Lenet
from learning.network.forms.mlp import Mlp
from learning.network.training_spec import DigitalTraining
from learning.torch_bridge.arrays import set_torch_threads, to_numpy, to_torch
from learning.torch_bridge.digital.digital_training import Convergence, predict, train, trained_network
from learning.torch_bridge.digital.torch_network import torch_network
from learning.torch_bridge.source import ConfiguredSource


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "analog-hil" / "networks"


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits", limit=400)


@pytest.mark.parametrize(
    ("spec", "image", "names"),
    [
        (Mlp(hidden=(7, 5)), (1, 8, 8), ["fc1", "fc2", "fc3"]),
        (Mlp(hidden=(), activation="tanh"), (3, 4, 4), ["fc1"]),
        (Lenet(), (1, 28, 28), ["conv1", "conv2", "fc1", "fc2", "fc3"]),
        (Lenet(channels=(3, 4), hidden=()), (3, 32, 32), ["conv1", "conv2", "fc1"]),
        (ConvStages(channels=(4, 6), hidden=(9,), dropout=0.5), (1, 9, 10), ["conv1", "conv2", "fc1", "fc2"]),
    ],
)
def test_networks(spec, image: tuple[int, int, int], names: list[str]) -> None:
    module = torch_network(spec, image, 10)
    assert module.eval()(torch.zeros(2, *image)).shape == (2, 10)
    found = [name for name, child in module.named_modules() if isinstance(child, nn.Linear | nn.Conv2d)]
    assert found == names


def test_lenet_is_lecuns() -> None:
    module = torch_network(Lenet(), (1, 28, 28), 10)
    shapes = [tuple(p.shape) for name, p in module.named_parameters() if "weight" in name]
    assert shapes == [(6, 1, 5, 5), (16, 6, 5, 5), (120, 400), (84, 120), (10, 84)]


def test_images_too_small() -> None:
    with pytest.raises(UserError, match="at least 12 x 12"):
        torch_network(Lenet(), (1, 8, 8), 10)
    with pytest.raises(UserError, match="too many for 8 x 8"):
        torch_network(ConvStages(channels=(2, 2, 2, 2)), (1, 8, 8), 10)


def test_training_learns_and_repeats_to_the_bit(digits: Dataset) -> None:
    training = DigitalTraining(epochs=12, batch=32, rate=5e-3, seed=3)
    spec = Mlp(hidden=(32,))
    made = []
    state = torch.random.get_rng_state()
    for threads in (1, 2):
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        module, _, _ = trained_network(lambda: torch_network(spec, digits.shape, 10), threads, digits, training)
        torch.set_num_threads(before)
        made.append(module)
    assert torch.equal(state, torch.random.get_rng_state())
    for a, b in zip(made[0].state_dict().values(), made[1].state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert accuracy(predict(made[0], digits.x_test), digits.y_test) > 0.85


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"optimizer": "sgd"}, {"rate": 0.1}, {"weight_decay": 0.1}, {"weight_noise": 0.1}, {"batch": 50}],
)
def test_every_option_of_training_changes_the_network(digits: Dataset, change) -> None:
    plain, changed = DigitalTraining(epochs=1), DigitalTraining(epochs=1, **change)
    source = ConfiguredSource(Mlp(hidden=(4,)), digits.shape, 10)
    first, _, _ = trained_network(source.make, source.identity(), digits, plain)
    second, _, cached = trained_network(source.make, source.identity(), digits, changed)
    assert not cached
    assert not torch.equal(first.state_dict()["fc1.weight"], second.state_dict()["fc1.weight"])


def test_the_cache_is_used_keyed_and_mended(digits: Dataset, cache: Path) -> None:
    training = DigitalTraining(epochs=1)
    source = ConfiguredSource(Mlp(hidden=(4,)), digits.shape, 10)

    def trained(source: ConfiguredSource = source, data: Dataset = digits) -> tuple[nn.Module, bool]:
        module, _, cached = trained_network(source.make, source.identity(), data, training)
        return module, cached

    first, cached = trained()
    assert not cached
    again, cached = trained()
    assert cached
    assert torch.equal(first.state_dict()["fc1.weight"], again.state_dict()["fc1.weight"])
    assert not again.training
    assert not trained(ConfiguredSource(Mlp(hidden=(4,), activation="tanh"), digits.shape, 10))[1]
    assert not trained(data=load("digits", limit=300))[1]
    assert trained()[1]
    for content in (b"", b"garbage"):
        for path in cache.glob("*.npz"):
            path.write_bytes(content)
        mended, cached = trained()
        assert not cached
        assert torch.equal(first.state_dict()["fc1.weight"], mended.state_dict()["fc1.weight"])
    assert not [path for path in cache.iterdir() if path.suffix != ".npz"]


def test_a_cache_that_cannot_be_written_costs_only_time(digits: Dataset, cache: Path) -> None:
    cache.parent.parent.write_text("a file where the folder should be")
    source = ConfiguredSource(Mlp(hidden=(4,)), digits.shape, 10)
    module, _, cached = trained_network(source.make, source.identity(), digits, DigitalTraining(epochs=1))
    assert not cached
    assert np.isfinite(predict(module, digits.x_test[:3])).all()


def test_weight_noise_leaves_the_weights_clean(digits: Dataset) -> None:
    """With a rate of next to nothing the noisy weights must come back as they were."""
    module = torch_network(Mlp(hidden=(4,)), digits.shape, 10)
    before = module.state_dict()["fc1.weight"].clone()
    train(module, digits, DigitalTraining(epochs=1, rate=1e-12, weight_noise=0.5, optimizer="sgd"))
    torch.testing.assert_close(module.state_dict()["fc1.weight"], before, rtol=1e-6, atol=1e-9)


def test_progress_and_divergence(digits: Dataset) -> None:
    seen: list[tuple[int, int]] = []
    torch.manual_seed(0)
    module = torch_network(
        Mlp(hidden=(64,)), digits.shape, 10
    )  # of a few hidden units all may die, and the loss stays finite
    train(module, digits, DigitalTraining(epochs=3), lambda epoch, epochs, loss: seen.append((epoch, epochs)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    with pytest.raises(UserError, match=r"try a smaller training\.rate"):
        train(module, digits, DigitalTraining(epochs=3, optimizer="sgd").model_copy(update={"rate": 1e30}))


def test_a_last_batch_of_one_image_does_not_stop_batch_normalisation(digits: Dataset) -> None:
    module = torch_network(ConvStages(channels=(2,), hidden=()), digits.shape, 10)
    assert np.isfinite(train(module, digits, DigitalTraining(epochs=1, batch=399)).last)


def test_predictions_do_not_depend_on_the_batch_nor_write_to_shared_memory(digits: Dataset) -> None:
    module = torch_network(Mlp(hidden=(4,)), digits.shape, 10)
    x = digits.x_test[:50].copy()
    x.flags.writeable = False
    np.testing.assert_allclose(predict(module, x, 7), predict(module, x, 50), rtol=1e-5, atol=1e-6)


def test_arrays_share_memory_where_they_can() -> None:
    x = torch.ones(3, 4)
    assert np.shares_memory(to_numpy(x), x.numpy())
    assert to_numpy(x.double().T).flags.c_contiguous
    y = np.ones((2, 2), np.float32)
    assert np.shares_memory(to_torch(y, x).numpy(), y)
    assert to_torch(y, x.double()).dtype == torch.float64
    with pytest.raises(ValueError, match="integer >= 1"):
        set_torch_threads(0)


def test_specs_are_strict() -> None:
    assert validate({"weight_noise": "5 %"}, DigitalTraining).weight_noise == 0.05
    with pytest.raises(UserError, match="did you mean 'epochs'"):
        validate({"epoch": 3}, DigitalTraining)


def test_convergence_is_judged_by_what_the_second_half_of_training_gained() -> None:
    assert Convergence(300, 0.5, 1.0).reached, "no error is left"
    assert Convergence(20, 0.929, 0.931).reached, "a linear network on MNIST gains no more"
    assert not Convergence(20, 0.917, 0.941).reached
    assert not Convergence(20, 0.95, 0.93).reached, "what gets worse has not settled"
    for few in (Convergence(0, float("nan"), float("nan")), Convergence(1, 1.0, 1.0)):
        assert not few.reached
        assert "has not converged" in few.sentence()
    assert "from 91.70 to 94.10 %" in Convergence(20, 0.917, 0.941).sentence()
    assert Convergence(300, 1.0, 1.0).sentence() == ""


def test_the_cache_keeps_how_far_training_came(digits: Dataset, cache: Path) -> None:
    source = ConfiguredSource(Mlp(hidden=(4,)), digits.shape, 10)
    _, first, _ = trained_network(source.make, source.identity(), digits, DigitalTraining(epochs=5))
    _, again, cached = trained_network(source.make, source.identity(), digits, DigitalTraining(epochs=5))
    assert cached
    assert first == again
    assert 0.0 < first.half < first.last <= 1.0
    assert not first.reached


def test_the_default_training_is_long_enough_for_the_smallest_data_set() -> None:
    """Within half a point of four times the epochs on all of the digits: 3 of 596 images."""
    data = load("digits")
    found = []
    for factor in (1, 4):
        torch.manual_seed(0)
        module = torch_network(Mlp(hidden=(128,)), data.shape, 10)
        epochs = DigitalTraining().epochs_for(len(data.x_train))
        came = train(module, data, DigitalTraining(epochs=factor * epochs))
        found.append(accuracy(predict(module, data.x_test), data.y_test))
        assert came.reached
    assert abs(found[0] - found[1]) <= 0.0051
    assert found[0] > 0.96


def test_the_default_epochs_follow_the_size_of_the_data() -> None:
    assert [DigitalTraining().epochs_for(n) for n in (1201, 50_000, 60_000)] == [316, 20, 20]
    assert DigitalTraining(epochs=3).epochs_for(1201) == 3
