# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Edge: the only importer of the Docker SDK. Reads a Snapshot of the daemon and carries out single changes."""

from __future__ import annotations

import errno
import time
import traceback
import typing as t
from dataclasses import replace

from ansible.module_utils.basic import env_fallback, missing_required_lib

from ._core.errors import CoreError
from ._core.model import Attached, Container, Endpoint, Engine, Network, Pool, PublishedPort, Snapshot
from ._core.network_pools import DEFAULT_POOLS, claimed, exhausted, says_exhausted
from ._core.plan import Change

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

Json = t.Mapping[str, t.Any]

#: The connection options that all modules share; documented in the doc fragment of the same name.
CONNECTION_OPTIONS: dict[str, dict[str, t.Any]] = {
    "docker_host": {
        "type": "str",
        "default": "unix:///var/run/docker.sock",
        "fallback": (env_fallback, ["DOCKER_HOST"]),
        "aliases": ["docker_url"],
    },
    "tls_hostname": {"type": "str", "fallback": (env_fallback, ["DOCKER_TLS_HOSTNAME"])},
    "api_version": {
        "type": "str",
        "default": "auto",
        "fallback": (env_fallback, ["DOCKER_API_VERSION"]),
        "aliases": ["docker_api_version"],
    },
    "timeout": {"type": "int", "default": 60, "fallback": (env_fallback, ["DOCKER_TIMEOUT"])},
    "ca_path": {"type": "path", "aliases": ["ca_cert", "tls_ca_cert", "cacert_path"]},
    "client_cert": {"type": "path", "aliases": ["tls_client_cert", "cert_path"]},
    "client_key": {"type": "path", "aliases": ["tls_client_key", "key_path"]},
    "tls": {"type": "bool", "default": False, "fallback": (env_fallback, ["DOCKER_TLS"])},
    "validate_certs": {
        "type": "bool",
        "default": False,
        "fallback": (env_fallback, ["DOCKER_TLS_VERIFY"]),
        "aliases": ["tls_verify"],
    },
}


#: How often, and how many seconds apart, to look for networks that Swarm is about to allocate.
_SWARM_LOOKS = 20
_SWARM_PAUSE = 0.25


class Docker:
    """A connection to one daemon. Every failure leaves as a :class:`CoreError`."""

    def __init__(self, module: AnsibleModule) -> None:
        self._host: str = module.params["docker_host"]
        self._created: dict[str, str] = {}
        self._unanswered: set[str] = set()
        self._identity = ""
        #: What endpoints were made with, by ID: read before, and learned on the way. See :func:`_remembered`.
        self.endpoints: dict[str, t.Any] = {}
        try:
            # Late and little: this import costs more than everything else a module does before its first request.
            from docker.api.client import APIClient
            from docker.errors import DockerException
            from requests.exceptions import RequestException
        except ImportError as error:
            raise CoreError(
                missing_required_lib("docker"),
                hint="On Debian and Ubuntu: apt-get install python3-docker.",
                reason_code="missing_library",
                details={"exception": traceback.format_exc(), "import_error": str(error)},
            ) from error
        # What the SDK raises: its own errors, those of requests, and plain ValueError for unreadable options.
        self._failures: tuple[type[Exception], ...] = (DockerException, RequestException, OSError, ValueError)
        try:
            self._client = APIClient(
                base_url=self._host,
                version=module.params["api_version"],
                timeout=module.params["timeout"],
                tls=_tls(module.params),
            )
            version = self._client.version()
        except self._failures as error:
            raise _connection_error(error, self._host) from error
        self.engine = Engine(version=str(version.get("Version", "0")), api=str(self._client.api_version))

    # ---- reading -----------------------------------------------------------------------------------------------

    def snapshot(
        self,
        *,
        detail_networks: t.Callable[[Network], bool] = lambda network: False,
        detail_containers: t.Callable[[Container], bool] = lambda container: False,
        remember: bool = False,
        anew: t.Callable[[Snapshot], t.Collection[str]] = lambda overview: (),
    ) -> Snapshot:
        """Read all networks and containers by two list requests, and by one request each those asked for in detail.

        With ``remember``, a running container whose endpoints are all known by :attr:`endpoints` costs no request: an
        endpoint keeps what it was made with until it ends. ``anew`` names, by full ID, containers and networks that
        must be read in any case, judged by what the lists have told.
        """
        networks = [_network(item) for item in self._settled_networks()]
        containers = [_container_of_list(item) for item in self._get("/containers/json?all=1")]
        certain = set(anew(Snapshot(self.engine, tuple(networks), tuple(containers))))
        if remember:
            self._forget(containers)
        # What goes away between the list and its detail is left out, as if it had never been listed.
        shown = (
            self._network_detail(item) if item.id in certain or detail_networks(item) else item for item in networks
        )
        known = (
            self._known(item, remember=remember and item.id not in certain)
            if item.id in certain or detail_containers(item)
            else item
            for item in containers
        )
        return Snapshot(
            engine=self.engine,
            networks=tuple(sorted((item for item in shown if item), key=lambda item: (item.name, item.id))),
            containers=tuple(sorted((item for item in known if item), key=lambda item: (item.name, item.id))),
        )

    def _settled_networks(self) -> t.Sequence[Json]:
        """List all networks, and again for a while as long as Swarm has one to allocate that was just created.

        Such a one has no driver, no subnet and no options yet, which would be taken for differences.
        """
        for _attempt in range(_SWARM_LOOKS):
            found: t.Sequence[Json] = self._get("/networks")
            if all(item.get("Driver") or item.get("Scope") != "swarm" for item in found):
                break
            time.sleep(_SWARM_PAUSE)
        return found

    def _network_detail(self, network: Network) -> Network | None:
        data = self._get(f"/networks/{network.id}?verbose=true", gone_is_none=True)
        return _network(data, detailed=True) if data is not None else None

    def _known(self, container: Container, *, remember: bool) -> Container | None:
        found = _remembered(container, self.endpoints) if remember else None
        return self._container_detail(container) if found is None else found

    def _container_detail(self, container: Container) -> Container | None:
        data = self._get(f"/containers/{container.id}/json", gone_is_none=True)
        if data is None:
            return None
        found = _container_of_inspect(data)
        if found.live:
            self.endpoints.update({item.endpoint_id: _kept(item) for item in found.endpoints if item.endpoint_id})
        return found

    def _forget(self, containers: t.Iterable[Container]) -> None:
        """Forget endpoints that have ended."""
        there = {endpoint.endpoint_id for container in containers for endpoint in container.endpoints}
        self.endpoints = {key: value for key, value in self.endpoints.items() if key in there}

    def identity(self) -> str:
        """The daemon's own ID, which it keeps across restarts."""
        if not self._identity:
            self._identity = str(self._get("/info").get("ID") or "")
        return self._identity

    def inspect(self, network: str) -> dict[str, t.Any]:
        """Give what Docker says about the network of this full ID; nothing if it is gone."""
        return dict(self._get(f"/networks/{network}", gone_is_none=True) or {})

    @property
    def local(self) -> bool:
        """Whether the daemon is on this host, so that its networks are this host's."""
        return self._host.startswith("unix://")

    def address_pools(self) -> tuple[tuple[str, int], ...]:
        """The pools that this daemon was told to cut networks from; none if it was told nothing."""
        told = self._get("/info").get("DefaultAddressPools") or ()
        return tuple((str(item.get("Base") or ""), int(item.get("Size") or 0)) for item in told)

    def wait(self, limit: float) -> None:
        """Wait until the daemon answers, for at most ``limit`` seconds: it may be restarting."""
        end = time.monotonic() + limit
        while True:
            try:
                self._request("GET", "/_ping")
            except CoreError:
                if time.monotonic() > end:
                    return
                time.sleep(0.5)
            else:
                return

    # ---- changing ----------------------------------------------------------------------------------------------

    def apply(self, change: Change) -> None:
        """Carry out one change of kind ``network`` or ``endpoint``; its ``target`` holds the request.

        network create: ``body`` and maybe ``replaces``, IDs that stand for this network from now on; network remove:
        ``id``, and maybe ``unanswered``: only if a create request of this name got no answer; endpoint connect:
        ``network``, ``container``, ``config`` and maybe ``config_without_ip``; endpoint disconnect: ``network``, ``container`` and ``force``. ``network`` (of a
        removal ``id``) is a full ID, or the name of a network that this run has created; ``container`` is a full ID (a
        name only for an endpoint without container).
        """
        target = change.target
        verb = (change.kind, change.action)
        if verb == ("network", "create"):
            body = target["body"]
            identity = self._create(body)
            self._created.update(dict.fromkeys([body["Name"], *target.get("replaces", ())], identity))
        elif verb == ("network", "remove"):
            known = self._created.get(target["id"], target["id"])
            identity = self._made_unanswered(target["id"]) if target.get("unanswered") else known
            self._request("DELETE", f"/networks/{identity}")
        elif verb == ("endpoint", "connect"):
            self._connect(target)
        elif verb == ("endpoint", "disconnect"):
            network = self._created.get(target["network"], target["network"])
            body = {"Container": target["container"], "Force": bool(target.get("force"))}
            self._post(f"/networks/{network}/disconnect", body)
        else:
            raise CoreError(f"This edge cannot carry out '{change.action}' on '{change.kind}'.", reason_code="bug")

    def _create(self, body: Json) -> str:
        try:
            return str(self._post("/networks/create", body)["Id"])
        except CoreError as error:
            if "status" not in error.details:
                self._unanswered.add(body["Name"])
            if not says_exhausted(error.msg):
                raise
            networks = [_network(item) for item in self._get("/networks")]
            taken = [found for network in networks for found in claimed(network)]
            raise exhausted([body["Name"]], self.address_pools() or DEFAULT_POOLS, taken) from error

    def _made_unanswered(self, name: str) -> str:
        """Find what a request to create made that got no answer. No network had this name before it."""
        found = [item["Id"] for item in self._get("/networks") if item["Name"] == name]
        if name not in self._unanswered or len(found) != 1:
            raise CoreError(f"This run has made no network {name!r}.", reason_code="docker_refused")
        return str(found[0])

    def _connect(self, target: t.Mapping[str, t.Any]) -> None:
        path = f"/networks/{self._created.get(target['network'], target['network'])}/connect"
        try:
            self._post(path, {"Container": target["container"], "EndpointConfig": dict(target["config"])})
        except CoreError as error:
            # A container may ask for an address only where a person chose the subnet. Nothing tells such networks
            # apart beforehand: inspect shows a subnet from Docker's own pools in the same form. And where somebody has
            # taken the address meanwhile, being on the network counts more than an address that Docker had chosen.
            excused = "user configured subnets" in error.msg or "Address already in use" in error.msg
            if "config_without_ip" not in target or not excused:
                raise
            self._post(path, {"Container": target["container"], "EndpointConfig": dict(target["config_without_ip"])})

    # ---- requests ----------------------------------------------------------------------------------------------

    def _get(self, path: str, *, gone_is_none: bool = False) -> t.Any:
        try:
            return self._request("GET", path).json()
        except CoreError as error:
            if gone_is_none and error.details.get("status") == 404:
                return None
            raise

    def _post(self, path: str, body: Json) -> t.Any:
        response = self._request("POST", path, json=body)
        return response.json() if response.content else {}

    def _request(self, method: str, path: str, **arguments: t.Any) -> t.Any:
        # The SDK's verbs lack newer fields (gw_priority, enable_ipv4) on the releases that distributions ship, so it
        # gives the connection, version and TLS, and the bodies are ours.
        url = f"{self._client.base_url}/v{self._client.api_version}{path}"
        try:
            response = self._client.request(method, url, timeout=self._client.timeout, **arguments)
        except self._failures as error:
            raise _connection_error(error, self._host) from error
        if response.status_code >= 400:
            raise _api_error(response)
        return response


def _tls(params: t.Mapping[str, t.Any]) -> t.Any:
    if not (params["tls"] or params["validate_certs"]):
        return False
    from docker.tls import TLSConfig

    pair = (params["client_cert"], params["client_key"]) if params["client_cert"] and params["client_key"] else None
    arguments: dict[str, t.Any] = {
        "client_cert": pair,
        "verify": params["validate_certs"],
        "ca_cert": params["ca_path"],
    }
    if params["tls_hostname"]:
        arguments["assert_hostname"] = params["tls_hostname"]
    try:
        return TLSConfig(**arguments)
    except TypeError:  # the SDK dropped assert_hostname in 7.0: the certificate is then checked against the host's name
        arguments.pop("assert_hostname", None)
        return TLSConfig(**arguments)


def _connection_error(error: Exception, host: str) -> CoreError:
    """Say in one sentence why there is no daemon to talk to, and what cures that."""
    text = str(error)
    numbers = {item.errno for item in _chain(error) if isinstance(item, OSError) and item.errno}
    if errno.EACCES in numbers or "Permission denied" in text:
        found, cure = "the socket refuses this user", "Run with become: true, or as a member of the group docker."
    elif errno.ENOENT in numbers or "No such file or directory" in text:
        found, cure = "there is no such socket", "Start Docker (systemctl start docker), or set docker_host."
    elif errno.ECONNREFUSED in numbers or "Connection refused" in text:
        found, cure = "nothing answers there", "Start Docker (systemctl start docker), or set docker_host."
    elif "SSL" in text or "certificate" in text.lower() or "TLS" in text or "tls" in text:
        found, cure = f"TLS failed: {_short(text)}", "Check ca_path, client_cert, client_key and validate_certs."
    elif "timed out" in text.lower() or "timeout" in text.lower():
        found, cure = "no answer in time", "Look at the daemon's load and log, or raise timeout."
    elif "400" in text and host.startswith("tcp"):
        found, cure = f"it refuses plain HTTP: {_short(text)}", "Set tls: true with client_cert and client_key."
    else:
        found, cure = _short(text), "Check docker_host and api_version."
    return CoreError(f"Cannot talk to Docker at {host}: {found}.", hint=cure, reason_code="no_daemon")


def _chain(error: BaseException) -> t.Iterator[BaseException]:
    """The error, its causes, and the errors that requests and urllib3 carry in their arguments."""
    todo: list[t.Any] = [error]
    seen: set[int] = set()
    while todo:
        item = todo.pop()
        if not isinstance(item, BaseException) or id(item) in seen:
            continue
        seen.add(id(item))
        yield item
        todo += [item.__cause__, item.__context__, getattr(item, "reason", None), *item.args]


def _short(text: str) -> str:
    return " ".join(text.split())[:200].rstrip(".")


def _api_error(response: t.Any) -> CoreError:
    try:
        message = str(response.json().get("message", ""))
    except (ValueError, AttributeError):
        message = response.text
    message = " ".join(message.split())[:1000]
    return CoreError(
        f"Docker refused: {message.rstrip('.')} (HTTP {response.status_code}).",
        reason_code="docker_refused",
        details={"status": response.status_code, "docker_message": message},
    )


# ---- JSON of the API to values of the model ----------------------------------------------------------------------


def _network(data: Json, *, detailed: bool = False) -> Network:
    ipam = data.get("IPAM") or {}
    attached = (
        Attached(
            key=key,
            name=item.get("Name") or "",
            endpoint_id=item.get("EndpointID") or "",
            ip=(item.get("IPv4Address") or "").partition("/")[0],
            ip6=(item.get("IPv6Address") or "").partition("/")[0],
        )
        for key, item in (data.get("Containers") or {}).items()
    )
    return Network(
        id=data["Id"],
        name=data["Name"],
        driver=data.get("Driver") or "",
        scope=data.get("Scope") or "local",
        internal=bool(data.get("Internal")),
        attachable=bool(data.get("Attachable")),
        ingress=bool(data.get("Ingress")),
        enable_ipv4=bool(data.get("EnableIPv4", True)),
        enable_ipv6=bool(data.get("EnableIPv6")),
        ipam_driver=ipam.get("Driver") or "default",
        ipam_options=dict(ipam.get("Options") or {}),
        pools=tuple(
            Pool(
                subnet=pool.get("Subnet") or "",
                gateway=pool.get("Gateway") or "",
                ip_range=pool.get("IPRange") or "",
                aux_addresses=dict(pool.get("AuxiliaryAddresses") or pool.get("AuxAddress") or {}),
            )
            for pool in ipam.get("Config") or ()
        ),
        options=dict(data.get("Options") or {}),
        labels=dict(data.get("Labels") or {}),
        created=data.get("Created") or "",
        config_only=bool(data.get("ConfigOnly")),
        config_from=(data.get("ConfigFrom") or {}).get("Network") or "",
        attached=tuple(sorted(attached, key=lambda item: (item.name, item.key))),
        services=tuple(sorted(name for name in data.get("Services") or {} if name)),
        detailed=detailed,
    )


def _container_of_list(data: Json) -> Container:
    # A container that is linked to has further names like /other/alias; its own has one slash only.
    names = [name[1:] for name in data.get("Names") or () if name.count("/") == 1]
    published = {
        PublishedPort(port.get("IP") or "", port["PublicPort"], port["PrivatePort"], port.get("Type") or "tcp")
        for port in data.get("Ports") or ()
        if port.get("PublicPort")
    }
    return Container(
        id=data["Id"],
        name=names[0] if names else data["Id"][:12],
        state=data.get("State") or "",
        image=data.get("Image") or "",
        labels=dict(data.get("Labels") or {}),
        network_mode=(data.get("HostConfig") or {}).get("NetworkMode") or "default",
        endpoints=_endpoints(data),
        published=_sorted_ports(published),
        exposed=tuple(
            sorted({f"{port['PrivatePort']}/{port.get('Type') or 'tcp'}" for port in data.get("Ports") or ()})
        ),
    )


def _container_of_inspect(data: Json) -> Container:
    config = data.get("Config") or {}
    state = data.get("State") or {}
    health = (state.get("Health") or {}).get("Status") or ""
    published = {
        PublishedPort(binding.get("HostIp") or "", int(binding["HostPort"]), int(port), proto or "tcp")
        for spec, bindings in ((data.get("NetworkSettings") or {}).get("Ports") or {}).items()
        for port, _slash, proto in [spec.partition("/")]
        for binding in bindings or ()
        if binding.get("HostPort")
    }
    return Container(
        id=data["Id"],
        name=data["Name"].lstrip("/"),
        state=state.get("Status") or "",
        image=config.get("Image") or "",
        labels=dict(config.get("Labels") or {}),
        network_mode=(data.get("HostConfig") or {}).get("NetworkMode") or "default",
        endpoints=_endpoints(data),
        published=_sorted_ports(published),
        exposed=tuple(sorted(config.get("ExposedPorts") or {})),
        detailed=True,
        pid=int(state.get("Pid") or 0),
        wished_mac=config.get("MacAddress") or "",
        # The engine says "none" where there is no health check.
        health={"none": ""}.get(health, health),
        restarts=int(data.get("RestartCount") or 0),
        exit_code=int(state.get("ExitCode") or 0),
        environment=tuple(
            (name, value) for name, _equals, value in (item.partition("=") for item in config.get("Env") or ())
        ),
    )


def _kept(endpoint: Endpoint) -> list[t.Any]:
    """What the list of containers does not tell of an endpoint, in a form for JSON."""
    return [list(endpoint.aliases), list(endpoint.links), dict(endpoint.driver_opts), endpoint.gw_priority]


def _remembered(container: Container, kept: t.Mapping[str, t.Any]) -> Container | None:
    """Complete a running container of the list by what is known of its endpoints; None where that is not all."""
    if not container.live:
        return None
    endpoints = []
    for endpoint in container.endpoints:
        try:
            aliases, links, driver_opts, gw_priority = kept[endpoint.endpoint_id]
            known = replace(
                endpoint,
                aliases=tuple(map(str, aliases)),
                links=tuple(map(str, links)),
                driver_opts={str(key): str(value) for key, value in driver_opts.items()},
                gw_priority=int(gw_priority),
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            return None
        endpoints.append(known)
    return replace(container, endpoints=tuple(endpoints), detailed=True)


def _sorted_ports(ports: t.Iterable[PublishedPort]) -> tuple[PublishedPort, ...]:
    return tuple(sorted(ports, key=lambda port: (port.host_port, port.proto, port.host_ip, port.container_port)))


def _endpoints(data: Json) -> tuple[Endpoint, ...]:
    endpoints = (
        Endpoint(
            network=name,
            network_id=item.get("NetworkID") or "",
            endpoint_id=item.get("EndpointID") or "",
            ip=item.get("IPAddress") or "",
            ip6=item.get("GlobalIPv6Address") or "",
            fixed_ip=(item.get("IPAMConfig") or {}).get("IPv4Address") or "",
            fixed_ip6=(item.get("IPAMConfig") or {}).get("IPv6Address") or "",
            mac=item.get("MacAddress") or "",
            aliases=tuple(item.get("Aliases") or ()),
            links=tuple(item.get("Links") or ()),
            driver_opts=dict(item.get("DriverOpts") or {}),
            gw_priority=int(item.get("GwPriority") or 0),
        )
        for name, item in ((data.get("NetworkSettings") or {}).get("Networks") or {}).items()
    )
    return tuple(sorted(endpoints, key=lambda endpoint: (endpoint.network, endpoint.network_id)))
