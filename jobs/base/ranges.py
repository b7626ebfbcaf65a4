"""Numbers of a limited range, for the shapes of documents."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, FiniteFloat

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[FiniteFloat, Field(gt=0)]
