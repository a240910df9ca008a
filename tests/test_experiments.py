"""The five methods of the book: each trains, and a seed decides the result."""

import pytest
import torch

from siamese_triplet import Images, datasets
from siamese_triplet.experiments import METHODS, Result, train
from siamese_triplet.recipes import Recipe

ONE_EPOCH = Recipe(name="quick", n_epochs=1, subset="embedded", device=torch.device("cpu"))


def part(train_part: bool, n_per_class: int = 50) -> Images:
    """The first images of every class of the embedded MNIST."""
    images = datasets.load("mnist", train=train_part, subset="embedded")
    chosen = torch.cat([(images.targets == label).nonzero().squeeze(1)[:n_per_class] for label in range(10)])
    return Images(images.data[chosen], images.targets[chosen], images.classes, train_part, images.transform)


def one_epoch(name: str, seed: int = 0) -> Result:
    return train(name, part(True), part(False), ONE_EPOCH, seed=seed, verbose=False)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_trains_and_embeds_all_images(name: str) -> None:
    result = one_epoch(name)
    assert [len(values) for values in result.history.values()] == [1] * len(result.history)
    for embeddings, labels in (result.train, result.test):
        assert embeddings.shape == (500, 2)
        assert labels.bincount().tolist() == [50] * 10
    assert result.train[0].std() > 0


@pytest.mark.parametrize("name", ["siamese", "online triplets"])
def test_the_seed_decides_the_result(name: str) -> None:
    torch.manual_seed(0)
    first = one_epoch(name)
    torch.manual_seed(1)
    again, other = one_epoch(name), one_epoch(name, seed=1)
    torch.testing.assert_close(again.test[0], first.test[0], rtol=0, atol=0)
    assert not torch.allclose(other.test[0], first.test[0])


def test_the_recipes_of_the_book() -> None:
    assert {name: (method.learning_rate, method.weight_decay) for name, method in METHODS.items()} == {
        "softmax": (1e-2, 0),
        "siamese": (1e-3, 0),
        "triplet": (1e-3, 0),
        "online pairs": (1e-3, 0),
        "online triplets": (1e-3, 1e-4),
    }
    images = part(True)
    sizes = {name: len(method.loader(images, 0).dataset) for name, method in METHODS.items()}
    assert set(sizes.values()) == {500}
    assert [len(method.loader(images, 0)) for method in METHODS.values()] == [2, 4, 4, 2, 2]  # 256, 128, 128, 250, 250


def test_an_unknown_method_is_an_error() -> None:
    with pytest.raises(ValueError, match="unknown method 'softmx'; there are 'softmax', 'siamese'"):
        one_epoch("softmx")
