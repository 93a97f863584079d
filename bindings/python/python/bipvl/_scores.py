"""Scores as objects."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from . import _bipvl

if TYPE_CHECKING:
    import pandas

Row = TypeVar("Row")
State = Literal["both", "missed", "false_alarm", "neither"]

METRICS = ("dice", "hd95_mm", "nsd", "assd_mm")
_STATES: dict[str, State] = {
    "both": "both",
    "neither": "neither",
    "only_reference": "missed",
    "only_prediction": "false_alarm",
}


@dataclass(frozen=True)
class ClassScores:
    """Scores of one class in one case; ``nan`` where the convention leaves a score undefined.

    Attributes
    ----------
    dice : float
        Dice similarity coefficient, 0 to 1.
    hd95_mm : float
        95 % Hausdorff distance in mm.
    nsd : float
        Normalized surface Dice at the tolerance, 0 to 1.
    assd_mm : float
        Average symmetric surface distance in mm.
    state : str
        Which masks have the class: ``"both"``, ``"missed"`` (the reference alone), ``"false_alarm"`` (the prediction
        alone), ``"neither"``.
    """

    dice: float
    hd95_mm: float
    nsd: float
    assd_mm: float
    state: State


@dataclass(frozen=True)
class Means:
    """Means over the classes in which a score exists; a missed class has Dice and NSD 0."""

    dice: float
    hd95_mm: float
    nsd: float
    assd_mm: float


@dataclass(frozen=True)
class Summary:
    """One metric of one class over the cases in which it exists.

    Attributes
    ----------
    mean, std : float
        Mean and population standard deviation.
    ci95 : tuple of float, or None
        95 % confidence interval of the mean, percentile bootstrap over the cases; ``None`` for fewer than two.
    cases, missed : int
        Cases in the mean, and cases in which the class was missed.
    penalized_mean : float
        Distances: the mean in which a missed case counts as the diagonal of its grid; ``nan`` if none was missed.
    """

    mean: float
    std: float
    ci95: tuple[float, float] | None
    cases: int
    missed: int
    penalized_mean: float


@dataclass(frozen=True)
class ClassSummary:
    """The metrics of one class over all cases."""

    dice: Summary
    hd95_mm: Summary
    nsd: Summary
    assd_mm: Summary


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _class_scores(found: dict[str, Any]) -> ClassScores:
    dice, hd95_mm, nsd, assd_mm = (_number(found[metric]) for metric in METRICS)
    return ClassScores(dice, hd95_mm, nsd, assd_mm, _STATES[found["presence"]])


def _summary(found: dict[str, Any]) -> Summary:
    interval = found.get("ci95")
    return Summary(
        _number(found["mean"]),
        _number(found["std"]),
        None if interval is None else (interval[0], interval[1]),
        found["cases"],
        found["missed"],
        _number(found.get("penalized_mean")),
    )


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value


class _ByClass(Mapping[str, Row]):
    """Values by class name, with the scores in JSON that they are of; printed as the table of the program."""

    def __init__(self, found: dict[str, Any], classes: dict[str, Row]) -> None:
        self._found, self._classes = found, classes

    def __getitem__(self, name: str) -> Row:
        try:
            return self._classes[name]
        except KeyError:
            raise KeyError(f"{name!r} is no class; there are {', '.join(self._classes) or 'none'}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._classes)

    def __len__(self) -> int:
        return len(self._classes)

    @property
    def convention(self) -> str:
        """Whose definitions of the metrics the scores follow."""
        return str(self._found["convention"])

    def __str__(self) -> str:
        return _bipvl.score_table(json.dumps(self._found))

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


class Scores(_ByClass[ClassScores]):
    """Scores of one case by class name; printed as the table of the program.

    ``scores["liver"].dice``, ``scores.mean.dice``, ``scores.missed``.
    """

    def __init__(self, found: dict[str, Any]) -> None:
        super().__init__(found, {name: _class_scores(row) for name, row in found["cases"][0]["classes"].items()})

    @property
    def tolerance_mm(self) -> float:
        """The tolerance of NSD in mm."""
        return float(self._found["tolerance_mm"])

    @property
    def mean(self) -> Means:
        """Means over the classes."""
        summaries = self._found["mean"].values()
        values = {m: [s[m]["mean"] for s in summaries if s[m]["mean"] is not None] for m in METRICS}
        return Means(*(sum(found) / len(found) if found else math.nan for found in values.values()))

    @property
    def missed(self) -> list[str]:
        """Classes that only the reference has."""
        return [name for name, scores in self.items() if scores.state == "missed"]

    def to_dict(self) -> dict[str, dict[str, float | str | None]]:
        """Scores by class and metric; what does not exist is ``None``."""
        return {
            name: {metric: _plain(getattr(scores, metric)) for metric in METRICS} | {"state": scores.state}
            for name, scores in self.items()
        }

    def to_pandas(self) -> pandas.DataFrame:
        """A row per class."""
        import pandas

        rows = [{"class": name, **asdict(scores)} for name, scores in self.items()]
        return pandas.DataFrame(rows, columns=["class", *ClassScores.__dataclass_fields__]).set_index("class")

    def __repr__(self) -> str:
        return f"Scores({', '.join(self)}; mean Dice {self.mean.dice:.4f}; {self.convention})"


class FolderScores(_ByClass[ClassSummary]):
    """Scores of a folder: means by class name, and all cases; printed as the table of the program.

    ``scores["liver"].dice.mean``, ``scores["liver"].dice.ci95``, ``scores.cases["case_01"]["liver"].dice``.

    Attributes
    ----------
    cases : dict
        Scores by case and class.
    failures : list of str
        What is wrong with the cases that could not be scored.
    """

    def __init__(self, found: dict[str, Any], failures: list[str]) -> None:
        super().__init__(
            found,
            {name: ClassSummary(*(_summary(row[metric]) for metric in METRICS)) for name, row in found["mean"].items()},
        )
        self.failures = failures
        self.cases: dict[str, dict[str, ClassScores]] = {
            case["case"]: {name: _class_scores(scores) for name, scores in case["classes"].items()}
            for case in found["cases"]
        }

    @property
    def mean_dice(self) -> float:
        """Mean over the classes of their mean Dice, in which a missed class counts as 0."""
        means = [summary.dice.mean for summary in self.values() if not math.isnan(summary.dice.mean)]
        return sum(means) / len(means) if means else math.nan

    def to_dict(self) -> dict[str, Any]:
        """The content of the program's ``scores.json``; what does not exist is ``None``."""
        return dict(json.loads(json.dumps(self._found)))

    def to_pandas(self) -> pandas.DataFrame:
        """A row per case and class."""
        import pandas

        rows = [
            {"case": case, "class": name, **asdict(scores)}
            for case, classes in self.cases.items()
            for name, scores in classes.items()
        ]
        return pandas.DataFrame(rows, columns=["case", "class", *ClassScores.__dataclass_fields__]).set_index(["case", "class"])

    def __repr__(self) -> str:
        return f"FolderScores({len(self.cases)} cases; {', '.join(self)}; mean Dice {self.mean_dice:.4f})"
