#!/usr/bin/env bash
# Makes the virtual environment named by the first argument with Python 3.11 or newer (PYTHON=... chooses one).
set -euo pipefail
folder=$1

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
# Debian ships venv without ensurepip, its essential half, until a package of its own is installed.
can_make_venv() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }

candidates=(python3.11 python3 python3.12 python3.13 python3.14)
[ -n "${PYTHON:-}" ] && candidates=("$PYTHON")

python=
for candidate in "${candidates[@]}"; do
    is_new_enough "$candidate" || continue
    if can_make_venv "$candidate"; then
        python=$candidate
        break
    fi
    python=${python:-$candidate}
done

if [ -z "$python" ]; then
    echo "Python 3.11 or newer was not found (looked for: ${candidates[*]})." >&2
    echo "Install it, or name it: make PYTHON=/path/to/python3" >&2
    exit 1
fi
if ! can_make_venv "$python"; then
    version=$("$python" -c 'import sys; print("{}.{}".format(*sys.version_info))')
    "$(dirname "$0")/debian_packages.sh" "python$version-venv"
fi

# A broken environment (an upgraded Python leaves one) is replaced, and with it the notes of what was installed there.
"$python" -m venv --clear "$folder"
