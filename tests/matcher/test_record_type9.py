"""Type-9 records without an INCITS 378 block: which kind they are, and two kinds with units and origin right."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gateway.matching import sample_files
from matcher.errors import MalformedRecord
from matcher.finger import record_fmr, synthetic
from matcher.finger.gallery import Gallery
from matcher.finger.probe import prepare
from matcher.finger.template import Minutiae
from tests.matcher.test_record_ansi_nist import RS, US, file, read, text

FINGER = synthetic.impression(synthetic.person(7), 2, 1)
UNIT = 1000 / 197  # hundredths of a millimetre in a pixel


def legacy(minutiae: Minutiae, **changed: str) -> dict[int, str]:
    """Return the fields that biomdi's fmr2an2k makes of a finger: y from the bottom, directions turned about."""
    rows = []
    for number, (xy, angle) in enumerate(zip(minutiae.xy, minutiae.angle, strict=True), 1):
        x, y = round(float(xy[0]) * UNIT), round((minutiae.height - float(xy[1])) * UNIT)
        turned = round(math.degrees(float(angle)) + 180) % 360
        rows.append(US.join([f"{number:03}", f"{x:04}{y:04}{turned:03}", "2", "A", "2,1"]))
    fields = {
        2: "00", 3: "6", 4: "S", 5: US.join(["EXISTING IMAGE", "A"]), 6: "02", 7: US.join(["T", "UN"]),
        10: str(len(rows)), 11: "1", 12: RS.join(rows),
    }  # fmt: skip
    return fields | {int(name[1:]): value for name, value in changed.items()}


def extended(minutiae: Minutiae, **changed: str) -> dict[int, str]:
    """Return the fields of the extended feature set: y from the top, directions as in INCITS 378."""
    rows = []
    for xy, angle in zip(minutiae.xy, minutiae.angle, strict=True):
        x, y = (round(float(each) * UNIT) for each in xy)
        rows.append(US.join([str(x), str(y), str(round(math.degrees(float(angle)))), "E", ""]))
    sides = [str(math.ceil(each * UNIT)) for each in (minutiae.width, minutiae.height)]
    fields = {
        2: "00", 3: "1", 4: "U", 300: US.join([*sides, "0", "0"]), 302: US.join(["2", "", "", ""]),
        331: RS.join(rows),
    }  # fmt: skip
    return fields | {int(name[1:]): value for name, value in changed.items()}


def view(fields: dict[int, str]) -> record_fmr.View:
    (found,) = read(file((9, text(9, fields))))
    return found


def around(angle: np.ndarray) -> np.ndarray:
    return np.abs((np.asarray(angle, dtype=np.float64) + np.pi) % (2 * np.pi) - np.pi)


@pytest.mark.parametrize(("fields", "impression"), [(legacy(FINGER), 6), (extended(FINGER), 1)])
def test_units_origin_and_direction_are_those_of_our_records(
    fields: dict[int, str], impression: int
) -> None:
    found = view(fields)

    apart = found.minutiae.xy - FINGER.xy
    assert (
        np.abs(apart - apart.mean(axis=0)).max() < 0.3
    )  # pixels; where the picture ends is not said
    assert around(found.minutiae.angle - FINGER.angle).max() < math.radians(0.6)
    assert (found.position, found.impression) == (2, impression)


@pytest.mark.parametrize("make", [legacy, extended])
def test_a_finger_matches_itself_through_either_kind(make: object) -> None:
    fields = make(FINGER)  # type: ignore[operator]
    opened = sample_files.opened(file((9, text(9, fields))))
    other = synthetic.impression(synthetic.person(7), 2, 2)
    people = Gallery()
    people.add(1, [(2, record_fmr.read(opened.samples[0].data).views[0].minutiae)])
    people.add(2, [(2, synthetic.impression(synthetic.person(8), 2, 1))])

    found = people.search(prepare([(2, other)]), 2)

    assert found.subject[0] == 1
    assert found.score[0] > 4


def test_the_qualities_of_before_2011_run_from_63_to_2() -> None:
    row = "{0:03}" + US + "01000100000" + US + "{1}" + US + "D"
    stated = [0, 1, 2, 32, 63]
    fields = legacy(FINGER, f10="5", f12=RS.join(row.format(n, q) for n, q in enumerate(stated, 1)))

    found = view(fields).minutiae

    assert found.quality.tolist() == [0, 0, 100, 51, 1]
    assert found.kind.tolist() == [0] * 5


def test_a_transaction_becomes_records_that_partners_read() -> None:
    both = file(
        (9, text(9, legacy(FINGER))), (9, text(9, extended(FINGER, f2="01", f3="25", f302="7")))
    )

    opened = sample_files.opened(both)

    assert [one.position for one in opened.samples] == [2, 7]
    assert [one.format.name for one in opened.samples] == [
        "ISO_19794_2_2005",
        "ISO_19794_2_2011",  # the earlier edition has no room for that impression
    ]
    records = [record_fmr.read(one.data) for one in opened.samples]
    assert [each.views[0].impression for each in records] == [6, 25]
    assert [each.format.name for each in records] == [one.format.name for one in opened.samples]


@pytest.mark.parametrize(
    ("field", "name"),
    [(13, "IAFIS"), (31, "Cogent"), (56, "Motorola"), (71, "MorphoTrak"), (100, "NEC"), (151, "Identix")],
)  # fmt: skip
def test_the_features_of_a_vendor_are_named_and_not_read(field: int, name: str) -> None:
    with pytest.raises(MalformedRecord, match=name):
        view({2: "00", 3: "0", 4: "U", field: "12345"})


@pytest.mark.parametrize(
    "fields",
    [
        legacy(FINGER, f10="3"), legacy(FINGER, f6="13"), legacy(FINGER, f12="001"),
        legacy(FINGER, f10="1", f12=US.join(["001", "01000100361", "0", "A"])),
        legacy(FINGER, f10="1", f12=US.join(["001", "0100010036", "0", "A"])),
        legacy(FINGER, f10="1", f12=US.join(["001", "01000100000", "64", "A"])),
        legacy(FINGER, f10="1", f12=US.join(["001", "01000100000", "0", "E"])),
        extended(FINGER, f302="20"), extended(FINGER, f300="10" + US + "10"), extended(FINGER, f300="0"),
        extended(FINGER, f331=US.join(["1", "1", "361", "E"])), extended(FINGER, f331=US.join(["1", "1"])),
        extended(FINGER, f331=US.join(["1", "1", "0", "A"])), extended(FINGER, f331=US.join(["-1", "1", "0", "E"])),
        extended(FINGER, f331=RS.join([US.join(["1", "1", "0", "E"])] * 256)),
        extended(FINGER, f300="99999" + US + "99999"),
        {2: "00", 3: "0", 4: "U"}, {2: "00", 4: "S", 12: "x"}, {2: "00", 3: "256", 4: "S", 12: "x"},
    ],
    ids=range(19),
)  # fmt: skip
def test_what_either_kind_has_no_meaning_for_is_refused(fields: dict[int, str]) -> None:
    with pytest.raises(MalformedRecord):
        view(fields)
