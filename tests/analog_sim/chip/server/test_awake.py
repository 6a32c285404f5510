"""A server looks for the next message for a moment, and only where a processor is idle."""

from __future__ import annotations

import asyncio

import pytest

from analog_sim.chip.server import awake


@pytest.mark.parametrize(("idle", "least"), [(True, 3), (False, 0)])
def test_it_looks_for_a_moment_and_then_sleeps(monkeypatch: pytest.MonkeyPatch, idle: bool, least: int) -> None:
    looks: list[int] = []
    monkeypatch.setattr(awake, "give_way", lambda: looks.append(1))
    monkeypatch.setattr(awake, "MOMENT", 0.05)

    async def served() -> tuple[int, int]:
        stays = awake.Awake(idle)
        stays.stay()
        stays.stay()  # a second message keeps it awake, but does not look twice
        await asyncio.sleep(0.2)
        during = len(looks)
        await asyncio.sleep(0.1)
        return during, len(looks)

    during, after = asyncio.run(served())
    assert during >= least
    assert after == during
    assert idle or not during
