"""Scores of label maps: Dice, 95 % Hausdorff distance, normalized surface Dice, average symmetric surface distance."""

from __future__ import annotations

import json
import operator
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from . import _bipvl, _images
from ._progress import Bar, ensure_threads
from ._scores import FolderScores, Scores

Convention = Literal["monai", "deepmind", "metrics-reloaded", "medpy"]


def evaluate(
    pred: object,
    ref: object,
    spacing: Sequence[float] | None = None,
    *,
    labels: Sequence[int] | Mapping[str, int | Sequence[int]] | None = None,
    names: Mapping[int, str] | Sequence[str] | None = None,
    convention: Convention = "monai",
    tolerance_mm: float = 2.0,
    ignore_label: int | None = None,
    threads: int | None = None,
) -> Scores:
    """Score one predicted label map against its reference.

    Parameters
    ----------
    pred, ref : path, array, nibabel image, SimpleITK image, `Image` or `Segmentation`
        Labels ``[x, y, z]`` or ``[x, y]`` of bool, integers, or whole floats, in any memory order; 0 is background.
        Arrays ``[K, x, y, z]`` are K masks that may overlap.
    spacing : sequence of float, optional
        mm per voxel in the order of the axes of the array. Images have their own.
    labels : sequence of int, or mapping from names to labels, optional
        What to score; a class may be the union of several labels. Default: every label that occurs.
    names : mapping from labels to names, or sequence, optional
        Names of the labels, or of the K masks. Default: their numbers. A sequence names the labels that occur from the lowest;
        use a mapping in loops over cases.
    convention : {"monai", "deepmind", "metrics-reloaded", "medpy"}
        Whose definitions of the metrics.
    tolerance_mm : float
        Tolerance of NSD in mm, inclusive.
    ignore_label : int, optional
        Voxels with this label in the reference are not scored.
    threads : int, optional
        Default: all processors.

    Returns
    -------
    Scores

    Raises
    ------
    ValueError
        Without any spacing; for shapes or affines that differ, and for numbers that are no labels.
    FileNotFoundError
        For a path that does not exist.
    Error
        For a file that cannot be read.

    Examples
    --------
    >>> import numpy as np
    >>> ref = np.zeros((8, 8, 8), np.uint8); ref[2:6, 2:6, 2:6] = 1
    >>> evaluate(pred=ref, ref=ref, spacing=(1, 1, 2.5), names={1: "liver"})["liver"].dice
    1.0
    """
    ensure_threads(threads)
    if ignore_label is not None:
        _numbers([ignore_label])
    prediction, reference = _images.labels(pred, "pred"), _images.labels(ref, "ref")
    _images.ensure_same_place(prediction, reference)
    arrays = [_images.supported(prediction.array), _images.supported(reference.array)]
    dimensions = arrays[1].ndim - (1 if arrays[1].ndim == 4 else 0)
    lengths = _spacing(prediction, reference, spacing, dimensions)
    options = (convention, float(tolerance_mm), ignore_label, threads)
    if arrays[1].ndim == 4:
        if labels is not None:
            raise ValueError("labels: arrays [K, x, y, z] are masks; name them with names")
        return _score_masks(arrays, lengths, names, options)
    views, ordered = in_memory_order(arrays, lengths)
    occurring = [_occurring(view, name) for view, name in zip(views, ("pred", "ref"))]
    classes = _classes(labels, names, sorted(set(occurring[0] + occurring[1]) - {ignore_label or 0}))
    return Scores(json.loads(_bipvl.score(views[0], views[1], ordered, classes, *options)))


def _occurring(view: NDArray[Any], name: str) -> list[int]:
    try:
        return _bipvl.labels_of(view)
    except ValueError as reason:
        raise ValueError(f"{name}: {reason} (probabilities need a threshold first)") from None


def in_memory_order(
    arrays: Sequence[NDArray[Any]], spacing: Sequence[float]
) -> tuple[list[NDArray[Any]], list[float]]:
    """Views of arrays with 2 or 3 axes, the last of which is the closest in memory, and the spacing in that order; a
    picture gets a first axis of one plane. Scores do not depend on the order of the axes."""
    order = sorted(range(arrays[1].ndim), key=lambda axis: -abs(arrays[1].strides[axis]))
    views = [array.transpose(order) for array in arrays]
    if arrays[1].ndim == 2:
        views = [view[np.newaxis] for view in views]
    return views, [float(spacing[axis]) for axis in order]


def _spacing(
    pred: _images.Labels, ref: _images.Labels, given: Sequence[float] | None, dimensions: int
) -> tuple[float, ...]:
    if dimensions not in (2, 3):
        raise ValueError(f"label maps have 2 or 3 axes, or 4 with the masks first, not {ref.array.ndim}")
    found = ref.spacing or pred.spacing
    if given is None and found is None:
        raise ValueError("no spacing: give spacing= in mm, one length per axis of the array")
    lengths = _images.lengths(found if given is None else given, dimensions)
    if found is not None:
        _images.ensure_same_spacing(lengths, found)
    return lengths


def _classes(
    labels: Sequence[int] | Mapping[str, int | Sequence[int]] | None,
    names: Mapping[int, str] | Sequence[str] | None,
    occurring: list[int],
) -> list[tuple[str, list[int]]]:
    if isinstance(labels, Mapping):
        if names is not None:
            raise ValueError("names: labels already has them")
        several: dict[str, Any] = {name: found if np.ndim(found) else [found] for name, found in labels.items()}
        # The dictionaries of nnU-Net name the background.
        return [(name, _numbers(found)) for name, found in several.items() if list(found) != [0]]
    numbers = occurring if labels is None else _numbers(labels)
    if names is None:
        return [(str(number), [number]) for number in numbers]
    if isinstance(names, Mapping):
        if not all(isinstance(label, (int, np.integer)) for label in names):
            raise ValueError("names maps labels to names, such as {1: 'liver'}; labels={'liver': 1} is the other way round")
        _numbers(list(names))
        if labels is None:
            numbers = sorted(set(numbers) | set(names))
        return [(names.get(number, str(number)), [number]) for number in numbers]
    if len(names) != len(numbers):
        raise ValueError(f"names has {len(names)} names, but there are {len(numbers)} labels: {numbers}")
    return [(name, [number]) for name, number in zip(names, numbers)]


def _numbers(labels: Any) -> list[int]:
    """Labels as numbers, or ``ValueError``."""
    try:
        numbers = [operator.index(label) for label in labels]
    except TypeError:
        numbers = []
    if not numbers or any(not 0 < number < 1 << 16 for number in numbers):
        raise ValueError(f"labels={labels!r}: expected whole numbers from 1 to 65535")
    return numbers


def _score_masks(
    arrays: Sequence[NDArray[Any]],
    spacing: Sequence[float],
    names: Mapping[int, str] | Sequence[str] | None,
    options: tuple[Convention, float, int | None, int | None],
) -> Scores:
    count = arrays[1].shape[0]
    default = [str(index) for index in range(count)]
    if isinstance(names, Mapping):
        given = [names.get(index, default[index]) for index in range(count)]
    else:
        given = default if names is None else list(names)
    if len(given) != count:
        raise ValueError(f"names has {len(given)} names, but there are {count} masks")
    if twice := sorted({name for name in given if given.count(name) > 1}):
        raise ValueError(f"names: several masks are named {', '.join(twice)}")
    found: dict[str, Any] | None = None
    for index, name in enumerate(given):
        views, lengths = in_memory_order([array[index] for array in arrays], spacing)
        if any(max(_bipvl.labels_of(view), default=0) > 1 for view in views):
            raise ValueError(f"mask {index}: expected 0 and 1")
        scores = json.loads(_bipvl.score(views[0], views[1], lengths, [(name, [1])], *options))
        if found is None:
            found = scores
        else:
            found["cases"][0]["classes"].update(scores["cases"][0]["classes"])
            found["mean"].update(scores["mean"])
    if found is None:
        raise ValueError("arrays [K, x, y, z] need at least one mask")
    return Scores(found)


def evaluate_folder(
    pred: str | os.PathLike[str],
    ref: str | os.PathLike[str],
    *,
    dataset: str | os.PathLike[str] | None = None,
    convention: Convention = "monai",
    tolerance_mm: float = 2.0,
    progress: Callable[[int, int, str], object] | bool | None = None,
    threads: int | None = None,
) -> FolderScores:
    """Score the label maps of a folder against those of another, paired by name.

    Parameters
    ----------
    pred, ref : path
        Folders with label maps of any format, DICOM segmentations and structure sets included.
    dataset : path, optional
        ``dataset.json`` that names the classes. Default: every label that occurs.
    convention, tolerance_mm, threads
        As for `evaluate`.
    progress : callable, bool, optional
        Called as ``progress(done, total, case)`` before each case; without ``dataset`` also, with 0, while labels are
        collected. Default: a bar of tqdm in notebooks, if it is installed; ``True`` always,
        ``False`` never.

    Returns
    -------
    FolderScores
        With ``failures``, of which a warning is given as well.

    Raises
    ------
    FileNotFoundError
        For a folder that does not exist.
    Error
        If there is nothing to score.
    """
    ensure_threads(threads)
    folders = [_images.existing(pred), _images.existing(ref)]
    if file := next((folder for folder in folders if not folder.is_dir()), None):
        raise ValueError(f"{file} is a file: evaluate scores a pair of files")
    names = None if dataset is None else _images.existing(dataset)
    with Bar(progress, "scoring") as bar:
        found, failures, remarks = _bipvl.evaluate_folder(
            folders[0], folders[1], names, convention, float(tolerance_mm), bar.callback, threads
        )
    for remark in failures + remarks:
        warnings.warn(remark, stacklevel=2)
    scores = json.loads(found)
    if not scores["cases"]:
        raise _bipvl.Error("no case could be scored: " + "; ".join(failures))
    return FolderScores(scores, failures)
