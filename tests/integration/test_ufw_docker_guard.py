# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The guard on real engines: every verdict here is that of a packet."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import lab

GUARD = "ufw_docker_guard"
TABLE = "table inet bulkhead_guard"


def web(port: int = 80) -> tuple[str, ...]:
    return ("httpd", "-f", "-p", str(port), "-h", "/www")


def ufw(engine: Any, *words: str) -> None:
    engine.run("ufw", *words)


def enable_ufw(engine: Any, *allowed: str) -> None:
    for port in allowed:
        ufw(engine, "allow", port)
    ufw(engine, "--force", "enable")


def publish(engine: Any) -> None:
    """The usual host: one port that UFW allows, and two that Docker opens past it."""
    engine.start("web", "-p", "8080:80", command=web())
    engine.start("admin", "-p", "9090:80", command=web())
    engine.start("db", "-p", "5432:5432", command=web(5432))


def seen(host: Any, address: str, *ports: int) -> dict[int, str]:
    answers = lab.probe_all(host.name, [lab.Probe(address, port) for port in ports])
    return dict(zip(ports, answers))


def verdicts(result: dict[str, Any], key: str = "exposures", family: str = "ipv4") -> dict[int, str]:
    return {row["host_port"]: row["verdict"] for row in result[key] if row["family"] == family}


def listing(engine: Any) -> str:
    """The whole ruleset of nftables but for counters and handles."""
    text = engine.run("nft", "list", "ruleset").stdout
    return re.sub(r"packets \d+ bytes \d+", "", text)


def comes_open(host: Any, address: str, port: int) -> bool:
    """Wait for a port that is not to be closed: a new address of IPv6 is silent for its first second or two."""
    deadline = time.monotonic() + 20
    while (answer := host.probe(address, port)) != "open" and time.monotonic() < deadline:
        time.sleep(0.3)
    return bool(answer == "open")


def counted(engine: Any, comment: str) -> int:
    for line in engine.run("nft", "list", "table", "inet", "bulkhead_guard").stdout.splitlines():
        if f'comment "{comment}' in line:
            return int(re.findall(r"packets (\d+)", line)[0])
    raise AssertionError(f"no rule with the comment {comment!r}")


def address_of(engine: Any, name: str, network: str = "bridge") -> str:
    return str(engine.inspect("container", name)["NetworkSettings"]["Networks"][network]["IPAddress"])


def container_reaches(engine: Any, name: str, address: str, port: int) -> bool:
    return (
        engine.run("docker", "exec", name, "nc", "-w", "2", address, str(port), check=False, stdin="").returncode == 0
    )


def test_a_published_port_is_open_only_if_ufw_allows_it(engine: Any, outsider: Any, neighbour: Any) -> None:
    enable_ufw(engine, "22/tcp", "8080/tcp")
    publish(engine)
    everybody = {8080: "open", 5432: "open", 9090: "open"}
    assert seen(outsider, engine.wan_ip, 8080, 5432, 9090) == everybody

    result = engine.converges(GUARD, state="present")

    only_8080 = {8080: "open", 5432: "timeout", 9090: "timeout"}
    assert seen(outsider, engine.wan_ip, 8080, 5432, 9090) == only_8080
    assert seen(outsider, engine.wan_ip6, 8080, 5432, 9090) == only_8080
    assert seen(neighbour, engine.lan_ip, 8080, 5432, 9090) == only_8080
    assert verdicts(result, "exposures_before") == everybody
    assert verdicts(result) == {8080: "open", 5432: "closed", 9090: "closed"}
    assert {row["host_port"] for row in result["exposures_before"] if row["bypasses_ufw"]} == {5432, 9090}
    assert not any(row["bypasses_ufw"] for row in result["exposures"])

    ufw(engine, "allow", "5432/tcp")
    result = engine.module(GUARD, state="present")
    assert seen(outsider, engine.wan_ip, 8080, 5432, 9090) == {8080: "open", 5432: "open", 9090: "timeout"}
    assert "ufw allow 5432/tcp" in result["diff"]["after"]

    ufw(engine, "insert", "1", "deny", "from", outsider.wan_ip)
    result = engine.module(GUARD, state="present")
    assert seen(outsider, engine.wan_ip, 8080, 5432) == {8080: "timeout", 5432: "timeout"}
    assert seen(neighbour, engine.lan_ip, 8080, 5432, 9090) == {8080: "open", 5432: "open", 9090: "timeout"}
    assert verdicts(result) == {8080: "partial", 5432: "partial", 9090: "closed"}


def test_a_second_run_keeps_the_counters(engine: Any, outsider: Any) -> None:
    enable_ufw(engine, "8080/tcp")
    publish(engine)
    engine.module(GUARD, state="present")
    seen(outsider, engine.wan_ip, 8080, 9090)
    before = counted(engine, "ufw allow 8080/tcp"), counted(engine, "policy deny")
    assert min(before) >= 1
    assert engine.module(GUARD, state="present")["changed"] is False
    assert (counted(engine, "ufw allow 8080/tcp"), counted(engine, "policy deny")) == before
    ufw(engine, "allow", "7777/tcp")
    assert engine.module(GUARD, state="present")["changed"] is True
    assert (counted(engine, "ufw allow 8080/tcp"), counted(engine, "policy deny")) == before


def test_ipv6_forwarded_by_docker_obeys_ufws_ipv6_rules(engine: Any, outsider: Any) -> None:
    if engine.generation < 28:
        # Off by default before 27.0, and a docker-proxy would answer instead.
        engine.run(
            "sh",
            "-c",
            "mkdir -p /etc/docker; cat >/etc/docker/daemon.json",
            stdin='{"experimental": true, "ip6tables": true}',
        )
        lab.restart_engine(engine.name)
    enable_ufw(engine, "8080/tcp")
    engine.docker("network", "create", "--ipv6", "--subnet", "fd00:8:8::/64", "six")
    engine.start("web6", "--network", "six", "-p", "8080:80", command=web())
    engine.start("admin6", "--network", "six", "-p", "9090:80", command=web())
    assert comes_open(outsider, engine.wan_ip6, 8080)
    result = engine.converges(GUARD, state="present")
    expected = {8080: "open", 9090: "timeout"}
    assert seen(outsider, engine.wan_ip6, 8080, 9090) == expected
    assert seen(outsider, engine.wan_ip, 8080, 9090) == expected
    assert verdicts(result, family="ipv6") == verdicts(result, family="ipv4") == {8080: "open", 9090: "closed"}
    ufw(engine, "deny", "8080/tcp")
    engine.converges(GUARD, state="present")
    assert seen(outsider, engine.wan_ip6, 8080)[8080] == "timeout"


def test_containers_keep_their_own_ways_and_nobody_walks_straight_in(
    engine: Any, outsider: Any, neighbour: Any
) -> None:
    enable_ufw(engine, "8080/tcp")
    publish(engine)
    engine.docker("network", "create", "other")
    engine.start("far", "--network", "other", command=web())
    server = (
        "import http.server; http.server.HTTPServer(('', 8000), http.server.SimpleHTTPRequestHandler).serve_forever()"
    )
    outsider.run("sh", "-c", f'python3 -c "{server}" >/dev/null 2>&1 &')
    straight = address_of(engine, "web"), address_of(engine, "far", "other")
    for address in straight:
        neighbour.run("ip", "route", "replace", f"{address}/32", "via", engine.lan_ip)

    def ways() -> dict[str, bool]:
        return {
            "internet": container_reaches(engine, "web", outsider.wan_ip, 8000),
            "same network": container_reaches(engine, "web", address_of(engine, "db"), 5432),
            "other network": container_reaches(engine, "web", straight[1], 80),
            "other way": container_reaches(engine, "far", straight[0], 80),
            "own host": container_reaches(engine, "web", engine.wan_ip, 8080),
            "host to container": engine.probe(straight[0], 80) == "open",
            "host to its port": engine.probe(engine.wan_ip, 9090) == "open",
        }

    assert comes_open(outsider, outsider.wan_ip, 8000)
    before = ways()
    assert before["internet"] and before["same network"] and before["host to container"] and before["host to its port"]
    # The positive control of the direct way, on the engine that leaves it open: UFW's routed policy set to allow.
    ufw(engine, "default", "allow", "routed")
    engine.run("iptables", "-P", "FORWARD", "ACCEPT")
    if engine.generation == 20:
        assert neighbour.probe(straight[0], 80) == "open"
    engine.module(GUARD, state="present")
    assert ways() == before
    assert [neighbour.probe(address, 80) for address in straight] == ["timeout", "timeout"]
    assert neighbour.probe(engine.lan_ip, 8080) == "open"


def test_restarted_and_new_containers_and_networks_need_no_further_run(engine: Any, outsider: Any) -> None:
    enable_ufw(engine, "8080/tcp")
    publish(engine)
    engine.module(GUARD, state="present")
    before = address_of(engine, "web"), address_of(engine, "admin")
    engine.docker("stop", "--time", "0", "web", "admin")
    engine.docker("start", "admin")
    engine.docker("start", "web")
    assert (address_of(engine, "admin"), address_of(engine, "web")) == before
    assert seen(outsider, engine.wan_ip, 8080, 9090) == {8080: "open", 9090: "timeout"}

    engine.docker("network", "create", "later")
    engine.docker("network", "create", "--opt", "com.docker.network.bridge.name=br-named", "named")
    engine.start("later", "--network", "later", "-p", "9191:80", command=web())
    engine.start("named", "--network", "named", "-p", "9292:80", command=web())
    assert seen(outsider, engine.wan_ip, 9191, 9292) == {9191: "timeout", 9292: "timeout"}
    assert engine.module(GUARD, state="present")["changed"] is False

    engine.docker("network", "create", "--opt", "com.docker.network.bridge.name=shopfront", "shop")
    engine.start("shop", "--network", "shop", "-p", "9393:80", command=web())
    result = engine.module(GUARD, state="present")
    assert verdicts(result, "exposures_before")[9393] == "open"
    assert seen(outsider, engine.wan_ip, 9393) == {9393: "timeout"}


def test_the_table_outlives_ufw_and_docker_restarts(engine: Any, outsider: Any) -> None:
    enable_ufw(engine, "8080/tcp")
    engine.start("web", "--restart", "always", "-p", "8080:80", command=web())
    engine.start("admin", "--restart", "always", "-p", "9090:80", command=web())
    engine.module(GUARD, state="present")
    table = engine.run("nft", "list", "chain", "inet", "bulkhead_guard", "published").stdout

    def untouched() -> bool:
        found = engine.run("nft", "list", "chain", "inet", "bulkhead_guard", "published").stdout
        return bool(re.sub(r"packets \d+ bytes \d+", "", found) == re.sub(r"packets \d+ bytes \d+", "", table))

    for words in (("reload",), ("disable",), ("--force", "enable")):
        ufw(engine, *words)
        assert untouched(), words
        assert seen(outsider, engine.wan_ip, 8080, 9090) == {8080: "open", 9090: "timeout"}, words
    lab.restart_engine(engine.name)
    assert untouched()
    assert comes_open(outsider, engine.wan_ip, 8080)
    assert seen(outsider, engine.wan_ip, 8080, 9090) == {8080: "open", 9090: "timeout"}
    assert engine.module(GUARD, state="present")["changed"] is False


def test_absent_leaves_the_ruleset_as_it_was(engine: Any, outsider: Any) -> None:
    enable_ufw(engine, "8080/tcp", "22/tcp")
    publish(engine)
    engine.run("nft", "add table inet foreign; add chain inet foreign watch { type filter hook forward priority 5; }")
    before = listing(engine)
    assert engine.converges(GUARD, state="absent")["changed"] is False
    engine.converges(GUARD, state="present")
    assert listing(engine) != before
    result = engine.converges(GUARD, state="absent")
    assert [action["action"] for action in result["actions"]] == ["remove"]
    assert (listing(engine), result["diff"]["after"]) == (before, "")
    assert outsider.probe(engine.wan_ip, 9090) == "open"


def test_the_guard_can_be_removed_without_docker(engine: Any) -> None:
    engine.module(GUARD, follow_ufw=False)
    result = engine.converges(GUARD, state="absent", docker_host="unix:///run/nobody.sock")
    assert result["changed"] is True
    assert [item["id"] for item in result["preflight"]] == ["docker_not_read"]
    assert TABLE not in listing(engine)


def test_a_table_changed_by_hand_is_repaired(engine: Any, outsider: Any) -> None:
    enable_ufw(engine, "8080/tcp")
    publish(engine)
    wanted = engine.module(GUARD, state="present")["diff"]["after"]
    for edit in (
        "insert rule inet bulkhead_guard published counter accept",
        "insert rule inet bulkhead_guard forward ip daddr 172.16.0.0/12 accept",
        "flush chain inet bulkhead_guard forward",
        "add element inet bulkhead_guard other_bridges { docker0 }",
        "add chain inet bulkhead_guard mine",
    ):
        engine.run("nft", edit)
        result = engine.module(GUARD, state="present")
        assert [action["action"] for action in result["actions"]] == ["update"], edit
        assert result["diff"]["after"] == wanted != result["diff"]["before"], edit
    assert seen(outsider, engine.wan_ip, 8080, 9090) == {8080: "open", 9090: "timeout"}


def test_ufw_limit_refuses_the_sixth_attempt_of_one_source(engine: Any, outsider: Any, neighbour: Any) -> None:
    enable_ufw(engine)
    ufw(engine, "limit", "8080/tcp")
    publish(engine)
    engine.module(GUARD, state="present")
    assert [outsider.probe(engine.wan_ip, 8080) for attempt in range(7)] == ["open"] * 5 + ["refused"] * 2
    assert neighbour.probe(engine.lan_ip, 8080) == "open"
    result = engine.module(GUARD, state="present")
    assert result["changed"] is False
    assert verdicts(result)[8080] == "open"


def test_reject_answers_at_once_and_deny_says_nothing(engine: Any, outsider: Any) -> None:
    enable_ufw(engine)
    ufw(engine, "reject", "9090/tcp")
    publish(engine)
    engine.module(GUARD, state="present")
    assert seen(outsider, engine.wan_ip, 9090, 5432) == {9090: "refused", 5432: "timeout"}


def test_own_rules_and_trust_work_without_ufw(engine: Any, outsider: Any, neighbour: Any) -> None:
    publish(engine)
    lan = str(neighbour.lan_ip).rsplit(".", 1)[0] + ".0/24"
    result = engine.converges(
        GUARD,
        follow_ufw=False,
        trusted=[{"from": lan, "interface": "eth1"}],
        rules=[
            {"action": "allow", "port": ["8000:8100"], "proto": "tcp", "comment": "the shop"},
            {"action": "deny", "port": 5432, "from": [neighbour.lan_ip]},
        ],
    )
    assert seen(outsider, engine.wan_ip, 8080, 5432, 9090) == {8080: "open", 5432: "timeout", 9090: "timeout"}
    assert seen(neighbour, engine.lan_ip, 8080, 5432, 9090) == {8080: "open", 5432: "timeout", 9090: "open"}
    assert verdicts(result) == {8080: "open", 5432: "partial", 9090: "partial"}
    # Trust is address and interface: the same address forged on the other side gets nowhere.
    wrong_side = engine.module(GUARD, follow_ufw=False, trusted=[{"from": lan, "interface": "eth0"}])
    assert neighbour.probe(engine.lan_ip, 9090) == "timeout"
    assert verdicts(wrong_side)[9090] == "closed"


def test_policy_allow_closes_only_what_is_named(engine: Any, outsider: Any) -> None:
    publish(engine)
    engine.module(GUARD, follow_ufw=False, policy="allow", rules=[{"action": "deny", "port": 5432}])
    assert seen(outsider, engine.wan_ip, 8080, 5432) == {8080: "open", 5432: "timeout"}


#: One hand-made SYN onto the link, whose answer no routing table of the sender has a say in.
SYN = """
import os, socket, struct, sys, time
link, mac, source, target, port = sys.argv[1:]
# A second SYN of a flow that the kernel still remembers would pass as its continuation.
own = 30000 + os.getpid() % 30000

def total(data):
    value = sum(struct.unpack(f"!{len(data) // 2}H", data))
    value = (value >> 16) + (value & 0xFFFF)
    return ~(value + (value >> 16)) & 0xFFFF

ends = socket.inet_aton(source) + socket.inet_aton(target)
tcp = struct.pack("!HHIIBBHHH", own, int(port), 7, 0, 0x50, 2, 64000, 0, 0)
tcp = tcp[:16] + struct.pack("!H", total(ends + struct.pack("!BBH", 0, 6, len(tcp)) + tcp)) + tcp[18:]
ip = struct.pack("!BBHHHBBH", 0x45, 0, 40, 1, 0, 64, 6, 0) + ends
ip = ip[:10] + struct.pack("!H", total(ip)) + ip[12:]
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
wire.bind((link, 0))
wire.settimeout(0.2)
wire.send(bytes.fromhex(mac.replace(":", "")) + wire.getsockname()[4] + b"\\x08\\x00" + ip + tcp)
end = time.monotonic() + 1.5
while time.monotonic() < end:
    try:
        frame = wire.recv(2048)
    except socket.timeout:
        continue
    # Of this flow only: the container repeats its answers to an earlier one, which nobody ever acknowledged.
    ports = struct.pack("!HH", int(port), own)
    if frame[26:30] == socket.inet_aton(target) and frame[34:38] == ports and frame[47] == 0x12:
        sys.exit(0)
sys.exit(1)
"""


def test_a_port_published_on_loopback_does_not_answer_the_link(engine: Any, neighbour: Any) -> None:
    engine.start("inner", "-p", "127.0.0.1:8081:80", command=web())
    links = json.loads(engine.run("ip", "-json", "address").stdout)
    mac = next(link["address"] for link in links if any(item["local"] == engine.lan_ip for item in link["addr_info"]))
    links = json.loads(neighbour.run("ip", "-json", "address").stdout)
    link = next(
        link["ifname"] for link in links if any(item["local"] == neighbour.lan_ip for item in link["addr_info"])
    )

    def answers() -> bool:
        words = (link, mac, neighbour.lan_ip, "127.0.0.1", "8081")
        return bool(neighbour.run("python3", "-", *words, stdin=SYN, check=False).returncode == 0)

    # Before the web server listens, the container resets what comes: that would look like a port that is closed.
    limit = time.monotonic() + 10
    while lab.http_get(engine.name, "127.0.0.1", 8081) is None:
        assert time.monotonic() < limit, "the container does not serve"
    # The host must know its neighbour's MAC address: asking for it in the name of 127.0.0.1 gets no answer.
    assert engine.probe(neighbour.lan_ip, 9) == "refused"
    assert answers() is (engine.generation < 28)
    result = engine.module(GUARD, follow_ufw=False, policy="allow")
    assert verdicts(result, "exposures_before")[8081] == ("partial" if engine.generation < 28 else "closed")
    assert verdicts(result)[8081] == "closed"
    assert engine.probe(neighbour.lan_ip, 9) == "refused"
    assert answers() is False
    assert engine.probe("127.0.0.1", 8081) == "open"


def test_without_ufw_at_work_the_guard_says_what_to_do(engine: Any) -> None:
    before = listing(engine)
    result = engine.module(GUARD, state="present")
    assert (result["failed"], result["reason_code"]) == (True, "ufw_inactive")
    assert "ufw enable" in result["msg"] and "follow_ufw: false" in result["msg"]
    enable_ufw(engine)
    engine.run("sh", "-c", "echo '### tuple ### permit tcp 1 0.0.0.0/0 any 0.0.0.0/0 in' >>/etc/ufw/user.rules")
    result = engine.module(GUARD, state="present")
    assert (result["failed"], result["reason_code"]) == (True, "ufw_not_understood")
    assert result["file"] == "/etc/ufw/user.rules"
    assert f"line {result['line']}" in result["msg"]
    assert TABLE not in before + listing(engine)


def test_what_others_have_in_docker_user_counts_and_is_named(engine: Any) -> None:
    enable_ufw(engine, "8080/tcp")
    publish(engine)
    engine.run("iptables", "-I", "DOCKER-USER", "-s", "192.0.2.0/24", "-j", "DROP")
    result = engine.module(GUARD, state="present")
    assert verdicts(result, "exposures_before") == dict.fromkeys((8080, 5432, 9090), "partial")
    assert verdicts(result) == {8080: "partial", 5432: "closed", 9090: "closed"}
    (row,) = [row for row in result["exposures"] if (row["host_port"], row["family"]) == (8080, "ipv4")]
    assert ("ip filter", "DOCKER-USER", 1) in [
        (item["table"], item["chain"], item["rule_number"]) for item in row["decided_by"]
    ]
    assert not any(source.startswith("192.0.2.") for zone in row["reachable_from"] for source in zone["sources"])

    engine.run("iptables", "-I", "DOCKER-USER", "-m", "string", "--string", "x", "--algo", "bm", "-j", "DROP")
    result = engine.module(GUARD, state="present")
    assert verdicts(result) == {8080: "unknown", 5432: "closed", 9090: "closed"}
