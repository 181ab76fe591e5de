"""Log lines as JSON objects, one a line, for programs that collect logs."""

import json
import logging
import math
from datetime import UTC, datetime
from typing import Any

# What every record has; the rest was given as `extra`.
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class JsonFormatter(logging.Formatter):
    """Writes time (ISO 8601, UTC), level, message, then what the record was given as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line. An extra named like one of our own fields gives way."""
        fields: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "level": record.levelname,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        extra = {name: value for name, value in vars(record).items() if name not in STANDARD}
        return json.dumps({**fields, **plain({k: v for k, v in extra.items() if k not in fields})}, default=other)


def plain(value: Any) -> Any:
    """Return the value without the numbers that JSON has no word for."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


def other(value: Any) -> Any:
    """Return what JSON can say of an object: the number or list of NumPy's, the text of any other."""
    return plain(value.tolist()) if hasattr(value, "tolist") else str(value)
