"""The rights of the client's principal: exactly those that docs/configuration.md lists."""

from collections.abc import Iterable
from typing import NamedTuple

from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from tests.support.pipeline import Pipeline

TIMEOUT_S = 30.0
ANY_HOST = "*"


class Right(NamedTuple):
    """One operation on one resource."""

    operation: str
    resource: str
    name: str

    def binding(self, principal: str) -> AclBinding:
        """As the broker has it."""
        return AclBinding(
            ResourceType[self.resource],
            self.name,
            ResourcePatternType.LITERAL,
            principal,
            ANY_HOST,
            AclOperation[self.operation],
            AclPermissionType.ALLOW,
        )

    def __str__(self) -> str:
        return f"{self.operation} on {self.resource} {self.name}"


def needed(pipeline: Pipeline, target: str) -> list[Right]:
    """What that page lists. READ and WRITE include DESCRIBE."""
    transactional_id = f"user_classifier-{pipeline.group}-{pipeline.output}"
    return [
        Right("READ", "TOPIC", pipeline.source),
        Right("READ", "TOPIC", pipeline.output),
        Right("WRITE", "TOPIC", pipeline.output),
        Right("WRITE", "TOPIC", target),
        Right("READ", "GROUP", pipeline.group),
        Right("WRITE", "TRANSACTIONAL_ID", transactional_id),
    ]


class AccessControl:
    """The broker's list of rights."""

    def __init__(self, bootstrap_servers: str, user: str) -> None:
        self._admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
        self._principal = f"User:{user}"

    def grant(self, rights: Iterable[Right]) -> None:
        """Give these rights, and no others."""
        anything = AclBindingFilter(
            ResourceType.ANY,
            None,  # type: ignore[arg-type]  # any name
            ResourcePatternType.ANY,
            self._principal,
            None,  # type: ignore[arg-type]  # any host
            AclOperation.ANY,
            AclPermissionType.ANY,
        )
        self._admin.delete_acls([anything])[anything].result(TIMEOUT_S)
        bindings = [right.binding(self._principal) for right in rights]
        for done in self._admin.create_acls(bindings).values():
            done.result(TIMEOUT_S)

    def revoke(self, right: Right) -> None:
        """Take one right and leave the others alone, even for a moment."""
        has = right.binding(self._principal)
        this = AclBindingFilter(
            has.restype,
            has.name,
            has.resource_pattern_type,
            has.principal,
            has.host,
            has.operation,
            has.permission_type,
        )
        if not self._admin.delete_acls([this])[this].result(TIMEOUT_S):
            raise AssertionError(f"nobody had {right}")
