"""What is counted, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

REGISTRY = CollectorRegistry()
ANSWERS = Counter(
    "lookalike_answers", "Answers, by route and status.", ["route", "status"], registry=REGISTRY
)
SECONDS = Histogram(
    "lookalike_stage_seconds",
    "Seconds that a stage of an answer took.",
    ["stage"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60),
    registry=REGISTRY,
)
PICTURES = Gauge("lookalike_pictures", "Pictures that the version holds.", registry=REGISTRY)
VERSION = Info("lookalike_version", "The version that answers.", registry=REGISTRY)
CHANGES = Counter("lookalike_version_changes", "How often another version took over.", registry=REGISTRY)
