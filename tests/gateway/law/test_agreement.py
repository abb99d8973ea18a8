"""Agreement files: what is understood becomes law here, what is not is refused whole."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.messages import Modality, Purpose
from gateway.domain.person import Caveat, FieldCode, Ground
from gateway.law import agreement_parser, toml_reader
from gateway.law.agreement import Band
from gateway.law.agreement_parser import parse
from gateway.law.legal_status import Row
from gateway.law.quota_policy import Quota, Quotas
from gateway.law.toml_reader import MAX_BYTES, MalformedAgreement

PLAIN = """\
[agreement]
format = 2
id = "au"
version = 1
title = "An arrangement"
division = 3
home = "CAN"
partner = "AUS"
in_force = 2026-01-01
until = 2031-01-01

[[parties.home]]
name = "Minister"
since = 2014-01-01
paragraph = "IRPR 315.36"

[[parties.partner]]
name = "Department of Before"
since = 2014-01-01
paragraph = "IRPR 315.36"

[[parties.partner]]
name = "Department of After"
since = 2020-01-01
successor_of = "Department of Before"
paragraph = "IRPR 315.36"

[countries]
home = ["CAN"]
partner = ["AUS", "NFK"]

[status]
max_age_days = 365
paragraph = "IRPR 315.39"

[modalities]
FINGER = "IRPR 315.38"

[references]
PRIOR_TRANSACTION = "IRPR 315.38"

[search]
fpir = 1e-4

[review]
floor_fpir = 1e-2
persons = 2
paragraph = "IRPR 315.39"

[disclosure]
single_step = false
paragraph = "IRPR 315.39"

[disclosure.caveats]
ONWARD = "Not to be passed on."

[answer.purposes]
CITIZENSHIP = "IRPR 315.41(1)(c)"

[answer.reveal.FOREIGN_NATIONAL]
UNDECLARED = { reveal = true, paragraph = "IRPR 315.36" }
DECLARED = { reveal = false, paragraph = "IRPR 315.36" }

[answer.reveal.CLAIMANT]
ALWAYS = { reveal = false, paragraph = "IRPR 315.36" }

[answer.reveal.PERMANENT_RESIDENT]
ALWAYS = { reveal = false, paragraph = "IRPR 315.36" }

[answer.reveal.PARTNER_PERMANENT_RESIDENT]
ALWAYS = { reveal = false, paragraph = "IRPR 315.36" }

[answer.reveal.CITIZEN]
ALWAYS = { reveal = false, paragraph = "IRPR 315.36" }

[answer.reveal.PARTNER_NATIONAL]
ALWAYS = { reveal = false, paragraph = "IRPR 315.36" }

[answer.reveal.UNKNOWN]
ALWAYS = { reveal = false, paragraph = "IRPR 315.39" }

[answer.fields.names]
paragraph = "IRPR 315.41(2)(a)"
codes = ["LAST_NAME", "FIRST_NAME"]
purposes = ["CITIZENSHIP"]
rows = ["FOREIGN_NATIONAL"]
claims = ["UNDECLARED"]
needs_match = true

[answer.withheld.rule]
paragraph = "IRPR 315.41(3)"
codes = ["LAST_NAME"]
rows = ["FOREIGN_NATIONAL"]
persecution = true
visible = true
ground = "PUBLIC_POLICY"

[answer.refusal]
duty = "MUST"
terms = false
grounds = ["SOVEREIGNTY"]
paragraph = "IRPR 315.41(3)"

[answer.quota]
day = 10
year = 100
warn_percent = 50

[answer.quota.purposes.CITIZENSHIP]
preset = "hvdsp-3000"

[ask.purposes]
VISA_PERMIT_BENEFIT = "IRPR 315.4(1)(a)"

[ask.scope]
FOREIGN_NATIONAL = "IRPR 315.36"

[ask.persecution]
paragraph = "IRPR 315.4(2)"

[ask.quota]
preset = "hvdsp-30000"

[retention.UNUSED_RESULT]
days = 30
paragraph = "IRPR 315.43(1)"

[correction]
send_hours = 24
acknowledge_hours = 72
paragraph = "IRPR 315.42(1)"
"""


def with_line(old: str, new: str) -> bytes:
    assert old in PLAIN
    return PLAIN.replace(old, new).encode()


def refused(text: bytes) -> MalformedAgreement:
    with pytest.raises(MalformedAgreement) as caught:
        parse(text, "au.toml")
    assert caught.value.file == "au.toml"
    return caught.value


def test_a_name_with_a_dot_in_it_does_not_pass_for_a_rule() -> None:
    """`"answer.withheld" = …` reads like the rule and binds nobody."""
    fault = refused(b'"answer.withheld" = "nothing is told of claimants"\n' + PLAIN.encode())

    assert fault.key == "answer.withheld"


def test_a_file_becomes_an_agreement_that_says_the_same() -> None:
    agreement = parse(PLAIN.encode(), "au.toml")

    assert agreement.name == "au@1"
    assert agreement.rule("search.fpir") == "au@1:search.fpir"
    assert agreement.in_force == datetime(2026, 1, 1, tzinfo=UTC)
    assert agreement.until == datetime(2031, 1, 1, tzinfo=UTC)
    assert agreement.answer_purposes == {Purpose.CITIZENSHIP: "IRPR 315.41(1)(c)"}
    assert agreement.asking.purposes == {Purpose.VISA_PERMIT_BENEFIT: "IRPR 315.4(1)(a)"}
    assert agreement.modalities == {Modality.FINGER: "IRPR 315.38"}
    assert agreement.prior_transaction == "IRPR 315.38"
    assert not agreement.same_direction
    assert agreement.fpir == 1e-4
    assert agreement.review == Band(1e-2, 2, "IRPR 315.39")
    assert not agreement.single_step
    assert agreement.caveats == (Caveat("ONWARD", "Not to be passed on."),)
    assert agreement.partner_countries == {
        "AUS",
        "NFK",
        "CCK",
        "CXR",
        "HMD",
    }  # and what belongs to them
    assert agreement.max_age == timedelta(days=365)
    assert agreement.timers.acknowledge == timedelta(hours=72)
    assert agreement.retention["UNUSED_RESULT"].period == timedelta(days=30)
    assert agreement.digest == hashlib.sha256(PLAIN.encode()).hexdigest()


def test_what_is_said_of_answers_is_read() -> None:
    answering = parse(PLAIN.encode()).answering
    shown = [key for key, cell in answering.reveal.items() if cell.reveal]

    assert shown == [(Row.FOREIGN_NATIONAL, False)]
    assert len(answering.reveal) == 2 * len(Row)
    assert answering.reveal[Row.CITIZEN, True].rule == "au@1:answer.reveal.CITIZEN.ALWAYS"
    (block,) = answering.blocks
    assert (block.rule, block.paragraph) == ("au@1:answer.fields.names", "IRPR 315.41(2)(a)")
    assert block.codes == (FieldCode.LAST_NAME, FieldCode.FIRST_NAME)
    assert answering.withheld[0].ground is Ground.PUBLIC_POLICY
    assert answering.quotas == Quotas(
        Quota(10, 100), {Purpose.CITIZENSHIP: Quota(33, 3_000)}, warn_percent=50
    )
    assert parse(PLAIN.encode()).asking.quotas == Quotas(Quota(329, 30_000))


@pytest.mark.parametrize(
    ("year", "name"), [(2010, "Before"), (2019, "Before"), (2020, "After"), (2030, "After")]
)
def test_a_party_has_the_legal_name_of_its_day(year: int, name: str) -> None:
    agreement = parse(PLAIN.encode())

    assert agreement.partner_name(datetime(year, 1, 1, tzinfo=UTC)) == f"Department of {name}"


def test_what_was_read_cannot_be_changed() -> None:
    agreement = parse(PLAIN.encode())

    with pytest.raises(TypeError):
        agreement.answer_purposes[Purpose.DATA_ACCURACY] = "IRPR 1"  # type: ignore[index]


def test_the_same_bytes_are_read_once_and_no_others_pass_for_them() -> None:
    longer = PLAIN.encode() + b"\n"

    assert parse(PLAIN.encode(), "au.toml") is parse(PLAIN.encode(), "au.toml")
    assert parse(longer, "au.toml").digest == hashlib.sha256(longer).hexdigest()
    assert parse(longer, "au.toml") != parse(PLAIN.encode(), "au.toml")


def test_a_refused_file_is_refused_again_under_the_name_that_it_then_has() -> None:
    text = with_line("single_step = false", "single_step = 0")

    for name in ("au.toml", "au.toml", "elsewhere.toml"):
        with pytest.raises(MalformedAgreement) as caught:
            parse(text, name)
        assert caught.value.file == name


def test_what_may_be_left_out_may_be_left_out() -> None:
    text = PLAIN
    for part in (
        "until = 2031-01-01\n",
        '[references]\nPRIOR_TRANSACTION = "IRPR 315.38"\n',
        '[review]\nfloor_fpir = 1e-2\npersons = 2\nparagraph = "IRPR 315.39"\n',
        '[disclosure.caveats]\nONWARD = "Not to be passed on."\n',
        '[answer.quota.purposes.CITIZENSHIP]\npreset = "hvdsp-3000"\n',
    ):
        assert part in text
        text = text.replace(part, "")

    agreement = parse(text.encode())

    assert agreement.until is None
    assert agreement.prior_transaction == ""
    assert agreement.review is None
    assert not agreement.caveats


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('id = "au"', 'id = "au"\nremark = "x"', "agreement.remark"),
        ("[search]", "[quotas]\n[search]", "quotas"),
        ("[answer.quota]", "[answer.quota]\nhour = 1", "answer.quota.hour"),
        ("[answer.purposes]", "[answer.anything]\n[answer.purposes]", "answer.anything"),
        ("format = 2\n", "", "agreement.format"),
        ("format = 2", "format = 1", "agreement.format"),
        ("format = 2", "format = 3", "agreement.format"),
        ("[answer.reveal.CITIZEN]", "[answer.reveal.CITIZENS]", "answer.reveal.CITIZENS"),
        ('codes = ["LAST_NAME", "FIRST_NAME"]', 'codes = ["*"]', "answer.fields.names.codes"),
        ('codes = ["LAST_NAME", "FIRST_NAME"]', "codes = []", "answer.fields.names.codes"),
        ('codes = ["LAST_NAME", "FIRST_NAME"]', 'codes = "ALL"', "answer.fields.names.codes"),
        (
            'codes = ["LAST_NAME", "FIRST_NAME"]',
            'codes = ["LAST_NAME", "LAST_NAME"]',
            "answer.fields.names.codes",
        ),
        ('rows = ["FOREIGN_NATIONAL"]\nclaims', "rows = []\nclaims", "answer.fields.names.rows"),
        ('purposes = ["CITIZENSHIP"]', "purposes = []", "answer.fields.names.purposes"),
        ("needs_match = true", "needs_match = 1", "answer.fields.names.needs_match"),
        ("needs_match = true\n", "", "answer.fields.names.needs_match"),
        ('duty = "MUST"', 'duty = "SHOULD"', "answer.refusal.duty"),
        ('preset = "hvdsp-30000"', 'preset = "unlimited"', "ask.quota.preset"),
        ('preset = "hvdsp-30000"', 'preset = "hvdsp-30000"\nday = 5', "ask.quota.day"),
        (
            "quota.purposes.CITIZENSHIP",
            "quota.purposes.DATA_ACCURACY",
            "answer.quota.purposes.DATA_ACCURACY",
        ),
        ("floor_fpir = 1e-2", "floor_fpir = 1e-4", "review.floor_fpir"),
        ("persons = 2", "persons = 3", "review.persons"),
        ("acknowledge_hours = 72", "acknowledge_hours = 24", "correction.acknowledge_hours"),
        ("retention.UNUSED_RESULT", "retention.EVERYTHING", "retention.EVERYTHING"),
        ("max_age_days = 365", "max_age_days = 0", "status.max_age_days"),
        ('partner = ["AUS", "NFK"]', 'partner = ["Australia"]', "countries.partner"),
        (
            'successor_of = "Department of Before"',
            'successor_of = "Somebody else"',
            "parties.partner[1].successor_of",
        ),
        ("ONWARD = ", '"on ward" = ', "disclosure.caveats.on ward"),
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
        ("until = 2031-01-01", "until = 2200-01-01", "agreement.until"),
        ("in_force = 2026-01-01", "in_force = 0001-01-01", "agreement.in_force"),
        ("until = 2031-01-01", "until = 2031-01-01T00:00:00Z", "agreement.until"),
        ("in_force = 2026-01-01", 'in_force = "2026-01-01"', "agreement.in_force"),
        ("version = 1", "version = 0", "agreement.version"),
        ("version = 1", "version = true", "agreement.version"),
        ("version = 1", "version = 2147483648", "agreement.version"),
        ("day = 10", "day = 0", "answer.quota.day"),
        ("day = 10", "day = 101", "answer.quota.year"),
        ('partner = "AUS"', 'partner = "CAN"', "agreement.partner"),
        ('partner = "AUS"', 'partner = "australia"', "agreement.partner"),
        ('id = "au"', 'id = "AU"', "agreement.id"),
        ('title = "An arrangement"', 'title = ""', "agreement.title"),
        ("[search]\nfpir = 1e-4", "", "search.fpir"),
    ],
)
def test_a_file_with_one_wrong_line_is_refused_and_the_key_is_named(
    old: str, new: str, key: str
) -> None:
    fault = refused(with_line(old, new))

    assert fault.key == key
    assert key in str(fault)


def test_a_table_that_is_no_table_is_refused() -> None:
    assert refused(b"quota = 3\n" + PLAIN.encode()).key == "quota"
    assert refused(b"countries = 3\n" + PLAIN.replace("[countries]", "[lands]").encode()).key
    assert refused(b"parties = 3\n" + PLAIN.replace("[[parties", "[[others").encode()).line == 1


def test_the_complaint_names_the_line() -> None:
    wanted = PLAIN.splitlines().index('CITIZENSHIP = "IRPR 315.41(1)(c)"') + 1

    fault = refused(with_line('"IRPR 315.41(1)(c)"', '"no paragraph"'))

    assert fault.line == wanted
    assert f"au.toml line {wanted}: answer.purposes.CITIZENSHIP" in str(fault)


def test_a_missing_key_is_sought_at_its_table() -> None:
    wanted = PLAIN.splitlines().index("[search]") + 1

    assert refused(with_line("fpir = 1e-4", "")).line == wanted


def test_a_list_of_tables_is_counted_to_the_line() -> None:
    wanted = PLAIN.splitlines().index("since = 2020-01-01") + 1

    assert refused(with_line("since = 2020-01-01", "since = 3")).line == wanted


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


def test_every_text_that_has_a_form_says_it_and_a_closed_list_is_named() -> None:
    """What is told is what to write, with an example; never a pattern."""
    patterns = (
        agreement_parser._id,
        agreement_parser._party,
        agreement_parser._text,
        agreement_parser._country,
        agreement_parser._code,
    )

    for pattern in (*patterns, toml_reader.PARAGRAPH):
        said = toml_reader.misshapen(pattern)
        assert pattern.pattern in toml_reader.WANTED
        assert pattern.pattern not in said
