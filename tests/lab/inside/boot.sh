#!/usr/bin/env bash
# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The first process of a lab host (after docker-init, on a plain one): turns a container into something that a Docker
# host cannot tell from a machine. Runs at every boot; a restart of the container is a reboot of the host.
#   lab-boot plain | systemd-v1 | systemd-v2 | outside
set -eu
flavour=$1

# The outer Docker serves names with NAT rules inside the container. A host must start with no rule it did not make,
# and the lab resolves its own names by /etc/hosts.
if command -v nft >/dev/null; then nft flush ruleset; fi
: >/etc/resolv.conf

if [ "$flavour" = outside ]; then exec sleep infinity; fi

# A plain remount says "busy"; a bind remount changes this mount only.
while read -r _ _ _ _ at _; do
    case $at in /sys/fs/cgroup*) mount -o remount,bind,rw "$at" ;; esac
done </proc/self/mountinfo

# Left over from before the "power cut": process ids start again from 1 and would look alive.
rm -rf /run/docker.pid /run/docker.sock /run/docker /run/containerd /run/lab-engine.pid

# A container has no modules to load, and a unit that fails would leave the host "degraded".
if [ "$flavour" != plain ]; then ln -sf /dev/null /etc/systemd/system/systemd-modules-load.service; fi

case $flavour in
systemd-v1)
    exec /lib/systemd/systemd
    ;;
systemd-v2)
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then exec /lib/systemd/systemd; fi
    # On a machine with cgroup v1 it is up to runc's version whether this container has a v2 group. Without one of its
    # own this systemd would manage, and kill in, the group of everybody else on the machine.
    group=/mnt/$(hostname)
    mount -t cgroup2 none /mnt
    if [ -d "$group" ]; then find "$group" -depth -mindepth 1 -type d -exec rmdir {} + || true; fi
    mkdir -p "$group"
    echo $$ >"$group/cgroup.procs"
    umount /mnt
    exec unshare --cgroup /bin/sh -ec '
        umount -R /sys/fs/cgroup
        mount -t cgroup2 none /sys/fs/cgroup
        exec /lib/systemd/systemd'
    ;;
esac

if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    # cgroup v2 hands controllers down only from a group without processes of its own.
    mkdir -p /sys/fs/cgroup/init
    xargs -rn1 </sys/fs/cgroup/cgroup.procs >/sys/fs/cgroup/init/cgroup.procs || true
    sed -e 's/ / +/g' -e 's/^/+/' </sys/fs/cgroup/cgroup.controllers >/sys/fs/cgroup/cgroup.subtree_control
fi

# What ufw.service does on a machine, before Docker. It does nothing unless UFW is enabled.
/lib/ufw/ufw-init start quiet || echo "ufw did not start" >&2

# What Restart=always does for docker.service. /run/lab-engine-stopped holds it back.
child=
trap 'if [ -n "$child" ]; then kill -TERM "$child" || true; wait "$child" || true; fi; exit 0' TERM INT
while :; do
    if [ -e /run/lab-engine-stopped ]; then
        sleep 0.1
    else
        dockerd >>/var/log/dockerd.log 2>&1 &
        child=$!
        wait "$child" || true
        child=
        sleep 0.1
    fi
done
