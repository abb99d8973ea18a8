"""What counts of the calibrations that were adopted: those whose text is the one that the ledger has the digest of."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256

from gateway.errors import UserError
from gateway.matching import calibrations
from gateway.matching.calibrations import Calibration, Calibrations
from gateway.store import adopted_calibrations
from gateway.store.adopted_calibrations import Adoption
from gateway.store.engine import Reader

_REMEDY = "no calibration of it counts, the shipped one neither. Adopt the file again (passerelle calibrations adopt)"


@dataclass(frozen=True, slots=True, eq=False)
class Counting:
    """The calibrations that count, and why others do not.

    adoptions   the entry of each that was adopted, by model or coder, also of those that do not count
    texts       of those that were adopted and count, by model or coder, byte for byte
    faults      what was adopted and is not as it was, by model or coder: why, in words
    """

    calibrations: Calibrations
    adoptions: Mapping[str, Adoption]
    texts: Mapping[str, bytes]
    faults: Mapping[str, str]


def counting(reader: Reader) -> Counting:
    """Return what counts by the ledger and the texts of a store.

    Of a model whose adopted text is lost or altered none counts: to go back to the one that is shipped would decide by
    thresholds that nobody decided on.
    """
    adoptions, kept = adopted_calibrations.adopted(reader), adopted_calibrations.texts(reader)
    found: dict[str, Calibration] = {}
    faults: dict[str, str] = {}
    for model, adoption in sorted(adoptions.items()):
        try:
            found[model] = _read(adoption, kept.get(adoption.digest))
        except UserError as fault:
            faults[model] = f"{model}: {fault}; {_REMEDY}"
    return Counting(
        calibrations.shipped().replaced(found.values(), without=faults.keys()),
        adoptions,
        {model: kept[adoptions[model].digest] for model in found},
        faults,
    )


def known(reader: Reader) -> Mapping[str, Calibration]:
    """Return by id every calibration that can have decided here: those that are shipped, and each whose text is kept.

    An id has a part of its text's digest in it, so a text that was altered is another calibration, which no decision
    names.
    """
    found = {each.id: each for each in calibrations.shipped().each()}
    for text in adopted_calibrations.texts(reader).values():
        with suppress(UserError):  # a later release may take less than the one that adopted it
            one = calibrations.read(text)
            found[one.id] = one
    return found


def _read(adoption: Adoption, text: bytes | None) -> Calibration:
    """Return the calibration of a kept text; raises UserError where it is not the one that was adopted."""
    if text is None:
        raise UserError("the text that was adopted is kept nowhere")
    if sha256(text).hexdigest() != adoption.digest:
        raise UserError("the text that is kept is not the one that was adopted")
    found = calibrations.read(text)  # a later release may take less than the one that adopted it
    if found.model != adoption.model:
        raise UserError("the text that was adopted is of another model")
    return found
