"""The permissions (ACLs) of the client's principal: those that docs/configuration.md lists."""

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


class Permission(NamedTuple):
    """One operation on one resource."""

    operation: str
    resource: str
    name: str

    def binding(self, principal: str) -> AclBinding:
        """The ACL of the broker."""
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


def needed(pipeline: Pipeline, target: str) -> list[Permission]:
    """The permissions that the page lists. READ and WRITE imply DESCRIBE."""
    transactional_id = f"user_classifier-{pipeline.group}-{pipeline.output}"
    return [
        Permission("READ", "TOPIC", pipeline.source),
        Permission("READ", "TOPIC", pipeline.output),
        Permission("WRITE", "TOPIC", pipeline.output),
        Permission("WRITE", "TOPIC", target),
        Permission("READ", "GROUP", pipeline.group),
        Permission("WRITE", "TRANSACTIONAL_ID", transactional_id),
    ]


class AccessControl:
    """The ACLs of the broker."""

    def __init__(self, bootstrap_servers: str, user: str) -> None:
        self._admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
        self._principal = f"User:{user}"

    def grant(self, permissions: Iterable[Permission]) -> None:
        """Grant these permissions and remove all others."""
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
        bindings = [each.binding(self._principal) for each in permissions]
        for done in self._admin.create_acls(bindings).values():
            done.result(TIMEOUT_S)

    def revoke(self, permission: Permission) -> None:
        """Remove one permission without touching the others."""
        has = permission.binding(self._principal)
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
            raise AssertionError(f"not granted: {permission}")
