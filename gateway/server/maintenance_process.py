"""The gateway for one command: a child process that opens it for maintenance, as long as its parent is there.

python -m gateway.server.maintenance_process HOME

stdin    the keys' passphrase, as `maintenance_pipe` writes it; its end asks for the end
stdout   one line of JSON: where the admin listener is, and what the holder of the passphrase shows there; or what is wrong
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from gateway import telemetry, user_files
from gateway.errors import PasserelleError
from gateway.server import maintenance_pipe, process
from gateway.server.application import Gateway
from gateway.server.listener import listeners
from gateway.server.maintenance import Maintenance
from gateway.server.process_hardening import forbid_core
from keys.errors import KeysError


def main(home: Path) -> int:
    """Open the gateway, say where it is, and wait for the end of stdin; return what the process ends with."""
    forbid_core()
    telemetry.set_levels("error", "error")  # what was asked and refused is told by the command
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C ends the parent, and its end ends us in order
    with telemetry.sentences():  # the command's terminal is where it says them
        return _opened(home, maintenance_pipe.take(sys.stdin.buffer))


def _opened(home: Path, passphrase: bytes) -> int:
    try:
        gateway = Gateway.open(home, lambda: passphrase)
    except (PasserelleError, KeysError, OSError) as fault:
        return _refuse(fault)
    try:
        with gateway:
            _serve(gateway)
    except (PasserelleError, KeysError) as fault:
        return _refuse(fault)
    except Exception as fault:  # noqa: BLE001 - what was done is recorded; a disk may be full now
        telemetry.logger("maintenance").error("closing_failed", kind=type(fault).__name__)
        return 1
    return 0


def _serve(gateway: Gateway) -> None:
    """Open the listener, tell the parent, and wait until it ends; then finish, in a bounded time."""
    maintenance = Maintenance(gateway, private=True)
    near = listeners.near(gateway.settings.admin.listen)
    where = {"address": f"{near}:{maintenance.start().admin}", **_shown(maintenance)}
    with suppress(BrokenPipeError):  # whoever asked is gone already
        _write(where)
        sys.stdin.buffer.read()
    process.end_at_last(process.LAST)
    maintenance.stop()


def _shown(maintenance: Maintenance) -> dict[str, str]:
    """Return what the holder of the passphrase trusts and shows, as text; it is written to a pipe alone."""
    custodian = maintenance.custodian
    return {
        "authority": maintenance.authority.decode("ascii"),
        "chain": custodian.chain.decode("ascii"),
        "key": custodian.key_pem.decode("ascii"),
    }


def _refuse(fault: Exception) -> int:
    """Say what is wrong in the words in which a command would; return what the process ends with."""
    words = (user_files.fault_text(fault) if isinstance(fault, OSError) else "") or str(fault)
    _write({"error": {"kind": type(fault).__name__, "message": words}})
    return 2


def _write(document: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
