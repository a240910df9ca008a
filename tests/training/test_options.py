"""Options of `fit` that change training, each against a plain loop; batches without a pair; errors for other calls."""

import math
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR, ReduceLROnPlateau, SequentialLR, StepLR

from siamese_triplet import trainer, utils
from siamese_triplet.diagnostics import CollapseWarning, SpreadMetric
from siamese_triplet.losses import BatchAllTripletLoss, OnlineContrastiveLoss, OnlineTripletLoss, TripletLoss
from siamese_triplet.metrics import AccumulatedAccuracyMetric
from siamese_triplet.networks import TripletNet
from siamese_triplet.selectors import (
    AllTripletSelector,
    BatchHardPairSelector,
    HardestNegativeTripletSelector,
    HardNegativePairSelector,
)
from siamese_triplet.trainer import History, evaluate, fit, load_checkpoint

Batches = list[tuple[Tensor, Tensor]]


def batches(n: int = 7) -> Batches:
    generator = torch.Generator().manual_seed(1)
    return [(torch.randn(4, 3, generator=generator), torch.arange(4) % 2) for _ in range(n)]


def linear() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(3, 2)


def fit_linear(data: Any, n_epochs: int = 3, lr: float = 0.1, **options: Any) -> tuple[nn.Module, History]:
    model = options.pop("model", None) or linear()
    optimizer = Adam(model.parameters(), lr)
    scheduler = options.pop("scheduler", lambda optimizer: None)(optimizer)
    loss_fn = options.pop("loss_fn", nn.CrossEntropyLoss())
    options = {"verbose": False, "device": "cpu"} | options
    return model, fit(data, options.pop("val", None), model, loss_fn, optimizer, scheduler, n_epochs, **options)


def same_weights(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


# accumulation, clipping, steps of the scheduler, float16


@pytest.mark.parametrize("clip_norm", [None, 0.05])
@pytest.mark.parametrize("accumulate", [1, 2, 3, 7, 9])
@pytest.mark.parametrize("step_scheduler", ["epoch", "batch"])
def test_accumulation_clipping_and_schedule_equal_a_plain_loop(
    accumulate: int, clip_norm: float | None, step_scheduler: str
) -> None:
    def make(optimizer: Adam) -> LRScheduler:
        return StepLR(optimizer, step_size=2, gamma=0.7)

    options = {"accumulate": accumulate, "clip_norm": clip_norm, "step_scheduler": step_scheduler, "scheduler": make}
    model, history = fit_linear(batches(), **options)
    by_hand = linear()
    optimizer = Adam(by_hand.parameters(), 0.1)
    scheduler = make(optimizer)
    for epoch in range(3):
        losses = []
        assert history["learning_rate"][epoch] == optimizer.param_groups[0]["lr"]
        for first in range(0, 7, accumulate):
            group = [nn.functional.cross_entropy(by_hand(x), y) for x, y in batches()[first : first + accumulate]]
            losses += [loss.item() for loss in group]
            optimizer.zero_grad()
            torch.stack(group).mean().backward()
            if clip_norm is not None:
                nn.utils.clip_grad_norm_(by_hand.parameters(), clip_norm)
            optimizer.step()
            if step_scheduler == "batch":
                scheduler.step()
        if step_scheduler == "epoch":
            scheduler.step()
        assert history["train_loss"][epoch] == pytest.approx(sum(losses) / 7)
    torch.testing.assert_close(list(model.parameters()), list(by_hand.parameters()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"accumulate": 0}, "accumulate=0 must be at least 1"),
        ({"clip_norm": 0.0}, r"clip_norm=0\.0 must be a finite number > 0"),
        ({"clip_norm": math.nan}, "clip_norm=nan must be"),
        ({"step_scheduler": "step"}, 'step_scheduler must be "epoch" or "batch", got \'step\''),
        ({"monitor": "val_loss"}, "the scheduler is None; leave monitor out"),
        ({"autocast": torch.float64}, r"must be None, torch\.bfloat16 or torch\.float16, got torch\.float64"),
        ({"scheduler": lambda o: ReduceLROnPlateau(o, mode="max")}, 'mode="max" would lower'),
        ({"scheduler": ReduceLROnPlateau, "monitor": "val_accuracy"}, "not among the numbers of this run: train_loss"),
        ({"scheduler": ReduceLROnPlateau, "step_scheduler": "batch"}, "once per epoch; leave out step_scheduler"),
    ],
)
def test_options_that_make_no_sense_raise(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_linear(batches(), **options)


def test_one_cycle_for_each_batch_reaches_its_greatest_rate() -> None:
    rates: list[float] = []

    def make(optimizer: Adam) -> LRScheduler:
        optimizer.register_step_pre_hook(lambda *_: rates.append(optimizer.param_groups[0]["lr"]))
        return OneCycleLR(optimizer, 0.5, total_steps=35)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit_linear(batches(), 5, scheduler=make, step_scheduler="batch")
    assert (len(rates), max(rates)) == (35, pytest.approx(0.5, rel=0.01))


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda o: OneCycleLR(o, 0.5, total_steps=35), "OneCycleLR has total_steps=35, one for each of the 7 steps"),
        (lambda o: OneCycleLR(o, 0.5, epochs=8, steps_per_epoch=7), "total_steps=56"),
        (lambda o: CosineAnnealingLR(o, 35), "CosineAnnealingLR has T_max=35"),
        (lambda o: SequentialLR(o, [StepLR(o, 1), CosineAnnealingLR(o, 35)], [1]), "T_max=35"),
        (lambda o: OneCycleLR(o, 0.5, total_steps=5), None),
        (lambda o: OneCycleLR(o, 0.5, total_steps=20), None),  # to be continued
        (lambda o: CosineAnnealingLR(o, 14), None),  # a multiple of the 7 steps, but to be continued as well
        (lambda o: CosineAnnealingLR(o, 5), None),
        (lambda o: StepLR(o, 2), None),
    ],
)
def test_a_scheduler_made_for_each_batch_is_warned_of(make: Callable, expected: str | None) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit_linear(batches(), 5, scheduler=make)
    found = [str(w.message) for w in caught if "once per epoch" in str(w.message)]
    assert [expected in message for message in found] == [True] if expected else not found


def test_start_epoch_advances_a_scheduler_that_steps_per_batch() -> None:
    def make(optimizer: Adam) -> LRScheduler:
        return StepLR(optimizer, step_size=1, gamma=0.5)

    options = {"scheduler": make, "step_scheduler": "batch", "accumulate": 2, "start_epoch": 2}
    assert fit_linear(batches(), **options)[1]["learning_rate"] == pytest.approx([0.1 * 0.5**8])
    with pytest.raises(ValueError, match="needs a train_loader with a length"):
        fit_linear(iter(batches()), **options)


@pytest.mark.parametrize("mode", ["min", "max"])
def test_plateau_follows_the_number_that_monitor_names(mode: str) -> None:
    seen: list[float] = []

    class Spy(ReduceLROnPlateau):
        def step(self, metrics: float, *rest: Any) -> None:
            seen.append(metrics)
            super().step(metrics, *rest)

    options = {"metrics": [AccumulatedAccuracyMetric()], "monitor": "val_accuracy", "val": batches(2)}
    _, history = fit_linear(batches(), scheduler=lambda o: Spy(o, mode=mode), **options)
    assert seen == history["val_accuracy"]


def test_float16_equals_a_plain_loop_with_a_scaler_and_skips_steps_that_overflow() -> None:
    n_steps: list[int] = []

    def make(optimizer: Adam) -> LRScheduler:
        optimizer.register_step_post_hook(lambda *_: n_steps.append(1))
        return StepLR(optimizer, 3, gamma=0.5)

    def loss_fn(outputs: Tensor, target: Tensor) -> Tensor:
        return 20 * nn.functional.cross_entropy(outputs, target)

    options = {"autocast": torch.float16, "clip_norm": 5.0, "step_scheduler": "batch", "scheduler": make}
    model, history = fit_linear(batches(), loss_fn=loss_fn, **options)
    by_hand = linear()
    optimizer = Adam(by_hand.parameters(), 0.1)
    scaler, n_by_hand = torch.amp.GradScaler("cpu"), 0
    for _ in range(3):
        for x, y in batches():
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.float16):
                outputs = by_hand(x)
            scaler.scale(loss_fn(outputs.float(), y)).backward()
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(by_hand.parameters(), 5.0)
            before = scaler.get_scale()
            scaler.step(optimizer)
            scaler.update()
            if scaler.get_scale() >= before:
                n_by_hand += 1
                optimizer.param_groups[0]["lr"] = 0.1 * 0.5 ** (n_by_hand // 3)
    assert len(n_steps) == n_by_hand < 21  # some were skipped
    assert same_weights(model, by_hand)
    assert all(map(math.isfinite, history["train_loss"]))


@pytest.mark.parametrize("autocast", [torch.float16, None])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_resumed_run_has_the_same_scale_and_rates(autocast: Any, accumulate: int, tmp_path: Path) -> None:
    def train(n_epochs: int, path: Path) -> nn.Module:
        def loss_fn(outputs: Tensor, target: Tensor) -> Tensor:
            return 20 * nn.functional.cross_entropy(outputs, target)

        options = {"autocast": autocast, "step_scheduler": "batch", "accumulate": accumulate, "loss_fn": loss_fn}
        return fit_linear(batches(), n_epochs, checkpoint=path, scheduler=lambda o: StepLR(o, 3), **options)[0]

    whole = train(2, tmp_path / "whole.pt")
    train(1, tmp_path / "parts.pt")
    assert same_weights(train(2, tmp_path / "parts.pt"), whole)
    if autocast:
        assert load_checkpoint(tmp_path / "parts.pt")["metrics"][0]["scale"] < 2**16


# modules in evaluation mode, parameters that no one trains


class WithBackbone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.backbone = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
        self.head = nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.backbone(x))


def test_modules_in_evaluation_mode_before_fit_stay_so() -> None:
    model = WithBackbone()
    model.backbone.requires_grad_(False).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}

    def spoil(epoch: int, history: History, model: nn.Module) -> None:
        model.train() if epoch == 1 else model.eval()

    fit_linear(batches(), model=model, val=batches(2), callbacks=[spoil])
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {name for name in before if name.startswith("head")}


@pytest.mark.parametrize("training", [True, False])
def test_a_model_that_is_as_a_whole_in_one_mode_trains(training: bool) -> None:
    trained = [fit_linear(batches(), model=WithBackbone().train(mode))[0] for mode in (training, True)]
    assert same_weights(*trained)
    assert all(module.training for module in trained[0].modules())


def test_parameters_outside_of_the_optimizer_are_warned_of_by_name() -> None:
    model = WithBackbone()
    optimizer = SGD(model.parameters(), 0.1)
    model.head = nn.Linear(4, 2)
    with pytest.warns(UserWarning, match=r"does not hold model\.head\.weight, model\.head\.bias, and will not"):
        fit(batches(), None, model, nn.CrossEntropyLoss(), optimizer, None, 1, verbose=False)
    model.deep = nn.ModuleList(nn.Linear(1, 1) for _ in range(20))
    with pytest.warns(UserWarning, match="and 32 more, and will not"):
        fit(batches(), None, model, nn.CrossEntropyLoss(), optimizer, None, 1, verbose=False)


@pytest.mark.parametrize("frozen", [True, False])
def test_frozen_parameters_and_those_of_the_optimizer_are_not_warned_of(frozen: bool) -> None:
    model = WithBackbone()
    model.backbone.requires_grad_(not frozen)
    optimizer = SGD([p for p in model.parameters() if p.requires_grad], 0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(batches(), None, model, nn.CrossEntropyLoss(), optimizer, None, 1, verbose=False)


# batches without a pair


LOSSES: dict[str, Callable[[], nn.Module]] = {
    "triplets": lambda: OnlineTripletLoss(1.0, AllTripletSelector()),
    "hardest": lambda: OnlineTripletLoss(1.0, HardestNegativeTripletSelector(1.0)),
    "batch-all": lambda: BatchAllTripletLoss(1.0),
    "pairs": lambda: OnlineContrastiveLoss(1.0, HardNegativePairSelector()),
}
GOOD = batches(1)[0]
EMPTY = GOOD[0] + 1, torch.arange(4)  # no two of one class


@pytest.mark.parametrize("n_empty", [0, 1, 3])
@pytest.mark.parametrize("loss", LOSSES)
def test_empty_batches_do_not_count(loss: str, n_empty: int) -> None:
    model = linear()
    expected = evaluate([GOOD], model, LOSSES[loss]())
    assert set(expected) == {"val_loss"}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = evaluate([EMPTY] * n_empty + [GOOD], model, LOSSES[loss]())
    assert found == expected | ({"val_empty_batches": n_empty} if n_empty else {})
    assert [f"{n_empty} of {n_empty + 1} batches of the val loader" in str(w.message) for w in caught] == (
        [True] if n_empty else []
    )


@pytest.mark.parametrize("loss", LOSSES)
def test_the_history_counts_empty_batches_only_where_there_are_some(loss: str) -> None:
    class Changing:
        """Three good batches in the first epoch, one good and one empty batch in the second."""

        n_passes = 0

        def __iter__(self) -> Iterator:
            self.n_passes += 1
            return iter([GOOD] * 3 if self.n_passes == 1 else [GOOD, EMPTY])

    with pytest.warns(UserWarning, match="1 of 2 batches of the train loader") as caught:
        _, history = fit_linear(Changing(), 3, lr=0.0, loss_fn=LOSSES[loss]())
    assert len(caught) == 1
    assert history["train_empty_batches"] == [0, 1, 1]
    assert history["train_loss"] == pytest.approx(history["train_loss"][:1] * 3)
    assert "train_empty_batches" not in fit_linear([GOOD], loss_fn=LOSSES[loss]())[1]


@pytest.mark.parametrize("loss", ["triplets", "hardest", "batch-all"])
def test_batches_of_one_class_each_are_empty(loss: str) -> None:
    in_order = [(x, torch.full((4,), number)) for number, (x, _) in enumerate(batches(3))]
    with pytest.warns(UserWarning, match="3 of 3 batches of the train loader .*BalancedBatchSampler"):
        model, history = fit_linear(in_order, loss_fn=LOSSES[loss]())
    assert history["train_empty_batches"] == [3, 3, 3]
    assert same_weights(model, linear())


def test_a_batch_whose_triplets_have_no_loss_counts() -> None:
    far = torch.tensor([[0.0], [0.1], [9.0], [9.1]]), torch.tensor([0, 0, 1, 1])
    near = torch.tensor([[0.0], [1.0], [1.2]]), torch.tensor([0, 0, 1])
    for make in (LOSSES["hardest"], LOSSES["batch-all"]):
        assert evaluate([far, near], nn.Identity(), make()) == {"val_loss": pytest.approx(1.26 / 2)}
    apart = torch.tensor([[0.0], [5.0]]), torch.tensor([0, 1])  # a pair without a loss
    loss_fn = OnlineContrastiveLoss(1.0, BatchHardPairSelector())
    both = evaluate([apart, near], nn.Identity(), loss_fn)
    assert both == {"val_loss": evaluate([near], nn.Identity(), loss_fn)["val_loss"] / 2}


def test_a_run_with_empty_batches_resumes(tmp_path: Path) -> None:
    def train(n_epochs: int) -> History:
        options = {"loss_fn": LOSSES["triplets"](), "checkpoint": tmp_path / "run.pt"}
        return fit_linear([GOOD, GOOD, EMPTY], n_epochs, **options)[1]

    train(1)
    assert train(2)["train_empty_batches"] == [1, 1]


def test_a_collapse_is_seen_among_empty_batches() -> None:
    metric = SpreadMetric(1.0)
    points, labels = torch.randn(6, 2, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 2
    metric((points,), (labels,), (torch.tensor(0.9),))
    metric.reset()
    for _ in range(3):
        metric((points / 100,), (labels,), (torch.tensor(1.0),))
        metric((points / 100,), (torch.arange(6),), (torch.tensor(0.0),))
    with pytest.warns(CollapseWarning, match="stays at 1,"):
        metric.value()


# errors and paths


def test_a_leading_tilde_of_a_checkpoint_is_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    fit_linear(batches(), 1, checkpoint="~/run.pt")
    assert fit_linear(batches(), 2, checkpoint=Path("~/run.pt"))[1].n_epochs == 2
    assert [path.name for path in tmp_path.iterdir()] == ["run.pt"]


@pytest.mark.parametrize(
    ("model", "loss_fn", "batch", "message"),
    [
        (lambda: Wrapping(), nn.CrossEntropyLoss(), GOOD, "must return a tensor or a tuple of tensors, got a dict"),
        (
            lambda: TripletNet(linear()),
            TripletLoss(1.0),
            ((GOOD[0],) * 3, GOOD[1]),
            r"the loss, TripletLoss, does not take the 4 outputs and targets .* with \[\] for no target",
        ),
        (linear, nn.CrossEntropyLoss(), ((GOOD[0],) * 2, GOOD[1]), "the model, Linear, does not take the 2 inputs"),
        (linear, nn.CrossEntropyLoss(), {"x": 1}, r"a batch must be .* got a dict"),
        (linear, nn.CrossEntropyLoss(), GOOD[0], r"a batch must be .* got a Tensor"),
        (linear, nn.CrossEntropyLoss(), (GOOD[0], ["a"] * 4), r"must be tensors .* got a str"),
    ],
)
def test_batches_models_and_losses_that_do_not_go_together_say_so(
    model: Callable, loss_fn: nn.Module, batch: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        fit_linear([batch], model=model(), loss_fn=loss_fn)


class Wrapping(nn.Linear):
    def __init__(self) -> None:
        super().__init__(3, 2)

    def forward(self, x: Tensor) -> Any:
        return {"logits": super().forward(x)}


def test_a_type_error_within_a_model_stays_what_it_is() -> None:
    class Broken(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return len(3)  # type: ignore[arg-type]

    with pytest.raises(TypeError, match="has no len"):
        fit_linear([GOOD], model=Broken(3, 2))


def test_a_generator_is_refused_for_several_epochs() -> None:
    def generate() -> Iterator:
        yield from batches()

    assert fit_linear(generate(), 1)[1].n_epochs == 1
    for loaders in ({"data": generate()}, {"data": batches(), "val": generate()}):
        with pytest.raises(ValueError, match=r"a generator gives its batches once, .* loader of 3 epochs"):
            fit_linear(**loaders)
    with pytest.raises(ValueError, match=r"the train loader has no batches; .* an iterator, which one pass uses up"):
        fit_linear(iter(batches()))


def test_the_originals_call_of_fit_says_what_has_changed() -> None:
    model = linear()
    arguments = (batches(), None, model, nn.CrossEntropyLoss(), SGD(model.parameters(), 0.1), None, 1)
    with pytest.raises(TypeError, match=r"9 were given: .* `cuda` and `log_interval` out: the device is found"):
        fit(*arguments, True, 50)
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'cuda'.*the device is found"):
        fit(*arguments, cuda=True)
    with pytest.raises(ValueError, match=r"device=True must be a device.*leave it out"):
        fit(*arguments, device=True)


@pytest.mark.parametrize(
    ("module", "name", "now"),
    [
        (trainer, "train_epoch", r"fit\(train_loader"),
        (trainer, "test_epoch", r"evaluate\(loader"),
        (utils, "pdist", "pairwise_distances"),
        (utils, "hardest_negative", "HardestNegativeTripletSelector"),
        (utils, "random_hard_negative", "RandomNegativeTripletSelector"),
        (utils, "semihard_negative", "SemihardNegativeTripletSelector"),
    ],
)
def test_old_names_say_what_there_is_now(module: Any, name: str, now: str) -> None:
    with pytest.raises(ImportError, match=now):
        exec(f"from {module.__name__} import {name}")
    assert not hasattr(module, "no_such_name")
