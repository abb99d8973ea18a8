"""The operation on calibrations: the adoption of one."""

from __future__ import annotations

from typing import Final

from gateway.operations.declaration import ALWAYS, Request, argument, operation
from gateway.operations.forms import reason, text
from gateway.operations.keys import OPERATORS

LONGEST: Final = (
    16_384  # characters of a calibration's file, as `gateway.matching.calibrations` reads it
)


@operation(
    "calibrations.adopt",
    roles=OPERATORS,
    two_persons=ALWAYS,
    plans=True,
    examples=(
        "passerelle calibrations adopt can model.json --dry-run",
        "passerelle calibrations adopt can model.json --reason 'fitted to captures of spring, report C-2026-17'",
        "passerelle proposals approve can P-0123456789abcdef --as p2   # another operator: then it counts",
    ),
)
class Adopt(Request):
    """Propose that scores of a face model or an iris coder are read by a calibration file. Another operator approves.

    It counts at once, in place of the one that counted: thresholds change for everybody who is searched for. To go back,
    adopt the file that counted before; `passerelle calibrations show --save` writes it, or the shipped one.
    """

    text: str = argument(text(rf"(?s).{{1,{LONGEST}}}", "the text as the file has it, unaltered"))
    reason: str = reason(help="Why it is to decide; for the ledger.", metavar="")
