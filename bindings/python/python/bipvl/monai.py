"""The metric functions of MONAI 1.6, by name, argument order and result: change one import.

Masks are one-hot, ``[B, C, H, W]`` or ``[B, C, H, W, D]``, of numpy, torch, or anything with ``__array__``; the result
``[B, C]`` is a torch tensor for a torch tensor, else a numpy array, of float32. As in MONAI a spacing that is not given is
1. Distances are Euclidean; ``ignore_index`` and ``per_component`` are not supported.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _bipvl
from ._metrics import in_memory_order

__all__ = [
    "compute_average_surface_distance",
    "compute_dice",
    "compute_hausdorff_distance",
    "compute_surface_dice",
]

Distances = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def _array(tensor: Any) -> NDArray[Any]:
    detached = tensor.detach().cpu() if hasattr(tensor, "detach") else tensor
    array = np.asarray(detached)
    if array.ndim not in (4, 5):
        raise ValueError(f"expected [B, C, H, W] or [B, C, H, W, D], not the shape {array.shape}")
    return array


def _like(tensor: Any, values: NDArray[np.float32]) -> Any:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(tensor, torch.Tensor):
        return torch.from_numpy(values).to(tensor.device)
    return values


def _pair(y_pred: Any, y: Any, include_background: bool) -> tuple[NDArray[Any], NDArray[Any]]:
    arrays = [_array(y_pred), _array(y)]
    if arrays[0].shape != arrays[1].shape:
        raise ValueError(f"y_pred and y should have same shapes, got {arrays[0].shape} and {arrays[1].shape}")
    if not include_background and arrays[0].shape[1] > 1:
        arrays = [array[:, 1:] for array in arrays]
    return arrays[0], arrays[1]


def _spacings(spacing: Any, batch: int, dimensions: int) -> list[list[float]]:
    """A spacing per image: of nothing, a number, one per axis, or one sequence per image."""
    if spacing is None:
        return [[1.0] * dimensions] * batch
    if np.ndim(spacing) == 0:
        return [[float(spacing)] * dimensions] * batch
    if np.ndim(spacing[0]) == 0:
        spacing = [spacing] * batch
    if len(spacing) != batch or any(len(lengths) not in (1, dimensions) for lengths in spacing):
        raise ValueError(f"spacing={spacing}: expected {dimensions} lengths, or {batch} sequences of them")
    return [
        [float(length) for length in (lengths if len(lengths) == dimensions else list(lengths) * dimensions)]
        for lengths in spacing
    ]


def _euclidean(distance_metric: str) -> None:
    if distance_metric != "euclidean":
        raise NotImplementedError(f"distance_metric={distance_metric!r}: only euclidean is computed here")


def _distances(
    y_pred: NDArray[Any], y: NDArray[Any], spacing: Any, surfels: bool = False
) -> Iterator[tuple[tuple[int, int], Distances]]:
    """The distances of each image and class: of the prediction and the reference, each with weights."""
    spacings = _spacings(spacing, y.shape[0], y.ndim - 2)
    for batch, channel in np.ndindex(*y.shape[:2]):
        masks = [array[batch, channel] == 1 if array.dtype != bool else array[batch, channel] for array in (y_pred, y)]
        views, lengths = in_memory_order(masks, spacings[batch])
        [found] = _bipvl.surface_distances(views[0], views[1], lengths, [1], surfels, None)
        to_y, of_pred, to_pred, of_y = found
        # As in MONAI, distances from an empty mask are those to it: infinite.
        if len(to_y) == 0:
            to_y, of_pred = to_pred, of_y
        elif len(to_pred) == 0:
            to_pred, of_y = to_y, of_pred
        yield (batch, channel), (to_y, of_pred, to_pred, of_y)


def compute_hausdorff_distance(
    y_pred: Any,
    y: Any,
    include_background: bool = False,
    distance_metric: str = "euclidean",
    percentile: float | None = None,
    directed: bool = False,
    spacing: Any = None,
) -> Any:
    """Hausdorff distance in the unit of the spacing, or its percentile, per image and class.

    Parameters
    ----------
    y_pred, y : array or tensor, [B, C, H, W] or [B, C, H, W, D]
        Prediction and reference, one-hot.
    include_background : bool
        Whether the first channel counts.
    distance_metric : str
        ``"euclidean"``.
    percentile : float, optional
        0 to 100; the maximum without one.
    directed : bool
        Only from prediction to reference.
    spacing : float, sequence, optional
        Per voxel: a number, one per axis, or one sequence per image. Default: 1.

    Returns
    -------
    array or tensor, [B, C]
        ``nan`` without a surface; where one mask is empty, infinite, and ``nan`` with a percentile.
    """
    _euclidean(distance_metric)
    if percentile is not None and not 0 <= percentile <= 100:
        raise ValueError(f"percentile should be a value between 0 and 100, get {percentile}.")
    prediction, reference = _pair(y_pred, y, include_background)
    result = np.empty(reference.shape[:2], np.float32)
    for place, (to_y, _, to_pred, _) in _distances(prediction, reference, spacing):
        result[place] = np.max([_largest(side, percentile) for side in ([to_y] if directed else [to_y, to_pred])])
    return _like(y_pred, result)


def _largest(distances: NDArray[np.float64], percentile: float | None) -> float:
    if len(distances) == 0:
        return float("nan")
    if not percentile:
        return float(np.max(distances))
    with np.errstate(invalid="ignore"):
        return float(np.percentile(distances, percentile))


def compute_surface_dice(
    y_pred: Any,
    y: Any,
    class_thresholds: Sequence[float],
    include_background: bool = False,
    distance_metric: str = "euclidean",
    spacing: Any = None,
    use_subvoxels: bool = False,
) -> Any:
    """Normalized surface Dice, 0 to 1, per image and class.

    Parameters
    ----------
    y_pred, y, include_background, distance_metric, spacing
        As for `compute_hausdorff_distance`.
    class_thresholds : sequence of float
        Tolerance of each class in the unit of the spacing.
    use_subvoxels : bool
        Weight surfaces by their area instead of counting edge voxels.

    Returns
    -------
    array or tensor, [B, C]
        ``nan`` where both masks are empty, 0 where one is.
    """
    _euclidean(distance_metric)
    prediction, reference = _pair(y_pred, y, include_background)
    thresholds = np.asarray(class_thresholds, dtype=float)
    if thresholds.shape != (reference.shape[1],):
        raise ValueError(
            f"number of classes ({reference.shape[1]}) does not match number of class thresholds ({thresholds.size})."
        )
    if not np.all(np.isfinite(thresholds)) or np.any(thresholds < 0):
        raise ValueError("All class thresholds need to be finite and >= 0.")
    result = np.empty(reference.shape[:2], np.float32)
    for place, (to_y, of_pred, to_pred, of_y) in _distances(prediction, reference, spacing, use_subvoxels):
        total = np.sum(of_pred) + np.sum(of_y)
        limit = thresholds[place[1]]
        within = np.sum(of_pred[to_y <= limit]) + np.sum(of_y[to_pred <= limit])
        result[place] = within / total if total > 0 else np.nan
    return _like(y_pred, result)


def compute_average_surface_distance(
    y_pred: Any,
    y: Any,
    include_background: bool = False,
    symmetric: bool = False,
    distance_metric: str = "euclidean",
    spacing: Any = None,
) -> Any:
    """Average surface distance in the unit of the spacing, per image and class.

    Parameters
    ----------
    y_pred, y, include_background, distance_metric, spacing
        As for `compute_hausdorff_distance`.
    symmetric : bool
        The mean over the distances in both directions; else from prediction to reference alone.

    Returns
    -------
    array or tensor, [B, C]
        ``nan`` without a surface, infinite where one mask is empty.
    """
    _euclidean(distance_metric)
    prediction, reference = _pair(y_pred, y, include_background)
    result = np.empty(reference.shape[:2], np.float32)
    for place, (to_y, _, to_pred, _) in _distances(prediction, reference, spacing):
        distances = np.concatenate([to_y, to_pred]) if symmetric else to_y
        result[place] = np.mean(distances) if len(distances) > 0 else np.nan
    return _like(y_pred, result)


def compute_dice(
    y_pred: Any,
    y: Any,
    include_background: bool = True,
    ignore_empty: bool = True,
    num_classes: int | None = None,
) -> Any:
    """Dice similarity coefficient per image and class.

    Parameters
    ----------
    y_pred, y : array or tensor, [B, C, H, W] or [B, C, H, W, D]
        One-hot, or class indices in one channel.
    include_background : bool
        Whether class 0 counts.
    ignore_empty : bool
        ``nan`` where the reference is empty; else 1 if the prediction is empty too, and 0 if not.
    num_classes : int, optional
        Classes with the background. Default: the channels of ``y_pred``.

    Returns
    -------
    array or tensor, [B, C]
    """
    prediction, reference = _array(y_pred), _array(y)
    classes = prediction.shape[1] if num_classes is None else num_classes
    wanted = list(range(0 if include_background else 1, classes)) if classes > 1 else [1]
    result = np.empty((prediction.shape[0], len(wanted)), np.float32)
    for batch in range(prediction.shape[0]):
        for place, label in enumerate(wanted):
            masks = [_class_mask(array[batch], label) for array in (prediction, reference)]
            result[batch, place] = _dice(masks[0], masks[1], ignore_empty)
    return _like(y_pred, result)


def _class_mask(channels: NDArray[Any], label: int) -> NDArray[np.bool_]:
    """Of a channel per class, or of class indices in one channel."""
    mask: NDArray[np.bool_]
    if len(channels) == 1:
        mask = channels[0] == label
    else:
        mask = channels[label] if channels.dtype == bool else channels[label] != 0
    return mask


def _dice(prediction: NDArray[np.bool_], reference: NDArray[np.bool_], ignore_empty: bool) -> float:
    predicted, expected = np.count_nonzero(prediction), np.count_nonzero(reference)
    if expected > 0:
        return float(2 * np.count_nonzero(prediction & reference) / (predicted + expected))
    if ignore_empty:
        return float("nan")
    return 1.0 if predicted == 0 else 0.0
