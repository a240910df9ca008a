"""Run chapters as their Colab button does: `python tools/colab.py [--worktree] [--data FOLDER] [chapter …]`.

Each chapter runs in a fresh environment with Colab's versions (see `colab_environment`) and in a folder that holds the
notebook alone. Its first cell installs the package from the repository's address, which git redirects to a snapshot of
this repository; in the snapshot a made-up address takes the place of the placeholder. `SIAMESE_TRIPLET_COLAB` may name
an environment that is installed already.
There is no network, no GPU, and no data beyond the package's. A chapter that needs a download stops and says so, unless
`--data` names a folder that holds the data; any other error is a failure. The last commit is run, as Colab sees it;
`--worktree` runs the files as they are.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import nbformat
from address import is_placeholder, read_address
from colab_environment import KERNEL, VARIABLE, install, is_current, make_environment
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).parents[1]
KEPT = ("PATH", "LANG", "LC_ALL", "OMP_NUM_THREADS")  # environment variables passed on
MADE_UP = "https://github.com/nobody/siamese_triplet"
NOWHERE = "http://127.0.0.1:9"  # a proxy that does not exist
NOT_DOWNLOADED = "was not downloaded"  # in the package's error for missing data


def snapshot(folder: Path, worktree: bool) -> Path:
    """Make a repository of one commit in `folder`, from the last commit or the files of the worktree; return `folder`.

    It is not a clone, as git may fetch from a shallow clone again and again.
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
    if is_placeholder(read_address(folder)):
        command = [sys.executable, folder / "tools" / "address.py", "--set", MADE_UP]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    _git("-C", str(folder), "init", "--quiet")
    _git("-C", str(folder), "add", "--all")
    author = ("-c", "user.name=nobody", "-c", "user.email=nobody@localhost")
    _git("-C", str(folder), *author, "commit", "--quiet", "--message", "Snapshot")
    return folder


def _git(*arguments: str) -> str:
    finished = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    if finished.returncode:
        sys.exit(f"git {' '.join(arguments)}: {finished.stderr.strip()}")
    return finished.stdout


def environment_variables(home: Path, repository: Path, data: Path | None = None) -> dict[str, str]:
    """Return the environment of a chapter: `home` as home folder, `data` as data folder, git redirected, no network."""
    return {
        **{name: os.environ[name] for name in KEPT if name in os.environ},
        "HOME": str(home),
        "TMPDIR": str(home),
        "CUDA_VISIBLE_DEVICES": "",
        "PIP_NO_INDEX": "1",  # the dependencies are installed already
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # else the debugger of ipykernel prints a warning
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{repository.as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": f"https://github.com/{read_address(repository)['slug']}",
        **dict.fromkeys(("http_proxy", "https_proxy"), NOWHERE),
        **({"SIAMESE_TRIPLET_DATA": str(data.resolve())} if data else {}),
    }


def run(
    chapter: str, repository: Path, colab: Path, data: Path | None = None, uploads: Sequence[Path] = ()
) -> str | None:
    """Run a chapter of `repository`, beside the files `uploads`, in an environment made from the one in `colab`.

    Returns None on success, else the error.
    """
    with tempfile.TemporaryDirectory(prefix="colab-") as folder:
        home, content = Path(folder, "home"), Path(folder, "content")
        for new in (home, content):
            new.mkdir()
        make_environment(Path(folder, "environment"), colab)
        for upload in uploads:
            shutil.copy(upload, content)
        path = shutil.copy(repository / "book" / f"{chapter}.ipynb", content)
        specs = KernelSpecManager(kernel_dirs=[f"{folder}/environment/kernels"], ensure_native_kernel=False)
        kernel = AsyncKernelManager(kernel_name=KERNEL, kernel_spec_manager=specs)
        notebook = nbformat.read(path, as_version=4)
        client = NotebookClient(notebook, km=kernel, timeout=None, store_widget_state=False)
        try:
            # the manager is ours: without cleanup_kc the kernel would go on until this program ends
            client.execute(env=environment_variables(home, repository, data), cwd=str(content), cleanup_kc=True)
        except CellExecutionError as error:
            return f"{error.ename}: {error.evalue}{_pip_errors(notebook)}"
    return None


def _pip_errors(notebook: nbformat.NotebookNode) -> str:
    """Return pip's error messages, as printed by the first cell: %pip raises nothing when it fails."""
    outputs = next(cell.outputs for cell in notebook.cells if cell.cell_type == "code")
    lines = "".join(output.get("text", "") for output in outputs).splitlines()
    return "".join(f"\n{line}" for line in lines if line.startswith("ERROR"))


def verdict(problem: str | None) -> str:
    """Describe the result of `run`."""
    if problem is None:
        return "ok"
    return f"needs a download: {problem}" if NOT_DOWNLOADED in problem else f"failed: {problem}"


def environment(folder: Path) -> Path:
    """Return the folder of an environment with Colab's packages: a new one in `folder`, if there is none yet."""
    if VARIABLE in os.environ and is_current(Path(os.environ[VARIABLE])):
        return Path(os.environ[VARIABLE])
    install(folder)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chapters", nargs="*", help="such as 02_siamese; all of them by default")
    parser.add_argument("--worktree", action="store_true", help="run the files as they are, not the last commit")
    parser.add_argument("--data", type=Path, help="folder of the data that chapters would download")
    arguments = parser.parse_args()
    failed = []
    with tempfile.TemporaryDirectory(prefix="colab-") as folder:
        (repository := Path(folder, "repository")).mkdir()
        snapshot(repository, arguments.worktree)
        colab = environment(Path(folder, "colab"))
        chapters = arguments.chapters or sorted(path.stem for path in (repository / "book").glob("*.ipynb"))
        for chapter in chapters:
            started = time.perf_counter()
            result = verdict(run(chapter, repository, colab, arguments.data))
            print(f"{chapter}, {time.perf_counter() - started:.0f} s: {result}", flush=True)
            if result.startswith("failed"):
                failed.append(chapter)
    if failed:
        sys.exit(f"{len(failed)} of {len(chapters)} failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
