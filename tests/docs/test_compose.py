"""docker-compose.yml fits the program: settings, commands, dependencies, the proxy's headers."""

from __future__ import annotations

import ipaddress
import re
import secrets
from collections.abc import Mapping
from typing import Any

import pytest
import typer.main
import yaml
from pydantic import ValidationError
from typer.core import TyperGroup

from gateway.cli import app
from gateway.cli.reference import variable
from gateway.settings import Settings
from tests.docs.pages import OPERATIONS, ROOT, blocks

ENV = {
    name: value.strip("'")
    for name, value in re.findall(
        r"^([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE
    )
}


OWN = {
    **ENV,
    "POSTGRES_PASSWORD": secrets.token_hex(24),
    "GATEWAY_TOKEN_SECRET": secrets.token_urlsafe(48),
    "GATEWAY_PBX_SECRETS": '{"main": ["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"]}',
}
"""The example's values with secrets of one's own."""


def interpolate(text: str, given: Mapping[str, str] = OWN) -> str:
    """Put the values of an .env in, as Compose would; KeyError for a required one it lacks."""

    def value(found: re.Match[str]) -> str:
        name, kind, default = found["name"], found["kind"], found["default"]
        return given[name] if kind == ":?" else str(given.get(name, default))

    pattern = r"(?<!\$)\$\{(?P<name>\w+)(?P<kind>:[?-])(?P<default>[^{}]*)\}"
    return re.sub(pattern, value, text).replace("$$", "$")


COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {name: one for name, one in SERVICES.items() if one["image"] == "crm-gateway"}
NGINX = interpolate(COMPOSE["configs"]["nginx"]["content"])


def test_every_setting_is_known() -> None:
    """Each GATEWAY_ variable of a service is a setting."""
    known = {variable(name) for name in Settings.model_fields}
    given = {name for one in OURS.values() for name in one["environment"]}

    assert given
    assert given <= known


@pytest.mark.parametrize("name", OURS)
def test_the_settings_are_valid(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With secrets of one's own the gateway accepts what a service is given."""
    for key, value in OURS[name]["environment"].items():
        monkeypatch.setenv(key, interpolate(value))

    settings = Settings()

    assert settings.database_url is not None
    assert re.fullmatch(r"postgresql://gateway:[\w-]+@postgres/crm", settings.database_url)
    assert settings.token_secret is not None
    assert len(settings.token_secret.get_secret_value()) >= 32
    assert list(settings.pbx_secrets) == ["main"]
    assert settings.host == "0.0.0.0"


@pytest.mark.parametrize(
    "kept", ["POSTGRES_PASSWORD", "GATEWAY_TOKEN_SECRET", "GATEWAY_PBX_SECRETS"]
)
def test_an_example_that_was_not_replaced_is_refused(
    kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of the three secrets of .env.example, as it is, stops the start."""
    for key, value in OURS["node1"]["environment"].items():
        monkeypatch.setenv(key, interpolate(value, {**OWN, kept: ENV[kept]}))

    with pytest.raises(ValidationError):
        Settings()


def test_nodes_keep_their_own_names() -> None:
    """No two nodes are given one name: each worker's must be unique."""
    assert all("GATEWAY_NODE" not in one["environment"] for one in OURS.values())


def test_secrets_have_no_defaults() -> None:
    """Without an .env nothing starts with a secret that everyone knows."""
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")

    for name in ("POSTGRES_PASSWORD", "GATEWAY_TOKEN_SECRET", "GATEWAY_PBX_SECRETS"):
        kinds = set(re.findall(rf"\$\{{{name}(:?.)", text))
        assert kinds == {":?"}, name
        assert "replace" in ENV[name] or "cmVwbGFjZS1tZS1" in ENV[name], name


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_watched_or_ends(name: str) -> None:
    """A service has a health check, unless it runs once."""
    service = SERVICES[name]

    assert ("healthcheck" in service) != (service.get("restart") == "no")


@pytest.mark.parametrize("name", SERVICES)
def test_dependencies_exist_and_can_be_met(name: str) -> None:
    """What a service waits for is there, and can become what it waits for."""
    for other, wanted in SERVICES[name].get("depends_on", {}).items():
        once = SERVICES[other].get("restart") == "no"
        met = "service_completed_successfully" if once else "service_healthy"
        assert wanted["condition"] == met


@pytest.mark.parametrize("name", OURS)
def test_commands_exist(name: str) -> None:
    """The command line takes what each service of ours runs."""
    cli = typer.main.get_command(app)
    assert isinstance(cli, TyperGroup)
    program, command, *arguments = OURS[name]["command"]

    context = cli.commands[command].make_context(command, list(arguments))

    assert program == "gateway"
    assert context.params


def test_there_are_two_nodes_behind_the_proxy() -> None:
    """The proxy sends to every service that serves, at the port it serves on."""
    serving = {f"{name}:8080" for name, one in OURS.items() if "serve" in one["command"]}
    upstream = set(re.findall(r"^\s*server ([\w.:-]+);", NGINX, re.MULTILINE))

    assert len(serving) == 2
    assert upstream == serving
    assert set(SERVICES["proxy"]["depends_on"]) == {node.split(":")[0] for node in serving}
    assert Settings.model_fields["port"].default == 8080


@pytest.mark.parametrize("conf", [NGINX, *blocks(OPERATIONS, "nginx")], ids=["compose", "page"])
def test_the_proxy_passes_websockets(conf: str) -> None:
    """Upgrade and Host reach the gateway, and a quiet socket outlives the ping interval."""
    headers = dict(re.findall(r"proxy_set_header (\S+) (\S+);", conf))
    timeouts = [int(s) for s in re.findall(r"proxy_(?:read|send)_timeout (\d+)s;", conf)]
    patience_s = Settings.model_fields["ping_s"].default + Settings.model_fields["pong_s"].default

    assert headers == {
        "Host": "$http_host",
        "Upgrade": "$http_upgrade",
        "Connection": "$connection_upgrade",
        "X-Forwarded-For": "$proxy_add_x_forwarded_for",
    }
    assert "proxy_http_version 1.1;" in conf
    assert re.search(r"map \$http_upgrade \$connection_upgrade \{\s*default upgrade;", conf)
    assert len(timeouts) == 2
    assert min(timeouts) > patience_s
    assert conf.count("{") == conf.count("}")


def test_the_proxy_lets_the_largest_webhook_through() -> None:
    """The proxy's own bound for bodies is the gateway's largest."""
    most = Settings.model_fields["max_webhook_bytes"].default

    file = Settings.model_fields["max_file_bytes"].default
    sizes = re.findall(r"client_max_body_size (\d+)m;", NGINX)
    assert sizes == [str(most // 2**20), str(file // 2**20 + 1)]


def test_the_proxy_alone_is_believed() -> None:
    """What a node trusts is the proxy's address, and the machine's, as which a TLS terminator on it
    comes to the proxy. Docker gives both to no other container.
    """
    (network,) = COMPOSE["networks"]["default"]["ipam"]["config"]
    subnet = ipaddress.IPv4Network(network["subnet"])
    address = SERVICES["proxy"]["networks"]["default"]["ipv4_address"]
    given = ipaddress.IPv4Network(network["ip_range"])

    assert given.subnet_of(subnet)
    for one in (address, network["gateway"]):
        assert ipaddress.ip_address(one) in subnet
        assert ipaddress.ip_address(one) not in given
    for one in OURS.values():
        assert one["environment"]["GATEWAY_TRUSTED_PROXIES"] == f"{network['gateway']},{address}"


def test_stopping_takes_longer_than_draining() -> None:
    """Docker does not kill a node that is still saying goodbye."""
    drain_s = Settings.model_fields["drain_s"].default

    for one in OURS.values():
        if "serve" in one["command"]:
            assert int(one["stop_grace_period"].removesuffix("s")) > drain_s + 5


def test_the_image_has_what_the_build_needs() -> None:
    """Everything the Dockerfile copies is there, and .dockerignore does not hide it."""
    dockerfile = OURS["node1"]["build"]["dockerfile_inline"]
    copied = " ".join(re.findall(r"^COPY (.+) \S+$", dockerfile, re.MULTILINE)).split()
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()

    assert {"pyproject.toml", "gateway", "presence", "ingest"} <= set(copied)
    for path in copied:
        assert (ROOT / path).exists()
        assert path not in ignored
