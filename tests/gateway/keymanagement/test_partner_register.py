"""What a partner's entry became is in the ledger before it counts, and no older one comes back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gateway.ledger.entry import EntryType, Frame, decode
from gateway.server.application import Gateway
from gateway.store.ledger import stored_ledger
from gateway.trust.bundle import PartyBundle


def entries(gateway: Gateway) -> list[tuple[str, int]]:
    frames: list[Frame] = [decode(leaf) for leaf in stored_ledger.iter_leaves(gateway.database)]
    return [(f.partner_id, f.directory_version) for f in frames if f.type is EntryType.DIRECTORY]


def put(home: Any, octets: bytes) -> None:
    fresh = home / "parties" / "AUS.new"
    fresh.write_bytes(octets)
    fresh.replace(home / "parties" / "AUS.json")


def newer(octets: bytes) -> bytes:
    bundle = PartyBundle.parse(octets)
    return replace(bundle, version=bundle.version + 1).to_bytes()


def test_a_bundle_loaded_while_the_gateway_is_open_is_recorded(homes: Any, secret: Any) -> None:
    first = (homes[0] / "parties" / "AUS.json").read_bytes()
    with Gateway.open(homes[0], secret) as gateway:
        put(homes[0], newer(first))

        assert gateway.directory.partners.party("AUS").version == 2
        assert entries(gateway)[-1] == ("AUS", 2)


def test_rollback_by_removing_first(homes: Any, secret: Any) -> None:
    """An older bundle put where a newer one was removed stays out, also after a restart."""
    first = (homes[0] / "parties" / "AUS.json").read_bytes()
    with Gateway.open(homes[0], secret) as gateway:
        put(homes[0], newer(first))
        assert gateway.directory.partners.party("AUS").version == 2
        (homes[0] / "parties" / "AUS.json").unlink()
        assert gateway.directory.partners.parties() == ()
        assert entries(gateway)[-1] == ("AUS", 0)
        put(homes[0], first)

        assert gateway.directory.partners.parties() == ()
        assert [fault.file for fault in gateway.directory.partners.faults] == ["AUS.json"]

    with Gateway.open(homes[0], secret) as gateway:
        assert gateway.directory.partners.parties() == ()
        assert "older than 2" in gateway.directory.partners.faults[0].why


def test_the_entry_that_was_removed_may_return(homes: Any, secret: Any) -> None:
    file = homes[0] / "parties" / "AUS.json"
    first = file.read_bytes()
    with Gateway.open(homes[0], secret) as gateway:
        file.unlink()
        assert gateway.directory.partners.parties() == ()
        put(homes[0], first)

        assert gateway.directory.partners.party("AUS").version == 1
        assert entries(gateway)[-2:] == [("AUS", 0), ("AUS", 1)]


def test_other_content_under_a_recorded_version_stays_out(homes: Any, secret: Any) -> None:
    bundle = PartyBundle.parse((homes[0] / "parties" / "AUS.json").read_bytes())
    with Gateway.open(homes[0], secret):
        pass
    put(homes[0], replace(bundle, legal_name="Another").to_bytes())

    with Gateway.open(homes[0], secret) as gateway:
        assert gateway.directory.partners.parties() == ()
        assert "other content" in gateway.directory.partners.faults[0].why
