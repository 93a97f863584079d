"""The drop-in module against values of MONAI 1.6.1 on 50 random pairs."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from pairs import COUNT, pair

from bipvl import monai

#: MONAI holds distances in float32.
FLOAT32 = 1e-5
REFERENCE = json.loads((Path(__file__).parent / "reference" / "monai.json").read_text())


def close(found, expected):
    expected = float(expected)
    if math.isnan(expected) or math.isinf(expected):
        return str(found) == str(expected)
    return abs(found - expected) <= FLOAT32 * max(1.0, abs(expected))


@pytest.mark.parametrize("seed", range(COUNT))
def test_equal_to_monai(seed):
    found, expected = pair(seed), REFERENCE[seed]
    pred, ref = (np.stack([~mask, mask])[None] for mask in (found.pred, found.ref))
    options = {"include_background": True, "spacing": found.spacing}
    values = {
        "dice": monai.compute_dice(pred, ref),
        "dice_not_empty": monai.compute_dice(pred, ref, ignore_empty=False),
        "hd": monai.compute_hausdorff_distance(pred, ref, **options),
        "hd95": monai.compute_hausdorff_distance(pred, ref, percentile=95, **options),
        "hd95_directed": monai.compute_hausdorff_distance(pred, ref, percentile=95, directed=True, **options),
        "asd": monai.compute_average_surface_distance(pred, ref, **options),
        "assd": monai.compute_average_surface_distance(pred, ref, symmetric=True, **options),
        "nsd": monai.compute_surface_dice(pred, ref, [1.5, 2.0], **options),
        "nsd_subvoxels": monai.compute_surface_dice(pred, ref, [1.5, 2.0], use_subvoxels=True, **options),
    }
    for name, numbers in values.items():
        assert numbers.shape == (1, 2) and numbers.dtype == np.float32
        assert all(map(close, numbers[0].tolist(), expected[name])), (name, numbers, expected[name])


def test_other_number_types_and_orders_give_the_same():
    found = pair(2)
    masks = [np.stack([~mask, mask])[None] for mask in (found.pred, found.ref)]
    expected = monai.compute_hausdorff_distance(*masks, spacing=found.spacing)
    assert expected.shape == (1, 1)
    for convert in (np.float32, np.uint8, np.float64, np.asfortranarray):
        converted = [convert(mask) for mask in masks]
        assert np.array_equal(monai.compute_hausdorff_distance(*converted, spacing=found.spacing), expected)


def test_what_is_not_computed_is_said():
    masks = [np.zeros((1, 2, 4, 4), bool)] * 2
    with pytest.raises(NotImplementedError, match="taxicab"):
        monai.compute_hausdorff_distance(*masks, distance_metric="taxicab")
    with pytest.raises(ValueError, match="does not match number of class thresholds"):
        monai.compute_surface_dice(*masks, [1.0, 2.0])
    with pytest.raises(ValueError, match="percentile should be a value between 0 and 100"):
        monai.compute_hausdorff_distance(*masks, percentile=200)
