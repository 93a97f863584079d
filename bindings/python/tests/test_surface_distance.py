"""The drop-in module against values of DeepMind's surface_distance 0.1 on 50 random pairs."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from pairs import COUNT, pair

from bipvl import surface_distance as sd

#: Sums of thousands of float64 terms in another order.
SUMMATION = 1e-9
REFERENCE = json.loads((Path(__file__).parent / "reference" / "surface_distance.json").read_text())


def close(found, expected):
    expected = float(expected)
    return (math.isnan(found) and math.isnan(expected)) or found == expected or abs(found - expected) <= SUMMATION * max(
        1.0, abs(expected)
    )


def arrangements(mask):
    """The same mask in C and F order, as a strided view, and seen backwards from a reversed copy."""
    spread = np.zeros([2 * length for length in mask.shape], bool)
    spread[tuple(slice(None, None, 2) for _ in mask.shape)] = mask
    reversed_ = np.ascontiguousarray(mask[::-1])[::-1]
    return [mask, np.asfortranarray(mask), spread[tuple(slice(None, None, 2) for _ in mask.shape)], reversed_]


@pytest.mark.parametrize("seed", range(COUNT))
def test_equal_to_surface_distance(seed):
    found, expected = pair(seed), REFERENCE[seed]
    for gt, pred in zip(arrangements(found.ref), arrangements(found.pred)):
        distances = sd.compute_surface_distances(gt, pred, found.spacing)
        values = {
            "average": list(sd.compute_average_surface_distance(distances)),
            "hausdorff95": [sd.compute_robust_hausdorff(distances, 95)],
            "hausdorff": [sd.compute_robust_hausdorff(distances, 100)],
            "overlap": list(sd.compute_surface_overlap_at_tolerance(distances, 2.0)),
            "surface_dice": [sd.compute_surface_dice_at_tolerance(distances, 2.0)],
            "dice": [sd.compute_dice_coefficient(gt, pred)],
            "areas": [float(np.sum(distances[name])) for name in ("surfel_areas_gt", "surfel_areas_pred")],
            "counts": [len(distances[name]) for name in ("distances_gt_to_pred", "distances_pred_to_gt")],
        }
        for name, numbers in values.items():
            assert all(map(close, numbers, expected[name])), (name, numbers, expected[name])
        for name in ("distances_gt_to_pred", "distances_pred_to_gt"):
            assert np.array_equal(distances[name], np.sort(distances[name]))


def test_axes_may_be_permuted():
    found = pair(1)
    expected = sd.compute_robust_hausdorff(sd.compute_surface_distances(found.ref, found.pred, found.spacing), 95)
    for order in [(1, 0, 2), (2, 1, 0), (1, 2, 0)]:
        masks = [mask.transpose(order) for mask in (found.ref, found.pred)]
        distances = sd.compute_surface_distances(*masks, [found.spacing[axis] for axis in order])
        assert close(sd.compute_robust_hausdorff(distances, 95), expected)


def test_other_types_and_shapes_are_refused():
    mask = np.zeros((3, 3, 3), bool)
    with pytest.raises(ValueError, match="mask_gt should be a numpy array of type bool, not uint8"):
        sd.compute_surface_distances(mask.astype(np.uint8), mask, (1, 1, 1))
    with pytest.raises(ValueError, match="the same in all"):
        sd.compute_surface_distances(mask, mask, (1, 1))
