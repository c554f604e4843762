"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import re
import resource
import shlex
import subprocess
from pathlib import Path


def facts() -> dict[str, str]:
    """Kernel, CPU, memory, compiler, source and limits, as readable text."""
    model = _proc("cpuinfo", r"model name\s*:\s*(.+)")
    memory = int(_proc("meminfo", r"MemTotal:\s*(\d+)"))
    return {
        "kernel": f"{platform.system()} {platform.release()}",
        "cpu": f"{model}, {os.cpu_count()} cores",
        "vector AES": "yes" if re.search(r"\bvaes\b", _read("cpuinfo")) else "no",
        "memory": f"{memory / 1e6:.0f} GB",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "compiler of the load generator": compiler(),
        "source": _commit(),
        "descriptor limit": str(resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
    }


def load_average() -> str:
    """Of the last 1, 5 and 15 minutes; before a measurement it is that of others."""
    return " ".join(f"{load:.1f}" for load in os.getloadavg())


def raise_descriptor_limit() -> int:
    """Raise the soft limit to the hard one, children inherit it; the new limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def compiler() -> str:
    """The first line of what the compiler says of its version."""
    command = [*shlex.split(os.environ.get("CC", "cc")), "--version"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.split("\n")[0]


def _read(name: str) -> str:
    return Path("/proc", name).read_text()


def _proc(name: str, pattern: str) -> str:
    found = re.search(pattern, _read(name))
    return found.group(1) if found else "0"


def _commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        return "not a git checkout"
    return f"commit {done.stdout.strip()}"
