"""docs/running.md and deploy/: commands can be parsed, and manifests match their schema and the client."""

import base64
import configparser
import itertools
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
from dashboard.options import parsed as dashboard_options
from tests.support import inside
from tests.support.client import ROOT, TIMEOUT_S
from tests.support.pages import CODE, DASHBOARD, OPERATING, RUNNING, SPEED, rows
from user_classifier import argument_parser

DEPLOY = ROOT / "deploy"
BASE = DEPLOY / "kubernetes" / "base"
PRODUCTION = DEPLOY / "kubernetes" / "overlays" / "production"
MOUNTED = "/run/secrets/user-classifier/"
IMAGE = f"user_classifier:{__version__}"
APP = "/app/"
"""Where the image has the client: the same tree as in the repository."""
UNITS_MB = {"Mi": 1.048576, "Gi": 1073.741824, "MiB": 1.048576}
ENDS_WITHIN_S = GRACE_SECONDS + LAST_LINE_SECONDS
METRIC = re.compile(r"user_classifier_\w+")


def documents(path: Path) -> list[dict[str, Any]]:
    """The documents of a YAML file."""
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    """The resources of the base, by kind."""
    named = documents(BASE / "kustomization.yaml")[0]["resources"]
    return {resource["kind"]: resource for name in named for resource in documents(BASE / name)}


@pytest.fixture(scope="module")
def overlay() -> dict[str, Any]:
    """The kustomization of the overlay."""
    (found,) = documents(PRODUCTION / "kustomization.yaml")
    return found


@pytest.fixture
def secrets(overlay: dict[str, Any], tmp_path: Path) -> dict[str, str]:
    """The secrets of the overlay, by the name of their file."""
    (generator,) = overlay["secretGenerator"]
    return {Path(file).name: f"{Path(file).name} of the cluster" for file in generator["files"]}


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
    # A setting may be repeated.
    parser = configparser.ConfigParser(interpolation=None, delimiters="=", strict=False)
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
    programs = {"docker", "kubectl", "cp", "systemctl", "journalctl", "make", "mkdir", "cd", "printf", "python"}
    assert {shlex.split(line.removeprefix("sudo "))[0] for line in RUNNING.shell_lines} == programs


def test_arguments_after_the_image_can_be_parsed() -> None:
    runs = [words for words in lines("docker") if words[1] == "run" and "--entrypoint" not in words]
    assert len(runs) == 2
    for words in runs:
        at = words.index(IMAGE)
        parsed(words[at + 1 :])
        volume = next(words[n + 1] for n in range(at) if words[n] == "--volume" and "configurations" in words[n + 1])
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
        for before, argument in itertools.pairwise(words):
            if before == "--build-arg":
                assert f"\nARG {argument.split('=')[0]}=" in text
    assert len(builds) == 2
    assert f'\nLABEL org.opencontainers.image.version="{__version__}" ' in text


def test_files_that_are_named_exist() -> None:
    texts = [line for page in (RUNNING, DASHBOARD) for line in page.shell_lines]
    named = {word for line in texts for word in shlex.split(line) if word.startswith("deploy/")}
    made = {word for word in named if "/secrets" in word}
    assert len(named - made) == 4
    assert [name for name in named - made if not (ROOT / name).exists()] == []


def test_names_are_those_of_the_files(manifest: dict[str, Any], overlay: dict[str, Any]) -> None:
    name = manifest["Deployment"]["metadata"]["name"]
    namespace = overlay["namespace"]
    assert ["kubectl", "create", "namespace", namespace] in lines("kubectl")
    for words in lines("kubectl"):
        if words[-1].startswith("deployment/"):
            assert (words[-1], words[words.index("--namespace") + 1]) == (f"deployment/{name}", namespace)
    assert lines("systemctl") == [["systemctl", "enable", "--now", "user_classifier"]]
    assert (DEPLOY / f"{lines('journalctl')[0][2]}.service").is_file()


# Kubernetes


def test_the_manifest_matches_the_schema_of_kubernetes(manifest: dict[str, Any]) -> None:
    assert set(manifest) == {"Deployment", "NetworkPolicy"}
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


def test_the_user_is_any_but_root(pod: dict[str, Any], container: dict[str, Any]) -> None:
    """The image names a user by number, as runAsNonRoot requires; OpenShift assigns another."""
    assert re.search(r"\nUSER [1-9]\d*:\d+\n", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
    assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert not {"runAsUser", "runAsGroup", "fsGroup"} & container["securityContext"].keys()
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert [mount["mountPath"] + "/" for mount in container["volumeMounts"]] == [f"{APP}configurations/", MOUNTED]


def test_only_the_port_for_metrics_can_be_reached(manifest: dict[str, Any], container: dict[str, Any]) -> None:
    policy = manifest["NetworkPolicy"]["spec"]
    (rule,) = policy["ingress"]
    assert policy["policyTypes"] == ["Ingress"]
    assert rule["ports"] == [{"port": container["ports"][0]["name"]}]
    assert rule["from"]
    assert policy["podSelector"] == manifest["Deployment"]["spec"]["selector"]


def test_the_overlay_names_what_exists(
    overlay: dict[str, Any], manifest: dict[str, Any], pod: dict[str, Any], container: dict[str, Any]
) -> None:
    """For those without kubectl: resources, files, images, the target of each patch, and the names of both volumes."""
    assert [(PRODUCTION / name).resolve() for name in overlay["resources"]] == [BASE]
    (image,) = overlay["images"]
    assert f"{image['name']}:{image['newTag']}" == container["image"] == IMAGE
    (configuration,) = overlay["configMapGenerator"]
    assert [name for name in configuration["files"] if not (PRODUCTION / name).is_file()] == []
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["configuration"]["configMap"]["name"] == configuration["name"]
    assert volumes["secrets"]["secret"]["secretName"] == overlay["secretGenerator"][0]["name"]
    for patch in overlay["patches"]:
        for document in documents(PRODUCTION / patch["path"]):
            target = manifest[document["kind"]]
            assert document["metadata"] == {"name": target["metadata"]["name"]}
            names = [each["name"] for each in document["spec"]["template"]["spec"]["containers"]]
            assert names == [container["name"]]


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")
def test_kustomize_renders_the_overlay(secrets: dict[str, str], manifest: dict[str, Any], tmp_path: Path) -> None:
    """Everything matches the schema, refers to the generated names, and another secret gives another name."""
    rendered = rendering(tmp_path, secrets)
    assert set(rendered) == {*manifest, "ConfigMap", "Secret"}
    for resource in rendered.values():
        kubernetes_validate.validate(resource, kubernetes_validate.latest_version(), strict=True)
        assert resource["metadata"]["namespace"] == "user-classifier"
    pod = rendered["Deployment"]["spec"]["template"]["spec"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["configuration"]["configMap"]["name"] == rendered["ConfigMap"]["metadata"]["name"]
    assert volumes["secrets"]["secret"]["secretName"] == rendered["Secret"]["metadata"]["name"]
    assert {name: base64.b64decode(data).decode() for name, data in rendered["Secret"]["data"].items()} == secrets
    (client,) = pod["containers"]
    assert client["image"] == f"registry.example.com/{IMAGE}"
    assert client["args"] == manifest["Deployment"]["spec"]["template"]["spec"]["containers"][0]["args"]
    other = rendering(tmp_path, {**secrets, "registry": "another"})
    assert other["Secret"]["metadata"]["name"] != rendered["Secret"]["metadata"]["name"]


def rendering(directory: Path, secrets: dict[str, str]) -> dict[str, Any]:
    """The resources that kubectl would apply, by kind."""
    tree = directory / "kubernetes"
    shutil.copytree(DEPLOY / "kubernetes", tree, dirs_exist_ok=True)
    folder = tree / "overlays" / "production" / "secrets"
    folder.mkdir(exist_ok=True)
    for name, secret in secrets.items():
        (folder / name).write_text(secret, encoding="utf-8")
    command = ["kubectl", "kustomize", str(folder.parent)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    return {resource["kind"]: resource for resource in yaml.safe_load_all(done.stdout)}


def test_the_file_of_the_overlay_is_read(secrets: dict[str, str], container: dict[str, Any], tmp_path: Path) -> None:
    """The client first reports the placeholders; once these are replaced, it takes its secrets from the Secret."""
    path = tmp_path / "configuration.ini"
    for name, secret in secrets.items():
        (tmp_path / name).write_text(secret, encoding="utf-8")
    text = (PRODUCTION / "configuration.ini").read_text(encoding="utf-8").replace(MOUNTED, f"{tmp_path}/")
    path.write_text(text, encoding="utf-8")
    assert "placeholders still to be filled in" in inside.run([str(path)]).stderr
    path.write_text(re.sub(r"<[\w-]+>", "somewhere", text.replace("<hostname-port>", "9092")), encoding="utf-8")
    found = settings_from(argument_parser().parse_args([str(path), *container["args"][1:]]))
    assert dict(secrets_of(found)) == {
        "basic.auth.user.info": "registry of the cluster",
        "sasl.password": "kafka-secret of the cluster",
    }
    assert found.consumer["sasl.username"] == "kafka-key of the cluster"


def secrets_of(settings: Settings) -> Iterator[tuple[str, str]]:
    """The secrets: they must not be in a ConfigMap."""
    for section in (settings.schema_registry, settings.consumer, settings.producer):
        yield from ((name, value) for name, value in section.items() if is_secret(name) and name != "sasl.username")


def test_the_file_of_the_overlay_is_the_template_except_for_secrets() -> None:
    """Line by line; secrets come from files."""
    template = (ROOT / "configurations" / "configuration.ini").read_text(encoding="utf-8")
    wanted = [line for line in template.splitlines() if not line.startswith("#")]
    found = (PRODUCTION / "configuration.ini").read_text(encoding="utf-8").splitlines()
    for there, here in zip(wanted[wanted.index("[schema_registry]") :], found, strict=True):
        assert here == there or (here.split(" = ")[0] == there.split(" = ")[0] and f"${{file:{MOUNTED}" in here), here


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
    _, request, limit, cpu = listed["1,000,000"]
    (patch,) = documents(PRODUCTION / "resources.yaml")
    (patched,) = patch["spec"]["template"]["spec"]["containers"]
    assert patched["resources"] == {"requests": {"cpu": cpu, "memory": request}, "limits": {"memory": limit}}


def megabytes(text: str) -> float:
    """An amount of memory as Kubernetes or a page writes it."""
    match = re.fullmatch(r"(\d+) ?(\w+)", text)
    assert match, text
    return int(match[1]) * UNITS_MB[match[2]]


# Compose


@pytest.mark.parametrize("file", ["compose.yaml", "dashboard.yaml"])
def test_the_compose_file_matches_its_schema(file: str) -> None:
    check = ["check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(DEPLOY / file)]
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


def test_the_page_behind_its_proxy() -> None:
    """Only the proxy publishes a port, it connects to the page's, and the page allows the address of the proxy."""
    services = documents(DEPLOY / "dashboard.yaml")[0]["services"]
    page, proxy = services["dashboard"], services["oauth2-proxy"]
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert f" AS {page['build']['target']}\n" in text
    assert page["image"] == f"user_classifier_dashboard:{__version__}"
    _, address = dashboard_options(
        [
            str(ROOT / "configurations" / "local.ini"),
            *page["command"][1:-1],
            "--allowed-origin=https://labels.example.com",
        ]
    )
    options = dict(option.removeprefix("--").split("=", 1) for option in proxy["command"])
    assert (address.host, options["upstream"]) == ("0.0.0.0", f"http://dashboard:{address.port}")
    assert page["command"][-1] == "--allowed-origin=https://<host>"
    assert options["redirect-url"] == "https://<host>/oauth2/callback"
    assert "ports" not in page
    assert [port.split(":")[1] for port in proxy["ports"]] == [options["https-address"].split(":")[1]]
    mounted = {value.removeprefix("/run/secrets/") for value in options.values() if value.startswith("/run/secrets/")}
    assert mounted == set(proxy["secrets"])


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


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_the_unit_is_hardened() -> None:
    """The exposure is at most 3.0, which counts as OK."""
    check = ["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=30"]
    done = subprocess.run(
        [*check, str(DEPLOY / "user_classifier.service")],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout.splitlines()[-1]
    assert re.search(r"Overall exposure level for user_classifier.service: [0-2]\.\d OK", done.stdout)


# Alerts


def test_alerts_name_metrics_that_are_served() -> None:
    served = {row[0].strip("`") for row in rows(OPERATING.section("Metrics and health"))[2:]}
    alerts = rows(RUNNING.section("What to alert on"))[2:]
    named = {
        name.removesuffix("_bucket") for row in alerts for code in CODE.findall(row[1]) for name in METRIC.findall(code)
    }
    assert len(named) >= 6
    assert named <= served
