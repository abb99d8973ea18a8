"""A sample as its sender declared it, and the record inside it: both must say the same."""

from __future__ import annotations

from gateway.domain.messages import Sample
from gateway.errors import ElementsInconsistent, RecordUnparseable
from matcher.finger import record_fmr
from matcher.finger.template import MalformedRecord, Minutiae

PPI_PER_PPCM = 2.54  # 197 pixels per centimetre are 500 pixels per inch
PPI_TOLERANCE = 1  # pixels per inch; the record's whole pixels per centimetre cannot say more


def read_sample(sample: Sample, element: str) -> Minutiae:
    """Return the minutiae of a sample whose record says what its sender declared of it.

    Raises RecordUnparseable, or ElementsInconsistent naming the element that disagrees. A record that says
    position 0, unknown, takes the declared one.
    """
    try:
        record = record_fmr.read(sample.data)
    except MalformedRecord as fault:
        raise RecordUnparseable(element=f"{element}.data", why=str(fault)) from fault
    if int(record.format) != int(sample.format):
        raise ElementsInconsistent(element=f"{element}.format")
    if len(record.views) != 1:
        raise ElementsInconsistent(element=f"{element}.data")
    view = record.views[0]
    if view.position not in (0, sample.position):
        raise ElementsInconsistent(element=f"{element}.position")
    for name, declared, own in (
        ("width", sample.width, record.width),
        ("height", sample.height, record.height),
    ):
        if declared and declared != own:
            raise ElementsInconsistent(element=f"{element}.{name}")
    if sample.impression != view.impression:
        raise ElementsInconsistent(element=f"{element}.impression")
    for ppcm in (record.x_ppcm, record.y_ppcm):
        if sample.ppi and abs(sample.ppi - ppcm * PPI_PER_PPCM) > PPI_TOLERANCE:
            raise ElementsInconsistent(element=f"{element}.ppi")
    return view.minutiae
