"""Pictures that crash a decoder, or take too much memory or time."""

from __future__ import annotations

import re
import signal

from jobs.base.limits import limit

SECONDS = 60
"""A picture that is not decoded and resized in so long is given up; ``LOOKALIKE_MAX_SECONDS`` sets another
limit."""
MEMORY = 3 << 30
"""Bytes that one picture may take to decode, where it is decoded alone."""
CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE)
"""Signals of a crash; other signals come from outside."""
GIVEN_UP = re.compile(r"takes more than (\d+) s to decode")


def max_seconds() -> int:
    return limit("LOOKALIKE_MAX_SECONDS", SECONDS)


def given_up(seconds: int) -> str:
    """The reason why such a picture is quarantined."""
    return f"takes more than {seconds} s to decode"


def crash_reason(status: int) -> str:
    """Why a picture can't be used on which a process, alone with it, ended with ``status``."""
    if -status in CRASHES:
        return f"crashes the decoder ({signal.Signals(-status).name})"
    return "takes more memory to decode than there is"


def worth_another_try(reason: str | None) -> bool:
    """Whether a picture was given up for ``reason`` under a lower limit than today's."""
    match = GIVEN_UP.fullmatch(reason or "")
    return match is not None and int(match[1]) < max_seconds()
