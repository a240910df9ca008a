"""The settings of the explorer, and the data sets they name."""

import math
import re
from dataclasses import replace

import pytest
from explorer_cases import EVERY_METHOD, SMALL
from toy_data import part

from siamese_triplet import load
from siamese_triplet.explorer import (
    Settings,
    pictures,
    records,
    selection,
    session,
    settings,
    watching,
)
from siamese_triplet.explorer.settings import OWN, SMALLEST_CLASS, DataSets, problems, unused
from siamese_triplet.methods import METHODS, SELECTORS_OF
from siamese_triplet.selectors.by_name import (
    SOFT,
)


@pytest.mark.parametrize(("method", "selector"), EVERY_METHOD)
def test_every_method_and_selector_in_the_form_can_be_trained(method: str, selector: str | None) -> None:
    settings = replace(SMALL, method=method, selector=selector)
    assert problems(settings, [10] * 10) == []
    assert settings.to_method() == replace(
        METHODS[method], selector=selector, n_samples=5, batch_size=128, learning_rate=1e-3
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"margin": "soft"},
            "soft margin is for triplets: .*'batch-hard'.*; got online-triplet with 'random': give a number",
        ),
        (
            {"method": "siamese", "margin": "soft"},
            "soft margin is for triplets: .*; got siamese with None: give a number",
        ),
        ({"method": "online-contrastive", "selector": "hard", "margin": "soft"}, "soft margin is for triplets"),
        ({"margin": 0.0}, "margin must be a number above 0, or soft, not 0"),
        ({"margin": math.nan}, "margin must be a number above 0"),
        ({"margin": "hard"}, "margin must be a number above 0, or soft, not hard"),
        ({"selector": "hard"}, "nknown selector 'hard' for online-triplet; there are 'random', .*'batch-all'"),
        ({"method": "online-contrastive"}, "nknown selector 'random' for online-contrastive; there are 'hard', 'all'"),
        ({"method": "quadruplet"}, "nknown method 'quadruplet'; there are 'softmax', 'siamese'"),
        ({"n_classes": 11}, "batch of 11 classes: the data has only 10. Lower P"),
        ({"n_classes": 1}, "batch of 1 class has no negatives. P must be at least 2"),
        ({"n_samples": 9}, "9 images of each class: a class has only 8. Lower K"),
        ({"n_samples": 1}, "With 1 image of each class there are no positive pairs. K must be at least 2"),
        ({"method": "softmax", "batch_size": 5000}, "1 to 4,096 images, pairs or triplets, not 5,000"),
        ({"learning_rate": 0.0}, "learning rate must be above 0, not 0"),
        ({"n_epochs": 0}, "At least one epoch"),
        ({"embedding_size": 1}, "at least 2, to be drawn in the plane, not 1"),
        ({"device": "cuda:99"}, "no device 'cuda:99' here; there is .*cpu"),
    ],
)
def test_invalid_settings_are_explained(changes: dict, message: str) -> None:
    [found] = problems(replace(SMALL, **changes), [8, 20, *[100] * 8])
    assert re.search(message, found), found


def test_a_batch_whose_distances_do_not_fit_into_memory_is_refused() -> None:
    sizes = [6000] * 10
    assert problems(replace(SMALL, n_samples=409), sizes) == []
    [found] = problems(replace(SMALL, n_samples=410), sizes)
    assert "10 × 410 = 4,100 images" in found


def test_settings_that_do_not_apply_are_accepted_and_named() -> None:
    odd = {"margin": "soft", "selector": "random", "n_classes": 99, "n_samples": 1}
    softmax = replace(SMALL, method="softmax", **odd)
    assert problems(softmax, [10] * 10) == []
    assert "no margin, no selector and no P × K" in unused(softmax)
    assert softmax.to_method().selector is None
    triplet = replace(SMALL, method="triplet", **odd)
    assert problems(triplet, [10] * 10) == []
    assert triplet.to_method().margin == "soft"
    assert "triplet takes random triplets: it has no selector" in unused(triplet)
    assert unused(SMALL) == ""


@pytest.mark.parametrize("selector", SELECTORS_OF["online-triplet"])
def test_the_soft_margin_goes_with_the_same_selectors_as_in_a_method(selector: str) -> None:
    settings = replace(SMALL, selector=selector, margin="soft")
    assert bool(problems(settings, [10] * 10)) == (selector not in SOFT)
    if selector in SOFT:
        settings.to_method().loss()
    else:
        with pytest.raises(ValueError, match="soft margin"):
            settings.to_method()


def test_a_data_set_is_loaded_once_and_only_when_needed() -> None:
    datasets = DataSets()
    full, embedded = (Settings(dataset="fashion-mnist", embedded=value) for value in (False, True))
    assert datasets.class_sizes(full) == [6000] * 10
    assert not datasets.loaded
    assert datasets.class_sizes(embedded) == [600] * 10
    train_set, test_set = datasets.load(embedded)
    assert (len(train_set), len(test_set), train_set.classes[0]) == (6000, 1000, "T-shirt/top")
    assert datasets.load(embedded)[0] is train_set
    assert datasets.names() == ["mnist", "fashion-mnist"]


def test_the_readers_own_images_are_a_data_set() -> None:
    own = part(True, 7), part(False, 5)
    datasets = DataSets(own=own)
    assert datasets.names() == [OWN, "mnist", "fashion-mnist"]
    assert datasets.load(SMALL) is own
    assert datasets.class_sizes(SMALL) == [7] * 10


@pytest.mark.parametrize("name", SMALLEST_CLASS)
def test_the_smallest_class_sizes_are_right(name: str) -> None:
    try:
        images = load(name, root=None, download=False)
    except FileNotFoundError as error:
        pytest.skip(str(error))
    if len(images) != 60_000:
        pytest.skip("there is no full data")
    assert int(images.targets.bincount().min()) == SMALLEST_CLASS[name]


def test_the_logic_does_not_import_widgets() -> None:
    for module in (settings, watching, session, records, selection, pictures):
        assert "widgets" not in vars(module)
