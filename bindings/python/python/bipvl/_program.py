"""What the program does for Python: training, descriptions, checks, and predictions into files.

Each call is a process of its own, so that it can be stopped as on the command line, and gives the same results.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import _bipvl, _images
from ._progress import Bar

if TYPE_CHECKING:
    from ._predictor import Predictor

PathLike = str | os.PathLike[str]

#: Exit code of a usage error.
USAGE = 2
#: Exit code after SIGINT.
INTERRUPTED = 130
#: Seconds between two looks at a running program.
POLL_SECONDS = 0.1


def program() -> str:
    """The path of the ``bipvl`` program of this installation.

    Raises
    ------
    FileNotFoundError
        When it was removed.
    """
    name = "bipvl.exe" if sys.platform == "win32" else "bipvl"
    schemes = [sysconfig.get_default_scheme(), sysconfig.get_preferred_scheme("user")]
    folders = [Path(sysconfig.get_path("scripts", scheme)) for scheme in schemes]
    for folder in [*folders, Path(sys.executable).parent]:
        path = folder / name
        if path.is_file():
            return str(path)
    found = shutil.which("bipvl")
    if found is None:
        raise FileNotFoundError(f"the program bipvl is not in {folders[0]}; install the wheel again")
    return found


class _Log(threading.Thread):
    """Reads the messages of the program: JSON, or the plain text of a usage error."""

    def __init__(self, stream: Any) -> None:
        super().__init__(daemon=True)
        self._stream = stream
        self.errors: list[str] = []
        self.warnings: list[str] = []
        self.text: list[str] = []

    def close(self) -> None:
        self._stream.close()

    def run(self) -> None:
        for line in self._stream:
            try:
                event = json.loads(line)
            except json.JSONDecodeError:
                self.text.append(line.rstrip())
                continue
            level, message = event.get("level"), str(event.get("message", ""))
            if level == "ERROR":
                self.errors.append(message)
            elif level == "WARN":
                self.warnings.append(message)


def run_program(
    arguments: Sequence[str],
    threads: int | None = None,
    poll: Callable[[], None] = lambda: None,
) -> str:
    """Runs the program and returns what it printed. ``poll`` is called again and again meanwhile; an exception of it, or
    Ctrl-C, stops the program as one interrupt does: a training writes its checkpoint first."""
    flags = ["--log-format", "json", *([] if threads is None else ["--threads", str(threads)])]
    command = [program(), *flags, *arguments]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        # A session of its own: Ctrl-C in a terminal reaches Python alone, which passes it on once.
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        log = _Log(process.stderr)
        log.start()
        try:
            while True:
                try:
                    process.wait(POLL_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    poll()
        except BaseException:
            process.send_signal(signal.SIGINT)
            process.wait()
            raise
        finally:
            log.join()
            log.close()
        for message in log.warnings:
            warnings.warn(message, stacklevel=3)
        if process.returncode == INTERRUPTED:
            raise KeyboardInterrupt
        if process.returncode == USAGE:
            # Without the usage of the command line.
            message, _, _ = "\n".join(log.text).partition("\n\nUsage:")
            raise ValueError(message.removeprefix("error: ").strip())
        if process.returncode != 0:
            message = "; ".join(log.errors) or "\n".join(log.text) or f"bipvl ended with {process.returncode}"
            raise _bipvl.Error(message)
        output.seek(0)
        return output.read()


@contextmanager
def _config_file(config: PathLike | Mapping[str, Any] | None) -> Iterator[Path | None]:
    """The path of a configuration; a mapping becomes a file for as long as it is needed."""
    if config is None or isinstance(config, (str, os.PathLike)):
        yield None if config is None else _images.existing(config)
        return
    plain = json.loads(json.dumps(config, default=os.fspath))
    # Folders are relative to the configuration, which is elsewhere now.
    for dataset in plain.get("data", {}).get("set", []):
        for key in ("path", "descriptions"):
            if key in dataset:
                dataset[key] = str(Path(dataset[key]).absolute())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.toml"
        path.write_text(_bipvl.to_toml(json.dumps(plain)), encoding="utf-8")
        yield path


@dataclass(frozen=True)
class TrainResult:
    """What a training left behind.

    Attributes
    ----------
    run : Path
        The run directory.
    step : int
        Optimizer steps done.
    best_dice : float
        Mean Dice of the best validation; ``nan`` without one.
    dice : dict of str to float
        Dice of that validation by class, or by data set and concept.
    events : list of dict
        All events of ``log.jsonl``.
    """

    run: Path
    step: int
    best_dice: float
    dice: dict[str, float]
    events: list[dict[str, Any]] = field(repr=False)

    def predictor(self, **options: Any) -> Predictor:
        """A `Predictor` with the best weights."""
        from ._predictor import Predictor

        return Predictor(self.run, **options)


class _Events:
    """Follows the log of a training."""

    def __init__(self, path: Path, callback: Callable[..., object] | None, total: int | None) -> None:
        self._path, self._callback, self._total = path, callback, total
        self._position = path.stat().st_size if path.exists() else 0

    def poll(self) -> None:
        if self._callback is None or not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._position)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._position += len(line)
                self._show(json.loads(line))

    def _show(self, event: dict[str, Any]) -> None:
        assert self._callback is not None
        if event["event"] == "step":
            step = event["step"]
            self._callback(step, self._total or step, f"loss {event['loss']['total']:.3f}")
        elif event["event"] == "validation":
            step = event["step"]
            self._callback(step, self._total or step, f"mean Dice {event['mean_dice']:.4f}")


def train(
    config: PathLike | Mapping[str, Any] | None = None,
    data: PathLike | None = None,
    out: PathLike = "run",
    *,
    recipe: str | None = None,
    descriptions: PathLike | None = None,
    steps: int | None = None,
    seed: int | None = None,
    val_fold: str | None = None,
    max_minutes: float | None = None,
    resume: bool = False,
    device: str = "cpu",
    threads: int | None = None,
    progress: Callable[[int, int, str], object] | bool | None = None,
) -> TrainResult:
    """Train a model, as ``bipvl train`` does.

    Parameters
    ----------
    config : path or mapping, optional
        Configuration: a TOML file, or its content as nested dictionaries.
    data : path, optional
        Data set folder. A prompted configuration names its own.
    out : path
        Run directory.
    recipe : str, optional
        Built-in configuration and descriptions of a published data set.
    descriptions : path, optional
        Descriptions of the classes, TOML or CSV.
    steps, seed, val_fold, max_minutes, device, threads
        As the flags of the program.
    resume : bool
        Continue the run in ``out`` from its last checkpoint; its configuration and data are known.
    progress : callable, bool, optional
        Called as ``progress(step, steps, text)``. Default: a bar of tqdm in notebooks, if it is installed. An exception
        that it raises stops the training with a checkpoint.

    Returns
    -------
    TrainResult

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C, when the checkpoint is written; continue with ``resume=True``.
    ValueError, FileNotFoundError, Error
        For wrong arguments, missing files, and what the program reports.
    """
    run = Path(out)
    with _config_file(config) as file, Bar(progress, "training") as bar:
        flags: list[tuple[str, Any]] = [
            ("--config", file),
            ("--data", None if data is None else _images.existing(data)),
            ("--recipe", recipe),
            ("--descriptions", None if descriptions is None else _images.existing(descriptions)),
            ("--steps", steps),
            ("--seed", seed),
            ("--val-fold", val_fold),
            ("--max-minutes", max_minutes),
            ("--device", None if device == "cpu" else device),
        ]
        arguments = ["train", "--out", str(run)]
        for flag, value in flags:
            if value is not None:
                arguments += [flag, str(value)]
        if resume:
            arguments.append("--resume")
        events = _Events(run / "log.jsonl", bar.callback, steps)
        run_program(arguments, threads, events.poll)
        events.poll()
    return _train_result(run)


def _train_result(run: Path) -> TrainResult:
    lines = (run / "log.jsonl").read_text(encoding="utf-8").splitlines()
    events: list[dict[str, Any]] = [json.loads(line) for line in lines]
    best = [event for event in events if event["event"] == "validation" and event["best"]]
    last = max((event.get("step", 0) for event in events), default=0)
    dice = best[-1]["mean_dice"] if best else None
    return TrainResult(
        run, last, float("nan") if dice is None else dice, dict(best[-1]["dice"]) if best else {}, events
    )


@dataclass(frozen=True)
class DatasetReport:
    """What ``bipvl data check`` finds.

    Attributes
    ----------
    name, layout, modality : str
        Of the data set.
    cases : int
        Labeled cases.
    classes : list of dict
        ``name``, ``labels``, ``voxels``, ``cases`` of each class.
    errors, warnings : list of str
        What is wrong with it.
    command : str
        The command to train on it.
    details : dict
        All that the program reports.
    """

    name: str
    layout: str
    modality: str
    cases: int
    classes: list[dict[str, Any]]
    errors: list[str]
    warnings: list[str]
    command: str
    details: dict[str, Any] = field(repr=False)


def data_check(data: PathLike, config: PathLike | None = None, threads: int | None = None) -> list[DatasetReport]:
    """Check a data set before training: one report for each built-in recipe that fits it, or one.

    Parameters
    ----------
    data : path
        Data set folder.
    config : path, optional
        Configuration that selects classes and modality.
    threads : int, optional
        Default: all processors.

    Raises
    ------
    FileNotFoundError, Error
        For a folder that does not exist or has no data set. What is wrong with its content is in the reports.
    """
    arguments = ["data", "check", str(_images.existing(data)), "--json"]
    if config is not None:
        arguments += ["--config", str(_images.existing(config))]
    found = json.loads(run_program(arguments, threads))
    keys = ("name", "layout", "modality", "cases", "classes", "errors", "warnings", "command")
    return [DatasetReport(**{key: report[key] for key in keys}, details=report) for report in found]


def describe(
    data: PathLike,
    out: PathLike | None = None,
    *,
    source: str | None = None,
    cases: int = 20,
    threads: int | None = None,
) -> list[dict[str, Any]]:
    """Generate descriptions of the classes of a data set; review them before training.

    Parameters
    ----------
    data : path
        Data set folder.
    out : path, optional
        New TOML file for the descriptions.
    source : {"builtin", "statistics"}, optional
        Default: built-in texts for known classes, statistics for all others.
    cases : int
        Cases to measure.
    threads : int, optional
        Default: all processors.

    Returns
    -------
    list of dict
        ``name``, ``title`` and ``concepts`` of each class.
    """
    folder = _images.existing(data)
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(out) if out is not None else Path(temporary) / "descriptions.toml"
        arguments = ["describe", "--data", str(folder), "--out", str(file), "--cases", str(cases)]
        if source is not None:
            arguments += ["--source", source]
        run_program(arguments, threads)
        return list(json.loads(_bipvl.from_toml(file.read_text(encoding="utf-8")))["class"])
