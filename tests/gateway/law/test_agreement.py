"""Agreement files: what is understood becomes law here, what is not is refused whole."""

from __future__ import annotations

import hashlib
import tomllib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.law.agreement import (
    MAX_BYTES,
    Agreement,
    MalformedAgreement,
    Quota,
    load_agreements,
    packaged,
    parse,
)
from gateway.terms import Modality, Purpose

PLAIN = """\
[agreement]
id = "au"
version = 1
title = "An arrangement"
division = 3
home = "CAN"
partner = "AUS"
in_force = 2026-01-01
until = 2031-01-01

[answer.purposes]
CITIZENSHIP = "IRPR 315.41(1)(c)"

[ask.purposes]
VISA_PERMIT_BENEFIT = "IRPR 315.4(1)(a)"

[modalities]
FINGER = "IRPR 315.38"

[references]
PRIOR_TRANSACTION = "IRPR 315.38"

[search]
fpir = 1e-4

[quota]
day = 10
year = 100
"""


def with_line(old: str, new: str) -> bytes:
    assert old in PLAIN
    return PLAIN.replace(old, new).encode()


def refused(text: bytes) -> MalformedAgreement:
    with pytest.raises(MalformedAgreement) as caught:
        parse(text, "au.toml")
    assert caught.value.file == "au.toml"
    return caught.value


def test_a_file_becomes_an_agreement_that_says_the_same() -> None:
    agreement = parse(PLAIN.encode(), "au.toml")

    assert agreement.name == "au@1"
    assert agreement.rule("search.fpir") == "au@1:search.fpir"
    assert agreement.in_force == datetime(2026, 1, 1, tzinfo=UTC)
    assert agreement.until == datetime(2031, 1, 1, tzinfo=UTC)
    assert agreement.answer_purposes == {Purpose.CITIZENSHIP: "IRPR 315.41(1)(c)"}
    assert agreement.ask_purposes == {Purpose.VISA_PERMIT_BENEFIT: "IRPR 315.4(1)(a)"}
    assert agreement.modalities == {Modality.FINGER: "IRPR 315.38"}
    assert agreement.prior_transaction == "IRPR 315.38"
    assert agreement.quota == Quota(10, 100)
    assert agreement.fpir == 1e-4
    assert agreement.digest == hashlib.sha256(PLAIN.encode()).hexdigest()


def test_what_was_read_cannot_be_changed() -> None:
    agreement = parse(PLAIN.encode())

    with pytest.raises(TypeError):
        agreement.answer_purposes[Purpose.DATA_ACCURACY] = "IRPR 1"  # type: ignore[index]


def test_what_may_be_left_out_may_be_left_out() -> None:
    text = with_line("until = 2031-01-01\n", "")
    text = text.replace(b'[references]\nPRIOR_TRANSACTION = "IRPR 315.38"\n', b"")

    agreement = parse(text)

    assert agreement.until is None
    assert agreement.prior_transaction == ""


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('id = "au"', 'id = "au"\nremark = "x"', "agreement.remark"),
        ("[quota]", "[quotas]\n[quota]", "quotas"),
        ("[quota]", "[quota]\nhour = 1", "quota.hour"),
        ("[answer.purposes]", "[answer.fields]\n[answer.purposes]", "answer.fields"),
        ("CITIZENSHIP", "CITIZENSHIPS", "answer.purposes.CITIZENSHIPS"),
        ("CITIZENSHIP", "NONE", "answer.purposes.NONE"),
        ("FINGER", "PALM", "modalities.PALM"),
        ("PRIOR_TRANSACTION", "ANY_TRANSACTION", "references.ANY_TRANSACTION"),
        ('"IRPR 315.41(1)(c)"', '""', "answer.purposes.CITIZENSHIP"),
        ('"IRPR 315.41(1)(c)"', "true", "answer.purposes.CITIZENSHIP"),
        ('"IRPR 315.41(1)(c)"', '"because"', "answer.purposes.CITIZENSHIP"),
        ('FINGER = "IRPR 315.38"', "", "modalities"),
        ("fpir = 1e-4", "fpir = 0.0", "search.fpir"),
        ("fpir = 1e-4", "fpir = 1.0", "search.fpir"),
        ("fpir = 1e-4", "fpir = nan", "search.fpir"),
        ("fpir = 1e-4", 'fpir = "1e-4"', "search.fpir"),
        ("fpir = 1e-4", "", "search.fpir"),
        ("until = 2031-01-01", "until = 2026-01-01", "agreement.until"),
        ("until = 2031-01-01", "until = 2031-01-01T00:00:00Z", "agreement.until"),
        ("in_force = 2026-01-01", 'in_force = "2026-01-01"', "agreement.in_force"),
        ("version = 1", "version = 0", "agreement.version"),
        ("version = 1", "version = true", "agreement.version"),
        ("version = 1", "version = 2147483648", "agreement.version"),
        ("day = 10", "day = 0", "quota.day"),
        ("day = 10", "day = 101", "quota.year"),
        ('partner = "AUS"', 'partner = "CAN"', "agreement.partner"),
        ('partner = "AUS"', 'partner = "australia"', "agreement.partner"),
        ('id = "au"', 'id = "AU"', "agreement.id"),
        ('title = "An arrangement"', 'title = ""', "agreement.title"),
        ("[search]\nfpir = 1e-4", "", "search"),
    ],
)
def test_a_file_with_one_wrong_line_is_refused_and_the_key_is_named(
    old: str, new: str, key: str
) -> None:
    fault = refused(with_line(old, new))

    assert fault.key == key
    assert key in str(fault)


def test_a_table_that_is_no_table_is_refused() -> None:
    text = with_line("[quota]\nday = 10\nyear = 100", "")

    assert refused(b"quota = 3\n" + text).key == "quota"
    purposes = with_line('[ask.purposes]\nVISA_PERMIT_BENEFIT = "IRPR 315.4(1)(a)"', "")
    assert refused(purposes + b"[ask]\npurposes = 3\n").key == "ask.purposes"


def test_an_agreement_that_permits_nothing_is_refused() -> None:
    text = with_line('CITIZENSHIP = "IRPR 315.41(1)(c)"', "").replace(
        b'VISA_PERMIT_BENEFIT = "IRPR 315.4(1)(a)"', b""
    )

    assert refused(text).key == "answer.purposes"


def test_one_direction_alone_is_an_agreement() -> None:
    agreement = parse(with_line('CITIZENSHIP = "IRPR 315.41(1)(c)"', ""))

    assert not agreement.answer_purposes


def test_the_complaint_names_the_line() -> None:
    wanted = PLAIN.splitlines().index('CITIZENSHIP = "IRPR 315.41(1)(c)"') + 1

    fault = refused(with_line('"IRPR 315.41(1)(c)"', '"no paragraph"'))

    assert fault.line == wanted
    assert f"au.toml line {wanted}: answer.purposes.CITIZENSHIP" in str(fault)


def test_a_missing_key_is_sought_at_its_table() -> None:
    wanted = PLAIN.splitlines().index("[search]") + 1

    assert refused(with_line("fpir = 1e-4", "")).line == wanted


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (b"a = 1\nb = = 2\n", 2),
        (b"a = [\n", 2),
        (b"\xff", 0),
        (b"[" * 5000, 1),
        (b"x" * (MAX_BYTES + 1), 0),
    ],
)
def test_what_is_no_toml_is_refused_with_its_line(text: bytes, line: int) -> None:
    assert refused(text).line == line


def test_toml_nested_without_end_is_refused() -> None:
    assert refused(b"a = " + b"[" * 30_000)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_bytes_do_anything_but_be_refused(text: bytes) -> None:
    with pytest.raises(MalformedAgreement):
        parse(text)


@given(st.integers(0, len(PLAIN) - 1), st.integers(1, 255))
def test_a_flipped_byte_is_refused_or_stands_in_the_digest(at: int, mask: int) -> None:
    octets = bytearray(PLAIN.encode())
    octets[at] ^= mask
    try:
        agreement = parse(bytes(octets))
    except MalformedAgreement:
        return
    assert agreement.digest != parse(PLAIN.encode()).digest


def version(number: int, start: str, end: str = "") -> bytes:
    return (
        PLAIN.replace("version = 1", f"version = {number}")
        .replace("in_force = 2026-01-01", f"in_force = {start}")
        .replace("until = 2031-01-01", f"until = {end}" if end else "")
        .encode()
    )


def in_force(versions: tuple[Agreement, ...], moment: str) -> list[int]:
    now = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    return [agreement.version for agreement in versions if agreement.covers(now)]


def test_a_version_ends_where_its_successor_begins() -> None:
    loaded = load_agreements(
        {"a.toml": version(1, "2026-01-01"), "b.toml": version(2, "2026-06-01", "2027-01-01")}
    )["au"]

    assert in_force(loaded, "2025-12-31") == []
    assert in_force(loaded, "2026-05-31T23:59:59") == [1]
    assert in_force(loaded, "2026-06-01") == [2]
    assert in_force(loaded, "2027-01-01") == []


@given(st.permutations([2026, 2027, 2028]), st.integers(2025, 2029))
def test_two_versions_are_never_in_force_at_one_moment(starts: list[int], year: int) -> None:
    texts = {f"{n}.toml": version(n, f"{start}-01-01") for n, start in enumerate(starts, 1)}

    loaded = load_agreements(texts)["au"]

    assert len(in_force(loaded, f"{year}-06-01")) <= 1
    assert in_force(loaded, "2029-06-01") == [3]


def test_two_files_of_one_version_are_refused() -> None:
    with pytest.raises(MalformedAgreement, match="another file"):
        load_agreements({"a.toml": PLAIN.encode(), "b.toml": PLAIN.encode()})


def test_versions_of_one_agreement_have_the_same_parties() -> None:
    other = version(2, "2027-01-01").replace(b'"AUS"', b'"NZL"')

    with pytest.raises(MalformedAgreement, match="names others"):
        load_agreements({"a.toml": PLAIN.encode(), "b.toml": other})


# law.md table 3.1, typed out: the oracle of the files that travel with Passerelle.
DIVISION_3_ANSWER = {
    Purpose.VISA_PERMIT_BENEFIT: "IRPR 315.41(1)(a)",
    Purpose.TRAVEL_ENTER_REMAIN: "IRPR 315.41(1)(b)",
    Purpose.CITIZENSHIP: "IRPR 315.41(1)(c)",
    Purpose.REFUGEE_CLAIM_BY_CANADIAN_PR: "IRPR 315.41(1)(d)",
}
DIVISION_3_ASK = {
    Purpose.VISA_PERMIT_BENEFIT: "IRPR 315.4(1)(a)",
    Purpose.TRAVEL_ENTER_REMAIN: "IRPR 315.4(1)(b)",
}


@pytest.mark.parametrize(("name", "partner"), [("au", "AUS"), ("nz", "NZL"), ("uk", "GBR")])
def test_the_packaged_agreements_are_division_3(name: str, partner: str) -> None:
    (agreement,) = load_agreements(packaged())[name]

    assert (agreement.home, agreement.partner, agreement.division) == ("CAN", partner, 3)
    assert agreement.answer_purposes == DIVISION_3_ANSWER
    assert agreement.ask_purposes == DIVISION_3_ASK
    assert agreement.modalities == {Modality.FINGER: "IRPR 315.38"}
    assert agreement.fpir == 1e-4
    assert agreement.quota == Quota(4_384, 400_000)
    assert agreement.in_force == datetime(2026, 1, 1, tzinfo=UTC)


def test_every_permission_of_a_packaged_file_has_its_paragraph_in_the_regulation(
    shared: object,
) -> None:
    """The sections that the files cite stand in Part 19.1."""
    text = (shared / "reference" / "irpr-part-19.1.txt").read_text()  # type: ignore[operator]
    for octets in packaged().values():
        tree = tomllib.loads(octets.decode())
        cited = [*tree["answer"]["purposes"].values(), *tree["ask"]["purposes"].values()]
        cited += [*tree["modalities"].values(), *tree["references"].values()]
        for paragraph in cited:
            assert f"\n {paragraph.removeprefix('IRPR ').split('(')[0]} " in text
