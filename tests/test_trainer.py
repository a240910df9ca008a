import inspect
import math
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader, TensorDataset

from siamese_triplet.images import Images, normalization
from siamese_triplet.losses import ContrastiveLoss, OnlineContrastiveLoss, OnlineTripletLoss, TripletLoss
from siamese_triplet.metrics import AccumulatedAccuracyMetric, AverageNonzeroTripletsMetric
from siamese_triplet.networks import ClassificationNet, SiameseNet, TripletNet
from siamese_triplet.samplers import BalancedBatchSampler
from siamese_triplet.selectors import AllTripletSelector, HardNegativePairSelector, RandomNegativeTripletSelector
from siamese_triplet.trainer import evaluate, fit
from siamese_triplet.tuples import SiameseMNIST, TripletMNIST


def stripes(train: bool = True) -> Images:
    """60 images of 6×6 of three classes, each with its own bright row and some noise."""
    generator = torch.Generator().manual_seed(0 if train else 1)
    labels = torch.arange(60) % 3
    data = torch.randint(0, 60, (60, 6, 6), generator=generator)
    data[torch.arange(60), 2 * labels] += 180
    return Images(data.to(torch.uint8), labels, ["a", "b", "c"], train=train, transform=normalization(0.3, 0.3))


def small_net() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 16), nn.PReLU(), nn.Linear(16, 2))


def plain(images: Images) -> Iterable:
    return DataLoader(images, batch_size=20)


def balanced(images: Images) -> Iterable:
    return DataLoader(images, batch_sampler=BalancedBatchSampler(images.targets, 3, 5))


CASES: dict[str, tuple[Callable, Callable, Callable]] = {
    "one input": (lambda: ClassificationNet(small_net(), 3), nn.NLLLoss, plain),
    "two inputs": (
        lambda: SiameseNet(small_net()),
        lambda: ContrastiveLoss(1.0),
        lambda x: DataLoader(SiameseMNIST(x), 20),
    ),
    "three inputs": (
        lambda: TripletNet(small_net()),
        lambda: TripletLoss(1.0),
        lambda x: DataLoader(TripletMNIST(x), 20),
    ),
    "online pairs": (small_net, lambda: OnlineContrastiveLoss(1.0, HardNegativePairSelector()), balanced),
    "online triplets": (small_net, lambda: OnlineTripletLoss(1.0, AllTripletSelector()), balanced),
}


def run(case: str, n_epochs: int = 8, validate: bool = True, **options: Any) -> tuple[dict, nn.Module]:
    torch.manual_seed(0)
    make_model, make_loss, loader = CASES[case]
    model = make_model()
    val_loader = loader(stripes(train=False)) if validate else None
    optimizer = Adam(model.parameters(), lr=0.01)
    history = fit(
        loader(stripes()), val_loader, model, make_loss(), optimizer, None, n_epochs, verbose=False, **options
    )
    return history, model


def linear(n_images: int = 8, batch_size: int = 4) -> tuple[nn.Module, DataLoader]:
    """A model and a loader for the tests where what is learned does not matter."""
    torch.manual_seed(0)
    return nn.Linear(3, 2), DataLoader(TensorDataset(torch.randn(n_images, 3), torch.arange(n_images) % 2), batch_size)


@pytest.mark.parametrize("case", CASES)
def test_fit_learns(case: str) -> None:
    history, _ = run(case)
    assert history["train_loss"][-1] < 0.5 * history["train_loss"][0]
    assert history["val_loss"][-1] < 0.5 * history["train_loss"][0]


@pytest.mark.parametrize("case", CASES)
def test_history_has_plain_floats_one_an_epoch(case: str) -> None:
    history, _ = run(case, n_epochs=3)
    assert set(history) == {"train_loss", "val_loss", "learning_rate", "seconds"}
    assert all(len(values) == 3 and all(type(value) is float for value in values) for values in history.values())


@pytest.mark.parametrize("case", CASES)
def test_same_seed_gives_the_same_result(case: str) -> None:
    (one, model), (same, same_model) = run(case, n_epochs=2), run(case, n_epochs=2)
    assert {**one, "seconds": []} == {**same, "seconds": []}
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), same_model.parameters(), strict=True))


def test_without_a_val_loader_and_a_scheduler_there_is_no_val_loss() -> None:
    history, _ = run("one input", n_epochs=2, validate=False, metrics=[AccumulatedAccuracyMetric()])
    assert set(history) == {"train_loss", "train_accuracy", "learning_rate", "seconds"}


def test_metrics_are_in_the_history_under_their_names() -> None:
    history, _ = run("one input", metrics=[AccumulatedAccuracyMetric()])
    assert history["val_accuracy"][-1] == 100
    assert all(0 <= value <= 100 for value in history["train_accuracy"])
    history, _ = run("online triplets", n_epochs=2, metrics=[AverageNonzeroTripletsMetric()])
    assert history["train_nonzero_triplets"] == [3 * 5 * 4 * 10] * 2
    assert history["val_nonzero_triplets"] == [3 * 5 * 4 * 10] * 2


def test_metrics_see_the_batch_and_are_reset_before_each_pass() -> None:
    class Recorder:
        events: list = []  # noqa: RUF012

        def __call__(self, outputs: tuple, target: tuple | None, loss: tuple) -> None:
            assert [type(part) for part in (outputs, loss)] == [tuple, tuple]
            self.events.append((len(outputs), target if target is None else [part.tolist() for part in target]))

        def reset(self) -> None:
            self.events.append("reset")

        def value(self) -> float:
            return 0.0

        def name(self) -> str:
            return "recorder"

    model, loader = linear()
    optimizer = SGD(model.parameters(), 0.1)
    fit(loader, loader, model, nn.CrossEntropyLoss(), optimizer, None, 2, metrics=[Recorder()], verbose=False)
    one_batch = (1, [[0, 1, 0, 1]])
    assert Recorder.events == ["reset", one_batch, one_batch] * 4
    Recorder.events.clear()
    run("three inputs", n_epochs=1, validate=False, metrics=[Recorder()])
    assert Recorder.events == ["reset"] + [(3, None)] * 3


def test_a_metric_starts_anew_in_every_pass() -> None:
    model, loader = linear()
    metric = AccumulatedAccuracyMetric()
    optimizer = SGD(model.parameters(), 0.1)
    fit(loader, loader, model, nn.CrossEntropyLoss(), optimizer, None, 2, metrics=[metric], verbose=False)
    assert metric.n_images == 8


def test_a_loss_is_the_mean_over_the_batches() -> None:
    model, loader = linear(n_images=10, batch_size=4)
    losses = [nn.functional.cross_entropy(model(x), y).item() for x, y in loader]
    assert evaluate(loader, model, nn.CrossEntropyLoss()) == {"val_loss": pytest.approx(sum(losses) / 3)}
    history = fit(loader, loader, model, nn.CrossEntropyLoss(), SGD(model.parameters(), 0.0), None, 1, verbose=False)
    assert history["train_loss"] == history["val_loss"] == [pytest.approx(sum(losses) / 3)]


def test_one_epoch_is_one_optimizer_step_a_batch_with_fresh_gradients() -> None:
    model, loader = linear()
    ours = fit(loader, None, model, nn.CrossEntropyLoss(), SGD(model.parameters(), 0.1), None, 2, verbose=False)
    by_hand, loader = linear()
    losses = []
    for _ in range(2):
        for x, y in loader:
            loss = nn.functional.cross_entropy(by_hand(x), y)
            gradients = torch.autograd.grad(loss, list(by_hand.parameters()))
            losses.append(loss.item())
            with torch.no_grad():
                for parameter, gradient in zip(by_hand.parameters(), gradients, strict=True):
                    parameter -= 0.1 * gradient
    torch.testing.assert_close(list(model.parameters()), list(by_hand.parameters()))
    assert ours["train_loss"] == pytest.approx([(losses[0] + losses[1]) / 2, (losses[2] + losses[3]) / 2])


def test_the_scheduler_steps_once_an_epoch_after_the_optimizer_without_a_warning() -> None:
    model, loader = linear()
    optimizer = SGD(model.parameters(), lr=0.1)
    used = []
    optimizer.register_step_pre_hook(lambda *_: used.append(optimizer.param_groups[0]["lr"]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scheduler = StepLR(optimizer, step_size=2, gamma=0.1)
        history = fit(loader, loader, model, nn.CrossEntropyLoss(), optimizer, scheduler, 5, verbose=False)
    expected = [0.1, 0.1, 0.01, 0.01, 0.001]
    assert history["learning_rate"] == pytest.approx(expected)
    assert used == pytest.approx([rate for rate in expected for _ in loader])


def test_validation_does_not_change_what_is_learned() -> None:
    with_validation, model = run("one input", n_epochs=2)
    without, same_model = run("one input", n_epochs=2, validate=False)
    assert with_validation["train_loss"] == without["train_loss"]
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), same_model.parameters(), strict=True))


def test_training_is_in_training_mode_and_validation_in_evaluation_mode_without_gradients() -> None:
    modes = []

    class Spy(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            modes.append((self.training, torch.is_grad_enabled()))
            return super().forward(x)

    _, loader = linear()
    model = Spy(3, 2).eval()
    fit(loader, loader, model, nn.CrossEntropyLoss(), SGD(model.parameters(), 0.1), None, 2, verbose=False)
    assert modes == ([(True, True)] * 2 + [(False, False)] * 2) * 2


@pytest.mark.parametrize("training", [True, False])
def test_evaluate_restores_the_mode_of_every_module(training: bool) -> None:
    _, loader = linear()
    model = nn.Sequential(nn.Linear(3, 2), nn.Dropout()).train(training)
    model[1].eval()  # frozen
    evaluate(loader, model, nn.CrossEntropyLoss())
    assert [module.training for module in model.modules()] == [training, training, False]


@pytest.mark.parametrize("case", ["one input", "three inputs", "online triplets"])
def test_evaluate_equals_the_last_validation_of_fit(case: str) -> None:
    history, model = run(case, n_epochs=2)
    _, make_loss, loader = CASES[case]
    assert evaluate(loader(stripes(train=False)), model, make_loss())["val_loss"] == history["val_loss"][-1]


@pytest.mark.parametrize("empty", [[], (), torch.zeros(0)], ids=["list", "tuple", "tensor"])
def test_an_empty_target_is_not_passed_to_the_loss(empty: Any) -> None:
    images = torch.rand(4, 3)
    assert evaluate([(images, empty)], nn.Identity(), torch.mean) == {"val_loss": pytest.approx(images.mean().item())}


# what fit prints


def test_verbose_false_prints_nothing(capfd: pytest.CaptureFixture) -> None:
    run("one input", n_epochs=2)
    assert capfd.readouterr() == ("", "")


def test_verbose_prints_a_line_an_epoch(capsys: pytest.CaptureFixture) -> None:
    model, loader = linear()
    optimizer = SGD(model.parameters(), 0.1)
    fit(loader, loader, model, nn.CrossEntropyLoss(), optimizer, None, 2, metrics=[AccumulatedAccuracyMetric()])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    for epoch, line in enumerate(lines, start=1):
        assert line.startswith(f"Epoch {epoch}/2")
        for name in ("train", "val", "loss", "accuracy"):
            assert name in line


# the signature


def test_fit_has_no_mutable_default_and_no_cuda_flag() -> None:
    parameters = inspect.signature(fit).parameters
    contract = ["train_loader", "val_loader", "model", "loss_fn", "optimizer", "scheduler", "n_epochs"]
    assert list(parameters)[:7] == contract
    assert not {"cuda", "use_cuda", "gpu"} & set(parameters)
    for function in (fit, evaluate):
        for parameter in inspect.signature(function).parameters.values():
            assert not isinstance(parameter.default, (list, dict, set))


# bad input


@pytest.mark.parametrize("part", ["train", "val"])
def test_a_loader_without_batches_raises(part: str) -> None:
    model, loader = linear()
    empty = DataLoader(TensorDataset(torch.zeros(3, 3), torch.zeros(3).long()), batch_size=4, drop_last=True)
    loaders = (empty, loader) if part == "train" else (loader, empty)
    with pytest.raises(ValueError, match=f"the {part} loader has no batches"):
        fit(*loaders, model, nn.CrossEntropyLoss(), SGD(model.parameters(), 0.1), None, 1, verbose=False)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_raises(value: float) -> None:
    model, loader = linear()
    with pytest.raises(FloatingPointError, match=r"training loss of epoch 1 is (nan|inf) at a learning rate of 0\.1"):
        fit(loader, None, model, lambda out, y: out.sum() * value, SGD(model.parameters(), 0.1), None, 2, verbose=False)


@pytest.mark.parametrize("device", ["meta", torch.device("meta")])
def test_a_model_on_another_device_than_asked_for_raises(device: str | torch.device) -> None:
    model, loader = linear()
    with pytest.raises(ValueError, match=r"model is on cpu, but device='meta' .* model\.to\('meta'\) before making"):
        fit(loader, None, model, nn.CrossEntropyLoss(), SGD(model.parameters(), 0.1), None, 1, device=device)


def test_the_device_of_the_model_may_be_named() -> None:
    model, loader = linear()
    optimizer = SGD(model.parameters(), 0.1)
    history = fit(loader, None, model, nn.CrossEntropyLoss(), optimizer, None, 1, device="cpu", verbose=False)
    assert len(history["train_loss"]) == 1


def test_zero_epochs_give_empty_lists() -> None:
    model, loader = linear()
    optimizer = SGD(model.parameters(), 0.1)
    history = fit(loader, loader, model, nn.CrossEntropyLoss(), optimizer, None, 0, verbose=False)
    assert history["train_loss"] == history["val_loss"] == []


def test_a_batch_without_a_valid_triplet_does_no_harm() -> None:
    torch.manual_seed(0)
    model = small_net()
    before = [parameter.clone() for parameter in model.parameters()]
    singletons = [(torch.rand(3, 36), torch.tensor([0, 1, 2]))]
    loss = OnlineTripletLoss(1.0, RandomNegativeTripletSelector(1.0))
    history = fit(singletons, None, model, loss, SGD(model.parameters(), 0.1), None, 2, verbose=False)
    assert history["train_loss"] == [0, 0]
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
