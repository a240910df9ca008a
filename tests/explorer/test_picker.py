"""The widget of `pick_triplets`, and the selections it shows."""

import math
import re

import pytest
import reference
import torch
from explorer_cases import clusters, picture, small_explorer, text_of
from toy_data import part

from siamese_triplet import Images
from siamese_triplet.explorer import (
    pick_triplets,
    selection,
)
from siamese_triplet.explorer.selection import Batch, batch_of, describe, select
from siamese_triplet.live import IN_BOOK
from siamese_triplet.methods import METHODS
from siamese_triplet.selectors import BatchHardTripletSelector, HardestNegativeTripletSelector
from siamese_triplet.selectors.by_name import (
    BATCH_ALL,
    PAIR_SELECTORS,
    TRIPLET_SELECTORS,
)


@pytest.mark.parametrize("selector", [*TRIPLET_SELECTORS, BATCH_ALL])
def test_the_selected_triplets_and_losses_are_those_of_the_selector(selector: str) -> None:
    embeddings, labels = clusters()
    found = select(Batch(embeddings, labels), "triplets", selector, 0.7)
    rows = embeddings.double().tolist()
    assert len(found) > 0
    costs = [max(0.0, reference.triplet_cost(rows, triplet, 0.7)) for triplet in found.indices.tolist()]
    assert found.losses.tolist() == pytest.approx(costs, abs=1e-5)
    assert found.losses.tolist() == sorted(found.losses.tolist(), reverse=True)
    everything = {tuple(triplet) for triplet in reference.all_triplets(labels.tolist())}
    assert found.n_possible == len(everything)
    chosen = {tuple(triplet) for triplet in found.indices.tolist()}
    assert chosen <= everything
    if selector == BATCH_ALL:
        assert chosen == {triplet for triplet in everything if reference.triplet_cost(rows, triplet, 0.7) > 0}
    same = {"hardest": HardestNegativeTripletSelector(0.7), "batch-hard": BatchHardTripletSelector()}.get(selector)
    if same:
        assert chosen == {tuple(triplet) for triplet in same.get_triplets(embeddings, labels).tolist()}
    assert str(found).startswith(f"{len(found):,} of the {len(everything):,} triplets of the batch are selected; ")
    assert f"{sum(costs) / len(costs):.4g}" in str(found)


@pytest.mark.parametrize("selector", PAIR_SELECTORS)
def test_the_selected_pairs_and_losses_are_those_of_the_selector(selector: str) -> None:
    embeddings, labels = clusters()
    found = select(Batch(embeddings, labels), "pairs", selector, 0.7)
    pairs = found.indices.tolist()
    expected = PAIR_SELECTORS[selector](torch.Generator().manual_seed(0)).get_pairs(embeddings, labels)
    assert sorted(pairs) == sorted(torch.cat(expected).tolist())
    assert found.n_possible == 20 * 19 / 2
    for (left, right), loss in zip(pairs, found.losses.tolist(), strict=True):
        distance = math.dist(embeddings[left].tolist(), embeddings[right].tolist())
        is_positive = labels[left] == labels[right]
        assert loss == pytest.approx(0.5 * (distance**2 if is_positive else max(0, 0.7 - distance) ** 2), abs=1e-5)


def test_an_unknown_selector_or_margin_is_an_error() -> None:
    batch = Batch(*clusters())
    with pytest.raises(ValueError, match="unknown selector 'hard' for 'triplets'; there are, for triplets: 'random'"):
        select(batch, "triplets", "hard", 1.0)
    with pytest.raises(ValueError, match="for 'quadruplets'"):
        select(batch, "quadruplets", "hard", 1.0)
    with pytest.raises(ValueError, match="margin must be a finite number"):
        select(batch, "triplets", "hardest", -1.0)


@pytest.mark.usefixtures("global_random_state_untouched")
def test_a_batch_is_balanced_and_keeps_embeddings_labels_and_images_together() -> None:
    images = part(True, 20)
    embeddings = torch.arange(200.0)[:, None].expand(-1, 3)
    batch = batch_of(embeddings, images.targets, images, n_classes=4, n_samples=6, seed=2)
    assert sorted(batch.labels.bincount()[batch.labels.unique()].tolist()) == [6] * 4
    assert batch.labels.tolist() == sorted(batch.labels.tolist())
    for row, label, pixels in zip(batch.embeddings, batch.labels, batch.images, strict=True):
        assert torch.equal(pixels, images[int(row[0])][0])
        assert label == images.targets[int(row[0])]
    again = batch_of(embeddings, images.targets, images, n_classes=4, n_samples=6, seed=2)
    assert torch.equal(again.embeddings, batch.embeddings)
    other = batch_of(embeddings, images.targets, images, n_classes=4, n_samples=6, seed=3)
    assert not torch.equal(other.embeddings, batch.embeddings)
    few = batch_of(*clusters(), n_classes=10, n_samples=16)
    assert (few.embeddings.shape, few.images) == ((20, 2), None)
    assert few.class_of(0) == "0"


def test_a_model_embeds_a_batch_of_images() -> None:
    images = part(False, 20)
    torch.manual_seed(0)
    net = METHODS["online-triplet"].network(images)
    batch = batch_of(images=images, model=net, n_samples=16)
    assert batch.labels.bincount().tolist() == [16] * 10
    with torch.no_grad():
        torch.testing.assert_close(net(batch.images), batch.embeddings)
    assert batch.class_of(0) == images.classes[0]


def test_without_arguments_a_network_is_trained_on_the_embedded_mnist(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load_part(name: str, train: bool = True, subset: str | None = None) -> Images:
        asked.append((name, train, subset))
        return part(train, 25)

    monkeypatch.setattr(selection, "load", load_part)
    picker = pick_triplets()
    assert set(asked) == {("mnist", True, "embedded"), ("mnist", False, "embedded")}
    assert picker.batch.embeddings.shape == (160, 2)
    assert picker.selection.n_possible == 345_600


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"embeddings": torch.zeros(3, 2)}, "got no labels for 3 embeddings"),
        ({"embeddings": torch.zeros(3, 2), "labels": torch.tensor([0, 1])}, "3 embeddings but 2 labels"),
        ({"embeddings": torch.zeros(3, 2), "labels": torch.arange(3), "images": part(True, 1)}, "got 10 images for 3"),
    ],
)
def test_embeddings_labels_and_images_that_do_not_match_are_an_error(given: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pick_triplets(**given)


def test_the_picker_shows_a_selection_and_steps_through_it() -> None:
    images = part(True, 8)
    embeddings = torch.randn(80, 2, generator=torch.Generator().manual_seed(0))
    picker = pick_triplets(embeddings, images.targets, images, selector="hardest", n_classes=4, n_samples=5)
    n = len(picker.selection)
    assert str(picker.selection) in text_of(picker.count_html.value)
    assert f"Triplet 1 of {n}: positive at distance" in text_of(picker.chosen_html.value)
    first = picture(picker.picture_html.value)[0]
    assert "a line between anchor and negative" in picture(picker.picture_html.value)[1]
    names = [picker.batch.class_of(index) for index in picker.selection.indices[0].tolist()]
    alt = picture(picker.examples_html.value)[1]
    assert f"anchor: {names[0]}, positive: {names[1]}, negative: {names[2]}" in alt
    picker.next_button.click()
    assert (picker.place, f"Triplet 2 of {n}" in text_of(picker.chosen_html.value)) == (1, True)
    assert (picture(picker.picture_html.value)[0] != first).any()
    picker.previous_button.click()
    picker.previous()
    assert picker.place == n - 1
    picker.next()
    assert picker.place == 0
    picker.next()
    picker.kind.value = "pairs"
    assert picker.selector.options == tuple(PAIR_SELECTORS)
    assert (picker.place, picker.selection.indices.shape[1]) == (0, 2)
    assert re.search(r"Pair 1 of \d+: (positive|negative) at distance", text_of(picker.chosen_html.value))
    picker.selector.value = "all"
    picker.margin.value = 50.0
    assert len(picker.selection) == len(select(picker.batch, "pairs", "all", 50.0))
    assert float(picker.selection.losses[0]) > 100


def test_the_book_shows_nothing_that_needs_a_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    images = part(True, 8)
    embeddings = torch.randn(80, 2, generator=torch.Generator().manual_seed(0))
    options = {"kind": "pairs", "selector": "batch-hard", "margin": 0.5, "n_samples": 5}
    picker = pick_triplets(embeddings, images.targets, images, **options)
    figure = picker.to_figure()
    assert (figure.kind, figure.data["selector"], figure.data["margin"]) == ("selector-bench", "pair:batch-hard", 0.5)
    assert figure.data["labels"] == picker.batch.labels.tolist()
    assert figure.data["classes"] == images.classes
    shown = []
    for module in ("output", "picker"):
        monkeypatch.setattr(f"siamese_triplet.explorer.{module}.display", lambda what, **_: shown.append(what))
    monkeypatch.setenv(IN_BOOK, "1")
    picker._ipython_display_()
    small_explorer()._ipython_display_()
    assert shown[0] == figure
    assert list(shown[1]) == ["text/plain"]


def test_a_picker_without_images_becomes_a_figure_too() -> None:
    batch_all = pick_triplets(*clusters(size=2), selector="batch-all").to_figure()
    assert batch_all.data["selector"] == "triplet:batch-all"
    with pytest.raises(ValueError, match="of the plane"):
        pick_triplets(*clusters(size=6)).to_figure()


def test_the_picker_takes_larger_embeddings_without_images() -> None:
    picker = pick_triplets(*clusters(size=6), kind="pairs", selector="batch-hard")
    assert picture(picker.picture_html.value)[0].std() > 0
    assert picker.examples_html.value == ""


def test_an_empty_selection_is_reported() -> None:
    embeddings, labels = clusters()
    far_apart = embeddings * 0 + labels[:, None] * 100.0
    picker = pick_triplets(far_apart, labels, selector="hardest")
    assert len(picker.selection) == 0
    assert "0 of the" in text_of(picker.count_html.value)
    assert "No triplets of this batch are selected" in text_of(picker.chosen_html.value)
    assert picker.next_button.disabled is True
    picker.next()
    assert picker.place == 0
    assert describe(picker.batch, picker.selection, 0).startswith("No triplets")
