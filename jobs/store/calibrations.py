"""Calibrations: ``calibrations/<hash of what they were chosen for>/``, how to hash and what that promises.

Each folder holds ``choice.json``, ``reduction`` (the saved PCAModel), ``moments.npz`` and, for each set of
vectors that it was checked on, ``checks/<vectors>.json``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from jobs.base.atomic import in_use, write_text
from jobs.base.errors import LookalikeError
from jobs.base.ranges import Count, Share
from jobs.lsh.choice import Choice, Moments, Prediction
from jobs.store.arrays import load_arrays, save_arrays
from jobs.store.documents import read_document, write_document
from jobs.store.root import CURRENT, DataRoot, name_or_pointer

FORMAT = 2
"""Of ``choice.json`` and the checks."""
MOMENTS_FORMAT = 1
REMEDY = "delete that folder and run the step calibrate again"


class Target(TypedDict):
    """What a calibration is for; equal ones may share it."""

    fingerprint: str
    """The model that made the vectors."""
    k: Count
    target: Share
    """Recall@k to reach."""
    seed: Annotated[int, Field(ge=0)]


class Chosen(TypedDict):
    """``choice.json``."""

    target: Target
    choice: Choice | None
    """None: too few pictures, search is exact."""


class Check(TypedDict):
    """``checks/<vectors>.json``."""

    pictures: Count
    prediction: Prediction | None


@dataclass(frozen=True)
class Calibration:
    """One calibration."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def reduction(self) -> Path:
        """The saved PCAModel."""
        return self.folder / "reduction"

    def moments(self) -> Moments:
        """Raises LookalikeError if they are missing, corrupt or of another format."""
        return load_arrays(self.folder / "moments.npz", Moments, MOMENTS_FORMAT, REMEDY)

    def save_moments(self, moments: Moments) -> None:
        save_arrays(self.folder / "moments.npz", moments, MOMENTS_FORMAT)

    def chosen(self) -> Chosen:
        """Raises LookalikeError if it is missing, corrupt or of another format."""
        try:
            return read_document(self.folder / "choice.json", Chosen, FORMAT, REMEDY)
        except FileNotFoundError as error:
            raise LookalikeError(
                f"{self.folder} holds no calibration: run the step calibrate again."
            ) from error

    def check_whole(self) -> None:
        """Raises LookalikeError if something that hashing needs is missing or corrupt."""
        if self.chosen()["choice"]:
            self.moments()
            if not (self.reduction / "data").is_dir():
                raise LookalikeError(f"{self.reduction} is missing: {REMEDY}.")

    def describe(self, target: Target, choice: Choice | None) -> None:
        value = {"target": target, "choice": choice and asdict(choice)}
        write_document(self.folder / "choice.json", value, FORMAT)

    def check(self, vectors: str) -> Check:
        """What it promises for these vectors. Raises LookalikeError if it was not checked on them."""
        try:
            return read_document(self._check_file(vectors), Check, FORMAT, REMEDY)
        except FileNotFoundError as error:
            raise LookalikeError(
                f"{self.folder} was not checked on the vectors {vectors}: run the step calibrate on them."
            ) from error

    def record_check(self, vectors: str, pictures: int, prediction: Prediction | None) -> None:
        value = {"pictures": pictures, "prediction": prediction and asdict(prediction)}
        write_document(self._check_file(vectors), value, FORMAT)

    def is_checked(self, vectors: str) -> bool:
        return self._check_file(vectors).is_file()

    def _check_file(self, vectors: str) -> Path:
        return self.folder / "checks" / f"{vectors}.json"


def open_calibration(root: DataRoot, name: str = CURRENT) -> Calibration:
    """The calibration of that name, or the last one; it counts as used.

    Raises LookalikeError if there is none.
    """
    calibration = Calibration(root.calibrations / name_or_pointer(root.calibrations, name, "calibrate"))
    if not in_use(calibration.folder):
        raise LookalikeError(f"{calibration.folder} is missing: run the step calibrate again.")
    return calibration


def point_to_calibration(root: DataRoot, calibration: Calibration) -> None:
    """Make it the one that the next run checks first and that a step run by hand uses."""
    write_text(root.calibrations / CURRENT, calibration.name + "\n")
