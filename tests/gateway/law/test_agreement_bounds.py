"""A file that permits more than its Division does is refused whole, and so is one that permits everything."""

from __future__ import annotations

from importlib import resources

import pytest

from gateway.law.agreement_library import packaged
from gateway.law.agreement_parser import parse
from gateway.law.toml_reader import MalformedAgreement

AU, US, ASYLUM = (packaged()[f"{name}.toml"].decode() for name in ("au", "us-visa", "us-asylum"))
ROWS = 'rows = ["FOREIGN_NATIONAL", "CLAIMANT", "PERMANENT_RESIDENT"'
EVERY = ", ".join(
    f'"{code}"'
    for code in (
        *("LAST_NAME", "FIRST_NAME", "DATE_OF_BIRTH", "GENDER", "COUNTRY_OF_BIRTH", "ALIAS"),
        *("CITIZENSHIP", "TRAVEL_DOCUMENT_NUMBER"),
    )
)


def revealing(text: str, row: str) -> str:
    head, tail = text.split(f"[answer.reveal.{row}]")
    return f"{head}[answer.reveal.{row}]{tail.replace('reveal = false', 'reveal = true', 1)}"


def without(text: str, table: str) -> str:
    head, tail = text.split(f"[{table}]")
    return f"{head}[{tail.split('[', 1)[1]}"


@pytest.mark.parametrize("text", [AU, US, ASYLUM])
@pytest.mark.parametrize("row", ["CITIZEN", "PARTNER_NATIONAL", "UNKNOWN"])
def test_nobody_writes_a_citizen_into_the_open(text: str, row: str) -> None:
    with pytest.raises(MalformedAgreement, match=f"answer.reveal.{row}") as caught:
        parse(revealing(text, row).encode())
    assert caught.value.line


@pytest.mark.parametrize(
    "row", ["CITIZEN", "PERMANENT_RESIDENT", "PARTNER_NATIONAL", "UNKNOWN", "FOREIGN_NATIONAL"]
)
def test_a_missing_masking_row_refuses_the_file(row: str) -> None:
    with pytest.raises(MalformedAgreement, match=f"answer.reveal.{row}"):
        parse(without(AU, f"answer.reveal.{row}").encode())


@pytest.mark.parametrize(
    ("text", "old", "new", "key"),
    [
        (AU, '"IRPR 315.41(1)(c)"', '"IRPR 315.41(1)(a)"', "answer.purposes.CITIZENSHIP"),
        (AU, "CITIZENSHIP = ", "DATA_ACCURACY = ", "answer.purposes.DATA_ACCURACY"),
        (AU, "[ask.purposes]\n", '[ask.purposes]\nCITIZENSHIP = "IRPR 315.4(1)(a)"\n', "ask.purposes.CITIZENSHIP"),
        (AU, 'FINGER = "IRPR 315.38"', 'FACE = "IRPR 315.38"', "modalities.FACE"),
        (AU, '"LAST_NAME",', '"CITIZENSHIP", "LAST_NAME",', "answer.fields.biographic.codes"),
        (AU, 'codes = ["PHOTOGRAPH"]', 'codes = ["FINGERPRINTS"]', "answer.fields.photograph.codes"),
        (AU, 'codes = ["PHOTOGRAPH"]', 'codes = ["GENDER"]', "answer.fields.photograph.paragraph"),
        (AU, 'duty = "MUST"', 'duty = "MAY"', "answer.refusal"),
        (AU, "terms = false", "terms = true", "answer.refusal.terms"),
        (AU, 'paragraph = "IRPR 315.4(2)"', "", "ask.persecution.paragraph"),
        (AU, 'CLAIMANT = "IRPR 315.36"', 'PERMANENT_RESIDENT = "IRPR 315.36"', "ask.scope.PERMANENT_RESIDENT"),
        (AU, 'home = ["CAN"]', "home = []", "countries.home"),
        (AU, 'partner = ["AUS"', 'partner = ["ASU"', "countries.partner"),
        (AU, 'partner = ["AUS"', 'partner = ["XXA", "AUS"', "countries.partner"),
        (AU, 'home = ["CAN"]', 'home = ["ZZZ"]', "countries.home"),
        (AU, "needs_match = true", "needs_match = false", "answer.fields.biographic.needs_match"),
        (US, "needs_match = true", "needs_match = false", "answer.fields.biographic.needs_match"),
        (AU, 'partner = ["AUS"', 'partner = ["CAN"', "countries.home"),
        (AU, ROWS, 'rows = ["CITIZEN", "FOREIGN_NATIONAL", "CLAIMANT", "PERMANENT_RESIDENT"', "answer.fields.biographic.rows"),
        (US, 'claims = ["UNDECLARED"]', 'claims = ["UNDECLARED", "DECLARED"]', "answer.fields.biographic.claims"),
        (US, 'DATA_ACCURACY = "IRPR 315.25(2)"\n', "", "answer.claims"),
        (US, 'codes = ["PHOTOGRAPH"]', 'codes = ["PHOTOGRAPH", "FINGERPRINTS"]', "answer.fields"),
        (ASYLUM, '[answer.persecution]\nparagraph = "IRPR 315.3"\n', "", "answer.persecution"),
        (ASYLUM, 'codes = ["CLAIM_IDENTITY"]', 'codes = ["LAST_NAME"]', "answer.fields.identity.codes"),
    ],
)  # fmt: skip
def test_more_than_the_division_permits_is_refused(text: str, old: str, new: str, key: str) -> None:
    assert old in text
    with pytest.raises(MalformedAgreement) as caught:
        parse(text.replace(old, new, 1).encode(), "x.toml")

    assert caught.value.key == key


def test_an_agreement_that_permits_nothing_is_refused() -> None:
    for table in ("answer.purposes", "ask.purposes", "answer.claims", "ask.scope"):
        text = without(AU, table)
        with pytest.raises(MalformedAgreement):
            parse(text.encode())


def template() -> str:
    file = resources.files("gateway.law") / "agreements" / "template-organisation.toml"
    return file.read_text(encoding="utf-8")


def test_the_template_is_no_agreement_until_it_is_filled_in() -> None:
    assert "template-organisation.toml" not in packaged()
    with pytest.raises(MalformedAgreement):
        parse(template().encode())


@pytest.mark.parametrize(
    ("party", "name"),
    [
        ("UNHCR", "Office of the United Nations High Commissioner for Refugees"),
        ("IOM", "International Organization for Migration"),
    ],
)
def test_the_template_filled_in_is_an_agreement(party: str, name: str) -> None:
    text = (
        template()
        .replace("«ID, LOWER CASE»", party.lower())
        .replace("«TITLE OF THE ARRANGEMENT»", f"Arrangement between Canada and {party}")
        .replace("«PARTY»", party)
        .replace("«LEGAL NAME»", name)
    )

    agreement = parse(text.encode())

    assert (agreement.partner, agreement.division) == (party, 0)
    assert not agreement.partner_countries
    assert agreement.caveats[0].code == "ONWARD_TRANSFER"
    with pytest.raises(MalformedAgreement, match="never revealed"):
        parse(revealing(text, "PERMANENT_RESIDENT").encode())


def test_every_permission_of_a_packaged_file_has_its_paragraph_in_the_regulation(
    shared: object,
) -> None:
    """The sections that the files cite stand in Part 19.1."""
    text = (shared / "reference" / "irpr-part-19.1.txt").read_text()  # type: ignore[operator]
    for octets in packaged().values():
        cited = {part.split('"')[0] for part in octets.decode().split('"IRPR ')[1:]}
        assert cited
        for paragraph in cited:
            assert f"\n {paragraph.split('(')[0]} " in text
