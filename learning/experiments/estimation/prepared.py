"""Everything a chip's run needs, checked before any chip is made, as a value that workers receive. It never makes a chip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from analog_sim.chip.backend import ChipBackend
from analog_sim.config import UserError
from learning.common.identity import Identity, data_parts, digest, files_of, program_identity
from learning.data.dataset import Answers, Dataset, NumericTargets
from learning.data.form import formed
from learning.data.spec import DataSpec
from learning.experiments.configs.estimate import Experiment
from learning.experiments.estimation.studies import swept
from learning.experiments.monte_carlo.score import evaluated
from learning.experiments.runs.network_file import network_file, read_network
from learning.losses.losses import check_loss
from learning.network.learned import MATRIX, LearnedNetwork
from learning.network.network import matrix_name
from learning.torch_bridge.arrays import set_torch_threads, to_numpy
from learning.torch_bridge.chip_network import ideal_inputs
from learning.torch_bridge.convert import Decided, Plan
from learning.torch_bridge.digital.digital_training import Convergence, predict, trained_network
from learning.torch_bridge.inputs import DrivenInputs
from learning.torch_bridge.source import (
    ConfiguredSource,
    FileSource,
    GivenSource,
    LearnedSource,
    Source,
    Weights,
    planned,
    planned_again,
    weights_of,
)
from learning.torch_bridge.user_models.load_model import load_checkpoint

F32 = npt.NDArray[np.float32]
LARGE = 5e8
"""Weights times test images from which a check takes seconds: a line says so before."""
SAMPLE = 8
"""Images with which a network is checked."""
PROBE = 64
"""Test images whose inputs measure the error of each layer."""
CALIBRATION_ROWS, ERROR_ROWS = 1024, 256
"""Inputs per tile that set its converters, and that measure the error of its products."""


@dataclass(frozen=True)
class Prepared:
    """A checked network with its data.

    Attributes:
        source, weights: to make the network again. decided: how it goes on a chip, as compared with the original on test images.
        bias_inputs: layer -> drive of a bias line, 1 where there is none. outputs: their names.
        x_test, y_test: test samples as the network gets them, labels or targets. targets: the numbers to be predicted, None for classes.
        calibration: what training images make of the inputs of the layers, for the converters; None when there are none.
        probes: what some of the test images make of them, to measure the error of products with.
        batch: test images at a time. seed: of all chips. chip: what is driven.
        digital: column -> value of the ideal network on the test samples, as `evaluated` gives it. notes: what a reader has to know.
        convergence: how far its training came; None for weights of the user's own.
        made_of: digest of what makes the network, as it was when the digital network was evaluated.
    """

    source: Source
    weights: Weights
    decided: Decided
    bias_inputs: dict[str, float]
    outputs: tuple[str, ...]
    x_test: F32
    y_test: Answers
    targets: NumericTargets | None
    calibration: DrivenInputs | None
    probes: DrivenInputs
    batch: int
    seed: int
    chip: ChipBackend
    digital: dict[str, float]
    notes: tuple[str, ...]
    made_of: str
    convergence: Convergence | None = None

    def plan(self) -> Plan:
        """The network, ready to be put on tiles. Raises UserError when the user's file has changed since."""
        if digest(self.source.identity()) != self.made_of:
            raise UserError(
                "model: the file, or one that it imports, changed while the run was at work; put it back and go on with --resume"
            )
        return self._plan

    @cached_property
    def _plan(self) -> Plan:
        """It is kept in this process: to make a network of ten million weights takes longer than to copy it for a chip."""
        return planned_again(self.source, self.weights, self.decided)

    def __getstate__(self) -> dict[str, Any]:
        """For other processes, which plan for themselves."""
        return {name: value for name, value in vars(self).items() if name != "_plan"}

    def learned(self, experiment: Experiment) -> LearnedNetwork | None:
        """The network as another experiment can start from it; None for the user's own module."""
        if isinstance(self.source, LearnedSource):
            return self.source.learned
        if not isinstance(self.source, ConfiguredSource):
            return None
        return LearnedNetwork(
            self.source.spec, self.source.shape, self.outputs, self.weights, dataset=_dataset(experiment)
        ).as_list()

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers on the chip."""
        return self.decided.layers


def source_of(experiment: Experiment, data: Dataset, given: GivenSource | None = None) -> Source:
    """Where the network comes from; given: the module, where the experiment names one. Raises UserError when it is not there."""
    if experiment.module is not None:
        if given is None or given.name != experiment.module:
            raise UserError(
                f"module: {experiment.module} was given from Python; run it from there, analog_hil.estimate(module, ...)"
                + ("" if given is None else f" (got {given.name})")
            )
        return given
    if experiment.model is not None:
        return FileSource(experiment.model.file, experiment.model.factory)
    if experiment.weights is not None:
        return LearnedSource(read_network(experiment.weights).fitted(experiment.network, data.shape, data.outputs))
    return ConfiguredSource(experiment.digital_network, data.shape, len(data.outputs), experiment.training.seed)


def with_learned(experiment: Experiment) -> Experiment:
    """The estimate with the file that its weights are in, and with the network that they are of where it names none. Raises UserError."""
    if experiment.weights is None:
        return experiment
    path = network_file(experiment.weights)
    network = experiment.network if experiment.network is not None else read_network(path).spec
    return experiment.model_copy(update={"weights": path, "network": network})


def stays_digital(experiment: Experiment, source: Source) -> tuple[str, ...]:
    """Layers that stay digital: as asked, and decorrelating matrices that were digital where the network learned."""
    if not isinstance(source, LearnedSource):
        return experiment.digital
    learned = source.learned
    matrices = (place.name for place in learned.placed() if learned.get(place.name, MATRIX) is not None)
    kept = (matrix_name(name) for name in matrices if name not in learned.on_chip)
    return tuple(dict.fromkeys((*experiment.digital, *kept)))


_OF_THE_NETWORK = {"dataset", "network", "model", "weights", "training", "digital", "batch"}
"""Keys of an estimate that its network, and what goes through it, depend on."""


@dataclass(frozen=True)
class Checked:
    """Data and a network that fit together: source to make it from, plan of how it goes on a chip, whether it has its weights."""

    data: Dataset
    source: Source
    plan: Plan
    trained: bool


def check(
    experiment: Experiment,
    given: GivenSource | None = None,
    say: Callable[[str], None] = lambda line: None,
    known: dict[str, Plan] | None = None,
) -> Checked:
    """Load the data, make the untrained network and check it against them: quick, and before anything slow.

    given: the module, where the experiment names one that is no file. say: gets a line where the check of a large network takes seconds.
    known: plans of networks that were checked before, for points of a sweep that share one; they are only looked at. A new one is added.

    Raises:
        UserError: no data; the network cannot be made, put on a chip, or fed with these images.
    """
    experiment.chip.check()
    data = formed(_needed(experiment))
    source = source_of(experiment, data, given)
    weights = None
    if experiment.model is not None and experiment.model.checkpoint is not None:
        module = source.make()
        load_checkpoint(module, experiment.model.checkpoint)
        weights = weights_of(module)
    size = 0 if weights is None else sum(value.size for value in weights.values())
    if size * len(data.x_test) > LARGE:
        say(
            f"check: {len(data.x_test)} test images through a network of {size / 1e6:.1f} million weights, as it is and on exact tiles"
        )
    kept = stays_digital(experiment, source)
    key = str(experiment.model_dump(mode="json", include=_OF_THE_NETWORK))
    plan = None if known is None else known.get(key)
    if plan is None:
        plan = planned(source, weights, data.x_test, kept, batch=experiment.batch, whole=True)
        if known is not None:
            known[key] = plan
    outputs = predict(plan.module, data.x_test[:SAMPLE])
    if outputs.ndim != 2 or outputs.shape[1] != len(data.outputs):
        what = "classes" if data.targets is None else "targets"
        raise UserError(
            f"model: outputs have shape {outputs.shape[1:]}, data set '{data.name}' has {len(data.outputs)} {what}"
        )
    trained = weights is not None or isinstance(source, LearnedSource | GivenSource)
    if not trained:
        check_loss(experiment.training.loss, data.targets is not None, "training.loss")
    experiment.yield_threshold.check(data.targets is not None)
    return Checked(data, source, plan, trained=trained)


def _needed(experiment: Experiment) -> DataSpec:
    """The data set without the training samples that nobody will look at: with trained weights only those of the calibration count."""
    spec, model = experiment.dataset, experiment.model
    trained = experiment.weights is not None or (model is not None and model.checkpoint is not None)
    if not trained or spec.normalise is not None or spec.numeric is not False:
        return spec  # all training samples count for a normalisation, of samples or of numeric targets
    most = max(1, experiment.calibration)
    return spec.model_copy(update={"train_limit": min(spec.train_limit or most, most)})


def identity_of(experiment: Experiment, checked: Checked) -> Identity:
    """What decides the results of an estimate beside its configuration, but for the network's weights. Raises UserError."""
    found = program_identity().with_parts(data_parts(checked.data))
    files = files_of(experiment)
    if experiment.model is not None:
        what = next(what for what in files if what.startswith("model.file "))
        files.pop(what)  # its identity covers it, and what it imports
        found = found.with_parts({what: digest(checked.source.identity())})
    for name, changed in swept(experiment):
        files |= files_of(changed, f"sensitivity {name}: ") if changed is not experiment else {}
    return found.with_files(files)


def weights_part(weights: Weights) -> dict[str, str]:
    """The weights of the network, which decide results however they came about: from a checkpoint, the cache or training."""
    return {"weights of the digital network": digest(dict(weights))}


def _bias_inputs(experiment: Experiment, plan: Plan, inputs: DrivenInputs | None) -> dict[str, float]:
    """Layer -> constant input of its bias line: as the network says, else the largest input that it has for the calibration samples."""
    line = "auto" if experiment.network is None else experiment.network.bias_line
    if line != "auto":
        return dict.fromkeys((layer.name for layer in plan.layers), line)
    return {} if inputs is None else inputs.largest


def _dataset(experiment: Experiment) -> dict[str, Any]:
    """Section `dataset` as it stands in a file."""
    found: dict[str, Any] = experiment.model_dump(mode="json", include={"dataset"})["dataset"]
    return found


def _origin(experiment: Experiment, source: Source) -> tuple[str, ...]:
    """A sentence on the data that given weights were trained on, where these are others."""
    if not isinstance(source, LearnedSource):
        return ()
    here = _dataset(experiment)
    then = source.learned.dataset
    limits = ("train_limit", "test_limit")
    changed = [key for key in {**then, **here} if key not in limits and then.get(key) != here.get(key)]
    if not changed:
        return ()
    said = "; ".join(f"{key}: {then.get(key)}, here {here.get(key)}" for key in changed)
    return (f"the weights were trained on other data or another form of them (dataset.{said}).",)


def _report(say: Callable[[str], None], epoch: int, epochs: int, loss: float) -> None:
    """Say a tenth of the epochs, and the last."""
    if epoch % max(1, epochs // 10) == 0 or epoch == epochs:
        say(f"training the digital network: epoch {epoch} of {epochs}, loss {loss:.4f}")


def prepare_estimate(experiment: Experiment, checked: Checked, say: Callable[[str], None]) -> Prepared:
    """Get or train the network, and measure its digital accuracy.

    Args:
        experiment: what to estimate. checked: what `check` returned for it. say: gets a line of progress.

    Raises:
        UserError: training that does not converge.
    """
    set_torch_threads(1)
    data, source = checked.data, checked.source
    convergence = None
    made_of = digest(source.identity())
    if experiment.model is not None and experiment.model.checkpoint is not None:
        module = source.make()
        load_checkpoint(module, experiment.model.checkpoint)
        module.eval()
    elif isinstance(source, LearnedSource | GivenSource):
        module = source.make()
    else:
        identity = [source.identity(), experiment.dataset.model_dump(mode="json", exclude={"test_limit"})]
        module, convergence, cached = trained_network(
            source.make, identity, data, experiment.training, partial(_report, say)
        )
        if cached:
            say("digital network: trained before, from the cache")
    weights = weights_of(module)
    plan = checked.plan
    if not checked.trained:
        plan = planned(source, weights, data.x_test, experiment.digital, batch=experiment.batch, whole=True)
    assert plan.outputs is not None  # the sample is all test images
    outputs = to_numpy(plan.outputs)
    calibration = data.x_train[: experiment.calibration]
    inputs = ideal_inputs(plan, calibration, CALIBRATION_ROWS) if len(calibration) else None
    return Prepared(
        source=source,
        weights=weights,
        decided=plan.decided,
        bias_inputs=_bias_inputs(experiment, plan, inputs),
        outputs=data.outputs,
        x_test=data.x_test,
        y_test=data.y_test,
        targets=data.targets,
        calibration=inputs,
        probes=ideal_inputs(plan, data.x_test[:PROBE], ERROR_ROWS),
        batch=experiment.batch,
        seed=experiment.seed,
        chip=experiment.chip,
        digital=evaluated(outputs, data.y_test, data.targets),
        notes=(
            *([convergence.sentence()] if convergence is not None and not convergence.reached else []),
            *_origin(experiment, source),
            *([data.note] if data.note else []),
            *experiment.device.cautions(),
            *plan.notes,
        ),
        convergence=convergence,
        made_of=made_of,
    )
