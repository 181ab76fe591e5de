"""Points in time on real Flink: types and numbers are those of Confluent Cloud."""

from datetime import UTC, datetime

from tests.end_to_end.sessions import Session
from tests.end_to_end.tables import Row, same, written
from tests.support.waiting import wait_until
from tests.support.wire import schema_id_of


def test_points_in_time(session: Session) -> None:
    """Flink writes the Avro types and numbers of Confluent, also from before 1970, and reads them again."""
    columns = "id INT, at TIMESTAMP_LTZ(3), local_at TIMESTAMP(3), on_day DATE"
    session.workspace.run(f"CREATE TABLE feature_times ({columns})")
    session.workspace.run(f"CREATE TABLE feature_times_copy ({columns}) WITH ('changelog.mode' = 'retract')")
    session.workspace.run(
        "INSERT INTO feature_times SELECT * FROM (VALUES"
        " (1, TO_TIMESTAMP_LTZ(-1877, 3), TIMESTAMP '1969-12-31 23:59:58.123', DATE '1969-12-31'),"
        " (2, TO_TIMESTAMP_LTZ(1772368215250, 3), TIMESTAMP '2026-03-01 12:30:15.250', DATE '2026-03-01'),"
        " (3, CAST(NULL AS TIMESTAMP_LTZ(3)), CAST(NULL AS TIMESTAMP(3)), CAST(NULL AS DATE)))"
    )
    session.workspace.run("INSERT INTO feature_times_copy SELECT * FROM feature_times")
    late = datetime(2026, 3, 1, 12, 30, 15, 250_000)
    early = datetime(1969, 12, 31, 23, 59, 58, 123_000)
    expected: list[Row] = [
        {"id": 1, "at": early.replace(tzinfo=UTC), "local_at": early, "on_day": early.date()},
        {"id": 2, "at": late.replace(tzinfo=UTC), "local_at": late, "on_day": late.date()},
        {"id": 3, "at": None, "local_at": None, "on_day": None},
    ]
    for topic in ("feature_times", "feature_times_copy"):
        wait_until(lambda topic=topic: len(written(session, topic)) == 3, topic)  # type: ignore[misc]
        assert same(written(session, topic), expected)
        schema = session.subjects.schema(schema_id_of(session.topics.read(topic)[0].value or b""))
        kinds = [field["type"][1] for field in schema["fields"]]
        assert [kind if isinstance(kind, str) else kind["logicalType"] for kind in kinds] == [
            "int",
            "timestamp-millis",
            "local-timestamp-millis",
            "date",
        ]
