"""Training, descriptions and checks, and the program itself."""

import os
import signal
import subprocess
import sys

import pytest

import bipvl
from bipvl._program import program


def test_module_and_program_are_one(capfd):
    expected = subprocess.run([program(), "--version"], capture_output=True, text=True, check=True).stdout
    assert expected.strip() == f"bipvl {bipvl.__version__}"
    found = subprocess.run([sys.executable, "-m", "bipvl", "--version"], capture_output=True, text=True, check=True)
    assert found.stdout == expected


def test_a_check_is_a_report(channels):
    reports = bipvl.data_check(channels / "data")
    assert reports[0].cases > 0 and not reports[0].errors
    assert {"name", "labels", "voxels", "cases"} <= set(reports[0].classes[0])
    with pytest.raises(FileNotFoundError, match="nowhere"):
        bipvl.data_check("nowhere")


def test_descriptions(channels, tmp_path):
    classes = bipvl.describe(channels / "data", tmp_path / "descriptions.toml", source="statistics", cases=2)
    assert all(found["name"] and found["concepts"] for found in classes)
    assert (tmp_path / "descriptions.toml").is_file()
    assert bipvl.describe(channels / "data", source="statistics", cases=2) == classes


def config(channels):
    """The configuration of the demo as nested dictionaries, for two steps."""
    from bipvl import _bipvl
    import json

    found = json.loads(_bipvl.from_toml((channels / "config.toml").read_text()))
    found["train"]["max_steps"] = 2
    return found


def test_a_training_from_dictionaries(channels, tmp_path, capfd):
    calls = []
    result = bipvl.train(
        config(channels),
        channels / "data",
        tmp_path / "run",
        descriptions=channels / "descriptions.toml",
        threads=2,
        progress=lambda step, steps, text: calls.append((step, text)),
    )
    assert result.step == 2 and 0.0 <= result.best_dice <= 1.0
    assert any(text.startswith("loss ") for _, text in calls)
    assert set(result.dice) == set(result.predictor().classes)
    assert capfd.readouterr().out == ""


def test_what_the_program_refuses_is_an_exception(channels, tmp_path):
    wrong = config(channels)
    wrong["train"]["batch_sizes"] = 3
    with pytest.raises(bipvl.Error, match="batch_sizes"):
        bipvl.train(wrong, channels / "data", tmp_path / "run", descriptions=channels / "descriptions.toml")
    with pytest.raises(ValueError, match="no null"):
        bipvl.train({"train": {"max_steps": None}}, channels / "data", tmp_path / "run")
    with pytest.raises(ValueError, match="--device"):
        bipvl.train(config(channels), channels / "data", tmp_path / "run", device="abacus")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        bipvl.train("nowhere.toml", channels / "data", tmp_path / "run")


def test_ctrl_c_leaves_a_checkpoint(channels, tmp_path):
    long = config(channels)
    long["train"]["max_steps"] = 100_000

    def interrupt(step, steps, text):
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        bipvl.train(
            long,
            channels / "data",
            tmp_path / "run",
            descriptions=channels / "descriptions.toml",
            progress=interrupt,
        )
    assert (tmp_path / "run" / "last.safetensors").is_file()
