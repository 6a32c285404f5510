"""Every error bound stated in analog_sim/random/kernels/math.py is measured here over its whole stated domain."""

import numba
import numpy as np
import pytest
from numba import njit

from analog_sim.random.kernels import math as km

JIT = not numba.config.DISABLE_JIT
N = 1_000_000 if JIT else 1500


# Named kernels, not a factory: a kernel that closes over a function is compiled anew in every process.
@njit
def each_log(x, out):
    for i in range(x.shape[0]):
        out[i] = km.log(x[i])


@njit
def each_log2(x, out):
    for i in range(x.shape[0]):
        out[i] = km.log2(x[i])


@njit
def each_exp(x, out):
    for i in range(x.shape[0]):
        out[i] = km.exp(x[i])


@njit
def each_exp2(x, out):
    for i in range(x.shape[0]):
        out[i] = km.exp2(x[i])


@njit
def each_power(x, y, out):
    for i in range(x.shape[0]):
        out[i] = km.power(x[i], y[i])


@njit
def each_quarter(x, s, c):
    for i in range(x.shape[0]):
        s[i], c[i] = km.sincos_quarter(x[i])


@njit
def each_fma(a, b, c, out):
    for i in range(a.shape[0]):
        out[i] = km.fma(a[i], b[i], c[i])


def apply(kernel, *arguments, outputs=1):
    results = [np.empty_like(arguments[0]) for _ in range(outputs)]
    kernel(*arguments, *results)
    return results[0].astype(np.float64) if outputs == 1 else [r.astype(np.float64) for r in results]


def relative(got, expected):
    return float(np.max(np.abs(got - expected) / np.abs(expected)))


def positive(low, high):
    return np.geomspace(low, high, N).astype(np.float32)


@pytest.mark.parametrize("domain", [(1.2e-38, 3.4e38), (0.5, 2.0), (0.999, 1.001)])
def test_log(domain):
    x = positive(*domain)
    x = x[x != 1.0]
    assert relative(apply(each_log, x), np.log(x.astype(np.float64))) < 1.2e-7
    assert relative(apply(each_log2, x), np.log2(x.astype(np.float64))) < 1.7e-7


def test_log_of_one_is_zero():
    one = np.ones(1, np.float32)
    assert apply(each_log, one)[0] == 0.0
    assert apply(each_log2, np.array([8.0], np.float32))[0] == 3.0


def test_exp2():
    x = np.linspace(-126.0, 127.49, N).astype(np.float32)
    assert relative(apply(each_exp2, x), np.exp2(x.astype(np.float64))) < 1e-7
    edges = apply(each_exp2, np.array([-1000.0, 0.0, 10.0, 1000.0], np.float32))
    assert edges[:3].tolist() == [2.0**-126, 1.0, 1024.0]
    assert edges[3] == pytest.approx(2.0**127.49, rel=1e-5)


def test_exp():
    x = np.linspace(-87.3, 88.3, N).astype(np.float32)
    assert relative(apply(each_exp, x), np.exp(x.astype(np.float64))) < 1.2e-7
    edges = apply(each_exp, np.array([-1000.0, 0.0, 1000.0], np.float32))
    assert 1.1e-38 < edges[0] < 1.3e-38
    assert edges[1] == 1.0
    assert edges[2] == pytest.approx(np.exp(88.36), rel=1e-5)


def test_power():
    # Drift factors: up to 1e9 seconds over the reference time, exponents up to 0.1; and wilder ones.
    for base, exponents, drift in (((1.0, 1e9), (-0.1, 0.1), True), ((1e-6, 1e6), (-3.0, 3.0), False)):
        x = positive(*base)
        y = np.tile(np.linspace(*exponents, 100), N // 100 + 1)[:N].astype(np.float32)
        expected = x.astype(np.float64) ** y.astype(np.float64)
        error = np.abs(apply(each_power, x, y) - expected) / expected
        assert np.max(error / (1.0 + np.abs(np.log2(expected)))) < 2e-7
        if drift:
            assert np.max(error[expected > 0.5]) < 4e-7


def test_sincos():
    x = np.linspace(-0.5, 0.5, N).astype(np.float32)
    s, c = apply(each_quarter, x, outputs=2)
    angle = np.pi / 2.0 * x.astype(np.float64)
    assert np.max(np.abs(s - np.sin(angle))) < 1.2e-7
    assert np.max(np.abs(c - np.cos(angle))) < 1.2e-7


def test_fma_rounds_once():
    # (1 + e)(1 - e) - 1 = -e^2: with two roundings the product would be 1 and the result 0.
    e = np.float32(2.0**-13)
    a, b = np.array([1 + e], np.float32), np.array([1 - e], np.float32)
    assert apply(each_fma, a, b, np.array([-1.0], np.float32))[0] == -(2.0**-26)
