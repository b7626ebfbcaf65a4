"""Every option, defined once for the forms in Airflow, the command lines and docs/reference.md."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.base.errors import LookalikeError


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option: a param of a DAG by ``name``, and ``--name`` with dashes on a command line."""

    name: str
    default: Any
    """None: the option may be left unset."""
    kind: type
    title: str
    section: str | None = None
    """Where the form shows it; None: at its top, open."""
    help: str
    choices: Mapping[str, str] | None = None
    """Allowed value -> what the form calls it."""
    minimum: float | None = None
    maximum: float | None = None
    exclusive: bool = False
    """Minimum and maximum themselves are not allowed."""
    examples: Sequence[str] = ()
    longest: int = 4096
    """The most characters of a text."""

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")


EXPERTS = "For experts: the defaults are good"

SOURCE = Option(
    name="source",
    default="sample",
    kind=str,
    choices={
        "sample": "Sample: cars drawn by the project",
        "stanford_cars": "Stanford Cars: downloaded from Kaggle",
        "folder": "A folder of my own",
        "inbox": "The inbox alone",
    },
    title="Pictures",
    help="Where the pictures come from. What lies in the inbox, `inbox/` in the data root, is always taken "
    "in as well.",
)
FOLDER = Option(
    name="folder",
    default=None,
    kind=str,
    title="Folder",
    help="Only for *a folder of my own*, and needed there: its path on the machine that runs the tasks, for "
    "example `/home/me/pictures`; in containers it lies below `/pictures`.",
)
LABEL_RULE = Option(
    name="label_rule",
    default="auto",
    kind=str,
    choices={
        "auto": "labels.csv, and class folders where it names no label",
        "csv": "labels.csv in the folder",
        "class_folders": "the first folder on a picture's path that tells classes apart",
        "none": "no labels",
    },
    title="Labels of my folder",
    section=EXPERTS,
    help="Only for *a folder of my own*: where the labels of its pictures come from.",
)
WITH_TEST = Option(
    name="with_test",
    default=False,
    kind=bool,
    title="Include the test split",
    section=EXPERTS,
    help="Only for Stanford Cars: take in its 8,041 test pictures as well, which have no labels.",
)
LIMIT = Option(
    name="limit",
    default=None,
    kind=int,
    minimum=1,
    maximum=10**9,
    title="At most so many pictures",
    section=EXPERTS,
    help="Use only this many pictures of each split (training, test), the same ones every time: to try "
    "something out quickly. Empty: all.",
)
MAX_QUARANTINED = Option(
    name="max_quarantined",
    default=0.2,
    kind=float,
    minimum=0,
    maximum=1,
    title="Quarantined at most",
    section=EXPERTS,
    help="The run fails if a larger share of the pictures than this can't be used, since then something is "
    "wrong with all of them. 0.2 is a fifth.",
)
MIN_MATCHED = Option(
    name="min_matched",
    default=0.1,
    kind=float,
    minimum=0,
    maximum=1,
    title="Labels that fit at least",
    section=EXPERTS,
    help="Share of the label file's rows, or of the pictures, that have to find a partner; below both, "
    "or if no row labels a picture, the run fails. With 0 it doesn't. In the inbox labels may land first.",
)
MAX_REMOVED = Option(
    name="max_removed",
    default=0.5,
    kind=float,
    minimum=0,
    maximum=1,
    title="Removed at most",
    section=EXPERTS,
    help="Share of the published pictures that may be gone, for example because a disk is not mounted, above "
    "which the run fails; so it does if a whole split is gone. With 1 everything may go. "
    "Runs that nobody started use 0.5.",
)
REPLACE = Option(
    name="replace",
    default=False,
    kind=bool,
    title="Replace an index of other pictures",
    section=EXPERTS,
    help="Publish even if the published index is of another source or folder. That of the sample and that of "
    "the inbox alone are replaced without it.",
)
WEIGHTS = Option(
    name="weights",
    default="imagenet",
    kind=str,
    examples=("imagenet", "random"),
    title="Weights",
    help="What the network has learned: `imagenet` (downloaded once), the path of a ResNet-18 state dict, or "
    "`random`, which compares only colours and shapes.",
)
GEOMETRY = Option(
    name="geometry",
    default="squash",
    kind=str,
    choices={
        "squash": "squash: both sides scaled to fit",
        "crop": "crop: the centre",
        "pad": "pad: the whole picture, with a grey border",
    },
    title="Geometry",
    section=EXPERTS,
    help="How a picture of any proportions becomes the square that the network sees.",
)
PRECISION = Option(
    name="precision",
    default="fp32",
    kind=str,
    choices={"fp32": "fp32", "bf16": "bf16: twice as fast, slightly less exact"},
    title="Precision",
    section=EXPERTS,
    help="How exactly the network computes. `bf16` is twice as fast on processors that have it and finds "
    "97 % of the same five neighbours.",
)
ENGINE = Option(
    name="engine",
    default="local",
    kind=str,
    choices={"local": "local: the machine that runs the task", "spark": "spark: the cluster"},
    title="Embed on",
    section=EXPERTS,
    help="Where pictures are embedded, which is turned into numbers by the network: on the machine that runs "
    "the task, or on the cluster of the Spark connection.",
)
RUNTIME = Option(
    name="runtime",
    default="auto",
    kind=str,
    choices={
        "auto": "auto: PyTorch on a GPU, else OpenVINO",
        "openvino": "openvino: on the processor",
        "torch": "torch: plain PyTorch",
    },
    title="Runtime",
    section=EXPERTS,
    help="What computes the embeddings; it affects only their last digits.",
)
FORMAT = Option(
    name="format",
    default="parquet",
    kind=str,
    choices={"parquet": "parquet", "csv": "csv"},
    title="Read embeddings from",
    section=EXPERTS,
    help="Which of the two files of embeddings Spark reads; both hold the same values.",
)
RECALL = Option(
    name="recall",
    default=0.95,
    kind=float,
    minimum=0,
    maximum=1,
    exclusive=True,
    title="Recall to reach",
    section=EXPERTS,
    help="The share of the true nearest neighbours that a search must find, on average. An index that finds "
    "fewer is not published.",
)
RECALL_AT = Option(
    name="recall_at",
    default=5,
    kind=int,
    minimum=1,
    maximum=100,
    title="Recall of so many neighbours",
    section=EXPERTS,
    help="How many nearest neighbours the recall is about: 5 for recall@5. The index is calibrated and "
    "measured for that many; you may ask it for any number.",
)
BUCKET_LENGTH = Option(
    name="bucket_length",
    default=None,
    kind=float,
    minimum=0,
    exclusive=True,
    title="Bucket length",
    section=EXPERTS,
    help="The width of the hash buckets; vectors have length 1. Empty: chosen so that the recall is reached.",
)
NUM_HASH_TABLES = Option(
    name="num_hash_tables",
    default=None,
    kind=int,
    minimum=1,
    maximum=512,
    title="Hash tables",
    section=EXPERTS,
    help="How often each vector is hashed: more find more and take more room. Empty: chosen so that the "
    "recall is reached.",
)
CANDIDATES = Option(
    name="candidates",
    default=None,
    kind=int,
    minimum=1,
    maximum=10**9,
    title="Candidates that are re-ranked",
    section=EXPERTS,
    help="How many pictures, the best by their hashes, a search compares by their exact distance. Empty: as "
    "many as the recall needs.",
)
LSH_SEED = Option(
    name="lsh_seed",
    default=42,
    kind=int,
    minimum=0,
    maximum=2**32 - 1,
    title="Seed of the hash tables",
    section=EXPERTS,
    help="A starting point for chance: it draws the hash tables, and the pictures that calibrate and measure "
    "them.",
)
QUERY = Option(
    name="query",
    default="random",
    kind=str,
    title="Query picture",
    help="The picture whose look-alikes are shown at the end: `random`, or the id, the file name or the path "
    "of one.",
)
K = Option(
    name="k",
    default=5,
    kind=int,
    minimum=1,
    maximum=100,
    title="Neighbours",
    help="How many look-alikes to find.",
)
METHOD = Option(
    name="method",
    default="sketch",
    kind=str,
    choices={
        "sketch": "sketch: ranked by packed hashes, the best re-ranked by exact distance",
        "exact": "exact: every picture compared",
        "stock": "stock: Spark's approxNearestNeighbors as it is",
    },
    title="How to search",
    section=EXPERTS,
    help="How neighbours are searched for; the first is the fastest.",
)
SEED = Option(
    name="seed",
    default=0,
    kind=int,
    minimum=0,
    maximum=2**32 - 1,
    title="Seed of the random query",
    section=EXPERTS,
    help="For the query `random`: the same number draws the same picture from the same index.",
)
OVERLAP = Option(
    name="overlap",
    default=False,
    kind=bool,
    title="Compare with exact search",
    section=EXPERTS,
    help="Also compare every picture, and say which share of the true neighbours was found.",
)
QUESTIONS = Option(
    name="questions",
    default=None,
    kind=str,
    title="Pictures to ask about",
    help="The path of a folder of pictures, or of a CSV file with a column `path` or `id`.",
)
CLASS_NAME = Option(
    name="class_name",
    default=None,
    kind=str,
    title="Or a class",
    help="Ask about every picture of this class of the index instead.",
)
KEEP_VERSIONS = Option(
    name="keep_versions",
    default=3,
    kind=int,
    minimum=1,
    maximum=10_000,
    title="Index versions",
    help="How many of the last published versions to keep. The current one and the last one built stay.",
)
KEEP_DAYS = Option(
    name="keep_days",
    default=30,
    kind=int,
    minimum=1,
    maximum=36_500,
    title="Days",
    help="How long to keep answers, the photos that they name, and Spark's event logs.",
)
DRY_RUN = Option(
    name="dry_run",
    default=False,
    kind=bool,
    title="Only say what would go",
    help="Nothing is removed; the task's log lists what would be.",
)

QUERY_OPTIONS = (QUERY, K, METHOD, SEED, OVERLAP)
INDEX_OPTIONS = (
    *(SOURCE, FOLDER, WEIGHTS, QUERY, K),
    *(LABEL_RULE, WITH_TEST, LIMIT, MAX_QUARANTINED, MIN_MATCHED, MAX_REMOVED, REPLACE),
    *(GEOMETRY, PRECISION, ENGINE, RUNTIME, FORMAT),
    *(RECALL, RECALL_AT, BUCKET_LENGTH, NUM_HASH_TABLES, CANDIDATES, LSH_SEED),
    *(METHOD, SEED, OVERLAP),
)
BATCH_OPTIONS = (QUESTIONS, CLASS_NAME, K)
HOUSEKEEPING_OPTIONS = (KEEP_VERSIONS, KEEP_DAYS, DRY_RUN)


_KINDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}


def check_option(option: Option, value: Any) -> None:
    """Raises LookalikeError if ``value`` is set and the option does not allow it."""
    if value is None and option.default is None:
        return
    low, high = option.minimum, option.maximum
    if not _is_of(option.kind, value):
        raise LookalikeError(f"{option.name} is {value!r}: give {_KINDS[option.kind]}.")
    if option.kind is str and not (option.default is None or value):
        raise LookalikeError(f"{option.name} is empty: give a text.")
    if option.kind is str and len(value) > option.longest:
        raise LookalikeError(f"{option.name} has {len(value):,} characters: give at most {option.longest:,}.")
    if option.choices and value not in option.choices:
        raise LookalikeError(f"{option.name} is {value!r}: choose one of {', '.join(option.choices)}.")
    if low is None:
        return
    within = low < value if option.exclusive else low <= value
    if high is not None:
        within = within and (value < high if option.exclusive else value <= high)
    if not (within and math.isfinite(value)):
        if option.exclusive:
            wanted = f"a number above {low}" + ("" if high is None else f" and below {high}")
        else:
            wanted = f"{low} or more" if high is None else f"{low} to {high:,}"
        raise LookalikeError(f"{option.name} is {value}: give {wanted}.")


def _is_of(kind: type, value: Any) -> bool:
    """A number may be given as an int; a bool is an int to Python, but not to people."""
    kinds = (int, float) if kind is float else kind
    return isinstance(value, kinds) and isinstance(value, bool) == (kind is bool)
