# One image for Airflow and Spark, so that driver and executors have the same Python, pyspark and Java.
# What changes seldom comes first: a change of code rebuilds in seconds.
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE}

RUN apt-get update \
    && apt-get install -y --no-install-recommends openjdk-17-jre-headless \
    && rm -rf /var/lib/apt/lists/*

COPY requirements-cluster.lock /opt/lookalike/
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --quiet --disable-pip-version-check --no-cache-dir --require-hashes \
        -r /opt/lookalike/requirements-cluster.lock

# Volumes take over the owner of what they are mounted on.
RUN useradd --uid 50000 --create-home lookalike \
    && install -d -o lookalike -g lookalike /data /data/inbox /opt/airflow /opt/airflow/logs \
        /opt/spark-conf /opt/weights /opt/weights/hub /opt/weights/hub/checkpoints

ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/opt/lookalike \
    PYTHONUNBUFFERED=1 \
    LOOKALIKE_DATA=/data \
    TORCH_HOME=/opt/weights \
    SPARK_CONF_DIR=/opt/spark-conf \
    # The code is not the user's to write to, and compiled functions would be kept beside it.
    NUMBA_CACHE_DIR=/tmp/numba \
    AIRFLOW_HOME=/opt/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/lookalike/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/lookalike/plugins \
    AIRFLOW__CORE__LOAD_EXAMPLES=False \
    AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION=False

COPY weights /opt/weights/hub/checkpoints
COPY cluster /opt/lookalike/cluster
COPY scripts /opt/lookalike/scripts
COPY jobs /opt/lookalike/jobs
COPY service /opt/lookalike/service
COPY plugins /opt/lookalike/plugins
COPY dags /opt/lookalike/dags

WORKDIR /opt/lookalike
USER lookalike
