import os
from collections.abc import Callable, Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Error",
    "Predictor",
    "Segmentation",
    "__version__",
    "evaluate_folder",
    "from_toml",
    "labels_of",
    "read_channels",
    "read_labels",
    "score",
    "score_table",
    "surface_distances",
    "to_toml",
]

__version__: str

class Error(Exception): ...

@final
class Predictor:
    def __new__(
        cls,
        runs: Sequence[str | os.PathLike[str]],
        device: str,
        threads: int | None,
        overlap: float | None,
    ) -> Predictor: ...
    def classes(self) -> list[str]: ...
    def is_prompted(self) -> bool: ...
    def config(self) -> str: ...
    def segment(
        self,
        channels: Sequence[NDArray[np.float32]],
        affine: Sequence[Sequence[float]],
        path: str | os.PathLike[str] | None,
        prompts: Sequence[str] | None,
        classes: Sequence[str] | None,
        like: str | None,
        exclusive: bool,
        probabilities: bool,
        progress: Callable[[int, int], object] | None,
    ) -> Segmentation: ...

@final
class Segmentation:
    def segments(self) -> list[tuple[str, int]]: ...
    def findings(self) -> str | None: ...
    def labels(self) -> NDArray[np.uint16]: ...
    def mask(self, segment: int) -> NDArray[np.bool_]: ...
    def is_overlapping(self) -> bool: ...
    def probabilities(self) -> NDArray[np.float32] | None: ...
    def affine(self) -> list[list[float]]: ...
    def save(self, path: str | os.PathLike[str]) -> None: ...

def labels_of(array: NDArray[Any]) -> list[int]: ...
def score(
    prediction: NDArray[Any],
    reference: NDArray[Any],
    spacing: Sequence[float],
    classes: Sequence[tuple[str, Sequence[int]]],
    convention: str,
    tolerance_mm: float,
    ignore_label: int | None,
    threads: int | None,
) -> str: ...
def score_table(scores: str) -> str: ...
def surface_distances(
    prediction: NDArray[Any],
    reference: NDArray[Any],
    spacing: Sequence[float],
    labels: Sequence[int],
    surfels: bool,
    threads: int | None,
) -> list[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]]: ...
def evaluate_folder(
    prediction: str | os.PathLike[str],
    reference: str | os.PathLike[str],
    dataset: str | os.PathLike[str] | None,
    convention: str,
    tolerance_mm: float,
    progress: Callable[[int, int, str], object] | None,
    threads: int | None,
) -> tuple[str, list[str], list[str]]: ...
def read_labels(path: str | os.PathLike[str]) -> tuple[NDArray[np.uint16], list[list[float]]]: ...
def read_channels(
    paths: Sequence[str | os.PathLike[str]],
) -> tuple[list[NDArray[np.float32]], list[list[float]]]: ...
def to_toml(json: str) -> str: ...
def from_toml(text: str) -> str: ...
