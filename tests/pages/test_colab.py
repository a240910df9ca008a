"""The tool that runs chapters as Colab does: its environment, git's redirection, its verdicts, an installation."""

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tools"))
import colab  # noqa: E402
import execute  # noqa: E402
from address import read_address  # noqa: E402
from colab_environment import BUILDS_WITH, HAS, make_environment, with_dependencies  # noqa: E402

CHAPTERS = sorted((ROOT / "book").glob("*.ipynb"))
ABSENT = ("siamese_triplet", "pytest", "nbval", "sklearn", "onnx", "onnxruntime", "faiss", "pytorch_metric_learning")
ABSENT += ("hypothesis", "playwright", "sentence_transformers", "jupyter_book", "pandas")

needs_git = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="there is no git history here")


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_environment(tmp_path_factory.mktemp("environment"))


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return colab.snapshot(tmp_path_factory.mktemp("repository"), worktree=True)


def run_code(python: Path, code: str) -> list[str]:
    """Run code that prints JSON by the environment's Python, in a folder of its own."""
    command = [str(python), "-c", f"import json\n{code}"]
    finished = subprocess.run(command, capture_output=True, text=True, check=True, env={}, cwd=python.parent)
    return json.loads(finished.stdout)


def test_the_environment_has_what_colab_has_and_nothing_else(python: Path) -> None:
    code = "import importlib.metadata as m; print(json.dumps([d.name for d in m.distributions()]))"
    names = {name.lower().replace("_", "-").replace(".", "-") for name in run_code(python, code)}
    assert names == set(with_dependencies([*HAS, *BUILDS_WITH]))


def test_neither_the_package_nor_its_extras_can_be_imported(python: Path) -> None:
    modules = [*ABSENT, *HAS, "google.colab"]
    code = f"import importlib.util as u; print(json.dumps([m for m in {modules} if u.find_spec(m)]))"
    assert run_code(python, code) == [*HAS, "google.colab"]


def test_a_missing_distribution_is_named() -> None:
    with pytest.raises(SystemExit, match="no-such-package is not installed here"):
        with_dependencies(["no-such-package"])


def test_a_chapter_sees_no_data_no_settings_and_no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIAMESE_TRIPLET_DATA", "somewhere")
    monkeypatch.setenv("XDG_CACHE_HOME", "somewhere")
    variables = colab.environment_variables(tmp_path, tmp_path)
    assert "SIAMESE_TRIPLET_DATA" not in variables
    with_data = colab.environment_variables(tmp_path, tmp_path, tmp_path)
    assert with_data["SIAMESE_TRIPLET_DATA"] == str(tmp_path.resolve())
    assert "somewhere" not in variables.values()
    assert variables["HOME"] == str(tmp_path)


@needs_git
def test_git_finds_the_address_of_the_book_in_the_snapshot(repository: Path, tmp_path: Path) -> None:
    url = f"https://github.com/{read_address()['slug']}"
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
    (tmp_path / "book").mkdir()
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    nbformat.write(notebook, tmp_path / "book" / "chapter.ipynb")
    assert colab.run("chapter", tmp_path) == problem


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


@needs_git
def test_the_first_cell_of_a_chapter_installs_the_package_with_its_images(repository: Path) -> None:
    chapter = nbformat.read(repository / "book" / "01_softmax.ipynb", as_version=4)
    first = next(cell for cell in chapter.cells if cell.cell_type == "code")
    then = "import siamese_triplet as s\nassert 'site-packages' in s.__file__ and len(s.load('mnist')) == 6000"
    chapter.cells = [first, nbformat.v4.new_code_cell(then)]
    nbformat.write(chapter, repository / "book" / "first_cells.ipynb")
    assert colab.run("first_cells", repository) is None


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_asks_colab_for_a_gpu(path: Path) -> None:
    metadata = json.loads(path.read_text())["metadata"]
    assert {name: metadata.get(name) for name in execute.COLAB} == execute.COLAB, "python tools/execute.py --metadata"


def test_a_written_notebook_asks_colab_for_a_gpu(tmp_path: Path) -> None:
    execute.write(nbformat.v4.new_notebook(), tmp_path / "chapter.ipynb")
    assert nbformat.read(tmp_path / "chapter.ipynb", as_version=4).metadata.accelerator == "GPU"
