"""What makes an agreement file ours: it travels with Passerelle, the ledger has it, or our own key has signed it.

A signature is one line in `FILE.sig` beside the file: `passerelle/1/agreement KEY-ID SIGNATURE`. It is asked for once:
what was adopted is known by its digest from then on, so that it outlives the key that signed it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from gateway.law.agreement import Agreement, Agreements
from gateway.law.agreement_library import arranged, packaged
from gateway.law.agreement_parser import parse
from gateway.law.toml_reader import MalformedAgreement
from gateway.store.keys.adopted_versions import Adopted
from keys import signatures as sign
from keys.errors import KeysError, SignatureRefused
from keys.signatures import SigningKey, VerifyingKey

SUFFIX = ".sig"

_CHANGED = "is in the ledger with other content: give changed content a higher version"
_KEPT = (
    "is in the ledger and in no file: the text that was adopted stays in force. Put it back, and end an agreement"
    " by a version"
)
_LOST = (
    "is in the ledger, in no file and kept nowhere: no version of it is in force, and its queries are refused. Put"
    " the file back as it was"
)
_line = re.compile(r"passerelle/1/agreement ([0-9a-f]{64}) ([A-Za-z0-9+/=]{1,8192})\n?")

Keys = Callable[[bytes], VerifyingKey | None]  # our signing key of that id, if it is in use now


@dataclass(frozen=True, slots=True)
class AgreementFolder:
    """The agreements folder as it was read: files and signatures by file name, and why others could not be read."""

    files: Mapping[str, bytes]
    signatures: Mapping[str, bytes]
    unreadable: Mapping[str, str] = field(default_factory=dict)


def signature(key: SigningKey, text: bytes) -> str:
    """Return the line that signs a file."""
    octets = base64.b64encode(key.sign(text, sign.AGREEMENT)).decode("ascii")
    return f"passerelle/1/agreement {key.key_id.hex()} {octets}\n"


@dataclass(frozen=True, slots=True)
class Vetted:
    """What counts of a folder, and what does not.

    agreements   well formed and ours; of each, every version that the ledger has
    texts        the bytes of those that lie in the folder, by agreement and version
    faults       what does not count, or is not where it should be: each names file and line
    """

    agreements: Agreements
    texts: Mapping[str, bytes]
    faults: tuple[MalformedAgreement, ...]


def not_ours(agreement: Agreement, party: str) -> str:
    """Return why an agreement is none of this party's; "" where it is one."""
    if agreement.home == party:
        return ""
    return (
        f"is not ours, and not in force here: it is {agreement.home}'s side of what it agreed with {agreement.partner};"
        f' use the file that has home = "{party}" instead'
    )


def vetted(
    folder: AgreementFolder,
    keys: Keys,
    adopted: Mapping[str, Adopted],
    kept: Mapping[str, bytes],
    party: str,
) -> Vetted:
    """Return what counts of a folder; one file that does not leaves all others as they are.

    party     this gateway's: an agreement with another home counts for nothing, whoever signed it
    adopted   what the ledger has, by agreement and version
    kept      the texts of those that were kept when they were adopted

    A version that the ledger has stays in force with the text that was adopted, whatever became of its file. Where
    that text is nowhere to be had, or can no longer be read, no version of its agreement is in force: an older one would permit what the newer
    one ended.
    """
    known = {hashlib.sha256(text).hexdigest(): text for text in packaged().values()}
    parsed: dict[str, Agreement] = {}
    faults = [MalformedAgreement(name, "", 0, why) for name, why in folder.unreadable.items()]
    for name in sorted(folder.files):
        try:
            parsed[name] = _ours(name, folder, keys, adopted, known.keys(), party=party)
        except MalformedAgreement as fault:
            faults.append(fault)
    texts = {agreement.name: folder.files[name] for name, agreement in parsed.items()}
    lost: set[str] = set()
    for gone in sorted(adopted.keys() - texts.keys()):
        text = known.get(adopted[gone].digest) or kept.get(gone, b"")
        try:
            agreement = _adopted(gone, text, adopted[gone].digest)
            if not not_ours(agreement, party):  # taken in before that was looked at: never in force
                parsed[f"{gone}.kept"] = agreement
                faults.append(MalformedAgreement(gone, "", 0, _KEPT))
        except MalformedAgreement as fault:
            lost.add(gone.rpartition("@")[0])
            faults.append(fault)
    found: dict[str, tuple[Agreement, ...]] = {}
    for name in sorted({each.id for each in parsed.values()} - lost):
        files = {file: each for file, each in parsed.items() if each.id == name}
        try:
            found |= arranged(files)
        except MalformedAgreement as fault:
            faults.append(fault)
            found |= arranged({a.name: a for a in files.values() if a.name in adopted})
    return Vetted(MappingProxyType(found), texts, tuple(faults))


def _adopted(name: str, text: bytes, digest: str) -> Agreement:
    """Return the agreement of a kept text; raises MalformedAgreement where it is lost, or a later release takes less."""
    if hashlib.sha256(text).hexdigest() != digest:
        raise MalformedAgreement(name, "", 0, _LOST)
    return parse(text, name)


def _ours(
    name: str,
    folder: AgreementFolder,
    keys: Keys,
    adopted: Mapping[str, Adopted],
    packaged_digests: Collection[str],
    *,
    party: str,
) -> Agreement:
    """Return the agreement of one file; raises MalformedAgreement where it is malformed, not ours, or changed."""
    text = folder.files[name]
    try:
        agreement = parse(text, name)
    except MalformedAgreement:
        raise
    except Exception as fault:  # noqa: BLE001 - whatever is wrong with a file, it is that file's
        raise MalformedAgreement(name, "", 0, f"cannot be read: {type(fault).__name__}") from None
    if why := not_ours(agreement, party):
        raise MalformedAgreement(name, "agreement.home", 0, why)
    held = adopted.get(agreement.name)
    if held is not None and held.digest != agreement.digest:
        raise MalformedAgreement(name, "agreement.version", 0, _CHANGED)
    if held is None and agreement.digest not in packaged_digests:
        _demand_signed(name, text, folder.signatures.get(name + SUFFIX), keys)
    return agreement


def _demand_signed(name: str, text: bytes, line: bytes | None, keys: Keys) -> None:
    file = name + SUFFIX
    if line is None:
        raise MalformedAgreement(name, "", 1, "not signed: run `passerelle agreements sign`")
    found = _line.fullmatch(line.decode("ascii", errors="replace"))
    if found is None:
        raise MalformedAgreement(file, "", 1, "not a signature")
    key = keys(bytes.fromhex(found[1]))
    if key is None:
        raise MalformedAgreement(file, "", 1, "not by a signing key of ours that is in use")
    try:
        key.verify(base64.b64decode(found[2], validate=True), text, sign.AGREEMENT)
    except (SignatureRefused, binascii.Error, KeysError):
        raise MalformedAgreement(file, "", 1, "does not sign this file") from None
