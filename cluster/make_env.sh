#!/usr/bin/env bash
# Writes .env, once: fresh secrets that nobody else can read. What is in it already stays as it is.
set -euo pipefail
cd "$(dirname "$0")/.."
# Containers look into them as another user.
mkdir -p -m 755 inbox pictures
if [ -e .env ]; then exit; fi

random() { head -c "$1" /dev/urandom | base64 -w0 | tr '+/' '-_'; }

umask 077
cat > .env.new <<END
COMPOSE_PROJECT_NAME=lookalike

# Who may log in at first; more people are added in Airflow under Security.
AIRFLOW_USER=admin
AIRFLOW_PASSWORD=$(random 18)

POSTGRES_PASSWORD=$(random 30)
FERNET_KEY=$(random 32)
JWT_SECRET=$(random 66)
LOGS_SECRET=$(random 48)
SPARK_SECRET=$(random 48)

# The UI's port on 127.0.0.1, and how large the Spark cluster is: workers, cores and memory of each.
LOOKALIKE_PORT=8080
SPARK_WORKERS=2
SPARK_WORKER_CORES=1
SPARK_WORKER_MEMORY=1g

# Folders of this machine: where new pictures land, and others to be taken in, as the folder /pictures.
LOOKALIKE_INBOX=./inbox
LOOKALIKE_PICTURES=./pictures
END
mv .env.new .env
echo "Wrote .env with fresh secrets."
