"""A connection to Airflow's database, without loading all of Airflow."""

from __future__ import annotations

import os

import psycopg2
from psycopg2.extensions import connection


def connect() -> connection:
    """Raises psycopg2.OperationalError if the database is down or has another password."""
    url = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "")
    return psycopg2.connect(url, connect_timeout=5)
