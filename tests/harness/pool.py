"""Services that many tests share, because starting a Python process takes a third of a second."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from .process import Process
from .services import Service


class ServicePool:
    """Starts a service when it is first asked for and stops all of them together."""

    def __init__(self) -> None:
        self._services: dict[Hashable, Service] = {}

    def get(self, key: Hashable, start: Callable[[], Service]) -> Service:
        """Return the service of that key; start it if there is none that still runs."""
        found = self._services.get(key)
        if found is None or not found.process.alive:
            found = self._services[key] = start()
        return found

    def problems(self) -> list[str]:
        """Return which services ended, or logged a traceback since :meth:`Process.mark_start`."""
        return [
            problem
            for service in self._services.values()
            if (problem := _problem(service.process)) is not None
        ]

    def outputs(self) -> list[str]:
        """Return all that each of the processes wrote."""
        return [service.process.output for service in self._services.values()]

    def close(self) -> dict[str, int]:
        """Stop all services and return the exit codes that are not 0."""
        codes = {service.process.name: service.stop() for service in self._services.values()}
        return {name: code for name, code in codes.items() if code != 0}


def _problem(process: Process) -> str | None:
    if not process.alive:
        return f"{process.name} ended by itself"
    if any("Traceback (most recent call last)" in line for line in process.lines_of_test):
        return f"{process.name} logged a traceback"
    return None
