"""How many candidates each part of an index re-ranks."""

from __future__ import annotations

import numpy as np
import pytest

from jobs.search.search import candidates_a_part


@pytest.mark.parametrize(("refined", "parts"), [(10, 3), (24, 8), (200, 8), (400, 50)])
def test_parts_together_rarely_miss_one_of_the_best(refined: int, parts: int) -> None:
    generator = np.random.default_rng(0)
    in_part = generator.multinomial(refined, [1 / parts] * parts, 2_000)
    kept = np.minimum(in_part, candidates_a_part(refined, parts)).sum() / in_part.sum()
    assert kept > 0.95
    # And for less than twice as many candidates in all, unless a part has but a few.
    assert candidates_a_part(refined, parts) * parts < 2 * refined + 2 * parts


def test_one_part_re_ranks_all_candidates() -> None:
    assert candidates_a_part(17, 1) == 17
