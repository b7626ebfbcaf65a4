"""Pictures that take too long to decode."""

from __future__ import annotations

import re

from jobs.base.limits import limit

SECONDS = 60
"""A picture that is not decoded and resized in so long is given up; ``LOOKALIKE_MAX_SECONDS`` sets another
limit."""
GIVEN_UP = re.compile(r"takes more than (\d+) s to decode")


def max_seconds() -> int:
    return limit("LOOKALIKE_MAX_SECONDS", SECONDS)


def given_up(seconds: int) -> str:
    """The reason why such a picture is quarantined."""
    return f"takes more than {seconds} s to decode"


def worth_another_try(reason: str | None) -> bool:
    """Whether a picture was given up for ``reason`` under a lower limit than today's."""
    match = GIVEN_UP.fullmatch(reason or "")
    return match is not None and int(match[1]) < max_seconds()
