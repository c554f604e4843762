"""Build the extension modules; everything else is in pyproject.toml.

``FASTSOCKS_BUILD``        ``pure``: no extension modules, needs no compiler and no Cython;
                           ``strict``: warnings of Cython and of the C compiler are errors;
                           ``sanitize``, ``threads``, ``fuzz``, ``coverage``: see
                           build_support/variants.py.
``FASTSOCKS_OPENSSL_DIR``  prefix of a static OpenSSL to link; else the system's is taken.
"""

import sys
from pathlib import Path

from setuptools import setup

# PEP 517 front ends leave the directory of setup.py out of the path.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from build_support.extensions import BuildExtensions, find_extensions
from build_support.variants import chosen

setup(
    ext_modules=find_extensions() if chosen() else [],
    cmdclass={"build_ext": BuildExtensions},
)
