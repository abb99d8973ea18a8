"""The chapters of a story: each reads the entries of one exchange and yields what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.audit.entry import EntryClass, EntryType, Frame

SEALED = "sealed: give the auditor's key to read it"
Cite = Callable[[str], str]  # rule id → the paragraph it rests on; empty where none is known


@dataclass(frozen=True, slots=True)
class Told:
    """One entry as the auditor holds it; facts are None where the detail is sealed, gone or absent."""

    index: int
    frame: Frame
    facts: Mapping[str, str] | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that is known: what, where it stands, and the paragraph it rests on, where there is one."""

    label: str
    value: str
    leaf: int
    paragraph: str = ""


_SENT = (
    ("operation", "operation"),
    ("modality", "modality"),
    ("positions", "fingers"),
    ("missing", "fingers missing"),
    ("formats", "record formats"),
    ("sizes", "sizes, bytes"),
    ("extractors", "extractors"),
    ("prior_transaction", "number asked back"),
)
_SEARCHED = (
    ("calibration", "calibration"),
    ("gallery_version", "gallery version"),
    ("gallery_size", "gallery size, people"),
    ("usable_positions", "fingers searched"),
    ("fpir", "FPIR agreed"),
    ("fpir_expected", "FPIR expected at this size"),
    ("threshold", "threshold, log10 likelihood ratio"),
    ("review_floor", "review from, log10 likelihood ratio"),
    ("scores", "score of the best candidate"),
    ("reckoned_by", "reckoned by"),
)


def who(own: Sequence[Told]) -> Iterator[Line]:
    """Yield who asked, when and under which agreement."""
    for each in of_type(own, EntryType.REQUEST, EntryType.REFUSAL):
        frame = each.frame
        yield Line("asked by", frame.partner_id, each.index)
        yield Line("at", frame.time.isoformat(timespec="milliseconds"), each.index)
        if frame.agreement_id:
            agreed = f"{frame.agreement_id}@{frame.agreement_version}"
            yield Line("under", agreed, each.index, _fact(each, "paragraph", quiet=True))
        yield from _lines(each, (("unit", "unit"), ("person", "responsible person")))


def purpose(own: Sequence[Told]) -> Iterator[Line]:
    """Yield the purpose and the case."""
    for each in of_type(own, EntryType.REQUEST):
        paragraph = _fact(each, "paragraph", quiet=True)
        yield Line("purpose", _fact(each, "purpose"), each.index, paragraph)
        yield from _lines(each, (("case", "case"), ("refugee_claimant", "refuge claimed there")))


def content(own: Sequence[Told]) -> Iterator[Line]:
    """Yield what was sent and what was returned; names of fields, never values."""
    for each in of_type(own, EntryType.REQUEST):
        yield Line("transcript of the question", each.frame.transcript.hex(), each.index)
        yield from _lines(each, _SENT)
    for each in of_type(own, EntryType.RESPONSE):
        yield Line("transcript of the answer", each.frame.transcript.hex(), each.index)
        yield from _lines(
            each,
            (
                ("disclosed_outcome", "outcome shown"),
                ("fields", "fields disclosed"),
                ("authorities", "by"),
                ("withheld", "withheld"),
            ),
        )


def calibration(own: Sequence[Told]) -> Iterator[Line]:
    """Yield algorithm, threshold, gallery and score of the search."""
    for each in of_type(own, EntryType.RESPONSE, EntryType.REVIEW, EntryType.VERDICT):
        yield from _lines(each, _SEARCHED)


def keys(own: Sequence[Told], mine: Sequence[Told]) -> Iterator[Line]:
    """Yield the keys that protected it, and the life of each."""
    used: dict[str, tuple[str, int]] = {}
    for each in of_type(own, EntryType.REQUEST, EntryType.RESPONSE):
        asked = each.frame.type is EntryType.REQUEST
        for octets, what in (
            (each.frame.signing_key_id, "signed" if asked else "answer signed"),
            (each.frame.kem_key_id, "sealed to" if asked else "answer sealed to"),
        ):
            if octets:
                used.setdefault(octets.hex(), (what, each.index))
    for kid, (what, index) in used.items():
        yield Line(what, kid, index)
        for each in mine:
            if each.frame.type is EntryType.KEY and each.frame.subject_reference == kid:
                when = each.frame.time.isoformat(timespec="seconds")
                state = _fact(each, "state_after")
                why, actor = (_fact(each, name, quiet=True) for name in ("reason", "actor"))
                words = [
                    f"{when} {state}",
                    *([why] if why else []),
                    *([f"by {actor}"] if actor else []),
                ]
                yield Line("  its life", ", ".join(words), each.index)


def destruction(own: Sequence[Told]) -> Iterator[Line]:
    """Yield when prints and templates were destroyed."""
    for each in of_type(own, EntryType.DESTRUCTION):
        when = each.frame.time.isoformat(timespec="milliseconds")
        yield Line(
            "prints and templates destroyed",
            f"{when}, receipt {each.frame.subject_reference}",
            each.index,
            "IRPR 315.43(2)",
        )
        yield from _lines(each, (("destroyed", "what"),), quiet=True)


def review(own: Sequence[Told]) -> Iterator[Line]:
    """Yield who examined it."""
    for each in of_type(own, EntryType.REVIEW, EntryType.VERDICT):
        when = each.frame.time.isoformat(timespec="seconds")
        what = "waits for an examiner since" if each.frame.type is EntryType.REVIEW else "examined"
        yield Line(what, when, each.index)
        yield from _lines(
            each,
            (
                ("verdict", "verdict"),
                ("examiner", "examiner"),
                ("second_examiner", "second examiner"),
                ("actor", "by"),
                ("reason", "because"),
            ),
            quiet=True,
        )


def decision(own: Sequence[Told], cite: Cite) -> Iterator[Line]:
    """Yield what was permitted, masked or refused, rule by rule."""
    for each in own:
        if each.frame.type is EntryType.REFUSAL:
            label = "refused" if each.frame.entry_class is EntryClass.DENIED else "not completed"
            yield Line(label, _fact(each, "reason"), each.index)
            yield from _lines(each, (("element", "because of"), ("why", "check")), quiet=True)
        elif each.frame.type is EntryType.ABANDONED:
            yield Line("given up", "no outcome; never a NO_MATCH", each.index)
        elif each.frame.type in {EntryType.RESPONSE, EntryType.VERDICT} and each.facts:
            true, shown = (each.facts.get(f"{name}_outcome", "") for name in ("true", "disclosed"))
            if true and true != shown:
                yield Line("masked", f"{true}, shown as {shown}", each.index)
            elif true:
                yield Line("answered", shown, each.index)
            yield from _lines(
                each,
                (
                    ("status_kind", "status of the person found"),
                    ("status_age", "status confirmed, days before"),
                    ("ground", "ground of refusal"),
                ),
                quiet=True,
            )
        if each.facts:
            for rule in filter(None, each.facts.get("policy_trace", "").split(",")):
                yield Line("rule", rule, each.index, cite(rule))
            why = each.facts.get("why", "")
            if why and each.frame.type is EntryType.RESPONSE:
                yield Line("decided by rule", why, each.index, cite(why))


def afterwards(later: Sequence[Told], number: str) -> Iterator[Line]:
    """Yield what followed: details, corrections, uses."""
    for each in later:
        if each.facts is not None and each.facts.get("transaction_reference", number) != number:
            continue
        what = each.frame.type.name.lower().replace("_", " ")
        operation = _fact(each, "operation", quiet=True)
        when = each.frame.time.isoformat(timespec="seconds")
        words = " ".join(filter(None, (when, operation, each.frame.transaction_number)))
        yield Line(what, words, each.index)
        yield from _lines(
            each,
            (
                ("fields", "fields"),
                ("authorities", "by"),
                ("case", "case"),
                ("person", "responsible person"),
                ("correction_kind", "what was wrong"),
                ("correction_outcome", "what was done"),
                ("note", "note to file"),
                ("reason", "because"),
            ),
            quiet=True,
        )


def of_type(own: Sequence[Told], *kinds: EntryType) -> list[Told]:
    """Return the entries of some types."""
    return [each for each in own if each.frame.type in kinds]


def _fact(each: Told, name: str, *, quiet: bool = False) -> str:
    if each.facts is None:
        return "" if quiet else SEALED
    return each.facts.get(name, "" if quiet else "not recorded")


def _lines(each: Told, names: Iterable[tuple[str, str]], *, quiet: bool = False) -> Iterator[Line]:
    """Yield what is recorded; a sealed detail is said once, not for every fact."""
    if each.facts is None:
        if not quiet:
            yield Line("detail", SEALED, each.index)
        return
    for name, label in names:
        if value := each.facts.get(name, ""):
            yield Line(label, value, each.index)
