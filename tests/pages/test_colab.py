"""The tool that runs chapters as Colab does: its environment, git's redirection, its verdicts, an installation."""

import base64
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from browser import REQUIRED
from colab_place import VARIABLE, colab_folder
from packaging.utils import canonicalize_name
from PIL import Image

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tools"))
import colab  # noqa: E402
import execute  # noqa: E402
from address import INSTALL, INSTALL_WITHOUT_ADDRESS, read_address  # noqa: E402
from colab_environment import BUILDS_WITH, LINKED, PACKAGES, make_environment, versions, with_dependencies  # noqa: E402

CHAPTERS = sorted((ROOT / "book").glob("*.ipynb"))
PRESENT = ("torch", "torchvision", "matplotlib", "ipywidgets", "notebook", "numpy", "tqdm", "pip", "google.colab")
ABSENT = (
    "siamese_triplet",
    "comm",
    "jupyterlab",
    "nbval",
    "sklearn",
    "onnx",
    "onnxruntime",
    "faiss",
    "pytorch_metric_learning",
)
ABSENT += ("hypothesis", "playwright", "sentence_transformers", "jupyter_book", "pandas")

needs_git = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="there is no git history here")


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_environment(tmp_path_factory.mktemp("environment"), colab_folder())


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return colab.snapshot(tmp_path_factory.mktemp("repository"), worktree=True)


def run_code(python: Path, code: str) -> list[str]:
    """Run code that prints JSON by the environment's Python, in a folder of its own."""
    command = [str(python), "-c", f"import json\n{code}"]
    finished = subprocess.run(command, capture_output=True, text=True, check=True, env={}, cwd=python.parent)
    return json.loads(finished.stdout)


def test_the_environment_has_the_versions_of_colab_and_nothing_else(python: Path) -> None:
    code = "import importlib.metadata as m; print(json.dumps([(d.name, d.version) for d in m.distributions()]))"
    found = {canonicalize_name(name): version for name, version in run_code(python, code)}
    linked = {name: installed.version for name, installed in with_dependencies([*LINKED, *BUILDS_WITH]).items()}
    assert found == linked | versions()


def test_the_list_of_versions_has_a_date_a_source_and_what_the_form_needs() -> None:
    text = PACKAGES.read_text()
    assert re.search(r"backend-info, commit [0-9a-f]{40}", text)
    assert re.search(r"(January|August) 20\d\d", text)
    needed = {"ipywidgets": "7.7.1", "ipython": "7.34.0", "ipykernel": "6.17.1", "notebook": "6.5.7"}
    assert needed.items() <= versions().items()


def test_neither_the_package_nor_its_extras_can_be_imported(python: Path) -> None:
    modules = [*ABSENT, *PRESENT]
    code = f"import importlib.util as u; print(json.dumps([m for m in {modules} if u.find_spec(m)]))"
    assert run_code(python, code) == list(PRESENT)


def test_the_package_changes_nothing_of_what_colab_has(python: Path) -> None:
    command = [python, "-m", "pip", "install", "--dry-run", "--no-index", "--quiet", "--report", "-", ROOT]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, cwd=python.parent)
    assert finished.returncode == 0, finished.stderr
    installed = json.loads(finished.stdout)["install"]
    assert [package["metadata"]["name"] for package in installed] == ["siamese-triplet"]


def test_an_environment_made_from_another_list_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REQUIRED, "required")
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(pytest.fail.Exception, match="no environment with the packages of Colab: python tools/colab_"):
        colab_folder()
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(pytest.fail.Exception, match="as it is now"):
        colab_folder()
    copy = tmp_path / PACKAGES.name
    copy.write_text(PACKAGES.read_text())
    assert colab_folder() == tmp_path
    copy.write_text(PACKAGES.read_text().replace("7.7.1", "8.1.5"))
    with pytest.raises(pytest.fail.Exception, match="as it is now"):
        colab_folder()


def test_a_missing_distribution_is_named() -> None:
    with pytest.raises(SystemExit, match="no-such-package is not installed here"):
        with_dependencies(["no-such-package"])


def test_a_chapter_sees_no_data_no_settings_and_no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIAMESE_TRIPLET_DATA", "somewhere")
    monkeypatch.setenv("XDG_CACHE_HOME", "somewhere")
    (tmp_path / "_config.yml").write_text((ROOT / "_config.yml").read_text())
    variables = colab.environment_variables(tmp_path, tmp_path)
    assert "SIAMESE_TRIPLET_DATA" not in variables
    with_data = colab.environment_variables(tmp_path, tmp_path, tmp_path)
    assert with_data["SIAMESE_TRIPLET_DATA"] == str(tmp_path.resolve())
    assert "somewhere" not in variables.values()
    assert variables["HOME"] == str(tmp_path)


@needs_git
def test_git_finds_the_address_of_the_book_in_the_snapshot(repository: Path, tmp_path: Path) -> None:
    url = f"https://github.com/{read_address(repository)['slug']}"
    command = ["git", "ls-remote", url, "HEAD"]
    environment = colab.environment_variables(tmp_path, repository)
    finished = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=tmp_path)
    head = colab._git("-C", str(repository), "rev-parse", "HEAD")
    assert finished.stdout.split()[0] == head.strip()


@needs_git
@pytest.mark.parametrize("worktree", [True, False])
def test_a_snapshot_is_one_complete_commit(worktree: bool, tmp_path: Path) -> None:
    repository = colab.snapshot(tmp_path, worktree)
    assert colab._git("-C", str(repository), "rev-list", "--count", "HEAD").strip() == "1"
    assert colab._git("-C", str(repository), "rev-parse", "--is-shallow-repository").strip() == "false"
    names = set(colab._git("-C", str(repository), "ls-files").splitlines())
    assert {"pyproject.toml", "book/01_softmax.ipynb", "siamese_triplet/__init__.py"} <= names
    if worktree:
        assert (repository / "README.md").read_text() == (ROOT / "README.md").read_text()


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("import os, sys\nassert 'google.colab' in sys.modules\nassert os.listdir() == ['chapter.ipynb']", None),
        (
            "print('ERROR: x')\nimport siamese_triplet",
            "ModuleNotFoundError: No module named 'siamese_triplet'\nERROR: x",
        ),
    ],
)
def test_the_error_of_a_failing_chapter_is_reported(source: str, problem: str | None, tmp_path: Path) -> None:
    write_chapter(tmp_path, source)
    assert colab.run("chapter", tmp_path, colab_folder()) == problem


def test_the_kernel_of_a_chapter_ends_with_it(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    write_chapter(tmp_path, f"import os, pathlib\npathlib.Path({str(pid)!r}).write_text(str(os.getpid()))")
    assert colab.run("chapter", tmp_path, colab_folder()) is None
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


@pytest.mark.parametrize(
    ("problem", "verdict"),
    [
        (None, "ok"),
        ("ValueError: no", "failed: ValueError: no"),
        ("FileNotFoundError: it was not downloaded: no net", "needs a download: FileNotFoundError: it was not downlo"),
    ],
)
def test_missing_data_are_not_a_failure(problem: str | None, verdict: str) -> None:
    assert colab.verdict(problem).startswith(verdict)


def write_chapter(repository: Path, *sources: str) -> None:
    """Write `chapter.ipynb` with cells of these sources into the book of `repository`."""
    (repository / "book").mkdir(exist_ok=True)
    if not (repository / "_config.yml").exists():
        shutil.copy(ROOT / "_config.yml", repository)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    nbformat.write(notebook, repository / "book" / "chapter.ipynb")


INSTALLED = """\
import siamese_triplet as s
assert 'site-packages' in s.__file__ and len(s.load('mnist')) == 6000
import ipywidgets, IPython
assert (ipywidgets.__version__, IPython.__version__) == ('7.7.1', '7.34.0')
s.__version__"""


@needs_git
def test_the_first_cell_of_a_chapter_installs_the_package_with_its_images(repository: Path) -> None:
    write_chapter(repository, INSTALL.format(**read_address(repository)), INSTALLED)
    assert colab.run("chapter", repository, colab_folder()) is None
    first = nbformat.read(repository / "book" / "01_softmax.ipynb", as_version=4).cells[1]
    assert first.source == INSTALL.format(**read_address(repository))


def test_without_an_address_a_chapter_takes_an_uploaded_wheel_or_says_so(python: Path, tmp_path: Path) -> None:
    write_chapter(tmp_path, INSTALL_WITHOUT_ADDRESS, INSTALLED)
    problem = colab.run("chapter", tmp_path, colab_folder())
    assert problem.startswith("AssertionError: This book has no public address yet: upload a wheel")
    command = [python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--wheel-dir", tmp_path, ROOT]
    subprocess.run(command, check=True, cwd=tmp_path)
    assert colab.run("chapter", tmp_path, colab_folder(), uploads=list(tmp_path.glob("*.whl"))) is None


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_asks_colab_for_a_gpu(path: Path) -> None:
    metadata = json.loads(path.read_text())["metadata"]
    assert {name: metadata.get(name) for name in execute.COLAB} == execute.COLAB, "python tools/execute.py --metadata"


def test_a_written_notebook_asks_colab_for_a_gpu(tmp_path: Path) -> None:
    execute.write(nbformat.v4.new_notebook(), tmp_path / "chapter.ipynb")
    assert nbformat.read(tmp_path / "chapter.ipynb", as_version=4).metadata.accelerator == "GPU"


@pytest.mark.parametrize("alpha", [0, 255])
def test_a_compressed_picture_is_smaller_and_the_same(alpha: int) -> None:
    image = Image.new("RGBA", (64, 64), (200, 10, 10, 255))
    image.putpixel((3, 4), (0, 0, 255, alpha))
    file = io.BytesIO()
    image.save(file, "png", compress_level=0)
    given = base64.b64encode(file.getvalue()).decode()
    found = execute.compress(given)
    assert len(found) < len(given) / 10
    pixels = Image.open(io.BytesIO(base64.b64decode(found))).convert("RGBA")
    assert pixels.tobytes() == image.tobytes()
    assert len(execute.compress(found)) <= len(found)
