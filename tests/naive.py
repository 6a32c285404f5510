"""Slow, obvious twins of every kernel, in plain Python and float64. The kernels must agree with them.

Nothing here is fast and nothing is compiled. One section for each kernel module.
"""

import math

import numpy as np

# --- Random numbers (analog_sim/random/kernels/philox.py) ------------------------------------------


def philox(counter: tuple[int, int, int, int], key: tuple[int, int], rounds: int = 10) -> tuple[int, int, int, int]:
    """Philox4x32 as its paper states it, on Python integers (doi:10.1145/2063384.2063405)."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(rounds):
        product0 = 0xD2511F53 * c0
        product1 = 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (product1 >> 32) ^ c1 ^ k0, product1 % 2**32, (product0 >> 32) ^ c3 ^ k1, product0 % 2**32
        k0 = (k0 + 0x9E3779B9) % 2**32
        k1 = (k1 + 0xBB67AE85) % 2**32
    return c0, c1, c2, c3


def stream_word(key: tuple[int, int], i: int) -> int:
    """Word i of a stream: chunks of 1024 words, in each the four lanes of 256 blocks one after the other."""
    chunk, within = divmod(i, 1024)
    lane, column = divmod(within, 256)
    block = 256 * chunk + column
    return philox((block % 2**32, block // 2**32, 0, 0), key)[lane]


def stream_uniform(key: tuple[int, int], i: int) -> float:
    """Uniform i of a stream: the upper 24 bits of its word."""
    return (stream_word(key, i) >> 8) / 2**24


def box_muller(word0: int, word1: int) -> tuple[float, float]:
    """Two normals from two words: radius from the first; quarter turn and angle within it from the second."""
    u = float(np.float32((word0 % 2**31) | 1)) / 2**31  # float32 keeps all bits of a small u: the tail
    r = math.sqrt(-2.0 * math.log(u))
    x = ((word1 % 2**23) | 1) / 2**23 - 0.5
    n0, n1 = r * math.cos(math.pi / 2 * x), r * math.sin(math.pi / 2 * x)
    if word1 & 2**30:
        n0, n1 = n1, n0
    if word1 & 2**31:
        n0, n1 = -n0, -n1
    return n0, n1


def stream_normal(key: tuple[int, int], i: int) -> float:
    """Normal i of a stream: lanes 0 and 1 of a block make a pair, and lanes 2 and 3."""
    lane = (i % 1024) // 256
    first = i - 256 * (lane % 2)
    return box_muller(stream_word(key, first), stream_word(key, first + 256))[lane % 2]


# --- Reading and ageing (analog_sim/cells/kernels/ageing.py, converting.py, tables.py) -------------


def table_value(table: list[float], u: float) -> float:
    """Linear interpolation on a uniform grid of u in [0, 1]."""
    return float(np.interp(u, np.linspace(0.0, 1.0, len(table)), table))


def drifted(g: float, age: float, nu: float, t_ref: float) -> float:
    """Power-law drift, exact at age 0 and at t_ref."""
    return g * (max(age, t_ref) / t_ref) ** -nu


def reference_state(code: int, written: float, g_min: float, g_max: float) -> float:
    """Conductance at which a table of the target is read: the target, or the state as written where there is none."""
    return written if code == 0 else g_min + (code - 1) / 65534 * (g_max - g_min)


def read_std(now: float, target: float, age: float, white: float, flicker: float, t_read: float) -> float:
    """Standard deviation of a read: white of the state now, flicker stated against the target and in proportion to the conductance."""
    growth = math.log(max((age + t_read) / (2.0 * t_read), 1.0))
    return math.sqrt(white**2 + (flicker * now / target) ** 2 * growth)


def relaxation_path(key: tuple[int, int], cell: int, written: float, decades: float, first: int = 0) -> float:
    """Brownian path of a cell since it was written at that time: a normal for every whole decade, and its share of the one begun."""
    low, high = (int(n) for n in np.array([written]).view(np.uint32))
    path = 0.0
    for k in range(int(decades) + 1):
        word0, word1, _, _ = philox((first + k, cell, low, high), key)
        normal = box_muller(word0, word1)[0]
        path += normal * math.sqrt(min(1.0, decades - k))
    return path


def burst_path(
    key: tuple[int, int], cell: int, written: float, decades: float, tail: float, skew: float, first: int = 0
) -> float:
    """The same on a clock that leaps: in every decade begun it shows a root of a quadratic equation, the upper one after the leap."""
    low, high = (int(n) for n in np.array([written]).view(np.uint32))
    path = 0.0
    for k in range(int(decades) + 1):
        f = min(1.0, decades - k)
        word0, word1, word2, _ = philox((first + k, cell, low, high), key)
        normal, other = box_muller(word0, word1)
        uniform = (word2 >> 8) / 2**24
        if f > 0.0:
            # Roots of x^2 - (2 f + tail y) x + f^2 = 0; the lower one has probability f / (f + lower).
            middle = f + 0.5 * tail * other**2
            upper = middle + math.sqrt(middle**2 - f**2)
            lower = f**2 / upper
            clock = lower if uniform >= lower / (f + lower) else upper
            path += skew * (clock - f) / math.sqrt(tail) + math.sqrt((1.0 - skew**2) * clock) * normal
    return path


def path_number(key: tuple[int, int], cell: int, written: float, decades: float, share: float) -> int:
    """First block of the path that a cell follows: its own, or, where it returns, another in every decade."""
    low, high = (int(n) for n in np.array([written]).view(np.uint32))
    uniform = (philox((255, cell, low, high), key)[0] >> 8) / 2**24
    return 256 * (int(decades) + 1) if uniform < share else 0


def relaxed(g: float, mean: float, std: float, decades: float, path: float) -> float:
    """Diffusion in log time, cut at 0."""
    return max(0.0, g + mean * decades + std * path)


def dac_volts(x: float, scale: float, bits: int | None, v_full: float, *, unsigned: bool = False) -> float:
    """One input through a signed mid-tread converter, or through one without codes for negative inputs."""
    fraction = min(max(x / scale, 0.0 if unsigned else -1.0), 1.0)
    if bits is not None:
        top = 2**bits - 1 if unsigned else 2 ** (bits - 1) - 1
        fraction = round(fraction * top) / top
    return fraction * v_full


def adc_reading(current: float, full_range: float, bits: int | None) -> float:
    """One current through a signed mid-tread converter, in amperes."""
    if bits is None:
        return current
    top = 2 ** (bits - 1) - 1
    return round(min(max(current / full_range * top, -top), top)) / top * full_range


def noisy_products(g: np.ndarray, sigma: np.ndarray, v: np.ndarray, reads: int, rng: np.random.Generator) -> np.ndarray:
    """Currents (reads, cols) of repeated reads with one noise draw for every cell and read: g, sigma (rows, cols), v (rows,)."""
    return np.stack([v @ (g + sigma * rng.standard_normal(g.shape)) for _ in range(reads)])


# --- Patches of images (learning/common/patches/kernels.py) ----------------------------------------


def patches(images, kernel, stride, dilation, padding):
    """Rows (B H' W', C k_y k_x) of the zero-padded images (B, C, H, W), pixel by pixel."""
    batch, channels, height, width = images.shape
    size = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, p, d, k, s in zip((height, width), padding, dilation, kernel, stride, strict=True)
    ]
    rows = []
    for b in range(batch):
        for y in range(size[0]):
            for x in range(size[1]):
                row = []
                for c in range(channels):
                    for i in range(kernel[0]):
                        for j in range(kernel[1]):
                            at = (
                                y * stride[0] + i * dilation[0] - padding[0],
                                x * stride[1] + j * dilation[1] - padding[1],
                            )
                            inside = 0 <= at[0] < height and 0 <= at[1] < width
                            row.append(float(images[b, c, at[0], at[1]]) if inside else 0.0)
                rows.append(row)
    return np.array(rows, np.float32)
