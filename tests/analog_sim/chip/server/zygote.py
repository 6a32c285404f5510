"""A process that has everything loaded and forks servers, so that one starts in milliseconds: `python zygote.py CONFIG`.

Each line on its input forks one, which prints what `scripts/serve_chip.py` prints; then the zygote prints `pid N`. It ends with its input.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from analog_sim.chip.warm_up import warm_up
from analog_sim.config import load_config
from learning.experiments.commands.serve import _ready, _serve
from learning.experiments.configs.serve import ServeConfig


def main() -> None:
    config = load_config(Path(sys.argv[1]), ServeConfig)
    warm_up(config.device.compile())
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # killed children leave no trace
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            served = _serve(_ready(config), config.identity, "127.0.0.1", 0, {"hislip": None, "dashboard": None})
            os._exit(asyncio.run(served))
        print(f"pid {child}", flush=True)


if __name__ == "__main__":
    main()
