"""How often a verdict is right: data of known cells, cards that are right or wrong by half, verdicts counted. It never fits.

Run it as a script for the table of docs/measurements.md (one process, some minutes a setting):

    python tests/verdict_study.py --right 100 --wrong 30

`tests/devices/measurements/proof/test_verdict_power.py` runs a small dose of it.
"""

import argparse
import sys
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
from known_labs import cell, cut_into_ramps, plan
from scipy import stats

from devices.measurements.data.read_noise import ReadNoise
from devices.measurements.data.split import folds
from devices.measurements.data.start_states import StartStates
from devices.measurements.proof.proof import Proof
from devices.measurements.proof.pulses import Candidate, prove
from devices.measurements.proof.replay import replay

STATES, NOISE = 60, 0.3
"""Pulses to cross the window of the right card at the first step, and scatter of a step as share of it."""


@dataclass(frozen=True)
class Card:
    """What differs between cards: factors on the mean step and on its scatter (siemens), spread between devices, read noise (S)."""

    mean: float = 1.0
    noise: float = 1.0
    spread: float = 0.0
    read: float = 0.05e-6

    def candidate(self) -> Candidate:
        """The card compiled, with its read noise."""
        states = round(STATES / self.mean)
        relative = NOISE * self.noise * states / STATES  # the scatter in siemens is that of `noise` alone
        return Candidate(cell(states, relative, self.spread, self.read), ReadNoise(self.read))


@dataclass(frozen=True)
class Setting:
    """An experiment: devices, rounds of 60 pulses up and 60 down, whether every ramp is a trace, and the right card."""

    name: str
    devices: int
    rounds: int
    ramps: bool
    right: Card

    def wrong(self) -> dict[str, Card]:
        """Cards with one quantity wrong by half."""
        right = self.right
        found = {}
        for word, factor in (("halved", 0.5), ("50 % larger", 1.5)):
            found[f"mean step {word}"] = replace(right, mean=factor)
            found[f"noise of steps {word}"] = replace(right, noise=factor)
            if right.spread > 0:
                found[f"spread of devices {word}"] = replace(right, spread=factor * right.spread)
            if right.read > 0.2e-6:
                found[f"read noise {word}"] = replace(right, read=factor * right.read)
        return found


SETTINGS = (
    Setting("1 device, 4 rounds", 1, 4, False, Card()),
    Setting("1 device, 8 rounds, noisy reads", 1, 8, False, Card(read=0.3e-6)),
    Setting("12 devices, alike", 12, 1, False, Card()),
    Setting("20 devices that differ by 15 %", 20, 1, False, Card(spread=0.15)),
    Setting("60 devices that differ by 15 %", 60, 1, False, Card(spread=0.15)),
    Setting("60 devices that differ by 35 %, ramps", 60, 2, True, Card(spread=0.35)),
    Setting("60 devices that differ by 35 %, noisy reads", 60, 1, False, Card(spread=0.35, read=0.3e-6)),
)


def proven(setting: Setting, card: Card, seed: int) -> Proof:
    """One experiment on cells of the right card, and the proof of a card that was not fitted, as `characterise.py --against` makes it."""
    state = np.random.default_rng(seed).uniform(3e-6, 8e-6, setting.devices)
    begin = StartStates(state, np.full(setting.devices, np.nan))
    lab = replay(setting.right.candidate().cell, plan(setting.devices, setting.rounds), begin, seed=1000 + seed)
    traces = cut_into_ramps(lab) if setting.ramps else lab
    parts = folds(traces, seed=seed)
    return prove(parts, [card.candidate()] * len(parts), traces, how="all data", seed=seed, several=True)


def verdicts(setting: Setting, card: Card, experiments: int, first: int = 0) -> Counter[str]:
    """Verdicts on a card over experiments with seeds from `first` on."""
    return Counter(proven(setting, card, seed).verdict for seed in range(first, first + experiments))


def bound(good: int, of: int) -> str:
    """Share and its 95 % interval (Clopper and Pearson)."""
    low = stats.beta.ppf(0.025, good, of - good + 1) if good else 0.0
    high = stats.beta.ppf(0.975, good + 1, of - good) if good < of else 1.0
    return f"{good / of:.1%} ({low:.1%} to {high:.1%})"


def line(name: str, found: Counter[str]) -> str:
    """One row of the table."""
    return f"{name:34s} GOOD {found['good']:3d}  UNPROVEN {found['unproven']:3d}  FAIR {found['fair']:3d}  BAD {found['bad']:3d}"


def main() -> int:
    parser = argparse.ArgumentParser(description="Count verdicts on right and wrong cards.")
    parser.add_argument("--right", type=int, default=100, help="experiments with the right card, a setting")
    parser.add_argument("--wrong", type=int, default=30, help="experiments with each wrong card, a setting")
    parser.add_argument("--setting", type=int, default=None, help="number of one setting, from 0")
    options = parser.parse_args()
    chosen = SETTINGS if options.setting is None else SETTINGS[options.setting : options.setting + 1]
    good, of = 0, 0
    for setting in chosen:
        print(f"\n{setting.name}", flush=True)
        right = verdicts(setting, setting.right, options.right)
        print(line("  right card", right), f" good {bound(right['good'], options.right)}", flush=True)
        for name, card in setting.wrong().items():
            found = verdicts(setting, card, options.wrong)
            good, of = good + found["good"], of + options.wrong
            print(line(f"  {name}", found), flush=True)
    print(f"\nwrong cards called GOOD: {good} of {of}: {bound(good, of)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
