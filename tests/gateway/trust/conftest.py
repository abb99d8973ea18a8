"""Two parties with their private halves, and the bundles that others see of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from gateway.ledger.signed_note import LogIdentity
from gateway.trust.bundle import BundleKey, PartyBundle
from keys.certificates import TlsKey, issue_ca, issue_leaf, pin
from keys.envelope import OpeningKey
from keys.signatures import LogKey, SigningKey

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
WEEK = timedelta(days=7)


@dataclass(frozen=True)
class Party:
    """A party with its private halves."""

    bundle: PartyBundle
    signing: SigningKey
    opening: OpeningKey
    authority: TlsKey


def make(party: str) -> Party:
    signing, opening, log = SigningKey.generate(), OpeningKey.generate(), LogKey.generate()
    authority, leaf = TlsKey.generate(), TlsKey.generate()
    ca = issue_ca(party, authority, NOW)
    certificate = issue_leaf(party, ca, authority, leaf, NOW, days=30, hosts=["localhost"])
    bundle = PartyBundle(
        party=party,
        legal_name=f"Ministry of {party}, Département é",
        version=3,
        issue_time=NOW,
        endpoints=("127.0.0.1:7443", "[::1]:7443"),
        kem=(BundleKey(opening.public, NOW, NOW + WEEK),),
        signing=(BundleKey(signing.public, NOW, NOW + 52 * WEEK),),
        tls_ca_pem=ca,
        tls_pins=(pin(certificate),),
        log=LogIdentity.from_log_key(f"passerelle/{party}", log),
    )
    return Party(bundle, signing, opening, authority)


@pytest.fixture(scope="session")
def aus() -> Party:
    return make("AUS")


@pytest.fixture(scope="session")
def nzl() -> Party:
    return make("NZL")
