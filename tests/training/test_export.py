"""The embedding net as an ONNX file, run by onnxruntime."""

import builtins
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from siamese_triplet import ClassificationNet, EmbeddingNet, EmbeddingNetL2, SiameseNet, TripletNet
from siamese_triplet.export import export_onnx
from siamese_triplet.networks import ConvEmbeddingNet, ResidualEmbeddingNet

pytest.importorskip("onnx", reason="onnx is not installed, the extra export")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed, the extra export")

NETS: dict[str, Callable[[], nn.Module]] = {
    "plain": lambda: EmbeddingNet(8),
    "unit sphere": lambda: EmbeddingNetL2(8),
    "classifier": lambda: ClassificationNet(EmbeddingNet(2), 10),
    "siamese": lambda: SiameseNet(EmbeddingNet(3)),
    "triplet": lambda: TripletNet(EmbeddingNetL2(8)),
    "deeper": lambda: ConvEmbeddingNet(16, width=8),
    "residual": lambda: ResidualEmbeddingNet(16, width=8),
    "deeper, any length": lambda: ConvEmbeddingNet(16, width=8, unit_sphere=False),
}


def embeddings(path: Path, images: Tensor) -> Tensor:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    [found] = session.run(["embeddings"], {"images": images.numpy()})
    return torch.from_numpy(found)


def assert_same(path: Path, model: nn.Module, size: tuple[int, int, int] = (1, 28, 28)) -> None:
    model.eval()
    for n in (1, 2, 7):
        images = torch.randn(n, *size, generator=torch.Generator().manual_seed(n))
        with torch.no_grad():
            expected = getattr(model, "get_embedding", model)(images)
        torch.testing.assert_close(embeddings(path, images), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NETS)
def test_an_exported_network_gives_the_same_embeddings_of_any_number_of_images(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = NETS[name]().train()
    export_onnx(model, tmp_path / "new" / "net.onnx")
    assert all(module.training for module in model.modules())
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["net.onnx"]
    assert_same(tmp_path / "new" / "net.onnx", model)


def test_the_graph_is_that_of_evaluation_mode(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = ConvEmbeddingNet(4, width=8)
    model(torch.randn(20, 1, 28, 28) + 1)  # statistics of the batch normalisation that are not 0 and 1
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.convnet[1].eval()  # frozen
    modes = [module.training for module in model.modules()]
    export_onnx(model, tmp_path / "net.onnx")
    assert [module.training for module in model.modules()] == modes
    torch.testing.assert_close(dict(model.state_dict()), before, rtol=0, atol=0)
    assert_same(tmp_path / "net.onnx", model)


@pytest.mark.parametrize("make", [EmbeddingNet, ConvEmbeddingNet])
def test_images_of_another_size_and_colour(make: type, tmp_path: Path) -> None:
    model = make(5, (3, 32, 40))
    export_onnx(model, str(tmp_path / "net.onnx"), (3, 32, 40))
    assert_same(tmp_path / "net.onnx", model, (3, 32, 40))


def test_a_network_without_get_embedding_is_exported_itself(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 3), nn.Dropout())
    export_onnx(model, tmp_path / "net.onnx")
    assert_same(tmp_path / "net.onnx", model)


@pytest.mark.parametrize("make", [EmbeddingNet, EmbeddingNetL2, ConvEmbeddingNet])
@pytest.mark.parametrize("size", [(1, 32, 32), (3, 28, 28)])
def test_images_of_the_wrong_size_raise_and_nothing_is_written(
    make: type, size: tuple[int, int, int], tmp_path: Path
) -> None:
    model = make()
    with pytest.raises(ValueError, match=r"expects images of shape \(batch, 1, 28, 28\)"):
        export_onnx(model, tmp_path / "net.onnx", size)
    assert list(tmp_path.iterdir()) == []
    assert model.training


def test_any_module_that_rejects_the_size_raises_a_value_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="input_size"):
        export_onnx(nn.Sequential(nn.Flatten(), nn.Linear(784, 3)), tmp_path / "net.onnx", (1, 32, 32))


def test_without_onnx_an_import_error_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without_onnx(name: str, *arguments: object, **options: object) -> object:
        if name.partition(".")[0] == "onnx":
            raise ModuleNotFoundError("No module named 'onnx'", name="onnx")
        return original(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without_onnx)
    with pytest.raises(ImportError, match="onnx"):
        export_onnx(EmbeddingNet(), tmp_path / "net.onnx")


@pytest.mark.parametrize("wrap", [nn.DataParallel, nn.Sequential, torch.compile, torch.optim.swa_utils.AveragedModel])
def test_a_wrapped_network_is_exported_as_itself(wrap: Callable, tmp_path: Path) -> None:
    model = ClassificationNet(EmbeddingNet(2), 10)
    export_onnx(wrap(model), tmp_path / "net.onnx")
    assert_same(tmp_path / "net.onnx", model)


def test_a_transformer_is_exported_and_its_fast_path_stays_on(tmp_path: Path) -> None:
    from torchvision.models import VisionTransformer

    torch.manual_seed(0)
    model = VisionTransformer(28, 14, num_layers=1, num_heads=2, hidden_dim=16, mlp_dim=32, num_classes=5)
    nn.init.normal_(model.heads.head.weight)  # they are zeros
    export_onnx(model, tmp_path / "net.onnx", (3, 28, 28))
    assert torch.backends.mha.get_fastpath_enabled()
    assert_same(tmp_path / "net.onnx", model, (3, 28, 28))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_model_of_another_precision_is_exported_in_float32(dtype: torch.dtype, tmp_path: Path) -> None:
    model = EmbeddingNet(3).to(dtype)
    export_onnx(model, tmp_path / "net.onnx")
    assert {parameter.dtype for parameter in model.parameters()} == {dtype}
    assert_same(tmp_path / "net.onnx", model.float())
