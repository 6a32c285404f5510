"""One network language: a short form and its list are the same network, on tiles and in torch, in both kinds of file."""

import catalogue
import catalogue_helpers
import numpy as np
import pytest
import torch

from analog_sim.config import ConfigError, UserError, discover, validate
from analog_sim.random.streams import Streams
from learning.common.weight_tile import digital_tile
from learning.experiments.configs.estimate import Experiment
from learning.experiments.configs.train import TrainExperiment
from learning.network.forms.conv import ConvStages
from learning.network.forms.layers import LayerList
from learning.network.forms.mlp import Mlp
from learning.network.layers.base import WeightedLayer
from learning.network.network import build_network
from learning.network.placed import placed_layers
from learning.network.spec import NetworkSpec
from learning.torch_bridge.digital.torch_network import torch_copy, torch_network

IMAGE = (1, 14, 14)
CASES = catalogue_helpers.cases(catalogue.NETWORKS)


@pytest.mark.parametrize("case", CASES, ids=catalogue_helpers.name)
def test_a_form_is_the_list_of_its_layers_on_tiles_and_in_torch(case: dict) -> None:
    spec = discover("learning.network.forms", NetworkSpec)[case["kind"]].model_validate(case)  # type: ignore[type-abstract]
    common = {key: getattr(spec, key) for key in NetworkSpec.model_fields if key != "kind"}
    listed = LayerList(layers=spec.listed(IMAGE, 10), **common)
    x = np.random.default_rng(0).normal(size=(3, *IMAGE)).astype(np.float32)
    outputs = [
        build_network(form, IMAGE, 10, make_tile=digital_tile, streams=Streams(5)).output(x) for form in (spec, listed)
    ]
    np.testing.assert_array_equal(*outputs)

    torch.manual_seed(7)
    one = torch_network(spec, IMAGE, 10)
    torch.manual_seed(7)
    other = torch_network(listed, IMAGE, 10)
    assert list(one.state_dict()) == list(other.state_dict())
    assert torch.equal(one(torch.tensor(x)), other(torch.tensor(x)))

    network = build_network(spec, IMAGE, 10, make_tile=digital_tile, streams=Streams(5))
    assert [layer.name for layer in network.layers] == [
        place.name for place in placed_layers(spec, IMAGE, 10) if isinstance(place.layer, WeightedLayer)
    ]
    np.testing.assert_allclose(torch_copy(network)(torch.tensor(x)).detach(), outputs[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", CASES, ids=catalogue_helpers.name)
def test_both_kinds_of_file_read_every_form(case: dict) -> None:
    estimate = validate({"schema": "estimate/1", "dataset": "digits", "device": "pcm", "network": case}, Experiment)
    train = validate({"schema": "train/1", "dataset": "digits", "learning_rate": 1, "network": case}, TrainExperiment)
    assert estimate.network == train.network


def test_first_weights_are_the_same_in_both_where_the_file_says_how_to_draw_them() -> None:
    spec = Mlp(hidden=(6,), init="xavier_normal", init_scale=0.5)
    chip = build_network(spec, (5,), 3, make_tile=digital_tile, streams=Streams(4))
    digital = torch_network(spec, (5,), 3, seed=4)
    for layer in chip.layers:
        made = digital.get_submodule(layer.name)
        np.testing.assert_array_equal(made.weight.detach(), layer.tile.read_weights(exact=True))
        assert not made.bias.any()


def test_init_scale_scales_torchs_own_weights_too() -> None:
    torch.manual_seed(1)
    plain = torch_network(Mlp(hidden=()), (5,), 3)
    torch.manual_seed(1)
    scaled = torch_network(Mlp(hidden=(), init_scale=0.5), (5,), 3)
    torch.testing.assert_close(scaled.fc1.weight, 0.5 * plain.fc1.weight)


def test_what_only_digital_training_has_is_refused_on_a_chip_with_what_to_write() -> None:
    spec = ConvStages(channels=(2,), hidden=())
    with pytest.raises(UserError, match=r"layer 'norm1': batch_norm has statistics .* batch_norm: false"):
        build_network(spec, IMAGE, 10, make_tile=digital_tile, streams=Streams(0))
    with pytest.raises(UserError, match=r"layer 'dropout1': dropout acts in digital training only.*dropout: 0"):
        build_network(
            ConvStages(channels=(2,), hidden=(4,), batch_norm=False, dropout=0.5),
            IMAGE, 10, make_tile=digital_tile, streams=Streams(0),
        )  # fmt: skip


def test_normalised_layers_have_no_bias_and_names_are_distinct() -> None:
    layers = [{"kind": "conv2d", "channels": 2, "kernel": 3}, "batch_norm", "flatten", {"kind": "linear", "units": 3}]
    spec = validate({"layers": layers}, LayerList)
    module = torch_network(spec, (1, 4, 4), 3)
    assert list(dict(module.named_parameters())) == [
        "conv2d1.weight", "batch_norm_1.weight", "batch_norm_1.bias", "linear2.weight", "linear2.bias",
    ]  # fmt: skip
    twice = validate({"layers": [{"kind": "linear", "units": 3, "name": "a"}] * 2}, LayerList)
    with pytest.raises(UserError, match="two layers of the same name: a"):
        placed_layers(twice, (3,), 3)


def test_mistakes_in_one_line() -> None:
    with pytest.raises(ConfigError, match="unknown kind 'mpl', did you mean 'mlp'"):
        validate({"schema": "train/1", "dataset": "digits", "learning_rate": 1, "network": "mpl"}, TrainExperiment)
    with pytest.raises(ConfigError, match="network: missing; write the layers of a network, or weights"):
        validate({"schema": "train/1", "dataset": "digits", "learning_rate": 1}, TrainExperiment)
    with pytest.raises(UserError, match=r"network: conv needs images .* \(got samples of shape \(5,\)\)"):
        placed_layers(ConvStages(), (5,), 3)
    with pytest.raises(UserError, match=r"ends in samples of shape \(4,\), the data need \(3,\)"):
        placed_layers(validate({"layers": [{"kind": "linear", "units": 4}]}, LayerList), (5,), 3)
