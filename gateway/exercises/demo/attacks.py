"""What must not work, tried for real, and what must look alike, measured.

Each act returns a promise with what was seen. Refusals are counted by their stable reason; that a replay
is not searched again shows twice, in the bytes and in a ledger that did not grow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.client import Answer, Partner, Refused
from gateway.client.local_settings import HomeDirectory
from gateway.domain.messages import Outcome, Purpose
from gateway.exercises.demo.check import Promise, refusal
from gateway.exercises.demo.people import Cast, Person, Print
from gateway.exercises.demo.queries import AskedQuery, matter
from gateway.exercises.raw_channel import Road, flipped, signed_anew
from matcher.finger import record_fmr
from matcher.finger.synthetic import record

FORBIDDEN = Purpose.DATA_ACCURACY  # between Canada and Australia no paragraph permits it
POOR_MINUTIAE = 3  # fewer than any search is made with


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the acts happen: the asker's folder, its client, its raw channel, and somebody enrolled."""

    folder: HomeDirectory
    partner: Partner
    road: Road
    cast: Cast

    @property
    def somebody(self) -> tuple[Person, Sequence[Print]]:
        """A person whom the gallery knows, and prints to ask with."""
        person = self.cast.known[0]
        return person, person.impressions[person.asked_with[0]]


def replayed(stage: Stage) -> tuple[Promise, Promise]:
    """Send one message twice, then another under its id."""
    person, prints = stage.somebody
    outgoing = stage.partner.compose(stage.cast.samples(prints), **matter(person.pseudonym))
    first = stage.road.send(outgoing.envelope)
    before = stage.partner.checkpoint().size
    again = stage.road.send(outgoing.envelope)
    after = stage.partner.checkpoint().size
    believed = stage.partner.send(outgoing)  # a third time, and judged: it is our answer
    same = bool(first.response) and first.response == again.response
    twice = Promise(
        "the same message again is answered with the same bytes, and not searched again",
        f"{len(first.response)} and {len(again.response)} bytes, {'equal' if same else 'NOT EQUAL'};"
        f" ledger {before} → {after} entries; receipt {believed.receipt_index}",
        same and before == after and believed.receipt_index < before,
    )
    other = stage.road.send(signed_anew(outgoing.envelope, stage.folder))
    conflict = refusal(
        "another message under the same id is refused", other.reason, "REPLAY_CONFLICT"
    )
    return twice, conflict


def tampered(stage: Stage) -> tuple[Promise, ...]:
    """Turn one bit of what is sealed, and of the signature."""
    person, prints = stage.somebody
    envelope = stage.partner.compose(
        stage.cast.samples(prints), **matter(person.pseudonym)
    ).envelope
    acts = (
        ("sealed", len(envelope.sealed) // 2, "one bit turned in the sealed question is refused"),
        ("signature", 0, "one bit turned in the post-quantum signature is refused"),
        (
            "signature",
            len(envelope.signature) - 1,
            "one bit turned in the classical one is refused",
        ),
    )
    return tuple(
        refusal(says, stage.road.send(flipped(envelope, part, at)).reason, "ENVELOPE_REJECTED")
        for part, at, says in acts
    )


def forbidden(stage: Stage) -> Promise:
    """Ask for a purpose that the agreement does not permit."""
    person, prints = stage.somebody
    says = f"a purpose outside the agreement ({FORBIDDEN.name}) is refused"
    try:
        stage.partner.query(
            stage.cast.samples(prints), **matter(person.pseudonym, purpose=FORBIDDEN)
        )
    except Refused as refused:
        return refusal(says, refused.reason, "PURPOSE_NOT_PERMITTED")
    return Promise(says, "it was ANSWERED", kept=False)


def poor(stage: Stage) -> tuple[Promise, Answer]:
    """Ask with prints that show next to nothing; return the promise and the answer."""
    person, prints = stage.somebody
    too_few = tuple(Print(one.position, faint(one.data, one.position)) for one in prints)
    answer = stage.partner.query(stage.cast.samples(too_few), **matter(person.pseudonym))
    problems = ", ".join(f"finger {p.position} {p.code.name}" for p in answer.result.problems)
    promise = Promise(
        "prints too poor to search are sent back, and are never a no match",
        f"{answer.outcome.name}: {problems}",
        answer.outcome is Outcome.QUALITY_INSUFFICIENT and bool(problems),
    )
    return promise, answer


def alike(asked: Sequence[AskedQuery], poor_size: int) -> Promise:
    """Compare the sizes of all answers, by outcome."""
    sizes: dict[str, set[int]] = {}
    for one in asked:
        if one.answer is not None:
            sizes.setdefault(one.answer.outcome.name, set()).add(one.answer.envelope_size)
    sizes.setdefault(Outcome.QUALITY_INSUFFICIENT.name, set()).add(poor_size)
    every = set().union(*sizes.values())
    shown = "; ".join(
        f"{name} {', '.join(map(str, sorted(found)))}" for name, found in sorted(sizes.items())
    )
    complete = {Outcome.MATCH.name, Outcome.NO_MATCH.name} <= sizes.keys()
    return Promise(
        "hit, no hit and poor prints are answered in one size",
        f"bytes: {shown}",
        complete and len(every) == 1,
    )


def faint(data: bytes, position: int) -> bytes:
    """Return a record of the same finger that shows three minutiae, in the same format."""
    read = record_fmr.read(data)
    whole = read.views[0].minutiae
    few = slice(0, POOR_MINUTIAE)
    marks = {name: getattr(whole, name)[few] for name in ("xy", "angle", "kind", "quality")}
    left = replace(whole, **marks)
    return record(left, position, read.format)
