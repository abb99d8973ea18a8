"""The gateway for one command: a child process that opens it for maintenance, as long as its parent is there.

python -m gateway.server.maintenance_process HOME

stdin    the length of the keys' passphrase, 4 bytes, big-endian, and the passphrase; its end asks for the end
stdout   one line of JSON: where the admin listener is, and what the holder of the passphrase shows there; or what is wrong
"""

from __future__ import annotations

import json
import signal
import sys
from contextlib import suppress
from pathlib import Path

from gateway import telemetry
from gateway.errors import PasserelleError
from gateway.server.application import Gateway
from gateway.server.listener import listeners
from gateway.server.maintenance import Maintenance
from gateway.server.process_hardening import forbid_core
from keys.errors import KeysError

LENGTH_BYTES = 4  # of the passphrase's length


def main(home: Path) -> int:
    """Open the gateway, say where it is, and wait for the end of stdin; return what the process ends with."""
    forbid_core()
    telemetry.set_levels("error", "error")  # what was asked and refused is told by the command
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C ends the parent, and its end ends us in order
    length = int.from_bytes(sys.stdin.buffer.read(LENGTH_BYTES), "big")
    passphrase = sys.stdin.buffer.read(length)
    try:
        with Gateway.open(home, lambda: passphrase) as gateway:
            maintenance = Maintenance(gateway, private=True)
            port = maintenance.start().admin
            near = listeners.near(gateway.settings.admin.listen)
            with suppress(BrokenPipeError):  # whoever asked is gone already
                _write({"address": f"{near}:{port}", **shown(maintenance)})
                sys.stdin.buffer.read()
            maintenance.stop()
    except (PasserelleError, KeysError) as fault:
        _write({"error": {"kind": type(fault).__name__, "message": str(fault)}})
        return 2
    except Exception as fault:  # noqa: BLE001 - what was done is recorded; a disk may be full now
        telemetry.logger("maintenance").error("closing_failed", kind=type(fault).__name__)
        return 1
    return 0


def shown(maintenance: Maintenance) -> dict[str, str]:
    """Return what the holder of the passphrase trusts and shows, as text; it is written to a pipe alone."""
    custodian = maintenance.custodian
    return {
        "authority": maintenance.authority.decode("ascii"),
        "chain": custodian.chain.decode("ascii"),
        "key": custodian.key_pem.decode("ascii"),
    }


def _write(said: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
