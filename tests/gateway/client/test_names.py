"""The package that a partner imports: every name of it is there, and costs nothing before it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import gateway.client


@pytest.mark.parametrize("name", gateway.client.__all__)
def test_every_public_name_can_be_imported(name: str) -> None:
    found = getattr(gateway.client, name)

    assert found.__name__ == name
    assert found.__module__.startswith("gateway.client.")


def test_another_name_is_refused_as_of_any_module() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Partners'"):
        gateway.client.Partners  # noqa: B018 - the attempt is the test


def test_what_a_partner_asks_with_is_imported_when_a_name_of_it_is_used() -> None:
    code = (
        "import sys, gateway.client; assert not {'grpc', 'tuf', 'cryptography'} & {*sys.modules};"
        " from gateway.client import Partner; assert {'grpc', 'tuf', 'cryptography'} <= {*sys.modules}"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
