#!/usr/bin/env bash
# Builds the image, starts every container, waits until all are healthy and prints the address.
set -euo pipefail
cd "$(dirname "$0")/.."
compose=cluster/compose.sh
PATIENCE_S=300

# A strict umask leaves a checkout like that.
closed=$(find dags jobs plugins cluster scripts weights -name __pycache__ -prune \
    -o \( -type d ! -perm -o=rx -o -type f ! -perm -o=r \) -print -quit)
if [ -n "$closed" ]; then
    echo "error: $closed is not readable for all users, and containers run as user 50000:" \
        "chmod -R a+rX dags jobs plugins cluster scripts weights" >&2
    exit 1
fi
if ! docker info >/dev/null 2>&1; then
    echo "error: Docker does not answer: install and start it, and check that you may use it (docker info)." >&2
    exit 1
fi
cluster/make_env.sh
# The environment overrides .env, as it does for Compose.
setting() { printenv "$1" || sed -n "s/^$1=//p" .env; }
for folder in "$(setting LOOKALIKE_INBOX)" "$(setting LOOKALIKE_PICTURES)"; do
    if [ -d "$folder" ] && [ -z "$(find -L "$folder" -maxdepth 0 -perm -o=rx)" ]; then
        echo "warning: containers can't read $folder: chmod -R a+rX $folder" >&2
    fi
done

echo "Building the image (about 8 GB with PyTorch; some minutes the first time) ..."
$compose build --quiet
if ! $compose up --detach --scale spark-worker="$(setting SPARK_WORKERS)"; then
    $compose logs --tail=3 init >&2
    exit 1
fi

echo "Waiting until all are healthy ..."
until_s=$((SECONDS + PATIENCE_S))
unhealthy() {
    $compose ps --quiet | xargs docker inspect \
        --format '{{.Name}} {{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{end}} {{.State.ExitCode}}' \
        | grep -v -e ' running healthy ' -e '-init[-_]1 exited  0$' -e '_init_1 exited  0$' || true
}
while [ -n "$(unhealthy)" ]; do
    if [ $SECONDS -ge $until_s ]; then
        echo "error: not healthy within $PATIENCE_S s; see make logs:" >&2
        unhealthy >&2
        exit 1
    fi
    sleep 2
done
cat <<END

  address   http://127.0.0.1:$(setting LOOKALIKE_PORT)/dags/similarity_index
  user      $(setting AIRFLOW_USER)
  password  in .env: AIRFLOW_PASSWORD

Pictures that land in $(setting LOOKALIKE_INBOX) are indexed automatically. make down stops it.
END
