"""Export of an embedding net to ONNX, for programs without PyTorch."""

import copy
import inspect
import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from siamese_triplet._atomic_files import write_atomically
from siamese_triplet._devices import device_of, embedding_function, evaluating, unwrap


def export_onnx(model: nn.Module, path: str | os.PathLike, input_size: tuple[int, int, int] = (1, 28, 28)) -> None:
    """Write `model.get_embedding`, or `model` if it has no such method, to `path` as ONNX.

    The graph takes `images`, float32 (n, *input_size) for any n, normalised as in training, and returns `embeddings`
    (n, D). It is exported in evaluation mode; the model's own mode does not change. A model in half precision, or in
    float64, is exported in float32. The method is also found within `DataParallel`, `torch.compile` and
    `nn.Sequential`. Run the file with onnxruntime. Raises ImportError if the package onnx is missing, and ValueError
    for an `input_size` that the model does not take.

    >>> from siamese_triplet import EmbeddingNet, export_onnx
    >>> export_onnx(EmbeddingNet(embedding_size=16), "net.onnx")
    """
    try:
        import onnx  # noqa: F401 - PyTorch needs it, but its own error is less clear
    except ImportError as error:
        raise ImportError("export_onnx needs onnx: python -m pip install onnx") from error
    model = unwrap(model)
    example = torch.zeros(2, *input_size, device=device_of(model))
    file = io.BytesIO()
    axes = {"images": {0: "n"}, "embeddings": {0: "n"}}
    export: Any = torch.onnx.export  # typed for the dynamo exporter, the default of recent versions
    options = {"dynamo": False} if "dynamo" in inspect.signature(export).parameters else {}
    with evaluating(model), _layers_of_attention(), warnings.catch_warnings():
        net = _Embedding(_in_float32(model))
        try:
            net(example)
        except RuntimeError as error:
            raise ValueError(f"the model does not take images of {input_size=}: {error}") from error
        warnings.simplefilter("ignore")  # that this exporter is old, and that shape checks are not traced
        net.eval()
        export(
            net,
            (example,),
            file,
            input_names=["images"],
            output_names=["embeddings"],
            dynamic_axes=axes,
            **options,
        )
    write_atomically(path, file.getvalue())


class _Embedding(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return embedding_function(self.model)(images)


def _in_float32(model: nn.Module) -> nn.Module:
    """Return `model`, or a copy of it in float32 if it has another precision."""
    dtypes = {tensor.dtype for tensor in (*model.parameters(), *model.buffers()) if tensor.is_floating_point()}
    return model if dtypes <= {torch.float32} else copy.deepcopy(model).float()


@contextmanager
def _layers_of_attention() -> Iterator[None]:
    """Compute attention layer by layer: for the fused kernels of evaluation mode ONNX has no operator."""
    is_enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(is_enabled)
