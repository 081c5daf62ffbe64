"""docs/deploy.md says what is true: every command in it is run here or in the test that is named, or rendered.

A command that is new in docs/deploy.md makes the first test fail until one of them covers it.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from api.settings import Settings
from cli.image.variant import IMAGE_NAMES
from tests.support.kustomize import build, key
from tests.support.paths import ROOT
from tests.support.scripts import help_of
from tests.support.service import free_port, own_environment, started

TEXT = (ROOT / "docs/deploy.md").read_text()
BLOCKS = re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in re.sub(r"\\\n\s*", "", block).splitlines()]

BENTO = ["scripts/import", ".venv/bin/bentoml build", ".venv/bin/bentoml serve xcube:latest --port 8000"]
IMAGE = [f"scripts/image{option}" for option in ("", " --cpu", " --lock", " --without-fvdb")]
AUDIT = ["scripts/check --audit"]
CONTAINER = [line for line in COMMANDS if line.startswith("docker ") and " compose " not in line]
COMPOSE = [line for line in COMMANDS if " docker compose " in line]
SECRET = next(line for line in COMMANDS if "create secret" in line)
JOBS_SECRET = next(line for line in COMMANDS if "generic xcube-jobs" in line)
CLUSTER = [line for line in COMMANDS if line.startswith("kubectl") and line not in (SECRET, JOBS_SECRET)]


def test_every_command_is_covered_by_a_test() -> None:
    assert sorted([*BENTO, *IMAGE, *AUDIT, *CONTAINER, *COMPOSE, *CLUSTER, SECRET, JOBS_SECRET]) == sorted(COMMANDS)


def test_every_link_leads_somewhere() -> None:
    for name in ("docs/deploy.md", "docs/model-card.md", "docs/data-card.md", "SECURITY.md", "CHANGELOG.md"):
        file = ROOT / name
        for target in re.findall(r"\]\((?!http)([^)#]+)", file.read_text()):
            assert (file.parent / target).exists(), f"{name}: {target}"
    for path in re.findall(r"`((?:deploy|docs|requirements|scripts)/[\w./-]+)`", TEXT):
        assert (ROOT / path).exists(), path


@pytest.mark.costly
@pytest.mark.timeout(400)
def test_the_commands_for_a_bento_build_and_serve_one(tmp_path: Path) -> None:
    variables = own_environment(tmp_path / "home", XCUBE_DEVICE="cpu", XCUBE_THREADS="1")
    for command in BENTO[:2]:
        done = subprocess.run(["bash", "-c", command], cwd=ROOT, env=variables, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    port = str(free_port())
    command = shlex.split(BENTO[2].replace("8000", port))
    with started(command, variables | {"XCUBE_PORT": port}, tmp_path / "log") as service:
        service.wait_until_ready()
        answer = service.post("/generate", json={"prompt": "a tall chair", "ddim_steps": 10, "seed": 1})
        assert answer.status_code == 200, answer.text
        shape = answer.json()
        assert len(shape["fine_xyz"]) > len(shape["coarse_xyz"]) > 100, "the demo models are in the Bento"
        assert service.stop() == 0


@pytest.mark.parametrize("command", [*IMAGE, *AUDIT, "scripts/image --engine", "scripts/image --models"])
def test_the_scripts_know_their_options(command: str) -> None:
    """`scripts/image --cpu` itself is run by test_image.py, `--lock` and `--audit` need package indexes."""
    script, *options = shlex.split(command)
    if script == "scripts/check":
        assert f"== {options[0]} ]]" in (ROOT / script).read_text()
        return
    assert all(option in help_of(script) for option in options)


def test_the_container_is_bounded_and_open_to_this_host_alone() -> None:
    words = shlex.split(CONTAINER[0])
    assert words[words.index("--publish") + 1].startswith("127.0.0.1:"), "it has no key"
    assert {"--memory", "--pids-limit"} <= set(words)


def test_the_container_has_the_name_and_version_that_are_built() -> None:
    run, stop = CONTAINER
    version = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    assert shlex.split(run)[-1] == f"{IMAGE_NAMES['cpu']}:{version[1]}"
    assert shlex.split(stop)[-1] == shlex.split(run)[shlex.split(run).index("--name") + 1]


@pytest.mark.parametrize("command", COMPOSE)
def test_compose_files_exist_and_get_their_variables(command: str) -> None:
    files = re.findall(r"--file (\S+)", command)
    wanted = {name for file in files for name in re.findall(r"\$\{(\w+):\?", (ROOT / file).read_text())}
    assert files[0] == "deploy/compose/compose.yaml"
    assert wanted == set(re.findall(r"(\w+)=", command))


@pytest.mark.parametrize("command", COMPOSE)
def test_compose_understands_its_files(command: str) -> None:
    if subprocess.run(["bash", "-c", "docker compose version"], capture_output=True, check=False).returncode:
        pytest.skip("docker compose is not installed")
    shown = command.replace("up --detach", "config --format json")
    done = subprocess.run(["bash", "-c", shown], cwd=ROOT, capture_output=True, text=True, check=True)
    services = json.loads(done.stdout)["services"]
    assert set(services) == {"xcube", "prometheus", "grafana"}
    assert ("deploy" in services["xcube"]) is ("cpu.yaml" not in command), "a GPU is asked for where there is one"
    image = services["xcube"]["image"].partition(":")[0]
    assert image == IMAGE_NAMES["cpu" if "cpu.yaml" in command else "cuda"]
    for name in re.findall(r"(\w+)=", command):
        without = {other: value for other, value in os.environ.items() if other != name}
        nameless = re.sub(rf"\b{name}=\S+ ", "", shown)
        refused = subprocess.run(
            ["bash", "-c", nameless], cwd=ROOT, env=without, capture_output=True, text=True, check=False
        )
        assert refused.returncode != 0
        assert name in refused.stderr


@pytest.mark.parametrize("command", CLUSTER)
def test_commands_for_a_cluster_name_what_the_overlays_have(command: str) -> None:
    words = shlex.split(command)
    if words[1] == "apply":
        assert build(ROOT / words[words.index("--kustomize") + 1])
        return
    resources = {key(resource) for resource in build(ROOT / "deploy/overlays/cpu")}
    assert ("Namespace", words[words.index("--namespace") + 1]) in resources
    (target,) = [word for word in words if "/" in word]
    kind, name = target.split("/")
    assert (kind.capitalize(), name) in resources
    if "port-forward" in words:
        (service,) = [each for each in build(ROOT / "deploy/overlays/cpu") if each["kind"] == "Service"]
        assert int(words[-1].split(":")[1]) == service["spec"]["ports"][0]["port"]


def test_the_secret_for_jobs_has_what_their_component_reads_and_addresses_that_the_settings_take() -> None:
    values = dict(word.removeprefix("--from-literal=").split("=", 1) for word in shlex.split(JOBS_SECRET)[7:])
    file = ROOT / "deploy/components/jobs-postgres/deployment.yaml"
    (container,) = yaml.safe_load(file.read_text())["spec"]["template"]["spec"]["containers"]
    references = [variable["valueFrom"]["secretKeyRef"] for variable in container["env"]]
    assert {reference["key"] for reference in references} == set(values)
    assert Settings(results_url=values["results"], jobs_url=values["database"]).jobs_url is not None


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_the_secret_has_the_key_that_both_tiers_read(tmp_path: Path) -> None:
    command = f"{SECRET} --dry-run=client --output yaml"
    offline = {**os.environ, "KUBECONFIG": str(tmp_path / "none")}
    done = subprocess.run(["bash", "-c", command], env=offline, capture_output=True, text=True, check=True)
    secret = yaml.safe_load(done.stdout)
    references = [
        variable["valueFrom"]["secretKeyRef"]
        for resource in build(ROOT / "deploy/overlays/split")
        if resource["kind"] == "Deployment"
        for container in resource["spec"]["template"]["spec"]["containers"]
        for variable in container["env"]
        if variable["name"] == "XCUBE_SAMPLER_TOKEN"
    ]
    assert len(references) == 2
    assert all(each == {"name": secret["metadata"]["name"], "key": next(iter(secret["data"]))} for each in references)
    assert len(secret["data"]["token"]) > 64
