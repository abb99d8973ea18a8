"""A page of the documentation that is made of the sources: written, or held against what would be written."""

from __future__ import annotations

import sys
from pathlib import Path


def keep(place: Path, text: str, command: str) -> int:
    """Write the page, or with `--check` say whether it is current; return what the process ends with.

    command   what makes the page anew, for whoever reads that it is not current
    """
    if "--check" not in sys.argv[1:]:
        place.write_text(text, encoding="utf-8")
        return 0
    if place.is_file() and place.read_text(encoding="utf-8") == text:
        return 0
    sys.stderr.write(f"{place} is not current: run `{command}`\n")
    return 1
