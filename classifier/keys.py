"""Keys of a topic: an Avro record of user_id where the topic has a key subject, else plain UTF-8."""

from collections.abc import Sequence

from classifier.avro import AVRO_ERRORS, AvroReader, AvroWriter
from classifier.errors import RecordError, SchemaError
from classifier.registry import SchemaRegistry
from classifier.text import shown


class KeyCodec:
    """Keys of a topic: an Avro record of user_id where the topic has a key subject, else plain UTF-8."""

    def __init__(self, registry: SchemaRegistry, topic: str) -> None:
        self._reader = AvroReader(registry)
        try:
            subject = registry.newest(f"{topic}-key")
            self._writer = None if subject is None else AvroWriter(subject)
            fits = self.decode(self.encode(["é"])[0]) == "é"
        except (RecordError, *AVRO_ERRORS):
            fits = False
        if not fits:
            raise SchemaError(
                f"subject {topic}-key is not a record of one string user_id; delete the subject or choose another topic"
            )

    @property
    def are_avro(self) -> bool:
        """Whether keys are Avro records."""
        return self._writer is not None

    def encode(self, user_ids: Sequence[str]) -> list[bytes]:
        """Return the key of each user."""
        if self._writer is None:
            return [user_id.encode() for user_id in user_ids]
        return self._writer.encode([{"user_id": user_id} for user_id in user_ids])

    def decode(self, key: bytes) -> str:
        """Return the user a key names."""
        try:
            return key.decode() if self._writer is None else str(self._reader.fields(key)["user_id"])
        except (UnicodeDecodeError, KeyError):
            raise RecordError(f"key {shown(key)} does not name a user_id") from None
        except RecordError as error:
            raise RecordError(f"key {shown(key)} does not name a user_id ({error})") from None
