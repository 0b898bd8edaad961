"""Print one variable of a MATLAB file as libmatio reads it: ``python read_with_matio.py FILE NAME`` -> JSON.

A process of its own, since libmatio brings a second libhdf5.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import json
import sys

import numpy as np

# matio.h: enum matio_classes.
CLASSES = dict(
    enumerate(
        (
            "char",
            "sparse",
            "double",
            "single",
            "int8",
            "uint8",
            "int16",
            "uint16",
            "int32",
            "uint32",
            "int64",
            "uint64",
        ),
        start=4,
    )
)


class Variable(ctypes.Structure):
    """The public part of matio.h's ``matvar_t``."""

    _fields_ = (
        ("nbytes", ctypes.c_size_t),
        ("rank", ctypes.c_int),
        ("data_type", ctypes.c_int),
        ("data_size", ctypes.c_int),
        ("class_type", ctypes.c_int),
        ("is_complex", ctypes.c_int),
        ("is_global", ctypes.c_int),
        ("is_logical", ctypes.c_int),
        ("dims", ctypes.POINTER(ctypes.c_size_t)),
        ("name", ctypes.c_char_p),
        ("data", ctypes.c_void_p),
    )


def read(file: str, name: str) -> dict[str, object]:
    matio = ctypes.CDLL(ctypes.util.find_library("matio"))
    matio.Mat_Open.restype = ctypes.c_void_p
    matio.Mat_Open.argtypes = (ctypes.c_char_p, ctypes.c_int)
    matio.Mat_VarRead.restype = ctypes.POINTER(Variable)
    matio.Mat_VarRead.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
    opened = matio.Mat_Open(file.encode(), 0)
    found = matio.Mat_VarRead(opened, name.encode())
    if not found:
        raise SystemExit(f"libmatio finds no {name} in {file}")
    variable = found.contents
    shape = [variable.dims[axis] for axis in range(variable.rank)]
    matlab_class = CLASSES[variable.class_type]
    dtype = {"char": "u2", "single": "f4", "double": "f8"}.get(matlab_class, matlab_class)
    array = np.frombuffer(ctypes.string_at(variable.data, variable.nbytes), dtype).reshape(shape, order="F")
    return {
        "class": "logical" if variable.is_logical else matlab_class,
        "shape": shape,
        "values": array.ravel(order="C").tolist(),
    }


if __name__ == "__main__":
    print(json.dumps(read(*sys.argv[1:])))
