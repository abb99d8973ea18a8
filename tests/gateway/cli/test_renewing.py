"""Keys are renewed by one command, and listed with what comes next."""

from __future__ import annotations

import resource
from typing import Any


def test_a_renewal_prints_the_fingerprint_that_export_prints(
    run: Any, homes: Any, passphrase: Any, tmp_path: Any
) -> None:
    said = run("keys", "renew", homes["CAN"], "--kem", "--tls", *passphrase, "--json").document

    assert said["renewed"] == ["KEM", "TLS_LEAF"]
    assert said["version"] == 2
    exported = run("party", "export", homes["CAN"], "-o", tmp_path / "b", "--json").document
    assert exported["fingerprint"] == said["fingerprint"]


def test_nothing_is_renewed_before_its_time(run: Any, homes: Any, passphrase: Any) -> None:
    said = run("keys", "renew", homes["CAN"], *passphrase)

    assert said.code == 0
    assert "nothing new" in said.out


def test_the_list_says_what_comes_next(run: Any, homes: Any, passphrase: Any) -> None:
    run("keys", "renew", homes["CAN"], "--kem", *passphrase)

    keys = run("keys", "list", homes["CAN"], *passphrase, "--json").document["keys"]

    old, new = (key for key in keys if key["kind"] == "KEM")
    assert old["state"] == "DEACTIVATED"
    assert old["next"].startswith("opens until")
    assert new["next"].startswith("renew from")


def test_a_command_that_opens_keys_leaves_no_core_image(
    run: Any, homes: Any, passphrase: Any
) -> None:
    run("keys", "list", homes["CAN"], *passphrase)

    assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
