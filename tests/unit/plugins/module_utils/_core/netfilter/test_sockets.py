# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ipaddress
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter import sockets
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.host import Listener
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.sockets import Process, Proxy, Socket

Order = t.Literal["little", "big"]

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def printed(address: str, order: Order) -> str:
    """Print an address as the kernel does: 32 bits at a time, each as a number in the host's own order."""
    raw = ipaddress.ip_address(address).packed
    return "".join(f"{int.from_bytes(raw[place : place + 4], order):08X}" for place in range(0, len(raw), 4))


def line(
    address: str, port: int, state: str = "0A", inode: int = 7, *, remote: int = 0, order: Order = "little"
) -> str:
    other = "0.0.0.0" if "." in address and ":" not in address else "::"
    return (
        f"   0: {printed(address, order)}:{port:04X} {printed(other, order)}:{remote:04X} {state} 00000000:00000000 "
        f"00:00000000 00000000  1000        0 {inode} 1 0000000000000000 100 0 0 10 0\n"
    )


# ---- /proc/net ----------------------------------------------------------------------------------------------------


def test_sockets_are_read_as_a_kernel_printed_them() -> None:
    """Lines of Linux 6.18 on x86-64: docker-proxy on 0.0.0.0:8080 and [::]:8080, a name server on 127.0.0.11."""
    tcp = HEAD + (
        "   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 5939182 1 "
        "000000004cc69ff9 100 0 0 10 0                   \n"
        "   1: 0B00007F:A09F 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 5899735 1 "
        "00000000b9b571cf 100 0 0 10 0                   \n"
    )
    assert sockets.read("tcp", tcp) == (
        Socket("tcp", 4, "", 8080, 5939182),
        Socket("tcp", 4, "127.0.0.11", 41119, 5899735),
    )
    tcp6 = HEAD + (
        "   0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 "
        "00:00000000 00000000     0        0 5939188 1 0000000047939b56 100 0 0 10 0\n"
    )
    assert sockets.read("tcp6", tcp6) == (Socket("tcp", 6, "", 8080, 5939188),)
    udp = HEAD + (
        "14960: 0B00007F:A3E4 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 5899733 2 "
        "00000000fe65ed30 0       \n"
    )
    assert sockets.read("udp", udp) == (Socket("udp", 4, "127.0.0.11", 41956, 5899733),)


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)), st.integers(1, 65535), st.sampled_from(["little", "big"]))
def test_every_address_and_port_comes_back_in_both_byte_orders(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int, order: Order
) -> None:
    name = "tcp" if address.version == 4 else "tcp6"
    (found,) = sockets.read(name, HEAD + line(str(address), port, order=order), order)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    expected = mapped or address
    assert (found.family, found.port) == (expected.version, port)
    assert ipaddress.ip_address(found.address or ("0.0.0.0" if found.family == 4 else "::")) == expected


def test_a_socket_of_ipv6_on_an_address_of_ipv4_is_one_of_ipv4() -> None:
    assert sockets.read("tcp6", HEAD + line("::ffff:192.0.2.2", 80)) == (Socket("tcp", 4, "192.0.2.2", 80, 7),)
    assert sockets.read("tcp6", HEAD + line("::ffff:0.0.0.0", 80)) == (Socket("tcp", 4, "", 80, 7),)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tcp", line("192.0.2.2", 80, "01", remote=40000)),
        ("tcp", line("192.0.2.2", 80, "07")),
        ("udp", line("192.0.2.2", 80, "01", remote=53)),
        ("udp", line("192.0.2.2", 80, "07", remote=53)),
        ("udp", line("192.0.2.2", 80, "0A")),
    ],
)
def test_what_waits_for_nobody_is_left_out(name: str, text: str) -> None:
    assert sockets.read(name, HEAD + text) == ()


@pytest.mark.parametrize("text", ["garbage\n", line("::1", 80), line("192.0.2.2", 80).replace("020200C0", "0202XXC0")])
def test_a_line_that_no_kernel_prints_is_refused(text: str) -> None:
    # The second one is of IPv6, in the file of IPv4.
    with pytest.raises(ValueError, match=r"."):
        sockets.read("tcp", HEAD + text)


def test_an_empty_file_has_no_sockets() -> None:
    assert sockets.read("tcp", "") == sockets.read("tcp", HEAD) == ()


# ---- who serves what ----------------------------------------------------------------------------------------------

PROXY6 = Proxy("tcp", "::", 80, "172.17.0.2", 80)


@pytest.mark.parametrize(
    ("waiting", "expected"),
    [
        ([Socket("tcp", 4, "", 80)], {("", (4,))}),
        ([Socket("tcp", 6, "", 80)], {("", (4, 6))}),
        ([Socket("tcp", 6, "2001:db8::2", 80)], {("2001:db8::2", (6,))}),
        ([Socket("tcp", 6, "", 80), Socket("tcp", 4, "", 80)], {("", (4,)), ("", (6,))}),
        ([Socket("tcp", 6, "", 80), Socket("tcp", 4, "127.0.0.1", 80)], {("127.0.0.1", (4,)), ("", (6,))}),
        ([Socket("tcp", 6, "", 80), Socket("tcp", 4, "", 81)], {("", (4,)), ("", (4, 6))}),
        ([Socket("tcp", 6, "", 80), Socket("udp", 4, "", 80)], {("", (4,)), ("", (4, 6))}),
        ([Socket("udp", 6, "", 80), Socket("udp", 4, "", 80)], {("", (4,)), ("", (6,))}),
        # Datagram sockets may share a port, so that this one proves nothing.
        ([Socket("udp", 6, "", 80), Socket("udp", 4, "127.0.0.1", 80)], {("127.0.0.1", (4,)), ("", (4, 6))}),
    ],
)
def test_a_socket_of_ipv6_serves_ipv4_unless_something_speaks_against_it(
    waiting: list[Socket], expected: set[tuple[str, tuple[int, ...]]]
) -> None:
    assert {(item.address, item.families) for item in sockets.listeners(waiting)} == expected


def test_docker_proxys_socket_of_ipv6_never_serves_ipv4() -> None:
    waiting = [Socket("tcp", 6, "", 80, 7)]
    (found,) = sockets.listeners(waiting, {7: Process(5, "docker-proxy")}, proxies=[PROXY6])
    assert found.families == (6,)
    # Whose socket it is may not be known, but then a docker-proxy says that it waits there.
    (found,) = sockets.listeners(waiting, proxies=[PROXY6])
    assert found.families == (6,)
    (found,) = sockets.listeners(waiting, proxies=[Proxy("tcp", "0.0.0.0", 80, "172.17.0.2", 80)])
    assert found.families == (4, 6)
    # Somebody else's socket on that port is judged by itself.
    (found,) = sockets.listeners(waiting, {7: Process(5, "nginx")}, proxies=[PROXY6])
    assert found.families == (4, 6)


def test_a_listener_has_the_name_and_the_container_of_its_process() -> None:
    owners = {7: Process(5, "nginx", "c0ffee"), 8: Process(6, "sshd")}
    found = sockets.listeners(
        [Socket("tcp", 4, "", 80, 7), Socket("tcp", 4, "", 22, 8), Socket("udp", 4, "", 51820)], owners
    )
    assert found == (
        Listener("tcp", "", 22, "sshd", (4,), ""),
        Listener("tcp", "", 80, "nginx", (4,), "c0ffee"),
        Listener("udp", "", 51820, "", (4,), ""),
    )


def test_sockets_that_share_a_port_are_one_listener() -> None:
    assert len(sockets.listeners([Socket("tcp", 4, "", 80, inode) for inode in (1, 2, 3)])) == 1


# ---- docker-proxy -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            "/usr/sbin/docker-proxy -proto tcp -host-ip 0.0.0.0 -host-port 8080 -container-ip 172.17.0.2 -container-port 80",
            Proxy("tcp", "0.0.0.0", 8080, "172.17.0.2", 80, 9),
        ),
        (
            "/usr/sbin/docker-proxy -proto udp -host-ip :: -host-port 53 -container-ip fd00:0:0::2 -container-port 5353 "
            "-use-listen-fd",
            Proxy("udp", "::", 53, "fd00::2", 5353, 9),
        ),
        (
            "docker-proxy --use-listen-fd --proto=tcp --host-ip=192.0.2.2 -host-port=1 -container-ip=172.17.0.2 "
            "-container-port=2",
            Proxy("tcp", "192.0.2.2", 1, "172.17.0.2", 2, 9),
        ),
        (
            "docker-proxy -use-listen-fd -proto udp -host-ip 0.0.0.0 -host-port 1 -container-ip 172.17.0.2 -container-port 2",
            Proxy("udp", "0.0.0.0", 1, "172.17.0.2", 2, 9),
        ),
        ("/usr/sbin/nginx -host-ip 0.0.0.0 -host-port 1 -container-ip 172.17.0.2 -container-port 2", None),
        ("docker-proxy -proto tcp -host-ip 0.0.0.0", None),
        ("docker-proxy -host-ip name -host-port 1 -container-ip 172.17.0.2 -container-port 2", None),
        ("docker-proxy -host-ip 0.0.0.0 -host-port x -container-ip 172.17.0.2 -container-port 2", None),
        ("", None),
    ],
)
def test_a_command_line_of_docker_proxy_says_where_it_leads(words: str, expected: Proxy | None) -> None:
    assert sockets.proxy(words.split(), 9) == expected


# ---- a container's routes -----------------------------------------------------------------------------------------

ROUTE = (
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
    "eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
    "eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
)
ROUTE6 = (
    "fd000099000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 "
    "00000100 00000001 00000000 00000001     eth0\n"
    "00000000000000000000000000000000 00 00000000000000000000000000000000 00 fd000099000000000000000000000001 "
    "00000400 00000001 00000000 00000003     eth0\n"
    "00000000000000000000000000000001 80 00000000000000000000000000000000 00 00000000000000000000000000000000 "
    "00000000 00000002 00000000 80200001       lo\n"
    "fd000099000000000000000000000000 80 00000000000000000000000000000000 00 00000000000000000000000000000000 "
    "00000000 00000002 00000000 00300001     eth0\n"
    "00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 "
    "ffffffff 00000001 00000000 00200200       lo\n"
)


def test_a_containers_routes_are_read_as_a_kernel_printed_them() -> None:
    assert sockets.routes(ROUTE, ROUTE6) == (
        ("172.17.0.0/16", "eth0", ""),
        ("0.0.0.0/0", "eth0", "172.17.0.1"),
        ("fd00:99::/64", "eth0", ""),
        ("::/0", "eth0", "fd00:99::1"),
        ("::/0", "unreachable", ""),
    )


def test_a_container_without_a_network_has_no_routes() -> None:
    assert sockets.routes(ROUTE.splitlines()[0], "") == sockets.routes("", "") == ()


@given(st.integers(0, 32), st.ip_addresses(v=4), st.ip_addresses(v=4), st.sampled_from(["little", "big"]))
def test_every_route_of_ipv4_comes_back_in_both_byte_orders(
    length: int, address: ipaddress.IPv4Address, gateway: ipaddress.IPv4Address, order: Order
) -> None:
    network = ipaddress.ip_network((address, length), strict=False)
    words = [printed(str(item), order) for item in (network.network_address, gateway, network.netmask)]
    text = f"Iface\neth0\t{words[0]}\t{words[1]}\t0003\t0\t0\t7\t{words[2]}\t0\t0\t0\n"
    assert sockets.routes(text, "", order) == ((str(network), "eth0", str(gateway)),)


@pytest.mark.parametrize(("route", "route6"), [("x\ny", ""), ("", "x"), ("x\n" + "y " * 9, ""), ("", "y " * 10)])
def test_a_route_that_no_kernel_prints_is_refused(route: str, route6: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        sockets.routes(route, route6)
