"""Say in one line what this machine lacks for `make install`. Runs on any Python 3, also on one that is too old or too new.

usage: python images/preflight.py
"""

import importlib.util
import os
import shutil
import sys
import sysconfig

WANTED = (3, 11)
COMPILERS = ("c++", "g++", "clang++")


def lacks(version, include, compiler, has_venv):
    """What is missing, each with its remedy on Debian or Ubuntu.

    Args:
        version: Version of the interpreter, (major, minor).
        include: Folder where its C headers should be.
        compiler: Path of the C++ compiler, or None.
        has_venv: Whether the interpreter can make virtual environments that hold pip.
    """
    name = "python{}.{}".format(*WANTED)
    found = []
    if tuple(version) != WANTED:
        found.append("Python 3.11 is needed, but {} is {}.{}: make PYTHON=/path/to/python3.11".format(sys.executable, *version))
    elif not os.path.exists(os.path.join(include, "Python.h")):
        found.append(f"the headers of Python are missing: apt install {name}-dev")
    elif not has_venv:
        found.append(f"Python cannot make virtual environments: apt install {name}-venv")
    if compiler is None:
        found.append("no C++ compiler ({}): apt install g++".format(", ".join(COMPILERS)))
    return found


def main():
    """Exit with 1 and one line on standard error where something is missing."""
    found = lacks(
        sys.version_info[:2],
        sysconfig.get_paths()["include"],
        next(filter(None, map(shutil.which, [os.environ.get("CXX") or COMPILERS[0], *COMPILERS])), None),
        importlib.util.find_spec("ensurepip") is not None,
    )
    if found:
        sys.exit("cannot install: " + "; ".join(found))


if __name__ == "__main__":
    main()
