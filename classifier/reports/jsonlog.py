"""Log records as JSON objects, one a line, for log collectors."""

import json
import logging
import math
from datetime import UTC, datetime
from typing import Any

# Attributes of every record; all others were passed as `extra`.
STANDARD_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class JsonFormatter(logging.Formatter):
    """Formats time (ISO 8601, UTC), level and message, then the fields passed as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line. An extra field with the name of a standard one is dropped."""
        fields: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "level": record.levelname,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        for name, value in vars(record).items():
            if name not in STANDARD_ATTRIBUTES and name not in fields:
                fields[str(name)] = json_value(value)
        return json.dumps(fields, default=json_object)


def json_value(value: Any) -> Any:
    """Return the value with NaN and infinity, which JSON cannot represent, as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(key): json_value(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(each) for each in value]
    return value


def json_object(value: Any) -> Any:
    """Return an object as JSON represents it: NumPy values as numbers or lists, others as text."""
    return json_value(value.tolist()) if hasattr(value, "tolist") else str(value)
