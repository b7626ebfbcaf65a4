"""Skip where the machine lacks what a test needs."""

from __future__ import annotations

import pytest

# Before OpenVINO, whose telemetry it keeps off.
import jobs.embedding.openvino  # noqa: F401


def need(precision: str) -> None:
    """Skip the test where this processor does not compute ``precision``."""
    import openvino as ov

    if precision == "bf16" and "BF16" not in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this processor does not compute bf16")
