"""The chapters that follow a hit: what may be said of the person, what an examiner decides, what was wrong.

Each goes by the listeners that officers and partners use. `Followed` counts what held.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gateway.exercises import subprocess_cli
from gateway.exercises.demo import correction, disclosure, masking, parties, person_files, review
from gateway.exercises.demo.attacks import Stage
from gateway.exercises.demo.check import Promise
from gateway.exercises.demo.output import DemoOutput
from gateway.exercises.demo.parties import Party
from gateway.exercises.demo.people import Cast
from gateway.exercises.demo.queries import AskedQuery, found
from gateway.exercises.subprocess_cli import Server


@dataclass(slots=True)
class Followed:
    """What came of the hits that were followed up.

    fields     how many were disclosed, each beside its paragraph
    reviewed   destruction receipts by transaction number of what an examiner decided
    corrected  corrections that the partner acknowledged
    why        the paragraph that the auditor got for a masked answer
    """

    fields: int = 0
    reviewed: Mapping[str, str] = field(default_factory=dict)
    corrected: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class Officers:
    """Where the credentials of CAN's people are."""

    registrar: Path
    examiner: Path
    auditor: Path


@dataclass(frozen=True, slots=True)
class Casework:
    """Shows them. `keep` is called with each promise, `folder` is scratch."""

    can: Party
    aus: Party
    cast: Cast
    folder: Path
    telling: DemoOutput
    keep: Callable[[Promise], None]

    def staff(self) -> Officers:
        """Grant access to CAN's people, and have the registrar take in what is held of everybody."""
        registrar = parties.grant_access(self.can, "R-1", "registrar", "caseworker")
        officers = Officers(
            registrar,
            examiner=parties.grant_access(self.can, "X-1", "examiner"),
            auditor=parties.grant_access(self.can, "A-1", "auditor"),
        )
        who = "R-1 registrar and caseworker, A-1 auditor, by operator O-1; X-1 examiner, by O-1 and O-2"
        self.telling.fact("access granted", who)
        records = person_files.write_records(self.cast, self.folder / "records")
        done = subprocess_cli.run("registry", "import", self.can.home, records, officer=registrar)
        what = f"{done['imported']} records of nobody, surname SPECIMEN; one is a citizen"
        self.telling.fact("case files", what)
        return officers

    def follow(self, stage: Stage, officers: Officers, asked: Sequence[AskedQuery]) -> Followed:
        """Follow two people up who were hits, and let the auditor learn why a third was not."""
        followed = Followed(why=masking.explained(self.can, officers.auditor, asked))
        one = found(asked)
        other = None if one is None else found(asked, but=one.person)
        if one is None or other is None:
            self.keep(Promise("hits of two people are followed up", "there were none", kept=False))
            return followed
        self._disclose(stage, one, followed)
        self._review(stage, officers, one, followed)
        self._correct(officers, other, followed)
        return followed

    def _disclose(self, stage: Stage, one: AskedQuery, followed: Followed) -> None:
        self.telling.chapter(f"What may be said of {one.person.pseudonym}, by paragraph")
        fields, promises = disclosure.disclosed(stage.partner, one)
        self.telling.fields(fields)
        for promise in promises:
            self.keep(promise)
        followed.fields += len(fields)

    def _review(
        self, stage: Stage, officers: Officers, one: AskedQuery, followed: Followed
    ) -> None:
        self.telling.chapter("An examiner decides")
        own = f"{review.AGREEMENT[0]}@{review.AGREEMENT[1]}"
        what = "signed for this demonstration: as au@1, but whatever matches waits for a person"
        self.telling.fact("agreement", f"{own}, {what}")
        promise, followed.reviewed = review.decided(
            stage, self.can, officers.examiner, self.folder, one
        )
        self.keep(promise)

    def _correct(self, officers: Officers, one: AskedQuery, followed: Followed) -> None:
        self.telling.chapter("A mistake, chased through the hands that it reached")
        caseworker = correction.prepare(self.aus)
        log = self.folder / "aus.log"
        with Server(self.aus.home, self.aus.passphrase_file, log) as server:
            self.telling.fact("AUS serves", f"127.0.0.1:{server.exchange}; caseworker C-7 asks")
            gateways = correction.Redress(self.can, self.aus, caseworker, officers.registrar)
            promise, number, fields = gateways.learned(self.cast, one, self.folder)
            self.keep(promise)
            followed.fields += fields
            promise, followed.corrected = gateways.corrected(one.person, number, self.folder)
            self.keep(promise)
