"""Progress of long calls."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any

#: More than any machine has; starting more takes seconds.
MAX_THREADS = 1024

Callback = Callable[..., object]


def _is_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and shell.__class__.__name__ == "ZMQInteractiveShell"


def ensure_threads(threads: int | None) -> None:
    """``ValueError`` for a number of threads that cannot be."""
    if threads is not None and not 1 <= threads <= MAX_THREADS:
        raise ValueError(f"threads={threads}: expected 1 to {MAX_THREADS}")


class Bar:
    """A callable of the caller, or a bar of tqdm: in notebooks by default, with ``True`` everywhere."""

    def __init__(self, wanted: Callback | bool | None, title: str) -> None:
        self._bar: Any = None
        self._title = title
        self.callback: Callback | None = None
        if callable(wanted):
            self.callback = wanted
        elif not isinstance(wanted, (bool, type(None))):
            raise TypeError(f"progress={wanted!r}: expected a callable, True, False or None")
        elif wanted or (wanted is None and _is_notebook()):
            try:
                import tqdm.auto
            except ImportError:
                if wanted:
                    raise ImportError("progress=True needs tqdm: pip install tqdm, or give a callable") from None
            else:
                self._bar = tqdm.auto.tqdm(desc=title, leave=False)
                self.callback = self._advance

    def _advance(self, done: int, total: int, text: str = "") -> None:
        self._bar.total = total
        self._bar.n = done
        self._bar.set_description(f"{self._title} {text}".strip(), refresh=False)
        self._bar.refresh()

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
