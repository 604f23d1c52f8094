"""Hosts of their own on one machine: a network namespace with an address, a file system that is read-only, a name.

What a container engine gives, as far as the kernel gives it without one. Linux and root; uses `ip` and `unshare`.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

BRIDGE = "cixml0"
WORLD = "10.99.0"
"""Where pages are: an address of the machine itself, and one of every host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A namespace, and what the processes in it see of the file system."""

    name: str
    address: str
    image: Path
    hosts_file: Path

    @property
    def namespace(self) -> str:
        return f"cixml-{self.name}"

    def command(
        self, command: Sequence[str], environment: Mapping[str, str], *, state: Path | None = None
    ) -> list[str]:
        """Return how to run a command there. `state` is what lies at /var/lib/cixml, else it is empty memory."""
        mounts = [
            f"mount --bind {shlex.quote(str(self.hosts_file))} /etc/hosts",
            f"mount --bind {self.image} {self.image}",
            f"mount -o remount,bind,ro {self.image}",
            "mount -t tmpfs run /run",
            "mount -t tmpfs lib /var/lib",
            "mkdir -p /run/cixml /var/lib/cixml /var/lib/cixml-metrics",
            *([f"mount --bind {state} /var/lib/cixml"] if state else []),
            f"hostname {self.name}",
            f"cd {self.image}",
        ]
        given = " ".join(shlex.quote(f"{name}={value}") for name, value in environment.items())
        script = " && ".join([*mounts, f"exec env -i {given} {shlex.join(command)}"])
        return ["ip", "netns", "exec", self.namespace, "unshare", "--uts", "--mount", "sh", "-c", script]

    def start(
        self, command: Sequence[str], environment: Mapping[str, str], log: IO[bytes], *, state: Path | None = None
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.command(command, environment, state=state), stdout=log, stderr=log, start_new_session=True
        )

    def run(
        self, command: Sequence[str], environment: Mapping[str, str], *, state: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        line = self.command(command, environment, state=state)
        return subprocess.run(line, capture_output=True, text=True, check=False, timeout=180)

    def kill(self) -> int:
        """Kill everything on the host at once, as a power cut would. Returns how many processes it had."""
        killed = set[int]()
        while left := set(self._processes()) - killed:  # what was just being started comes with the next look
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            killed |= left
        return len(killed)

    def _processes(self) -> list[int]:
        known = {line.split()[0] for line in _run("ip", "netns", "list").splitlines()}
        found = _run("ip", "netns", "pids", self.namespace).split() if self.namespace in known else []
        return [int(pid) for pid in found]


def make_bridge(prefix: str) -> None:
    """Make what the hosts are plugged into; this machine is .0.1 of it, and .1 of the world."""
    _run("ip", "link", "add", BRIDGE, "type", "bridge")
    _run("ip", "address", "add", f"{prefix}.0.1/16", "dev", BRIDGE)
    _run("ip", "address", "add", f"{WORLD}.1/24", "dev", BRIDGE)
    _run("ip", "link", "set", BRIDGE, "up")


def make_host(host: Host, number: int) -> None:
    inside, outside = f"cx{number}i", f"cx{number}o"
    _run("ip", "netns", "add", host.namespace)
    _run("ip", "link", "add", outside, "type", "veth", "peer", "name", inside)
    _run("ip", "link", "set", inside, "netns", host.namespace)
    _run("ip", "link", "set", outside, "master", BRIDGE, "up")
    for line in (
        f"address add {host.address}/16 dev {inside}",
        f"address add {WORLD}.{number + 10}/24 dev {inside}",
        f"link set {inside} up",
        "link set lo up",
    ):
        _run("ip", "-n", host.namespace, *line.split())


def remove(hosts: Sequence[Host]) -> None:
    for number, host in enumerate(hosts):  # a pair goes with its namespace, but some time later
        subprocess.run(["ip", "link", "delete", f"cx{number}o"], check=False, capture_output=True)
        subprocess.run(["ip", "netns", "delete", host.namespace], check=False, capture_output=True)
    subprocess.run(["ip", "link", "delete", BRIDGE], check=False)


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
