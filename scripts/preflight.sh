#!/usr/bin/env bash
# Prints one line about what this machine lacks, before anything is downloaded.
set -eu

# Airflow expands or cuts these in its settings, and a colon parts Python's search path.
case $PWD in
    *[%?\$:]*)
        echo "error: the path of this checkout has one of the characters % ? \$ : ($PWD): move it." >&2
        exit 1
        ;;
esac
python=${PYTHON:-python3}
if ! command -v "$python" >/dev/null; then
    echo "error: $python is not installed: install Python 3.11 with its venv module." >&2
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'; then
    echo "error: $("$python" --version) is not supported: install Python 3.11, or choose it with make PYTHON=python3.11 ..." >&2
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then
    echo "note: $("$python" --version) may work, but only Python 3.11 is tested." >&2
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    echo "error: $python has no venv module: install it (Debian: apt-get install python3-venv)." >&2
    exit 1
fi
java=java
[ -n "${JAVA_HOME:-}" ] && java=$JAVA_HOME/bin/java
if ! command -v "$java" >/dev/null; then
    echo "error: Java is not installed, and Spark needs it: install Java 17 (Debian: apt-get install openjdk-17-jre-headless)." >&2
    exit 1
fi
version=$("$java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -1)
case $version in
    17) ;;
    21) echo "note: Java 21 may work, but only Java 17 is tested." >&2 ;;
    *)
        echo "error: Java ${version:-of unknown version} does not work with Spark: install Java 17, and set JAVA_HOME to it." >&2
        exit 1
        ;;
esac
