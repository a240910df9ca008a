"""Run chapters as their Colab button does: `python tools/colab.py [--worktree] [--data FOLDER] [chapter …]`.

Each runs in a fresh environment, see `colab_environment`, in a folder that holds the notebook and nothing else. Its
first cell really installs the package from the repository's address, which git is told to find in a clone of this one.
No network is used, no data but those in the package, no GPU. A chapter whose data would have to be downloaded stops,
and says so, unless `--data` names a folder that has them, in place of the download; any other error is a failure. The
last commit is run, as Colab sees it; with `--worktree` all files as they are.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from address import address
from colab_environment import KERNEL, make_environment
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).parents[1]
KEPT = ("PATH", "LANG", "LC_ALL", "OMP_NUM_THREADS")  # of the variables of this process
NOWHERE = "http://127.0.0.1:9"  # a proxy that is not there
NOT_DOWNLOADED = "was not downloaded"  # says the package where data are missing


def snapshot(folder: Path, worktree: bool) -> Path:
    """A repository in `folder` of one commit, the last of this one, or with `worktree` its files as they are.

    It is no clone: git may fetch from a shallow one again and again. Returns `folder`.
    """
    if worktree:
        names = _git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
        for name in (name for name in names if (ROOT / name).is_file()):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    else:
        archive = folder / "commit.zip"
        _git("archive", "--output", str(archive), "HEAD")
        shutil.unpack_archive(archive, folder)
        archive.unlink()
    _git("-C", str(folder), "init", "--quiet")
    _git("-C", str(folder), "add", "--all")
    author = ("-c", "user.name=nobody", "-c", "user.email=nobody@localhost")
    _git("-C", str(folder), *author, "commit", "--quiet", "--message", "What is run")
    return folder


def _git(*arguments: str) -> str:
    finished = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    if finished.returncode:
        sys.exit(f"git {' '.join(arguments)}: {finished.stderr.strip()}")
    return finished.stdout


def variables(home: Path, repository: Path, data: Path | None = None) -> dict[str, str]:
    """The variables of a process that runs a chapter: `home` as its home, git's detour to `repository`, no network.

    `data`, if there is one, is the folder of the data.
    """
    return {
        **{name: os.environ[name] for name in KEPT if name in os.environ},
        "HOME": str(home),
        "TMPDIR": str(home),
        "CUDA_VISIBLE_DEVICES": "",
        "PIP_NO_INDEX": "1",  # the dependencies are there already
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{repository.as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": f"https://github.com/{address()['slug']}",
        **dict.fromkeys(("http_proxy", "https_proxy"), NOWHERE),
        **({"SIAMESE_TRIPLET_DATA": str(data.resolve())} if data else {}),
    }


def run(chapter: str, repository: Path, data: Path | None = None) -> str | None:
    """Run a chapter of `repository` in an environment of its own; returns None if it went well, else what happened."""
    with tempfile.TemporaryDirectory(prefix="colab-") as folder:
        home, content = Path(folder, "home"), Path(folder, "content")
        for new in (home, content):
            new.mkdir()
        make_environment(Path(folder, "environment"))
        path = shutil.copy(repository / "book" / f"{chapter}.ipynb", content)
        specs = KernelSpecManager(kernel_dirs=[f"{folder}/environment/kernels"], ensure_native_kernel=False)
        kernel = AsyncKernelManager(kernel_name=KERNEL, kernel_spec_manager=specs)
        notebook = nbformat.read(path, as_version=4)
        client = NotebookClient(notebook, km=kernel, timeout=None, store_widget_state=False)
        try:
            client.execute(env=variables(home, repository, data), cwd=str(content))
        except CellExecutionError as error:
            return f"{error.ename}: {error.evalue}{_failed_installation(notebook)}"
    return None


def _failed_installation(notebook: nbformat.NotebookNode) -> str:
    """What pip said was wrong, as the first cell printed it: %pip raises nothing where it fails."""
    outputs = next(cell.outputs for cell in notebook.cells if cell.cell_type == "code")
    lines = "".join(output.get("text", "") for output in outputs).splitlines()
    return "".join(f"\n{line}" for line in lines if line.startswith("ERROR"))


def verdict(problem: str | None) -> str:
    """What `run` returned, in words."""
    if problem is None:
        return "ok"
    return f"needs a download: {problem}" if NOT_DOWNLOADED in problem else f"failed: {problem}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chapters", nargs="*", help="such as 02_siamese; all of them by default")
    parser.add_argument("--worktree", action="store_true", help="run the files as they are, not the last commit")
    parser.add_argument("--data", type=Path, help="folder of the data that a chapter would download")
    arguments = parser.parse_args()
    failed = []
    with tempfile.TemporaryDirectory(prefix="colab-") as folder:
        repository = snapshot(Path(folder), arguments.worktree)
        chapters = arguments.chapters or sorted(path.stem for path in (repository / "book").glob("*.ipynb"))
        for chapter in chapters:
            started = time.perf_counter()
            said = verdict(run(chapter, repository, arguments.data))
            print(f"{chapter}, {time.perf_counter() - started:.0f} s: {said}", flush=True)
            if said.startswith("failed"):
                failed.append(chapter)
    if failed:
        sys.exit(f"{len(failed)} of {len(chapters)} failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
