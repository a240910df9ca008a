"""The page of answers: what it shows, and that names cannot break it."""

import html.parser
from pathlib import Path

import pytest
import torch
from own_folders import any_script
from search_cases import SMALL, small_index, small_net

from siamese_triplet.search import Index, write_page
from siamese_triplet.search.page import answer_html

VOID = {"meta", "img", "br", "wbr"}


class Outline(html.parser.HTMLParser):
    """Tags and texts of a page, which must be well formed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images: list[dict] = []
        self.texts: list[tuple[str, str]] = []
        self.tags: set[str] = set()
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.add(tag)
        if tag == "img":
            self.images.append(dict(attrs))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.open[-1], data))

    def text(self, tag: str) -> list[str]:
        return [data for inside, data in self.texts if inside == tag]


def test_a_page_shows_query_neighbours_and_verdict(tmp_path: Path) -> None:
    index = small_index(tmp_path / "photos")
    query = index.file_of("cat/002.png")
    index.threshold = 1e-3
    answers = [index.search(query, 4), index.search(torch.full((8,), 9.0), 2)]
    write_page(tmp_path / "below" / "page.html", answers, title="My <photos>")
    page = (tmp_path / "below" / "page.html").read_text()
    outline = Outline(page)
    assert outline.text("title") == outline.text("h1") == ["My <photos>"]
    assert outline.text("h2") == [str(query), "an embedding"]
    assert outline.text("p") == ["2 queries", "; the nearest is at 0.000", outline.text("p")[2]]
    names = [match.class_name for answer in answers for match in answer]
    assert outline.text("b") == ["cat", *names[:4], "none of these", *names[4:]]
    assert outline.images[0]["alt"] == f"the image that was asked with: {query}"
    assert len(outline.images) == 1 + 4 + 2
    assert all(image["src"].startswith("data:image/jpeg;base64,") for image in outline.images)
    assert 'class="st-path">cat/<wbr>002.png<' in page  # a long path breaks at its folders
    assert page.count('class="st-within"') == 1
    assert page.count('class="st-beyond"') == 5
    assert page.count("beyond the threshold, 0.001:") == 2  # between the first and the second; before all
    assert page.index('class="st-within"') < page.index('class="st-limit"') < page.index('class="st-beyond"')
    assert not {"script", "link", "iframe"} & outline.tags
    assert "http" not in page
    assert 'name="viewport"' in page
    assert "color-scheme: light dark" in page


def test_names_cannot_break_the_page(tmp_path: Path) -> None:
    index = Index.from_folder(any_script(tmp_path / "x"), small_net(), SMALL, progress=False)
    write_page(tmp_path / "page.html", [index.similar(path, 1) for path in index.paths[::4]])
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<b>bold" not in page
    paths = [text for text in Outline(page).text("span") if text.endswith((".png", ".jpg"))]
    assert len(paths) == len(index.paths[::4])
    hostile = Index()
    hostile.add(torch.zeros(1, 2), ['"><script>alert(1)</script>'], paths=['"><img src=x onerror=alert(1)>'])
    assert "<script" not in answer_html(hostile.search(torch.zeros(2)))
    assert "<img" not in answer_html(hostile.search(torch.zeros(2)))


def test_pictures_that_are_gone_leave_a_gap(tmp_path: Path) -> None:
    index = small_index(tmp_path / "photos")
    index.file_of("cat/003.jpg").unlink()
    answer = index.search(index.embeddings[index.paths.index("cat/003.jpg")], 1)
    shown = answer_html(answer)
    assert "no picture" in shown
    assert "cat/<wbr>003.jpg" in shown


def test_each_picture_is_read_once_and_only_the_first_answers_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, read = small_index(tmp_path / "photos"), []
    monkeypatch.setattr("siamese_triplet.search.page.thumbnail", lambda file: read.append(file) or "data:,")
    write_page(tmp_path / "page.html", index.search_all(index.embeddings[[0] * 230], k=3))
    page = (tmp_path / "page.html").read_text()
    assert len(read) == 3
    assert page.count("<section") == 200
    assert "230 queries; the first 200 are shown" in page


def test_an_answer_shows_its_pictures_in_a_notebook(tmp_path: Path) -> None:
    index = small_index(tmp_path / "photos")
    path = index.file_of("bee/001.jpg")
    assert len(Outline(index.search(path, 3)._repr_html_()).images) == 4
    given = answer_html(index.search(path.read_bytes(), 3), path.read_bytes())
    assert Outline(given).images[0]["alt"] == "the image that was asked with: an image"
