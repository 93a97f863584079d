"""Random pairs of masks: unions of ellipsoids with stray voxels, some of them empty, some at the edge of the array."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Pairs of the acceptance test.
COUNT = 50
#: Every fifth pair is a picture of two axes, every eleventh has an empty mask.
PICTURES, EMPTY = 5, 11


@dataclass
class Pair:
    pred: NDArray[np.bool_]
    ref: NDArray[np.bool_]
    spacing: tuple[float, ...]


def _ellipsoids(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    axes = np.meshgrid(*(np.arange(length) for length in shape), indexing="ij")
    mask = np.zeros(shape, bool)
    for _ in range(3):
        center = [rng.integers(0, length) for length in shape]
        radii = [rng.integers(2, 3 + length // 3) for length in shape]
        distance = sum(((axis - c) / r) ** 2 for axis, c, r in zip(axes, center, radii))
        mask |= np.asarray(distance <= 1)
    return mask


def pair(seed: int) -> Pair:
    """A pair that depends on nothing but its seed."""
    rng = np.random.default_rng(seed)
    dimensions = 2 if seed % PICTURES == 0 else 3
    shape = tuple(int(length) for length in rng.integers(9, 34, dimensions))
    spacing = tuple(float(step) / 8 for step in rng.integers(3, 25, dimensions))
    ref = _ellipsoids(rng, shape)
    shift = rng.integers(-2, 3, dimensions)
    pred = np.roll(ref, shift, axis=tuple(range(dimensions)))
    pred ^= rng.random(shape) < 0.004
    if seed % EMPTY == 0:
        (pred if seed % 2 else ref)[...] = False
    return Pair(pred, ref, spacing)
