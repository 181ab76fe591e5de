"""The features that --features names: looked up in the schema of the input, for their types."""

from collections.abc import Mapping
from typing import Any

from classifier.config.settings import Settings
from classifier.errors import ConfigError, RecordError, SchemaError
from classifier.features import TOTALS, Feature, Features
from classifier.kafka.client import Kafka
from classifier.kafka.record import position_of
from classifier.serialization.column_types import feature_types, field_types, wider_type
from classifier.serialization.registry import SchemaRegistry
from classifier.users.last_schema import last_record, value_schema


def input_schema(topic: str, kafka: Kafka, registry: SchemaRegistry) -> tuple[str, Any]:
    """Return where the schema of the input's values was found, and the schema; None if there is none yet.

    That is the newest of the topic's subject, or that of the last record if it was registered under another subject.
    """
    subject = f"subject {topic}-value"
    found = registry.newest(f"{topic}-value")
    if found is not None:
        return subject, found.schema
    record = last_record(kafka, topic)
    if record is None:
        return subject, None
    try:
        name, schema = value_schema(record, registry)
    except RecordError as error:
        advice = "" if ";" in str(error) else "; read another topic with -t"
        raise SchemaError(f"{subject} does not exist; {position_of(record)}: {error}{advice}") from None
    return f"{name} of {position_of(record)}", schema


def find_features(settings: Settings, kafka: Kafka, registry: SchemaRegistry) -> Features:
    """Return the features of --features with their types in the output.

    Raises
    ------
    ConfigError
        If a field is not in the schema of the input, or is neither a number nor a point in time.
    SchemaError
        If there is no schema yet.
    """
    if settings.feature_names == TOTALS.names:
        return TOTALS
    where, schema = input_schema(settings.topic, kafka, registry)
    if schema is None:
        raise SchemaError(
            f"{where} does not exist, so the types of --features {settings.features} are not known; write to the topic"
            " once, or run the SQL statement that creates it"
        )
    problem = features_problem(settings.feature_names, schema)
    if problem:
        raise ConfigError(f"--features {settings.features}: {where} {problem}")
    found = features_in(settings.feature_names, schema)
    return found if settings.rebuild else as_in_output(found, settings.output, registry)


def features_in(names: tuple[str, ...], schema: Any) -> Features:
    """Return the features of these names with the types that the output has if the input has this schema."""
    if names == TOTALS.names:
        return TOTALS
    types = feature_types(schema)
    return Features(tuple(Feature(name, types[name]) for name in names))


def features_problem(names: tuple[str, ...], schema: Any) -> str:
    """Return why fields of a schema cannot be features, with those that can; empty if they can.

    The two totals have messages of their own, see `row_type_problem`.
    """
    if names == TOTALS.names:
        return ""
    usable = feature_types(schema)
    fields = field_types(schema)
    for name in names:
        if name in usable:
            continue
        there_are = ", ".join(f"{each} {type_}" for each, type_ in usable.items()) or "none"
        if name not in fields:
            return f"has no field {name}; the fields that can be features: {there_are}"
        wrong = f"has {name} as {fields[name]}, neither a number nor a point in time"
        return f"{wrong}; the fields that can be features: {there_are}"
    return ""


def as_in_output(features: Features, output: str, registry: SchemaRegistry) -> Features:
    """Return the features with the types that the output has them as, where these hold the same numbers.

    A table created with SQL may have wider types than the input.
    """
    subject = registry.newest(f"{output}-value")
    known: Mapping[str, str] = feature_types(subject.schema) if subject else {}
    return Features(
        tuple(Feature(each.name, wider_type(each.type, known.get(each.name, each.type))) for each in features.items)
    )


def features_in_output(settings: Settings, registry: SchemaRegistry) -> Features:
    """Return the features of --features with their types in the output, for commands that read only the output."""
    if settings.feature_names == TOTALS.names:
        return TOTALS
    subject = registry.newest(f"{settings.output}-value")
    types = feature_types(subject.schema) if subject else {}
    return Features(tuple(Feature(name, types.get(name, "double")) for name in settings.feature_names))


def features_of(schema: Any) -> Features:
    """Return all features of a value schema of the output, in its order."""
    found = tuple(Feature(name, type_) for name, type_ in feature_types(schema).items())
    return Features(found) if found else TOTALS
