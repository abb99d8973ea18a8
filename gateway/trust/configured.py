"""The directory of partners and the rule for their endpoints, as a gateway's settings say them.

Apart from `partners`, because a partner's client reads a directory without a gateway's settings.
"""

from __future__ import annotations

from gateway.config import Settings
from gateway.trust.endpoints import Rule
from gateway.trust.partners import Blocked, Directory, Register


def rule_of(settings: Settings) -> Rule:
    """Return which endpoints of partners the gateway connects to."""
    listeners = settings.exchange.listen, settings.admin.listen, settings.health.listen
    return Rule.made(listeners, settings.exchange.hosts, settings.directory.allowed_endpoints)


def directory_of(
    settings: Settings,
    register: Register | None = None,
    blocked: Blocked = dict,
) -> Directory:
    """Return the directory that settings name, under their rule for endpoints.

    register   who writes down what comes into force; None where nothing is written
    blocked    by party: the keys of it that our operators refuse
    """
    return Directory(
        settings.directory.folder, settings.gateway.party, register, blocked, rule_of(settings)
    )
