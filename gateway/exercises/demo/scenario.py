"""The main job shown in order, each promise checked as it goes.

    two parties · bundles compared · people enrolled, and what is held of them · a server on loopback ·
    many questions · a replay, a forgery, a purpose that nobody agreed · a hit, and what may be said of it ·
    a case that an examiner decides · a mistake, chased from gateway to gateway · an organisation that asks with ten
    fingers, faces and irises · keys that follow each other ·
    the server stopped ·
    the ledger verified · a citizen who was not revealed · prints proved destroyed

Everything is the product's own: commands in their own processes, the partner's client, mutual TLS. What a
perfect matcher would find and ours missed is reported and allowed up to a stated share; a hit on a
unknown person, or on the wrong person, is not.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from gateway.client import Answer, Partner
from gateway.client.local_settings import HomeDirectory, read_folder
from gateway.domain.messages import Outcome
from gateway.errors import UserError
from gateway.exercises import subprocess_cli
from gateway.exercises.demo import (
    attacks,
    auditor,
    destruction,
    images,
    masking,
    organisation,
    parties,
    people,
    review,
    rotation,
    witness,
)
from gateway.exercises.demo.attacks import Stage
from gateway.exercises.demo.check import Promise
from gateway.exercises.demo.followup import Casework, Followed
from gateway.exercises.demo.output import DemoOutput
from gateway.exercises.demo.people import Cast
from gateway.exercises.demo.queries import AGREEMENT, AskedQuery, ask_all
from gateway.exercises.demo.summary import MISSED_ALLOWED, Summary, summarise
from gateway.exercises.raw_channel import Road
from gateway.exercises.scratch_folder import Scratch
from gateway.exercises.subprocess_cli import Server

WORKDIR = Path(".demo")
DECIDED = frozenset(
    {Outcome.MATCH, Outcome.NO_MATCH}
)  # their samples are gone; those of a case wait
_OPERATORS = parties.FIRST, parties.SECOND  # what is dangerous takes two


@dataclass(slots=True)
class Demo:
    """One run of the demonstration in a scratch folder."""

    scratch: Scratch
    telling: DemoOutput
    records: Path | None
    kept: list[Promise] = field(default_factory=list)

    def run(self) -> Summary:
        """Tell it from beginning to end, and return what held."""
        started = time.monotonic()
        cast = self._cast()
        can, aus, un = self._parties()
        enrolled = self._enrol(can, cast)
        folder = read_folder(aus.home, can.id, aus.passphrase)
        pictures = self._enrol_pictures(can, cast)
        casework = Casework(can, aus, cast, self.scratch.folder, self.telling, self._keep)
        course = self._serve_and_ask(casework, folder, un, pictures)
        found = self._stop_and_verify(can, folder)
        summary = summarise(course.asked, found.hits)
        self.judge(summary, found)
        self._account(can, course, found, summary)
        summary.ledger_ok = found.ok
        summary.ledger_entries = found.entries
        summary.people, summary.enrolled = len(cast.people), enrolled
        summary.source, summary.synthetic = cast.source, cast.invented
        summary.refused = sum(one.refusals for one in self.kept)
        summary.promises = [asdict(one) for one in self.kept]
        summary.ok = all(one.kept for one in self.kept)
        summary.seconds = round(time.monotonic() - started, 2)
        self._end(summary)
        return summary

    def _cast(self) -> Cast:
        self.telling.chapter("People")
        folder = self.records or people.find_records(Path.cwd())
        cast = people.invented() if folder is None else people.from_folder(folder)
        cast = people.with_citizen(cast)
        self.telling.fact("prints", cast.source)
        if folder is None:
            self.telling.fact(
                "", "no records were found beside the repository; --records DIR names real ones"
            )
        return cast

    def _parties(self) -> tuple[parties.Party, parties.Party, parties.Party]:
        self.telling.chapter("Two parties and an organisation, and telephone calls")
        here = self.scratch.folder
        can = parties.found(
            here, "CAN", "Immigration, Refugees and Citizenship Canada", *_OPERATORS
        )
        aus = parties.found(here, "AUS", "Department of Home Affairs, Australia")
        un = organisation.found(here)
        for one, other in ((can, aus), (aus, can), (can, un), (un, can)):
            read_out = parties.introduce(one, other)
            self.telling.fact(f"{one.id} reads out", f"{read_out}   {other.id} hears the same ✓")
        return can, aus, un

    def _enrol(self, can: parties.Party, cast: Cast) -> int:
        self.telling.chapter("CAN enrols, and begins to serve")
        manifest = people.write_manifest(cast, self.scratch.folder / "records")
        done = subprocess_cli.run(
            *("gallery", "enrol", can.home, "--manifest", manifest),
            *("--passphrase-file", can.passphrase_file),
            accept=(0, 1),
        )
        others = subprocess_cli.run(
            *("gallery", "enrol", can.home),
            *("--manifest", organisation.write_manifest(self.scratch.folder / "ten-face-iris")),
            *("--passphrase-file", can.passphrase_file),
        )
        parties.adopt(can, review.AGREEMENT[0], review.agreement())
        parties.adopt(can, organisation.AGREEMENT[0], organisation.agreement())
        self.telling.fact(
            "", f"{others['enrolled']} of {others['people']} more: ten fingers, a face, two irises"
        )
        never_enrolled = sum(not one.enrolled for one in cast.people)
        self.telling.fact(
            "gallery", f"{done['enrolled']} records of {done['people']} people, first impressions"
        )
        self.telling.fact("never enrolled", f"{never_enrolled} people")
        for bad in done["bad"]:
            self.telling.fact("not enrolled", f"{bad['file']}: {bad['reason']}")
        return int(done["people"])

    def _enrol_pictures(self, can: parties.Party, cast: Cast) -> images.Pictures | None:
        pictures = images.find(Path.cwd(), cast)
        if pictures is None:
            self.telling.fact(
                "pictures", "none: that takes the extra `images`, and pictures beside"
            )
        else:
            made = images.enrol(can, pictures, self.scratch.folder)
            self.telling.fact("pictures", f"{made} enrolled as the records that an extractor made")
        return pictures

    def _serve_and_ask(
        self,
        casework: Casework,
        folder: HomeDirectory,
        un: parties.Party,
        pictures: images.Pictures | None,
    ) -> Course:
        """Open the listeners, ask about everybody, try what must not work, then follow hits up."""
        can, cast = casework.can, casework.cast
        log = self.scratch.folder / "can.log"
        with Server(can.home, can.passphrase_file, log) as server:
            self.telling.fact(
                "serving", f"127.0.0.1:{server.exchange}, mutual TLS 1.3, process {server.pid}"
            )
            officers = casework.staff()
            partner = Partner.connect(
                folder.party, folder.keyset, folder.peer, witness=folder.witness
            )
            with partner, Road(folder) as road, organisation.connect(un, can.id) as other:
                asked = self._ask(partner, cast)
                stage = Stage(folder, partner, road, cast)
                poor = self._attack(stage, asked)
                followed = casework.follow(stage, officers, asked)
                others = self._ask_by_everything(other)
                by_picture = () if pictures is None else images.ask(un, can.id, pictures)
                rotated = self._rotate(stage, can, other)
                self._keep(witness.cosigned(partner, casework.aus))
                partner.checkpoint()
            self.telling.chapter("CAN stops; the auditor comes")
            code = server.stop()
        self._keep(Promise("the server drains and leaves cleanly", f"exit code {code}", code == 0))
        return Course(
            asked, poor, followed, officers.auditor, others, pictures, by_picture, rotated
        )

    def _ask_by_everything(self, other: Partner) -> tuple[organisation.Asked, ...]:
        self.telling.chapter(f"{organisation.PARTY} asks with ten fingers, faces and irises")
        asked = organisation.ask(other)
        self.telling.fact("asked", f"{len(asked)} questions about people who do not exist")
        return asked

    def _rotate(self, stage: Stage, can: parties.Party, other: Partner) -> int:
        """Replace keys while the partners ask; return how many."""
        self.telling.chapter("CAN's keys follow each other, while AUS asks")
        *promises, rotated = rotation.succeeded(stage, can, other)
        for promise in (*promises, rotation.alone(can)):
            self._keep(promise)
        return rotated

    def _ask(self, partner: Partner, cast: Cast) -> tuple[AskedQuery, ...]:
        self.telling.chapter(f"AUS asks, under agreement {AGREEMENT[0]}@{AGREEMENT[1]}")
        total = sum(len(one.asked_with) for one in cast.people)
        with self.telling.progress("asking", total) as progress:
            task = progress.task_ids[0]
            asked = ask_all(partner, cast, lambda _: progress.advance(task))
        self.telling.people(asked)
        return asked

    def _attack(self, stage: Stage, asked: Sequence[AskedQuery]) -> Answer:
        """Try what must not work; return the answer to prints that were too poor."""
        self.telling.chapter("What must not work, and what must look alike")
        for promise in (*attacks.replayed(stage), *attacks.tampered(stage)):
            self._keep(promise)
        self._keep(attacks.forbidden(stage))
        promise, poor = attacks.poor(stage)
        self._keep(promise)
        self._keep(attacks.alike(asked, poor.envelope_size))
        return poor

    def _stop_and_verify(self, can: parties.Party, folder: HomeDirectory) -> Verified:
        """Recompute the ledger by the command, then with what AUS kept and the auditor's key."""
        verified = subprocess_cli.run("ledger", "verify", can.home, accept=(0, 1))
        findings = auditor.examine(can, folder.witness)
        entries, checkpoints = int(verified["size"]), int(verified["checkpoints"])
        self._keep(
            Promise(
                "the whole ledger holds: entries, order of events, tree, signatures",
                f"{entries} entries, {checkpoints} signed checkpoints, root {verified['root'][:16]}…",
                bool(verified["ok"]),
            )
        )
        self._keep(
            Promise(
                "it continues the last checkpoint that AUS keeps", "consistent", findings.consistent
            )
        )
        whole = bool(verified["ok"]) and findings.consistent
        return Verified(whole, entries, findings.found, findings.masked)

    def _account(
        self, can: parties.Party, course: Course, found: Verified, summary: Summary
    ) -> None:
        """Hold the partner's answers against the sealed details, and the gateway's receipts against its bundle."""
        followed = course.followed
        hidden, summary.masked = masking.hidden(course.asked, found.masked, followed.why)
        self._keep(hidden)
        answers = [course.poor, *(one.answer for one in course.asked if one.answer is not None)]
        answers += [one.answer for one in course.others if one.answer.outcome in DECIDED]
        named = {each.transaction_number: each.result.destruction_receipt_id for each in answers}
        named |= {each.number: each.receipt for each in course.by_picture}
        for promise in organisation.judged(course.others, found.hits):
            self._keep(promise)
        if course.pictures is not None:
            self._keep(images.judged(course.by_picture, course.pictures, found.hits))
        summary.image_queries = len(course.by_picture)
        summary.waiting = sum(one.answer.outcome not in DECIDED for one in course.others)
        for kind in organisation.KINDS:
            setattr(summary, kind, organisation.count(course.others, kind))
        bundle = self.scratch.folder / f"{can.id}.json"
        gone, summary.destruction_receipts_verified = destruction.proved(
            can.home, bundle, {**named, **followed.reviewed}, self.scratch.folder
        )
        self._keep(gone)
        self._keep(witness.handed_over(can, course.auditor, self.scratch.folder))
        self._keep(witness.watched(can, self.scratch.folder))
        summary.details_fields = followed.fields
        summary.reviews = len(followed.reviewed)
        summary.corrections_acknowledged = followed.corrected
        summary.rotations = course.rotated

    def judge(self, summary: Summary, found: Verified) -> None:
        """Hold the answers against what was known beforehand."""
        self._keep(
            Promise(
                "no unknown person was a hit, and every hit was on the right person (auditor's key)",
                f"{summary.wrong_hits} wrong of {summary.hits} hits; {len(found.hits)} details opened",
                summary.wrong_hits == 0,
            )
        )
        self._keep(
            Promise(
                "every question was answered, every answer's signature and receipt verified",
                f"{summary.receipts_verified} of {summary.queries}",
                summary.receipts_verified == summary.queries > 0,
            )
        )
        self._keep(
            Promise(
                f"at most {MISSED_ALLOWED:.0%} of the questions about enrolled people were missed",
                f"{summary.missed} missed, {summary.missed_allowed} allowed",
                summary.missed <= summary.missed_allowed,
            )
        )

    def _keep(self, promise: Promise) -> None:
        self.kept.append(promise)
        self.telling.promise(promise)

    def _end(self, summary: Summary) -> None:
        self.telling.chapter("In short")
        self.telling.fact(
            "questions",
            f"{summary.queries}: {summary.hits} hits, {summary.no_hits} no hits,"
            f" {summary.insufficient} too poor, {summary.refused} attempts refused",
        )
        self.telling.fact(
            "latency",
            f"p50 {summary.p50_ms:.0f} ms  p95 {summary.p95_ms:.0f} ms  p99 {summary.p99_ms:.0f} ms"
            " (answers leave on a fixed beat, hit or no hit)",
        )
        held = sum(one.kept for one in self.kept)
        self.telling.fact("promises", f"{held} of {len(self.kept)} held")
        self.telling.fact("time", f"{summary.seconds:.1f} s")
        if self.scratch.keep:
            self.telling.fact("kept", f"{self.scratch.folder}; the next run empties it")


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found after the end.

    hits     file numbers by transaction number
    masked   transaction numbers of people who were found and not shown
    """

    ok: bool
    entries: int
    hits: Mapping[str, str]
    masked: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Course:
    """What came of serving; `poor` is the answer to prints that were too poor to search, `others` the organisation's."""

    asked: tuple[AskedQuery, ...]
    poor: Answer
    followed: Followed
    auditor: Path
    others: tuple[organisation.Asked, ...]
    pictures: images.Pictures | None
    by_picture: tuple[images.AskedPicture, ...]
    rotated: int = 0


def demonstrate(
    telling: DemoOutput, *, workdir: Path = WORKDIR, records: Path | None = None, keep: bool = False
) -> Summary:
    """Run the demonstration in `workdir`, which is emptied before and, unless kept, removed after.

    records  folder of real records; None looks beside the working folder, and else invents people

    Raises `UserError` for a folder that is not the demo's, or one that holds no records. A broken promise is
    no exception: it is in the summary, and the folder is kept to be looked at.
    """
    if records is not None and not records.is_dir():
        raise UserError(f"{records} is no folder; name the one that holds the records")
    with Scratch(workdir, keep=keep) as scratch:
        summary = Demo(scratch, telling, records).run()
        scratch.keep = keep or not summary.ok
    return summary
