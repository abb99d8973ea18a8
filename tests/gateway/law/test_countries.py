"""Whom the law hides, code by code; and the closed lists that codes are checked against."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from gateway.domain.messages import Outcome, Purpose
from gateway.domain.person import SubjectKind
from gateway.errors import SubjectOutOfScope
from gateway.law import countries
from gateway.law.agreement_library import packaged
from gateway.law.countries import UnknownCode
from gateway.law.query_policy import Ask, Found, may_answer, may_ask, settle
from gateway.law.quota_policy import Usage

# Typed out from ISO 3166-1 and ICAO 9303-3 section 5; no file of ours is read for it.
HIDDEN = {
    "uk": "GBR GBN GBO GBS GBP GBD GGY IMN JEY AIA BMU CYM FLK GIB IOT MSR PCN SGS SHN TCA VGB CAN",
    "us-visa": "USA ASM GUM MNP PRI UMI VIR CAN",
    "au": "AUS CCK CXR HMD NFK CAN",
    "nz": "NZL COK NIU TKL CAN",
}
PASSPORTS = [(name, code) for name, codes in HIDDEN.items() for code in codes.split()]
SHOWN = ("SYR", "IRL", "HKG", "FSM", "ZAF", "XXA", "RKS")  # neither party's; XXA of nobody
UNKNOWN = ("GRB", "ZZZ", "XXB", "XXC", "XXX", "UNK", "UNO", "D", "gbr")


def settled(bench: Any, name: str, *codes: str) -> Any:
    agreement = bench.agreements[name]
    asked = bench.header(agreement, Purpose.VISA_PERMIT_BENEFIT)
    permit = may_answer(asked, bench.query(), agreement, bench.now)
    return settle(Found(9.0, 4.0), bench.person(SubjectKind.FOREIGN_NATIONAL, *codes), permit)


def may(bench: Any, name: str, *codes: str) -> bool:
    subject = bench.person(SubjectKind.FOREIGN_NATIONAL, *codes)
    ask = Ask(purpose=Purpose.VISA_PERMIT_BENEFIT, subject=subject)
    try:
        return bool(may_ask(ask, bench.agreements[name], Usage(), bench.now))
    except SubjectOutOfScope:
        return False


@pytest.mark.parametrize(("name", "code"), PASSPORTS)
def test_a_passport_of_either_party_hides_its_bearer(bench: Any, name: str, code: str) -> None:
    """IRPR 315.21, 315.36: no national or citizen of either country, whichever passport they carry."""
    for codes in ((code,), (code, "SYR")):
        found = settled(bench, name, *codes)

        assert (found.shown, found.alarm) == (Outcome.NO_MATCH, False)
        assert not may(bench, name, *codes)


@pytest.mark.parametrize(("name", "code"), [(name, code) for name in HIDDEN for code in SHOWN])
def test_whoever_is_of_a_third_country_is_found(bench: Any, name: str, code: str) -> None:
    assert settled(bench, name, code).shown is Outcome.MATCH
    assert may(bench, name, code)


@pytest.mark.parametrize("name", sorted(HIDDEN))
@pytest.mark.parametrize("code", UNKNOWN)
def test_a_code_that_tells_no_nationality_may_be_anybodys(bench: Any, name: str, code: str) -> None:
    """Recorded before codes were checked, or a code that says only that its bearer is a refugee."""
    assert (settled(bench, name, code).shown, settled(bench, name, code).alarm) == (
        Outcome.NO_MATCH,
        True,
    )
    assert not may(bench, name, code)


@pytest.mark.parametrize("name", sorted(HIDDEN))
def test_an_agreement_file_names_every_code_itself(name: str) -> None:
    """The law adds what is missing; the file that a lawyer signs has it all the same."""
    stated = tomllib.loads(packaged()[f"{name}.toml"].decode())["countries"]

    assert {*stated["home"], *stated["partner"]} == set(HIDDEN[name].split())


def test_what_belongs_to_a_country_is_hidden_where_a_file_names_the_country_alone() -> None:
    for codes in HIDDEN.values():
        country, *_ = codes.split()
        assert countries.nationals([country]) == set(codes.split()) - {"CAN"}
    assert countries.nationals(["FRA", "CAN"]) == {"FRA", "CAN"}


@pytest.mark.parametrize("code", ["GRB", "ZZZ", "UK", "gbr", "", "XXD", "YUG", "GBR "])
def test_a_slip_of_the_pen_is_no_code(code: str) -> None:
    for demand in (countries.demand_nationalities, countries.demand_states):
        with pytest.raises(UnknownCode, match="none of ISO 3166-1"):
            demand(["SYR", code])


def test_classes_of_persons_and_organisations_are_told_apart_from_countries() -> None:
    countries.demand_nationalities(["GBN", "XXA", "RKS"])
    countries.demand_states(["GBR", "PRI", "RKS"])
    with pytest.raises(UnknownCode, match="is no country"):
        countries.demand_states(["GBN"])
    with pytest.raises(UnknownCode, match="organisation"):
        countries.demand_nationalities(["UNO"])


def test_the_lists_are_what_they_say() -> None:
    """249 codes of ISO 3166-1; nothing stands in two lists that exclude each other."""
    assert len(countries.STATES) == 250
    assert all(len(code) == 3 and code.isupper() for code in countries.ISSUERS)
    assert not countries.ORGANISATIONS & countries.NATIONALITIES
    assert not countries.UNTOLD & countries.STATES
    assert all(codes <= countries.NATIONALITIES for codes in countries.NATIONALS.values())
