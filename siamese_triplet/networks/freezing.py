"""Parts of a network that training leaves as they are, or changes slowly."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm

Net = TypeVar("Net", bound=nn.Module)


def freeze(net: Net) -> Net:
    """Freeze `net`, and return it: its parameters take no gradient, and it stays in evaluation mode.

    `net` may be part of another network. Neither `fit` nor `train()` puts it into training mode: statistics of batch
    normalisation do not change, and dropout drops nothing.

    >>> import torch
    >>> from siamese_triplet.networks import freeze, unfreeze
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2), torch.nn.Dropout())
    >>> freeze(net).train().training, net[0].weight.requires_grad
    (False, False)
    >>> unfreeze(net).train().training, net[0].weight.requires_grad, net[1].training, net[2].training
    (True, True, False, True)
    """
    net.requires_grad_(False)
    for module in net.modules():
        _stay_in_evaluation(module)
    return net


def unfreeze(net: Net, batch_norm: bool = False) -> Net:
    """Let the parameters of `net` be trained, put it into training mode, and return it.

    The statistics of batch normalisation stay as they are unless `batch_norm`: those of a batch of a few classes are
    worse than those of the pretraining. Its scales and shifts are trained like the rest.
    """
    net.requires_grad_(True)
    for module in net.modules():
        if batch_norm or not isinstance(module, BatchNorm):
            module.__dict__.pop("train", None)
            module.training = True
        else:
            _stay_in_evaluation(module)
    return net


def freeze_batch_norm(net: Net) -> Net:
    """Keep the batch normalisation of `net` in evaluation mode, also while `net` is trained, and return `net`."""
    for module in net.modules():
        if isinstance(module, BatchNorm):
            _stay_in_evaluation(module)
    return net


def stays_in_evaluation(module: nn.Module) -> bool:
    """Tell whether `freeze` or `freeze_batch_norm` keeps `module` in evaluation mode."""
    train: Callable[..., Any] | None = module.__dict__.get("train")
    return isinstance(train, partial) and train.func is _ignore_mode


def layers(net: nn.Module) -> list[nn.Module]:
    """List the layers of `net` that have parameters, first to last, such as the blocks of a convolutional network.

    A layer that only wraps others in a row, as `nn.Sequential` does, counts as these. Where a network has another form,
    list its layers yourself.

    >>> from siamese_triplet.networks import layers, load_pretrained
    >>> len(layers(load_pretrained("efficientnet-lite0")))  # a convolution, 16 blocks, a convolution
    18
    """
    children = _with_parameters(net)
    if len(children) == 1 and not list(net.parameters(recurse=False)) and list(children[0].children()):
        return layers(children[0])
    return [layer for child in children for layer in _in_a_row(child)]


def parameter_groups(
    model: nn.Module, backbone: nn.Module, learning_rate: float, backbone_learning_rate: float
) -> list[dict[str, Any]]:
    """Split the parameters of `model` for an optimizer: those of its part `backbone` have a learning rate of their own.

    The first group is the head: all parameters outside of the backbone. Frozen parameters are in the groups too, so
    that they can be thawed later; an optimizer leaves them alone. Raises ValueError if `backbone` has no parameters, or
    is no part of `model`.

    >>> import torch
    >>> from siamese_triplet.networks import EmbeddingHead, load_pretrained, parameter_groups, unfreeze
    >>> backbone = unfreeze(load_pretrained("efficientnet-lite0"))
    >>> model = torch.nn.Sequential(backbone, EmbeddingHead(backbone.embedding_size))
    >>> optimizer = torch.optim.AdamW(parameter_groups(model, backbone, 3e-3, backbone_learning_rate=3e-4))
    >>> [(len(group["params"]), group["lr"]) for group in optimizer.param_groups]
    [(2, 0.003), (147, 0.0003)]
    """
    inner = {id(parameter) for parameter in backbone.parameters()}
    if not inner or not inner <= {id(parameter) for parameter in model.parameters()}:
        raise ValueError(
            f"parameter_groups: the backbone, {type(backbone).__name__}, has no parameters, or is no part of the "
            f"model, {type(model).__name__}; give the network that the model was built on"
        )
    head = [parameter for parameter in model.parameters() if id(parameter) not in inner]
    groups = [{"params": head, "lr": learning_rate}] if head else []
    return [*groups, {"params": list(backbone.parameters()), "lr": backbone_learning_rate}]


def _with_parameters(net: nn.Module) -> list[nn.Module]:
    return [child for child in net.children() if any(True for _ in child.parameters())]


def _in_a_row(module: nn.Module) -> list[nn.Module]:
    """List the blocks in a row that `module` consists of, or the module itself."""
    if type(module) not in (nn.Sequential, nn.ModuleList) or not any(
        list(part.children()) for part in module.children()
    ):
        return [module]
    return [layer for part in _with_parameters(module) for layer in _in_a_row(part)]


def _stay_in_evaluation(module: nn.Module) -> None:
    module.training = False
    module.__dict__["train"] = partial(_ignore_mode, module)  # hides the method, in copies and pickles too


def _ignore_mode(module: nn.Module, mode: bool = True) -> nn.Module:
    """Stand in for `module.train(mode)`."""
    return module
