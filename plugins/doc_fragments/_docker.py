# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Documentation of the connection options that all modules share."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  docker_host:
    description:
      - Where the daemon listens, as a URL such as V(unix:///var/run/docker.sock) or V(tcp://192.0.2.10:2376).
      - If not given, the environment variable E(DOCKER_HOST) is used.
    type: str
    default: unix:///var/run/docker.sock
    aliases: [docker_url]
  tls_hostname:
    description:
      - The name to expect in the daemon's certificate, where it is not that of O(docker_host).
      - If not given, the environment variable E(DOCKER_TLS_HOSTNAME) is used.
    type: str
  api_version:
    description:
      - The API version to speak. V(auto) asks the daemon.
      - If not given, the environment variable E(DOCKER_API_VERSION) is used.
    type: str
    default: auto
    aliases: [docker_api_version]
  timeout:
    description:
      - How many seconds one request may take.
      - If not given, the environment variable E(DOCKER_TIMEOUT) is used.
    type: int
    default: 60
  ca_path:
    description: The file with the certificate of the authority that signed the daemon's certificate.
    type: path
    aliases: [ca_cert, tls_ca_cert, cacert_path]
  client_cert:
    description: The file with the client's certificate.
    type: path
    aliases: [tls_client_cert, cert_path]
  client_key:
    description: The file with the client's private key.
    type: path
    aliases: [tls_client_key, key_path]
  tls:
    description:
      - Speak TLS without checking who the daemon is.
      - If not given, the environment variable E(DOCKER_TLS) is used.
    type: bool
    default: false
  validate_certs:
    description:
      - Speak TLS and check the daemon's certificate.
      - If not given, the environment variable E(DOCKER_TLS_VERIFY) is used.
    type: bool
    default: false
    aliases: [tls_verify]
requirements:
  - Docker Engine 20.10 or later on the managed host
  - the Python library C(docker) 5.0 or later (C(python3-docker) on Debian and Ubuntu)
notes:
  - Connects straight to the daemon on the managed host, so the user of the task must be allowed to open its socket.
"""
