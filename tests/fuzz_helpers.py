"""How many seeds a fuzz test tries, and from which on: ANALOG_HIL_FUZZ and ANALOG_HIL_FUZZ_FIRST of the environment."""

import os


def fuzz_seeds(few: int) -> range:
    """Seeds 0 to few - 1, as the suite tries them; a larger dose, and one that nobody has seen, by the environment."""
    first = int(os.environ.get("ANALOG_HIL_FUZZ_FIRST", "0"))
    return range(first, first + int(os.environ.get("ANALOG_HIL_FUZZ", str(few))))
