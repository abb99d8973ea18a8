"""Where a partner's entry may have us connect: the form is strict, and nothing of ours is among it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gateway import config, home_layout
from gateway.trust import endpoints
from gateway.trust.bundle import MAX_ENDPOINTS, MalformedBundle, PartyBundle
from gateway.trust.configured import rule_of
from gateway.trust.endpoints import Rule
from gateway.trust.partners import BundleRefused, Directory, EntryWaits, fingerprint

if TYPE_CHECKING:
    from tests.gateway.trust.conftest import Party

ON_A_NETWORK = Rule.made(
    ("198.51.100.7:7443", "127.0.0.1:0", "127.0.0.1:7444"),
    ("gateway.can.example", "127.0.0.1", "localhost"),
    ("127.0.0.1:9443",),
)


@pytest.mark.parametrize(
    "text",
    [
        "gateway.aus.example:7443",
        "203.0.113.9:443",
        "[2001:db8::1]:7443",
        "unix:7443",
        "a-b.c:1",
        "127.0.0.1:65535",
    ],
)
def test_an_endpoint_is_a_name_or_an_address_and_a_port(text: str) -> None:
    host, port = endpoints.parse(text)

    assert f"{host}:{port}" == text.replace("[", "").replace("]", "")


@pytest.mark.parametrize(
    "text",
    [
        "gateway.aus.example",
        "gateway.aus.example:0",
        "gateway.aus.example:65536",
        "gateway.aus.example:07443",
        "unix:/run/other.sock",
        "dns:///gateway.aus.example:7443",
        "http://gateway.aus.example:80",
        "user@gateway.aus.example:80",
        "gateway..example:80",
        "-gateway.example:80",
        "gateway_.example:80",
        "gateway.example.:80",
        "127.1:80",
        "2130706433:80",
        "0x7f000001:80",
        "0177.0.0.1:80",
        "256.1.1.1:80",
        "[::1:80",
        "[12345::]:80",
        "[fe80::1%eth0]:80",
        "gateway.example:80 ",
        "gateway.example:80\n",
    ],
)
def test_what_a_resolver_could_read_otherwise_is_no_endpoint(aus: Party, text: str) -> None:
    with pytest.raises(endpoints.MalformedEndpoint):
        endpoints.parse(text)
    with pytest.raises(MalformedBundle, match=r"endpoints\[0\]"):
        PartyBundle.parse(replace(aus.bundle, endpoints=(text,)).to_bytes())


def test_an_entry_names_only_so_many_endpoints(aus: Party) -> None:
    many = tuple(f"gateway{number}.example:443" for number in range(MAX_ENDPOINTS + 1))

    with pytest.raises(MalformedBundle, match="endpoints"):
        PartyBundle.parse(replace(aus.bundle, endpoints=many).to_bytes())


INSIDE = (
    "127.0.0.1:7446",
    "127.9.9.9:443",
    "localhost:7446",
    "admin.localhost:443",
    "LOCALHOST:443",
    "0.0.0.0:7443",
    "0.1.2.3:443",
    "169.254.169.254:80",
    "224.0.0.1:443",
    "255.255.255.255:443",
    "[::1]:7446",
    "[::]:7443",
    "[fe80::1]:443",
    "[ff02::1]:443",
    "[::ffff:7f00:1]:443",
    "[64:ff9b::7f00:1]:443",
    "[2002:7f00:1::]:443",
    "198.51.100.7:22",
    "gateway.can.example:8443",
    "Gateway.CAN.example:7443",
)


@pytest.mark.parametrize("inside", INSIDE)
def test_a_gateway_on_a_network_connects_to_nothing_of_its_own(
    tmp_path: Path, aus: Party, inside: str
) -> None:
    directory = Directory(tmp_path / "parties", own="CAN", rule=ON_A_NETWORK)
    bundle = replace(aus.bundle, endpoints=("gateway.aus.example:7443", inside))
    octets = bundle.to_bytes()

    with pytest.raises(BundleRefused, match="allowed_endpoints"):
        directory.import_bundle(octets, fingerprint(octets))

    assert directory.parties() == ()


@pytest.mark.parametrize(
    "outside", ["gateway.aus.example:7443", "10.1.2.3:7443", "[fd00::1]:7443", "127.0.0.1:9443"]
)
def test_a_partners_own_network_and_what_is_allowed_by_name_are_endpoints(
    tmp_path: Path, aus: Party, outside: str
) -> None:
    directory = Directory(tmp_path / "parties", own="CAN", rule=ON_A_NETWORK)
    octets = replace(aus.bundle, endpoints=(outside,)).to_bytes()

    assert directory.import_bundle(octets, fingerprint(octets)).endpoints == (outside,)


def test_an_entry_that_moves_inside_us_by_its_directory_waits_for_people(
    tmp_path: Path, aus: Party
) -> None:
    directory = Directory(tmp_path / "parties", own="CAN", rule=ON_A_NETWORK)
    first = replace(aus.bundle, endpoints=("gateway.aus.example:7443",))
    octets = first.to_bytes()
    directory.import_bundle(octets, fingerprint(octets))

    with pytest.raises(EntryWaits, match=r"its endpoint 127\.0\.0\.1:7446 is our own"):
        directory.update_bundle(replace(first, version=4, endpoints=("127.0.0.1:7446",)).to_bytes())

    assert directory.party("AUS") == first


def test_the_rule_is_that_of_the_settings(tmp_path: Path) -> None:
    config.write_default(tmp_path, "CAN", "0.0.0.0:7443", "gateway.can.example")
    path = tmp_path / home_layout.SETTINGS
    path.write_text(path.read_text() + '\n[directory]\nallowed_endpoints = ["127.0.0.1:9443"]\n')

    rule = rule_of(config.load(tmp_path))

    assert not rule.inside
    assert "gateway.can.example" in rule.own
    assert rule.allowed == {"127.0.0.1:9443"}


@pytest.mark.parametrize("listen", ["127.0.0.1:7443", "[::1]:7443", "localhost:7443"])
def test_on_one_machine_every_endpoint_will_do(aus: Party, listen: str) -> None:
    rule = Rule.made((listen,), (), ())

    assert rule.objection(aus.bundle.endpoints) == ""
