"""Coarse groups of people: what a record says of them, and that nothing else leaves."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.admin.operation import NotAllowed, Officer
from gateway.auditor.demographic_groups import read_groups
from gateway.cli.main import app
from gateway.domain.person import Datum, FieldCode, Record, Status, SubjectKind
from gateway.ledger.entry import EntryType, decode
from gateway.operations.declaration import Role
from gateway.server.application import Gateway
from gateway.store.ledger import stored_ledger
from gateway.subjects.demographic_groups import _COUNTRIES, _REGIONS, groups_of

TODAY = date(2026, 11, 23)
ANN = Officer("P-1", frozenset({Role.REGISTRAR}))


def record(nations: str = "IND", **data: str) -> Record:
    status = Status(kind=SubjectKind.FOREIGN_NATIONAL, nationalities=frozenset(nations.split()))
    held = {FieldCode[name]: Datum(value.encode()) for name, value in data.items()}
    return Record(status=status, data=held, version=1)


@pytest.mark.parametrize(
    ("born", "band"),
    [
        *(("2012-11-23", "14-17"), ("2012-11-24", "U"), ("2008-11-24", "14-17")),
        *(("2008-11-23", "18-29"), ("1996", "30-44"), ("1946-12", "60-79"), ("1946-11-23", "80+")),
        *(("", "U"), ("soon", "U")),
    ],
)
def test_an_age_band_begins_on_a_birthday(born: str, band: str) -> None:
    assert groups_of(record(DATE_OF_BIRTH=born), TODAY)[1] == band


def test_sex_and_region_are_coarse_or_unknown() -> None:
    assert groups_of(record(GENDER="female", COUNTRY_OF_BIRTH="BRA"), TODAY) == (
        "F",
        "U",
        "Americas",
    )
    assert groups_of(record(GENDER="Homme"), TODAY) == ("M", "U", "Asia")
    assert groups_of(record("XXA", GENDER="?"), TODAY) == ("U", "U", "Unknown")


def test_no_country_is_in_two_regions() -> None:
    assert len(_REGIONS) == sum(len(codes.split()) for codes in _COUNTRIES.values())


def test_groups_of_a_gateway_are_recorded_and_read_by_the_auditor(
    homes: Any, secret: Any, tmp_path: Path
) -> None:
    row = {"reference": "F-100", "status": "FOREIGN_NATIONAL", "nationalities": "IND"}
    row |= {"GENDER": "F", "DATE_OF_BIRTH": "1990-02", "LAST_NAME": "Canary-Green"}
    with Gateway.open(homes[0], secret) as gateway:
        gateway.admin.perform(ANN, "registry.import", {"rows": [row]})
        size = gateway.sequencer.size
        done: Any = gateway.admin.perform(ANN, "registry.groups", {"reason": "a test"})
        kinds = [decode(leaf).type for leaf in stored_ledger.iter_leaves(gateway.database, size)]
        auditor = Officer("P-2", frozenset({Role.AUDITOR}))
        with pytest.raises(NotAllowed):
            gateway.admin.perform(auditor, "registry.groups", {"reason": "a test"})

    assert done["last"] is True
    assert "Canary" not in str(done)
    assert kinds[0] is EntryType.AUDIT_READ
    lines = ["subject,sex,age_band,region", *(",".join(each) for each in done["groups"])]
    (tmp_path / "groups.csv").write_text("\n".join(lines) + "\n")
    assert ("F", "30-44", "Asia") in read_groups(tmp_path / "groups.csv").values()


def test_a_registrar_writes_the_file_by_command(
    homes: Any, secret: Any, let_in: Any, tmp_path: Path
) -> None:
    let_in(homes[0], "R-1", ["registrar"], tmp_path / "r1")
    (tmp_path / "pass").write_bytes(secret())
    (tmp_path / "pass").chmod(0o600)
    row = {"reference": "F-1", "status": "CLAIMANT", "nationalities": "SYR", "GENDER": "M"}
    row["persecutors"] = "NONE"
    with Gateway.open(homes[0], secret) as gateway:
        gateway.admin.perform(ANN, "registry.import", {"rows": [row]})
    out = tmp_path / "groups.csv"
    words = ["registry", "groups", homes[0], "-o", out, "--reason", "audit 9", "--json"]
    words += ["--as", tmp_path / "r1", "--passphrase-file", tmp_path / "pass"]

    done = CliRunner().invoke(app, [str(each) for each in words], prog_name="passerelle")

    assert done.exit_code == 0, done.output
    groups = read_groups(out)
    assert json.loads(done.stdout)["people"] == len(groups)
    assert ("M", "U", "Asia") in groups.values()
    assert out.stat().st_mode & 0o777 == 0o600
    again = CliRunner().invoke(app, [str(each) for each in words], prog_name="passerelle")
    assert again.exit_code == 2
