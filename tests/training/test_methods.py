"""The five methods of the book: each trains, and a seed decides the result."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toy_data import part

from siamese_triplet.book.recipes import Recipe, Result, train
from siamese_triplet.evaluation import embed
from siamese_triplet.methods import (
    METHODS,
    Method,
    Speed,
    fit_method,
)
from siamese_triplet.networks import ClassificationNet, EmbeddingNet, EmbeddingNetL2, SiameseNet, TripletNet
from siamese_triplet.selectors.by_name import (
    BATCH_ALL,
    PAIR_SELECTORS,
    SOFT,
    TRIPLET_SELECTORS,
)

CPU = torch.device("cpu")
ONE_EPOCH = Recipe(name="quick", n_epochs=1, subset="embedded", device=CPU)


def one_epoch(name: str, seed: int = 0) -> Result:
    return train(name, part(True, 20), part(False, 20), ONE_EPOCH, seed=seed, verbose=False)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_trains_and_embeds_all_images(name: str) -> None:
    result = one_epoch(name)
    assert [len(values) for values in result.history.values()] == [1] * len(result.history)
    for embeddings, labels in (result.train, result.test):
        assert embeddings.shape == (200, 2)
        assert labels.bincount().tolist() == [20] * 10
    assert result.train[0].std() > 0


def test_callbacks_see_every_epoch() -> None:
    seen = []
    callbacks = [lambda epoch, history, model: seen.append((epoch, len(history["train_loss"]), model))]
    result = train("softmax", part(True), part(False), ONE_EPOCH, verbose=False, callbacks=callbacks)
    assert seen == [(1, 1, result.model)]


@pytest.mark.parametrize("name", ["siamese", "online-triplet"])
def test_the_seed_decides_the_result(name: str) -> None:
    torch.manual_seed(0)
    first = one_epoch(name)
    torch.manual_seed(1)
    again, other = one_epoch(name), one_epoch(name, seed=1)
    torch.testing.assert_close(again.test[0], first.test[0], rtol=0, atol=0)
    assert not torch.allclose(other.test[0], first.test[0])


ONLINE = [
    *(("online-contrastive", selector) for selector in PAIR_SELECTORS),
    *(("online-triplet", selector) for selector in (*TRIPLET_SELECTORS, BATCH_ALL)),
]


@pytest.mark.filterwarnings("ignore::siamese_triplet.CollapseWarning")
@pytest.mark.parametrize(("method", "selector"), ONLINE)
def test_every_selector_trains_an_epoch_and_a_seed_decides_the_result(method: str, selector: str) -> None:
    experiment = Method(method, selector=selector, embedding_size=3, unit_sphere=True, margin=0.2, n_samples=5)
    images = part(True, 10)
    runs = [fit_method(experiment, images, images, 1, seed, device=CPU, verbose=False) for seed in (0, 0, 1)]
    embeddings = [embed(model, images)[0] for model, _ in runs]
    histories = [{**history, "seconds": []} for _, history in runs]
    assert histories[0] == histories[1] != histories[2]
    assert torch.equal(embeddings[0], embeddings[1])
    assert not torch.allclose(embeddings[0], embeddings[2])
    torch.testing.assert_close(embeddings[0].norm(dim=1), torch.ones(100))
    assert ("train_nonzero_triplets" in histories[0]) == ("train_spread" in histories[0]) == (method != ONLINE[0][0])


def test_the_recipes_of_the_book() -> None:
    assert {name: (method.learning_rate, method.weight_decay) for name, method in METHODS.items()} == {
        "softmax": (1e-2, 0),
        "siamese": (1e-3, 0),
        "triplet": (1e-3, 0),
        "online-contrastive": (1e-3, 0),
        "online-triplet": (1e-3, 1e-4),
    }
    assert all(name == experiment.method for name, experiment in METHODS.items())
    images = part(True)
    sizes = {name: len(method.loader(images, 0).dataset) for name, method in METHODS.items()}
    assert set(sizes.values()) == {500}
    assert [len(method.loader(images, 0)) for method in METHODS.values()] == [2, 4, 4, 2, 2]  # 256, 128, 128, 250, 250


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        ("softmax", ClassificationNet),
        ("siamese", SiameseNet),
        ("triplet", TripletNet),
        ("online-triplet", EmbeddingNet),
    ],
)
@pytest.mark.parametrize("unit_sphere", [False, True])
def test_the_network_fits_the_images(method: str, kind: type, unit_sphere: bool) -> None:
    experiment = replace(METHODS[method], embedding_size=7, unit_sphere=unit_sphere)
    net = experiment.network(part(True, 2))
    embedding_net = getattr(net, "embedding_net", net)
    assert isinstance(net, kind)
    assert type(embedding_net) is (EmbeddingNetL2 if unit_sphere else EmbeddingNet)
    assert (embedding_net.embedding_size, embedding_net.input_size) == (7, (1, 28, 28))


def test_only_training_images_are_shuffled() -> None:
    batches = [METHODS["softmax"].loader(part(train_part, 30), 0, CPU) for train_part in (True, False)]
    labels = [torch.cat([target for _, target in loader]) for loader in batches]
    assert torch.equal(labels[1], part(False, 30).targets)
    assert not torch.equal(labels[0], labels[1])


def test_the_learning_rate_falls_in_the_proportions_of_the_book() -> None:
    images = part(True, 5)
    experiment = replace(METHODS["softmax"], batch_size=50)
    _, history = fit_method(experiment, images, images, 5, device=CPU, verbose=False)
    assert history["learning_rate"] == pytest.approx([1e-2, 1e-2, 1e-3, 1e-3, 1e-4])


def test_speed_is_passed_on_to_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    given = []
    monkeypatch.setattr("siamese_triplet.methods.fit", lambda *_, **options: given.append(options))
    images = part(True, 5)
    for speed in (None, Speed(bfloat16=True, channels_last=True, compile="reduce-overhead")):
        fit_method(METHODS["softmax"], images, images, 5, speed=speed, checkpoint="run.pt", verbose=False)
    chosen = [{name: options[name] for name in ("autocast", "channels_last", "compile")} for options in given]
    assert chosen == [
        {"autocast": None, "channels_last": False, "compile": False},
        {"autocast": torch.bfloat16, "channels_last": True, "compile": "reduce-overhead"},
    ]
    assert {(options["checkpoint"], options["verbose"]) for options in given} == {("run.pt", False)}


@pytest.mark.parametrize("speed", [Speed(bfloat16=True), Speed(channels_last=True)], ids=["bfloat16", "channels last"])
def test_a_faster_run_learns_about_the_same(speed: Speed) -> None:
    images, experiment = part(True, 10), replace(METHODS["online-triplet"], n_samples=5)
    (_, fast), (_, plain) = (
        fit_method(experiment, images, images, 1, device=CPU, speed=given, verbose=False) for given in (speed, None)
    )
    assert fast["train_loss"] == pytest.approx(plain["train_loss"], rel=0.1)


def test_a_checkpoint_is_passed_on(tmp_path) -> None:
    images = part(True, 10)
    for _ in range(2):
        train("softmax", images, images, ONE_EPOCH, verbose=False, checkpoint=tmp_path / "run.pt")
        assert (tmp_path / "run.pt").exists()


def test_an_unknown_method_is_an_error() -> None:
    with pytest.raises(ValueError, match="unknown method 'softmx'; there are 'softmax', 'siamese'"):
        one_epoch("softmx")
    with pytest.raises(ValueError, match="unknown method 'softmx'; there are 'softmax', 'siamese'"):
        Method("softmx")


@pytest.mark.parametrize(
    ("method", "selector", "known"),
    [
        ("online-contrastive", "hardest", "'hard', 'all', 'batch-hard'$"),
        ("online-contrastive", None, "'hard', 'all', 'batch-hard'$"),
        ("online-triplet", "hard", "'random', 'semihard', .*'batch-all'$"),
        ("online-triplet", None, "'random', 'semihard', .*'batch-all'$"),
    ],
)
def test_an_unknown_selector_is_an_error_listing_the_known_ones(method: str, selector: str | None, known: str) -> None:
    with pytest.raises(ValueError, match=f"unknown selector {selector!r} for {method}; there are {known}"):
        Method(method, selector=selector)


@pytest.mark.parametrize("method", ["softmax", "siamese", "triplet"])
def test_a_selector_for_a_method_that_uses_none_is_an_error(method: str) -> None:
    with pytest.raises(ValueError, match=f"{method} uses no selector, got 'hard'; leave it out"):
        replace(METHODS[method], selector="hard")


def test_the_soft_margin_goes_with_selectors_that_need_no_margin() -> None:
    for selector in SOFT:
        assert replace(METHODS["online-triplet"], selector=selector, margin="soft").loss().margin == "soft"
    for name in ("online-triplet", "online-contrastive", "siamese"):
        with pytest.raises(ValueError, match=r"soft margin is for triplets: .*'batch-hard'"):
            replace(METHODS[name], margin="soft")


def test_balanced_test_batches_shrink_to_the_images_there_are() -> None:
    experiment = replace(METHODS["online-triplet"], n_classes=10, n_samples=25)
    few = part(False, n_per_class=4)
    [(_, labels)] = experiment.loader(few)
    assert sorted(labels.bincount().tolist()) == [4] * 10
    few.train = True  # a class with too few repeats them
    [(_, labels)] = experiment.loader(few)
    assert labels.bincount().tolist() == [25] * 10


def test_a_single_test_image_of_each_class_still_gives_positive_pairs() -> None:
    [(_, labels)] = METHODS["online-triplet"].loader(part(False, n_per_class=1))
    assert labels.bincount().tolist() == [2] * 10


def test_batches_of_one_image_per_class_are_refused() -> None:
    with pytest.raises(ValueError, match="n_samples=1 gives no positive pairs; it must be at least 2"):
        replace(METHODS["online-triplet"], n_samples=1)


def test_a_checkpoint_in_the_home_folder_is_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    images = part(True, 10)
    for _ in range(2):
        fit_method(METHODS["softmax"], images, images, 1, device=CPU, checkpoint="~/run.pt")
    first, second = capsys.readouterr().out.splitlines()
    assert first == second  # with its seconds: it was not trained again
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("unit_sphere", [False, True])
def test_a_network_is_made_for_images_or_for_their_size(method: Method, unit_sphere: bool) -> None:
    experiment = replace(method, unit_sphere=unit_sphere, embedding_size=3)
    torch.manual_seed(0)
    expected = experiment.network(part(True, 2)).state_dict()
    torch.manual_seed(0)
    torch.testing.assert_close(experiment.network_for((1, 28, 28), 10).state_dict(), expected, rtol=0, atol=0)
