"""The configuration of Flink, with state on the heap and with state on disk."""

from pathlib import Path

import pytest

from local.services.flink import FlinkCluster


def configuration(directory: Path, large_state: bool) -> dict[str, str]:
    """Write the configuration file and return its settings."""
    FlinkCluster(directory, 8083, large_state=large_state).configure()
    lines = (directory / "config.yaml").read_text(encoding="utf-8").splitlines()
    return dict(line.split(": ", 1) for line in lines)


@pytest.mark.parametrize(
    ("large_state", "backend", "managed"), [(False, None, "64 mb"), (True, "rocksdb", "1 gb")], ids=["small", "large"]
)
def test_the_state_backend(tmp_path: Path, large_state: bool, backend: str | None, managed: str) -> None:
    found = configuration(tmp_path, large_state)
    assert found.get("state.backend.type") == backend
    assert found["taskmanager.memory.managed.size"] == managed
    assert found["table.exec.sink.require-on-conflict"] == "false"


def test_what_pages_of_other_websites_may_do(tmp_path: Path) -> None:
    found = configuration(tmp_path, large_state=False)
    assert found["web.access-control-allow-origin"] == f"http://127.0.0.1:{found['rest.port']}"
    assert found["web.submit.enable"] == "false"
