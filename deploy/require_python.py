"""Stop with a remedy where the Python is too old; runs before anything is installed."""

import sys

if sys.version_info < (3, 11):
    sys.exit("Passerelle needs Python 3.11 or later; say `make PYTHON=python3.12 …` to name one.")
