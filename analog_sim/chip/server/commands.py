"""Every command: how it is written, what it needs, what it does. Each method and each field of the protocol `Crossbar` has one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from analog_sim.chip.record import operations
from analog_sim.chip.record.operations import Request
from analog_sim.chip.server.chip import Served
from analog_sim.chip.server.errors import ScpiError
from analog_sim.chip.server.memory import attached
from analog_sim.chip.server.parameters import Parameters
from analog_sim.chip.server.session import Answer, Session
from analog_sim.pulses.plans import PulseCounts

VERSION = "1999.0"
Handler = Callable[[Session, Parameters], str | Answer | None]


@dataclass(frozen=True)
class Command:
    """A row of the table.

    Attributes:
        patterns: headers; capitals are the short form. run: does it. usage: its parameters. text: what it does.
        writes: only the client in the writer's place may send it.
    """

    patterns: tuple[str, ...]
    run: Handler
    text: str
    usage: str = ""
    writes: bool = False


def _error(session: Session, _: Parameters) -> str:
    code, text = session.status.next_error()
    return f'{code},"{_quotable(text)}"'


def _quotable(text: str) -> str:
    return text.replace('"', '""').replace("\n", " ").encode("ascii", "replace").decode()


def _report(session: Session, _: Parameters) -> str:
    code, text = session.status.next_error()
    while session.status.errors:
        session.status.next_error()
    last, now = session.last, session.chip.fabric.clock.now
    return f'{code},"{_quotable(text)}",{last.units},{last.seconds!r},{last.joules!r},{now!r}'


def _self_test(session: Session, _: Parameters) -> str:
    session.chip.fabric.clock.now  # noqa: B018 - the chip answers
    return "0"


def _clear(session: Session, parameters: Parameters) -> None:
    parameters.end()
    session.status.clear()


def _reset(session: Session, parameters: Parameters) -> None:
    parameters.end()
    session.reset()


def _event_mask(session: Session, parameters: Parameters) -> None:
    session.status.enabled_events = parameters.whole(0, 255)


def _service_mask(session: Session, parameters: Parameters) -> None:
    session.status.enabled_service = parameters.whole(0, 255)


def _order(session: Session, parameters: Parameters) -> None:
    session.swapped = parameters.word("NORMal", "SWAPped") == "SWAP"


def _format(session: Session, parameters: Parameters) -> None:
    word = parameters.word("REAL", "ASCii")
    if word == "REAL" and parameters.left:
        parameters.whole(32, 32)
    session.ascii = word == "ASC"


def _select(session: Session, parameters: Parameters) -> None:
    session.selected = session.chip.array(parameters.string()).name


def _catalogue(session: Session, _: Parameters) -> str:
    return ",".join(_quoted(name) for name in session.chip.arrays) or '""'


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""').replace("\n", " ") + '"'


def _define(session: Session, parameters: Parameters) -> None:
    name = parameters.string()
    rows, cols, pair = parameters.whole(1, 1 << 20), parameters.whole(1, 1 << 20), parameters.switch()
    place = parameters.whole(0, 1 << 10) if parameters.left else 0
    parameters.end()
    session.chip.define(name, rows, cols, pair, place)


def _largest(session: Session, _: Parameters) -> str:
    largest = session.chip.fabric.largest
    return "0,0" if largest is None else f"{largest[0]},{largest[1]}"


def _vectors(session: Session, parameters: Parameters, kind: str) -> Answer:
    served = session.array(parameters)
    lines = served.info.cols if kind == "mvm_transposed" else served.info.rows
    values = parameters.numbers("f4")
    if values.size % lines:
        raise ScpiError(-222, f"vectors of {lines} volts are needed (got {values.size} numbers)")
    request = Request(served.name, kind, arrays={"v": values.reshape(-1, lines)})
    return session.numbers(session.do(served, request, parameters)["i"], shared=parameters.shared)


def _conductance(session: Session, parameters: Parameters) -> Answer:
    served = session.array(parameters)
    info = served.info
    rows, cols = [0, info.rows], [0, info.cols]
    if parameters.left:
        rows = [parameters.whole(0, info.rows), parameters.whole(0, info.rows)]
        cols = [parameters.whole(0, info.cols), parameters.whole(0, info.cols)]
    request = Request(served.name, "read_conductance", {"rows": rows, "cols": cols})
    return session.numbers(session.do(served, request, parameters)["g"])


def _cells(served: Served, values: np.ndarray) -> np.ndarray:
    info = served.info
    if values.size != info.cells:
        raise ScpiError(-222, f"{info.cells} numbers are needed, one for each cell (got {values.size})")
    return values.reshape(info.planes, info.rows, info.cols)


def _program(session: Session, parameters: Parameters) -> None:
    served = session.array(parameters)
    target = _cells(served, parameters.numbers("f4"))
    session.do(served, Request(served.name, "program", arrays={"target": target}), parameters)


def _program_masked(session: Session, parameters: Parameters) -> None:
    served = session.array(parameters)
    target, mask = _cells(served, parameters.block("f4")), _cells(served, parameters.block("u1"))
    arrays = {"target": target, "mask": mask.astype(np.bool_)}
    session.do(served, Request(served.name, "program", arrays=arrays), parameters)


def _counts(session: Session, parameters: Parameters) -> None:
    served = session.array(parameters)
    counts = _cells(served, parameters.numbers("i2"))
    session.do(served, Request(served.name, "pulse", arrays={"counts": counts}), parameters)


def _counts_of_cells(session: Session, parameters: Parameters) -> None:
    served = session.array(parameters)
    info = served.info
    cells = parameters.block("u4").astype(np.int64)
    few = parameters.as_many(("i1", "i2"), len(cells))
    if len(cells) and not (cells[-1] < info.cells and (cells[1:] > cells[:-1]).all()):
        raise ScpiError(-222, f"numbers of cells ascend and are below {info.cells}")
    counts = np.zeros(info.cells, np.int16)
    counts[cells] = few
    lines = cells // info.cols
    rows = lines[np.flatnonzero(np.diff(lines, prepend=-1))]
    plan = PulseCounts(counts.reshape(info.planes, info.rows, info.cols), rows=rows)
    session.do(served, operations.pulse(served.name, plan), parameters)


def _train(session: Session, parameters: Parameters) -> None:
    served = session.array(parameters)
    info = served.info
    samples, length = parameters.whole(0, 1 << 24), parameters.whole(1, 63)
    mode = {"BOTH": "both", "ONES": "one_sided"}[parameters.word("BOTH", "ONESided")]
    word = next(size for size in (1, 2, 4, 8) if length <= 8 * size)
    arrays = {
        name: _lines(parameters.block(kind), samples, lines, name)
        for name, kind, lines in (
            ("row_bits", f"u{word}", info.rows),
            ("col_bits", f"u{word}", info.cols),
            ("row_sign", "i1", info.rows),
            ("col_sign", "i1", info.cols),
        )
    }
    for name in ("row_bits", "col_bits"):
        if (arrays[name].astype(np.uint64) >> np.uint64(length)).any():
            raise ScpiError(-222, f"{name}: bits beyond the {length} slots of the train are set")
    for name in ("row_sign", "col_sign"):
        if (np.abs(arrays[name]) != 1).any():
            raise ScpiError(-222, f"{name}: signs are -1 or +1")
    session.do(served, Request(served.name, "pulse", {"length": length, "mode": mode}, arrays), parameters)


def _lines(values: np.ndarray, samples: int, lines: int, what: str) -> np.ndarray:
    if values.size != samples * lines:
        raise ScpiError(-222, f"{what}: {samples} x {lines} numbers are needed (got {values.size})")
    return values.reshape(samples, lines)


def _wait(session: Session, parameters: Parameters) -> None:
    served = session.array(parameters)
    session.do(served, Request(served.name, "wait", {"seconds": parameters.number()}), parameters)


def _flush(session: Session, parameters: Parameters) -> None:
    served = session.array(parameters)
    parameters.end()
    served.crossbar.flush()


def _time(session: Session, _: Parameters) -> str:
    return repr(session.chip.fabric.clock.now)


def _advance(session: Session, parameters: Parameters) -> None:
    seconds = parameters.number()
    parameters.end()
    session.chip.advance(seconds)


def _open(session: Session, parameters: Parameters, parallel: bool) -> None:
    parameters.end()
    session.chip.open_frame(parallel)


def _close(session: Session, parameters: Parameters) -> None:
    parameters.end()
    session.frame_seconds = session.chip.close_frame()


def _totals(session: Session, parameters: Parameters) -> str:
    totals = session.array(parameters).crossbar.log.totals
    parts = [f'"{kind}",{t.calls},{t.units},{t.seconds!r},{t.joules!r}' for kind, t in totals.items()]
    return ",".join(parts) or '""'


def _position(session: Session, _: Parameters) -> str:
    answers = session.chip.answers
    answers.wanted = True
    return f'"{session.chip.token}",{answers.position}'


def _answer_again(session: Session, parameters: Parameters) -> Answer:
    position, digest = parameters.whole(0, 1 << 53), parameters.string()
    parameters.end()
    results, session.last = session.chip.answers.of(position, digest)
    return session.numbers(next(iter(results.values()), np.empty(0, np.float32)))


def _go_on(session: Session, parameters: Parameters) -> None:
    seconds, position = parameters.number(), parameters.whole(0, 1 << 53)
    parameters.end()
    session.chip.go_on(seconds, position)


def _request_lock(session: Session, _: Parameters) -> str:
    try:
        session.chip.may_write(session)
    except ScpiError:
        return "0"
    return "1"


def _release(session: Session, parameters: Parameters) -> None:
    parameters.end()
    session.chip.release(session)


def _owner(session: Session, _: Parameters) -> str:
    writer = session.chip.writer
    return "NONE" if writer is None else "SELF" if writer is session else "OTHER"


def _share(session: Session, parameters: Parameters) -> str:
    process, number = parameters.whole(1, 1 << 22), parameters.whole(0, 1 << 20)
    parameters.end()
    if not session.local:
        raise ScpiError(-221, "memory is shared with clients of this machine only")
    session.memory = attached(process, number)
    return str(session.memory.half)


def _limits(session: Session, _: Parameters) -> str:
    limits = session.chip.limits
    return f"{limits.block_bytes},{limits.cells},{limits.arrays},{limits.pulses},{limits.wait!r}"


def _headers(session: Session, _: Parameters) -> Answer:
    text = "\n".join(pattern for command in COMMANDS for pattern in command.patterns).encode()
    return [b"#%d%d" % (len(str(len(text))), len(text)), text]


INFO_HEADERS = {
    "rows": "ARRay:ROWS?",
    "cols": "ARRay:COLumns?",
    "pair": "ARRay:PAIR?",
    "g_min": "ARRay:GMIN?",
    "g_max": "ARRay:GMAX?",
    "v_max": "ARRay:VMAX?",
    "transposed_read": "ARRay:CAPability:TRANsposed?",
    "parallel_pulse": "ARRay:CAPability:PARallel?",
    "programmable": "ARRay:CAPability:PROGram?",
    "pulsed": "ARRay:CAPability:PULSe?",
    "inspectable": "ARRay:CAPability:INSPect?",
}
"""Field of `ChipInfo` -> its command; the amplitude and the width of pulses are the chip's own."""
INFO_TEXTS = {
    "rows": "word lines (inputs)",
    "cols": "bit lines (outputs)",
    "pair": "1 when every cross point holds two cells whose currents are subtracted",
    "g_min": "smallest conductance, siemens",
    "g_max": "largest conductance, siemens",
    "v_max": "largest read voltage, volts",
    "transposed_read": "1 when it can be read transposed",
    "parallel_pulse": "1 when it takes outer-product trains",
    "programmable": "1 when cells can be programmed to a target",
    "pulsed": "1 when cells answer to single pulses",
    "inspectable": "always 0: a served chip is sealed",
}


def _info(name: str) -> Command:
    def run(session: Session, parameters: Parameters) -> str:
        value = getattr(session.array(parameters).info, name)
        return repr(int(value) if isinstance(value, bool | int) else float(value))

    return Command((INFO_HEADERS[name],), run, INFO_TEXTS[name], '["array"]')


COMMANDS: tuple[Command, ...] = (
    Command(("*IDN?",), lambda s, p: s.identity, "maker, model, serial number, version"),
    Command(
        ("*RST",), _reset, "this client's settings (format, byte order, selected array); cells keep what they hold"
    ),
    Command(("*CLS",), _clear, "clear the event register and the errors"),
    Command(("*ESR?",), lambda s, p: str(s.status.events()), "standard event register, cleared by reading"),
    Command(("*ESE",), _event_mask, "events that show in bit 5 of the status byte", "0...255"),
    Command(("*ESE?",), lambda s, p: str(s.status.enabled_events), "that mask"),
    Command(("*SRE",), _service_mask, "bits of the status byte that set bit 6", "0...255"),
    Command(("*SRE?",), lambda s, p: str(s.status.enabled_service), "that mask"),
    Command(("*STB?",), lambda s, p: str(s.status.byte()), "status byte: 4 errors wait, 32 enabled event, 64 service"),
    Command(("*OPC",), lambda s, p: s.status.complete(), "set bit 0 of the event register; commands are done in order"),
    Command(("*OPC?",), lambda s, p: "1", "1 when all before it is done"),
    Command(("*WAI",), lambda s, p: None, "nothing: commands are done in order"),
    Command(("*TST?",), _self_test, "0: the self-test found nothing"),
    Command(("SYSTem:ERRor?", "SYSTem:ERRor:NEXT?"), _error, 'oldest error, `number,"text"`; `0,"No error"` when none'),
    Command(("SYSTem:ERRor:COUNt?",), lambda s, p: str(s.status.errors), "errors that wait"),
    Command(
        ("SYSTem:REPort?",),
        _report,
        "oldest error, then clears them; then units, chip seconds and joules of the last operation, and chip time",
    ),
    Command(("SYSTem:VERSion?",), lambda s, p: VERSION, "version of SCPI"),
    Command(("SYSTem:HELP:HEADers?",), _headers, "all headers, in a block"),
    Command(
        ("SYSTem:LIMits?",), _limits, "bytes of a message's blocks, cells of an array, arrays, pulses per cell, seconds"
    ),
    Command(
        ("SYSTem:MEMory?",),
        _share,
        "take a client's shared memory (a sealed memfd of a process of the same user); the bytes of its first half. From then on the "
        "volts of a read may stand there as `@first byte:bytes`, little-endian, and its answer is `@first byte:bytes` in the second "
        "half; the siemens of `PROG` and the counts of `PULS:COUN` may stand there, too",
        "process,file number",
    ),
    Command(("SYSTem:LOCK:REQuest?",), _request_lock, "take the writer's place: 1, or 0 when another has it"),
    Command(("SYSTem:LOCK:RELease",), _release, "give it back; disconnecting does too"),
    Command(("SYSTem:LOCK:OWNer?",), _owner, "NONE, SELF or OTHER"),
    Command(
        ("FORMat:BORDer",),
        _order,
        "byte order of blocks, both ways: NORMal big-endian, SWAPped little-endian",
        "NORM|SWAP",
    ),
    Command(("FORMat:BORDer?",), lambda s, p: "SWAP" if s.swapped else "NORM", "that order"),
    Command(("FORMat", "FORMat:DATA"), _format, "answers as blocks of 32-bit floats, or as decimals", "REAL[,32]|ASC"),
    Command(("FORMat?", "FORMat:DATA?"), lambda s, p: "ASC" if s.ascii else "REAL,32", "that format"),
    Command(("ARRay:CATalog?",), _catalogue, "names of the arrays"),
    Command(("ARRay:SELect",), _select, "array that commands without a name are for", '"array"'),
    Command(("ARRay:SELect?",), lambda s, p: _quoted(s.chip.array(s.selected).name), "its name"),
    Command(
        ("ARRay:DEFine",),
        _define,
        "an array of a name, made unless it is there; the first `place` parts of the name say where on the chip it lies",
        '"array",rows,cols,ON|OFF[,place]',
        writes=True,
    ),
    Command(("ARRay:LARGest?",), _largest, "rows and columns of the largest available array; 0,0 for any"),
    *(_info(name) for name in INFO_HEADERS),
    Command(
        ("READ:MVM?",),
        lambda s, p: _vectors(s, p, "mvm"),
        "currents (A) for vectors of volts on the rows",
        '["array",]volts',
    ),
    Command(
        ("READ:MVM:TRANsposed?",),
        lambda s, p: _vectors(s, p, "mvm_transposed"),
        "currents for vectors of volts on the columns",
        '["array",]volts',
    ),
    Command(
        ("READ:CONDuctance?",),
        _conductance,
        "cells one by one (S), read noise included: (planes, rows, cols); lines from the first to before the second number",
        '["array"][,row,row,col,col]',
    ),
    Command(("PROGram",), _program, "write cells to conductances (S)", '["array",]siemens', writes=True),
    Command(
        ("PROGram:MASKed",),
        _program_masked,
        "only where the mask's byte is not 0",
        '["array",]siemens,mask',
        writes=True,
    ),
    Command(("PULSe:COUNts",), _counts, "signed pulses for every cell (16-bit)", '["array",]counts', writes=True),
    Command(
        ("PULSe:CELLs",),
        _counts_of_cells,
        "the same for some cells, 0 for all others: their numbers, ascending, counted through planes, rows and columns (32-bit), and as "
        "many signed pulses (8-bit or 16-bit, which the length of the block says)",
        '["array",]cells,counts',
        writes=True,
    ),
    Command(
        ("PULSe:TRAin",),
        _train,
        "outer-product train; bits in the narrowest of 8, 16, 32, 64-bit words that hold its slots, signs 8-bit",
        '["array",]samples,slots,BOTH|ONES,row bits,col bits,row signs,col signs',
        writes=True,
    ),
    Command(("WAIT",), _wait, "let chip time pass", '["array",]seconds', writes=True),
    Command(("FLUSh",), _flush, "return when queued commands are done", '["array"]'),
    Command(
        ("LOG:TOTals?",), _totals, "kind, calls, units, chip seconds, joules of every kind of operation", '["array"]'
    ),
    Command(
        ("LOG:POSition?",),
        _position,
        "name of this chip in quotes, and how many operations it has done; from then on it remembers its last 512 answers",
    ),
    Command(
        ("LOG:ANSWer?",),
        _answer_again,
        "answer of an operation that was done, again (an empty block for one without); the digest is of what was asked",
        'position,"digest"',
    ),
    Command(("TIME?",), _time, "chip time, seconds"),
    Command(
        ("TIME:MODE?",), lambda s, p: "REAL" if s.chip.real_time else "VIRT", "chip time is the wall's, or virtual"
    ),
    Command(
        ("TIME:ADVance",), _advance, "time that converters took; does nothing in real time", "seconds", writes=True
    ),
    Command(
        ("TIME:PARallel",),
        lambda s, p: _open(s, p, True),
        "operations up to `TIME:END` count as the longest",
        writes=True,
    ),
    Command(
        ("TIME:SEQuence",), lambda s, p: _open(s, p, False), "operations up to `TIME:END` count together", writes=True
    ),
    Command(("TIME:END",), _close, "close the innermost of these", writes=True),
    Command(
        ("TIME:GO",),
        _go_on,
        "set chip time, behind the last operation, to where an interrupted run goes on",
        "seconds,position",
        writes=True,
    ),
    Command(("TIME:LAST?",), lambda s, p: repr(s.frame_seconds), "seconds of the one that was closed last"),
)
