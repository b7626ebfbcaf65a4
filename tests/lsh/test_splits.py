"""Which pictures are queries of which set."""

from __future__ import annotations

import numpy as np
import pytest

from jobs.lsh.splits import CHOOSE, CONFIRM, FEWEST, GATE, QUERIES, can_split, queries_of, split_of
from tests.support.hashes import ids_of

SETS = (CHOOSE, CONFIRM, GATE)


@pytest.mark.parametrize("pictures", [3 * FEWEST, 2_929, 20_000])
def test_where_pictures_are_enough_no_two_sets_share_one(pictures: int) -> None:
    ids = ids_of(pictures)
    asked = [set(ids[queries_of(ids, split, 42)].tolist()) for split in SETS]
    assert sum(map(len, asked)) == len(set.union(*asked)) == min(pictures, 3 * QUERIES)
    assert all(0.8 * FEWEST < len(ids) <= QUERIES for ids in asked)
    for split, of_set in zip(SETS, asked, strict=True):
        assert of_set <= set(ids[split_of(ids, 42) == split].tolist())


def test_of_too_few_pictures_every_set_holds_all() -> None:
    ids = ids_of(3 * FEWEST - 1)
    assert not can_split(len(ids)) and can_split(len(ids) + 1)
    for split in SETS:
        assert sorted(queries_of(ids, split, 42)) == list(range(len(ids)))


def test_a_third_of_the_pictures_belongs_to_each_set() -> None:
    counts = np.bincount(split_of(ids_of(30_000), 42))
    assert len(counts) == 3 and (np.abs(counts - 10_000) < 300).all()


def test_the_set_of_a_picture_follows_from_its_id_and_the_seed_alone() -> None:
    ids = ids_of(2_000)
    turned = ids[np.random.default_rng(0).permutation(len(ids))]
    for split in SETS:
        np.testing.assert_array_equal(
            ids[queries_of(ids, split, 42)], turned[queries_of(turned, split, 42)], strict=True
        )
    np.testing.assert_array_equal(split_of(ids[::3], 42), split_of(ids, 42)[::3])
    assert 0.3 < (split_of(ids, 42) == split_of(ids, 43)).mean() < 0.37


def test_calibrations_on_disk_rely_on_this_split() -> None:
    assert split_of(ids_of(12), 42).tolist() == [2, 0, 2, 2, 1, 0, 0, 2, 1, 2, 1, 0]
