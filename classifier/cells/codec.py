"""Records of the two topics of --cells: the key names a cell, the value holds one whole number for it.

Guarantee: a record is read by the names in its schemas, or refused with what is wrong; none is taken for another's.
"""

from collections.abc import Iterator, Sequence

from classifier.cells.lattice import LARGEST
from classifier.errors import RecordError, SchemaError
from classifier.formatting import abbreviated
from classifier.kafka.record import Record
from classifier.row import Fields
from classifier.serialization.avro import AVRO_ERRORS, AvroReader, AvroWriter, in_blocks
from classifier.serialization.registry import SchemaRegistry, Subject

CELL, NUM_USERS, LABEL = "cell", "num_users", "label"
STATEMENT = {
    NUM_USERS: "run sql/scale_out/1_create_user_cells.sql",
    LABEL: "run sql/scale_out/3_create_user_cell_labels.sql",
}  # what makes topic and subjects


class CellCodec:
    """Keys and values of one topic, in the schemas of its subjects, which the statement of SQL has registered."""

    def __init__(self, registry: SchemaRegistry, topic: str, column: str) -> None:
        self._reader, self._column = AvroReader(registry), column
        self._keys, self._values = (writer_of(registry, topic, part, column) for part in ("key", "value"))
        try:
            fits = self._fit([(0, 0), (LARGEST, 1)])
        except (RecordError, *AVRO_ERRORS):
            fits = False
        if not fits:
            raise SchemaError(
                f"subjects {topic}-key and {topic}-value are not records of {CELL} int, and of {column} as a whole"
                f" number; delete the topic and both subjects, then {STATEMENT[column]}"
            )

    def _fit(self, sample: Sequence[tuple[int, int]]) -> bool:
        keys, values = zip(*self.encode(*zip(*sample, strict=True)), strict=True)
        return self._decoded(keys, values) == [*sample]

    def encode(self, cells: Sequence[int], numbers: Sequence[int]) -> Iterator[tuple[bytes, bytes]]:
        """Yield key and value of each cell."""
        for some in in_blocks(range(len(cells))):
            fields: list[Fields] = [{CELL: cells[at], self._column: numbers[at]} for at in some]
            keys = self._keys.encode([{CELL: each[CELL]} for each in fields])
            yield from zip(keys, self._values.encode(fields), strict=True)

    def decode(self, records: Sequence[Record]) -> list[tuple[int, int | None] | RecordError]:
        """Return what each record says: the cell, and its number, None for a tombstone."""
        found = list[tuple[int, int | None] | RecordError]()
        for some in in_blocks(records):
            found += self._decoded([each.key() for each in some], [each.value() for each in some])
        return found

    def _decoded(
        self, keys: Sequence[bytes | None], values: Sequence[bytes | None]
    ) -> list[tuple[int, int | None] | RecordError]:
        cells = iter(self._numbers([key for key in keys if key is not None], CELL, LARGEST))
        numbers = iter(self._numbers([value for value in values if value is not None], self._column))
        found = list[tuple[int, int | None] | RecordError]()
        for key, value in zip(keys, values, strict=True):
            cell = RecordError("no key") if key is None else next(cells)
            number = None if value is None else next(numbers)
            wrong = next((each for each in (cell, number) if isinstance(each, RecordError)), None)
            found.append(wrong or (cell, number))  # type: ignore[arg-type]  # both are numbers then
        return found

    def _numbers(self, data: Sequence[bytes], column: str, most: int = 2**63 - 1) -> list[int | RecordError]:
        """Return the whole number of this name in each key or value, or what is wrong."""
        if not data:
            return []
        return [number_in(fields, column, most) for fields in self._reader.all_fields(data)]


def number_in(fields: Fields | RecordError, column: str, most: int) -> int | RecordError:
    """Return a whole number from 0 of a record, or what is wrong."""
    if isinstance(fields, RecordError):
        return fields
    if column not in fields:
        return RecordError(f"has no field '{column}'")
    number = fields[column]
    if type(number) is int and 0 <= number <= most:
        return number
    return RecordError(f"{column} must be a whole number from 0 to {most}, got {abbreviated(number)}")


def writer_of(registry: SchemaRegistry, topic: str, part: str, column: str) -> AvroWriter:
    """Return what writes by the newest schema of a subject; SchemaError where there is none."""
    subject: Subject | None = registry.newest(f"{topic}-{part}")
    if subject is None:
        raise SchemaError(f"subject {topic}-{part} does not exist; to have topic and subjects: {STATEMENT[column]}")
    try:
        return AvroWriter(subject)
    except (RecordError, *AVRO_ERRORS):
        raise SchemaError(
            f"subject {topic}-{part} is not a record; delete the topic and both subjects, then {STATEMENT[column]}"
        ) from None
