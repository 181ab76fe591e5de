"""Subjects of a Schema Registry, over its REST interface."""

import json
from typing import Any

import requests

TIMEOUT_S = 10.0


class Subjects:
    """The subjects of one registry."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._schemas: dict[int, dict[str, Any]] = {}

    def register(self, subject: str, schema: Any, *references: tuple[str, str, int]) -> int:
        """Register a schema, which may refer to others by name, subject and version; return its id."""
        named = [{"name": name, "subject": of, "version": version} for name, of, version in references]
        wanted: Any = {"schema": json.dumps(schema), "schemaType": "AVRO", "references": named}
        answer = requests.post(f"{self.url}/subjects/{subject}/versions", json=wanted, timeout=TIMEOUT_S)
        answer.raise_for_status()
        return int(answer.json()["id"])

    def exists(self, subject: str) -> bool:
        """Whether the subject has a schema."""
        answer = requests.get(f"{self.url}/subjects/{subject}/versions/latest", timeout=TIMEOUT_S)
        if answer.status_code not in (200, 404):
            answer.raise_for_status()
        return answer.status_code == 200

    def schema(self, schema_id: int) -> dict[str, Any]:
        """The schema of an id, which never changes."""
        if schema_id not in self._schemas:
            answer = requests.get(f"{self.url}/schemas/ids/{schema_id}", timeout=TIMEOUT_S)
            answer.raise_for_status()
            self._schemas[schema_id] = json.loads(answer.json()["schema"])
        return self._schemas[schema_id]
