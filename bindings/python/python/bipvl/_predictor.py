"""Prediction with a trained run."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _bipvl, _images
from ._progress import Bar, ensure_threads
from ._program import run_program

PathLike = str | os.PathLike[str]
Progress = Callable[[int, int], object] | bool | None


@dataclass(frozen=True)
class Finding:
    """What one prompt found.

    Attributes
    ----------
    value : int
        Its value in the label map.
    prompt : str
        Its words.
    presence : float or None
        Probability, 0 to 1, that the scan shows it; ``None`` where the network has no such output.
    voxels : int
        Voxels of its mask.
    volume_ml : float
        Volume of its mask in ml.
    found : bool
        Whether anything was found.
    """

    value: int
    prompt: str
    presence: float | None
    voxels: int
    volume_ml: float
    found: bool


class Segmentation:
    """Masks of classes or prompts on the grid of the scan: `labels`, `masks`, `findings`, `probabilities`, `save`.

    Attributes
    ----------
    names : dict of int to str
        Class or prompt by value of the label map.
    affine : ndarray of float, [4, 4]
        Voxel to mm, RAS+.
    """

    def __init__(self, found: _bipvl.Segmentation, source: object) -> None:
        self._found, self._source = found, source
        self.names: dict[int, str] = {value: name for name, value in found.segments()}
        self.affine: NDArray[np.float64] = np.asarray(found.affine())

    @property
    def labels(self) -> Any:
        """The label map ``[x, y, z]`` of uint16, as an image of the type of the scan; where masks overlap, the later one
        has the voxel."""
        return _images.like(self._source, self._found.labels())

    @property
    def masks(self) -> NDArray[np.bool_]:
        """The masks ``[K, x, y, z]``, which may overlap."""
        return np.stack([self._found.mask(index) for index in range(len(self.names))])

    @property
    def probabilities(self) -> NDArray[np.float32] | None:
        """Probabilities ``[K, x, y, z]``, 0 to 1, if they were asked for."""
        return self._found.probabilities()

    @property
    def findings(self) -> list[Finding]:
        """What each prompt found; empty for a run with fixed classes."""
        found = self._found.findings()
        return [] if found is None else [Finding(**finding) for finding in json.loads(found)]

    def save(self, path: PathLike) -> None:
        """Write the label map: NIfTI, NRRD or MetaImage by the ending."""
        self._found.save(path)

    def __repr__(self) -> str:
        return f"Segmentation({', '.join(self.names.values())})"


class Predictor:
    """A trained run in memory.

    Parameters
    ----------
    run : path, or sequence of paths
        A run, a cross-validation, or several runs with the same classes, whose logits are averaged.
    device : {"cpu", "vulkan", "cuda"}
        Where the network runs; a wheel has the processor alone unless it was built with the feature of another.
    threads : int, optional
        Default: all processors. Results do not depend on it.
    overlap : float, optional
        Overlap of neighboring windows, at least 0 and below 1. Default: that of the run.

    Attributes
    ----------
    classes : list of str
        What the run was trained on.
    prompted : bool
        Whether it is asked with prompts.
    config : dict
        The configuration of the run.

    Raises
    ------
    FileNotFoundError
        For a run that does not exist.
    Error
        For a folder that is no run, or has no weights yet.

    Examples
    --------
    >>> predictor = Predictor("runs/abdomen")  # doctest: +SKIP
    >>> labels = predictor.predict("scan.nii.gz", prompts=["right kidney", "spleen"])  # doctest: +SKIP
    """

    def __init__(
        self,
        run: PathLike | Sequence[PathLike],
        *,
        device: str = "cpu",
        threads: int | None = None,
        overlap: float | None = None,
    ) -> None:
        ensure_threads(threads)
        runs = [run] if isinstance(run, (str, os.PathLike)) else list(run)
        self.runs = [_run(_images.existing(path)) for path in runs]
        self._native = _bipvl.Predictor(self.runs, device, threads, overlap)
        self._flags = ["--device", device, *([] if overlap is None else ["--overlap", str(overlap)])]
        self._threads = threads
        self.classes = self._native.classes()
        self.prompted = self._native.is_prompted()
        self.config: dict[str, Any] = json.loads(_bipvl.from_toml(self._native.config()))

    def __repr__(self) -> str:
        return f"Predictor({', '.join(map(str, self.runs))}; {len(self.classes)} classes)"

    def segment(
        self,
        image: object,
        *,
        spacing: Sequence[float] | None = None,
        affine: NDArray[np.float64] | None = None,
        prompts: str | Sequence[str] | None = None,
        classes: str | Sequence[str] | None = None,
        like: str | None = None,
        exclusive: bool = False,
        probabilities: bool = False,
        progress: Progress = None,
    ) -> Segmentation:
        """Segment one scan.

        Parameters
        ----------
        image : path, paths of the channels, array, nibabel image, SimpleITK image or `Image`
            Array: ``[x, y, z]``, or ``[x, y, z, channels]``, of any number type.
        spacing : sequence of float, optional
            mm per voxel of an array whose axes point right, anterior, superior (RAS+).
        affine : ndarray, [4, 4], optional
            Voxel to mm, RAS+, of an array.
        prompts : str or sequence of str, optional
            What to segment, in words. Default: all that the run was trained on.
        classes : str or sequence of str, optional
            Of a run with fixed classes, which to write; synonyms count. Default: all.
        like : str, optional
            Preprocess as this data set of the training, where its data sets differ.
        exclusive : bool
            Let every voxel belong to one prompt only.
        probabilities : bool
            Keep the probabilities.
        progress : callable, bool, optional
            Called as ``progress(done, total)`` after each window. Default: a bar of tqdm in notebooks, if it is installed.

        Returns
        -------
        Segmentation

        Raises
        ------
        ValueError
            For an array without spacing, another number of channels, unknown classes, or prompts without words.
        FileNotFoundError, Error
            For files that do not exist or cannot be read.
        """
        found = _images.scan(image, spacing, affine)
        with Bar(progress, "segmenting") as bar:
            native = self._native.segment(
                found.channels,
                found.affine.tolist(),
                found.path,
                _texts(prompts, "prompts"),
                _texts(classes, "classes"),
                like,
                exclusive,
                probabilities,
                bar.callback,
            )
        return Segmentation(native, found.source)

    def predict(self, image: object, *, each: bool = False, probabilities: bool = False, **options: Any) -> Any:
        """Segment one scan into a label map of the type of the image.

        Parameters
        ----------
        image, options
            As for `segment`.
        each : bool
            Return masks ``[K, x, y, z]``, which may overlap.
        probabilities : bool
            Return the probabilities ``[K, x, y, z]`` as well.

        Returns
        -------
        image or ndarray of uint16
            A nibabel or SimpleITK image for such, else an array ``[x, y, z]``; with ``probabilities`` a tuple of both.
        """
        found = self.segment(image, probabilities=probabilities, **options)
        labels = found.masks if each else found.labels
        return (labels, found.probabilities) if probabilities else labels

    def predict_files(
        self,
        images: PathLike | Sequence[PathLike],
        out: PathLike,
        *,
        prompts: str | Sequence[str] | None = None,
        classes: str | Sequence[str] | None = None,
        formats: str | Sequence[str] = (),
        statistics: bool = False,
        probabilities: bool = False,
        overwrite: bool = False,
        flags: Sequence[str] = (),
    ) -> list[Path]:
        """Segment files and folders as ``bipvl predict`` does, into a folder.

        Parameters
        ----------
        images : path or sequence of paths
            Scans, or folders of scans.
        out : path
            Folder for the results, named after their scans.
        prompts, classes
            As for `segment`.
        formats : str or sequence of str
            ``"nifti"``, ``"nrrd"``, ``"mha"``; default: that of the scan.
        statistics, probabilities, overwrite : bool
            As the flags of the program.
        flags : sequence of str
            Further flags of ``bipvl predict``.

        Returns
        -------
        list of Path
            All files that were written.

        Raises
        ------
        Error
            If a scan failed; the others are written.
        """
        paths = [images] if isinstance(images, (str, os.PathLike)) else list(images)
        arguments = ["predict", *(str(_images.existing(path)) for path in paths), "--out", str(out)]
        arguments += [argument for run in self.runs for argument in ("--model", str(run))]
        for flag, values in [("--prompt", _texts(prompts, "prompts")), ("--format", formats)]:
            given = [values] if isinstance(values, str) else values or []
            arguments += [argument for value in given for argument in (flag, value)]
        if classes is not None:
            quoted = ('"{}"'.format(name.replace('"', '""')) for name in _texts(classes, "classes") or [])
            arguments += ["--classes", ",".join(quoted)]
        switches = [("--statistics", statistics), ("--probabilities", probabilities), ("--overwrite", overwrite)]
        arguments += [flag for flag, is_given in switches if is_given]
        before = _files(Path(out))
        run_program([*arguments, *self._flags, *flags], self._threads)
        after = _files(Path(out))
        return sorted(path for path, state in after.items() if before.get(path) != state)

    def predict_dicom(
        self,
        study: PathLike,
        out: PathLike,
        *,
        series: str | int | None = None,
        formats: str | Sequence[str] = ("dicom-seg",),
        deidentify: bool = False,
        **options: Any,
    ) -> list[Path]:
        """Segment a DICOM series into DICOM objects, as ``bipvl predict`` does.

        Parameters
        ----------
        study : path
            A folder of any depth, a file, a DICOMDIR or a zip archive.
        out : path
            Folder for the results.
        series : str or int, optional
            Of several series, the one to segment: its number in ``bipvl data series``, its UID, or a part of its description.
        formats : str or sequence of str
            ``"dicom-seg"``, ``"dicom-labelmap"``, ``"rtstruct"``, ``"sr"``, and those of `predict_files`.
        deidentify : bool
            Write objects without patient, dates and UIDs of the series.
        options
            As for `predict_files`.

        Returns
        -------
        list of Path
            All files that were written.
        """
        flags = [*options.pop("flags", ())]
        flags += [] if series is None else ["--series", str(series)]
        flags += ["--deidentify"] if deidentify else []
        return self.predict_files(study, out, formats=formats, flags=flags, **options)


def _run(path: Path) -> Path:
    """The path, which may be that of a demo by mistake."""
    inner = path / "run"
    if not (path / "best.safetensors").exists() and (inner / "best.safetensors").exists():
        raise _bipvl.Error(f"{path} is not a run directory; {inner} is")
    return path


def _texts(value: str | Sequence[str] | None, name: str) -> list[str] | None:
    texts = [value] if isinstance(value, str) else None if value is None else list(value)
    if texts == []:
        raise ValueError(f"{name}: expected at least one, or None")
    return texts


def _files(folder: Path) -> dict[Path, tuple[int, int]]:
    """Size and time of change of all files below a folder."""
    states = ((path, path.stat()) for path in folder.rglob("*") if path.is_file()) if folder.exists() else ()
    return {path: (state.st_mtime_ns, state.st_ino) for path, state in states}
