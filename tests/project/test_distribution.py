"""The wheel, the source archive, their metadata, and the citation."""

import re
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
import torch
import yaml

import siamese_triplet

ROOT = Path(__file__).parents[2]
TRAINING = """
import siamese_triplet, torch
from siamese_triplet import BatchAllTripletLoss, EmbeddingNet, TensorLoader, fit, load
loader = TensorLoader(load("mnist", train=False, subset="embedded"), batch_sampler=[range(100)], device="cpu")
model = EmbeddingNet()
optimizer = torch.optim.Adam(model.parameters())
history = fit(loader, None, model, BatchAllTripletLoss(1.0), optimizer, None, n_epochs=1, device="cpu", verbose=False)
print(siamese_triplet.__file__, history.n_epochs)
"""


def run(*command: object, cwd: Path = ROOT) -> str:
    finished = subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def build(kind: str, source: Path, folder: Path) -> Path:
    """Build an archive of the project in `source` by its backend, as a build frontend would."""
    code = f"import flit_backend; print(flit_backend.build_{kind}({str(folder)!r}))"
    return folder / run(sys.executable, "-c", f"import sys; sys.path.insert(0, 'tools'); {code}", cwd=source).strip()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("sdist", ROOT, tmp_path_factory.mktemp("sdist"))


def metadata(wheel: Path, name: str) -> str:
    return zipfile.ZipFile(wheel).read(f"siamese_triplet-{siamese_triplet.__version__}.dist-info/{name}").decode()


def test_the_wheel_holds_the_whole_package_and_nothing_else(wheel: Path) -> None:
    package = ROOT / "siamese_triplet"
    files = {path.relative_to(ROOT).as_posix() for path in package.rglob("*") if path.is_file()}
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == {name for name in files if "__pycache__" not in name}
    assert {"siamese_triplet/py.typed", "siamese_triplet/datasets/embedded/mnist.npz"} <= held


def test_the_source_archive_alone_builds_the_same_wheel(wheel: Path, sdist: Path, tmp_path: Path) -> None:
    shutil.unpack_archive(sdist, tmp_path)
    rebuilt = build("wheel", next(tmp_path.iterdir()), tmp_path)
    assert metadata(rebuilt, "RECORD") == metadata(wheel, "RECORD")  # names, sizes and digests


def test_a_package_index_would_accept_both(wheel: Path, sdist: Path) -> None:
    run(sys.executable, "-m", "twine", "--no-color", "check", "--strict", wheel, sdist)


def test_the_wheel_alone_trains_in_a_fresh_environment(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-index", "--no-deps", wheel)
    purelib = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    (purelib / "dependencies.pth").write_text(str(Path(torch.__file__).parents[1]))  # torch and the other requirements
    file, n_epochs = run(python, "-c", TRAINING, cwd=tmp_path).split()
    assert Path(file).is_relative_to(purelib)
    assert n_epochs == "1"


def test_the_citation_names_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == siamese_triplet.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+", siamese_triplet.__version__)


@pytest.mark.parametrize(("name", "n_addresses"), [("pyproject.toml", 4), ("CITATION.cff", 2)])
def test_an_outdated_address_is_found_and_replaced(
    name: str, n_addresses: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import address

    text = (ROOT / name).read_text()
    moved = address.synchronise(text, {"slug": "someone/else", "branch": "other"})
    addresses = re.findall(r"github\.com/someone/else\b|someone\.github\.io/else/", moved)
    assert len(addresses) == len(re.findall(r"https://\S*github", text)) == n_addresses
    assert address.synchronise(moved, address.read_address()) == text
