"""Paths as Spark reads them."""

from __future__ import annotations

import re
from pathlib import Path


def literal(path: Path) -> str:
    """``path`` for Spark's readers, which take ``[ ] { } * ? \\`` for a pattern; its writers don't."""
    return re.sub(r"([\[\]{}*?\\])", r"\\\1", str(path))
