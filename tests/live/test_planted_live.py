"""A test for a fault that was planted in the bench of selectors, and that no other test had found.

Another one, an infinite number in the address, is in `test_address.py`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from browser import chromium
from toy_data import part

from siamese_triplet import HardNegativePairSelector, live
from siamese_triplet.selectors import BatchHardTripletSelector

COUNT_LINES = """
window.lines = 0;
const stroke = CanvasRenderingContext2D.prototype.stroke;
CanvasRenderingContext2D.prototype.stroke = function (...given) {
  if (this.lineWidth > 1 && this.lineWidth < 2) window.lines += 1;  // ticks are thinner, the ring of an image is wider
  return stroke.apply(this, given);
};
"""


@pytest.fixture(scope="module")
def browser() -> Iterator:
    with chromium() as browser:
        yield browser


@pytest.mark.parametrize(("kind", "selector"), [("pairs", "hard"), ("triplets", "batch-hard")])
def test_a_picked_image_shows_its_own_tuples(browser: Any, tmp_path: Path, kind: str, selector: str) -> None:
    recorder = live.EmbeddingRecorder(part(False, 4), 40)
    embeddings = (torch.randn(40, 2, generator=torch.Generator().manual_seed(0)) * 256).round() / 256
    recorder.keep(embeddings, "as it is")
    path = tmp_path / "bench.html"
    figure = live.selector_bench(recorder, selector, kind=kind)
    path.write_text(f'<meta charset="utf-8">{figure.to_html()}', encoding="utf-8")
    page = browser.new_page()
    page.add_init_script(COUNT_LINES)
    page.goto(f"file://{path}")
    canvas = page.locator(".plane canvas")
    canvas.focus()
    seen = 0
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "ArrowUp", "ArrowLeft", "ArrowUp"):
        canvas.press(key)
        page.evaluate("window.lines = 0")
        canvas.press("Enter")
        text = page.locator(".shown").inner_text()
        if "of the batch" not in text:
            continue  # it was picked before, and is no more
        image = int(text.split("image ")[1].split()[0])
        assert page.evaluate("window.lines") == len(lines_of(kind, embeddings, recorder.labels, image))
        seen += 1
    assert seen >= 3
    page.close()


def lines_of(kind: str, embeddings: torch.Tensor, labels: torch.Tensor, image: int) -> set[tuple[int, int]]:
    """List the lines between two images of the tuples of `image`: of triplets, those with it as the anchor."""
    if kind == "pairs":
        pairs = torch.cat(HardNegativePairSelector().get_pairs(embeddings, labels)).tolist()
        return {(min(pair), max(pair)) for pair in pairs if image in pair}
    triplets = BatchHardTripletSelector().get_triplets(embeddings, labels).tolist()
    return {(min(a, b), max(a, b)) for a, p, n in triplets if a == image for b in (p, n)}
