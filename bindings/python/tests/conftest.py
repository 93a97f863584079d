"""Runs that tests predict with: trained for two steps by the demo of the program."""

import subprocess
from pathlib import Path

import pytest

from bipvl._program import program


def _demo(folder: Path, *flags: str) -> Path:
    command = [program(), "demo", "--steps", "2", "--out", str(folder), *flags]
    subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def channels(tmp_path_factory):
    """The demo with a channel per class: ``data``, ``run``, ``predictions``."""
    return _demo(tmp_path_factory.mktemp("demo") / "channels", "--channels")


@pytest.fixture(scope="session")
def prompted(tmp_path_factory):
    """The prompted demo: ``data``, ``run``."""
    return _demo(tmp_path_factory.mktemp("demo") / "prompts")
