#!/usr/bin/env bash
# Writes constraints.txt anew: the newest versions that satisfy all extras together, as pip chose them.
# Run the tests afterwards; the versions count as tested only then.
set -euo pipefail
cd "$(dirname "$0")/.."

torch=2.13.0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"${PYTHON:-python3}" -m venv "$folder/venv"
echo "torch==$torch" >"$folder/constraints.txt"
PIP_CONSTRAINT="$folder/constraints.txt" "$folder/venv/bin/python" -m pip install --progress-bar off ".[all,bench,dev]"

{
    cat <<'HEADER'
# The versions that the tests ran with, those of indirect dependencies included. Every documented set-up command uses
# them: pip install -c constraints.txt ... Written by scripts/make_constraints.sh.
HEADER
    # A local suffix such as +cpu names one build; the constraint accepts every build of that version.
    "$folder/venv/bin/python" -m pip freeze --exclude napari-scutoid | sed -E 's/\+[a-z0-9.]+$//'
} >constraints.txt.part
mv constraints.txt.part constraints.txt
