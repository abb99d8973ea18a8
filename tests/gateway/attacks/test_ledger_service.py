"""What LedgerService is asked is read as strictly as an envelope: no number overflows, nothing unknown passes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from gateway.client.channel import open_channel
from gateway.ledger.signed_note import Checkpoint, parse_note
from gateway.ledger.tiles import Tiles
from gateway.store.ledger import stored_ledger
from gateway.trust.partners import own_bundle
from gateway.v1 import ledger_pb2
from tests.patience import CALL

UNKNOWN = b"\x7a\x03abc"  # field 15, three bytes
HASH = bytes(32)
BEYOND = [2**63, 2**64 - 1]  # of a row's 64 bits, and of its own type


@pytest.fixture(scope="module")
def channel(shared_pair: Any) -> Iterator[grpc.Channel]:
    """A partner's own channel, as its certificate allows it."""
    key, chain = shared_pair.keyset.tls()
    roots = own_bundle(shared_pair.home).tls_ca_pem
    with open_channel(shared_pair.address, roots=roots, private_key=key, chain=chain) as opened:
        yield opened


def refused(channel: grpc.Channel, method: str, request: bytes) -> tuple[str, str, str]:
    """Send bytes that must be refused; return code, reason and element."""
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(f"/gateway.v1.LedgerService/{method}")(request, timeout=CALL)
    status = rpc_status.from_call(caught.value)
    assert status is not None
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return caught.value.code().name, info.reason, info.metadata.get("element", "")


def invalid(element: str) -> tuple[str, str, str]:
    return "INVALID_ARGUMENT", "ELEMENT_INVALID", element


@pytest.mark.parametrize("size", [0, 10_000_000, 2**63 - 1, *BEYOND])
@pytest.mark.parametrize("name", ["old_size", "new_size", "tree_size"])
def test_a_size_that_no_checkpoint_has(
    channel: grpc.Channel, shared_pair: Any, name: str, size: int
) -> None:
    signed = shared_pair.gateway.sequencer.size
    request: Message
    if name == "tree_size":
        request = ledger_pb2.GetInclusionProofRequest(leaf_hash=HASH, tree_size=size)
        method = "GetInclusionProof"
    else:
        sizes = {"old_size": signed, "new_size": signed, name: size}
        request, method = ledger_pb2.GetConsistencyProofRequest(**sizes), "GetConsistencyProof"

    assert refused(channel, method, request.SerializeToString()) == invalid(name)


@pytest.mark.parametrize("octets", [b"", bytes(31), bytes(33), bytes(4096), HASH])
def test_a_hash_of_another_length_or_of_no_leaf(
    channel: grpc.Channel, shared_pair: Any, octets: bytes
) -> None:
    request = ledger_pb2.GetInclusionProofRequest(
        leaf_hash=octets, tree_size=shared_pair.gateway.sequencer.size
    )

    found = refused(channel, "GetInclusionProof", request.SerializeToString())
    assert found == invalid("leaf_hash")


@pytest.mark.parametrize(
    "path",
    [
        *("", "checkpoint", "tile/0/000", "tile/0/999", "tile/0/000.p/256", "tile/0/000.p/0"),
        *("tile/entries/000.p/1", "tile/0/../../party.json", "tile/0/000.p/1\n", "x" * 9000),
        "tile/0/x999/x999/x999/x999/x999/x999/999",
    ],
)
def test_a_path_of_no_tile_of_hashes(channel: grpc.Channel, path: str) -> None:
    request = ledger_pb2.GetTileRequest(path=path)

    assert refused(channel, "GetTile", request.SerializeToString()) == invalid("path")


def test_a_partner_proves_an_entry_from_tiles_alone(
    channel: grpc.Channel, shared_pair: Any
) -> None:
    size = shared_pair.gateway.sequencer.size
    checkpoint = Checkpoint.parse(
        parse_note(shared_pair.gateway.sequencer.latest_checkpoint()).text
    )
    with shared_pair.gateway.database.reader() as reader:
        leaf = stored_ledger.leaf(reader, size - 1)

    def fetch(path: str) -> bytes:
        answer = channel.unary_unary(
            "/gateway.v1.LedgerService/GetTile",
            response_deserializer=ledger_pb2.GetTileResponse.FromString,
        )(ledger_pb2.GetTileRequest(path=path).SerializeToString(), timeout=CALL)
        return bytes(answer.tile)

    tiles = Tiles(fetch, checkpoint.size)

    tiles.check_root(checkpoint)
    assert tiles.check_entry(leaf, size - 1, checkpoint)


@pytest.mark.parametrize(
    "method", ["GetCheckpoint", "GetInclusionProof", "GetConsistencyProof", "GetTile"]
)
def test_a_field_that_the_schema_does_not_have(channel: grpc.Channel, method: str) -> None:
    assert refused(channel, method, UNKNOWN) == invalid("request")


def test_a_lawful_request_is_still_served(channel: grpc.Channel, shared_pair: Any) -> None:
    size = shared_pair.gateway.sequencer.size
    leaf = shared_pair.gateway.sequencer.leaf_hash(size - 1)
    request = ledger_pb2.GetInclusionProofRequest(leaf_hash=leaf, tree_size=size)

    answer = channel.unary_unary(
        "/gateway.v1.LedgerService/GetInclusionProof",
        response_deserializer=ledger_pb2.GetInclusionProofResponse.FromString,
    )(request.SerializeToString(), timeout=CALL)

    assert answer.leaf_index == size - 1
