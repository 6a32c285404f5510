"""Serve an emulated chip as an instrument: SCPI on a raw TCP socket. It never trains anything."""

from __future__ import annotations

import argparse
import asyncio
import gc
import ipaddress
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from learning.experiments.commands._cli import HelpText, add_set, require_schema
from learning.experiments.runs.examples import config_file

if TYPE_CHECKING:
    from analog_sim.chip.server.chip import ServedChip
    from learning.experiments.configs.serve import ServeConfig


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until it is told to stop; return the exit status."""
    parser = argparse.ArgumentParser(
        description="Serve an emulated chip as an instrument: SCPI on a raw TCP socket (docs/instrument.md).",
        epilog="example:\n  analog-hil serve serve_ecram --port 5025",
        formatter_class=HelpText,
        allow_abbrev=False,
    )
    parser.add_argument(
        "config", metavar="CONFIG", type=config_file, help="YAML file (schema: serve/1), or the name of an example"
    )
    add_set(parser)
    parser.add_argument(
        "--host", metavar="ADDRESS", default="127.0.0.1", help="address to listen on (default: loopback)"
    )
    parser.add_argument(
        "--anyone", action="store_true", help="allow another address than loopback: nobody is asked for a password"
    )
    parser.add_argument("--port", metavar="N", type=int, default=5025, help="port (default: 5025; 0 for a free one)")
    parser.add_argument(
        "--hislip",
        metavar="PORT",
        type=int,
        nargs="?",
        const=4880,
        help="speak HiSLIP too (default port: 4880; 0 for a free one)",
    )
    parser.add_argument(
        "--dashboard",
        metavar="PORT",
        type=int,
        nargs="?",
        const=8025,
        help="show the chip on a page of this machine (default port: 8025; 0 for a free one)",
    )
    options = parser.parse_args(arguments)

    from analog_sim.config import UserError, load_config
    from learning.experiments.configs.serve import ServeConfig

    for name, port in (("--port", options.port), ("--dashboard", options.dashboard), ("--hislip", options.hislip)):
        if port is not None and not 0 <= port <= 65535:
            raise UserError(f"{name}: 0 to 65535 (got {port})")
    if not options.anyone and not _loopback(options.host):
        raise UserError(f"--host: {options.host} can be reached from other machines; add --anyone if that is meant")
    require_schema(options.config, "serve/1", options.overrides)
    config = load_config(options.config, ServeConfig, overrides=options.overrides)
    ports = {"dashboard": options.dashboard, "hislip": options.hislip}
    chip = _ready(config)
    return asyncio.run(_serve(chip, config.identity, options.host, options.port, ports))


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _ready(config: ServeConfig) -> ServedChip:
    """The chip, its kernels compiled: a minute of work, before there is an event loop, so that Ctrl-C ends it like any command."""
    from analog_sim.chip.warm_up import warm_up
    from learning.experiments.configs.serve import served_chip
    from learning.experiments.runs.compiling import compiling

    chip, redone = served_chip(config)
    if chip.journal is not None and chip.journal.cut:
        print(
            f"{config.journal}: its last {chip.journal.cut} bytes are no whole operation and were left out: the server ended while it "
            "wrote them, or the file was damaged",
            flush=True,
        )
    if redone:
        print(f"did {redone} operations of {config.journal} again", flush=True)
    with compiling("serve", lambda line: print(line, file=sys.stderr, flush=True), "a minute"):
        warm_up(chip.fabric.cell)
    gc.freeze()  # what is there now stays: the garbage collector need not go through it while clients wait
    return chip


async def _serve(chip: ServedChip, identity: str, host: str, port: int, others: dict[str, int | None]) -> int:
    from analog_sim.chip.dashboard.http import Dashboard
    from analog_sim.chip.server.hislip import Hislip
    from analog_sim.chip.server.serve import Instrument

    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    named = f"[{host}]" if ":" in host else host
    instrument = Instrument(chip, identity)
    server = await instrument.start(host, port)
    hislip = Hislip(instrument)
    if others["hislip"] is not None:
        second = await hislip.start(host, others["hislip"])
        print(f"HiSLIP at TCPIP::{named}::hislip0,{second.sockets[0].getsockname()[1]}::INSTR", flush=True)
    if others["dashboard"] is not None:
        page = await Dashboard(instrument).start(others["dashboard"])
        print(f"dashboard at http://127.0.0.1:{page.sockets[0].getsockname()[1]}", flush=True)
    print(f"serving {identity} at scpi://{named}:{server.sockets[0].getsockname()[1]}", flush=True)
    await ended.wait()
    server.close()
    instrument.drop_all()
    hislip.drop_all()
    await asyncio.sleep(0)
    if chip.journal is not None:
        chip.journal.close()
    return 0
