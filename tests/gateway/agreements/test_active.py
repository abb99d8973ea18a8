"""A new agreement needs no restart, and only what we signed is one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.admin.operation import NotAllowed, Officer, TwoPersons
from gateway.agreements import signatures
from gateway.errors import UserError
from gateway.law.agreement_parser import parse
from gateway.law.toml_reader import MAX_BYTES, MalformedAgreement
from gateway.ledger.entry import EntryType, decode
from gateway.operations.agreements import Sign
from gateway.operations.declaration import Role
from gateway.server import self_check
from gateway.server.application import Gateway
from gateway.store.effects import Effect
from gateway.store.keys import adopted_versions
from gateway.store.ledger import stored_ledger
from gateway.store.schema import values
from gateway.store.times import utc_now

OPERATOR = Officer("P-1", frozenset({Role.OPERATOR}))
TWO = Officer("P-1", frozenset({Role.OPERATOR}), second="P-9")


@pytest.fixture
def gateway(homes: Any, secret: Any) -> Iterator[Gateway]:
    with Gateway.open(homes[0], secret) as opened:
        yield opened


def second(homes: Any, **changes: str) -> str:
    text = (homes[0] / "agreements" / "au.toml").read_text()
    for old, new in {"version = 1": "version = 2", **changes}.items():
        assert old in text
        text = text.replace(old, new, 1)
    return str(text)


def entries(gateway: Gateway, kind: EntryType) -> list[str]:
    frames = [decode(leaf) for leaf in stored_ledger.iter_leaves(gateway.database)]
    return [frame.subject_reference for frame in frames if frame.type is kind]


def test_a_new_version_is_adopted_in_a_round_and_in_force_from_its_day(
    homes: Any, gateway: Gateway, agree: Any
) -> None:
    before = len(entries(gateway, EntryType.AGREEMENT))
    agree(
        homes[0], "au-2.toml", second(homes, **{"in_force = 2026-01-01": "in_force = 2090-01-01"})
    )

    gateway.active_agreements.round()
    gateway.active_agreements.round()

    first, later = gateway.agreements["au"]
    assert (first.version, later.version) == (1, 2)
    assert first.covers(utc_now())
    assert not later.covers(utc_now())
    assert later.covers(later.in_force)
    assert not first.covers(later.in_force)
    assert len(entries(gateway, EntryType.AGREEMENT)) == before + 1
    assert not entries(gateway, EntryType.ALARM)


def wrong(attack: str, path: Path, text: str) -> None:
    signature = path.with_name("au-2.toml.sig")
    match attack:
        case "unsigned":
            path.write_text(text)
        case "malformed":
            path.write_text("[agreement\n")
        case "wrongly signed":
            signature.write_text(signature.read_text()[:-20] + "A" * 19 + "\n")
        case "signed, then changed":
            path.write_text(text + "\n# more\n")
        case "no signature at all":
            signature.write_text("x")
        case _:
            signature.write_text(f"passerelle/1/agreement {'0' * 64} AAAA\n")


ATTACKS = (
    "unsigned",
    "malformed",
    "wrongly signed",
    "signed, then changed",
    "no signature at all",
    "signed by an unknown key",
)


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_file_that_is_not_ours_leaves_the_old_in_force_and_alarms_once(
    homes: Any, gateway: Gateway, agree: Any, attack: str
) -> None:
    path = homes[0] / "agreements" / "au-2.toml"
    if attack not in {"unsigned", "malformed"}:
        agree(homes[0], "au-2.toml", second(homes))
    wrong(attack, path, second(homes))
    before = gateway.agreements

    for _ in range(3):
        gateway.active_agreements.round()

    assert gateway.agreements is before
    assert entries(gateway, EntryType.ALARM) == ["RAISE/AGREEMENTS"]
    found = {check.name: check for check in self_check.check(homes[0], lambda: b"", utc_now())}
    assert not found["agreements"].ok
    assert "au-2.toml" in found["agreements"].detail
    assert "line 1" in found["agreements"].detail


def test_the_alarm_ends_when_the_folder_is_right_again(
    homes: Any, gateway: Gateway, agree: Any
) -> None:
    (homes[0] / "agreements" / "au-2.toml").write_text(second(homes))
    gateway.active_agreements.round()
    agree(homes[0], "au-2.toml", second(homes))

    gateway.active_agreements.round()

    assert len(gateway.agreements["au"]) == 2
    assert entries(gateway, EntryType.ALARM) == ["RAISE/AGREEMENTS", "CLEAR/AGREEMENTS"]


def test_a_file_that_is_gone_ends_nothing(homes: Any, gateway: Gateway) -> None:
    (homes[0] / "agreements" / "au.toml").unlink()

    gateway.active_agreements.round()

    assert gateway.agreements["au"][0].covers(utc_now())
    assert entries(gateway, EntryType.ALARM) == ["RAISE/AGREEMENTS"]


def test_a_version_that_was_taken_away_while_the_gateway_was_closed_brings_no_older_one_back(
    homes: Any, secret: Any, agree: Any
) -> None:
    agree(homes[0], "au-2.toml", second(homes))
    with Gateway.open(homes[0], secret) as opened:
        assert len(opened.agreements["au"]) == 2
    (homes[0] / "agreements" / "au-2.toml").unlink()

    with Gateway.open(homes[0], secret) as opened:
        assert [each.version for each in opened.agreements["au"]] == [1, 2]
        assert entries(opened, EntryType.ALARM) == ["RAISE/AGREEMENTS"]

    found = {check.name: check for check in self_check.check(homes[0], lambda: b"", utc_now())}
    assert not found["agreements"].ok


def test_a_future_version_written_over_the_one_in_force_leaves_no_gap(
    homes: Any, gateway: Gateway, agree: Any
) -> None:
    later = second(homes, **{"in_force = 2026-01-01": "in_force = 2090-01-01"})
    agree(homes[0], "au.toml", later)

    gateway.active_agreements.round()

    assert [each.version for each in gateway.agreements["au"]] == [1, 2]
    assert gateway.agreements["au"][0].covers(utc_now())
    assert not gateway.agreements["au"][1].covers(utc_now())
    assert entries(gateway, EntryType.ALARM) == ["RAISE/AGREEMENTS"]


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_file_that_a_running_gateway_refuses_does_not_keep_it_from_starting(
    homes: Any, secret: Any, agree: Any, attack: str
) -> None:
    path = homes[0] / "agreements" / "au-2.toml"
    if attack not in {"unsigned", "malformed"}:
        agree(homes[0], "au-2.toml", second(homes))
    wrong(attack, path, second(homes))

    with Gateway.open(homes[0], secret) as opened:
        assert [each.version for each in opened.agreements["au"]] == [1]
        assert {"nz", "uk"} <= opened.agreements.keys()
        assert entries(opened, EntryType.ALARM) == ["RAISE/AGREEMENTS"]


def test_a_bad_file_keeps_no_other_agreement_out(homes: Any, gateway: Gateway, agree: Any) -> None:
    """One partner's file is malformed, another's next version comes beside it."""
    (homes[0] / "agreements" / "nz-2.toml").write_text("[agreement\n")
    agree(homes[0], "au-2.toml", second(homes))

    gateway.active_agreements.round()

    assert [each.version for each in gateway.agreements["au"]] == [1, 2]
    assert [each.version for each in gateway.agreements["nz"]] == [1]
    assert entries(gateway, EntryType.ALARM) == ["RAISE/AGREEMENTS"]


def test_a_text_that_was_overwritten_stays_in_force_as_it_was_adopted(
    homes: Any, secret: Any, agree: Any
) -> None:
    """The file is not needed any more: what was adopted is kept with its digest, also across a restart."""
    agree(homes[0], "au-2.toml", second(homes))
    with Gateway.open(homes[0], secret) as opened:
        before = dict(opened.agreements)
    path = homes[0] / "agreements" / "au-2.toml"
    path.write_text(second(homes).replace("fpir = 1e-4", "fpir = 1e-2"))

    with Gateway.open(homes[0], secret) as opened:
        assert dict(opened.agreements) == before
        assert entries(opened, EntryType.ALARM) == ["RAISE/AGREEMENTS"]

    path.write_text(second(homes))
    with Gateway.open(homes[0], secret) as opened:
        assert entries(opened, EntryType.ALARM) == ["RAISE/AGREEMENTS", "CLEAR/AGREEMENTS"]


def lose(gateway: Gateway, name: str) -> None:
    """Have a text be kept nowhere, as in a folder from before texts were kept."""
    row = values.delete().where(values.c.key == f"agreement-text/{name}")
    gateway.sequencer.commit((), (Effect(row, rows=1),))


def test_an_agreement_whose_text_is_nowhere_is_not_in_force_and_the_others_are(
    homes: Any, secret: Any, agree: Any
) -> None:
    """Also its older versions: they would permit what the newer one ended."""
    agree(homes[0], "au-2.toml", second(homes))
    with Gateway.open(homes[0], secret) as opened:
        lose(opened, "au@2")
    (homes[0] / "agreements" / "au-2.toml").unlink()

    with Gateway.open(homes[0], secret) as opened:
        assert "au" not in opened.agreements
        assert {"nz", "uk", "us-visa"} <= opened.agreements.keys()
        assert entries(opened, EntryType.ALARM) == ["RAISE/AGREEMENTS"]
    found = {check.name: check for check in self_check.check(homes[0], lambda: b"", utc_now())}
    assert "kept nowhere: no version of it is in force" in found["agreements"].detail


def test_a_kept_text_that_was_altered_is_not_believed(homes: Any, secret: Any, agree: Any) -> None:
    agree(homes[0], "au-2.toml", second(homes))
    with Gateway.open(homes[0], secret) as opened:
        row = values.update().where(values.c.key == "agreement-text/au@2")
        easier = second(homes).replace("fpir = 1e-4", "fpir = 1e-2")
        opened.sequencer.commit((), (Effect(row.values(value=easier), rows=1),))
    (homes[0] / "agreements" / "au-2.toml").unlink()

    with Gateway.open(homes[0], secret) as opened:
        assert "au" not in opened.agreements


def test_a_kept_text_that_is_read_no_longer_ends_its_agreement_and_no_other(
    homes: Any, secret: Any, agree: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later release may take less than the one that adopted it."""
    agree(homes[0], "au-2.toml", second(homes))
    with Gateway.open(homes[0], secret):
        pass
    (homes[0] / "agreements" / "au-2.toml").unlink()
    real = signatures.parse

    def narrower(text: bytes, name: str) -> Any:
        if name == "au@2":
            raise MalformedAgreement(name, "limits", 7, "more than is taken")
        return real(text, name)

    monkeypatch.setattr(signatures, "parse", narrower)

    with Gateway.open(homes[0], secret) as opened:
        assert "au" not in opened.agreements
        assert {"nz", "uk", "us-visa"} <= opened.agreements.keys()
        assert entries(opened, EntryType.ALARM) == ["RAISE/AGREEMENTS"]
    found = {check.name: check for check in self_check.check(homes[0], lambda: b"", utc_now())}
    assert "au@2 line 7: limits: more than is taken" in found["agreements"].detail


@pytest.mark.parametrize("name", ["pipe.toml", "au.toml.sig"])
def test_a_file_of_which_nothing_can_be_read_is_named_and_waited_for_by_nobody(
    homes: Any, secret: Any, pipe: Any, name: str
) -> None:
    file = homes[0] / "agreements" / name
    file.unlink(missing_ok=True)
    pipe(file)

    with Gateway.open(homes[0], secret) as opened:
        opened.active_agreements.round()
        assert opened.agreements["au"][0].covers(utc_now())
        assert entries(opened, EntryType.ALARM) == ["RAISE/AGREEMENTS"]
    found = {check.name: check for check in self_check.check(homes[0], lambda: b"", utc_now())}
    assert f"{name}: cannot be read: no regular file" in found["agreements"].detail


@pytest.mark.parametrize("odd", ["folder", "link", "large", "name", "twice", "unforeseen"])
def test_an_odd_file_stops_no_round_and_no_start(
    homes: Any, secret: Any, odd: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = homes[0] / "agreements" / "odd.toml"
    match odd:
        case "folder":
            path.mkdir()
        case "link":
            path.symlink_to(homes[0] / "nowhere")
        case "large":
            path.write_bytes(b"#" * (MAX_BYTES + 10))
        case "name":
            path.with_name("caf\udce9.toml").write_text("[agreement\n")
        case "twice":
            path.write_bytes((homes[0] / "agreements" / "au.toml").read_bytes())
        case _:
            path.write_text("x = 1")
            real = signatures.parse

            def parse(text: bytes, name: str) -> Any:
                if name == path.name:
                    raise OverflowError("nobody foresaw this")
                return real(text, name)

            monkeypatch.setattr(signatures, "parse", parse)

    with Gateway.open(homes[0], secret) as opened:
        opened.active_agreements.round()
        assert opened.agreements["au"][0].covers(utc_now())
        assert entries(opened, EntryType.ALARM) == ["RAISE/AGREEMENTS"]
    found = {check.name: check for check in self_check.check(homes[0], lambda: b"", utc_now())}
    assert not found["agreements"].ok


def test_what_was_adopted_outlives_its_signature(homes: Any, secret: Any, agree: Any) -> None:
    """The ledger has its digest; the key that signed it may be gone by then."""
    agree(homes[0], "au-2.toml", second(homes))
    with Gateway.open(homes[0], secret):
        pass
    (homes[0] / "agreements" / "au-2.toml.sig").unlink()

    with Gateway.open(homes[0], secret) as again:
        assert len(again.agreements["au"]) == 2


def test_an_operator_signs_and_the_ledger_says_who(homes: Any, gateway: Gateway) -> None:
    text = second(homes)
    values = {"file": "au-2.toml", "text": text, "reason": "countersigned"}

    with pytest.raises(TwoPersons):
        gateway.admin.perform(OPERATOR, "agreements.sign", values)
    gateway.admin.perform(TWO, "agreements.sign", values)
    gateway.active_agreements.round()

    assert len(gateway.agreements["au"]) == 2
    assert entries(gateway, EntryType.AGREEMENT)[-2:] == ["SIGNED", ""]
    with pytest.raises(UserError, match=r"au-2\.toml line"):
        gateway.admin.perform(TWO, "agreements.sign", {**values, "text": "[agreement"})
    with pytest.raises(UserError, match="rename yours"):
        gateway.admin.perform(TWO, "agreements.sign", {**values, "text": f"{text}\n"})
    with pytest.raises(NotAllowed):
        gateway.admin.perform(Officer("P-2", frozenset({Role.AUDITOR})), "agreements.sign", values)


def foreign(homes: Any, **changes: str) -> str:
    """Return an agreement as Australia's gateway has it, well formed."""
    return second(
        homes, **{'home = "CAN"': 'home = "AUS"', 'partner = "AUS"': 'partner = "CAN"', **changes}
    )


def test_a_file_whose_home_is_another_party_is_not_in_force_here(
    homes: Any, gateway: Gateway, agree: Any
) -> None:
    """It is well formed, and our own key signed it: still it is what another party may answer, not we."""
    before = len(entries(gateway, EntryType.AGREEMENT))
    agree(homes[0], "theirs.toml", foreign(homes, **{'id = "au"': 'id = "theirs"'}))

    gateway.active_agreements.round()

    assert "theirs" not in gateway.agreements
    assert gateway.agreements["au"][0].covers(utc_now())
    assert len(entries(gateway, EntryType.AGREEMENT)) == before
    assert entries(gateway, EntryType.ALARM) == ["RAISE/AGREEMENTS"]
    found = {check.name: check for check in self_check.check(homes[0], lambda: b"", utc_now())}
    assert not found["agreements"].ok
    assert "theirs.toml: agreement.home: is not ours" in found["agreements"].detail


def test_what_another_partys_file_calls_itself_takes_nothing_from_ours(
    homes: Any, gateway: Gateway, agree: Any
) -> None:
    """Same id, same version: ours stays, and the complaint names the cause."""
    agree(homes[0], "other.toml", foreign(homes, **{"version = 2": "version = 1"}))

    gateway.active_agreements.round()

    assert [each.home for each in gateway.agreements["au"]] == ["CAN"]
    (fault,) = gateway.active_agreements._vetted(
        gateway.active_agreements._refused or gateway.active_agreements._seen
    ).faults
    assert str(fault).startswith("other.toml: agreement.home: is not ours")


def test_another_partys_agreement_that_was_taken_in_once_is_no_longer_in_force(
    homes: Any, gateway: Gateway, agree: Any
) -> None:
    """An earlier release recorded it: neither its file nor the text that was kept brings it back."""
    text = foreign(homes, **{'id = "au"': 'id = "theirs"'})
    held = parse(text.encode(), "theirs.toml")
    name = held.name
    adopted = adopted_versions.Adopted(held.version, held.digest, utc_now())
    effects = adopted_versions.adopt(adopted_versions.Subject.AGREEMENT, name, adopted, None)
    gateway.sequencer.commit((), (*effects, adopted_versions.keep_text(name, text.encode())))
    agree(homes[0], "theirs.toml", text)

    gateway.active_agreements.round()
    told = gateway.active_agreements._vetted(
        gateway.active_agreements._refused or gateway.active_agreements._seen
    )
    (homes[0] / "agreements" / "theirs.toml").unlink()
    gateway.active_agreements.round()

    assert [fault.file for fault in told.faults] == ["theirs.toml"]
    assert "theirs" not in gateway.agreements
    assert entries(gateway, EntryType.ALARM) == ["RAISE/AGREEMENTS", "CLEAR/AGREEMENTS"]


def test_nobody_signs_another_partys_agreement(homes: Any, gateway: Gateway) -> None:
    """It is refused at the proposal, before a second person is asked."""
    with pytest.raises(UserError, match=r"agreement\.home: is not ours"):
        gateway.active_agreements._plan(
            Sign(file="theirs.toml", text=foreign(homes), reason="countersigned")
        )
