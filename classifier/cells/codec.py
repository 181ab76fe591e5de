"""Encodes and decodes the records of the two topics of --cells: the key is a cell, the value a whole number for it.

Guarantee: a record is read by the field names in its schemas, or refused with a RecordError.
"""

from collections.abc import Iterator, Sequence

from classifier.cells.lattice import LARGEST_CELL
from classifier.errors import RecordError, SchemaError
from classifier.formatting import abbreviated
from classifier.kafka.record import Record
from classifier.row import Fields
from classifier.serialization.avro import AVRO_ERRORS, AvroReader, AvroWriter, in_blocks
from classifier.serialization.registry import SchemaRegistry, Subject

CELL = "cell"
NUM_USERS = "num_users"
LABEL = "label"
STATEMENTS = {  # that create topic and subjects, by the column of the value
    NUM_USERS: "run sql/scale_out/1_create_user_cells.sql",
    LABEL: "run sql/scale_out/3_create_user_cell_labels.sql",
}


class CellCodec:
    """Keys and values of one topic, in the schemas that its SQL statement has registered."""

    def __init__(self, registry: SchemaRegistry, topic: str, column: str) -> None:
        self._reader = AvroReader(registry)
        self._column = column
        self._keys = new_writer(registry, topic, "key", column)
        self._values = new_writer(registry, topic, "value", column)
        try:
            fits = self._round_trips([(0, 0), (LARGEST_CELL, 1)])
        except (RecordError, *AVRO_ERRORS):
            fits = False
        if not fits:
            raise SchemaError(
                f"subjects {topic}-key and {topic}-value are not records of {CELL} int, and of {column} as a whole"
                f" number; delete the topic and both subjects, then {STATEMENTS[column]}"
            )

    def _round_trips(self, sample: Sequence[tuple[int, int]]) -> bool:
        """Return whether cells and their numbers are decoded as they were encoded."""
        keys, values = zip(*self.encode(*zip(*sample, strict=True)), strict=True)
        return self._decode_block(keys, values) == [*sample]

    def encode(self, cells: Sequence[int], numbers: Sequence[int]) -> Iterator[tuple[bytes, bytes]]:
        """Yield key and value of each cell."""
        for block in in_blocks(range(len(cells))):
            fields: list[Fields] = [{CELL: cells[index], self._column: numbers[index]} for index in block]
            keys = self._keys.encode([{CELL: each[CELL]} for each in fields])
            yield from zip(keys, self._values.encode(fields), strict=True)

    def decode(self, records: Sequence[Record]) -> list[tuple[int, int | None] | RecordError]:
        """Return the cell and the number of each record, None for a tombstone; or the error of a record."""
        found: list[tuple[int, int | None] | RecordError] = []
        for block in in_blocks(records):
            found += self._decode_block([each.key() for each in block], [each.value() for each in block])
        return found

    def _decode_block(
        self, keys: Sequence[bytes | None], values: Sequence[bytes | None]
    ) -> list[tuple[int, int | None] | RecordError]:
        cells = iter(self._numbers([key for key in keys if key is not None], CELL, LARGEST_CELL))
        numbers = iter(self._numbers([value for value in values if value is not None], self._column))
        found: list[tuple[int, int | None] | RecordError] = []
        for key, value in zip(keys, values, strict=True):
            cell = RecordError("no key") if key is None else next(cells)
            number = None if value is None else next(numbers)
            error = next((each for each in (cell, number) if isinstance(each, RecordError)), None)
            found.append(error or (cell, number))  # type: ignore[arg-type]  # both are numbers then
        return found

    def _numbers(self, data: Sequence[bytes], column: str, most: int = 2**63 - 1) -> list[int | RecordError]:
        """Return the field `column` of each key or value, or its error."""
        if not data:
            return []
        return [number_in(fields, column, most) for fields in self._reader.all_fields(data)]


def number_in(fields: Fields | RecordError, column: str, most: int) -> int | RecordError:
    """Return the field `column` of a record, which must be a whole number from 0 to `most`, or the error."""
    if isinstance(fields, RecordError):
        return fields
    if column not in fields:
        return RecordError(f"has no field '{column}'")
    number = fields[column]
    if type(number) is int and 0 <= number <= most:
        return number
    return RecordError(f"{column} must be a whole number from 0 to {most}, got {abbreviated(number)}")


def new_writer(registry: SchemaRegistry, topic: str, part: str, column: str) -> AvroWriter:
    """Return a writer for the newest schema of a subject; SchemaError where there is none."""
    subject: Subject | None = registry.newest(f"{topic}-{part}")
    if subject is None:
        raise SchemaError(f"subject {topic}-{part} does not exist; to create topic and subjects: {STATEMENTS[column]}")
    try:
        return AvroWriter(subject)
    except (RecordError, *AVRO_ERRORS):
        raise SchemaError(
            f"subject {topic}-{part} is not a record; delete the topic and both subjects, then {STATEMENTS[column]}"
        ) from None
