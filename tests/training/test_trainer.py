import inspect
import math
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import ReduceLROnPlateau, StepLR
from torch.utils.data import DataLoader, TensorDataset
from toy_data import stripes

from siamese_triplet.datasets import Images, SiameseMNIST, TripletMNIST
from siamese_triplet.losses import ContrastiveLoss, OnlineContrastiveLoss, OnlineTripletLoss, TripletLoss
from siamese_triplet.metrics import AccumulatedAccuracyMetric, AverageNonzeroTripletsMetric
from siamese_triplet.networks import ClassificationNet, SiameseNet, TripletNet
from siamese_triplet.samplers import BalancedBatchSampler
from siamese_triplet.selectors import AllTripletSelector, HardNegativePairSelector, RandomNegativeTripletSelector
from siamese_triplet.trainer import History, evaluate, fit, load_checkpoint, loop
from siamese_triplet.trainer.step import Place, check_losses


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
    """Make a model and a loader for tests in which the learned weights do not matter."""
    torch.manual_seed(0)
    return nn.Linear(3, 2), DataLoader(TensorDataset(torch.randn(n_images, 3), torch.arange(n_images) % 2), batch_size)


class Stopping:
    """The batches of a loader, with a Ctrl-C in batch `after` + 1, counted over all epochs."""

    def __init__(self, loader: Iterable, after: int) -> None:
        self.loader, self.left = loader, after

    def __iter__(self) -> Iterator:
        for batch in self.loader:
            if self.left == 0:
                raise KeyboardInterrupt
            self.left -= 1
            yield batch


@pytest.mark.parametrize("options", [{}, {"autocast": torch.bfloat16}], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("case", CASES)
def test_fit_learns(case: str, options: dict) -> None:
    history, _ = run(case, **options)
    assert history["train_loss"][-1] < 0.5 * history["train_loss"][0]
    assert history["val_loss"][-1] < 0.5 * history["train_loss"][0]


@pytest.mark.parametrize("case", CASES)
def test_history_has_plain_floats_one_per_epoch(case: str) -> None:
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


def test_an_epoch_takes_one_optimizer_step_per_batch_with_fresh_gradients() -> None:
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


def test_the_scheduler_steps_once_per_epoch_after_the_optimizer_without_a_warning() -> None:
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


def test_validation_does_not_change_the_learned_weights() -> None:
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


# printed output


def test_verbose_false_prints_nothing(capfd: pytest.CaptureFixture) -> None:
    run("one input", n_epochs=2)
    assert capfd.readouterr() == ("", "")


def test_verbose_prints_a_line_per_epoch(capsys: pytest.CaptureFixture) -> None:
    model, loader = linear()
    optimizer = SGD(model.parameters(), 0.1)
    fit(loader, loader, model, nn.CrossEntropyLoss(), optimizer, None, 2, metrics=[AccumulatedAccuracyMetric()])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    for epoch, line in enumerate(lines, start=1):
        assert line.startswith(f"Epoch {epoch}/2")
        for name in ("train", "val", "loss", "accuracy"):
            assert name in line


def test_a_run_shows_no_bar_and_no_color_codes_outside_a_terminal(capfd: pytest.CaptureFixture) -> None:
    model, loader = linear()
    fit(loader, None, model, nn.CrossEntropyLoss(), SGD(model.parameters(), 0.1), None, 1)
    out, err = capfd.readouterr()
    assert out.startswith("Epoch 1/1  train loss")
    assert err == ""


# device, layout and precision


def test_the_device_is_the_given_one_the_models_or_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    moved = []

    def move(model: nn.Module, optimizer: SGD, loss_fn: nn.Module, device: torch.device, channels_last: bool) -> None:
        moved.append((device, channels_last))
        raise InterruptedError

    monkeypatch.setattr(loop, "move", move)
    monkeypatch.setattr(loop, "best_device", lambda: torch.device("cuda", 2))
    model, loader = linear()
    for net, options in (
        (model, {}),
        (model, {"device": "cpu", "channels_last": True}),
        (model, {"device": torch.device("meta")}),
        (nn.Linear(3, 2, device="meta"), {}),
    ):
        with pytest.raises(InterruptedError):
            fit(loader, None, net, nn.CrossEntropyLoss(), SGD(net.parameters(), 0.1), None, 1, **options)
    assert moved == [
        (torch.device("cuda", 2), False),
        (torch.device("cpu"), True),
        (torch.device("meta"), False),
        (torch.device("meta"), False),
    ]


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu"), None])
def test_naming_the_device_of_the_model_changes_nothing(device: Any) -> None:
    named, model = run("three inputs", n_epochs=2, device=device)
    expected, same_model = run("three inputs", n_epochs=2)
    assert named["train_loss"] == expected["train_loss"]
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), same_model.parameters(), strict=True))


def image_net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.PReLU(), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(16, 2))


def fit_images(**options: Any) -> tuple[dict, nn.Module]:
    model = image_net()
    loss = OnlineTripletLoss(1.0, AllTripletSelector())
    loaders = balanced(stripes()), balanced(stripes(train=False))
    history = fit(*loaders, model, loss, Adam(model.parameters(), 0.01), None, 3, verbose=False, **options)
    return history, model


def test_channels_last_lays_out_images_and_filters_and_stays_close_to_the_default() -> None:
    expected, _ = fit_images()
    layouts = []
    hook = nn.modules.module.register_module_forward_pre_hook(
        lambda module, inputs: (
            layouts.append(inputs[0].is_contiguous(memory_format=torch.channels_last))
            if isinstance(module, nn.Conv2d)
            else None
        )
    )
    history, model = fit_images(channels_last=True)
    hook.remove()
    assert all(layouts)
    assert layouts
    assert model[2].weight.is_contiguous(memory_format=torch.channels_last)
    for name in ("train_loss", "val_loss"):
        assert history[name] == pytest.approx(expected[name], rel=1e-3)


@pytest.mark.parametrize("channels_last", [False, True])
def test_images_are_laid_out_as_asked_and_other_inputs_are_unchanged(channels_last: bool) -> None:
    seen = []
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    model.register_forward_pre_hook(
        lambda _, inputs: seen.append((inputs[0].ndim, inputs[0].is_contiguous(memory_format=torch.contiguous_format)))
    )
    loader = [(torch.rand(shape), torch.zeros(4).long()) for shape in ((4, 3, 2, 2), (4, 12))]
    optimizer = SGD(model.parameters(), 0.1)
    options = {"channels_last": channels_last, "verbose": False}
    fit(loader, None, model, nn.CrossEntropyLoss(), optimizer, None, 1, **options)
    assert seen == [(4, not channels_last), (2, True)]


def test_autocast_runs_the_network_in_half_precision_and_the_loss_in_full() -> None:
    seen = []

    class Spy(OnlineTripletLoss):
        def forward(self, embeddings: Tensor, labels: Tensor) -> tuple:
            seen.append((embeddings.dtype, torch.is_autocast_enabled("cpu")))
            return super().forward(embeddings, labels)

    model = image_net()
    options = {"autocast": torch.bfloat16, "verbose": False}
    loss, loader = Spy(1.0, AllTripletSelector()), balanced(stripes())
    history = fit(loader, loader, model, loss, Adam(model.parameters(), 0.01), None, 1, **options)
    assert set(seen) == {(torch.float32, False)}
    assert all(type(value) is float for values in history.values() for value in values)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert history["train_loss"] == pytest.approx(fit_images()[0]["train_loss"][:1], rel=0.05)
    assert history["train_loss"] != fit_images()[0]["train_loss"][:1]
    assert not torch.is_autocast_enabled("cpu")


def test_evaluate_takes_autocast_and_channels_last() -> None:
    model, loader = image_net(), balanced(stripes())
    loss = OnlineTripletLoss(1.0, AllTripletSelector())
    full = evaluate(loader, model, loss)["val_loss"]
    half = evaluate(loader, model, loss, autocast=torch.bfloat16, channels_last=True)["val_loss"]
    assert half == pytest.approx(full, rel=0.05)
    assert half != full


@pytest.mark.parametrize(
    ("compile", "expected"),
    [(False, []), (True, [None]), ("reduce-overhead", ["reduce-overhead"]), ("max-autotune", ["max-autotune"])],
)
def test_compile_passes_the_mode_on_and_trains_the_same_parameters(
    compile: bool | str, expected: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes, calls = [], []

    def fake(model: nn.Module, mode: str | None = None) -> Callable:
        modes.append(mode)
        return lambda *inputs: calls.append(len(inputs)) or model(*inputs)

    monkeypatch.setattr(torch, "compile", fake)
    history, _ = run("two inputs", n_epochs=2, compile=compile)
    assert modes == expected
    assert calls == [2] * (2 * (3 + 3) if compile else 0)
    assert history["train_loss"] == run("two inputs", n_epochs=2)[0]["train_loss"]


@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="there is no C++ compiler")
def test_a_compiled_network_learns_the_same() -> None:
    expected, _ = run("one input", n_epochs=2, validate=False)
    history, model = run("one input", n_epochs=2, validate=False, compile=True)
    assert history["train_loss"] == pytest.approx(expected["train_loss"], rel=1e-4)
    assert all(not name.startswith("_orig_mod") for name in model.state_dict())


# start epoch, callbacks and interruption


@pytest.mark.parametrize("n_before", [0, 1, 3, 5])
def test_start_epoch_trains_the_rest_and_advances_the_scheduler(n_before: int, capsys: pytest.CaptureFixture) -> None:
    model, loader = linear()
    optimizer = SGD(model.parameters(), lr=0.1)
    scheduler = StepLR(optimizer, step_size=2, gamma=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss = nn.CrossEntropyLoss()
        history = fit(loader, None, model, loss, optimizer, scheduler, 5, start_epoch=n_before)
    assert history["learning_rate"] == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001][n_before:])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == [f"Epoch {n}/5" for n in range(n_before + 1, 6)]


def test_start_epoch_does_not_step_a_scheduler_that_has_advanced_already() -> None:
    model, loader = linear()
    optimizer = SGD(model.parameters(), lr=0.1)
    scheduler = StepLR(optimizer, step_size=2, gamma=0.1)
    for n_epochs in (2, 4):
        start = n_epochs - 2
        loss = nn.CrossEntropyLoss()
        history = fit(loader, None, model, loss, optimizer, scheduler, n_epochs, start_epoch=start, verbose=False)
    assert history["learning_rate"] == pytest.approx([0.01, 0.01])


def test_negative_epochs_raise() -> None:
    model, loader = linear()
    optimizer = SGD(model.parameters(), 0.1)
    with pytest.raises(ValueError, match="start_epoch=-1 must not be negative"):
        fit(loader, None, model, nn.CrossEntropyLoss(), optimizer, None, 1, start_epoch=-1, verbose=False)
    with pytest.raises(ValueError, match="n_epochs=-1 must not be negative"):
        fit(loader, None, model, nn.CrossEntropyLoss(), optimizer, None, -1, verbose=False)


@pytest.mark.parametrize("validate", [True, False])
def test_reduce_on_plateau_uses_the_validation_loss_or_else_the_training_loss(validate: bool) -> None:
    model, loader = linear()
    optimizer = SGD(model.parameters(), 0.1)
    seen = []

    class Spy(ReduceLROnPlateau):
        def step(self, metrics: float, *rest: Any) -> None:
            seen.append(metrics)
            super().step(metrics, *rest)

    scheduler = Spy(optimizer, patience=0, factor=0.5, threshold=0.9)
    val_loader = [(torch.ones(4, 3), torch.zeros(4).long())] if validate else None
    loss = nn.CrossEntropyLoss()
    history = fit(loader, val_loader, model, loss, optimizer, scheduler, 4, start_epoch=1, verbose=False)
    assert seen == history["val_loss" if validate else "train_loss"]
    assert history["learning_rate"] == pytest.approx([0.1, 0.1, 0.05])


def test_callbacks_get_epoch_history_and_model_after_every_epoch(tmp_path: Path) -> None:
    model, loader = linear()
    calls = []

    def callback(epoch: int, history: History, given: nn.Module) -> None:
        calls.append((epoch, history.n_epochs, given is model, load_checkpoint(tmp_path / "run.pt")["epoch"]))

    optimizer = SGD(model.parameters(), 0.1)
    options = {"callbacks": [callback], "checkpoint": tmp_path / "run.pt", "verbose": False}
    fit(loader, None, model, nn.CrossEntropyLoss(), optimizer, None, 3, **options)
    assert calls == [(1, 1, True, 1), (2, 2, True, 2), (3, 3, True, 3)]


@pytest.mark.parametrize("stopping", [0, 1])
def test_a_callback_that_returns_true_ends_the_run_after_all_are_called(stopping: int) -> None:
    model, loader = linear()
    calls: list[list[int]] = [[], []]

    def make(number: int) -> Callable:
        return lambda epoch, *_: calls[number].append(epoch) or (epoch == 2 and number == stopping)

    optimizer = SGD(model.parameters(), 0.1)
    callbacks = [make(0), make(1)]
    history = fit(loader, None, model, nn.CrossEntropyLoss(), optimizer, None, 5, callbacks=callbacks, verbose=False)
    assert calls == [[1, 2], [1, 2]]
    assert history.n_epochs == 2


@pytest.mark.parametrize("part", ["train", "val"])
def test_ctrl_c_returns_the_complete_epochs(part: str, capsys: pytest.CaptureFixture) -> None:
    model, loader = linear()
    interrupted = Stopping(loader, after=5)  # within the third epoch
    loaders = (interrupted, loader) if part == "train" else (loader, interrupted)
    model.train()
    history = fit(*loaders, model, nn.CrossEntropyLoss(), SGD(model.parameters(), 0.1), None, 4)
    assert [len(values) for values in history.values()] == [2] * len(history)
    assert capsys.readouterr().out.splitlines()[-1] == "interrupted in epoch 3; 2 of 4 epochs are complete"
    assert model.training


def test_ctrl_c_in_the_first_epoch_gives_an_empty_history() -> None:
    model, loader = linear()
    optimizer = SGD(model.parameters(), 0.1)
    history = fit(Stopping(loader, 1), loader, model, nn.CrossEntropyLoss(), optimizer, None, 4, verbose=False)
    assert history == {"train_loss": [], "val_loss": [], "learning_rate": [], "seconds": []}


# numbers that are not finite


class Failing(nn.Module):
    """A loss of 1 that becomes `value` in batch `after` + 1."""

    def __init__(self, value: float, after: int) -> None:
        super().__init__()
        self.value, self.left = value, after

    def forward(self, outputs: Tensor, target: Tensor) -> Tensor:
        self.left -= 1
        return 1 + 0 * outputs.sum() + (self.value if self.left < 0 else 0)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_raises_with_its_place_and_a_remedy(value: float, tmp_path: Path) -> None:
    model, loader = linear()
    path = tmp_path / "run.pt"
    optimizer = SGD(model.parameters(), 0.25)
    with pytest.raises(FloatingPointError) as caught:
        fit(loader, None, model, Failing(value, 5), optimizer, None, 4, checkpoint=path, verbose=False)
    assert str(caught.value) == (
        f"epoch 3, step 2, at a learning rate of 0.25: the training loss is {value}. Train with a lower learning "
        "rate, look for NaN in the images, or, with autocast, try full precision. The checkpoint after epoch 2 is kept "
        f"in {path}: load_weights gives its weights to a new model, to be trained with other settings and another "
        "checkpoint"
    )
    assert load_checkpoint(path)["epoch"] == 2
    assert all(parameter.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize("start_epoch", [0, 2])
def test_without_a_checkpoint_the_error_mentions_none(start_epoch: int, tmp_path: Path) -> None:
    model, loader = linear()
    options = {"checkpoint": tmp_path / "run.pt", "start_epoch": start_epoch, "verbose": False}
    optimizer = SGD(model.parameters(), 0.25)
    with pytest.raises(FloatingPointError, match=rf"epoch {start_epoch + 1}, step 1, .* try full precision$"):
        fit(loader, None, model, Failing(math.nan, 0), optimizer, None, 3, **options)
    assert not (tmp_path / "run.pt").exists()


@pytest.mark.parametrize("check_every", [1, 3, 50])
def test_rare_checks_name_the_same_step(check_every: int, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = [torch.tensor(value) for value in (1.0, math.nan, 1.0, math.inf)]
    with pytest.raises(FloatingPointError, match=r"epoch 7, step 2, at a learning rate of 0\.5: .* loss is nan"):
        check_losses(losses, check_every if check_every > 1 else 4, Place(7, 0.5, None))
    check_losses(losses[2:3], check_every, Place(7, 0.5, None))
    check_losses([], check_every, Place(7, 0.5, None))


@pytest.mark.parametrize("part", ["train", "val"])
@pytest.mark.parametrize("case", ["two inputs", "three inputs", "online pairs", "online triplets"])
def test_embeddings_that_become_nan_give_the_same_error(case: str, part: str) -> None:
    torch.manual_seed(0)
    make_model, make_loss, loader = CASES[case]
    model = make_model()
    net = getattr(model, "embedding_net", model)

    def spoil(module: nn.Module, inputs: tuple, output: Tensor) -> Tensor:
        return output * math.nan if module.training == (part == "train") else output

    net.register_forward_hook(spoil)
    where = "step 1" if part == "train" else "in validation"
    loaders = loader(stripes()), loader(stripes(train=False))
    with pytest.raises(
        FloatingPointError, match=rf"epoch 1, {where}, at a learning rate of 0\.01: .*NaN.*\. Train with a lower"
    ):
        fit(*loaders, model, make_loss(), Adam(model.parameters(), 0.01), None, 2, verbose=False)


def test_other_errors_of_a_loss_are_not_taken_for_a_divergence() -> None:
    model, loader = linear()

    def loss(outputs: Tensor, target: Tensor) -> Tensor:
        raise ValueError("my own mistake")

    with pytest.raises(ValueError, match=r"^my own mistake$"):
        fit(loader, None, model, loss, SGD(model.parameters(), 0.1), None, 1, verbose=False)


def test_parameters_that_become_infinite_at_the_last_step_raise(tmp_path: Path) -> None:
    model, _ = linear()
    loader = [(torch.ones(4, 3), torch.zeros(4))]
    optimizer = SGD(model.parameters(), lr=1e30)
    options = {"checkpoint": tmp_path / "run.pt", "verbose": False}
    message = r"epoch 1, after the last step, at a learning rate of 1e\+30: the model holds numbers that are NaN or inf"
    with pytest.raises(FloatingPointError, match=message):
        fit(loader, None, model, lambda out, y: 1e20 * out.sum(), optimizer, None, 2, **options)
    assert not (tmp_path / "run.pt").exists()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_validation_loss_that_is_not_finite_raises_and_keeps_the_previous_checkpoint(
    value: float, tmp_path: Path
) -> None:
    path = tmp_path / "run.pt"

    def train(val_images: Tensor, n_epochs: int) -> None:
        model, loader = linear()
        val_loader = [(val_images, torch.zeros(4).long())]
        optimizer = SGD(model.parameters(), 0.1)
        loss = nn.CrossEntropyLoss()
        fit(loader, val_loader, model, loss, optimizer, None, n_epochs, checkpoint=path, verbose=False)

    train(torch.ones(4, 3), 1)
    before = path.read_bytes()
    message = r"epoch 2, in validation, at a learning rate of 0\.1: the loss is nan.* kept in .*run\.pt: load_weights"
    with pytest.raises(FloatingPointError, match=message):
        train(torch.full((4, 3), value), 3)
    assert path.read_bytes() == before


def test_evaluate_returns_a_loss_that_is_not_finite() -> None:
    model, _ = linear()
    batch = torch.full((4, 3), math.nan), torch.zeros(4).long()
    assert math.isnan(evaluate([batch], model, nn.CrossEntropyLoss())["val_loss"])


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
    with pytest.warns(UserWarning, match="BalancedBatchSampler"):
        history = fit(singletons, None, model, loss, SGD(model.parameters(), 0.1), None, 2, verbose=False)
    assert history["train_loss"] == [0, 0]
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_an_optimizer_of_another_model_is_refused_but_not_one_of_the_loss_alone() -> None:
    model, other = nn.Linear(1, 1), nn.Linear(1, 1)
    with pytest.raises(ValueError, match="holds none of the parameters of the model or the loss"):
        fit([], None, model, nn.MSELoss(), SGD(other.parameters(), lr=0.1), None, 0)
    with_parameters = nn.PReLU()
    with pytest.warns(UserWarning, match=r"does not hold model\.weight, model\.bias, and will not train them"):
        history = fit([], None, model, with_parameters, SGD(with_parameters.parameters(), lr=0.1), None, 0)
    assert history.n_epochs == 0
