"""Features of a frozen network, kept on disk."""

import os
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from siamese_triplet import BalancedBatchSampler, BatchAllTripletLoss, Images, TensorLoader, embed, fit, load
from siamese_triplet.datasets import FolderImages, normalization, read_photo
from siamese_triplet.evaluation import _reading, frozen, frozen_features
from siamese_triplet.networks import EmbeddingHead, Preprocessing, freeze

HALVES = Preprocessing((12, 16), 3, (0.4, 0.5, 0.6), (0.5, 0.25, 0.2))


class Net(nn.Module):
    """A network with preprocessing, which counts the images that it sees."""

    def __init__(self, seed: int = 0, preprocessing: Preprocessing | None = HALVES) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.fc = nn.Linear(3 * 12 * 16, 5)
        self.dropout = nn.Dropout(0.5)
        self.preprocessing = preprocessing
        self.seen = 0

    def forward(self, images: Tensor) -> Tensor:
        self.seen += len(images)
        return self.dropout(self.fc(images.flatten(1)))


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frozen, "CHUNK", 4)
    monkeypatch.setattr(frozen, "BATCH", 3)


def make_images(n: int = 10, shape: tuple[int, ...] = (24, 32, 3)) -> Images:
    data = torch.randint(0, 256, (n, *shape), generator=torch.Generator().manual_seed(n)).to(torch.uint8)
    return Images(data, torch.arange(n) % 2, ["a", "b"], groups=torch.arange(n) % 3, group_names=["x", "y", "z"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images = make_images()
    for number, (pixels, label) in enumerate(zip(images.data, images.targets.tolist(), strict=True)):
        path = tmp_path / "photos" / images.classes[label] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.numpy()).save(path)
    return tmp_path / "photos"


def test_features_are_those_of_the_network_in_evaluation_mode(folder: Path) -> None:
    net, images = Net().train(), FolderImages(folder)
    features = frozen_features(net, images)
    read = [HALVES.transform()(read_photo(path, (12, 16), 3)) for path in images.paths]
    torch.testing.assert_close(features.data, net.fc(torch.stack(read).flatten(1)).detach())
    assert torch.equal(features.targets, images.targets)
    assert features.classes == images.classes
    assert net.training  # as before
    assert features.data.dtype == torch.float32


def test_images_in_memory_have_the_features_of_their_files(folder: Path) -> None:
    net, files = Net(), FolderImages(folder, image_size=(24, 32))
    memory = files.in_memory(transform=normalization(0.0, 9.0))  # the network's counts
    expected = frozen_features(net, files).data
    spread = expected.std()
    assert (frozen_features(net, memory).data - expected).abs().max() < 0.05 * spread  # resized by another library


def test_groups_and_sources_stay_with_their_images() -> None:
    images = make_images()
    images.sources, images.source_names = torch.arange(10) // 5, ["left", "right"]
    features = frozen_features(Net(), images)
    assert torch.equal(features.groups, images.groups)
    assert torch.equal(features.sources, images.sources)
    assert (features.group_names, features.source_names) == (images.group_names, images.source_names)


@pytest.mark.parametrize(("shape", "channels"), [((24, 32), 3), ((24, 32, 3), 1), ((40, 20, 3), 3), ((5, 5, 3), 3)])
def test_images_of_any_shape_become_what_the_network_takes(shape: tuple[int, ...], channels: int) -> None:
    preprocessing = Preprocessing((12, 16), channels, (0.5,) * channels, (0.5,) * channels)
    [image] = _reading.PixelReader(make_images(1, shape), preprocessing).inputs([0]).values()
    assert image.shape == (channels, 12, 16)


def test_scaling_covers_the_size_and_cuts_out_the_middle() -> None:
    data = torch.zeros(1, 20, 40, 3, dtype=torch.uint8)
    data[:, :, 10:30] = 255
    preprocessing = Preprocessing(10, 3, (0.0,) * 3, (1.0,) * 3)
    images = Images(data, [0], ["a"])
    [image] = _reading.PixelReader(images, preprocessing).inputs([0]).values()
    assert image.min() > 0.8  # the middle 20 columns, and none of the black ones


def test_without_preprocessing_images_go_through_their_own_transform() -> None:
    images = make_images(shape=(12, 16, 3))
    images.transform = normalization((0.1, 0.2, 0.3), (1, 2, 3))
    net = Net(preprocessing=None)
    expected = net.eval()(torch.stack([images[number][0] for number in range(10)]))
    torch.testing.assert_close(frozen_features(net, images).data, expected.detach())
    given = frozen_features(net, images, preprocessing=HALVES).data
    torch.testing.assert_close(given, frozen_features(Net(), images).data)


def test_images_that_are_no_tensors_raise() -> None:
    with pytest.raises(ValueError, match="an image is a Image, not a tensor; give the images a transform"):
        frozen_features(Net(preprocessing=None), make_images())
    with pytest.raises(ValueError, match="frozen_features takes Images or FolderImages; list lacks data"):
        frozen_features(Net(), [1, 2])


def test_no_images_have_no_features(tmp_path: Path) -> None:
    features = frozen_features(Net(), make_images().subset([]), cache=tmp_path)
    assert features.data.shape == (0, 0)


@pytest.mark.parametrize("kind", ["files", "memory"])
def test_a_second_call_takes_the_features_from_the_cache(folder: Path, tmp_path: Path, kind: str) -> None:
    images = FolderImages(folder) if kind == "files" else make_images()
    net, again = Net(), Net()
    first = frozen_features(net, images, tmp_path / "cache")
    second = frozen_features(again, images, tmp_path / "cache")
    assert (net.seen, again.seen) == (10, 0)
    assert torch.equal(first.data, second.data)
    assert torch.equal(first.data, frozen_features(Net(), images).data)


def test_moved_and_new_files_are_told_from_changed_ones(folder: Path, tmp_path: Path) -> None:
    frozen_features(Net(), FolderImages(folder), tmp_path / "cache")
    (folder / "a" / "0.png").rename(folder / "b" / "moved.png")
    path = folder / "a" / "2.png"
    size, times = path.stat().st_size, (path.stat().st_atime, path.stat().st_mtime)
    contents = bytearray(path.read_bytes())
    Image.new("RGB", (24, 32), "red").save(path)
    assert len(path.read_bytes()) < len(contents)
    os.truncate(path, size)  # as long and as old as before
    os.utime(path, times)
    Image.new("RGB", (24, 32), "blue").save(folder / "a" / "new.png")
    net = Net()
    features = frozen_features(net, FolderImages(folder), tmp_path / "cache")
    assert net.seen == 2
    torch.testing.assert_close(features.data, frozen_features(Net(), FolderImages(folder)).data)


@pytest.mark.parametrize("change", ["weights", "preprocessing", "layers", "buffers"])
def test_another_network_has_features_of_its_own(tmp_path: Path, change: str) -> None:
    images, net = make_images(), Net()
    net.register_buffer("mean", torch.zeros(2))
    frozen_features(net, images, tmp_path)
    other = Net(1 if change == "weights" else 0)
    other.register_buffer("mean", torch.full((2,), float(change == "buffers")))
    if change == "preprocessing":
        other.preprocessing = Preprocessing((12, 16), 3, (0.4, 0.5, 0.6), (0.5, 0.25, 0.3))
    if change == "layers":
        other.dropout = nn.ReLU()
    features = frozen_features(other, images, tmp_path)
    assert other.seen == 10
    assert torch.equal(features.data, frozen_features(other, images).data)


def test_a_random_transform_is_never_taken_from_the_cache(tmp_path: Path) -> None:
    images = make_images(shape=(12, 16, 3))
    plain = normalization(0.5, 0.5)
    images.transform = lambda image: plain(image) + torch.randn(())
    net = Net(preprocessing=None)
    frozen_features(net, images, tmp_path)
    frozen_features(net, images, tmp_path)
    assert net.seen == 20


def test_an_interrupted_call_goes_on_where_it_was(folder: Path, tmp_path: Path) -> None:
    interrupted = Net()

    def interrupt(net: Net, inputs: tuple[Tensor]) -> None:
        if net.seen >= 7:
            raise KeyboardInterrupt

    interrupted.register_forward_pre_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        frozen_features(interrupted, FolderImages(folder), tmp_path / "cache")
    net = Net()
    features = frozen_features(net, FolderImages(folder), tmp_path / "cache")
    assert net.seen == 6  # the first chunk of 4 was kept
    torch.testing.assert_close(features.data, frozen_features(Net(), FolderImages(folder)).data)


def test_equal_images_are_computed_once(tmp_path: Path) -> None:
    images = make_images(4).subset([0, 1, 0, 0])
    net = Net()
    features = frozen_features(net, images, tmp_path)
    assert net.seen == 2
    assert torch.equal(features.data[0], features.data[3])


@pytest.mark.parametrize("damage", [lambda b: b[:-40], lambda b: b[:50] + b"?" + b[51:], lambda b: b""])
def test_a_damaged_file_of_the_cache_is_computed_anew(tmp_path: Path, damage: object) -> None:
    images = make_images()
    first = frozen_features(Net(), images, tmp_path)
    files = sorted(tmp_path.rglob("*.features"))
    assert len(files) == 3
    files[0].write_bytes(damage(files[0].read_bytes()))
    net = Net()
    with pytest.warns(UserWarning, match="is left out, and its features are computed anew"):
        again = frozen_features(net, images, tmp_path)
    assert 0 < net.seen <= 4
    assert torch.equal(first.data, again.data)
    frozen_features(Net(), images, tmp_path)  # without a warning


def test_a_file_with_code_is_not_run(tmp_path: Path) -> None:
    class Malicious:
        def __reduce__(self) -> tuple:
            return (os.mkdir, (str(tmp_path / "attacked"),))

    import io

    from siamese_triplet._atomic_files import seal

    frozen_features(Net(), make_images(), tmp_path / "cache")
    [path, *_] = (tmp_path / "cache").rglob("*.features")
    file = io.BytesIO()
    torch.save(Malicious(), file)
    path.write_bytes(seal(file.getvalue()))
    with pytest.warns(UserWarning, match="is left out"):
        frozen_features(Net(), make_images(), tmp_path / "cache")
    assert not (tmp_path / "attacked").exists()


@pytest.mark.parametrize("cached", [False, True])
def test_broken_files_raise_or_are_left_out(folder: Path, tmp_path: Path, cached: bool) -> None:
    (folder / "a" / "2.png").write_bytes(b"no image")
    cache = tmp_path / "cache" if cached else None
    with pytest.raises(ValueError, match=r"1 of 10 files cannot be read:\n.*2\.png"):
        frozen_features(Net(), FolderImages(folder), cache)
    for _ in range(2):
        with pytest.warns(UserWarning, match="1 of 10 files cannot be read and are left out"):
            features = frozen_features(Net(), FolderImages(folder, skip_broken=True), cache)
        assert len(features) == 9
        assert features.targets.tolist() == [0] * 4 + [1] * 5


def test_a_file_that_is_gone_is_named(folder: Path, tmp_path: Path) -> None:
    images = FolderImages(folder)
    (folder / "b" / "3.png").unlink()
    with pytest.raises(ValueError, match=r"3\.png"):
        frozen_features(Net(), images, tmp_path / "cache")


def test_a_head_trains_on_features_and_joins_the_network() -> None:
    images = load("emoji", train=False).of_classes(range(6))
    net = freeze(nn.Sequential(nn.Flatten(), nn.Linear(32 * 32 * 3, 16)))
    features = frozen_features(net, images)
    head = EmbeddingHead(16, 4)
    loader = TensorLoader(features, batch_sampler=BalancedBatchSampler(features.targets, 6, 4), device="cpu")
    optimizer = torch.optim.Adam(head.parameters(), lr=0.01)
    history = fit(loader, None, head, BatchAllTripletLoss(0.2), optimizer, None, 20, device="cpu", verbose=False)
    assert history["train_loss"][-1] < history["train_loss"][0]
    joined, _ = embed(nn.Sequential(net, head), images)
    torch.testing.assert_close(embed(head, features)[0], joined)
