"""A test for a fault that was planted in the explorer's panel, and that no other test had found."""

from explorer_cases import SMALL, small_explorer

from siamese_triplet.explorer.records import FAILED, RUNNING, Outcome

MARKUP = '<script>alert(1)</script><b onclick="x">&amp;'


def test_no_message_becomes_markup() -> None:
    panel = small_explorer().panel
    panel.outcome(Outcome(1, SMALL, RUNNING))
    panel.outcome(Outcome(1, SMALL, FAILED, message=MARKUP))
    panel.status(MARKUP, 0.5)
    panel._cannot_paint(ValueError(MARKUP))
    for shown in (panel.warning_html, panel.status_text, panel.embedding_html, panel.table_html):
        assert "<script" not in shown.value
        assert "<b" not in shown.value.replace("<br", "")
        assert "&lt;script&gt;" in shown.value
    assert "&amp;amp;" in panel.status_text.value
