"""Stop with a remedy where the Python is too old or too new; runs before anything is installed, on any Python.

The range stands in pyproject.toml and nowhere else: from the oldest Python that the sources need to the newest for
which every package of the lock has a wheel, as `make lock` makes sure.
"""

import io
import os
import re
import sys

PYPROJECT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "pyproject.toml")
RANGE = re.compile(r'^requires-python = ">=3\.([0-9]+),<3\.([0-9]+)"$', re.MULTILINE)


def supported():
    """Return every supported version of Python 3, oldest first: minor numbers."""
    with io.open(PYPROJECT, encoding="utf-8") as file:
        oldest, beyond = RANGE.search(file.read()).groups()
    return list(range(int(oldest), int(beyond)))


if __name__ == "__main__":
    minors = supported()
    if tuple(sys.version_info[:2]) not in [(3, minor) for minor in minors]:
        sys.exit(
            "passerelle: this is Python %d.%d and one from 3.%d to 3.%d is needed; name one: make PYTHON=python3.%d ..."
            % (sys.version_info[0], sys.version_info[1], minors[0], minors[-1], minors[0])
        )
