import pytest
import torch
from torch import Tensor

from siamese_triplet.datasets import Images
from siamese_triplet.evaluation import doubtful_labels, near_duplicates


def noise(n_images: int, *shape: int) -> Tensor:
    return torch.randint(0, 256, (n_images, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def images(data: Tensor) -> Images:
    return Images(data, torch.zeros(len(data), dtype=torch.int64), ["all"])


@pytest.mark.parametrize("shape", [(24, 24), (24, 24, 3)])
def test_copies_are_found_even_if_darker_and_noisy_and_the_closest_come_first(shape: tuple[int, ...]) -> None:
    data = noise(8, *shape)
    data[6] = data[1]
    data[4] = (data[2] * 0.7 + 20 + noise(1, *shape)[0] * 0.02).byte()
    assert near_duplicates(images(data), 0.95).tolist() == [[1, 6], [2, 4]]


def test_three_equal_images_are_two_pairs() -> None:
    data = noise(5, 24, 24)
    data[3] = data[4] = data[0]
    found = near_duplicates(images(data)).tolist()
    assert len(found) == 2
    assert {place for pair in found for place in pair} == {0, 3, 4}


def test_two_equal_images_are_a_pair() -> None:
    assert near_duplicates(images(noise(1, 24, 24).repeat(2, 1, 1))).tolist() == [[0, 1]]


@pytest.mark.parametrize("channels", [(), (3,)])
def test_copies_correlate_by_1_in_spite_of_rounding(channels: tuple[int, ...]) -> None:
    data = noise(50, 24, 24, *channels).repeat_interleave(2, dim=0)
    found = near_duplicates(images(data), least=1)
    assert sorted(found.tolist()) == [[place, place + 1] for place in range(0, 100, 2)]


@pytest.mark.parametrize("grey", [0, 7, 255])
def test_an_image_without_contrast_hides_no_pair(grey: int) -> None:
    data = noise(5, 24, 24)
    data[0] = grey
    data[3] = (0.3 * data[1] + 0.7 * noise(9, 24, 24)[8]).byte()  # they correlate by less than 0.5
    assert len(near_duplicates(images(data), least=0.5)) == 0
    assert near_duplicates(images(data), least=0.3).tolist() == [[1, 3]]


def test_large_images_without_contrast_are_no_duplicates() -> None:
    data = torch.tensor([200, 201, 255, 255], dtype=torch.uint8)[:, None, None, None].expand(4, 333, 301, 3)
    assert near_duplicates(images(data), least=0.01).shape == (0, 2)


def test_the_same_shape_in_another_colour_is_no_duplicate() -> None:
    data = torch.zeros(2, 24, 24, 3, dtype=torch.uint8)
    data[0, 6:18, 6:18, 0] = data[1, 6:18, 6:18, 2] = 200
    assert len(near_duplicates(images(data))) == 0


@pytest.mark.parametrize("data", [torch.empty(0, 24, 24), noise(1, 24, 24), torch.full((3, 24, 24), 7)])
def test_an_empty_result_has_the_shape_of_pairs(data: Tensor) -> None:
    assert near_duplicates(images(data.byte())).shape == (0, 2)


@pytest.mark.parametrize("least", [0, -1, 1.01, float("nan")])
def test_an_impossible_correlation_raises(least: float) -> None:
    with pytest.raises(ValueError, match="must be above 0 and at most 1"):
        near_duplicates(images(noise(2, 24, 24)), least)


def test_doubts_equal_plain_loops() -> None:
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(40, 3, generator=generator)
    labels = torch.randint(0, 4, (40,), generator=generator)
    expected = []
    for i in range(40):
        far = {j: (embeddings[i] - embeddings[j]).norm().item() for j in range(40) if j != i}
        own = min(distance for j, distance in far.items() if labels[j] == labels[i])
        expected.append(own - min(distance for j, distance in far.items() if labels[j] != labels[i]))
    torch.testing.assert_close(doubtful_labels(embeddings, labels), torch.tensor(expected), rtol=1e-4, atol=1e-5)


def test_a_wrong_label_is_the_most_doubtful_one() -> None:
    labels = torch.arange(3).repeat_interleave(6)
    noise = torch.rand(18, 3, generator=torch.Generator().manual_seed(0))
    embeddings = torch.nn.functional.one_hot(labels).float() * 9 + noise
    labels[7] = 2
    doubts = doubtful_labels(embeddings, labels)
    assert doubts.argmax() == 7
    assert (doubts > 0).sum() == 1


def test_the_doubt_of_an_image_alone_in_its_class_is_nan() -> None:
    embeddings, labels = torch.tensor([[0.0], [1.0], [4.0]]), torch.tensor([5, 5, 2])
    assert doubtful_labels(embeddings, labels)[:2].tolist() == [1 - 4, 1 - 3]
    assert doubtful_labels(embeddings, labels)[2].isnan()


def test_a_single_class_raises() -> None:
    for n_images in (1, 3):
        with pytest.raises(ValueError, match="needs at least two"):
            doubtful_labels(torch.rand(n_images, 2), torch.zeros(n_images, dtype=torch.int64))


def test_images_that_are_not_in_memory_raise() -> None:
    with pytest.raises(ValueError, match=r"near_duplicates needs images in memory.*lacks data.*in_memory\(\)"):
        near_duplicates(torch.utils.data.Subset(images(noise(3, 24, 24)), [0, 1]))


def test_doubts_of_tiny_embeddings_are_those_of_others_on_that_scale() -> None:
    rows, labels = torch.randn(40, 12, generator=torch.Generator().manual_seed(0)), torch.arange(40) % 3
    assert torch.equal(doubtful_labels(rows * 2.0**-90, labels), doubtful_labels(rows, labels) * 2.0**-90)
