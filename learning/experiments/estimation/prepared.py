"""Everything a chip's run needs, checked before any chip is made, as a value that workers receive. It never makes a chip."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from analog_sim.chip.backend import ChipBackend
from analog_sim.config import UserError
from learning.common.identity import Identity, data_parts, digest, files_of, program_identity
from learning.data.dataset import Dataset
from learning.data.form import formed
from learning.data.spec import DataSpec
from learning.experiments.configs.estimate import Experiment
from learning.experiments.estimation.studies import swept
from learning.experiments.monte_carlo.metrics import accuracy
from learning.torch_bridge.arrays import set_torch_threads
from learning.torch_bridge.chip_network import ideal_inputs
from learning.torch_bridge.convert import Decided, Plan
from learning.torch_bridge.inputs import DrivenInputs
from learning.torch_bridge.load_model import load_checkpoint
from learning.torch_bridge.source import FileSource, Source, TwinSource, Weights, planned, planned_again, weights_of
from learning.torch_bridge.twin import Convergence, predict, trained_twin

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
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
        source, weights: to make the network again. decided: how it goes on a chip, as compared with the original on all test images.
        x_test, y_test: test images as the network gets them, labels.
        calibration: what training images make of the inputs of the layers, for the converters; None when there are none.
        probes: what some of the test images make of them, to measure the error of products with.
        batch: test images at a time. seed: of all chips. chip: what is driven.
        digital_accuracy: of the ideal network on the test images. notes: what a reader has to know.
        convergence: how far its training came; None for weights of the user's own.
        made_of: digest of what makes the network, as it was when the digital accuracy was measured.
    """

    source: Source
    weights: Weights
    decided: Decided
    x_test: F32
    y_test: I64
    calibration: DrivenInputs | None
    probes: DrivenInputs
    batch: int
    seed: int
    chip: ChipBackend
    digital_accuracy: float
    notes: tuple[str, ...]
    made_of: str
    convergence: Convergence | None = None

    def plan(self) -> Plan:
        """The network, ready to be put on tiles. Raises UserError when the user's file has changed since."""
        if digest(self.source.identity()) != self.made_of:
            raise UserError(
                "model: the file, or one that it imports, changed while the run was at work; put it back and go on with --resume"
            )
        return planned_again(self.source, self.weights, self.decided)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers on the chip."""
        return self.decided.layers


def source_of(experiment: Experiment, data: Dataset) -> Source:
    """Where the network comes from."""
    if experiment.model is not None:
        return FileSource(experiment.model.file, experiment.model.factory)
    image = (1, 1, math.prod(data.shape))
    if len(data.shape) == 3:
        image = (data.shape[0], data.shape[1], data.shape[2])
    return TwinSource(experiment.twin, image, len(data.classes))


@dataclass(frozen=True)
class Checked:
    """Data and a network that fit together: source to make it from, plan of how it goes on a chip, whether it has its weights."""

    data: Dataset
    source: Source
    plan: Plan
    trained: bool


def check(experiment: Experiment) -> Checked:
    """Load the data, make the untrained network and check it against them: quick, and before anything slow.

    Raises:
        UserError: no data; the network cannot be made, put on a chip, or fed with these images.
    """
    experiment.chip.check()
    data = formed(_needed(experiment))
    source = source_of(experiment, data)
    weights = None
    if experiment.model is not None and experiment.model.checkpoint is not None:
        module = source.make()
        load_checkpoint(module, experiment.model.checkpoint)
        weights = weights_of(module)
    plan = planned(source, weights, data.x_test, experiment.digital, batch=experiment.batch, whole=True)
    outputs = predict(plan.module, data.x_test[:SAMPLE])
    if outputs.ndim != 2 or outputs.shape[1] != len(data.classes):
        raise UserError(
            f"model: outputs have shape {outputs.shape[1:]}, data set '{data.name}' has {len(data.classes)} classes"
        )
    return Checked(data, source, plan, trained=weights is not None)


def _needed(experiment: Experiment) -> DataSpec:
    """The data set without the training samples that nobody will look at: with trained weights only those of the calibration count."""
    spec, trained = experiment.dataset, experiment.model is not None and experiment.model.checkpoint is not None
    if not trained or spec.normalise is not None:
        return spec
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
    else:
        identity = [source.identity(), experiment.dataset.model_dump(mode="json", exclude={"test_limit"})]
        module, convergence, cached = trained_twin(
            source.make, identity, data, experiment.training, partial(_report, say)
        )
        if cached:
            say("digital network: trained before, from the cache")
    weights = weights_of(module)
    plan = checked.plan
    if not checked.trained:
        plan = planned(source, weights, data.x_test, experiment.digital, batch=experiment.batch, whole=True)
    calibration = data.x_train[: experiment.calibration]
    return Prepared(
        source=source,
        weights=weights,
        decided=plan.decided,
        x_test=data.x_test,
        y_test=data.y_test,
        calibration=ideal_inputs(plan, calibration, CALIBRATION_ROWS) if len(calibration) else None,
        probes=ideal_inputs(plan, data.x_test[:PROBE], ERROR_ROWS),
        batch=experiment.batch,
        seed=experiment.seed,
        chip=experiment.chip,
        digital_accuracy=accuracy(predict(module, data.x_test, experiment.batch), data.y_test),
        notes=(
            *([convergence.sentence()] if convergence is not None and not convergence.reached else []),
            *([data.note] if data.note else []),
            *experiment.device.cautions(),
            *plan.notes,
        ),
        convergence=convergence,
        made_of=made_of,
    )
