"""The pictures of the explorer."""

import itertools
import logging
import re

import pytest
import torch
from explorer_cases import picture, snapshot_of

from siamese_triplet.explorer.pictures import counted_by, curves_image, embedding_image, moment_of, plane
from siamese_triplet.methods import METHODS, Method
from siamese_triplet.selectors.by_name import (
    BATCH_ALL,
)
from siamese_triplet.trainer import History


def test_the_plane_of_larger_embeddings_is_their_principal_components() -> None:
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(50, 5, generator=generator) * torch.tensor([1.0, 9.0, 2.0, 5.0, 0.5]) + 100
    points, share = plane(embeddings)
    centred = (embeddings - embeddings.mean(dim=0)).double()
    values = torch.linalg.svdvals(centred)
    assert share == pytest.approx(float(values[:2].square().sum() / values.square().sum()))
    torch.testing.assert_close(points.double().norm(dim=0), values[:2], rtol=1e-5, atol=0)
    assert abs(float(points[:, 0] @ points[:, 1])) < 1e-2
    assert torch.corrcoef(torch.stack([points[:, 0], embeddings[:, 1]]))[0, 1] > 0.9
    assert torch.corrcoef(torch.stack([points[:, 1], embeddings[:, 3]]))[0, 1] > 0.9


def test_embeddings_of_one_dimension_lie_on_a_line_and_half_precision_is_drawn() -> None:
    points, share = plane(torch.tensor([[1.0], [3.0]], dtype=torch.bfloat16))
    assert points.tolist() == [[1, 0], [3, 0]]
    assert (points.dtype, share) == (torch.float32, 1)
    assert plane(torch.ones(2, 2, dtype=torch.bfloat16))[0].dtype == torch.float32


def test_embeddings_of_the_plane_stay_and_equal_ones_remain_a_point() -> None:
    embeddings = torch.randn(9, 2)
    points, share = plane(embeddings)
    assert points is embeddings
    assert share is None
    points, share = plane(torch.ones(9, 3))
    assert (points.abs().max(), share) == (0, 1)


def test_pictures_describe_their_content() -> None:
    shown, alt = picture(embedding_image(snapshot_of()))
    assert "30 of 30 test images, within epoch 2 of 3" in alt
    assert "10 classes" in alt
    assert shown.std() > 0
    _, alt = picture(embedding_image(snapshot_of(size=7, epochs=3.0, n_test_images=1000)))
    assert re.search("30 of 1,000 test images, after epoch 3 of 3, .* principal components 1 and 2 of 7-D", alt)
    assert moment_of(snapshot_of(epochs=0.0)) == "before training"
    _, alt = picture(curves_image(snapshot_of()))
    assert alt.startswith("Curves of the loss and of active triplets per batch over the epochs, within epoch 2 of 3; ")
    assert alt.endswith("the loss of the last batch is 0.25")


def test_every_class_has_its_own_colour() -> None:
    shown, _ = picture(embedding_image(snapshot_of(n=400)))
    colours = {tuple(colour) for colour in shown.reshape(-1, 3)}
    for colour in ("332288", "88CCEE", "117733", "DDCC77", "CC6677", "AA4499", "44AA99", "999933", "882255", "777777"):
        assert tuple(bytes.fromhex(colour)) in colours


def test_the_curves_follow_the_batches_and_the_epochs() -> None:
    empty = snapshot_of(losses=[], counts=[], history=History())
    some = snapshot_of(history=History())
    pictures = [picture(curves_image(each))[0] for each in (empty, some, snapshot_of())]
    for one, other in itertools.combinations(pictures, 2):
        assert (one != other).any()


@pytest.mark.parametrize(
    ("method", "counted"),
    [
        (METHODS["softmax"], ("accuracy", "accuracy (%)")),
        (METHODS["siamese"], None),
        (METHODS["online-triplet"], ("nonzero_triplets", "active triplets per batch")),
        (Method("online-triplet", selector=BATCH_ALL), ("nonzero_triplets", "active triplets per batch")),
        (Method("online-triplet", selector="batch-hard"), ("nonzero_triplets", "selected triplets per batch")),
    ],
)
def test_the_second_curve_is_labelled_by_the_method(method: Method, counted: tuple[str, str] | None) -> None:
    assert counted_by(snapshot_of(method=method)) == counted


def test_drawing_logs_nothing_and_leaves_pyplot_alone(caplog: pytest.LogCaptureFixture) -> None:
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    with caplog.at_level(logging.INFO, "matplotlib"):
        for stretched in ([1.0, 1.0], [9.0, 1.0], [1.0, 9.0]):
            embedding_image(snapshot_of(embeddings=torch.randn(30, 2) * torch.tensor(stretched)))
        curves_image(snapshot_of())
    assert caplog.records == []
    assert plt.get_fignums() == before
