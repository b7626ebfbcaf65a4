#!/usr/bin/env bash
# Runs whichever Compose this machine has, in the project's folder.
set -euo pipefail
cd "$(dirname "$0")/.."
if docker compose version >/dev/null 2>&1; then
    exec docker compose "$@"
elif command -v docker-compose >/dev/null; then
    exec docker-compose "$@"
fi
echo "error: Docker Compose is not installed: install Docker with Compose 1.29 or 2." >&2
exit 1
