"""Decide how a torch module goes on tiles, and make sure that this changes nothing, before any tile exists.

A plan is decided from what the module does on sample inputs. Whether it holds for others is known only when nothing that runs
depends on the values of the inputs; otherwise it is narrowed to what always holds (no folding, every layer on tiles), unless the
sample is all that the network will ever be given. The planned network is compared with the original on the whole sample, or on its first
inputs where what it runs depends on no value of them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from analog_sim.config import UserError
from analog_sim.tiles.digital import DigitalTile
from learning.torch_bridge.checks import PERIPHERY, digital_names, is_kept, problems
from learning.torch_bridge.fold import Fold, find_folds, fold
from learning.torch_bridge.modules import AnalogLayer, analog_layers
from learning.torch_bridge.observe import Observation, observe
from learning.torch_bridge.plain import float_copy, is_plain, other_precisions, plain, unwrapped
from learning.torch_bridge.plan import Decided, LayerPlan, Plan

_TOLERANCE = 1e-4
"""Largest change of an output by conversion, relative to the largest output: float32 rounding through a deep network."""
_TRIED = 16
"""Inputs of many on which a module is compared with its copy, and with the planned network."""


@dataclass(frozen=True)
class _Sample:
    """Inputs, batch by batch, and what the original module makes of them. Runs are given copies: a module may write into its input."""

    batches: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    runs: tuple[Observation, ...]
    count: int
    whole: bool


def prepare(
    module: nn.Module,
    sample: Tensor | None = None,
    *,
    fold_batchnorm: bool = True,
    digital: Sequence[str] = (),
    batch: int | None = None,
    whole: bool = False,
) -> Plan:
    """Check and copy a module, and fold its batch normalisation.

    Args:
        module, sample, fold_batchnorm, digital: as in `learning.torch_bridge.convert.convert`.
        batch: run this many of the sample inputs at a time; None: all at once.
        whole: the sample is all that the network will ever be given, in these batches.

    Raises:
        UserError: as in `convert`.
    """
    if any(isinstance(child, AnalogLayer) for child in module.modules()):
        raise UserError("model: has analogue layers already")
    module = unwrapped(module)
    copied = float_copy(module)
    alike = is_plain(copied)
    work = plain(copied)
    kept = digital_names(work, digital)
    if found := problems(work, kept):
        raise UserError("model: " + "; ".join(found))
    notes = [f"{name}: kept digital, as asked" for name in digital]
    notes += [f"weights of {name} made float32" for name in other_precisions(module)]
    notes += _shared(work, kept)
    seen = None if sample is None else _seen(float_copy(module), work, sample, batch, whole=whole, alike=alike)
    if seen is not None:
        _refuse_loose(work, kept, seen)
        notes += _products(seen)
    pairs, said = _folds(work, seen) if fold_batchnorm else ([], [])
    plan = _planned(work, kept, pairs, seen, [*notes, *said])
    if seen is not None and (difference := _difference(plan, seen)):
        if pairs:
            said = ["batch normalisation computed digitally: folded, the outputs would differ"]
            plan = _planned(work, kept, [], seen, [*notes, *said])
            difference = _difference(plan, seen)
        if difference:
            raise UserError(f"model: {difference}")
    return plan


def prepare_again(module: nn.Module, decided: Decided) -> Plan:
    """The plan that `prepare` made of the same module, without running it."""
    work = plain(float_copy(unwrapped(module)))
    _fold_all(work, decided.folds)
    layers = tuple(plan for plan in _layers(work) if plan.name in decided.layers)
    return Plan(work, layers, decided.folds, decided.notes, compared=True)


def _planned(work: nn.Module, kept: set[str], pairs: Sequence[Fold], seen: _Sample | None, notes: list[str]) -> Plan:
    folded = copy.deepcopy(work)
    _fold_all(folded, pairs)
    notes = notes + [f"{pair.norm}: batch normalisation folded into {pair.layer}" for pair in pairs]
    notes += _periphery_notes(folded)
    layers = [plan for plan in _layers(folded) if plan.name not in kept]
    if seen is not None:
        idle = [plan.name for plan in layers if not any(plan.name in run.calls for run in seen.runs)]
        if seen.whole:
            layers = [plan for plan in layers if plan.name not in idle]
            notes += [f"{name}: never called, left out" for name in idle]
        else:
            notes += [
                f"{name}: not called on the sample inputs, put on tiles all the same (digital: [{name}] leaves it out)"
                for name in idle
            ]
    if not layers:
        raise UserError("model: has no Linear or Conv2d layer to put on a chip")
    outputs = torch.cat(seen.outputs) if seen is not None and seen.whole else None
    return Plan(folded, tuple(layers), tuple(pairs), tuple(notes), compared=seen is not None, outputs=outputs)


def _seen(
    original: nn.Module, work: nn.Module, sample: Tensor, batch: int | None, *, whole: bool, alike: bool
) -> _Sample:
    """Run the original and its plain copy on the sample; alike: the copy is of the very same layers.

    Raises:
        UserError: a sample that does not fit; outputs that are no tensor, not finite, or random.
    """
    if not isinstance(sample, Tensor):
        raise UserError(
            f"model: sample must be one tensor (got {type(sample).__name__}); leave it out to convert unchecked"
        )
    if not sample.numel():
        raise UserError(
            "model: sample holds no input, so that nothing can be compared; leave it out to convert unchecked"
        )
    sample = sample.detach().cpu()
    if sample.is_floating_point():
        sample = sample.float()
    batches = list(sample.split(batch)) if batch is not None else [sample]
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        outputs, runs = _runs(original, work, batches, alike)
        if not whole and sample.dim() > 1 and len(sample) > 1:
            try:  # what runs may depend on how many inputs there are; a module that takes no single one is all right
                single = original(sample[:1].clone())
                runs.append(observe(work, sample[:1].clone()))
                batches.append(sample[:1])
                outputs.append(single)
            except Exception:  # the user's own code, which may raise anything
                del runs[len(outputs) :]
    return _Sample(tuple(batches), tuple(outputs), tuple(runs), len(sample) if sample.dim() else 1, whole)


def _runs(
    original: nn.Module, work: nn.Module, batches: Sequence[Tensor], alike: bool
) -> tuple[list[Tensor], list[Observation]]:
    """Outputs of the original, and what runs of its plain copy showed.

    Where the copy is of the very same layers and gives the very same bits for a few inputs, or for the first batch, its outputs are the
    original's.
    """
    outputs: list[Tensor] = []
    runs: list[Observation] = []

    def observed(x: Tensor) -> object:
        runs.append(observe(work, x))
        if runs[-1].autocast:
            raise UserError(
                "model: runs under torch.autocast in evaluation mode, at a lower precision that tiles do not follow; "
                "write torch.autocast(..., enabled=self.training)"
            )
        output, runs[-1].output = runs[-1].output, None
        return output

    tried = alike and _same_bits(original, work, batches[0])
    for k, x in enumerate(batches):
        if tried or (k and alike):
            outputs.append(_output(observed, x))
            continue
        outputs.append(_output(original, x))
        found = observed(x.clone())
        alike = alike and isinstance(found, Tensor) and torch.equal(outputs[0], found)
        if k == 0 and not alike and not torch.equal(outputs[0], _output(original, x)):
            raise UserError(
                "model: two runs on the same inputs differ in evaluation mode; is a functional dropout called "
                "without training=self.training?"
            )
    return outputs, runs


def _same_bits(original: nn.Module, work: nn.Module, x: Tensor) -> bool:
    """Whether both give the same bits for a few of many inputs x; not where they cannot be run on so few."""
    if x.dim() < 2 or len(x) < 2 * _TRIED:
        return False  # no more work than the whole
    few = x[:_TRIED]
    try:
        found, right = work(few.clone()), original(few.clone())
    except Exception:  # the user's own code, which may raise anything; what it raises for all of x is said
        return False
    return isinstance(found, Tensor) and isinstance(right, Tensor) and torch.equal(found, right)


def _output(module: Callable[[Tensor], object], x: Tensor) -> Tensor:
    try:
        output = module(x.clone())
    except UserError:
        raise
    except Exception as error:  # the user's own code, which may raise anything
        first = (str(error).splitlines() or [""])[0]
        hint = "; weights and images are float32 here" if "dtype" in first or "scalar type" in first else ""
        raise UserError(
            f"model: fails on inputs of shape {tuple(x.shape)}: {type(error).__name__}: {first}{hint}"
        ) from error
    if not isinstance(output, Tensor):
        raise UserError(
            f"model: must return one tensor (got {type(output).__name__}); wrap it in a module whose forward returns the scores only"
        )
    if not torch.isfinite(output).all():
        raise UserError("model: its outputs on sample inputs are not all finite")
    return output


def _refuse_loose(work: nn.Module, kept: set[str], seen: _Sample) -> None:
    modules = dict(work.named_modules(remove_duplicate=False))
    for name in sorted(set().union(*(run.loose for run in seen.runs))):
        layer = name.rpartition(".")[0]
        if isinstance(modules[layer], nn.Linear | nn.Conv2d) and not is_kept(name, kept):
            raise UserError(
                f"model: parameter '{name}' is used outside its own layer, where no tile would see it; "
                f"call the layer, or, to leave it digital, write digital: [{layer}]"
            )


def _folds(work: nn.Module, seen: _Sample | None) -> tuple[list[Fold], list[str]]:
    """Pairs to fold, and what to say when they must not be."""
    if seen is None:
        return find_folds(work, None), []
    pairs = find_folds(work, seen.runs)
    decides = next((run.decides for run in seen.runs if run.decides), "")
    if pairs and decides and not seen.whole:
        return [], [
            f"batch normalisation computed digitally, not folded: what the model runs may depend on values of its inputs ({decides})"
        ]
    return pairs, []


def _fold_all(module: nn.Module, pairs: Sequence[Fold]) -> None:
    modules = dict(module.named_modules())
    for pair in pairs:
        layer, norm = modules[pair.layer], modules[pair.norm]
        assert isinstance(layer, nn.Linear | nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d)
        fold(layer, norm)
        parent, _, attribute = pair.norm.rpartition(".")
        gone = nn.Identity()
        gone.register_load_state_dict_pre_hook(_refuse_unfolded)
        setattr(modules[parent], attribute, gone)


def _refuse_unfolded(module: nn.Module, state: dict[str, object], prefix: str, *rest: object) -> None:
    """Refuse weights of the unfolded network: their layers would lack the normalisation, without a word when not strict."""
    if any(key.startswith(prefix) for key in state):
        raise UserError(
            f"state_dict: '{prefix[:-1]}' was folded into the layer before it, and this is a state of the network before that; "
            f"load it into the torch module and convert that, or convert with fold_batchnorm=False"
        )


def _layers(module: nn.Module) -> Iterator[LayerPlan]:
    for name, child in module.named_modules():
        if isinstance(child, nn.Linear):
            yield LayerPlan(name, "linear", ((child.out_features, child.in_features),), child.bias is not None)
        elif isinstance(child, nn.Conv2d):
            n_in = child.in_channels // child.groups * child.kernel_size[0] * child.kernel_size[1]
            shapes = ((child.out_channels // child.groups, n_in),) * child.groups
            yield LayerPlan(name, "conv2d", shapes, child.bias is not None)


def _periphery_notes(module: nn.Module) -> list[str]:
    notes = []
    for name, child in module.named_modules():
        if isinstance(child, PERIPHERY):
            batch = isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d) and child.running_mean is None
            extra = "; it keeps no running statistics, so results depend on the batch" if batch else ""
            notes.append(f"{name}: {type(child).__name__} computed digitally{extra}")
    return notes


def _shared(module: nn.Module, kept: set[str]) -> list[str]:
    """Notes about weights that several layers share, at least one of them on tiles."""
    owners: dict[int, list[str]] = {}
    for name, child in module.named_modules():
        for _, parameter in child.named_parameters(recurse=False):
            owners.setdefault(id(parameter), []).append(name)
    modules = dict(module.named_modules())
    notes = []
    for names in dict.fromkeys(tuple(group) for group in owners.values() if len(group) > 1):
        on = [name for name in names if isinstance(modules[name], nn.Linear | nn.Conv2d) and name not in kept]
        if on:
            notes.append(
                f"{' and '.join(names)} share weights: each of {', '.join(on)} gets tiles of its own, which training changes apart"
            )
    return notes


def _products(seen: _Sample) -> list[str]:
    found: dict[str, str] = {}
    for run in seen.runs:
        found |= run.products
    return [f"{where}: {name} computed digitally" for where, name in sorted(found.items())]


def _difference(plan: Plan, seen: _Sample) -> str:
    """Run the plan on exact tiles: what is wrong with its outputs, or with layers that no tile follows; "" when nothing.

    A few of many inputs tell it where nothing that the module runs depends on their values: what is wrong is wrong for all of them.
    """
    first = seen.batches[0]
    few = first.dim() > 1 and len(first) >= 2 * _TRIED and not any(run.decides for run in seen.runs)
    if few and not _difference_on(plan, seen, (first[:_TRIED],), (seen.outputs[0][:_TRIED],)):
        return ""
    return _difference_on(plan, seen, seen.batches, seen.outputs)


def _difference_on(plan: Plan, seen: _Sample, batches: Sequence[Tensor], outputs: Sequence[Tensor]) -> str:
    """`_difference` on these inputs, whose right outputs are given."""
    trial = plan.build(lambda name, shape: DigitalTile(shape))
    reached: set[str] = set()
    expected = {name for run in seen.runs for name in run.calls} & {layer.name for layer in plan.layers}
    worst = 0.0
    with ExitStack() as stack, torch.no_grad(), torch.autocast("cpu", enabled=False):
        for name, layer in analog_layers(trial).items():
            hook = layer.register_forward_hook(lambda module, inputs, output, name=name: reached.add(name))
            stack.callback(hook.remove)
        for x, right in zip(batches, outputs, strict=True):
            try:
                output = trial(x.clone())
            except Exception as error:  # the user's own code, which may raise anything
                first = (str(error).splitlines() or [""])[0]
                return f"fails once its layers are on tiles: {type(error).__name__}: {first}"
            if right.numel():
                change = float((output - right).abs().max() / right.abs().max().clamp_min(1e-20))
                worst = max(worst, change) if change == change else float("inf")
    if missed := [layer.name for layer in plan.layers if layer.name in expected - reached]:
        return (
            f"layer '{missed[0]}' is reached by a reference outside the module tree (a plain list or a closure?), "
            f"so it cannot be replaced; keep layers in attributes, nn.Sequential or nn.ModuleList only"
        )
    return (
        f"conversion changes its outputs by {worst:.1e} of the largest; please report this model"
        if worst > _TOLERANCE
        else ""
    )
