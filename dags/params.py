"""The forms that a person fills in to trigger a DAG: the options of jobs/base/options.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import Param

from jobs.base.options import BATCH_OPTIONS, HOUSEKEEPING_OPTIONS, INDEX_OPTIONS, QUERY_OPTIONS, Option

JSON_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean"}


def param(option: Option) -> Param:
    """A field of the form; its JSON schema refuses what the option doesn't allow."""
    kind = JSON_TYPES[option.kind]
    schema: dict[str, Any] = {
        "type": ["null", kind] if option.default is None else kind,
        "title": option.title,
        # In Airflow's form, letters of code are so large that they cover the line above.
        "description_md": option.help.replace("`", "**"),
    }
    if option.section:
        schema["section"] = option.section
    if option.choices:
        schema |= {"enum": list(option.choices), "values_display": dict(option.choices)}
    elif option.kind is str and option.default is not None:
        schema["minLength"] = 1
    for bound, value in (("minimum", option.minimum), ("maximum", option.maximum)):
        if value is not None:
            schema[f"exclusive{bound.capitalize()}" if option.exclusive else bound] = value
    if option.kind is str and not option.choices:
        schema["maxLength"] = option.longest
    if option.examples:
        schema["examples"] = list(option.examples)
    return Param(option.default, **schema)


def params(options: Sequence[Option]) -> dict[str, Param]:
    return {option.name: param(option) for option in options}


QUERY_PARAMS = params(QUERY_OPTIONS)
INDEX_PARAMS = params(INDEX_OPTIONS)
BATCH_PARAMS = params(BATCH_OPTIONS)
HOUSEKEEPING_PARAMS = params(HOUSEKEEPING_OPTIONS)
