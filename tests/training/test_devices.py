from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam
from torch.optim.swa_utils import AveragedModel

from siamese_triplet._devices import best_device, device_of, embedding_function, move, unwrap
from siamese_triplet.networks import ClassificationNet, EmbeddingNet, SiameseNet


def test_device_of_a_model() -> None:
    assert device_of(EmbeddingNet()).type == "cpu"
    assert device_of(EmbeddingNet().to("meta")).type == "meta"
    assert device_of(nn.Flatten()).type == "cpu"
    with pytest.raises(ValueError, match=r"several devices \(cpu, meta\)"):
        device_of(nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1, device="meta")))


def test_the_best_device_is_the_gpu_of_this_process_or_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert best_device() == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    assert best_device() == torch.device("cuda", 3)


class ScaledLoss(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(2))


def test_model_optimizer_and_loss_move_together() -> None:
    model, loss = nn.Linear(3, 2), ScaledLoss()
    optimizer = SGD(model.parameters(), 0.1, momentum=0.9)
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    move(model, optimizer, loss, torch.device("meta"))
    states = optimizer.state.values()
    assert {tensor.device.type for tensor in (*model.parameters(), *loss.buffers())} == {"meta"}
    assert {state["momentum_buffer"].device.type for state in states} == {"meta"}


def test_a_loss_that_is_a_function_has_nothing_to_move() -> None:
    model = nn.Linear(3, 2)
    move(model, SGD(model.parameters(), 0.1), nn.functional.cross_entropy, torch.device("meta"))
    assert device_of(model).type == "meta"


def test_the_parameters_stay_those_of_the_optimizer_and_training_goes_on() -> None:
    model = EmbeddingNet(2, (1, 16, 16))
    optimizer = Adam(model.parameters(), 0.01)
    before = list(model.parameters())
    for _ in range(2):
        model(torch.ones(2, 1, 16, 16)).sum().backward()
        optimizer.step()
        move(model, optimizer, None, torch.device("cpu"), channels_last=True)
    assert all(a is b for a, b in zip(before, model.parameters(), strict=True))
    assert all(a is b for a, b in zip(optimizer.param_groups[0]["params"], before, strict=True))
    assert model.convnet[3].weight.is_contiguous(memory_format=torch.channels_last)
    assert {state["step"].item() for state in optimizer.state.values()} == {2}


def test_the_layout_stays_unless_channels_last_is_asked_for() -> None:
    model = EmbeddingNet(2, (1, 16, 16))
    move(model, SGD(model.parameters(), 0.1), None, torch.device("cpu"))
    assert all(parameter.is_contiguous() for parameter in model.parameters())


WRAPPERS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "nothing": lambda net: net,
    "DataParallel": nn.DataParallel,
    "AveragedModel": AveragedModel,
    "compiled": torch.compile,
    "Sequential": nn.Sequential,
    "after another part": lambda net: nn.Sequential(nn.Identity(), net),
    "all of them": lambda net: nn.Sequential(nn.DataParallel(AveragedModel(torch.compile(nn.DataParallel(net))))),
    "compiled DataParallel": lambda net: torch.compile(nn.DataParallel(nn.Sequential(net))),
}


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
@pytest.mark.parametrize("make", [SiameseNet, lambda net: ClassificationNet(net, 10)])
def test_the_embedding_is_found_within_wrappers(make: Callable, wrap: Callable) -> None:
    network, images = make(EmbeddingNet(2, (1, 16, 16))).eval(), torch.rand(3, 1, 16, 16)
    assert torch.equal(embedding_function(wrap(network))(images), network.get_embedding(images))


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Flatten(), nn.Linear(4, 2)),
        nn.DataParallel(nn.Linear(4, 2)),
        nn.Sequential(ClassificationNet(EmbeddingNet(), 10), nn.Identity()),  # its last part decides
        nn.Sequential(),
    ],
)
def test_a_model_without_an_embedding_is_the_function_itself(model: nn.Module) -> None:
    assert embedding_function(model) is model


def test_the_network_within_distributed_data_parallel_is_found() -> None:
    model, network = nn.parallel.DistributedDataParallel.__new__(nn.parallel.DistributedDataParallel), EmbeddingNet()
    nn.Module.__init__(model)  # its own __init__ needs other processes
    model.module = network
    assert unwrap(model) is network


def test_a_network_of_ones_own_is_not_taken_for_a_wrapper() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = EmbeddingNet()

    own = Own()
    assert unwrap(own) is own
