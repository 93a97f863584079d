"""Runs first_steps.ipynb, and writes it as a page of the book; with --check it runs it only."""

import base64
import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent
NOTEBOOK = HERE / "first_steps.ipynb"
PAGE = HERE.parent.parent / "docs" / "src" / "getting-started" / "python.md"
#: Seconds that a cell may take; one trains.
TIMEOUT = 900
CODE = "```{}\n{}\n```\n"


def page(notebook, folder):
    """The cells as Markdown; pictures are written beside it."""
    parts, pictures = [], 0
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source + "\n")
            continue
        parts.append(CODE.format("python", cell.source))
        printed = ""
        for output in cell.outputs:
            data = output.get("data", {})
            if "image/png" in data:
                pictures += 1
                name = f"python-{pictures}.png"
                (folder / name).write_bytes(base64.b64decode(data["image/png"]))
                parts.append(f"![{cell.metadata.get('caption', 'The picture of this cell')}]({name})\n")
            elif output.output_type == "execute_result":
                printed += data["text/plain"]
            elif output.get("name") == "stdout":
                # Bars of progress and warnings go elsewhere.
                printed += output.text
        if printed.strip():
            parts.append(CODE.format("text", printed.rstrip()))
    return "\n".join(parts)


def main():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(notebook, timeout=TIMEOUT, kernel_name="python3", resources={"metadata": {"path": folder}}).execute()
    os.chdir(before)
    if "--check" not in sys.argv:
        PAGE.write_text(page(notebook, PAGE.parent))


if __name__ == "__main__":
    main()
