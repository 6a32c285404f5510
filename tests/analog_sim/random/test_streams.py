"""Random streams: known answers, twins, splitting, threads, checkpoints, and the distributions that they claim."""

import json
import math
import os
import pickle
import platform
import subprocess
import sys

import llvmlite.binding
import naive
import numba
import numpy as np
import pytest
from numba import njit
from scipy import stats
from statistics_helpers import (
    TEST_ALPHA,
    assert_distribution,
    assert_mean,
    assert_probability,
    assert_std,
    assert_uncorrelated,
    bonferroni,
)

from analog_sim.random.kernels import philox as kernels
from analog_sim.random.streams import FEW, Stream, Streams

KEY = (0x12345678, 0x9ABCDEF0)
JIT = not numba.config.DISABLE_JIT


def stream(position: int = 0) -> Stream:
    return Stream(*KEY, name="test", position=position)


# Published with the paper's reference implementation (Random123, kat_vectors): counter, key, result.
KNOWN_ANSWERS = [
    ((0,) * 4, (0,) * 2, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_philox_known_answers(counter, key, answer):
    words = kernels.philox(*(np.uint64(x) for x in (*counter, *key)))
    assert tuple(int(w) for w in words) == answer
    assert naive.philox(counter, key) == answer


# The start of a stream, the seams of lanes and chunks, and the place where the low half of the block counter wraps.
POSITIONS = [0, 1, 255, 256, 511, 512, 1023, 1024, 5000, 2**34 - 1, 2**34, 2**34 + 300, 2**50 + 7]


@pytest.mark.parametrize("position", POSITIONS)
def test_words_uniforms_and_normals_equal_the_naive_twin(position):
    n = 3
    words = stream(position).words(n)
    assert [int(w) for w in words] == [naive.stream_word(KEY, position + i) for i in range(n)]
    uniforms = stream(position).uniforms(n)
    assert [float(u) for u in uniforms] == [naive.stream_uniform(KEY, position + i) for i in range(n)]
    normals = stream(position).normals(n)
    np.testing.assert_allclose(
        normals, [naive.stream_normal(KEY, position + i) for i in range(n)], rtol=2e-6, atol=2e-6
    )


@njit
def pair_of(word0, word1):
    return kernels.normal_pair(word0, word1)


@njit
def signed_of(word):
    return kernels.signed(word)


@pytest.mark.parametrize("word", [0, 1, 2, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x3FFFFFFF, 0x40000000])
def test_extreme_words_make_finite_normals(word):
    signed = np.int32(signed_of(np.uint64(word)))
    for angle in (0, 0xFFFFFFFF, 0x40000000, 0x007FFFFF):
        pair = pair_of(signed, np.int32(signed_of(np.uint64(angle))))
        np.testing.assert_allclose(pair, naive.box_muller(word, angle), rtol=2e-6, atol=2e-6)
        assert max(abs(pair[0]), abs(pair[1])) <= 6.56
    low = kernels.uniform(signed)
    assert 0.0 <= low < 1.0


def test_largest_normal_is_beyond_six_sigma():
    # Word 0 gives the smallest u = 2**-31, an angle word of about half a quarter turn puts nearly all of r into one number.
    pair = pair_of(np.int32(0), np.int32(0x3FFFFF))
    assert max(abs(pair[0]), abs(pair[1])) == pytest.approx(math.sqrt(62 * math.log(2)), rel=1e-5)


SPLITS = [(1, 2, 3), (255, 1, 300), (1023, 2, 1500), (1024, 1024, 5), (0, 7, 0)]


@pytest.mark.jit
@pytest.mark.parametrize("position", [0, 5, 2**32 - 7])
def test_few_uniforms_are_the_first_of_many(position):
    many, few = stream(position).uniforms(FEW + 1), stream(position).uniforms((FEW // 4, 4))
    assert few.dtype == many.dtype == np.float32
    np.testing.assert_array_equal(few.reshape(-1), many[:FEW])


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("draw", ["words", "uniforms", "normals"])
def test_successive_draws_equal_one_draw(split, draw):
    if not JIT and sum(split) > 600:
        split = split[:2]
    one = stream(77)
    whole = getattr(one, draw)(sum(split))
    many = stream(77)
    parts = np.concatenate([getattr(many, draw)(n) for n in split])
    np.testing.assert_array_equal(whole, parts)
    assert one.position == many.position == 77 + sum(split)


def test_integers_permutation_and_float64_advance_two_words_each():
    s = stream()
    s.integers(0, 10, (2, 3))
    assert s.position == 12
    s.permutation(5)
    assert s.position == 22
    s.normals(4, dtype=np.float64)
    assert s.position == 30


@pytest.mark.parametrize("n", [700, pytest.param(5000, marks=pytest.mark.jit)])
def test_added_noise_is_the_streams_normals(n):
    start = np.linspace(-1.0, 1.0, n, dtype=np.float32)
    variance = np.linspace(0.0, 4.0, n, dtype=np.float32)
    y = start.copy()
    stream(900).add_normals(y, variance=variance)
    normals = stream(900).normals(n)
    np.testing.assert_allclose(y, start + np.sqrt(variance) * normals, rtol=1e-6, atol=2e-6)
    assert y[0] == start[0]  # zero variance: untouched
    z = start.copy()
    stream(900).add_normals(z, std=0.25)
    np.testing.assert_allclose(z, start + np.float32(0.25) * normals, rtol=1e-6, atol=1e-6)
    both = start.copy()
    stream(900).add_normals(both, std=0.5, variance=variance)
    np.testing.assert_allclose(both, start + np.sqrt(variance + np.float32(0.25)) * normals, rtol=1e-6, atol=2e-6)
    # In parts: the same bits.
    parts = start.copy()
    s = stream(900)
    for a, b in ((0, 100), (100, 650), (650, n)):
        s.add_normals(parts[a:b], variance=variance[a:b])
    np.testing.assert_array_equal(parts, y)


@pytest.mark.jit
@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="one thread only")
def test_same_bits_on_one_and_two_threads():
    n = 3 * kernels.TASK + 1234
    variance = np.linspace(0.5, 2.0, n, dtype=np.float32)
    results = []
    before = numba.get_num_threads()
    try:
        for threads in (1, 2):
            numba.set_num_threads(threads)
            s = stream(5)
            y = np.zeros(n, np.float32)
            s.add_normals(y, variance=variance)
            w = np.zeros(n, np.float32)
            s.add_normals(w, std=0.5)
            results.append((s.normals(n), s.uniforms(n), y, w))
    finally:
        numba.set_num_threads(before)
    for one, two in zip(*results, strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_key_is_the_same_in_every_process_and_release():
    # Changing how keys are made changes every published result: these are fixed for good.
    s = Streams(7).child("chip", 3).stream("read")
    assert s.state() == {"name": "7/chip/3/read", "key": "bfa63de794e4ce30", "position": 0}
    code = "from analog_sim.random.streams import Streams; print(Streams(7).child('chip', 3).stream('read').state()['key'])"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == s.state()["key"]


def test_names_are_told_apart():
    places = [
        Streams(0),
        Streams(1),
        Streams(0, ("a",)),
        Streams(0, ("1",)),
        Streams(0, (1,)),
        Streams(0, ("a", "b")),
        Streams(0, ("ab",)),
        Streams(0, ("a/b",)),
        Streams(0, ("b", "a")),
        Streams(2**70),
        *(Streams(0, ("chip", i)) for i in range(100)),
    ]
    keys = {p.stream("read").state()["key"] for p in places}
    assert len(keys) == len(places)
    assert Streams(0).child("a").child("b").stream("c").state() == Streams(0).stream("a", "b", "c").state()
    assert Streams(np.int64(3)).stream(np.int64(4)).state() == Streams(3).stream(4).state()


def test_state_restores_and_pickles():
    s = Streams(1).stream("read")
    s.normals(10)
    saved = json.loads(json.dumps(s.state()))
    copy = pickle.loads(pickle.dumps(s))
    expected = s.normals(20)
    np.testing.assert_array_equal(copy.normals(20), expected)
    np.testing.assert_array_equal(Streams(1).stream("read").restore(saved).normals(20), expected)
    assert pickle.loads(pickle.dumps(Streams(1, ("a", 2)))) == Streams(1, ("a", 2))
    with pytest.raises(ValueError, match=r"state of '1/pulse'.*allowed: key"):
        Streams(1).stream("pulse").restore(saved)
    with pytest.raises(ValueError, match="position of '1/read'"):
        s.restore({**saved, "position": -1})


def test_reserve_hands_out_disjoint_ranges():
    s = stream()
    key0, key1, offset = s.reserve(100)
    assert (int(key0), int(key1), int(offset)) == (*KEY, 0)
    assert int(s.reserve(1)[2]) == 100
    out = np.empty(5, np.float32)
    kernels.fill_normals(out, *stream().reserve(5))
    np.testing.assert_array_equal(out, stream().normals(5))
    with pytest.raises(ValueError, match="reserve"):
        s.reserve(-1)
    with pytest.raises(ValueError, match="reserve"):
        Stream(*KEY, position=2**64 - 2).reserve(2)


def test_refusals_say_what_was_got():
    y = np.zeros((4, 4), np.float32)
    with pytest.raises(ValueError, match="seed: got -1"):
        Streams(-1)
    with pytest.raises(TypeError, match=r"seed: got 1\.5"):
        Streams(1.5)
    with pytest.raises(TypeError, match="seed: got True"):
        Streams(True)
    with pytest.raises(TypeError, match="name: got None"):
        Streams(1).stream(None)
    with pytest.raises(ValueError, match="dtype of normals"):
        stream().normals(3, dtype=np.int32)
    with pytest.raises(ValueError, match=r"range of integers: got \(3, 3\)"):
        stream().integers(3, 3, 1)
    with pytest.raises(ValueError, match="shape: got"):
        stream().normals((2, -1))
    with pytest.raises(ValueError, match="y of add_normals"):
        stream().add_normals(y.T[:, :2], std=1.0)
    with pytest.raises(ValueError, match="y of add_normals"):
        stream().add_normals(y.astype(np.float64), std=1.0)
    with pytest.raises(ValueError, match="std of add_normals: got nan"):
        stream().add_normals(y, std=math.nan)
    with pytest.raises(ValueError, match="std of add_normals: got None"):
        stream().add_normals(y)
    with pytest.raises(ValueError, match=r"std of add_normals: got -1\.0"):
        stream().add_normals(y, std=-1.0, variance=y)
    with pytest.raises(ValueError, match=r"variance of add_normals.*allowed: C-contiguous float32 \(4, 4\)"):
        stream().add_normals(y, variance=y[:2])


def test_integers_cover_their_range():
    n = 4000 if JIT else 400
    x = stream().integers(-2, 5, n)
    assert x.dtype == np.int64
    assert set(x.tolist()) == set(range(-2, 5))
    for value in range(-2, 5):
        assert_probability(int((x == value).sum()), n, 1 / 7, bonferroni(TEST_ALPHA, 7), what=f"P(x = {value})")
    assert stream().integers(0, 2**32, 10).max() > 2**28
    assert (stream().integers(5, 6, 10) == 5).all()


def test_integers_are_the_high_half_of_the_product():
    w = stream().words(20).astype(object)
    span = 2**32 - 5
    expected = [((int(w[2 * i]) + (int(w[2 * i + 1]) << 32)) * span) >> 64 for i in range(10)]
    assert stream().integers(0, span, 10).tolist() == expected


def test_permutation_is_uniform():
    n = 60 if not JIT else 1200
    s = stream()
    first = np.array([s.permutation(5) for _ in range(n)])
    assert (np.sort(first, axis=1) == np.arange(5)).all()
    for place in range(5):
        assert_probability(int((first[:, place] == 0).sum()), n, 0.2, bonferroni(TEST_ALPHA, 5))
    assert stream().permutation(0).size == 0


def test_a_small_sample_has_the_right_moments():
    # Small enough to run without compiled kernels.
    x = stream().normals(2048)
    assert_mean(x, 0.0, bonferroni(TEST_ALPHA, 2), std=1.0)
    assert_std(x, 1.0, bonferroni(TEST_ALPHA, 2))


@pytest.mark.jit
class TestDistributions:
    N = 1 << 22

    def test_moments_of_normals(self):
        x = stream().normals(self.N).astype(np.float64)
        alpha = bonferroni(TEST_ALPHA, 6)
        for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96), (5, 0, 945), (6, 15, 10170)):
            assert_mean(x**power, moment, alpha, std=math.sqrt(variance), what=f"moment {power}")

    def test_normals_follow_the_normal_distribution(self):
        s = stream()
        for _ in range(4):
            assert_distribution(s.normals(self.N // 4), stats.norm.cdf, bonferroni(TEST_ALPHA, 4))

    def test_float64_normals_follow_the_normal_distribution(self):
        assert_distribution(stream().normals(self.N // 8, dtype=np.float64), stats.norm.cdf, TEST_ALPHA)

    def test_tails_are_complete(self):
        x = np.abs(stream().normals(16 * self.N))
        assert np.isfinite(x).all()
        edges = [3.0, 3.5, 4.0, 4.5, 5.0]
        for edge in edges:
            p = 2.0 * float(stats.norm.sf(edge))
            assert_probability(
                int((x > edge).sum()), x.size, p, bonferroni(TEST_ALPHA, len(edges)), what=f"P(|x| > {edge})"
            )

    def test_pairs_are_independent(self):
        # The two normals of a pair are 256 apart; also neighbours, chunks apart, and their squares and cubes.
        x = stream().normals(self.N)
        lags = (1, 2, 255, 256, 512, 1024)
        for lag in lags:
            a, b = x[:-lag], x[lag:]
            for p, q in ((1, 1), (2, 2), (1, 2), (3, 1)):
                assert_uncorrelated(
                    a**p, b**q, bonferroni(TEST_ALPHA, 4 * len(lags)), what=f"lag {lag}, powers {p} {q}"
                )

    def test_angle_of_a_pair_is_uniform(self):
        x = stream().normals(self.N).reshape(-1, 2, 2, 256)
        angle = np.arctan2(x[:, :, 1], x[:, :, 0]).ravel() / (2 * np.pi) + 0.5
        assert_distribution(angle, stats.uniform.cdf, TEST_ALPHA)

    def test_streams_are_independent(self):
        names = ("fabrication", "programming", "read", "pulse", "drift")
        draws = [Streams(seed).stream(name).normals(1 << 18) for seed in (0, 1) for name in names]
        pairs = [(i, j) for i in range(len(draws)) for j in range(i)]
        for i, j in pairs:
            for power in (1, 2):
                assert_uncorrelated(draws[i] ** power, draws[j] ** power, bonferroni(TEST_ALPHA, 2 * len(pairs)))

    def test_uniforms_are_uniform(self):
        u = stream().uniforms(self.N)
        assert u.min() >= 0.0
        assert u.max() < 1.0
        # The grid of 2**-24 is coarser than the test's resolution only above 2**40 samples.
        assert_distribution(u, stats.uniform.cdf, TEST_ALPHA)

    def test_every_bit_of_a_word_is_fair(self):
        w = stream().words(self.N)
        for bit in range(32):
            ones = int(((w >> np.uint32(bit)) & np.uint32(1)).sum())
            assert_probability(ones, self.N, 0.5, bonferroni(TEST_ALPHA, 32), what=f"bit {bit}")

    @pytest.mark.parametrize("seed", range(0, 100, 9))
    def test_every_seed_is_good(self, seed):
        x = Streams(seed).stream("read").normals(1 << 16)
        assert_distribution(x, stats.norm.cdf, bonferroni(TEST_ALPHA, 12))

    def test_noise_of_given_variance(self):
        y = np.full(self.N // 4, 2.0, np.float32)
        stream().add_normals(y, variance=np.full(y.shape, 9.0, np.float32))
        assert_distribution((y - 2.0) / 3.0, stats.norm.cdf, bonferroni(TEST_ALPHA, 2))
        tiny = np.zeros(self.N // 4, np.float32)
        stream().add_normals(tiny, variance=np.full(y.shape, 1e-18, np.float32))  # currents of nanoamperes
        assert_distribution(tiny * np.float32(1e9), stats.norm.cdf, bonferroni(TEST_ALPHA, 2))


BITS = """
import hashlib, numpy as np
from analog_sim.random.streams import Streams
s = Streams(1).stream("read")
x = s.normals(5000)
y = np.ones(5000, np.float32)
s.add_normals(y, variance=np.abs(x))
print(hashlib.sha256(x.tobytes() + y.tobytes()).hexdigest())
"""


@pytest.mark.jit
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names x86 processors")
def test_same_bits_on_every_vector_unit():
    # As compiled for a processor without fused multiply-add (SSE2), for 256-bit vectors, and for this machine.
    names = ["x86-64"]
    features = str(llvmlite.binding.get_host_cpu_features().flatten())
    names += ["haswell"] if "+avx2" in features and "+fma" in features else []
    digests = {}
    for name in ("", *names):
        env = os.environ | ({"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": ""} if name else {})
        result = subprocess.run([sys.executable, "-c", BITS], capture_output=True, text=True, check=True, env=env)
        digests[name or "this machine"] = result.stdout.strip()
    assert len(set(digests.values())) == 1, digests
