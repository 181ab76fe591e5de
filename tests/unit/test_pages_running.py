"""docs/running.md and deploy/: commands can be parsed, and manifests match their schema and the client."""

import configparser
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from classifier import __version__
from classifier.config.properties import is_secret
from classifier.config.settings import Settings, settings_from
from classifier.stop import GRACE_SECONDS, LAST_LINE_SECONDS
from tests.support import inside
from tests.support.client import ROOT, TIMEOUT_S
from tests.support.pages import CODE, OPERATING, RUNNING, SPEED, rows
from user_classifier import argument_parser

DEPLOY = ROOT / "deploy"
IMAGE = f"user_classifier:{__version__}"
APP = "/app/"
"""Where the image has the client: the same tree as in the repository."""
UNITS_MB = {"Mi": 1.048576, "Gi": 1073.741824, "MiB": 1.048576}
ENDS_WITHIN_S = GRACE_SECONDS + LAST_LINE_SECONDS
METRIC = re.compile(r"user_classifier_\w+")


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    """The resources of the manifest, by kind."""
    text = (DEPLOY / "kubernetes.yaml").read_text(encoding="utf-8")
    return {resource["kind"]: resource for resource in yaml.safe_load_all(text)}


@pytest.fixture(scope="module")
def pod(manifest: dict[str, Any]) -> dict[str, Any]:
    """The pod that the Deployment makes."""
    found: dict[str, Any] = manifest["Deployment"]["spec"]["template"]["spec"]
    return found


@pytest.fixture(scope="module")
def container(pod: dict[str, Any]) -> dict[str, Any]:
    """Its one container."""
    (found,) = pod["containers"]
    return dict(found)


@pytest.fixture(scope="module")
def service() -> dict[str, Any]:
    """The one service of the Compose file."""
    document = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    (found,) = document["services"].values()
    return dict(found)


@pytest.fixture(scope="module")
def unit() -> configparser.ConfigParser:
    """The unit of systemd."""
    parser = configparser.ConfigParser(interpolation=None, delimiters="=")
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # as systemd: upper case counts
    parser.read(DEPLOY / "user_classifier.service", encoding="utf-8")
    return parser


def parsed(arguments: list[str]) -> Any:
    """The parsed command line; its configuration file must exist."""
    found = argument_parser().parse_args(arguments)
    assert (ROOT / found.config).is_file(), found.config
    return found


# The commands of the page


def lines(program: str) -> list[list[str]]:
    """The commands of a program on the page, split into words."""
    found = [shlex.split(line.removeprefix("sudo ")) for line in RUNNING.shell_lines]
    return [words for words in found if words[0] == program]


def test_the_page_has_no_other_commands() -> None:
    programs = {"docker", "kubectl", "cp", "systemctl", "journalctl", "make"}
    assert {shlex.split(line.removeprefix("sudo "))[0] for line in RUNNING.shell_lines} == programs


def test_arguments_after_the_image_can_be_parsed() -> None:
    runs = [words for words in lines("docker") if words[1] == "run"]
    assert len(runs) == 2
    for words in runs:
        at = words.index(IMAGE)
        parsed(words[at + 1 :])
        (volume,) = [words[n + 1] for n in range(at) if words[n] == "--volume"]
        outside, inside_, mode = volume.split(":")
        assert (outside, inside_, mode) == ("$PWD/configurations", f"{APP}configurations", "ro")
        assert "--read-only" in words[:at]


def test_a_port_that_is_published_is_served_there() -> None:
    """A container has its own network: its 127.0.0.1 cannot be reached from outside."""
    (words,) = [words for words in lines("docker") if "--publish" in words]
    published = words[words.index("--publish") + 1].split(":")
    found = parsed(words[words.index(IMAGE) + 1 :])
    assert published == ["127.0.0.1", str(found.metrics_port), str(found.metrics_port)]
    assert found.metrics_host == "0.0.0.0"


def test_images_are_built_as_the_dockerfile_says() -> None:
    builds = [words for words in lines("docker") if words[1] == "build"]
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    for words in builds:
        assert words[2:4] == ["--tag", IMAGE]
        assert words[-1] == "."
        if "--build-arg" in words:
            assert f"\nARG {words[words.index('--build-arg') + 1].split('=')[0]}=" in text
    assert len(builds) == 2


def test_files_that_are_named_exist() -> None:
    named = [word for line in RUNNING.shell_lines for word in shlex.split(line) if word.startswith("deploy/")]
    assert len(named) == 3
    assert {Path(name).name for name in named} == {path.name for path in DEPLOY.iterdir()}


def test_names_are_those_of_the_files(manifest: dict[str, Any]) -> None:
    name = manifest["Deployment"]["metadata"]["name"]
    assert {words[-1] for words in lines("kubectl") if words[-1].startswith("deployment/")} == {f"deployment/{name}"}
    assert lines("systemctl") == [["systemctl", "enable", "--now", "user_classifier"]]
    assert (DEPLOY / f"{lines('journalctl')[0][2]}.service").is_file()


# Kubernetes


def test_the_manifest_matches_the_schema_of_kubernetes(manifest: dict[str, Any]) -> None:
    assert set(manifest) == {"Secret", "ConfigMap", "Deployment"}
    for resource in manifest.values():
        kubernetes_validate.validate(resource, kubernetes_validate.latest_version(), strict=True)


def test_the_schema_refuses_a_misspelt_field(manifest: dict[str, Any]) -> None:
    wrong = {**manifest["Deployment"], "spec": {**manifest["Deployment"]["spec"], "replica": 1}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, kubernetes_validate.latest_version(), strict=True)


def test_there_is_never_more_than_one_client(manifest: dict[str, Any]) -> None:
    spec = manifest["Deployment"]["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_arguments_of_the_pod_can_be_parsed(container: dict[str, Any]) -> None:
    found = parsed(container["args"])
    (port,) = container["ports"]
    assert (container["image"], found.metrics_host, found.metrics_port) == (IMAGE, "0.0.0.0", port["containerPort"])
    paths = {"startupProbe": "/health", "livenessProbe": "/health", "readinessProbe": "/ready"}
    for probe, path in paths.items():
        assert container[probe]["httpGet"] == {"path": path, "port": port["name"]}


def test_the_client_has_time_to_stop(
    pod: dict[str, Any], service: dict[str, Any], unit: configparser.ConfigParser
) -> None:
    assert pod["terminationGracePeriodSeconds"] > ENDS_WITHIN_S + 5
    assert int(service["stop_grace_period"].removesuffix("s")) > ENDS_WITHIN_S + 5
    assert unit.getint("Service", "TimeoutStopSec") > ENDS_WITHIN_S + 5


def test_user_and_folder_are_those_of_the_image(pod: dict[str, Any], container: dict[str, Any]) -> None:
    user = f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}"
    assert f"\nUSER {user}\n" in (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == [f"{APP}configurations"]


def test_the_file_in_the_manifest_is_read(
    manifest: dict[str, Any], container: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client first reports the placeholders; once these are replaced, it takes its secrets from the Secret."""
    text, path = manifest["ConfigMap"]["data"]["configuration.ini"], tmp_path / "configuration.ini"
    for name in manifest["Secret"]["stringData"]:
        monkeypatch.setenv(name, f"{name} of the cluster")
    path.write_text(text, encoding="utf-8")
    assert "placeholders still to be filled in" in inside.run([str(path)]).stderr
    path.write_text(re.sub(r"<[\w-]+>", "somewhere", text.replace("<hostname-port>", "9092")), encoding="utf-8")
    found = settings_from(argument_parser().parse_args([str(path), *container["args"][1:]]))
    assert dict(secrets_of(found)) == {
        "basic.auth.user.info": "REGISTRY_TOKEN of the cluster",
        "sasl.password": "KAFKA_SECRET of the cluster",
    }
    assert found.consumer["sasl.username"] == "KAFKA_KEY of the cluster"


def secrets_of(settings: Settings) -> Iterator[tuple[str, str]]:
    """The secrets: they must not be in a ConfigMap."""
    for section in (settings.schema_registry, settings.consumer, settings.producer):
        yield from ((name, value) for name, value in section.items() if is_secret(name) and name != "sasl.username")


def test_the_file_in_the_manifest_is_the_template_except_for_secrets(manifest: dict[str, Any]) -> None:
    """Line by line; secrets come from the environment."""
    template = (ROOT / "configurations" / "configuration.ini").read_text(encoding="utf-8")
    wanted = [line for line in template.splitlines() if not line.startswith("#")]
    found = manifest["ConfigMap"]["data"]["configuration.ini"].splitlines()
    for there, here in zip(wanted[wanted.index("[schema_registry]") :], found, strict=True):
        assert here == there or (here.split(" = ")[0] == there.split(" = ")[0] and "${" in here), here


def test_resources_are_those_that_were_measured(container: dict[str, Any]) -> None:
    measured = {row[0]: row[4] for row in rows(SPEED.section("Catching up")) if len(row) == 5 and row[0][:1].isdigit()}
    listed = {row[0]: row[1:] for row in rows(RUNNING.section("Kubernetes")) if row[0][:1].isdigit()}
    assert len(listed) == 3
    for users, (largest, request, limit, _) in listed.items():
        assert largest == measured[users], "as on docs/speed.md"
        assert megabytes(largest) < megabytes(request)
        assert 2 * megabytes(largest) < megabytes(limit)
    _, request, limit, cpu = listed["100,000"]
    assert container["resources"] == {"requests": {"cpu": cpu, "memory": request}, "limits": {"memory": limit}}


def megabytes(text: str) -> float:
    """An amount of memory as Kubernetes or a page writes it."""
    match = re.fullmatch(r"(\d+) ?(\w+)", text)
    assert match, text
    return int(match[1]) * UNITS_MB[match[2]]


# Compose


def test_the_compose_file_matches_its_schema() -> None:
    check = ["check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(DEPLOY / "compose.yaml")]
    done = subprocess.run(
        [sys.executable, "-m", *check], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_command_of_the_service_can_be_parsed(service: dict[str, Any]) -> None:
    parsed(service["command"])
    assert service["image"] == IMAGE
    assert (DEPLOY / service["build"] / "Dockerfile").is_file()
    outside, inside_, _ = service["volumes"][0].split(":")
    assert (DEPLOY / outside).resolve() / "local.ini" == ROOT / "configurations" / "local.ini"
    assert inside_ == f"{APP}configurations"


def test_the_service_reaches_the_local_stack(service: dict[str, Any]) -> None:
    """The stack listens on the loopback of the machine, which a container with its own network does not have."""
    found = settings_from(argument_parser().parse_args([str(ROOT / service["command"][0])]))
    assert found.consumer["bootstrap.servers"].startswith("127.0.0.1:")
    assert service["network_mode"] == "host"


# systemd


def test_the_command_of_the_unit_can_be_parsed(unit: configparser.ConfigParser) -> None:
    python, script, *arguments = shlex.split(unit["Service"]["ExecStart"])
    parsed(arguments)
    assert (python, script) == (f"{unit['Service']['WorkingDirectory']}/.venv/bin/python", "user_classifier.py")


def test_systemd_knows_every_line_of_the_unit(unit: configparser.ConfigParser, tmp_path: Path) -> None:
    """Checked by systemd-analyze where it is installed, otherwise by the sections alone."""
    assert unit.sections() == ["Unit", "Service", "Install"]
    if verify := shutil.which("systemd-analyze"):
        text = (DEPLOY / "user_classifier.service").read_text(encoding="utf-8")
        path = tmp_path / "user_classifier.service"
        path.write_text(text.replace("/srv/user_classifier/.venv/bin/python", sys.executable), encoding="utf-8")
        done = subprocess.run([verify, "verify", path], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        assert (done.returncode, done.stderr) == (0, "")


# Alerts


def test_alerts_name_metrics_that_are_served() -> None:
    served = {row[0].strip("`") for row in rows(OPERATING.section("Metrics and health"))[2:]}
    alerts = rows(RUNNING.section("What to alert on"))[2:]
    named = {
        name.removesuffix("_bucket") for row in alerts for code in CODE.findall(row[1]) for name in METRIC.findall(code)
    }
    assert len(named) >= 6
    assert named <= served
