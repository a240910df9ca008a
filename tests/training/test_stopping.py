import math

import pytest
import torch
from torch import nn

from siamese_triplet.trainer import EarlyStopping, History, fit


def epochs_until_it_stops(scores: list[float], patience: int) -> tuple[int, EarlyStopping, nn.Module]:
    """Run a callback on a network whose weight is the number of the epoch."""
    stopping = EarlyStopping(lambda model: scores[int(model.weight) - 1], patience)
    model = nn.Linear(1, 1)
    for epoch in range(1, len(scores) + 1):
        model.weight.data.fill_(epoch)
        if stopping(epoch, History({}), model):
            break
    return epoch, stopping, model


@pytest.mark.parametrize(
    ("scores", "patience", "last", "best"),
    [
        ([1, 2, 3, 4], 1, 4, 4),  # always improving
        ([5, 4, 4, 4], 2, 3, 1),
        ([1, 3, 2, 3, 2, 9], 3, 5, 2),  # a tie is no improvement
        ([1, 3, 2, 4, 2, 9], 3, 6, 6),
        ([-2, -1, -3], 1, 3, 2),
    ],
)
def test_it_stops_after_patience_epochs_without_improvement(
    scores: list[float], patience: int, last: int, best: int
) -> None:
    epoch, stopping, model = epochs_until_it_stops(scores, patience)
    assert (epoch, stopping.best_epoch) == (last, best)
    assert stopping.scores == dict(enumerate(scores[:last], start=1))
    stopping.restore(model)
    assert model.weight.item() == best


def test_the_default_patience_is_five_epochs() -> None:
    stopping, model = EarlyStopping(lambda model: 0.0), nn.Linear(1, 1)
    assert [stopping(epoch, History({}), model) for epoch in range(1, 8)] == [False] * 5 + [True] * 2


def run(stopping: EarlyStopping, epochs: range, scores: list[float]) -> list[bool]:
    """Score the epochs of a network whose bias is its score and whose weight is the number of the epoch."""
    model, answers = nn.Linear(1, 1), []
    for epoch, score in zip(epochs, scores, strict=True):
        model.weight.data.fill_(epoch)
        model.bias.data.fill_(score)
        answers.append(stopping(epoch, History({}), model))
    return answers


def best_weight(stopping: EarlyStopping) -> float:
    model = nn.Linear(1, 1)
    stopping.restore(model)
    return model.weight.item()


def test_a_second_run_forgets_the_first() -> None:
    stopping = EarlyStopping(lambda model: model.bias.item(), patience=2)
    assert run(stopping, range(1, 6), [7, 8, 9, 6, 6]) == [False] * 4 + [True]
    assert run(stopping, range(1, 5), [1, 2, 1, 1]) == [False] * 3 + [True]
    assert stopping.scores == {1: 1, 2: 2, 3: 1, 4: 1}
    assert stopping.best_epoch == best_weight(stopping) == 2


def test_a_run_that_resumes_at_the_last_epoch_of_another_is_a_new_one() -> None:
    stopping = EarlyStopping(lambda model: model.bias.item(), patience=2)
    run(stopping, range(1, 4), [7, 8, 9])
    run(stopping, range(3, 5), [1, 2])
    assert (stopping.scores, stopping.best_epoch) == ({3: 1, 4: 2}, 4)


def test_a_resumed_run_remembers_its_earlier_epochs() -> None:
    stopping = EarlyStopping(lambda model: model.bias.item(), patience=2)
    run(stopping, range(1, 3), [9, 8])
    assert run(stopping, range(3, 5), [6, 6]) == [True] * 2
    assert list(stopping.scores) == [1, 2, 3, 4]
    assert stopping.best_epoch == best_weight(stopping) == 1


def test_fit_ends_and_the_weights_of_the_best_epoch_can_be_restored() -> None:
    torch.manual_seed(0)
    model, weights = nn.Linear(2, 1), []

    def score(model: nn.Module) -> float:
        weights.append(model.weight.detach().clone())
        return -abs(len(weights) - 3)

    stopping = EarlyStopping(score, patience=2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = [(torch.ones(4, 2), torch.zeros(4, 1))]
    history = fit(loader, None, model, nn.MSELoss(), optimizer, None, 20, verbose=False, callbacks=[stopping])
    assert history.n_epochs == 5
    assert torch.equal(model.weight, weights[4])
    stopping.restore(model)
    assert torch.equal(model.weight, weights[2])
    assert not torch.equal(weights[2], weights[4])


def test_invalid_patience_and_scores_raise() -> None:
    with pytest.raises(ValueError, match="patience=0 must be at least 1"):
        EarlyStopping(lambda model: 0.0, patience=0)
    with pytest.raises(ValueError, match="the score after epoch 2 is NaN"):
        epochs_until_it_stops([1.0, math.nan], 3)
    with pytest.raises(ValueError, match="no epoch has been scored yet"):
        EarlyStopping(lambda model: 0.0).restore(nn.Linear(1, 1))
