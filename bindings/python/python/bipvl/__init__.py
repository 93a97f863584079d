"""Text-guided segmentation of 3-D medical scans.

Metrics
    `evaluate` scores one pair of label maps, `evaluate_folder` a folder; `bipvl.surface_distance` and `bipvl.monai` have
    the functions of those packages.
Prediction
    `Predictor` keeps a trained run in memory.
Training
    `train`, `describe`, `data_check`.

Arrays are indexed ``[x, y, z]`` as nibabel gives them; images of SimpleITK are handled in their own order. Distances are
in mm. A score that does not exist is ``nan``.
"""

from __future__ import annotations

from . import monai, surface_distance
from ._bipvl import Error, __version__
from ._images import Image, read_image
from ._metrics import evaluate, evaluate_folder
from ._predictor import Finding, Predictor, Segmentation
from ._program import DatasetReport, TrainResult, data_check, describe, train
from ._scores import ClassScores, ClassSummary, FolderScores, Means, Scores, Summary

__all__ = [
    "ClassScores",
    "ClassSummary",
    "DatasetReport",
    "Error",
    "Finding",
    "FolderScores",
    "Image",
    "Means",
    "Predictor",
    "Scores",
    "Segmentation",
    "Summary",
    "TrainResult",
    "__version__",
    "data_check",
    "describe",
    "evaluate",
    "evaluate_folder",
    "monai",
    "read_image",
    "surface_distance",
    "train",
]
