"""Execute chapters and store their outputs: `python tools/execute.py [--recipe full:8] [chapter …]`.

Chapters are named by their files, such as `02_siamese`; the default is all of them. Each is written back as soon as it
is done, so an interrupted run keeps the chapters before. `SIAMESE_TRIPLET_DATA` names the folder of the full data.
"""

import argparse
import base64
import io
import os
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

BOOK = Path(__file__).parents[1] / "book"
SHARP = "--InlineBackend.figure_formats=retina"  # pictures at twice the resolution of a page
COLAB = {"accelerator": "GPU", "colab": {"gpuType": "T4", "provenance": []}}  # the machine to open a notebook on


def execute(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.pop("widgets", None)  # as Jupyter stores it
    NotebookClient(
        notebook,
        timeout=None,
        coalesce_streams=True,
        store_widget_state=False,  # to show it, a page would need the network
        resources={"metadata": {"path": str(BOOK)}},
        extra_arguments=[SHARP],
    ).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # timestamps, which would change with every run
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = compress(output.data["image/png"])
            for size in output.get("metadata", {}).values():
                if isinstance(size, dict):
                    size.pop("height", None)  # the width determines it, also on a narrow screen
    notebook.metadata["language_info"] = {"name": "python"}
    write(notebook, path)


def write(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Write the notebook with the metadata that makes Colab open it on a machine with a GPU."""
    notebook.metadata.update(COLAB)
    nbformat.write(notebook, path)


def compress(picture: str) -> str:
    """Compress a PNG file, in base64, without loss; return it as it is if that saves nothing."""
    smaller = io.BytesIO()
    with Image.open(io.BytesIO(base64.b64decode(picture))) as image:
        opaque = image.mode == "RGBA" and image.getextrema()[3] == (255, 255)
        (image.convert("RGB") if opaque else image).save(smaller, "png", optimize=True)
    found = base64.b64encode(smaller.getvalue()).decode()
    return min(picture, found, key=len)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("chapters", nargs="*", help="such as 02_siamese; all of them by default")
    parser.add_argument(
        "--recipe",
        default="full",
        help="quick or full, with a number of epochs as in full:8",
    )
    parser.add_argument("--metadata", action="store_true", help="run nothing, only set the metadata for Colab")
    parser.add_argument("--runs", type=Path, help="folder of finished runs, which are not trained again")
    arguments = parser.parse_args()
    os.environ["SIAMESE_TRIPLET_RECIPE"] = arguments.recipe
    if arguments.runs:
        os.environ["SIAMESE_TRIPLET_RUNS"] = str(arguments.runs.resolve())
    os.environ["TQDM_DISABLE"] = "1"  # progress bars are not worth storing
    os.environ["SIAMESE_TRIPLET_IN_BOOK"] = "1"  # the pages load the script of the live figures themselves
    if "SIAMESE_TRIPLET_DATA" in os.environ:  # kernels run in the folder of the book
        os.environ["SIAMESE_TRIPLET_DATA"] = str(Path(os.environ["SIAMESE_TRIPLET_DATA"]).resolve())
    paths = [BOOK / f"{name}.ipynb" for name in arguments.chapters] or sorted(BOOK.glob("*.ipynb"))
    for path in paths:
        if arguments.metadata:
            write(nbformat.read(path, as_version=4), path)
            continue
        started = time.perf_counter()
        execute(path)
        print(f"{path.name}: {time.perf_counter() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
