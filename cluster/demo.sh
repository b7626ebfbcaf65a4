#!/usr/bin/env bash
# Runs the demo in a container of its own and copies its montage here.
set -euo pipefail
cd "$(dirname "$0")/.."
answer=$(cluster/compose.sh run --rm -T init python -m cluster.demo | tee /dev/stderr | sed -n 's/^answer *//p')
cluster/compose.sh exec -T api-server cat "$answer/montage.png" > cluster-montage.png
echo "montage   $PWD/cluster-montage.png"
