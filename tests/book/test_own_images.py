"""The functions of the chapter on your own images: what the test of a plan measures, and what is shown."""

from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import torch
from own_folders import OWN_FOLDERS, write_class, write_classes
from torch import nn

from siamese_triplet import retrieval_values
from siamese_triplet.book.own_images import figures, make_start, pixel_parts, results, train_by_plan, training
from siamese_triplet.datasets import FolderImages, plan_folder, read_folder
from siamese_triplet.networks import PretrainedNet

GIGABYTE = 10**9


def test_new_classes_are_searched_among_the_others_of_the_test(tmp_path: Path) -> None:
    photos = FolderImages(write_classes(tmp_path, [4] * 30))
    plan = plan_folder(photos, memory=GIGABYTE)
    parts = pixel_parts(plan, photos)
    found = results.query_values(plan, parts, nn.Flatten())
    pixels = torch.stack([image.flatten() for image, _ in parts.test])
    expected = retrieval_values(pixels, parts.test.targets, ks=(1,))
    assert torch.equal(found["map_at_r"], expected["map_at_r"])
    assert found["labels"].tolist() == parts.test.targets.tolist()
    assert "24 test images of 6 new classes" in results.results_table(plan, {"pixels": (nn.Flatten(), parts)})


def test_known_classes_are_searched_among_the_training_images_and_those_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    galleries = []
    monkeypatch.setattr(
        results, "retrieval_values", lambda *given, ks: galleries.append(given[2:]) or retrieval_values(*given, ks=ks)
    )
    photos = FolderImages(write_classes(tmp_path, [1, 4] * 4))
    plan = plan_folder(photos, memory=GIGABYTE)
    parts = pixel_parts(plan, photos)
    found = results.query_values(plan, parts, nn.Flatten())
    pixels, gallery, singles = (
        torch.stack([image.flatten() for image, _ in part]) for part in (parts.test, parts.training, parts.singles)
    )
    labels = torch.cat([parts.training.targets, parts.singles.targets])
    expected = retrieval_values(pixels, parts.test.targets, torch.cat([gallery, singles]), labels, ks=(1,))
    assert torch.equal(found["recall_at_1"], expected["recall_at_1"])
    assert torch.equal(galleries[0][0], torch.cat([gallery, singles]))
    assert galleries[0][1].tolist() == labels.tolist()


def test_every_class_counts_alike_and_one_without_pairs_is_left_out() -> None:
    values = torch.tensor([1.0, 1.0, 1.0, 0.0, torch.nan], dtype=torch.float64)
    mean, low, high = results.over_classes(values, torch.tensor([0, 0, 0, 1, 2]))
    assert (mean, low, high) == (0.5, 0.0, 1.0)


@pytest.mark.parametrize("pretrained", [False, True])
def test_training_moves_the_model_and_leaves_what_it_is_compared_with(tmp_path: Path, pretrained: bool) -> None:
    photos = FolderImages(write_classes(tmp_path, [6] * 4))
    plan = plan_folder(photos, pretrained=pretrained, memory=GIGABYTE, n_steps=2)
    start = make_start(plan, photos)
    unchanged = results.embeddings_of(start.before, start.parts.test)
    torch.testing.assert_close(results.embeddings_of(start.model, start.parts.test), unchanged)
    trained = train_by_plan(plan, start)
    assert str(trained) == f"trained for {plan.n_epochs} epochs, kept the weights of epoch {trained.best_epoch}"
    torch.testing.assert_close(results.embeddings_of(start.before, start.parts.test), unchanged)
    moved = results.embeddings_of(start.model, start.parts.test)
    assert (moved - unchanged).norm() > 1e-4
    if pretrained:  # the whole network has the trained layers
        assert isinstance(start.network, PretrainedNet)
        reading = plan.parts.test
        reading.transform = start.network.preprocessing.transform()
        whole = start.network(torch.stack([image for image, _ in reading]))
        torch.testing.assert_close(torch.nn.functional.normalize(whole), moved, rtol=1e-3, atol=1e-4)


def test_small_training_sets_are_seen_in_several_views(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = FolderImages(write_classes(tmp_path, [5] * 4))
    plan = plan_folder(photos, pretrained=True, memory=GIGABYTE)
    parts = make_start(plan, photos).parts
    assert len(parts.training) == 4 * len(plan.parts.training)
    assert parts.training.targets.tolist() == 4 * plan.parts.training.targets.tolist()
    one, other = parts.training.data[: 2 * len(plan.parts.training)].chunk(2)
    assert not torch.equal(one, other)


def test_images_that_do_not_fit_are_read_from_disk_in_training(tmp_path: Path) -> None:
    photos = FolderImages(write_classes(tmp_path, [6] * 4))
    plan = plan_folder(photos, memory=100_000, n_steps=1)
    start = make_start(plan, photos)
    assert isinstance(start.parts.training, FolderImages)
    assert train_by_plan(plan, start).history is not None


def test_copies_within_a_class_are_counted_and_others_are_named(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_class(tmp_path / name, 1, 3)
    photos = FolderImages(tmp_path)
    text = figures.list_copies(photos, torch.tensor([[0, 3], [1, 2]]))
    assert text.splitlines()[0] == "2 pairs, 1 of them within a class; the others:"
    assert "'a/000.png'" in text
    assert "'b/000.png'" in text
    nameless = FolderImages.from_files(photos.paths)
    assert len(figures.list_copies(nameless, torch.tensor([[0, 3], [1, 2]])).splitlines()) == 3


def test_without_classes_there_are_images_to_label_and_no_validation(tmp_path: Path, capsys) -> None:
    photos, _ = read_folder(OWN_FOLDERS["flat"](tmp_path / "root"))
    embeddings = torch.arange(len(photos)).double()[:, None]
    reason, numbers = figures.to_look_at(photos, embeddings)
    assert reason.endswith("label first:")
    assert {0, len(photos) - 1} < set(numbers)
    assert training.plot_scores(training.Training(), None) is None
    assert capsys.readouterr().out == "no validation to plot\n"


def test_misplaced_images_are_looked_at_first(tmp_path: Path) -> None:
    photos = FolderImages(write_classes(tmp_path, [3] * 3))
    embeddings = torch.tensor([0.0, 0.1, 9.0, 5.0, 5.1, 5.2, 9.1, 9.2, 9.3])[:, None]
    reason, numbers = figures.to_look_at(photos, embeddings)
    assert reason == "the most doubtful labels:"
    assert numbers[0] == 2
    figure = figures.show_to_look_at(photos, numbers)
    assert figure.axes[0].get_title() == "0000"
    plt.close(figure)
