"""Stop with a remedy where the Python is too old; runs before anything is installed."""

import sys

if sys.version_info < (3, 11):
    sys.exit(
        "passerelle: this is Python "
        + ".".join(map(str, sys.version_info[:2]))
        + " and 3.11 or later is needed; name one: make PYTHON=python3.12 ..."
    )
