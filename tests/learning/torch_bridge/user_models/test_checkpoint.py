"""Names as trainers leave them, other types, masks: what fits is loaded, what does not is one line and changes nothing."""

import itertools
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from analog_sim.config import UserError
from analog_sim.tiles.digital import DigitalTile
from learning.torch_bridge.convert import convert
from learning.torch_bridge.user_models.checkpoint import load_checkpoint, read_checkpoint

State = dict[str, Tensor]


def network() -> nn.Sequential:
    return nn.Sequential(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)), nn.Flatten(), nn.Linear(8, 3))


def saved(content: object, tmp_path: Path) -> Path:
    torch.save(content, tmp_path / "w.pt")
    return tmp_path / "w.pt"


def loads(target: nn.Module, content: object, source: nn.Module, tmp_path: Path) -> None:
    load_checkpoint(target, saved(content, tmp_path))
    for a, b in zip(target.state_dict().values(), source.state_dict().values(), strict=True):
        assert torch.equal(a, b)


PREFIXES = [
    "",
    "net.",
    "a.b.c.",
    *("".join(p) for n in (1, 2, 3) for p in itertools.permutations(["model.", "module.", "_orig_mod."], n)),
]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_prefixes_in_any_order(prefix: str, tmp_path: Path) -> None:
    source = network()
    loads(network(), {"state_dict": {prefix + k: v for k, v in source.state_dict().items()}}, source, tmp_path)


@pytest.mark.parametrize(
    "rename",
    [
        lambda k: k.replace("0.", "0._orig_mod.", 1) if k.startswith("0.") else k,
        lambda k: "model." + k.replace("2.", "2.module._orig_mod."),
        lambda k: "_orig_mod.model." + k.replace("0.", "0.module.", 1),
    ],
)
def test_wrappers_within_the_network(rename, tmp_path: Path) -> None:
    source = network()
    loads(network(), {rename(k): v for k, v in source.state_dict().items()}, source, tmp_path)


def test_wrapped_modules_on_either_side(tmp_path: Path) -> None:
    source = network()
    state = source.state_dict()
    loads(nn.DataParallel(network()), state, source, tmp_path)
    loads(torch.compile(network(), backend="eager"), state, source, tmp_path)
    averaged = torch.optim.swa_utils.AveragedModel(source)
    loads(network(), averaged.state_dict(), source, tmp_path)
    loads(network(), {"model": {"state_dict": state}, "epoch": 3}, source, tmp_path)


def test_a_network_whose_own_names_look_like_prefixes(tmp_path: Path) -> None:
    """What fits as it is stays as it is."""
    source, target = (nn.ModuleDict({"model": nn.ModuleDict({"module": nn.Linear(2, 2)})}) for _ in range(2))
    loads(target, source.state_dict(), source, tmp_path)
    loads(target, {f"module.{k}": v for k, v in source.state_dict().items()}, source, tmp_path)


def test_pruned_weights_into_plain_ones_and_into_pruned_ones(tmp_path: Path) -> None:
    source = network()
    prune.l1_unstructured(source[2], "weight", 0.5)
    target = network()
    load_checkpoint(target, saved({f"model.{k}": v for k, v in source.state_dict().items()}, tmp_path))
    assert torch.equal(target[2].weight, source[2].weight)
    assert (target[2].weight == 0).sum() == 12
    again = network()
    prune.random_unstructured(again[2], "weight", 0.25)
    load_checkpoint(again, saved(source.state_dict(), tmp_path))
    assert torch.equal(again[2].weight_mask, source[2].weight_mask)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_floating_types_are_rounded(dtype: torch.dtype, tmp_path: Path) -> None:
    source, target = network(), network()
    load_checkpoint(target, saved({k: v.to(dtype) for k, v in source.state_dict().items()}, tmp_path))
    assert target[2].weight.dtype == torch.float32
    assert torch.equal(target[2].weight, source[2].weight.to(dtype).float())


def test_masks_may_be_infinite_and_statistics_may_not(tmp_path: Path) -> None:
    masked = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    masked.register_buffer("mask", torch.full((2,), float("-inf")))
    state = masked.state_dict()
    load_checkpoint(masked, saved(state, tmp_path))
    with pytest.raises(UserError, match=r"1\.running_var: 2 of 2 values are NaN or infinite"):
        load_checkpoint(masked, saved(state | {"1.running_var": torch.full((2,), float("inf"))}, tmp_path))


def on_tiles() -> State:
    return convert(nn.Sequential(nn.Linear(8, 3)), lambda name, shape: DigitalTile(shape)).state_dict()


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning", "ignore:TypedStorage:UserWarning")
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda s: {f"model.{k}": v for k, v in s.items()} | {"loss.weight": torch.ones(3)}, r"unknown model\.weight"),
        (
            lambda s: {f"model.{k}": v for k, v in s.items() if k != "bias"},
            r"lacks bias; looked at without the prefix 'model\.'",
        ),
        (lambda s: s | {"weight": torch.ones(3, 8, dtype=torch.int8)}, "weight holds int8, the model needs float32"),
        (lambda s: s | {"weight": torch.ones(3, 8, dtype=torch.complex64)}, "weight holds complex64"),
        (lambda s: s | {"weight": torch.quantize_per_tensor(s["weight"], 0.1, 0, torch.qint8)}, "weight holds qint8"),
        (lambda s: {}, "is empty, it holds no tensors"),
        (lambda s: {"state_dict": {}}, "is empty, it holds no tensors"),
        (lambda s: {k.removeprefix("0."): v for k, v in on_tiles().items()}, "saved from a module on tiles"),
    ],
)
def test_what_does_not_fit_changes_nothing(content, message: str, tmp_path: Path) -> None:
    target = nn.Linear(8, 3)
    before = target.weight.detach().clone()
    with pytest.raises(UserError, match=message) as caught:
        load_checkpoint(target, saved(content(nn.Linear(8, 3).state_dict()), tmp_path))
    assert "\n" not in str(caught.value)
    assert torch.equal(target.weight, before)


def test_sparse_tensors_are_read(tmp_path: Path) -> None:
    assert torch.equal(read_checkpoint(saved({"w": torch.eye(3).to_sparse()}, tmp_path))["w"], torch.eye(3))


def test_an_empty_file_and_another_key_say_what_to_write(tmp_path: Path) -> None:
    (tmp_path / "empty.pt").write_bytes(b"")
    with pytest.raises(UserError, match=r"is empty \(0 bytes\); save it by torch.save\(model.state_dict\(\), path\)"):
        read_checkpoint(tmp_path / "empty.pt")
    other = saved({"epoch": 3, "model_state": {"w": torch.eye(3)}}, tmp_path)
    with pytest.raises(
        UserError, match="a dict with the keys 'epoch', 'model_state'; the weights seem to be under 'model_state'"
    ):
        read_checkpoint(other)


def test_a_flipped_byte_in_the_weights_is_refused(tmp_path: Path) -> None:
    """Torch reads the records of its archive without looking at their checksums."""
    weights = network().state_dict()["2.weight"]
    path = saved(network().state_dict() | {"2.weight": weights}, tmp_path)
    content = path.read_bytes()
    at = content.index(weights.numpy().tobytes())
    path.write_bytes(content[: at + 2] + bytes([content[at + 2] ^ 1]) + content[at + 3 :])
    with pytest.raises(UserError, match=r"checkpoint .*w\.pt: is damaged: .*differs from its checksum"):
        load_checkpoint(network(), path)


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.99])
def test_a_cut_file_is_refused(cut: float, tmp_path: Path) -> None:
    path = saved(network().state_dict(), tmp_path)
    path.write_bytes(path.read_bytes()[: int(cut * path.stat().st_size)])
    with pytest.raises(UserError, match=r"checkpoint .*w\.pt: "):
        load_checkpoint(network(), path)


def test_files_as_torch_saved_them_before_archives_are_read(tmp_path: Path) -> None:
    source = network()
    torch.save(source.state_dict(), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    target = network()
    load_checkpoint(target, tmp_path / "old.pt")
    assert torch.equal(target[2].weight, source[2].weight)
