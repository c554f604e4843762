"""Build the extension modules; everything else is in pyproject.toml.

``FASTSOCKS_BUILD``        ``pure``: no extension modules, needs no compiler and no Cython;
                           ``strict``: warnings of Cython and of the C compiler are errors.
``FASTSOCKS_OPENSSL_DIR``  prefix of a static OpenSSL to link; else the system's is taken.
"""

import os
import sys
from pathlib import Path

from setuptools import setup

# PEP 517 front ends leave the directory of setup.py out of the path.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from build_support.extensions import BuildExtensions, find_extensions

build = os.environ.get("FASTSOCKS_BUILD") or "default"
if build not in ("default", "pure", "strict"):
    sys.exit(f"FASTSOCKS_BUILD={build!r}: use pure or strict, or leave it unset")

setup(
    ext_modules=[] if build == "pure" else find_extensions(),
    cmdclass={"build_ext": BuildExtensions},
)
