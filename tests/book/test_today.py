"""The experiment with the losses after triplets: its runs, its tables, and what the chapter claims of them."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from siamese_triplet.book import modern_losses, today
from siamese_triplet.book.modern_losses import LOSSES, make_loss
from siamese_triplet.book.results import read_results
from siamese_triplet.book.today import FASHION, PIXELS, UNTRAINED, Today, compare_today, train_with
from siamese_triplet.book.today_report import (
    chosen_rates,
    differences,
    known_clusters,
    most_popular,
    of_data,
    plot_today,
    today_table,
    with_steps,
)
from siamese_triplet.datasets import load
from siamese_triplet.losses import SupervisedContrastiveLoss

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tools"))
from prose import prose  # noqa: E402

SHORT = Today(4, 0, 2, 0, seeds=(0, 1), subset="embedded:20", verbose=False)
SOME = {FASHION: ("softmax", "SupCon")}


def test_runs_are_tuned_on_held_out_classes_and_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, int, set[str]]] = []
    train = today.train_with

    def spy(loss: str, settings: Any, data: str, images: Any, seed: int, n_steps: int) -> Any:
        seen.append((loss, seed, set(images.classes)))
        return train(loss, settings, data, images, seed, n_steps)

    monkeypatch.setattr(today, "train_with", spy)
    path = tmp_path / "today.json"
    final = compare_today(path, SHORT, [FASHION], SOME)
    assert [(result["loss"], result["seed"]) for result in final] == [
        (loss, seed) for seed in (0, 1) for loss in (PIXELS, UNTRAINED, "softmax", "SupCon")
    ]
    kept = read_results(path)
    assert [result["part"] for result in kept].count("tuning") == 6  # three rates of the softmax, for each seed
    for result in final:
        unseen = set(result["unseen_classes"])
        trained_on = [classes for loss, seed, classes in seen if (loss, seed) == (result["loss"], result["seed"])]
        assert len(unseen) == 4
        assert all(not unseen & classes for classes in trained_on)
        assert sorted(map(len, trained_on)) == ([4, 4, 4, 6] if result["loss"] == "softmax" else [6])
        assert 0 < result["map_at_r"] < result["recall_at_1"] <= 1
    n_runs = len(seen)
    assert compare_today(path, SHORT, [FASHION], SOME) == final
    assert len(seen) == n_runs
    rates = {result["loss"]: result["settings"] for result in final if result["loss"] == "softmax"}
    assert chosen_rates(final, FASHION).startswith("softmax: ")
    assert set(rates["softmax"]) == {"rate"}
    assert [result["settings"]["n_steps"] for result in with_steps(final)] == [4] * 4


def test_the_best_settings_are_those_with_the_best_map_at_r() -> None:
    tuned = [{"map_at_r": value, "settings": {"rate": rate}} for rate, value in ((1, 0.3), (10, 0.5), (100, 0.5))]
    assert today.best_settings(tuned) == {"rate": 10}


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_and_its_vectors_are_trained(name: str) -> None:
    if LOSSES[name].needs_library:
        pytest.importorskip("pytorch_metric_learning")
    for settings in LOSSES[name].candidates:
        torch.manual_seed(0)
        loss_fn = make_loss(name, settings, 3, 8)
        embeddings = torch.randn(12, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
        found = loss_fn(embeddings, torch.arange(12) % 3)
        loss = found[0] if isinstance(found, tuple) else found
        loss.backward()
        assert loss > 0
        assert embeddings.grad is not None
        parameters = list(loss_fn.parameters())
        assert bool(parameters) == ("rate" in settings)
        assert all(parameter.grad is not None for parameter in parameters)
        if name != "softmax":  # it alone sees lengths
            torch.manual_seed(0)
            loss_fn = make_loss(name, settings, 3, 8)  # anew, as semi-hard draws
            scaled = loss_fn(3 * embeddings.detach(), torch.arange(12) % 3)
            assert torch.isclose(scaled[0] if isinstance(scaled, tuple) else scaled, loss.detach(), rtol=1e-4)


def test_the_vectors_of_a_loss_have_their_own_learning_rate() -> None:
    images = load("fashion-mnist", subset="embedded:20").of_classes(range(6))
    made: list[torch.nn.Module] = []
    original = today.make_loss
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(today, "make_loss", lambda *given: made.append(original(*given)) or made[-1])
        for rate in (1e-6, 10.0):
            train_with("softmax", {"rate": rate}, FASHION, images, 0, 3)
    slow, fast = (loss_fn.layer.weight for loss_fn in made)  # both began alike
    assert float((fast - slow).abs().max()) > 1e-3
    torch.manual_seed(0)
    today.EmbeddingNet(16)
    start = original("softmax", {}, 6, 16).layer.weight
    assert float((slow - start).detach().abs().max()) < 1e-6


def test_a_loss_of_a_library_that_is_missing_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modern_losses, "LIBRARY", "no_such_library")
    assert isinstance(make_loss("SupCon", {"temperature": 0.1}, 3, 8), SupervisedContrastiveLoss)
    with pytest.raises(ModuleNotFoundError, match=r"ArcFace .* not installed: pip install pytorch-metric-learning"):
        make_loss("ArcFace", LOSSES["ArcFace"].candidates[0], 3, 8)


def made(loss: str, values: tuple[float, ...], data: str = FASHION) -> list[dict[str, Any]]:
    return [
        {"data": data, "part": "final", "loss": loss, "seed": seed, "settings": {}, "n_steps": 1, "recall_at_1": value,
         "map_at_r": value, "seen": {"recall_at_1": 0.9, "map_at_r": 0.9}}
        for seed, value in enumerate(values)
    ]  # fmt: skip


def test_a_difference_is_bold_where_its_interval_within_seeds_has_no_zero() -> None:
    results = [*made("SupCon", (0.25, 0.46, 0.65)), *made("semi-hard", (0.2, 0.4, 0.6)), *made(PIXELS, (0.5, 0.2, 0.9))]
    lines = differences(results).replace("\u00a0", " ").splitlines()
    assert lines[2].startswith("| pixels | +13.3 ± ")  # not bold
    assert lines[3].startswith("| SupCon | **+5.3 ± 1.4** | +0.0 ± 0.0 | – |")
    assert len(lines) == 4
    assert "| pixels | +30.0 | +0.0 | – |" in differences([r for r in results if r["seed"] == 0])
    assert "**" not in today_table(results, FASHION)  # splits differ too much for intervals of the values
    assert today_table(results, FASHION).splitlines()[2].startswith("| pixels |")
    assert len(plot_today(results).axes) == 1


def test_points_of_known_clusters_and_hubs() -> None:
    points, clusters = known_clusters()["one ten times as wide"]
    widths = [points[clusters == cluster, 1:].std().item() for cluster in (0, 1)]
    assert widths == pytest.approx([1, 10], rel=0.05)
    far = known_clusters()["one five times as far"]
    centres = [far[0][far[1] == cluster, 0].mean().item() for cluster in (0, 1, 2)]
    assert (centres[2] - centres[1]) / (centres[1] - centres[0]) == pytest.approx(5, rel=0.05)
    counts = [float(text.split("\u00a0")[0]) for text in most_popular(n=200, sizes=(2, 100)).values()]
    assert 10 <= counts[0] < counts[1] <= 200


def test_the_chapter_claims_what_the_stored_intervals_show() -> None:
    text, results = prose(ROOT / "book" / "19_today.ipynb"), read_results(ROOT / "book" / "results" / "today.json")
    bold = {row[0]: row for row in (re.split(r" *\| *", line)[1:] for line in differences(results).splitlines()[2:])}
    trained = {name: row for name, row in bold.items() if name in LOSSES}
    ahead, behind = (
        [{name for name, row in trained.items() if row[place].startswith(f"**{sign}")} for place in (1, 2, 3)]
        for sign in "+−"
    )
    with_vectors = {name for name in LOSSES if "rate" in LOSSES[name].candidates[0]}
    assert ahead == [set(), set(), {"SupCon", "MultiSimilarity"}]
    assert behind == [set(), {"softmax", "normalised softmax"}, {"batch-all", *with_vectors}]
    for claim in (
        "On seen classes, no loss is ahead of semi-hard triplets, and both softmaxes are behind.",
        "On unseen classes these seeds show no difference in MAP@R",
        "Within a seed, SupCon and MultiSimilarity are ahead of semi-hard; batch-all is behind, and all losses",
        "the plain softmax and ProxyAnchor are behind on unseen classes, and SupCon is a little ahead on seen ones.",
    ):
        assert claim in text
    recall = {
        line.split("|")[1].strip(): [cell.strip()[:3] for cell in line.split("|")[2:5]]
        for line in differences(results, metric="recall_at_1").splitlines()[2:]
    }
    bold = {name: [cell for cell in row if cell.startswith("**")] for name, row in recall.items() if name in LOSSES}
    assert {name for name in bold if recall[name][0] == "**−"} == {"softmax", "ProxyAnchor"}
    assert {name for name in bold if recall[name][1] == "**+"} == {"SupCon"}
    assert {name for name in bold if recall[name][2] == "**+"} == {"SupCon", "MultiSimilarity"}
    assert sum(map(len, bold.values())) == 3 + len(bold)
    for seed in (0, 1, 2):
        found = {
            result["loss"]: result["recall_at_1"] for result in of_data(results, FASHION) if result["seed"] == seed
        }
        assert max(found, key=found.get) == PIXELS
