"""Messages to commands, which are carried out in order: long and short forms, and headers relative to the one before them in a message.

SCPI-99, volume 1, 6.2.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product

from analog_sim.chip.server.commands import COMMANDS, Command
from analog_sim.chip.server.errors import ScpiError
from analog_sim.chip.server.messages import Message, MessageUnit, units_of
from analog_sim.chip.server.parameters import Parameters
from analog_sim.chip.server.session import Answer, Session
from analog_sim.config import UserError


def spellings(pattern: str) -> list[str]:
    """All forms of a header in capitals: each word short (its capitals) or whole."""
    query = "?" if pattern.endswith("?") else ""
    words = pattern.removesuffix("?").split(":")
    forms = [dict.fromkeys(("".join(c for c in word if not c.islower()), word.upper())) for word in words]
    return [":".join(chosen) + query for chosen in product(*forms)]


_TABLE: dict[str, Command] = {
    spelling: command for command in COMMANDS for pattern in command.patterns for spelling in spellings(pattern)
}


@lru_cache(maxsize=1024)
def find(header: str, path: str) -> tuple[Command, str]:
    """The command of a header, and the path that the next one may leave out. Raises ScpiError for an unknown one."""
    if header.startswith("*"):
        if header in _TABLE:
            return _TABLE[header], path
        raise ScpiError(-113, header[:60])
    plain = header.removeprefix(":")
    for full in (plain,) if header.startswith(":") else (path + plain, plain):
        if full in _TABLE:
            return _TABLE[full], full[: full.rfind(":") + 1]
    raise ScpiError(-113, header[:60])


def carry_out(session: Session, message: Message | ScpiError) -> Answer:
    """Carry a message out; the parts of the answer, none for a message without queries."""
    try:
        if isinstance(message, ScpiError):
            raise message
        units = units_of(message)
    except ScpiError as error:
        session.refuse(error)
        return []
    answer: Answer = []
    path = ""
    for unit in units:
        parts, path = _one(session, unit, path)
        if parts:
            answer += [b";", *parts] if answer else parts
    return [*answer, b"\n"] if answer else []


def _one(session: Session, unit: MessageUnit, path: str) -> tuple[Answer, str]:
    """Carry one command out: its answer, and the path that the next header may be relative to."""
    try:
        command, path = find(unit.header, path)
        if command.writes:
            session.chip.may_write(session)
        parameters = Parameters(unit.parameters, session.swapped, session.memory)
        answer = command.run(session, parameters)
        parameters.end()
    except ScpiError as error:
        session.refuse(error)
    except UserError as error:
        session.refuse(ScpiError(-221, str(error)))
    except (ValueError, OverflowError) as error:
        session.refuse(ScpiError(-222, str(error)))
    except Exception as error:  # a fault of ours must not end the other clients' sessions
        session.refuse(ScpiError(-300, f"{type(error).__name__}: {error}"))
    else:
        return ([answer.encode()] if isinstance(answer, str) else answer or []), path
    return [], path


def page() -> str:
    """All commands as a table in Markdown: part of docs/instrument.md, which a test compares with it."""
    lines = ["| Command | Writes | What it does |", "|---|---|---|"]
    for command in COMMANDS:
        headers = " or ".join(f"`{pattern}`" for pattern in command.patterns)
        usage = f" `{command.usage}`".replace("|", "\\|") if command.usage else ""
        lines.append(f"| {headers}{usage} | {'yes' if command.writes else ''} | {command.text} |")
    return "\n".join(lines)
