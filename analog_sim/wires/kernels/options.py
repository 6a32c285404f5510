"""How the kernels of wires are compiled; those within others as `analog_sim.random.kernels.options.WITHIN`."""

from typing import Any

KERNEL: dict[str, Any] = {"cache": True, "nogil": True, "fastmath": False, "_nrt": False}
