"""The embedding net as an ONNX file, for programs without PyTorch."""

import inspect
import io
import os
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from siamese_triplet._devices import device_of, evaluating
from siamese_triplet._files import write_atomically


def export_onnx(model: nn.Module, path: str | os.PathLike, input_size: tuple[int, int, int] = (1, 28, 28)) -> None:
    """Write `model.get_embedding`, or `model` where there is no such method, to `path` as ONNX.

    The graph takes `images`, float32 (n, *input_size), normalised as in training, for any n, and gives `embeddings`
    (n, D). It is that of evaluation mode; the model is left in the mode it was in. Run it with onnxruntime. Raises
    ImportError where the package onnx, which PyTorch needs for this, is missing, and ValueError for an
    `input_size` that the model does not take.

    >>> from siamese_triplet import EmbeddingNet, export_onnx
    >>> export_onnx(EmbeddingNet(embedding_size=16), "net.onnx")
    """
    try:
        import onnx  # noqa: F401 - by PyTorch, which does not say so
    except ImportError as error:
        raise ImportError("export_onnx needs onnx: python -m pip install onnx") from error
    example = torch.zeros(2, *input_size, device=device_of(model))
    net = _Embedding(model)
    file = io.BytesIO()
    axes = {"images": {0: "n"}, "embeddings": {0: "n"}}
    # the exporter that needs no further package, which recent versions no longer choose by themselves
    export: Any = torch.onnx.export  # whose types are those of the other exporter
    options = {"dynamo": False} if "dynamo" in inspect.signature(export).parameters else {}
    with evaluating(model), warnings.catch_warnings():
        try:
            net(example)
        except RuntimeError as error:
            raise ValueError(f"the model takes no images of {input_size=}: {error}") from error
        warnings.simplefilter("ignore")  # of this exporter's age, and of checks of shapes that it leaves out
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
        return getattr(self.model, "get_embedding", self.model)(images)
