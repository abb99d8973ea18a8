"""What our own people do, by whichever way they come: who they are, what their roles allow, and the record of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.admin.approvals import Approvals
from gateway.admin.operation import Answer, NotAllowed, Officer, OperationRegistry
from gateway.admin.staff import Staff


@dataclass(frozen=True, slots=True)
class Administration:
    """Our people, the operations that they may order, and the approval of what takes two of them."""

    staff: Staff
    approvals: Approvals
    operations: OperationRegistry

    def perform(self, officer: Officer, name: str, values: Mapping[str, object]) -> Answer:
        """Do one operation for an officer; what the roles do not allow is recorded before it is refused."""
        try:
            return self.operations.perform(officer, name, values)
        except NotAllowed as fault:
            self.staff.denied(officer, name, fault.why)
            raise

    def attend(self, officer: Officer, name: str, values: Mapping[str, object]) -> Answer:
        """Do one operation for an identified officer; that it was asked is recorded first, whatever the result."""
        if name in self.operations.handlers:
            self.staff.record_request(officer, name)
        return self.perform(officer, name, values)
