"""Airflow's database, asked without loading all of Airflow."""

from __future__ import annotations

import os

import psycopg2
from psycopg2.extensions import connection


def connect() -> connection:
    """Raises psycopg2.OperationalError if it isn't there or knows another password."""
    url = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "")
    return psycopg2.connect(url, connect_timeout=5)
