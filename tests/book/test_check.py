"""The self-checking exercises: they tell the right answer from wrong ones, whatever a reader writes."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from siamese_triplet import TripletSelector
from siamese_triplet.book import check


class Selector(TripletSelector):
    """A selector of all triplets in a band of losses."""

    def __init__(self, low: float, high: float, squared: bool = True) -> None:
        self.low, self.high, self.squared = low, high, squared

    def select(self, distances: Tensor, is_positive: Tensor, is_negative: Tensor) -> Tensor:
        distances = distances if self.squared else distances.sqrt()
        losses = distances[:, :, None] - distances[:, None, :] + 1  # (B, B, B)
        in_band = (losses > self.low) & (losses < self.high)
        return (is_positive[:, :, None] & is_negative[:, None, :] & in_band).nonzero()


def hard_negatives(distances: Tensor, labels: Tensor, n: int | None = None, largest: bool = False) -> Tensor:
    left, right = torch.triu_indices(len(labels), len(labels), 1)
    same = labels[left] == labels[right]
    n = min(int(same.sum()), int((~same).sum())) if n is None else min(n, len(left))
    worst = -torch.inf if largest else torch.inf
    chosen = distances[left, right].masked_fill(same, worst).topk(n, largest=largest).indices
    return torch.stack([left[chosen], right[chosen]], dim=1)


def choose(losses: Tensor, low: float, high: float, hardest: bool = True) -> Tensor:
    in_band = (losses > low) & (losses < high)
    best = (losses if hardest else -losses).masked_fill(~in_band, -torch.inf).max(dim=1)
    return torch.where(in_band.any(dim=1), best.indices, -1)


def contrastive(d: Tensor, y: Tensor, m: float) -> Tensor:
    return 0.5 * y * d**2 + 0.5 * (1 - y) * (m - d).clamp(min=0) ** 2


def triplet(anchor: Tensor, positive: Tensor, negative: Tensor, m: float) -> Tensor:
    return ((anchor - positive).square().sum(1) - (anchor - negative).square().sum(1) + m).clamp(min=0)


def gradients(anchor: Tensor, positive: Tensor, negative: Tensor, m: float) -> tuple[Tensor, Tensor, Tensor]:
    share = (triplet(anchor, positive, negative, m) > 0).float()[:, None] / len(anchor)  # (T, 1)
    return 2 * share * (negative - positive), 2 * share * (positive - anchor), 2 * share * (anchor - negative)


def hard_triplets(distances: Tensor, labels: Tensor, needs_both: bool = True) -> Tensor:
    same = labels[:, None] == labels
    is_positive = same & ~torch.eye(len(labels), dtype=torch.bool)
    farthest = distances.masked_fill(~is_positive, -torch.inf).argmax(dim=1)
    nearest = distances.masked_fill(same, torch.inf).argmin(dim=1)
    triplets = torch.stack([torch.arange(len(labels)), farthest, nearest], dim=1)
    return triplets[is_positive.any(dim=1) & (~same).any(dim=1)] if needs_both else triplets


def train_loop(
    net: nn.Module,
    loss_fn: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: list,
    n_epochs: int,
    zeroes: bool = True,
    switches: bool = True,
    steps: bool = True,
    divides: bool = True,
) -> list[float]:
    means = []
    if switches:
        net.train()
    for _ in range(n_epochs):
        losses = []
        for (first, second), target in batches:
            if zeroes:
                optimizer.zero_grad()
            loss = loss_fn(*net(first, second), target)
            loss.backward()
            if steps:
                optimizer.step()
            losses.append(loss.item())
        means.append(sum(losses) / (len(losses) if divides else 1))
    return means


def kind(d_ap: float, d_an: float, m: float) -> str:
    return "hard" if d_an <= d_ap else "semi-hard" if d_an**2 < d_ap**2 + m else "easy"


def vote(known: Tensor, y: Tensor, queries: Tensor, k: int) -> Tensor:
    return y[torch.cdist(queries, known).topk(k, largest=False).indices].mode(dim=1).values


def prototype(support: Tensor, labels: Tensor, queries: Tensor) -> Tensor:
    classes = labels.unique()
    means = torch.stack([support[labels == label].mean(dim=0) for label in classes])
    return classes[torch.cdist(queries, means).argmin(dim=1)]


def threshold(distances: Tensor, is_same: Tensor, rate: float) -> float:
    candidates = [-1.0, *distances.tolist()]
    return max(t for t in candidates if (distances[~is_same] <= t).double().mean() <= rate)


def stopper(patience: int, than: str = "best", strictly: bool = True) -> Callable[..., bool]:
    def callback(epoch: int, history: dict[str, list[float]], model: object) -> bool:
        losses = history["val_loss"]
        if than == "last":
            return len(losses) > patience and losses[-1] >= losses[-1 - patience]
        best = losses.index(min(losses)) if strictly else len(losses) - 1 - losses[::-1].index(min(losses))
        return len(losses) - 1 - best >= patience

    return callback


EXERCISES: dict[str, tuple[Any, list[Any]]] = {  # the right answer, and wrong ones
    "negative_log_likelihood": (
        lambda scores, y: (scores.logsumexp(1) - scores[range(len(y)), y]).mean(),
        [
            lambda scores, y: torch.zeros(()),
            lambda scores, y: -scores.exp().div(scores.exp().sum(1, keepdim=True))[range(len(y)), y].log().mean(),
            lambda scores, y: F.cross_entropy(scores, y, reduction="sum"),
            lambda scores, y: F.cross_entropy(scores, y, reduction="none"),
            lambda scores, y: F.nll_loss(scores, y),
        ],
    ),
    "classify": (
        vote,
        [
            lambda known, y, queries, k: y[: len(queries)],
            lambda known, y, queries, k: vote(known, y, queries, 1),
            lambda known, y, queries, k: -vote(known, -y, queries, k),
            lambda known, y, queries, k: vote(known, y, queries, k).tolist(),
            lambda known, y, queries, k: torch.cdist(queries, known).argmin(dim=1),
        ],
    ),
    "contrastive_loss": (
        contrastive,
        [
            lambda d, y, m: torch.zeros_like(d),
            lambda d, y, m: 0.5 * y * d**2 + 0.5 * (1 - y) * (m - d) ** 2,
            lambda d, y, m: contrastive(d, 1 - y, m),
            lambda d, y, m: 2 * contrastive(d, y, m),
            lambda d, y, m: contrastive(d, y, m).mean(),
            lambda d, y, m: contrastive(d, y, 1.0),
            lambda d, y, m: 0.5 * y * d + 0.5 * (1 - y) * (m - d).clamp(min=0),
        ],
    ),
    "triplet_loss": (
        lambda *triplets: triplet(*triplets).mean(),
        [
            lambda a, p, n, m: torch.zeros(()),
            triplet,
            lambda a, p, n, m: triplet(a, n, p, m).mean(),
            lambda a, p, n, m: F.triplet_margin_loss(a, p, n, m),
            lambda a, p, n, m: ((a - p).square().sum(1) - (a - n).square().sum(1) + m).mean().clamp(min=0),
            lambda a, p, n, m: triplet(a, p, n, 1.0).mean(),
            lambda a, p, n, m: triplet(a, p, n, m).mean().view(1),
        ],
    ),
    "triplet_gradients": (
        gradients,
        [
            lambda a, p, n, m: (torch.zeros_like(a),) * 3,
            lambda a, p, n, m: tuple(len(a) * gradient for gradient in gradients(a, p, n, m)),
            lambda a, p, n, m: tuple(-gradient for gradient in gradients(a, p, n, m)),
            lambda a, p, n, m: gradients(a, p, n, 1e6),
            lambda a, p, n, m: gradients(a, p, n, 1.0),
            lambda a, p, n, m: gradients(a, p, n, m)[:2],
            lambda a, p, n, m: torch.stack(gradients(a, p, n, m)),
        ],
    ),
    "kind_of_negative": (
        kind,
        [
            lambda d_ap, d_an, m: "hard",
            lambda d_ap, d_an, m: "hard" if d_an < d_ap else "semi-hard" if d_an**2 < d_ap**2 + m else "easy",
            lambda d_ap, d_an, m: "hard" if d_an <= d_ap else "semi-hard" if d_an < d_ap + m else "easy",
            lambda d_ap, d_an, m: "hard" if d_an <= d_ap else "semi-hard" if d_an**2 <= d_ap**2 + m else "easy",
            lambda d_ap, d_an, m: kind(d_ap, d_an, m).title(),
        ],
    ),
    "n_pairs": (
        lambda p, k: (p * k * (k - 1) // 2, p * (p - 1) // 2 * k * k),
        [
            lambda p, k: (0, 0),
            lambda p, k: (p * k * (k - 1), p * (p - 1) * k * k),
            lambda p, k: (p * (p - 1) // 2 * k * k, p * k * (k - 1) // 2),
            lambda p, k: p * k * (p * k - 1) // 2,
            lambda p, k: (k * (k - 1) // 2, p * (p - 1) // 2),
        ],
    ),
    "hard_negative_pairs": (
        hard_negatives,
        [
            lambda distances, labels: torch.empty(0, 2, dtype=torch.int64),
            lambda distances, labels: hard_negatives(distances, labels, largest=True),
            lambda distances, labels: hard_negatives(distances, labels, 1),
            lambda distances, labels: hard_negatives(distances, labels, len(labels)),
            lambda distances, labels: hard_negatives(distances, torch.arange(len(labels)), 3),
            lambda distances, labels: hard_negatives(distances, labels).repeat(2, 1),
            lambda distances, labels: hard_negatives(distances, labels).flatten(),
        ],
    ),
    "n_triplets": (
        lambda p, k: p * k * (k - 1) * (p - 1) * k,
        [
            lambda p, k: 0,
            lambda p, k: p * k * (k - 1) * (p - 1) * k // 2,
            lambda p, k: p * k * k * (p - 1) * k,
            lambda p, k: p * k * (k - 1) * (p - 1),
        ],
    ),
    "nearest_semihard": (
        lambda losses: choose(losses, 0, 1),
        [
            lambda losses: torch.full((len(losses),), -1),
            lambda losses: losses.argmax(dim=1),
            lambda losses: choose(losses, 0, torch.inf),
            lambda losses: choose(losses, 0, 1, hardest=False),
            lambda losses: choose(losses, -torch.inf, 1),
            lambda losses: choose(losses, 0, 1).float(),
            lambda losses: choose(losses, 0, 1)[:1],
        ],
    ),
    "batch_hard": (
        hard_triplets,
        [
            lambda distances, labels: torch.empty(0, 3, dtype=torch.int64),
            lambda distances, labels: hard_triplets(-distances, labels),
            lambda distances, labels: hard_triplets(distances, labels)[:, [0, 2, 1]],
            lambda distances, labels: hard_triplets(distances, labels)[:2],
            lambda distances, labels: hard_triplets(distances, labels, needs_both=False),
            lambda distances, labels: hard_triplets(distances, labels).tolist(),
        ],
    ),
    "all_semihard": (
        Selector(0, 1),
        [
            Selector(0, torch.inf),
            Selector(-torch.inf, 1),
            Selector(0, 1, squared=False),
            Selector(0, 0),
            Selector,
            TripletSelector(),
            torch.zeros(3),
        ],
    ),
    "nearest_prototype": (
        prototype,
        [
            lambda support, labels, queries: labels[torch.cdist(queries, support).argmin(dim=1)],
            lambda support, labels, queries: prototype(support, labels.unique(return_inverse=True)[1], queries),
            lambda support, labels, queries: prototype(support, labels.sort().values, queries),
            lambda support, labels, queries: prototype(support, labels, queries)[:, None],
        ],
    ),
    "threshold_at": (
        threshold,
        [
            lambda distances, is_same, rate: distances.max(),
            lambda distances, is_same, rate: distances.quantile(rate),
            lambda distances, is_same, rate: distances[~is_same].quantile(rate),
            lambda distances, is_same, rate: threshold(distances, ~is_same, rate),
            lambda distances, is_same, rate: rate,
            lambda distances, is_same, rate: 0.0,
        ],
    ),
    "training_loop": (
        train_loop,
        [
            lambda net, loss_fn, optimizer, batches, n_epochs: [0.0] * n_epochs,
            lambda *given: train_loop(*given, zeroes=False),
            lambda *given: train_loop(*given, switches=False),
            lambda *given: train_loop(*given, steps=False),
            lambda *given: train_loop(*given, divides=False),
            lambda *given: train_loop(*given)[-1:],
            lambda net, loss_fn, optimizer, batches, n_epochs: train_loop(net, loss_fn, optimizer, batches, 1),
        ],
    ),
    "stop_early": (
        stopper,
        [
            lambda patience: lambda epoch, history, model: False,
            lambda patience: lambda epoch, history, model: True,
            lambda patience: lambda epoch, history, model: epoch > patience,
            lambda patience: stopper(patience, than="last"),
            lambda patience: stopper(patience, strictly=False),
            lambda patience: stopper(patience + 1),
            lambda patience: stopper(2),
        ],
    ),
}
every_exercise = pytest.mark.parametrize("name", EXERCISES)


def verdict(name: str, answer: Any, capsys: pytest.CaptureFixture) -> str:
    assert getattr(check, name)(answer) is None
    return capsys.readouterr().out


def raising(*arguments: Any) -> None:
    raise RuntimeError("a mistake of mine")


def test_every_exercise_of_these_modules_has_a_test() -> None:
    modules = {f"siamese_triplet.book.check.{name}" for name in ("losses", "selection", "training", "use")}
    assert sorted(EXERCISES) == sorted(n for n in check.__all__ if getattr(check, n).__module__ in modules)
    assert all(len(wrong) >= 3 for _, wrong in EXERCISES.values())


@every_exercise
@pytest.mark.usefixtures("global_random_state_untouched")
def test_the_right_answer_is_correct(name: str, capsys: pytest.CaptureFixture) -> None:
    text = verdict(name, EXERCISES[name][0], capsys)
    assert text.startswith("correct: ")
    assert text.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "number"), [(name, n) for name, (_, wrong) in EXERCISES.items() for n in range(len(wrong))]
)
def test_a_wrong_answer_gets_a_hint(name: str, number: int, capsys: pytest.CaptureFixture) -> None:
    text = verdict(name, EXERCISES[name][1][number], capsys)
    assert text.startswith("not yet: ")
    assert "\n  given     " in text or "\n  raised    " in text
    assert "\n  expected  " in text
    assert "\n  hint      " in text
    assert text == verdict(name, EXERCISES[name][1][number], capsys)  # always the same words
    assert all(len(line) <= 88 for line in text.splitlines()), text  # the width of the page


@every_exercise
def test_a_function_that_raises_is_shown_with_its_error(name: str, capsys: pytest.CaptureFixture) -> None:
    text = verdict(name, raising, capsys)
    assert text.startswith("not yet: ")
    if name != "all_semihard":  # a selector is not a function
        assert "\n  raised    RuntimeError: a mistake of mine\n" in text


@every_exercise
@pytest.mark.parametrize("answer", [None, lambda *arguments: None], ids=["none", "returns none"])
def test_none_is_not_an_answer_yet(name: str, answer: Any, capsys: pytest.CaptureFixture) -> None:
    assert verdict(name, answer, capsys).startswith("not yet: ")


@every_exercise
@pytest.mark.parametrize(
    "answer",
    ["text", [], torch.full((2, 3), torch.nan), float("nan"), object(), {"a": 1}],
    ids=lambda answer: type(answer).__name__,
)
def test_no_answer_raises_an_error(name: str, answer: Any, capsys: pytest.CaptureFixture) -> None:
    assert verdict(name, lambda *arguments: answer, capsys).startswith("not yet: ")


HINTS = [  # right but for one thing, which the hint names
    ("contrastive_loss", lambda d, y, m: contrastive(d, y, m).mean(), "one loss for each pair"),
    ("contrastive_loss", lambda d, y, m: contrastive(d, y, m).sum(), "one loss for each pair"),
    ("hard_negative_pairs", lambda d, labels: both_ways(hard_negatives(d, labels)), "count each pair once"),
]


def both_ways(pairs: Tensor) -> Tensor:
    return torch.cat([pairs, pairs.flip(1)])


@pytest.mark.parametrize(("name", "answer", "hint"), HINTS)
def test_the_hint_names_what_is_wrong(name: str, answer: Any, hint: str, capsys: pytest.CaptureFixture) -> None:
    text = " ".join(verdict(name, answer, capsys).split())
    assert text.startswith("not yet: ")
    assert hint in text.partition("hint ")[2]


def test_a_plain_number_is_as_right_as_a_tensor_without_axes(capsys: pytest.CaptureFixture) -> None:
    right = verdict("negative_log_likelihood", lambda scores, y: F.cross_entropy(scores, y).item(), capsys)
    assert right.startswith("correct: ")
    assert verdict("negative_log_likelihood", lambda scores, y: 0.5, capsys).startswith("not yet: ")


def test_a_function_cannot_change_the_cases(capsys: pytest.CaptureFixture) -> None:
    def overwrites(known: Tensor, y: Tensor, queries: Tensor, k: int) -> Tensor:
        classes = vote(known, y, queries, k)
        known.zero_(), y.zero_()
        return classes

    assert verdict("classify", overwrites, capsys).startswith("correct")


def test_a_long_message_is_cut_short(capsys: pytest.CaptureFixture) -> None:
    def raises(*arguments: Any) -> None:
        raise ValueError("much " * 1000)

    assert len(verdict("n_triplets", raises, capsys)) < 600
