# Sourced by every script: sets ROOT (the project) and PYTHON (.venv's, made or brought up to date if needed).
set -euo pipefail
ROOT="$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd -P)"
PYTHON="$ROOT/.venv/bin/python"

usable() { "$1" -I -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; }

base_python() {
    local name
    for name in python3 python3.13 python3.12 python3.11; do
        if usable "$name"; then
            echo "$name"
            return
        fi
    done
    echo "No Python 3.11, 3.12 or 3.13 with venv was found: install one (Debian: apt-get install python3-venv)." >&2
    return 1
}

if usable "$PYTHON"; then
    "$PYTHON" -I "$ROOT/scripts/_env.py"
else
    base="$(base_python)"
    "$base" -I "$ROOT/scripts/_env.py"
fi
