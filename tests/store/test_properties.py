"""Names and numbers as people read them, for any text and any share."""

from __future__ import annotations

import re
from decimal import Decimal

from hypothesis import example, given
from hypothesis import strategies as st

from jobs.base.text import name_of, percent, plain
from jobs.store.root import safe_name

# As file names come from a disk: halves of characters stand for bytes that are not UTF-8.
anything = st.text(st.characters(codec=None, exclude_categories=[])) | st.binary().map(
    lambda raw: raw.decode("utf-8", "surrogateescape")
)


@given(anything)
@example("..")
@example("-manual__2026-01-01T00:00:00+00:00-")
def test_a_safe_name_is_safe_and_stays(text: str) -> None:
    """Holds that a file name of plain characters comes out, no longer than the text, and is kept as it is."""
    name = safe_name(text)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", name)
    assert len(name) <= max(len(text), len("unnamed"))
    assert not name.startswith("-")
    assert safe_name(name) == name


@given(anything, st.none() | anything, st.none() | anything)
@example("a\ud800b", None, None)
@example("a\nb", "\u202eb", None)
def test_what_is_shown_of_a_picture_can_be_shown(
    path: str, label: str | None, class_name: str | None
) -> None:
    """Holds that a name takes one line and can be written as UTF-8, and that printable ones are kept."""
    name = name_of({"path": path, "label": label, "class_name": class_name})
    shown = plain(name)
    assert shown.isprintable() and shown.encode("utf-8").decode("utf-8") == shown
    assert len(shown) == len(name) and plain(shown) == shown
    assert all(now == was or not was.isprintable() for now, was in zip(shown, name, strict=True))
    assert name == (class_name or label or name) and name in path + (label or "") + (class_name or "")


@given(st.floats(0, 10), st.booleans())
@example(0.95, True)
@example(0.94999999999, True)
@example(0.99999, False)
@example(5e-324, False)
def test_a_percentage_reads_back_as_the_share(share: float, down: bool) -> None:
    """Holds to one decimal, below 1 % to two digits; a promise is never rounded up, nor 99.99 % to 100."""
    text = percent(share, down)
    assert re.fullmatch(r"\d+(\.\d*[1-9])?\u00a0%", text)
    value, true = Decimal(text[:-2]), 100 * Decimal(repr(share))
    step = Decimal("0.1") if true >= 1 or not true else Decimal(1).scaleb(true.adjusted() - 1)
    if down:
        assert true - step < value <= true
    elif Decimal("99.9") < true < 100:
        assert value == Decimal("99.9")
    else:
        assert abs(value - true) <= step / 2
