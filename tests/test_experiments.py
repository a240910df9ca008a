import pytest
import torch

from siamese_triplet.experiments import METHODS, balanced_loader, train
from siamese_triplet.images import Images, normalization
from siamese_triplet.recipes import choose


def noise(n: int, train: bool) -> Images:
    data = torch.randint(0, 256, (n, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(n))
    return Images(data, torch.arange(n) % 10, list("0123456789"), train=train, transform=normalization(0.5, 0.3))


@pytest.mark.parametrize("name", METHODS)
def test_every_method_trains_validates_and_gives_embeddings(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    train_set, test_set, recipe = noise(260, True), noise(250, False), choose("quick:1")
    result = train(name, train_set, test_set, recipe, verbose=False)
    again = train(name, train_set, test_set, recipe, verbose=False)
    assert result.history["train_loss"] == again.history["train_loss"]
    assert len(result.history["val_loss"]) == 1
    assert result.history["learning_rate"] == [1e-2 if name == "softmax" else 1e-3]
    for (embeddings, labels), images in ((result.train, train_set), (result.test, test_set)):
        assert embeddings.shape == (len(images), 2)
        assert torch.equal(labels, images.targets)


def test_a_balanced_batch_is_10_classes_by_25_images() -> None:
    images, labels = next(iter(balanced_loader(noise(500, True))))
    assert images.shape == (250, 1, 28, 28)
    assert labels.bincount().tolist() == [25] * 10


def test_an_unknown_method_raises() -> None:
    with pytest.raises(ValueError, match="unknown method 'proxy'; there are 'softmax'"):
        train("proxy", noise(10, True), noise(10, False), choose("quick"))
