"""A calibration counts when two operators adopted it: at once, after a restart and a restore, and as it was adopted or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest

from gateway.admin.operation import NotAllowed, Officer, TwoPersons
from gateway.backup import archive
from gateway.domain.messages import Modality
from gateway.errors import AuditUnavailable, UserError
from gateway.ledger.entry import EntryType, Frame, decode
from gateway.matching.calibrations import shipped
from gateway.matching.engines import Engines
from gateway.operations.declaration import Role
from gateway.server import calibrations_of_folder, self_check
from gateway.server.application import Gateway
from gateway.server.lifecycle import Serving
from gateway.server.restore import restore
from gateway.store import adopted_calibrations
from gateway.store.effects import Effect
from gateway.store.ledger import stored_ledger
from gateway.store.schema import values
from gateway.store.times import utc_now
from gateway.subjects.enrolment import Row
from keys.envelope import OpeningKey, SealingKey
from matcher.face import record
from tests.gateway.admin.test_approvals import enter
from tests.gateway.own_calibrations import face_file, iris_file, read, text_of
from tests.matcher.face.vectors import face, unit

OPERATOR = Officer("P-1", frozenset({Role.OPERATOR}))
TWO = Officer("P-1", frozenset({Role.OPERATOR}), second="P-9")
FACE, IRIS = face_file(), iris_file()
RECOVERY = OpeningKey.from_seed(bytes(range(32)))


@pytest.fixture
def gateway(homes: Any, secret: Any) -> Iterator[Gateway]:
    with Gateway.open(homes[0], secret) as opened:
        yield opened


def order(text: str) -> dict[str, object]:
    return {"text": text, "reason": "fitted in spring"}


def adopt(gateway: Gateway, text: str) -> Any:
    return gateway.admin.perform(TWO, "calibrations.adopt", order(text))


def counts(gateway: Gateway, model: str) -> str:
    one = gateway.calibrations.in_force.current.of(model)
    return "" if one is None else one.id


def frames(gateway: Gateway, kind: EntryType) -> list[Frame]:
    found = [decode(leaf) for leaf in stored_ledger.iter_leaves(gateway.database)]
    return [frame for frame in found if frame.type is kind]


def alarms(gateway: Gateway) -> list[str]:
    return [frame.subject_reference for frame in frames(gateway, EntryType.ALARM)]


def alter(gateway: Gateway, digest: str, text: str | None) -> None:
    """Have the kept text be another, or none, as whoever can write the database would."""
    where = values.c.key == f"calibration-text/{digest}"
    row = values.delete() if text is None else values.update().values(value=text)
    gateway.sequencer.commit((), (Effect(row.where(where), rows=1),))


@pytest.mark.parametrize(("text", "model"), [(FACE, "model-1"), (IRIS, "masek-1")])
def test_one_person_changes_nothing_and_two_do_with_the_digest_in_the_ledger(
    gateway: Gateway, text: str, model: str
) -> None:
    one, two = (enter(gateway, name, Role.OPERATOR) for name in ("P-1", "P-2"))
    before = counts(gateway, model)
    with pytest.raises(TwoPersons):
        gateway.admin.perform(one.officer, "calibrations.adopt", order(text))
    identifier = one.propose(gateway, "calibrations.adopt", order(text))
    shown = gateway.admin.perform(two.officer, "proposals.show", {"id": identifier})
    with pytest.raises(UserError):
        one.approve(gateway, identifier)
    assert counts(gateway, model) == before
    assert not frames(gateway, EntryType.CALIBRATION)

    done = two.approve(gateway, identifier)

    new = read(text)
    assert counts(gateway, model) == done["answer"]["calibration"] == new.id != before
    (entry,) = frames(gateway, EntryType.CALIBRATION)
    assert (entry.policy_id, entry.subject_reference) == (model, new.digest)
    assert model in str(shown["about"])
    assert f"SHA-256 of the file: {new.digest}." in shown["plan"]
    assert "needs a score of" in str(shown["plan"])
    assert self_check.verify_ledger(gateway.home).ok


def test_the_entry_says_who_and_why(gateway: Gateway, committed: Any) -> None:
    adopt(gateway, IRIS)

    (leaf,) = [each for each in committed if each.frame.type is EntryType.CALIBRATION]
    assert leaf.detail == {
        "modality": "IRIS",
        "calibration": read(IRIS).id,
        "reason": "fitted in spring",
        "actor": "P-1",
        "approver": "P-9",
    }


def test_what_was_proposed_beside_another_of_its_model_is_not_approved(gateway: Gateway) -> None:
    """The plan compared it with what counted then."""
    one, two = (enter(gateway, name, Role.OPERATOR) for name in ("P-1", "P-2"))
    identifier = one.propose(gateway, "calibrations.adopt", order(IRIS))
    adopt(gateway, easier(IRIS))

    with pytest.raises(UserError):
        two.approve(gateway, identifier)
    assert counts(gateway, "masek-1") != read(IRIS).id


@pytest.mark.parametrize(("waiting", "model"), [(IRIS, "masek-1"), (FACE, "model-1")])
def test_another_models_adoption_leaves_a_proposal_as_it_was(
    gateway: Gateway, waiting: str, model: str
) -> None:
    """Its plan says what changes for its own model: nothing of that changed, and what is done is what was approved."""
    one, two = (enter(gateway, name, Role.OPERATOR) for name in ("P-1", "P-2"))
    identifier = one.propose(gateway, "calibrations.adopt", order(waiting))
    before = gateway.admin.perform(two.officer, "proposals.show", {"id": identifier})
    adopt(gateway, {IRIS: FACE, FACE: IRIS}[waiting])

    after = gateway.admin.perform(two.officer, "proposals.show", {"id": identifier})
    assert (after["plan"], after["objection"]) == (before["plan"], "")
    with pytest.raises(UserError, match="proposes the same"):
        one.propose(gateway, "calibrations.adopt", order(waiting))
    two.approve(gateway, identifier)

    assert counts(gateway, model) == read(waiting).id
    assert len(frames(gateway, EntryType.CALIBRATION)) == 2
    assert self_check.verify_ledger(gateway.home).ok


def test_of_two_approvals_at_once_the_second_is_refused(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its plan compared the file with what counted before the first."""
    one, two = (enter(gateway, name, Role.OPERATOR) for name in ("P-1", "P-2"))
    proposed = [
        one.propose(gateway, "calibrations.adopt", order(text)) for text in (IRIS, easier(IRIS))
    ]
    commit, reached, refused = gateway.calibrations._adopt, Event(), []

    def second() -> None:
        with pytest.raises(UserError) as caught:
            two.approve(gateway, proposed[1])
        refused.append(caught.value)

    other = Thread(target=second)

    def slow(officer: Officer, request: Any) -> Any:
        if other.ident is None:  # the first waits while the second comes as far as it can
            other.start()
            reached.wait(0.3)
        reached.set()
        return commit(officer, request)

    handler = gateway.admin.operations.handlers["calibrations.adopt"]
    monkeypatch.setitem(
        gateway.admin.operations._handlers, "calibrations.adopt", replace(handler, do=slow)
    )
    two.approve(gateway, proposed[0])
    other.join()

    assert len(refused) == 1
    assert counts(gateway, "masek-1") == read(IRIS).id
    assert len(frames(gateway, EntryType.CALIBRATION)) == 1


def test_an_alarm_that_fails_does_not_make_a_failure_of_an_adoption_that_counts(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = (enter(gateway, name, Role.OPERATOR) for name in ("P-1", "P-2"))
    identifier = one.propose(gateway, "calibrations.adopt", order(IRIS))

    def failing(*_: object) -> None:
        raise AuditUnavailable

    monkeypatch.setattr(gateway.calibrations, "_raise_or_clear", failing)
    done = two.approve(gateway, identifier)

    assert done["state"] == "EXECUTED"
    assert counts(gateway, "masek-1") == read(IRIS).id


REFUSED = {
    "no calibration": ("{}", "no calibration"),
    "unknown coder": (iris_file("masek-7"), "normalised"),
    "shipped already": (text_of("masek-1"), "counts already"),
    "another dimension": (face_file("facenet512", 128), "another model"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_adopted_cannot_be_proposed(gateway: Gateway, name: str) -> None:
    text, why = REFUSED[name]
    one = enter(gateway, "P-1", Role.OPERATOR)

    with pytest.raises(UserError, match=why):
        one.propose(gateway, "calibrations.adopt", order(text))
    with pytest.raises(UserError, match=why):
        adopt(gateway, text)
    assert not frames(gateway, EntryType.CALIBRATION)


def test_an_auditor_adopts_nothing(gateway: Gateway) -> None:
    auditor = Officer("P-3", frozenset({Role.AUDITOR}), second="P-9")

    with pytest.raises(NotAllowed):
        gateway.admin.perform(auditor, "calibrations.adopt", order(FACE))


def test_a_model_of_ours_is_enrolled_once_it_is_adopted_and_found_after_a_restart(
    homes: Any, secret: Any, people: Any
) -> None:
    vectors = unit(np.random.default_rng(5), 3)
    (status,) = {row.status for row in people.rows(50)}
    rows = [
        Row("a", f"P-{n}", 0, "model-1", record.write(face(each)), status, modality=Modality.FACE)
        for n, each in enumerate(vectors)
    ]
    with Gateway.open(homes[0], secret) as gateway:
        refused = gateway.subjects.registry.enrol(rows)
        adopt(gateway, FACE)
        report = gateway.subjects.registry.enrol(rows)
    assert [each.reason[:29] for each in refused.bad] == ["no calibration of model-1 coun"[:29]] * 3
    assert (report.enrolled, report.bad) == (3, [])

    with Gateway.open(homes[0], secret) as gateway:
        engines = Engines(calibrations=gateway.calibrations.in_force)
        engines.load(gateway.subjects.gallery)
        assert engines.by_modality[Modality.FACE].status().size == 3
        assert counts(gateway, "model-1") == read(FACE).id


def test_going_back_is_another_adoption(homes: Any, secret: Any) -> None:
    """Of the shipped file too; the newest entry of a model counts, and each text is kept."""
    was = shipped().of("masek-1")
    assert was is not None
    with Gateway.open(homes[0], secret) as gateway:
        adopt(gateway, IRIS)
        adopt(gateway, text_of("masek-1"))
        assert counts(gateway, "masek-1") == was.id
    with Gateway.open(homes[0], secret) as gateway:
        assert counts(gateway, "masek-1") == was.id
        with gateway.database.reader() as reader:
            kept = adopted_calibrations.texts(reader)
        assert kept.keys() == {read(IRIS).digest, was.digest}
        adopt(gateway, IRIS)
        assert counts(gateway, "masek-1") == read(IRIS).id
        assert len(frames(gateway, EntryType.CALIBRATION)) == 3


def easier(text: str) -> str:
    return text.replace("masek-1-own", "masek-1-own2")


@pytest.mark.parametrize("attack", ["altered", "removed", "put back to an older one"])
def test_a_text_that_is_not_the_adopted_one_is_not_used_and_alarms_once(
    homes: Any, secret: Any, attack: str
) -> None:
    """Neither is the shipped one: nobody decided to go back to it."""
    text = easier(IRIS)
    with Gateway.open(homes[0], secret) as gateway:
        adopt(gateway, IRIS)
        adopt(gateway, text)
        put = {"altered": text.replace("17199", "17198"), "removed": None}.get(attack, IRIS)
        alter(gateway, read(text).digest, put)
        for _ in range(2):
            gateway.calibrations.round()
        assert counts(gateway, "masek-1") == read(text).id  # what was read at the start stays
        assert alarms(gateway) == ["RAISE/CALIBRATIONS"]

    for _ in range(2):
        with Gateway.open(homes[0], secret) as gateway:
            assert counts(gateway, "masek-1") == ""
            assert counts(gateway, "open-iris-v0.1")
            assert alarms(gateway) == ["RAISE/CALIBRATIONS"]
    found = {check.name: check for check in self_check.check(homes[0], lambda: b"", utc_now())}
    assert not found["calibrations"].ok
    assert "masek-1: the text that" in found["calibrations"].detail


@pytest.mark.parametrize("restarted", [False, True])
def test_to_adopt_the_same_file_again_puts_a_lost_text_back(
    homes: Any, secret: Any, *, restarted: bool
) -> None:
    with Gateway.open(homes[0], secret) as gateway:
        adopt(gateway, IRIS)
        alter(gateway, read(IRIS).digest, None)
        gateway.calibrations.round()
        if not restarted:
            adopt(gateway, IRIS)
    with Gateway.open(homes[0], secret) as gateway:
        if restarted:
            adopt(gateway, IRIS)
        assert counts(gateway, "masek-1") == read(IRIS).id
        assert alarms(gateway) == ["RAISE/CALIBRATIONS", "CLEAR/CALIBRATIONS"]
    assert not calibrations_of_folder.calibrations(homes[0]).faults


def test_a_row_that_no_entry_of_the_ledger_speaks_of_counts_for_nothing(gateway: Gateway) -> None:
    """Whoever can write the database can put a text into it: what counts is what the ledger has."""
    new = read(IRIS)
    gateway.sequencer.commit((), adopted_calibrations.keep_text(new.digest, IRIS.encode()))

    with gateway.database.reader() as reader:
        assert not adopted_calibrations.adopted(reader)
    assert new.id not in {
        each.id for each in calibrations_of_folder.calibrations(gateway.home).calibrations.each()
    }


def test_a_backup_brings_back_what_was_adopted(homes: Any, secret: Any, tmp_path: Path) -> None:
    with Gateway.open(homes[0], secret) as gateway:
        adopt(gateway, IRIS)
        said = {"public": RECOVERY.public.hex(), "reason": "a test"}
        gateway.admin.perform(TWO, "backup.recipient", said)
        made = str(gateway.admin.perform(TWO, "backup.begin", {})["made"])
        archive.write(gateway.settings, SealingKey(RECOVERY.public), made, tmp_path / "can.backup")

    restore(tmp_path / "can.backup", tmp_path / "again", RECOVERY, secret)

    found = calibrations_of_folder.calibrations(tmp_path / "again")
    assert found.texts == {"masek-1": IRIS.encode()}
    one = found.calibrations.of("masek-1")
    assert one is not None
    assert one.id == read(IRIS).id


def test_an_installed_package_of_calibrations_stops_the_start_and_the_way_out_is_named(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It counted until now: without a word, thresholds would be others than yesterday's. Maintenance opens all the same."""
    point = EntryPoint("ours", "the_package", calibrations_of_folder.PACKAGES)
    monkeypatch.setattr(
        calibrations_of_folder,
        "entry_points",
        lambda group: [point] if group == calibrations_of_folder.PACKAGES else [],
    )

    with pytest.raises(UserError, match=r"the_package: .*passerelle calibrations adopt DIR FILE"):
        Serving(gateway).start()
    found = {check.name: check for check in self_check.check(gateway.home, lambda: b"", utc_now())}
    assert "the_package" in found["calibrations"].detail
    adopt(gateway, FACE)
    assert counts(gateway, "model-1") == read(FACE).id
