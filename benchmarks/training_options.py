"""Gain of single options: the network forward, backward and a step of Adam, computed in several ways."""

import functools

import torch
from original.training import network
from selection import medians
from torch import Tensor, nn
from torch.optim import Adam

from siamese_triplet import EmbeddingNet

HOW: dict[str, dict[str, bool]] = {
    "as written": {},
    "channels-last": {"channels_last": True},
    "bf16": {"bfloat16": True},
    "both": {"channels_last": True, "bfloat16": True},
}
OPTIONS = {  # a PReLU, and the way to compute
    f"{name}, {prelu}": (prelu, how) for name, how in HOW.items() for prelu in ("`torch.nn.PReLU`", "our PReLU")
}
OPTIONS["both, our PReLU, compiled"] = ("our PReLU", HOW["both"] | {"compile": True})


def options(seconds: float, batch_size: int = 256) -> list[dict]:
    """Measure images per second through the network: forward, backward, fused Adam; the loss is a mean of squares."""
    calls, notes = {}, {}
    for name, (prelu, how) in OPTIONS.items():
        step = _step(EmbeddingNet() if prelu == "our PReLU" else network(), batch_size, **how)
        try:
            step()
        except Exception as error:  # no compiler, or one that fails: the other options still count
            if "compile" not in how:
                raise
            notes[name] = f"could not be compiled: {(str(error) or type(error).__name__).splitlines()[0]}"
        else:
            calls[name] = step
    times = medians(calls, seconds)
    slowest = times[next(iter(OPTIONS))]
    return [
        {"name": name, "note": notes[name]}
        if name in notes
        else {"name": name, "images_per_second": 1000 * batch_size / times[name], "ratio": slowest / times[name]}
        for name in OPTIONS
    ]


def _step(model: nn.Module, batch_size: int, **how: bool) -> functools.partial:
    layout = torch.channels_last if how.get("channels_last") else torch.contiguous_format
    images = torch.randn(batch_size, 1, 28, 28).contiguous(memory_format=layout)
    model = model.to(memory_format=layout)
    forward = torch.compile(model) if how.get("compile") else model
    return functools.partial(_train_step, forward, images, Adam(model.parameters(), fused=True), how.get("bfloat16"))


def _train_step(forward: nn.Module, images: Tensor, optimizer: Adam, bfloat16: bool | None) -> None:
    optimizer.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=bool(bfloat16)):
        outputs = forward(images)
    outputs.float().square().mean().backward()
    optimizer.step()
