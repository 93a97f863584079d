"""Images of other libraries as arrays ``[x, y, z]`` with an affine, and back."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from . import _bipvl

#: ITK has LPS, nibabel and the program RAS.
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
#: Relative difference of affines that files of float32 headers may have.
AFFINE_TOLERANCE = 1e-3
#: Rounding of a number in float32, and of one or two operations after it.
FLOAT32 = 1e-6


@dataclass
class Labels:
    """A label map: its array as given, the spacing of its axes if known, its affine if it has one."""

    array: NDArray[Any]
    spacing: tuple[float, ...] | None
    affine: NDArray[np.float64] | None
    name: str


def existing(path: str | os.PathLike[str]) -> Path:
    """The path, or ``FileNotFoundError``."""
    found = Path(path)
    if not found.exists():
        raise FileNotFoundError(f"{found}: no such file or folder")
    return found


def is_path(image: Any) -> TypeGuard[str | os.PathLike[str]]:
    return isinstance(image, (str, os.PathLike))


def is_nibabel(image: object) -> bool:
    return hasattr(image, "affine") and hasattr(image, "dataobj")


def is_sitk(image: object) -> bool:
    return hasattr(image, "GetDirection") and hasattr(image, "GetSpacing")


def is_segmentation(image: object) -> bool:
    from ._predictor import Segmentation

    return isinstance(image, Segmentation)


def lengths(spacing: Any, count: int) -> tuple[float, ...]:
    """A spacing as ``count`` lengths in mm, or ``ValueError``."""
    try:
        found = tuple(float(length) for length in spacing)
    except (TypeError, ValueError):
        found = ()
    if len(found) != count or not all(math.isfinite(length) and length > 0 for length in found):
        raise ValueError(f"spacing={spacing!r}: expected {count} lengths above 0 in mm")
    return found


def ensure_same_spacing(given: Sequence[float], found: Sequence[float]) -> None:
    """Raises ``ValueError`` where a spacing contradicts that of the image."""
    if not np.allclose(given, found, rtol=AFFINE_TOLERANCE):
        raise ValueError(f"spacing={tuple(given)}, but the image has {tuple(found)}")


def spacing_of(affine: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(length) for length in np.linalg.norm(affine[:3, :3], axis=0))


def sitk_affine(image: Any) -> NDArray[np.float64]:
    """Voxel to mm, RAS+, of a SimpleITK image with three axes."""
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * np.asarray(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return np.asarray(LPS_TO_RAS @ affine)


def sitk_array(image: Any) -> NDArray[Any]:
    """The voxels ``[x, y, z]`` of a SimpleITK image; its own order in numpy is ``[z, y, x]``."""
    import SimpleITK

    array: NDArray[Any] = SimpleITK.GetArrayViewFromImage(image).T
    return array


def _one_component(image: Any, name: str) -> NDArray[Any]:
    if image.GetNumberOfComponentsPerPixel() > 1:
        raise ValueError(f"{name}: a label image has one component per voxel, not several")
    return sitk_array(image)


def labels(image: Any, name: str) -> Labels:
    """A label map from a path, an image of nibabel or SimpleITK, or anything with ``__array__``."""
    if is_path(image):
        if Path(image).is_dir():
            raise ValueError(f"{image} is a folder: evaluate_folder scores folders")
        array, rows = _bipvl.read_labels(existing(image))
        affine = np.asarray(rows)
        return Labels(array, spacing_of(affine), affine, str(image))
    if isinstance(image, Image):
        return Labels(image.array, image.spacing, image.affine, name)
    if is_segmentation(image):
        return Labels(image._found.labels(), spacing_of(image.affine), image.affine, name)
    if is_nibabel(image):
        affine = np.asarray(image.affine, dtype=np.float64)
        array = np.asanyarray(image.dataobj)
        if array.ndim == 4 and array.shape[3] == 1:
            array = array[..., 0]
        if array.ndim != 3:
            raise ValueError(f"{name}: a label image has 3 axes, not the shape {array.shape}")
        return Labels(array, spacing_of(affine), affine, name)
    if is_sitk(image):
        if image.GetDimension() == 3:
            affine = sitk_affine(image)
            return Labels(_one_component(image, name), spacing_of(affine), affine, name)
        if image.GetDimension() != 2:
            raise ValueError(f"{name}: a label image has 2 or 3 axes, not {image.GetDimension()}")
        affine = np.eye(3)
        affine[:2, :2] = np.reshape(image.GetDirection(), (2, 2)) * np.asarray(image.GetSpacing())
        affine[:2, 2] = image.GetOrigin()
        return Labels(_one_component(image, name), tuple(image.GetSpacing()), affine, name)
    array = np.asarray(image)
    if array.dtype == object:
        raise TypeError(f"{name}: expected a path, an array or an image, not {type(image).__name__}")
    return Labels(array, None, None, name)


def ensure_same_place(pred: Labels, ref: Labels) -> None:
    """Raises ``ValueError`` for shapes or affines that differ."""
    if pred.array.shape != ref.array.shape:
        raise ValueError(f"{pred.name} has shape {pred.array.shape}, but {ref.name} {ref.array.shape}")
    if pred.affine is None or ref.affine is None:
        return
    # Of a voxel, and of what origins in float32 hold.
    tolerance = np.full_like(ref.affine, AFFINE_TOLERANCE * min(ref.spacing or ()))
    tolerance[:, -1] = np.maximum(tolerance[:, -1], FLOAT32 * np.abs(ref.affine[:, -1]))
    if pred.affine.shape != ref.affine.shape or np.any(np.abs(pred.affine - ref.affine) > tolerance):
        raise ValueError(
            f"{pred.name} is not on the grid of {ref.name}: the affines are\n{pred.affine}\nand\n{ref.affine}"
        )


def supported(array: NDArray[Any]) -> NDArray[Any]:
    """The array in native byte order, and of a number type that the module reads."""
    if array.dtype.kind not in "biuf":
        raise TypeError(f"labels of type {array.dtype}: expected bool, integers or whole floats")
    is_readable = array.dtype != np.float16 and array.dtype.itemsize <= 8
    dtype = array.dtype.newbyteorder("=") if is_readable else np.dtype(np.float64)
    return whole_strides(np.asarray(array, dtype=dtype))


def whole_strides(array: NDArray[Any]) -> NDArray[Any]:
    """The array, or a copy of one whose elements lie between others, as fields of packed records do."""
    return array.copy() if any(stride % array.itemsize for stride in array.strides) else array


@dataclass
class Scan:
    """A scan to segment: channels ``[x, y, z]`` of float32, an affine, and the path that it was read from."""

    channels: list[NDArray[np.float32]]
    affine: NDArray[np.float64]
    path: Path | None
    source: object


@dataclass(frozen=True)
class Image:
    """An image that was read.

    Attributes
    ----------
    array : ndarray of float32
        ``[x, y, z]``, or ``[x, y, z, channels]``.
    affine : ndarray of float, [4, 4]
        Voxel to mm, RAS+.
    """

    array: NDArray[np.float32]
    affine: NDArray[np.float64]

    @property
    def spacing(self) -> tuple[float, ...]:
        """mm per voxel."""
        return spacing_of(self.affine)

    def __repr__(self) -> str:
        spacing = " × ".join(f"{length:g}" for length in self.spacing)
        return f"Image(shape={self.array.shape}, spacing={spacing} mm)"


def read_image(path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> Image:
    """Read a scan: NIfTI, NRRD, MetaImage, or any file that the program reads.

    Parameters
    ----------
    path : path or sequence of paths
        One file with all channels, or one file per channel.

    Raises
    ------
    FileNotFoundError, Error
        For a file that does not exist or cannot be read.
    """
    found = scan([path] if isinstance(path, (str, os.PathLike)) else list(path), None, None)
    array = found.channels[0] if len(found.channels) == 1 else np.stack(found.channels, axis=-1)
    return Image(array, found.affine)


def _channels(array: NDArray[Any]) -> list[NDArray[np.float32]]:
    """Channels of ``[x, y, z]`` or ``[x, y, z, channels]``, as nibabel gives them."""
    if array.ndim not in (3, 4) or array.size == 0:
        raise ValueError(f"a scan has voxels along 3 axes, or 4 with channels last, not the shape {array.shape}")
    channels = [array] if array.ndim == 3 else [array[..., channel] for channel in range(array.shape[3])]
    return [whole_strides(np.asarray(channel, dtype=np.float32)) for channel in channels]


def scan(
    image: Any, spacing: Sequence[float] | None, affine: NDArray[np.float64] | None
) -> Scan:
    """A scan from a path, several paths (one per channel), an image, or an array with ``spacing`` or ``affine``."""
    found = _scan_with_grid(image)
    if found is None:
        return _scan_of_array(image, spacing, affine)
    if affine is not None:
        raise ValueError("affine: the image has its own; affine= is for arrays")
    if spacing is not None:
        ensure_same_spacing(lengths(spacing, 3), spacing_of(found.affine))
    return found


def _scan_with_grid(image: Any) -> Scan | None:
    if isinstance(image, Image):
        return Scan(_channels(image.array), image.affine, None, image)
    if is_path(image) or (isinstance(image, (list, tuple)) and image and all(map(is_path, image))):
        paths = [existing(path) for path in (image if isinstance(image, (list, tuple)) else [image])]
        channels, rows = _bipvl.read_channels(paths)
        return Scan(channels, np.asarray(rows), paths[0], image)
    if is_nibabel(image):
        array = np.asanyarray(image.dataobj)
        return Scan(_channels(array), np.asarray(image.affine, dtype=np.float64), None, image)
    if is_sitk(image):
        if image.GetDimension() != 3:
            raise ValueError(f"a scan has 3 axes, not {image.GetDimension()}")
        array = sitk_array(image)
        several = image.GetNumberOfComponentsPerPixel() > 1
        # The transposed array has the components first.
        return Scan(_channels(np.moveaxis(array, 0, -1) if several else array), sitk_affine(image), None, image)
    return None


def _scan_of_array(image: Any, spacing: Sequence[float] | None, affine: NDArray[np.float64] | None) -> Scan:
    array = np.asarray(image)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"expected a path, an array or an image, not {type(image).__name__}")
    if affine is None and spacing is None:
        raise ValueError("an array has no spacing: give spacing=(x, y, z) in mm, or affine=")
    given = None if spacing is None else lengths(spacing, 3)
    if affine is None:
        affine = np.diag([*(given or ()), 1.0])
    affine = np.asarray(affine, dtype=np.float64)
    if affine.shape != (4, 4) or not np.all(np.isfinite(affine)) or np.linalg.det(affine[:3, :3]) == 0:
        raise ValueError("affine: expected an invertible matrix of 4 by 4")
    if given is not None:
        ensure_same_spacing(given, spacing_of(affine))
    return Scan(_channels(array), affine, None, image)


def like(source: Any, array: NDArray[Any]) -> Any:
    """An array ``[x, y, z]`` as an image of the type of the scan; for paths and arrays the array itself."""
    if is_nibabel(source):
        made = source.__class__(array, source.affine)
        if hasattr(made.header, "set_xyzt_units"):
            made.header.set_xyzt_units("mm")
        return made
    if is_sitk(source):
        import SimpleITK

        image: Any = SimpleITK.GetImageFromArray(np.ascontiguousarray(array.T))
        image.CopyInformation(source)
        return image
    return array
