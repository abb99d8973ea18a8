"""An agreement file, format 2, becomes an `Agreement`, or nothing.

    [agreement]              format = 2, id, version, title, division, home, partner, in_force, until (optional)
    [[parties.home]] …       name, since, paragraph, successor_of (optional): legal names, oldest first
    [[parties.partner]] …    the same
    [countries]              home, partner: whose nationals are whose, codes of countries.toml; none for an organisation
    [status]                 max_age_days, paragraph
    [modalities]             modality = "paragraph": what a query may carry
    [modality_purposes.MODALITY]   purposes, paragraph: for which alone it may (optional; else for all)
    [references]             PRIOR_TRANSACTION = "paragraph", SAME_DIRECTION = "paragraph" (both optional)
    [search]                 fpir
    [review]                 floor_fpir, persons, paragraph (optional table: without it no examiner stands between)
    [disclosure]             single_step, paragraph; [disclosure.caveats] CODE = "text" (optional)
    [answer.purposes]        purpose = "paragraph": for what the partner may ask us
    [answer.claims]          purpose = "paragraph": under which the claim flag declares a refugee claim there
    [answer.reveal.ROW]      ALWAYS, or UNDECLARED and DECLARED = { reveal, paragraph }, for every row
    [answer.fields.NAME]     paragraph, codes, purposes, rows, claims, needs_match
    [answer.withheld.NAME]   paragraph, codes, rows, persecution, visible, ground (optional)
    [answer.refusal]         duty, terms, grounds, paragraph
    [answer.persecution]     paragraph (optional)
    [answer.quota]           preset, or day and year; warn_percent; [answer.quota.purposes.PURPOSE] the same
    [ask.purposes], [ask.scope], [ask.persecution], [ask.quota]
    [retention.CLASS]        days, paragraph
    [correction]             send_hours, acknowledge_hours, paragraph

Tables that speak of queries are demanded where there are purposes and refused where there are none.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import timedelta
from enum import Enum
from functools import lru_cache
from types import MappingProxyType

from gateway.domain.messages import Modality, Purpose
from gateway.domain.person import Caveat
from gateway.law import agreement_bounds, countries
from gateway.law.agreement import Agreement, Band, KeptPeriod, Name, Timers
from gateway.law.agreement_directions import answering, asking
from gateway.law.toml_reader import Document, misshapen

FORMAT = 2
KEPT = 64  # agreements that are not read again; a party has a dozen, of 64 KiB at most

_id = re.compile(r"[a-z][a-z0-9-]{0,31}")
_party = re.compile(r"[A-Z0-9-]{2,32}")  # protocol 3, sender_id
_text = re.compile(r"[^\x00-\x1f\x7f]{1,300}")
_country = re.compile(r"[A-Z]{3}")
_code = re.compile(r"[A-Z0-9_]{1,32}")


class Kind(Enum):
    """Classes of things whose time of keeping an agreement states; names as the retention rules have them."""

    UNUSED_RESULT = "answers received and not used"
    USED_RESULT = "answers received and used in a decision"
    HIT_REFERENCE = "hit references"
    EXCHANGE_DETAIL = "sealed details of exchanges in the ledger"


def parse(text: bytes, name: str = "agreement") -> Agreement:
    """Return the agreement that `text` states; `name` is the file's, for complaints.

    Raises `MalformedAgreement` for an unknown key or word, a missing or misshapen paragraph, dates that do not
    follow each other, a file that permits nothing, and one that permits what the regulation does not.
    """
    return _parsed(text, name)


# An agreement is a value: the same bytes are read once for all who open a gateway, look at its folder or check it.
@lru_cache(maxsize=KEPT)
def _parsed(text: bytes, name: str) -> Agreement:
    file = Document(text, name)
    if not file.has("agreement.format"):
        raise file.wrong(
            "agreement.format", "is missing: an older format; take the file of this release"
        )
    file.count("agreement.format", FORMAT, FORMAT)
    in_force = file.day("agreement.in_force")
    until = file.day("agreement.until") if file.has("agreement.until") else None
    if until is not None and until <= in_force:
        raise file.wrong("agreement.until", "not after in_force")
    home, partner = (file.string(f"agreement.{key}", _party) for key in ("home", "partner"))
    if home == partner:
        raise file.wrong("agreement.partner", "the same as home")
    identity = file.string("agreement.id", _id)
    version = file.count("agreement.version")
    place = f"{identity}@{version}:"
    file.keys("references", optional=True)
    file.paragraph("status.paragraph")
    file.paragraph("disclosure.paragraph")
    agreement = Agreement(
        id=identity,
        version=version,
        title=file.string("agreement.title", _text),
        division=file.count("agreement.division", 0, 3),
        home=home,
        partner=partner,
        home_names=_names(file, "parties.home"),
        partner_names=_names(file, "parties.partner"),
        home_countries=_countries(file, "countries.home"),
        partner_countries=_countries(file, "countries.partner"),
        in_force=in_force,
        until=until,
        max_age=timedelta(days=file.count("status.max_age_days", 1, 3653)),
        fpir=file.share("search.fpir"),
        answering=answering(file, place),
        asking=asking(file),
        modalities=_modalities(file),
        modality_purposes=_modality_purposes(file),
        prior_transaction=_optional(file, "references.PRIOR_TRANSACTION"),
        same_direction=bool(_optional(file, "references.SAME_DIRECTION")),
        review=_review(file),
        single_step=file.flag("disclosure.single_step"),
        caveats=_caveats(file),
        timers=_timers(file),
        digest=hashlib.sha256(text).hexdigest(),
        retention=_retention(file),
    )
    file.finish()
    agreement_bounds.demand(agreement, file)
    return agreement


def _countries(file: Document, path: str) -> frozenset[str]:
    """Return the codes that nationals carry of the countries that are named there."""
    named = file.texts(path, _country)
    known = countries.NATIONALITIES - countries.UNTOLD - {countries.STATELESS}
    if not known.issuperset(named):
        raise file.wrong(path, f"names a code that is none of {countries.RULE}")
    return countries.nationals(named)


def _names(file: Document, path: str) -> tuple[Name, ...]:
    names: list[Name] = []
    for row in file.rows(path):
        successor = (
            file.string(f"{row}.successor_of", _text) if file.has(f"{row}.successor_of") else ""
        )
        name = Name(
            file.string(f"{row}.name", _text),
            file.day(f"{row}.since", past=True),
            successor,
            file.paragraph(f"{row}.paragraph"),
        )
        if names and (name.since <= names[-1].since or successor != names[-1].name):
            raise file.wrong(f"{row}.successor_of", "not the name before it, or not after it")
        names.append(name)
    return tuple(names)


def _modalities(file: Document) -> Mapping[Modality, str]:
    modalities = {}
    for key in file.keys("modalities", optional=True):
        if key not in Modality.__members__:
            raise file.wrong(f"modalities.{key}", "unknown")
        modalities[Modality[key]] = file.paragraph(f"modalities.{key}")
    return MappingProxyType(modalities)


def _modality_purposes(file: Document) -> Mapping[Modality, frozenset[Purpose]]:
    found = {}
    for key in file.keys("modality_purposes", optional=True):
        path = f"modality_purposes.{key}"
        if not file.has(
            f"modalities.{key}"
        ):  # a limit to what is not permitted was meant otherwise
            raise file.wrong(path, "not one of [modalities]")
        found[Modality[key]] = frozenset(file.choices(f"{path}.purposes", Purpose))
        file.paragraph(f"{path}.paragraph")
    return MappingProxyType(found)


def _optional(file: Document, path: str) -> str:
    return file.paragraph(path) if file.has(path) else ""


def _review(file: Document) -> Band | None:
    if not file.has("review"):
        return None
    band = Band(
        file.share("review.floor_fpir"),
        file.count("review.persons", 1, 2),
        file.paragraph("review.paragraph"),
    )
    if band.floor_fpir <= file.share("search.fpir"):
        raise file.wrong("review.floor_fpir", "not above search.fpir: the band would be empty")
    return band


def _caveats(file: Document) -> tuple[Caveat, ...]:
    caveats = []
    for code in file.keys("disclosure.caveats", optional=True):
        path = f"disclosure.caveats.{code}"
        if not _code.fullmatch(code):
            raise file.wrong(path, misshapen(_code))
        caveats.append(Caveat(code, file.string(path, _text)))
    return tuple(caveats)


def _timers(file: Document) -> Timers:
    send, acknowledge = (
        timedelta(hours=file.count(f"correction.{key}_hours", 1, 720))
        for key in ("send", "acknowledge")
    )
    if acknowledge <= send:
        raise file.wrong("correction.acknowledge_hours", "not after send_hours")
    return Timers(send, acknowledge, file.paragraph("correction.paragraph"))


def _retention(file: Document) -> Mapping[str, KeptPeriod]:
    kept = {}
    for key in file.keys("retention"):
        path = f"retention.{key}"
        if key not in Kind.__members__:
            raise file.wrong(path, "unknown")
        period = timedelta(days=file.count(f"{path}.days", 1, 36_525))
        kept[key] = KeptPeriod(period, file.paragraph(f"{path}.paragraph"))
    return MappingProxyType(kept)
