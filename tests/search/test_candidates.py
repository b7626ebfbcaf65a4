"""How many candidates each part of an index re-ranks."""

from __future__ import annotations

import numpy as np
import pytest

from jobs.search.opened import candidates_per_part


@pytest.mark.parametrize(("candidates", "parts"), [(10, 3), (24, 8), (200, 8), (400, 50)])
def test_parts_together_rarely_miss_one_of_the_best(candidates: int, parts: int) -> None:
    generator = np.random.default_rng(0)
    in_part = generator.multinomial(candidates, [1 / parts] * parts, 2_000)
    kept = np.minimum(in_part, candidates_per_part(candidates, parts)).sum() / in_part.sum()
    assert kept > 0.95
    # And for less than twice as many candidates in all, unless a part has but a few.
    assert candidates_per_part(candidates, parts) * parts < 2 * candidates + 2 * parts


def test_one_part_re_ranks_all_candidates() -> None:
    assert candidates_per_part(17, 1) == 17
