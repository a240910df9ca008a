"""Short runs with a diagnosis of every step, and wrong labels."""

import copy
import math

import pytest
import torch

from siamese_triplet.book.failures import plot_steps, score, train_copies, train_steps, with_wrong_labels
from siamese_triplet.datasets import Images, normalization
from siamese_triplet.diagnostics import diagnose
from siamese_triplet.evaluation import embed, retrieval_metrics
from siamese_triplet.losses import BatchAllTripletLoss, OnlineTripletLoss
from siamese_triplet.networks import EmbeddingNet
from siamese_triplet.selectors import HardestNegativeTripletSelector, RandomNegativeTripletSelector

CLASSES, EACH = 4, 6


@pytest.fixture
def images() -> Images:
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(CLASSES).repeat(EACH)
    data = torch.randint(0, 60, (len(targets), 16, 16), generator=generator, dtype=torch.uint8)
    data[torch.arange(len(targets)), 4 * targets] += 150  # each class has its own bright row
    return Images(data, targets, list("abcd"), True, normalization(0.3, 0.3))


def net() -> EmbeddingNet:
    torch.manual_seed(0)
    return EmbeddingNet(2, (1, 16, 16))


def run(images: Images, n_steps: int, model: EmbeddingNet | None = None, **options) -> dict[str, list[float]]:
    loss_fn = OnlineTripletLoss(1.0, HardestNegativeTripletSelector(1.0))
    return train_steps(model or net(), loss_fn, images, n_steps, n_classes=CLASSES, **({"n_samples": EACH} | options))


def test_each_step_is_diagnosed_before_it_is_taken(images: Images) -> None:
    history = run(images, 3)
    embeddings = net()(torch.stack([image for image, _ in images]))  # one batch of all images, in another order
    diagnosis = diagnose(embeddings.detach(), images.targets, margin=1.0)
    loss, n_triplets = OnlineTripletLoss(1.0, HardestNegativeTripletSelector(1.0))(embeddings, images.targets)
    expected = {
        "loss": loss.item(),
        "triplets": n_triplets,
        "active": diagnosis.active_fraction,
        "norm": diagnosis.norms[1],
        "positive distance": diagnosis.positive_distances[1],
        "negative distance": diagnosis.negative_distances[1],
    }
    assert history.epochs()[0] == pytest.approx(expected, rel=1e-4)
    assert history.n_epochs == 3
    assert history["loss"][0] != history["loss"][1] != history["loss"][2]


def test_training_may_take_more_than_one_epoch(images: Images) -> None:
    history = train_steps(net(), BatchAllTripletLoss(1.0), images, 60, n_classes=CLASSES, n_samples=2)
    assert history.n_epochs == 60
    assert sum(history["active"][-5:]) < sum(history["active"][:5]) / 2


def test_the_seed_decides_the_run(images: Images) -> None:
    first = run(images, 3, n_samples=2)
    assert run(images, 3, n_samples=2) == first
    assert run(images, 3, n_samples=2, seed=1) != first


def test_the_steps_use_the_learning_rate(images: Images) -> None:
    model = net()
    run(images, 2, model, learning_rate=0.0)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), net().parameters(), strict=True))
    run(images, 2, model, learning_rate=1e-3)
    assert not all(torch.equal(a, b) for a, b in zip(model.parameters(), net().parameters(), strict=True))


def test_without_a_diagnosis_the_run_is_the_same(images: Images) -> None:
    plain = run(images, 3, diagnosed=False)
    assert set(plain) == {"loss", "triplets"}
    assert plain["loss"] == run(images, 3)["loss"]


def test_copies_are_trained_each_on_its_own_images_and_batches(images: Images) -> None:
    loss_fn = OnlineTripletLoss(1.0, RandomNegativeTripletSelector(1.0))
    options = {"n_classes": CLASSES, "n_samples": 3}
    models = [net(), net()]
    (first, second), history = train_copies(models, loss_fn, images, 2, **options)
    assert history == train_steps(net(), copy.deepcopy(loss_fn), images, 2, **options)
    assert weights(models[0]) == weights(net())  # the models themselves stay
    assert weights(first) != weights(second)  # other batches
    [again], _ = train_copies([net()], loss_fn, [images], 2, first_seed=1, **options)
    assert weights(again) == weights(second)
    noisy, _ = with_wrong_labels(images, 0.5)
    (_, other), _ = train_copies([net(), net()], loss_fn, [images, noisy], 2, **options)
    assert weights(other) != weights(second)


def test_a_score_has_the_figures_of_each_model(images: Images) -> None:
    found = score("a run", [net(), net()], [images, images.of_classes([0, 1])])
    assert [(result["name"], result["seed"]) for result in found] == [("a run", 0), ("a run", 1)]
    expected = retrieval_metrics(*embed(net(), images.of_classes([0, 1])), ks=(1,))
    assert found[1]["map_at_r"] == pytest.approx(expected["map_at_r"])
    assert found[1]["recall_at_1"] == pytest.approx(expected["recall_at_1"])
    assert found[0]["map_at_r"] != pytest.approx(found[1]["map_at_r"])


def weights(model: EmbeddingNet) -> list[float]:
    return torch.cat([weight.detach().flatten() for weight in model.parameters()]).tolist()


def test_no_steps_give_an_empty_history(images: Images) -> None:
    assert run(images, 0) == {}


def test_batches_without_positives_have_no_loss_and_nan_distances(images: Images) -> None:
    history = run(images, 1, n_samples=1)
    assert (history["loss"], history["triplets"]) == ([0.0], [0.0])
    assert math.isnan(history["active"][0])
    assert math.isnan(history["positive distance"][0])


@pytest.mark.parametrize("fraction", [0.0, 0.25, 1.0])
def test_a_fraction_of_the_labels_is_wrong_and_the_others_stay(images: Images, fraction: float) -> None:
    noisy, is_wrong = with_wrong_labels(images, fraction)
    assert int(is_wrong.sum()) == round(fraction * len(images))
    assert torch.equal(noisy.targets != images.targets, is_wrong)
    assert set(noisy.targets.tolist()) <= set(range(CLASSES))
    assert torch.equal(noisy.data, images.data)
    assert (noisy.classes, noisy.train, noisy.transform) == (images.classes, images.train, images.transform)


def test_the_seed_decides_the_wrong_labels(images: Images) -> None:
    first = with_wrong_labels(images, 0.5)[0].targets
    assert torch.equal(with_wrong_labels(images, 0.5)[0].targets, first)
    assert not torch.equal(with_wrong_labels(images, 0.5, seed=1)[0].targets, first)


def test_wrong_labels_need_a_valid_fraction_and_two_classes(images: Images) -> None:
    for fraction in (-0.1, 1.1):
        with pytest.raises(ValueError, match="a fraction from 0 to 1"):
            with_wrong_labels(images, fraction)
    one_class = Images(images.data, torch.zeros_like(images.targets), ["a"], True, images.transform)
    with pytest.raises(ValueError, match=r"and two classes, got 0\.5 and 1"):
        with_wrong_labels(one_class, 0.5)


def test_the_figure_has_a_curve_per_run_and_lines_at_stuck_losses(images: Images) -> None:
    runs = {"one": run(images, 3), "two": run(images, 3, seed=1, n_samples=2)}
    losses, active, distances = plot_steps(runs, stuck_at=[1.0, 0.5]).axes
    curves = [line.get_ydata() for line in losses.lines]
    assert [list(curve) for curve in curves[:2]] == [runs["one"]["loss"], runs["two"]["loss"]]
    assert [curve[0] for curve in curves[2:]] == [1.0, 0.5]
    shares = [[100 * share for share in history["active"]] for history in runs.values()]
    assert [list(line.get_ydata()) for line in active.lines] == shares
    assert [list(line.get_ydata()) for line in distances.lines] == [
        history[f"{kind} distance"] for history in runs.values() for kind in ("negative", "positive")
    ]
    names = [text.get_text() for text in losses.figure.legends[0].get_texts()]
    assert names == ["one", "two", "negative pairs", "positive pairs"]
    assert distances.get_legend() is None  # it would lie on the curves
