"""Where tasks run, as a configuration names it. Running there is tested in test_evaluate."""

from importlib.util import find_spec
from typing import Annotated

import pytest

from analog_sim.config import ConfigError, StrictModel, UserError, one_of, validate
from analog_sim.threads import available_cores
from learning.experiments.parallel.base import Parallel
from learning.experiments.parallel.dask import Dask, one_thread_per_worker
from learning.experiments.parallel.loky import Loky
from learning.experiments.parallel.slurm import Slurm


class Run(StrictModel):
    parallel: Annotated[Parallel, one_of("learning.experiments.parallel", Parallel)] = Loky()


def test_a_bare_kind_or_a_mapping_names_the_place() -> None:
    assert validate({}, Run).parallel == Loky()
    assert validate({"parallel": "dask"}, Run).parallel == Dask()
    assert validate({"parallel": {"kind": "loky", "jobs": 3}}, Run).parallel == Loky(jobs=3)
    slurm = validate({"parallel": {"kind": "slurm", "jobs": 4, "cores": 8, "queue": "short"}}, Run).parallel
    assert isinstance(slurm, Slurm)
    assert slurm.workers == 32


def test_wrong_places_are_refused_with_the_choice() -> None:
    with pytest.raises(ConfigError, match="allowed: dask, loky, slurm"):
        validate({"parallel": "mpi"}, Run)
    with pytest.raises(ConfigError, match=r"parallel.jobs"):
        validate({"parallel": {"kind": "loky", "jobs": 0}}, Run)


def test_workers_default_to_the_cores_of_this_process() -> None:
    assert Loky().workers == available_cores()
    assert Loky(jobs=1).in_process
    assert not Loky(jobs=2).in_process
    assert not Dask(jobs=1).in_process


@pytest.mark.skipif(find_spec("dask_jobqueue") is not None, reason="dask-jobqueue is installed")
def test_a_missing_extra_is_named() -> None:
    with (
        pytest.raises(
            UserError, match=r"needs the package 'dask_jobqueue'; install: pip install 'analog-hil\[cluster\]'"
        ),
        Slurm().session(),
    ):
        pass


def test_the_slurm_script_asks_for_what_was_configured() -> None:
    pytest.importorskip("dask_jobqueue", reason="the extra `cluster` is not installed")
    place = Slurm(
        jobs=2, cores=4, memory="8GB", walltime="00:30:00", queue="short", account="lab", prologue=("module load x",)
    )
    with place.cluster() as cluster:
        script = cluster.job_script()
    for line in ("#SBATCH -p short", "#SBATCH -A lab", "#SBATCH --cpus-per-task=4", "#SBATCH -t 00:30:00"):
        assert line in script
    assert script.index("export NUMBA_NUM_THREADS=1") < script.index("module load x") < script.index("distributed")
    assert "--nworkers 4 " in script
    assert "--nthreads 1 " in script


def test_dask_never_sets_numba_num_threads_in_this_process() -> None:
    """Not even while workers run: Numba refuses to compile once it differs from what its threads were started with."""
    dask = pytest.importorskip("dask", reason="the extra `cluster` is not installed")
    with one_thread_per_worker():
        here, there = (dask.config.get(f"distributed.nanny.{name}") for name in ("pre-spawn-environ", "environ"))
    assert "NUMBA_NUM_THREADS" not in here
    assert here["OMP_NUM_THREADS"] == there["NUMBA_NUM_THREADS"] == "1"
