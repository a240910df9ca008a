"""The notebooks as files: outputs, alt texts, the Colab cell, and the repository's address."""

import ast
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tools"))
import address  # noqa: E402

NOTEBOOKS = sorted((ROOT / "book").glob("*.ipynb"))
CHAPTERS = [path for path in NOTEBOOKS if path.stem != "solutions"]
IMAGE_TYPES = {"image/png", "image/svg+xml", "image/jpeg"}


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request: pytest.FixtureRequest) -> nbformat.NotebookNode:
    notebook = nbformat.read(request.param, as_version=4)
    nbformat.validate(notebook)
    return notebook


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_the_table_of_contents_lists_all_notebooks() -> None:
    contents = re.findall(r"(?:file|root): (\S+)", (ROOT / "_toc.yml").read_text())
    assert len(contents) == len(set(contents))
    for page in contents:
        assert [suffix for suffix in (".ipynb", ".md") if (ROOT / f"{page}{suffix}").exists()] != [], page
    in_contents = {ROOT / f"{page}.ipynb" for page in contents}
    assert {path for path in in_contents if path.exists()} == set(NOTEBOOKS)


def test_every_cell_was_executed_in_order_and_without_errors(notebook) -> None:
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [output for cell in cells for output in cell.outputs if output.output_type == "error"]
    assert not [output for cell in cells for output in cell.outputs if output.get("name") == "stderr"]


def test_some_outputs_are_compared(notebook) -> None:
    compared = [
        cell
        for cell in code_cells(notebook)
        if cell.outputs and "nbval-ignore-output" not in cell.metadata.get("tags", [])
    ]
    assert compared


def test_every_figure_has_an_alt_text(notebook) -> None:
    for cell in code_cells(notebook):
        if any(IMAGE_TYPES & set(output.get("data", {})) for output in cell.outputs):
            assert len(cell.metadata["mystnb"]["image"]["alt"].split()) >= 8, cell.source


def test_code_cells_are_short(notebook) -> None:
    for cell in code_cells(notebook):
        statements = [line for line in cell.source.splitlines() if line.strip() and "import" not in line]
        is_imports_only = all(isinstance(node, (ast.Import, ast.ImportFrom)) for node in parse(cell.source).body)
        assert is_imports_only or len(statements) <= 22, cell.source


def test_the_markdown_reads_the_same_in_every_viewer(notebook) -> None:
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for raw in (":::", "```{", "{cite", "{ref}", "{doc}", "#@title"):
                assert raw not in cell.source


def test_the_first_cell_does_nothing_outside_colab(notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "google.colab", raising=False)
    assert run_first_cell(notebook) == []


def test_the_first_cell_installs_the_package_in_colab(notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.colab", SimpleNamespace())
    set_first_cell(notebook, {"slug": "someone/else", "branch": "main"})
    assert run_first_cell(notebook) == [("pip", "install --quiet git+https://github.com/someone/else")]


def test_without_an_address_the_first_cell_installs_an_uploaded_wheel_or_a_fork(
    notebook, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "google.colab", SimpleNamespace())
    monkeypatch.chdir(tmp_path)
    set_first_cell(notebook, {"slug": f"{address.PLACEHOLDER}siamese_triplet", "branch": "main"})
    with pytest.raises(
        AssertionError, match=r"no public address yet: upload a wheel .* or set SOURCE to git\+ and your"
    ):
        run_first_cell(notebook)
    Path("siamese_triplet-1.0.0-py3-none-any.whl").touch()
    assert run_first_cell(notebook) == [("pip", "install --quiet siamese_triplet-1.0.0-py3-none-any.whl")]
    first = code_cells(notebook)[0]
    first.source = first.source.replace('"siamese_triplet-*.whl"', '"git+https://github.com/my/fork"')
    assert run_first_cell(notebook) == [("pip", "install --quiet git+https://github.com/my/fork")]


def set_first_cell(notebook: nbformat.NotebookNode, repository: dict[str, str]) -> None:
    """Replace the first code cell by the one for the address of `repository`."""
    made = address.synchronise_notebook(nbformat.writes(notebook), "chapter", repository)
    code_cells(notebook)[0].source = code_cells(nbformat.reads(made, as_version=4))[0].source


def run_first_cell(notebook: nbformat.NotebookNode) -> list[tuple[str, str]]:
    """Run the first code cell as IPython would, and return its calls of magics."""
    calls: list[tuple[str, str]] = []
    names: dict = {}
    shell = SimpleNamespace(run_line_magic=lambda name, text: calls.append((name, text.format(**names))))
    names["get_ipython"] = lambda: shell
    exec(to_python(code_cells(notebook)[0].source), names)
    return calls


def to_python(source: str) -> str:
    return TransformerManager().transform_cell(source)


def parse(source: str) -> ast.Module:
    return ast.parse(to_python(source))


def test_the_notebooks_have_the_address_of_the_configuration() -> None:
    command = [sys.executable, str(ROOT / "tools" / "address.py"), "--check"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_an_outdated_address_is_found_and_replaced() -> None:
    text, name = CHAPTERS[0].read_text(), CHAPTERS[0].stem
    moved = address.synchronise_notebook(text, name, {"slug": "someone/else", "branch": "main"})
    assert moved.count("someone/else") == 2  # the cell that installs the package, and the link to Colab
    assert f"(https://colab.research.google.com/github/someone/else/blob/main/book/{name}.ipynb)" in moved
    assert address.synchronise_notebook(moved, name, address.read_address()) == text


def test_no_notebook_links_to_the_placeholder(notebook) -> None:
    has_none = address.is_placeholder(address.read_address())
    assert ("in Colab](" in notebook.cells[0].source) == (not has_none)
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert address.PLACEHOLDER not in prose


@pytest.mark.parametrize(
    "name",
    ["README.md", "CONTRIBUTING.md", *(f"book/{p.name}" for p in [*(ROOT / "book").glob("*.md"), *NOTEBOOKS])],
)
def test_local_links_and_pictures_exist(name: str) -> None:
    path = ROOT / name
    links = re.findall(r"\]\(([^)\s#]+)[^)\s]*\)", path.read_text())  # without the anchor, after #
    missing = [link for link in links if "://" not in link and not (path.parent / link).exists()]
    assert missing == []
