import pytest
import torch

from siamese_triplet.evaluation import spread_out


@pytest.mark.parametrize("scale", [1, 1e-25, 1e15])
def test_chosen_images_are_those_of_plain_loops(scale: float) -> None:
    embeddings = torch.randn(60, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows = embeddings.tolist()

    def squared(one: list[float], other: list[float]) -> float:
        return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))

    mean = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
    expected = [min(range(60), key=lambda i: squared(rows[i], mean))]
    while len(expected) < 20:
        distance = [min(squared(rows[i], rows[j]) for j in expected) for i in range(60)]
        expected.append(max(range(60), key=lambda i: distance[i]))
    assert spread_out(embeddings.float() * scale, 20).tolist() == expected


def test_every_cluster_is_met_before_a_second_image_of_one() -> None:
    labels = torch.arange(12).repeat(9)
    embeddings = 10 * torch.eye(12)[labels] + torch.rand(108, 12, generator=torch.Generator().manual_seed(0))
    assert sorted(labels[spread_out(embeddings, 12)].tolist()) == list(range(12))


def test_all_images_can_be_chosen_each_once_also_where_they_coincide() -> None:
    embeddings = torch.tensor([[0.0], [0.0], [1.0], [1.0], [0.0]])
    chosen = spread_out(embeddings, 5)
    assert sorted(chosen.tolist()) == [0, 1, 2, 3, 4]
    assert chosen[:2].tolist() in ([0, 2], [2, 0])
    assert spread_out(torch.zeros(3, 2, dtype=torch.float16), 3).tolist() == [0, 1, 2]


@pytest.mark.parametrize("k", [0, 6])
def test_a_number_that_there_is_not_raises(k: int) -> None:
    with pytest.raises(ValueError, match=f"k={k} must be from 1 to the 5 images"):
        spread_out(torch.zeros(5, 2), k)


def test_embeddings_that_are_none_raise() -> None:
    with pytest.raises(ValueError, match="embeddings are empty"):
        spread_out(torch.zeros(0, 2), 1)
    with pytest.raises(ValueError, match="NaN"):
        spread_out(torch.tensor([[0.0], [float("nan")]]), 1)
    with pytest.raises(ValueError, match="embeddings must be a floating-point tensor"):
        spread_out(torch.zeros(5), 1)
