"""Scores of 200 pairs of small random masks under four conventions, for tests/it/random_masks.rs.

Usage: python random_masks.py  (writes random_masks.json beside itself)
Python 3.11, numpy 2.3.5, scipy 1.17.1, torch 2.15.0, monai 1.6.1, surface-distance 0.1 (installed without
its dependencies). The seed of a pair is its number; the test draws the same masks by the same formula.

`monai`, `metrics-reloaded` and `medpy` are readings of their definitions with scipy in float64; the first is
held against monai.metrics here, pair by pair. `deepmind` is asked of surface-distance itself. Undefined
scores (NaN, infinite, refused) are null.
"""

import json
import warnings
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

# surface-distance 0.1 was written for numpy 1 and an older scipy.
np.Inf, np.NaN = np.inf, np.nan
import surface_distance  # noqa: E402
from monai import metrics as monai  # noqa: E402

CASES = 200
SPACINGS_MM = [0.6, 0.7, 0.8, 1.0, 1.25, 1.5, 2.5, 3.0]
TOLERANCES_MM = [1.0, 2.0]
# MONAI computes in float32.
FLOAT32 = 2e-6
NOTHING = float("nan")


class SplitMix64:
    """Steele, Lea and Flood's generator, which is a few lines in any language."""

    def __init__(self, seed):
        self.state = seed

    def below(self, limit):
        mask = 2**64 - 1
        self.state = (self.state + 0x9E3779B97F4A7C15) & mask
        mixed = self.state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & mask
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & mask
        return (mixed ^ (mixed >> 31)) % limit


def draw_case(number):
    """Spacing, prediction and reference; every tenth case lacks one of the masks or both."""
    random = SplitMix64(number)
    shape = [6 + random.below(9) for _ in range(3)]
    spacing = [SPACINGS_MM[random.below(len(SPACINGS_MM))] for _ in range(3)]
    prediction = draw_mask(random, shape)
    reference = draw_mask(random, shape)
    if number % 20 in (0, 5):
        prediction[:] = False
    if number % 20 in (0, 10):
        reference[:] = False
    return spacing, prediction, reference


def draw_mask(random, shape):
    """One to three ellipsoids; or noise alone; or ellipsoids with one voxel of 16 turned."""
    kind, density = random.below(10), 1 + random.below(7)
    blobs = [draw_blob(random, shape) for _ in range(1 + random.below(3))]
    mask = np.zeros(shape, dtype=bool)
    for voxel in np.ndindex(*shape):
        if kind < 2:
            mask[voxel] = random.below(8) < density
        else:
            turned = kind < 5 and random.below(16) == 0
            mask[voxel] = any(is_in_blob(voxel, blob) for blob in blobs) != turned
    return mask


def draw_blob(random, shape):
    center = [length // 4 + random.below(length // 2) for length in shape]
    radii = [1 + random.below(5) for _ in range(3)]
    return center, radii


def is_in_blob(voxel, blob):
    """Whether a voxel lies in an ellipsoid, in whole numbers, so that no rounding can decide."""
    center, radii = blob
    whole = radii[0] * radii[1] * radii[2]
    return sum(((voxel[a] - center[a]) * whole // radii[a]) ** 2 for a in range(3)) <= whole**2


def edge_distances(source, target, spacing):
    """From each edge voxel of one mask to the nearest of the other, in mm."""
    edges = [mask & ~ndimage.binary_erosion(mask) for mask in (source, target)]
    return ndimage.distance_transform_edt(~edges[1], sampling=spacing)[edges[0]]


def by_voxels(prediction, reference, spacing, hd95_of):
    """Dice, HD95, NSD at each tolerance and ASSD of two masks that are not empty."""
    there = edge_distances(prediction, reference, spacing)
    back = edge_distances(reference, prediction, spacing)
    joined = np.concatenate([there, back])
    # In float32, as MONAI compares them: what is the tolerance but for rounding is within it.
    nsd = [np.mean(joined.astype(np.float32) <= tolerance) for tolerance in TOLERANCES_MM]
    return [dice(prediction, reference), hd95_of(there, back), *nsd, joined.mean()]


def dice(prediction, reference):
    return 2 * (prediction & reference).sum() / (prediction.sum() + reference.sum())


def max_directed_percentile(there, back):
    return max(np.percentile(there, 95), np.percentile(back, 95))


def pooled_percentile(there, back):
    return np.percentile(np.concatenate([there, back]), 95)


def monai_reading(prediction, reference, spacing):
    if not prediction.any() and not reference.any():
        return [NOTHING] * 5
    if not reference.any():
        return [NOTHING, NOTHING, 0.0, 0.0, NOTHING]
    if not prediction.any():
        return [0.0, NOTHING, 0.0, 0.0, NOTHING]
    return by_voxels(prediction, reference, spacing, max_directed_percentile)


def metrics_reloaded_reading(prediction, reference, spacing):
    if not prediction.any() and not reference.any():
        return [1.0, 0.0, 1.0, 1.0, 0.0]
    if not prediction.any() or not reference.any():
        return [0.0, NOTHING, 0.0, 0.0, NOTHING]
    return by_voxels(prediction, reference, spacing, max_directed_percentile)


def medpy_reading(prediction, reference, spacing):
    """medpy knows no NSD: MONAI's takes its place. It refuses distances to an empty mask."""
    if not prediction.any() and not reference.any():
        return [1.0, NOTHING, NOTHING, NOTHING, NOTHING]
    if not prediction.any() or not reference.any():
        return [0.0, NOTHING, 0.0, 0.0, NOTHING]
    return by_voxels(prediction, reference, spacing, pooled_percentile)


def deepmind(prediction, reference, spacing):
    distances = surface_distance.compute_surface_distances(reference, prediction, spacing)
    means = surface_distance.compute_average_surface_distance(distances)
    nsd = [surface_distance.compute_surface_dice_at_tolerance(distances, mm) for mm in TOLERANCES_MM]
    return [
        surface_distance.compute_dice_coefficient(reference, prediction),
        surface_distance.compute_robust_hausdorff(distances, 95),
        *nsd,
        (means[0] + means[1]) / 2,
    ]


def monai_itself(prediction, reference, spacing):
    one_hot = [torch.from_numpy(mask)[None, None] for mask in (prediction, reference)]
    settings = {"include_background": True, "spacing": spacing}
    scores = [
        monai.compute_dice(*one_hot),
        monai.compute_hausdorff_distance(*one_hot, percentile=95, **settings),
        *[monai.compute_surface_dice(*one_hot, class_thresholds=[mm], **settings) for mm in TOLERANCES_MM],
        monai.compute_average_surface_distance(*one_hot, symmetric=True, **settings),
    ]
    return [float(score) for score in scores]


CONVENTIONS = {
    "monai": monai_reading,
    "deepmind": deepmind,
    "metrics-reloaded": metrics_reloaded_reading,
    "medpy": medpy_reading,
}


def defined(scores):
    """Null for what is not finite."""
    return [float(score) if np.isfinite(score) else None for score in scores]


def check_reading(number, reading, itself):
    """MONAI must say the same, undefined scores included."""
    for ours, theirs in zip(defined(reading), defined(itself), strict=True):
        same = ours is theirs is None or (
            None not in (ours, theirs) and abs(ours - theirs) <= FLOAT32 * max(1.0, abs(theirs))
        )
        assert same, f"case {number}: {reading} is not MONAI's {itself}"


def main():
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    lines = []
    for number in range(CASES):
        spacing, prediction, reference = draw_case(number)
        scores = {name: score(prediction, reference, spacing) for name, score in CONVENTIONS.items()}
        check_reading(number, scores["monai"], monai_itself(prediction, reference, spacing))
        voxels = [int(prediction.sum()), int(reference.sum())]
        scores = {name: defined(values) for name, values in scores.items()}
        lines.append(json.dumps({"voxels": voxels, "scores": scores}))
    path = Path(__file__).with_suffix(".json")
    path.write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
