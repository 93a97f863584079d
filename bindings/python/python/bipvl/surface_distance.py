"""The functions of DeepMind's ``surface_distance`` 0.1, by name, argument order and result: change one import.

The reference comes first here, as there. Masks are boolean arrays with two or three axes, in any memory order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _bipvl
from ._metrics import in_memory_order

__all__ = [
    "compute_average_surface_distance",
    "compute_dice_coefficient",
    "compute_robust_hausdorff",
    "compute_surface_dice_at_tolerance",
    "compute_surface_distances",
    "compute_surface_overlap_at_tolerance",
]

SurfaceDistances = Mapping[str, NDArray[np.float64]]


def _mask(name: str, array: NDArray[Any]) -> NDArray[np.bool_]:
    if not isinstance(array, np.ndarray) or array.dtype != bool:
        found = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise ValueError(f"{name} should be a numpy array of type bool, not {found}")
    return array


def _sorted(
    distances: NDArray[np.float64], areas: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    order = np.lexsort((areas, distances))
    return distances[order], areas[order]


def compute_surface_distances(
    mask_gt: NDArray[np.bool_], mask_pred: NDArray[np.bool_], spacing_mm: Sequence[float]
) -> dict[str, NDArray[np.float64]]:
    """Distances from every surface element of one mask to the other mask's surface.

    Parameters
    ----------
    mask_gt, mask_pred : ndarray of bool
        Reference and prediction, two or three axes.
    spacing_mm : sequence of float
        mm per voxel, one per axis.

    Returns
    -------
    dict
        ``distances_gt_to_pred``, ``distances_pred_to_gt`` in mm, sorted, and ``surfel_areas_gt``, ``surfel_areas_pred`` in
        mm² (mm for two axes) in the same order. An empty mask has empty arrays; distances to it are infinite.
    """
    masks = [_mask("mask_pred", mask_pred), _mask("mask_gt", mask_gt)]
    spacing = [float(length) for length in spacing_mm]
    if masks[0].shape != masks[1].shape or len(spacing) != masks[1].ndim or len(spacing) not in (2, 3):
        raise ValueError(
            f"masks of shape {masks[1].shape} and {masks[0].shape} with a spacing of {len(spacing)} axes: expected two "
            "or three axes, the same in all"
        )
    views, lengths = in_memory_order(masks, spacing)
    [(to_gt, areas_pred, to_pred, areas_gt)] = _bipvl.surface_distances(
        views[0], views[1], lengths, [1], True, None
    )
    to_pred, areas_gt = _sorted(to_pred, areas_gt)
    to_gt, areas_pred = _sorted(to_gt, areas_pred)
    return {
        "distances_gt_to_pred": to_pred,
        "distances_pred_to_gt": to_gt,
        "surfel_areas_gt": areas_gt,
        "surfel_areas_pred": areas_pred,
    }


def _sides(
    surface_distances: SurfaceDistances,
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Distances and areas, of the reference first."""
    sides = [("distances_gt_to_pred", "surfel_areas_gt"), ("distances_pred_to_gt", "surfel_areas_pred")]
    return [(surface_distances[distances], surface_distances[areas]) for distances, areas in sides]


def _mean(distances: NDArray[np.float64], areas: NDArray[np.float64]) -> float:
    with np.errstate(invalid="ignore"):
        return float(np.sum(distances * areas) / np.sum(areas))


def compute_average_surface_distance(surface_distances: SurfaceDistances) -> tuple[float, float]:
    """Mean distances in mm, weighted by area: from the reference, and from the prediction."""
    reference, prediction = _sides(surface_distances)
    return _mean(*reference), _mean(*prediction)


def _robust_maximum(distances: NDArray[np.float64], areas: NDArray[np.float64], percent: float) -> float:
    if len(distances) == 0:
        return math.inf
    place = np.searchsorted(np.cumsum(areas) / np.sum(areas), percent / 100.0)
    return float(distances[min(int(place), len(distances) - 1)])


def compute_robust_hausdorff(surface_distances: SurfaceDistances, percent: float) -> float:
    """The larger of the two distances in mm within which ``percent`` of a surface's area lies."""
    return max(_robust_maximum(*side, percent) for side in _sides(surface_distances))


def compute_surface_overlap_at_tolerance(
    surface_distances: SurfaceDistances, tolerance_mm: float
) -> tuple[float, float]:
    """The parts, 0 to 1, of the reference's and the prediction's surface within the tolerance of the other."""
    parts = []
    for distances, areas in _sides(surface_distances):
        with np.errstate(invalid="ignore"):
            parts.append(float(np.sum(areas[distances <= tolerance_mm]) / np.sum(areas)))
    return parts[0], parts[1]


def compute_surface_dice_at_tolerance(surface_distances: SurfaceDistances, tolerance_mm: float) -> float:
    """The part, 0 to 1, of both surfaces within the tolerance of the other; ``nan`` without any surface."""
    sides = _sides(surface_distances)
    within = sum(float(np.sum(areas[distances <= tolerance_mm])) for distances, areas in sides)
    total = sum(float(np.sum(areas)) for _, areas in sides)
    return within / total if total > 0 else math.nan


def compute_dice_coefficient(mask_gt: NDArray[np.bool_], mask_pred: NDArray[np.bool_]) -> float:
    """Dice similarity coefficient; ``nan`` if both masks are empty."""
    # Numbers other than 0 and 1 are summed, as there.
    count = np.count_nonzero if mask_gt.dtype == mask_pred.dtype == bool else np.sum
    total = int(count(mask_gt)) + int(count(mask_pred))
    return 2 * int(count(mask_gt & mask_pred)) / total if total > 0 else math.nan
