"""Patches against torch's unfold and fold, and against the slow twin."""

import naive
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from learning.common.patches.windows import Windows

GEOMETRY = [
    # kernel, stride, dilation, padding (y, x), channels, height, width
    ((3, 3), (1, 1), (1, 1), (1, 1), 4, 8, 8),
    ((3, 2), (2, 1), (1, 2), (2, 0), 3, 13, 7),
    ((1, 1), (2, 2), (1, 1), (0, 0), 5, 6, 9),
    ((1, 1), (1, 1), (1, 1), (0, 0), 1, 1, 1),
    ((5, 3), (3, 2), (2, 1), (1, 3), 2, 13, 17),
    ((2, 4), (1, 3), (1, 1), (3, 5), 1, 2, 3),
    # Of channels in whole vectors, side by side, a patch is gathered by blocks.
    ((3, 3), (1, 1), (1, 1), (1, 1), 16, 6, 5),
    ((3, 3), (2, 1), (1, 2), (1, 0), 32, 7, 9),
    ((4, 4), (1, 1), (1, 1), (2, 2), 16, 5, 4),
    ((2, 4), (1, 3), (2, 1), (1, 3), 48, 5, 3),
    ((2, 2), (1, 1), (1, 1), (0, 0), 16, 2, 3),
    ((5, 4), (1, 1), (1, 1), (2, 1), 16, 5, 4),
]


def windows(kernel, stride, dilation, padding):
    return Windows(kernel, stride, dilation, padding[0], padding[0], padding[1], padding[1])


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(("kernel", "stride", "dilation", "padding", "channels", "height", "width"), GEOMETRY)
def test_patches_are_those_of_torch(kernel, stride, dilation, padding, channels, height, width, channels_last):
    images = torch.randn(3, channels, height, width, generator=torch.Generator().manual_seed(0))
    unfolded = F.unfold(images, kernel, dilation, padding, stride)
    columns = unfolded.transpose(1, 2).reshape(-1, unfolded.shape[1]).numpy()
    if channels_last:
        images = images.contiguous(memory_format=torch.channels_last)
    here = windows(kernel, stride, dilation, padding)
    patches = here.patches(images.numpy())
    np.testing.assert_array_equal(patches.all(), columns)
    np.testing.assert_array_equal(naive.patches(images.numpy(), kernel, stride, dilation, padding), columns)
    back = F.fold(unfolded, (height, width), kernel, dilation, padding, stride).numpy()
    np.testing.assert_allclose(here.scatter(columns, (3, channels, height, width)), back, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("channels", [3, 16, 32])
def test_a_strip_is_a_part_of_all_and_leaves_further_columns_alone(channels):
    images = np.random.default_rng(1).normal(size=(2, 5, 6, channels)).astype(np.float32).transpose(0, 3, 1, 2)
    patches = windows((3, 3), (1, 1), (1, 1), (1, 1)).patches(images)
    rows = np.full((7, patches.length + 2), 9.0, np.float32)
    patches.read(25, rows)  # from the first image into the second
    np.testing.assert_array_equal(rows[:, :-2], patches.all()[25:32])
    assert (rows[:, -2:] == 9.0).all()
    turned = np.full((patches.length, 7), 9.0, np.float32).T
    np.testing.assert_array_equal(patches.read(25, turned), patches.all()[25:32])


def test_images_that_lie_densely_are_not_copied_where_pixels_are_gathered():
    images = np.random.default_rng(1).normal(size=(2, 5, 6, 32)).astype(np.float32).transpose(0, 3, 1, 2)
    for here, kept in ((windows((3, 3), (1, 1), (1, 1), (1, 1)), images), (Windows((1, 1)), images)):
        assert np.shares_memory(here.patches(kept).pixels, images)
    half = images[:, :16]
    of_half = windows((3, 3), (1, 1), (1, 1), (1, 1)).patches(half).all()
    np.testing.assert_array_equal(of_half, naive.patches(half, (3, 3), (1, 1), (1, 1), (1, 1)))


def test_some_patches_are_spread_evenly():
    images = np.random.default_rng(3).normal(size=(2, 3, 5, 6)).astype(np.float32)
    patches = Windows((2, 2)).patches(images)
    for every in (1, 3, 39, 40, 100):
        np.testing.assert_array_equal(patches.some(every), patches.all()[::every])
    assert Windows((2, 2)).patches(images[:0]).some(7).shape == (0, 12)


def test_gathering_and_adding_up_are_transposes():
    rng = np.random.default_rng(2)
    images = rng.normal(size=(2, 3, 6, 5)).astype(np.float32)
    here = windows((3, 2), (2, 1), (1, 2), (1, 2))
    rows = here.patches(images).all()
    other = rng.normal(size=rows.shape).astype(np.float32)
    assert np.vdot(rows, other) == pytest.approx(np.vdot(images, here.scatter(other, images.shape)), rel=1e-4)


def test_what_does_not_fit_is_refused():
    images = np.zeros((1, 2, 4, 4), np.float32)
    patches = Windows((3, 3)).patches(images)
    with pytest.raises(ValueError, match=r"patches 2 to 5 .*there are 4 of 18"):
        patches.read(2, np.empty((3, 18), np.float32))
    with pytest.raises(ValueError, match="rows of 17"):
        patches.read(0, np.empty((1, 17), np.float32))
    assert Windows((5, 5)).size(4, 4) == (0, 0)
    assert len(Windows((3, 3)).patches(images[:0])) == 0
