#!/usr/bin/env bash
# Writes .env with new secrets, readable by this user only. An existing .env is kept; it gets what it lacks.
set -euo pipefail
cd "$(dirname "$0")/.."
# Containers read them as another user.
mkdir -p -m 755 inbox pictures
random() { head -c "$1" /dev/urandom | base64 -w0 | tr '+/' '-_'; }

if [ -e .env ]; then
    # Of an earlier release.
    grep -q '^SEARCH_SECRET=' .env || printf '\nSEARCH_SECRET=%s\n' "$(random 48)" >> .env
    exit
fi

umask 077
cat > .env.new <<END
COMPOSE_PROJECT_NAME=lookalike

# The first user; add more people in Airflow under Security.
AIRFLOW_USER=admin
AIRFLOW_PASSWORD=$(random 18)

POSTGRES_PASSWORD=$(random 30)
FERNET_KEY=$(random 32)
JWT_SECRET=$(random 66)
LOGS_SECRET=$(random 48)
SPARK_SECRET=$(random 48)
SEARCH_SECRET=$(random 48)

# The UI's port on 127.0.0.1.
LOOKALIKE_PORT=8080

# What the tasks may take, all together.
SCHEDULER_CORES=2
SCHEDULER_MEMORY=6g

# The Spark cluster: how many workers; cores, Spark's memory and all memory of each.
SPARK_WORKERS=2
SPARK_WORKER_CORES=1
SPARK_WORKER_MEMORY=1g
SPARK_WORKER_LIMIT=3g

# Folders of this machine: where new pictures land, and your own pictures, which containers see as /pictures.
LOOKALIKE_INBOX=./inbox
LOOKALIKE_PICTURES=./pictures
END
mv .env.new .env
echo "Wrote .env with new secrets."
