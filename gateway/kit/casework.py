"""The chapters that follow a hit: what may be said of the person, what an examiner decides, what was wrong.

Each goes by the doors that officers and partners use. `Followed` counts what held.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gateway.kit import casefiles, commands, disclosing, masking, parties, redress, reviewing
from gateway.kit.asking import Asked, found
from gateway.kit.attacks import Stage
from gateway.kit.commands import Server
from gateway.kit.parties import Party
from gateway.kit.people import Cast
from gateway.kit.promise import Promise
from gateway.kit.telling import Telling


@dataclass(slots=True)
class Followed:
    """What came of the hits that were followed up.

    fields     how many were disclosed, each beside its paragraph
    reviewed   destruction receipts by transaction number of what an examiner decided
    corrected  corrections that the partner acknowledged
    why        the paragraph that the auditor was told for a masked answer
    """

    fields: int = 0
    reviewed: Mapping[str, str] = field(default_factory=dict)
    corrected: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class Badges:
    """Where the credentials of CAN's people are."""

    registrar: Path
    examiner: Path
    auditor: Path


@dataclass(frozen=True, slots=True)
class Casework:
    """Tells them. `keep` hears of each promise, `folder` is scratch."""

    can: Party
    aus: Party
    cast: Cast
    folder: Path
    telling: Telling
    keep: Callable[[Promise], None]

    def staff(self) -> Badges:
        """Let CAN's people in by the door, and have the registrar take in what is held of everybody."""
        registrar = parties.let_in(self.can, "R-1", "registrar", "caseworker")
        badges = Badges(
            registrar,
            examiner=parties.let_in(self.can, "X-1", "examiner"),
            auditor=parties.let_in(self.can, "A-1", "auditor"),
        )
        who = "R-1 registrar and caseworker, A-1 auditor, by operator O-1; X-1 examiner, by O-1 and O-2"
        self.telling.fact("let in", who)
        records = casefiles.write_records(self.cast, self.folder / "records")
        done = commands.run("registry", "import", self.can.home, records, officer=registrar)
        what = f"{done['imported']} records of nobody, surname SPECIMEN; one is a citizen"
        self.telling.fact("case files", what)
        return badges

    def follow(self, stage: Stage, badges: Badges, asked: Sequence[Asked]) -> Followed:
        """Follow two people up who were hits, and have the auditor told why a third was not."""
        followed = Followed(why=masking.explained(self.can, badges.auditor, asked))
        one = found(asked)
        other = None if one is None else found(asked, but=one.person)
        if one is None or other is None:
            self.keep(Promise("hits of two people are followed up", "there were none", kept=False))
            return followed
        self._disclose(stage, one, followed)
        self._review(stage, badges, one, followed)
        self._redress(badges, other, followed)
        return followed

    def _disclose(self, stage: Stage, one: Asked, followed: Followed) -> None:
        self.telling.chapter(f"What may be said of {one.person.pseudonym}, by paragraph")
        fields, promises = disclosing.disclosed(stage.partner, one)
        self.telling.fields(fields)
        for promise in promises:
            self.keep(promise)
        followed.fields += len(fields)

    def _review(self, stage: Stage, badges: Badges, one: Asked, followed: Followed) -> None:
        self.telling.chapter("An examiner decides")
        own = f"{reviewing.AGREEMENT[0]}@{reviewing.AGREEMENT[1]}"
        what = "signed for this demonstration: as au@1, but whatever matches waits for a person"
        self.telling.fact("agreement", f"{own}, {what}")
        promise, followed.reviewed = reviewing.decided(
            stage, self.can, badges.examiner, self.folder, one
        )
        self.keep(promise)

    def _redress(self, badges: Badges, one: Asked, followed: Followed) -> None:
        self.telling.chapter("A mistake, chased through the hands that it reached")
        caseworker = redress.prepare(self.aus)
        log = self.folder / "aus.log"
        with Server(self.aus.home, self.aus.passphrase_file, log) as server:
            self.telling.fact("AUS serves", f"127.0.0.1:{server.exchange}; caseworker C-7 asks")
            houses = redress.Redress(self.can, self.aus, caseworker, badges.registrar)
            promise, number, fields = houses.learned(self.cast, one, self.folder)
            self.keep(promise)
            followed.fields += fields
            promise, followed.corrected = houses.corrected(one.person, number, self.folder)
            self.keep(promise)
