"""`check` tries every file and authority that the settings name, and says which setting is wrong."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from gateway import config, home_layout
from gateway.errors import PasserelleError
from gateway.server import self_check, settings_check
from gateway.trust.partners import own_bundle


def settings(home: Path, section: str, line: str) -> config.Settings:
    with (home / home_layout.SETTINGS).open("a", encoding="utf-8") as file:
        file.write(f"\n[{section}]\n{line}\n")
    return config.load(home)


def test_a_folder_as_made_names_nothing_that_is_not_there(homes: Any) -> None:
    made = config.load(homes[0])

    assert settings_check.try_files(made) == "directory.folder, agreements.folder, evidence.tiles"
    assert settings_check.try_authority(made).startswith("no authority is set")


@pytest.mark.parametrize(
    ("section", "line", "told"),
    [
        ("directory", "folder = 'gone'", "directory.folder: .* is no folder"),
        ("agreements", "folder = 'party.json'", "agreements.folder: .* is no folder"),
        ("evidence", "tiles = 'party.json'", "evidence.tiles: .* is no folder"),
        ("evidence", "policy = 'gone'", "evidence.policy .*no such file"),
        ("evidence", "policy = 'passerelle.toml'", "passerelle.toml"),
        ("evidence", "authority_roots = 'gone'", "evidence.authority_roots: .*no such file"),
        ("evidence", "authority_roots = 'passerelle.toml'", "no certificates in PEM"),
    ],
)
def test_what_is_not_there_or_is_something_else_is_said_with_its_setting(
    homes: Any, section: str, line: str, told: str
) -> None:
    with pytest.raises(PasserelleError, match=told):
        settings_check.try_files(settings(homes[0], section, line))


def test_a_passphrase_file_is_looked_at_without_being_used(homes: Any) -> None:
    home = homes[0]
    text = (home / home_layout.SETTINGS).read_text()
    (home / home_layout.SETTINGS).write_text(
        text.replace("[keys]", "[keys]\npassphrase_file = 'pass'")
    )
    made = config.load(home)
    for octets, mode, told in (
        (None, 0, "no such file"),
        (b"\n", 0o600, "is empty"),
        (b"a" * 2_000, 0o600, "larger than"),
        (b"secret", 0o644, "chmod 600"),
    ):
        if octets is not None:
            (home / "pass").write_bytes(octets)
            (home / "pass").chmod(mode)
        with pytest.raises(PasserelleError, match=told):
            settings_check.try_files(made)
    (home / "pass").unlink()
    os.mkfifo(home / "pass", 0o600)
    with pytest.raises(PasserelleError, match="no regular file"):
        settings_check.try_files(made)


def test_a_proxy_that_is_not_there_is_said(homes: Any) -> None:
    home = homes[0]
    text = (home / home_layout.SETTINGS).read_text()
    (home / home_layout.SETTINGS).write_text(
        text.replace("[exchange]", "[exchange]\nproxy = '127.0.0.1:1'")
    )

    with pytest.raises(PasserelleError, match=r"exchange\.proxy: nobody answers"):
        settings_check.try_files(config.load(home))


class Authority(BaseHTTPRequestHandler):
    """Answers every request with what is no time stamp."""

    asked = 0

    def do_POST(self) -> None:
        type(self).asked += 1
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"no stamp")

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def authority() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Authority) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_the_authority_is_asked_for_a_stamp_and_its_answer_checked(
    homes: Any, secret: Any, authority: str
) -> None:
    home = homes[0]
    (home / "roots.pem").write_bytes(own_bundle(home).tls_ca_pem)
    settings(home, "evidence", f"authority = '{authority}'\nauthority_roots = 'roots.pem'")

    found = {one.name: one for one in self_check.check(home, secret, datetime.now(UTC))}

    assert found["files"].ok
    assert not found["time stamps"].ok
    assert "not a time stamp" in found["time stamps"].detail
    assert Authority.asked == 1
