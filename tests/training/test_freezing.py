"""Freezing, thawing and slow training of parts of a network, with `fit`."""

import copy
import io
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from siamese_triplet import BatchAllTripletLoss, evaluate, fit
from siamese_triplet.networks import (
    EmbeddingHead,
    build,
    freeze,
    freeze_batch_norm,
    layers,
    parameter_groups,
    unfreeze,
)
from siamese_triplet.networks.freezing import stays_in_evaluation
from siamese_triplet.trainer import LayerwiseThaw


def block(n_in: int, n_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(n_in, n_out), nn.BatchNorm1d(n_out), nn.ReLU(), nn.Dropout(0.5))


@pytest.fixture
def model() -> nn.Sequential:
    torch.manual_seed(0)
    backbone = nn.Sequential(block(4, 6), block(6, 6), block(6, 6))
    return nn.Sequential(backbone, nn.Linear(6, 2))


def batches(n: int = 4) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(8) // 2
    return [(torch.randn(8, 4, generator=generator) + labels[:, None], labels) for _ in range(n)]


def train(
    model: nn.Module, optimizer: torch.optim.Optimizer | None = None, n_epochs: int = 2, **options: object
) -> None:
    optimizer = optimizer or torch.optim.Adam(model.parameters(), lr=0.05)
    options = {"device": "cpu", "verbose": False, **options}
    fit(batches(), None, model, BatchAllTripletLoss(1.0), optimizer, None, n_epochs, **options)


def state(module: nn.Module) -> dict[str, Tensor]:
    return copy.deepcopy(module.state_dict())


def changed(before: dict[str, Tensor], module: nn.Module) -> set[str]:
    return {name for name, value in module.state_dict().items() if not torch.equal(value, before[name])}


def test_a_frozen_part_does_not_change_in_training(model: nn.Sequential) -> None:
    freeze(model[0])
    before, head = state(model[0]), state(model[1])
    train(model)
    assert changed(before, model[0]) == set()
    assert changed(head, model[1]) == {"weight", "bias"}


@pytest.mark.parametrize("use", ["eval, train", "fit twice", "evaluate", "copy", "pickle", "compile"])
def test_a_frozen_part_stays_in_evaluation_mode_whatever_is_done(model: nn.Sequential, use: str) -> None:
    freeze(model[0])
    if use == "eval, train":
        model.eval()
        model.train()
    elif use == "fit twice":
        train(model)
        model.eval()
        train(model)
    elif use == "evaluate":
        evaluate(batches(), model, BatchAllTripletLoss(1.0))
    elif use == "copy":
        model = copy.deepcopy(model).train()
    elif use == "pickle":
        model = pickle.loads(pickle.dumps(model)).train()
    else:
        torch.compile(model, backend="eager").train()(batches()[0][0])
    assert model.training
    assert model[1].training
    assert not any(module.training for module in model[0].modules())


def test_a_copy_of_a_frozen_net_is_independent_of_it(model: nn.Sequential) -> None:
    freeze(model)
    other = unfreeze(copy.deepcopy(model), batch_norm=True)
    assert all(module.training for module in other.train().modules())
    assert not any(module.training for module in model.train().modules())
    saved = io.BytesIO()
    torch.save(model.state_dict(), saved)  # nothing of it is in the state


def test_batch_normalisation_stays_as_it_is_while_the_rest_is_trained(model: nn.Sequential) -> None:
    freeze_batch_norm(model)
    before = state(model)
    train(model.train())
    model.eval()
    train(model)
    names = changed(before, model)
    assert not {name for name in names if "running" in name or "num_batches" in name}
    assert {"0.0.0.weight", "0.0.1.weight", "0.0.1.bias", "1.weight"} <= names  # its scale and shift are trained
    assert model[0][0][3].training  # dropout drops


def test_without_freezing_the_statistics_change(model: nn.Sequential) -> None:
    before = state(model)
    train(model)
    assert {"0.0.1.running_mean", "0.0.1.running_var"} <= changed(before, model)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_an_unfrozen_part_is_trained_with_or_without_its_statistics(model: nn.Sequential, batch_norm: bool) -> None:
    freeze(model)
    assert unfreeze(model[0], batch_norm) is model[0]
    unfreeze(model[1])
    before = state(model)
    train(model)
    names = changed(before, model)
    assert {"0.2.0.weight", "0.2.1.weight", "1.weight"} <= names
    assert ("0.2.1.running_mean" in names) is batch_norm
    assert [stays_in_evaluation(module) for module in model[0][0]] == [False, not batch_norm, False, False]
    assert model[0][0][3].training


def test_layers_are_the_blocks_in_order() -> None:
    described = {"network": "PretrainedNet", "image_size": 32, "channels": 3, "mean": [0.5] * 3, "std": [0.5] * 3}
    lite0 = build({**described, "name": "efficientnet-lite0"})
    assert layers(lite0) == list(lite0.backbone.features)
    resnet = build({**described, "name": "torchvision/resnet18"})
    inner = resnet.backbone
    blocks = [block for stage in (inner.layer1, inner.layer2, inner.layer3, inner.layer4) for block in stage]
    assert layers(resnet) == [inner.conv1, inner.bn1, *blocks]
    assert layers(nn.ReLU()) == []


class Named(nn.Module):
    """A network of no special form, such as timm has, with a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.blocks = nn.ModuleList([block(4, 4), block(4, 4)])
        self.norm = nn.LayerNorm(4)

    def forward(self, x: Tensor) -> Tensor:
        for part in self.blocks:
            x = part(x)
        return self.norm(self.scale * x)


def test_a_stage_of_one_block_is_one_layer() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.Sequential(Named()), nn.Sequential(Named(), Named()), nn.ReLU())
    assert layers(net) == [net[0], net[1][0], net[2][0], net[2][1]]


def test_layers_of_a_net_of_another_form() -> None:
    net = Named()
    assert layers(net) == [*net.blocks, net.norm]
    assert layers(nn.Sequential(net)) == layers(net)


def test_the_head_and_the_backbone_learn_at_their_own_rates(model: nn.Sequential) -> None:
    groups = parameter_groups(model, model[0], 0.1, backbone_learning_rate=0.001)
    assert [group["lr"] for group in groups] == [0.1, 0.001]
    assert [id(p) for group in groups for p in group["params"]] == [
        id(p) for part in (model[1], model[0]) for p in part.parameters()
    ]
    before = state(model)
    train(model, torch.optim.Adam(groups), n_epochs=1)
    moved = {name: (value - before[name]).abs().max() for name, value in model.state_dict().items()}
    assert moved["0.2.0.weight"] < 0.005 < 0.05 < moved["1.weight"]  # Adam moves by about the rate in each of 4 steps


def test_a_model_without_a_head_has_one_group(model: nn.Sequential) -> None:
    [group] = parameter_groups(model, model, 0.1, 0.001)
    assert group["lr"] == 0.001
    assert len(group["params"]) == len(list(model.parameters()))


@pytest.mark.parametrize("backbone", [nn.ReLU(), nn.Linear(2, 2)])
def test_groups_of_a_backbone_that_is_not_part_of_the_model_raise(model: nn.Sequential, backbone: nn.Module) -> None:
    with pytest.raises(ValueError, match="is no part of the model, Sequential"):
        parameter_groups(model, backbone, 0.1, 0.01)


def trained_parts(model: nn.Sequential, epochs: int, **options: object) -> list[set[str]]:
    """Train epoch by epoch; return which of the parts "0" to "2" of the backbone, and "head", each epoch changed."""
    found, last = [], [state(model)]

    def watch(epoch: int, history: object, net: nn.Module) -> None:
        names = {"head" if name[0] == "1" else name[2] for name in changed(last[0], net)}
        found.append(names)
        last[0] = state(net)

    callbacks = [watch, *options.pop("callbacks", ())]
    train(model, n_epochs=epochs, callbacks=callbacks, **options)
    return found


@pytest.mark.parametrize("every", [1, 2])
def test_parts_are_thawed_from_the_last_to_the_first(model: nn.Sequential, every: int) -> None:
    optimizer = torch.optim.Adam(parameter_groups(model, model[0], 0.05, 0.05))
    thaw = LayerwiseThaw(optimizer, layers(model[0]), every)
    found = trained_parts(model, 5 * every, optimizer=optimizer, callbacks=[thaw])
    stages = [{"head"}, {"head", "2"}, {"head", "1", "2"}, {"head", "0", "1", "2"}, {"head", "0", "1", "2"}]
    assert found == [stage for stage in stages for _ in range(every)]


@pytest.mark.parametrize("is_frozen", [False, True])
def test_dropout_works_in_thawed_parts_only(model: nn.Sequential, is_frozen: bool) -> None:
    if is_frozen:  # before the run, as a loaded network is
        freeze(model[0])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    modes = []

    def note(info: object) -> None:
        modes.append([part[3].training for part in model[0]])

    train(model, optimizer, 3, callbacks=[LayerwiseThaw(optimizer, layers(model[0]))], on_batch=note)
    assert modes[0] == modes[3] == [False, False, False]
    assert modes[4] == modes[7] == [False, False, True]
    assert modes[8] == modes[-1] == [False, True, True]
    assert not any(part[1].training for part in model[0])  # batch normalisation


def test_a_continued_run_goes_on_with_the_parts_that_were_thawed(model: nn.Sequential, tmp_path: Path) -> None:
    def run(net: nn.Sequential, epochs: int, checkpoint: Path) -> list[set[str]]:
        torch.manual_seed(3)
        optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
        thaw = LayerwiseThaw(optimizer, layers(net[0]))
        return trained_parts(net, epochs, optimizer=optimizer, callbacks=[thaw], checkpoint=checkpoint)

    whole, first, second = (copy.deepcopy(model) for _ in range(3))
    run(whole, 4, tmp_path / "whole")
    run(first, 2, tmp_path / "parts")
    run(second, 4, tmp_path / "parts")
    for name, value in second.state_dict().items():
        torch.testing.assert_close(value, whole.state_dict()[name], rtol=0, atol=0, msg=name)
    assert [stays_in_evaluation(part) for part in second[0]] == [False, False, False]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda model, optimizer: LayerwiseThaw(optimizer, [model[0]], 0), "every=0 must be at least 1"),
        (lambda model, optimizer: LayerwiseThaw(optimizer, []), "there must be parts; got 0"),
        (lambda model, optimizer: LayerwiseThaw(optimizer, [model[0], nn.ReLU()]), "part 1, ReLU, has no parameters"),
        (lambda model, optimizer: LayerwiseThaw(optimizer, [nn.Linear(2, 2)]), "part 0, Linear, .* does not hold"),
    ],
)
def test_a_thaw_that_would_train_nothing_raises(model: nn.Sequential, make: Callable, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(model, torch.optim.Adam(model.parameters()))


def test_an_optimizer_made_of_unfrozen_parameters_only_is_found_out(model: nn.Sequential) -> None:
    freeze(model[0])
    optimizer = torch.optim.Adam(parameter for parameter in model.parameters() if parameter.requires_grad)
    with pytest.raises(ValueError, match="make it of all parameters, frozen ones too"):
        LayerwiseThaw(optimizer, layers(model[0]))


def test_a_head_on_a_frozen_network_is_what_fit_trains() -> None:
    net = build({"network": "PretrainedNet", "name": "efficientnet-lite0", "image_size": 32, "channels": 3,
                 "mean": [0.5] * 3, "std": [0.5] * 3})  # fmt: skip
    model = nn.Sequential(net, EmbeddingHead(net.embedding_size, 4))
    before, head = state(net), state(model[1])
    labels = torch.tensor([0, 0, 1, 1])
    images = [(torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)), labels)]
    fit(images, None, model, BatchAllTripletLoss(1.0), torch.optim.Adam(model.parameters()), None, 1, device="cpu",
        verbose=False)  # fmt: skip
    assert changed(before, net) == set()
    assert "fc.weight" in changed(head, model[1])
