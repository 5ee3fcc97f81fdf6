# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What goes wrong on real hosts is said in one sentence with its cure, without a traceback, and changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from integration.hosts import DockerHost

#: A call of each module that would change something on a fresh host, or read it.
CALLS: dict[str, dict[str, Any]] = {
    "docker_app_network": {"name": "shop"},
    "docker_app_network_info": {},
    "docker_network_purge": {"names": ["shop"]},
    "ufw_docker_guard": {"follow_ufw": False},
}

SERVE_TLS = """
import http.server, ssl
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/tmp/cert.pem")
server = http.server.HTTPServer(("127.0.0.1", 2376), http.server.BaseHTTPRequestHandler)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


def refused(result: dict[str, Any]) -> str:
    """The message of a clean refusal."""
    assert result["failed"]
    assert not result.get("changed")
    shown = {key: value for key, value in result.items() if key not in ("invocation", "exception", "import_error")}
    assert "Traceback" not in str(shown)
    return str(result["msg"])


def all_refused(host: DockerHost, *, remote_user: str = "root", **connection: Any) -> set[str]:
    """What all modules say when Docker is asked in this way."""
    calls = [(name, {**arguments, **connection}) for name, arguments in CALLS.items()]
    return {refused(result) for result in host.through_ansible(calls, remote_user=remote_user)}


def test_a_daemon_that_is_down(engine: DockerHost) -> None:
    (message,) = all_refused(engine, docker_host="unix:///run/no-docker.sock")
    assert "Cannot talk to Docker at unix:///run/no-docker.sock: there is no such socket" in message
    assert "systemctl start docker" in message


def test_a_port_where_no_daemon_listens(engine: DockerHost) -> None:
    (message,) = all_refused(engine, docker_host="tcp://127.0.0.1:2375")
    assert "nothing answers there" in message


def test_a_user_who_may_not_open_the_socket(engine: DockerHost) -> None:
    (message,) = all_refused(engine, remote_user="nobody")
    assert "refuses this user" in message
    assert "become: true" in message


@pytest.fixture
def tls_port(engine: DockerHost) -> Iterator[DockerHost]:
    """Something that speaks TLS with a certificate that nobody signed."""
    engine.run(
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=docker"),
        *("-keyout", "/tmp/key.pem", "-out", "/tmp/only-cert.pem"),
    )
    engine.run("sh", "-c", "cat /tmp/key.pem /tmp/only-cert.pem >/tmp/cert.pem")
    engine.run("sh", "-c", 'nohup python3 -c "$0" >/dev/null 2>&1 & echo $! >/tmp/tls.pid', SERVE_TLS)
    engine.run("sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do nc -z 127.0.0.1 2376 && exit; sleep 0.3; done; exit 1")
    yield engine
    engine.run("sh", "-c", "kill $(cat /tmp/tls.pid)")


def test_a_daemon_with_a_certificate_that_nobody_signed(tls_port: DockerHost) -> None:
    (message,) = all_refused(tls_port, docker_host="tcp://127.0.0.1:2376", validate_certs=True)
    assert "TLS failed" in message
    assert "ca_path" in message


def test_a_client_certificate_that_is_not_there(engine: DockerHost) -> None:
    files = {"client_cert": "/tmp/no-cert.pem", "client_key": "/tmp/no-key.pem"}
    (message,) = all_refused(engine, docker_host="tcp://127.0.0.1:2376", tls=True, **files)
    assert "TLS failed" in message


@pytest.fixture
def without(engine: DockerHost, request: pytest.FixtureRequest) -> Iterator[DockerHost]:
    """A host on which a file or folder is not there."""
    engine.run("mv", request.param, f"{request.param}.away")
    yield engine
    engine.run("mv", f"{request.param}.away", request.param)


@pytest.mark.parametrize("without", ["/usr/sbin/nft"], indirect=True)
def test_the_guard_without_nft(without: DockerHost) -> None:
    result = without.module("ufw_docker_guard", follow_ufw=False)
    assert "apt-get install nftables" in refused(result)
    assert result["reason_code"] == "nft_missing"


@pytest.mark.parametrize("without", ["/etc/ufw"], indirect=True)
def test_the_guard_without_ufw(without: DockerHost) -> None:
    result = without.module("ufw_docker_guard")
    assert "apt-get install ufw" in refused(result)
    assert result["reason_code"] == "ufw_missing"
    assert without.run("nft", "list", "table", "inet", "bulkhead_guard", check=False).returncode != 0


def test_the_guard_with_ufw_switched_off(engine: DockerHost) -> None:
    result = engine.module("ufw_docker_guard")
    assert "ufw enable" in refused(result)
    assert result["reason_code"] == "ufw_inactive"
    assert engine.run("nft", "list", "table", "inet", "bulkhead_guard", check=False).returncode != 0


@pytest.mark.parametrize("check", [True, False])
def test_an_unknown_container_is_refused_before_anything_is_made(engine: DockerHost, check: bool) -> None:
    networks = [{"name": "shop"}, {"name": "blog", "connected": ["no-such-container"]}]
    result = engine.module("docker_app_network", check=check, networks=networks)
    assert "no-such-container" in refused(result)
    assert "networks[1]" in result["msg"]
    assert engine.docker("network", "ls", "--quiet", "--filter", "type=custom") == ""


@pytest.mark.parametrize("check", [True, False])
def test_an_unknown_network_is_refused_before_anything_is_made(engine: DockerHost, check: bool) -> None:
    apps = [{"name": "shop", "attach_post_deploy": ["no-such-network"]}]
    result = engine.module("docker_app_network", check=check, networks=["shop"], apps=apps)
    assert "no-such-network" in refused(result)
    assert engine.docker("network", "ls", "--quiet", "--filter", "type=custom") == ""


def test_an_unknown_network_has_nothing_to_purge(engine: DockerHost) -> None:
    result = engine.converges("docker_network_purge", names=["no-such-network"])
    assert [item["outcome"] for item in result["networks"]] == ["absent"]


def test_an_option_that_is_not_there_yet_is_refused(engine: DockerHost) -> None:
    message = refused(engine.module("docker_network_purge", names=["shop"], restart_daemon="live_restore"))
    assert "restart_daemon" in message
