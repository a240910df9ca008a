"""What training in the page measures and draws: neighbours, spread, collapse, batches, first weights; and its data."""

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from node import LIBRARY, evaluate
from torch import nn
from toy_data import part

from siamese_triplet import ClassificationNet, ConvEmbeddingNet, EmbeddingNet, knn_accuracy, load
from siamese_triplet.diagnostics import is_collapsed, spread
from siamese_triplet.explorer.session import collapsed_loss
from siamese_triplet.explorer.settings import Settings
from siamese_triplet.live.training import LARGE, NETWORKS, SMALL, page_images, page_network, page_weights
from siamese_triplet.methods import METHODS, SELECTORS_OF
from siamese_triplet.networks.heads import scale_to_unit_length

LIMIT = 2.5e6  # bytes of a page beyond the theme


@pytest.mark.parametrize("size", [2, 8])
def test_accuracy_of_neighbours_and_spread_equal_the_packages(size: int, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(4, (90,), generator=generator)
    rows = torch.randn(90, size, generator=generator) + labels[:, None] / 2
    rows[50:60] = rows[0]  # equally near
    gallery, queries = slice(0, 60), slice(60, 90)
    found = evaluate(
        """
        const { nearestOf, neighbourAccuracy, spread } = await load('diagnostics');
        const { size, sets } = given;
        const [gallery, queries] = sets.map(({ rows, labels }) => ({ rows: Float32Array.from(rows.flat()), labels }));
        const shares = [1, 5, 7].map((k) => neighbourAccuracy(gallery, queries, size, k));
        const ofEquals = nearestOf([1, 1, 1, 0.5], 4, 1, [0], 0, 2);
        return [shares, spread(gallery.rows, 60, size), ofEquals];
        """,
        tmp_path,
        {"size": size, "sets": [{"rows": rows[s].tolist(), "labels": labels[s].tolist()} for s in (gallery, queries)]},
    )
    expected = [knn_accuracy(rows[gallery], labels[gallery], rows[queries], labels[queries], k) for k in (1, 5, 7)]
    assert found[0] == pytest.approx(expected)
    assert found[1] == pytest.approx(float(spread(rows[gallery])), rel=1e-6)
    assert found[2] == [3, 0]


def test_the_loss_of_a_collapse_is_the_explorers(tmp_path: Path) -> None:
    settings = [
        {"method": method, "selector": selector, "margin": 0.7, "n_classes": 6, "n_samples": 5}
        for method in METHODS
        for selector in SELECTORS_OF.get(method, [None])
    ]
    found = evaluate(
        """
        const { collapsedLoss } = await load('diagnostics');
        return given.map(({ n_classes: nClasses, n_samples: nSamples, ...rest }) =>
          collapsedLoss({ ...rest, nClasses, nSamples }));
        """,
        tmp_path,
        settings,
    )
    expected = [collapsed_loss(Settings(**chosen)) for chosen in settings]
    assert found == [None if loss is None else pytest.approx(loss) for loss in expected]


def test_a_collapse_is_found_once_by_the_packages_rule(tmp_path: Path) -> None:
    losses_and_spreads = [(1.0, 0.9), (1.025, 0.9), (0.97, 0.9), (1.0, 1.1), (1.01, 0.1)]
    cases = [(loss, 1.0, 2.0, now) for loss, now in losses_and_spreads]
    rule, watched = evaluate(
        """
        const { isCollapsed, collapseWatch } = await load('diagnostics');
        const watch = collapseWatch(4);
        const spreads = [2, 1.9, 0.3, 0.2, 0.1, 0.1, 0.1, 0.1];
        return [given.map((numbers) => isCollapsed(...numbers)), spreads.map((now) => watch(1, now, 1))];
        """,
        tmp_path,
        cases,
    )
    assert rule == [is_collapsed(*case) for case in cases]
    assert [found is not None for found in watched] == [False] * 4 + [True] + [False] * 3
    assert watched[4] == {"loss": 1, "first": 2, "now": pytest.approx((1.9 + 0.3 + 0.2 + 0.1) / 4)}


def batches(settings: dict[str, Any], labels: list[int], n: int, folder: Path) -> list[dict[str, Any]]:
    return evaluate(
        """
        const { samplerOf } = await load('batches');
        const { generator } = await load('random');
        const { completeSettings } = await load('settings');
        const sampler = samplerOf(completeSettings(given.settings), Uint8Array.from(given.labels), generator(1));
        return Array.from({ length: given.n }, () => sampler());
        """,
        folder,
        {"settings": settings, "labels": labels, "n": n},
    )


LABELS = [0] * 7 + [2] * 5 + [1] * 9 + [4] * 6  # class 3 has no image


def test_balanced_batches_deal_out_every_image(tmp_path: Path) -> None:
    settings = {"method": "online-triplet", "selector": "random", "nClasses": 3, "nSamples": 3}
    drawn = batches(settings, LABELS, 40, tmp_path)
    for batch in drawn:
        assert len(set(batch["images"])) == 9
        assert [LABELS[image] for image in batch["images"]] == batch["labels"]
        assert sorted(batch["labels"].count(label) for label in set(batch["labels"])) == [3, 3, 3]
    counts = np.bincount([image for batch in drawn for image in batch["images"]], minlength=len(LABELS))
    for label in set(LABELS):  # 30 times a class, 90 images
        of_class = counts[np.array(LABELS) == label]
        assert of_class.sum() == 90
        assert of_class.max() - of_class.min() <= 1


def test_pairs_are_half_of_one_class(tmp_path: Path) -> None:
    drawn = batches({"method": "siamese", "batchSize": 9}, LABELS, 60, tmp_path)
    first = [image for batch in drawn for image in batch["images"][:9]]
    assert set(np.bincount(first)) == {60 * 9 // len(LABELS)}
    n_positive = 0
    seconds = set()
    for batch in drawn:
        pairs = [(batch["images"][i], batch["images"][9 + i]) for i in range(9)]
        seconds |= {pair[1] for pair in pairs}
        assert all(left != right for left, right in pairs)
        same = [LABELS[left] == LABELS[right] for left, right in pairs]
        n_positive += sum(same)
        for kind, wanted in (("positive", True), ("negative", False)):
            assert batch["pairs"][kind] == [place for i in range(9) if same[i] == wanted for place in (i, 9 + i)]
    assert abs(n_positive - 270) < 50  # of 540, some 4 standard deviations
    assert len(seconds) == len(LABELS)


def test_triplets_have_another_image_of_the_class_and_one_of_another(tmp_path: Path) -> None:
    drawn = batches({"method": "triplet", "batchSize": 9}, LABELS, 60, tmp_path)
    seen: list[set[int]] = [set(), set(), set()]
    for batch in drawn:
        assert batch["triplets"] == [place for i in range(9) for place in (i, 9 + i, 18 + i)]
        for i in range(9):
            anchor, positive, negative = (batch["images"][i + shift] for shift in (0, 9, 18))
            assert anchor != positive
            assert LABELS[anchor] == LABELS[positive] != LABELS[negative]
            for images, image in zip(seen, (anchor, positive, negative), strict=True):
                images.add(image)
    assert [len(images) for images in seen] == [len(LABELS)] * 3


def test_drawn_pairs_and_negatives_are_uniform(tmp_path: Path) -> None:
    pairs, negatives = evaluate(
        """
        const { distanceMatrix, listPairs, listTriplets } = await load('tuples');
        const { generator } = await load('random');
        const [random, labels] = [generator(0), [0, 0, 1, 1, 2, 2]];
        const distances = distanceMatrix(Float32Array.from(labels), 6, 1);
        const counts = [{}, {}];
        for (let i = 0; i < 4000; i++) {
          const { negative } = listPairs('all', distances, labels, random);
          for (let at = 0; at < negative.length; at += 2) {
            const pair = `${negative[at]} ${negative[at + 1]}`;
            counts[0][pair] = (counts[0][pair] ?? 0) + 1;
          }
          const [, , image] = listTriplets('random', distances, labels, 9, random);
          counts[1][image] = (counts[1][image] ?? 0) + 1;
        }
        return counts;
        """,
        tmp_path,
    )
    assert len(pairs) == 12
    assert all(abs(count - 1000) < 120 for count in pairs.values())  # 3 of 12 each time
    assert sorted(negatives) == ["2", "3", "4", "5"]
    assert all(abs(count - 1000) < 120 for count in negatives.values())


@pytest.mark.parametrize("name", NETWORKS)
def test_first_weights_are_drawn_as_by_pytorch(name: str, tmp_path: Path) -> None:
    weights = evaluate(
        """
        const { Trainer } = await load('trainer');
        const train = { images: new Uint8Array(2 * 784), labels: Uint8Array.from([0, 1]) };
        const data = { train, nClasses: 10, mean: 0.1307, std: 0.3081, height: 28, width: 28 };
        return [...new Trainer({ method: 'softmax', network: given }, data, 'simd').weightsNow()];
        """,
        tmp_path,
        name,
    )
    model = ClassificationNet(page_network(name), 10)
    sizes = [weight.numel() for weight in model.parameters()]
    for (key, expected), found in zip(model.named_parameters(), torch.tensor(weights).split(sizes), strict=True):
        if len(found) == 1:
            assert found.item() == expected.item() == 0.25
            continue
        layer = model.get_submodule(key.rpartition(".")[0])
        bound = 1 / math.sqrt(layer.weight[0].numel())
        assert found.abs().max() <= bound
        if len(found) >= 8:
            assert found.abs().max() > 0.6 * bound
        if len(found) > 200:
            assert found.abs().max() > 0.95 * bound
            assert float(found.std()) == pytest.approx(bound / math.sqrt(3), rel=0.1)


def test_a_zero_embedding_stays_zero_with_a_finite_gradient(tmp_path: Path) -> None:
    rows, gradients = evaluate(
        """
        const { scaleToUnitLength, scaleBackward, TILE } = await load('layers');
        const floats = new Float32Array(3 * 2 * TILE);
        floats.set([3, 4], TILE);
        const lengths = new Float64Array(2);
        scaleToUnitLength(floats, 0, 2 * TILE, 2, lengths);
        floats.set([1, 2], 4 * TILE);
        floats.set([1, 2], 5 * TILE);
        scaleBackward(floats, 2 * TILE, 4 * TILE, 2, lengths);
        return [2, 4].map((at) => [0, 1].map((row) => [...floats.subarray((at + row) * TILE, (at + row) * TILE + 2)]));
        """,
        tmp_path,
    )
    for row, gradient, given in zip(rows, gradients, ([0.0, 0.0], [3.0, 4.0]), strict=True):
        embedding = torch.tensor([given], requires_grad=True)
        scaled = scale_to_unit_length(embedding)
        scaled.backward(torch.tensor([[1.0, 2.0]]))
        assert row == pytest.approx(scaled[0].tolist())
        assert gradient == pytest.approx(embedding.grad[0].tolist(), abs=1e-6)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_images_arrive_in_the_page(name: str, tmp_path: Path) -> None:
    packed = page_images(name)
    found = evaluate(
        """
        const { decodeImages } = await load('training_data');
        const { train, shown, others, ...about } = await decodeImages(given);
        const ends = ({ images, labels }) => [images.length, [...labels], [...images.slice(-784)]];
        return [[train, shown, others].map(ends), about];
        """,
        tmp_path,
        packed,
    )
    train, test = (load(name, is_train, subset="embedded") for is_train in (True, False))
    step = 255 / (packed["levels"] - 1)
    for (n_pixels, labels, last), (images, n) in zip(found[0], [(train, 4000), (test, 500), (test, 500)], strict=True):
        assert n_pixels == n * 784
        assert np.bincount(labels).tolist() == [n // 10] * 10
        nearest = (images.data.view(len(images), -1).int() - torch.tensor(last)).abs().amax(dim=1).min()
        assert nearest <= step / 2 + 1
    assert found[1]["nClasses"] == 10
    assert found[1]["classes"] == train.classes
    normalised = (train.data[0] / 255 - found[1]["mean"]) / found[1]["std"]
    assert torch.allclose(normalised, train[0][0][0], atol=1e-5)


def test_both_data_sets_fit_into_a_page() -> None:
    sizes = [len(json.dumps(page_images(name))) for name in ("mnist", "fashion-mnist")]
    script = sum(path.stat().st_size for path in LIBRARY.glob("*.mjs"))
    assert sum(sizes) + script < LIMIT


@pytest.mark.parametrize("unit_sphere", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_16_bit_weights_embed_as_the_network_does(name: str, unit_sphere: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = page_network(name, unit_sphere)
    images = part(False, 1)
    packed = page_weights(model)
    found = evaluate(
        """
        const { Trainer } = await load('trainer');
        const { decodeWeights } = await load('training_data');
        const { packed, images, mean, std } = given;
        const train = { images: Uint8Array.from(images.flat(2)), labels: Uint8Array.from(images.keys()) };
        const { network, unitSphere } = packed;
        const settings = { method: 'triplet', network, unitSphere };
        const trainer = new Trainer(settings, { train, nClasses: 10, mean, std, height: 28, width: 28 }, 'simd');
        trainer.load(await decodeWeights(packed.weights));
        return [...trainer.embed(train.images)];
        """,
        tmp_path,
        {"packed": packed, "images": images.data.tolist(), "mean": 0.1307, "std": 0.3081},
    )
    with torch.no_grad():
        expected = model(torch.stack([images[i][0] for i in range(len(images))]))
    assert (torch.tensor(found).view(-1, 2) - expected).abs().max() < 2e-3 * expected.abs().max()
    assert packed["unitSphere"] is unit_sphere


def test_networks_that_a_page_cannot_run_raise() -> None:
    with pytest.raises(ValueError, match="unknown network '9-9'"):
        page_network("9-9")
    for model in (EmbeddingNet(3), EmbeddingNet(input_size=(3, 32, 32)), ConvEmbeddingNet(), nn.Linear(2, 2)):
        with pytest.raises(ValueError, match="a page cannot run"):
            page_weights(model)
    diverged = page_network(SMALL)
    with torch.no_grad():
        diverged.fc[0].bias[0] = 1e6
    with pytest.raises(ValueError, match="has it diverged"):
        page_weights(diverged)
    with pytest.raises(ValueError, match="unknown data set 'cifar'"):
        page_images("cifar")
    assert page_weights(ClassificationNet(EmbeddingNet(), 10))["network"] == LARGE
    assert page_weights(ClassificationNet(EmbeddingNet(), 10))["nClasses"] == 10


def test_the_page_has_the_networks_and_methods_of_the_package() -> None:
    networks = re.findall(r'^  "([\d-]+)": \{', (LIBRARY / "network.mjs").read_text(), re.MULTILINE)
    assert tuple(networks) == NETWORKS
    text = re.search(r"export const METHODS = \{(.*?)\n\};", (LIBRARY / "settings.mjs").read_text(), re.DOTALL)[1]
    assert re.findall(r'^  "?([\w-]+)"?:', text, re.MULTILINE) == [*METHODS]


def test_weights_laid_out_channels_last_are_packed_alike() -> None:
    model = EmbeddingNet()
    expected = page_weights(model)
    assert page_weights(model.to(memory_format=torch.channels_last)) == expected
