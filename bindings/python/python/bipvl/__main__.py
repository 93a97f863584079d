"""``python -m bipvl`` is the program."""

import os
import sys

from ._program import program


def main() -> None:
    """Become the program, with the same arguments."""
    path = program()
    os.execv(path, [path, *sys.argv[1:]])


if __name__ == "__main__":
    main()
