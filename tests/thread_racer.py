"""Services in several threads at once, each with an event loop; see service/test_threads.

thread_racer.py SECONDS

Meanwhile further threads use what threads may share: options, rules, addresses, replay guards,
ciphers, and what the modules keep to themselves. Says what was done; a fault is an exception.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import importlib.util
import logging
import random
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import fastsocks
from fastsocks.address import Address
from fastsocks.config import ServerURL
from fastsocks.config.rules import Action, read_rules
from fastsocks.crypto import Aead, BlockCipher, blake3_derive, hkdf_sha1, random_bytes, supports
from fastsocks.errors import ReplayError
from fastsocks.policy.rules import Rules
from fastsocks.request import CONNECT
from fastsocks.shadowsocks import METHODS, ReplayGuard, generate_key, replay_memory, server_key
from harness.listener import SocketAddress
from harness.pattern import pattern
from harness.socks import open_connection
from harness.targets import ServingTarget, echo
from harness.udp import Echo, UdpAssociation

HOST = "127.0.0.1"
#: Threads that serve, and threads that share.
SERVING = SHARING = 3
#: One of each kind of codec.
RELAYED = (
    "2022-blake3-aes-128-gcm",
    "2022-blake3-chacha20-poly1305",
    "aes-256-gcm",
    "xchacha20-ietf-poly1305",
    "aes-256-cfb",
    "rc4-md5",
    "none",
)
#: Less and more than a relay carries before it is given transports.
SIZES = (1, 3_000, 300_000)
#: Of each thread; the guards hold more.
MOST_SALTS = 50_000

READY = threading.Barrier(SERVING + SHARING)
GUARDS = [
    ReplayGuard(server_key(name, generate_key(name)), replay_memory())
    for name in ("aes-128-gcm", "2022-blake3-aes-128-gcm")
]
RULES = Rules(read_rules(["deny to *.example.com", "allow to 10.0.0.0/8 port 25"]))
AEAD = Aead("AES-128-GCM", bytes(16))
SEALED = AEAD.seal(bytes(12), b"secret")
BLOCK = BlockCipher(bytes(16))
ENCRYPTED = BLOCK.encrypt(bytes(16))
SUBKEY = hkdf_sha1(bytes(16), bytes(16), b"ss-subkey", 32)
TARGET = Address.of("host.example.com", 443)


def new_options(method: str) -> fastsocks.ServerOptions:
    """Return options of which each thread makes a server."""
    return fastsocks.ServerOptions(
        addresses=(HOST,),
        port=0,
        method=method,
        password=generate_key(method),
        allow_private=True,
    )


class Targets(NamedTuple):
    """What the services are asked for."""

    tcp: SocketAddress
    udp: SocketAddress


def exchange(entrance: tuple[str, int], targets: Targets, size: int) -> None:
    """Send bytes and a datagram through a SOCKS5 server, and compare what comes back."""
    server = SocketAddress(*entrance)
    with open_connection(server, targets.tcp) as client:
        client.send(pattern(size))
        client.finish()
        assert client.read_to_end() == pattern(size)
    with UdpAssociation(server) as association:
        payload = random_bytes(min(size, 1_200))
        assert association.exchange(payload, targets.udp) == payload


async def serve(options: fastsocks.ServerOptions, targets: Targets) -> None:
    """Run each of the services, and use it from threads of this loop."""
    async with fastsocks.Server(options) as server:
        ((host, port),) = server.addresses
        through_server = fastsocks.LocalOptions(
            port=0, server=host, server_port=port, method=options.method, password=options.password
        )
        async with (
            fastsocks.Local(through_server) as local,
            fastsocks.Proxy(fastsocks.ProxyOptions(port=0)) as proxy,
        ):
            await asyncio.gather(
                *(
                    asyncio.to_thread(exchange, service.addresses[0], targets, size)
                    for service in (local, proxy)
                    for size in SIZES
                )
            )
            assert local.stats().accepted == proxy.stats().accepted == 2 * len(SIZES)


def serve_until(
    end: float,
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
    servers: list[fastsocks.ServerOptions],
    targets: Targets,
) -> int:
    """Start and stop services of all methods in a loop of this thread; return how many times."""
    READY.wait()
    rounds = 0
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        while not rounds or time.monotonic() < end:
            for options in servers:
                runner.run(asyncio.wait_for(serve(options, targets), 60))
            rounds += 1
    return rounds


class Shares(NamedTuple):
    """What a thread was given of things that nobody else must be given."""

    tried: int
    #: For each guard the salts that were new to it.
    new: list[list[bytes]]
    random: list[bytes]


def share_until(end: float) -> Shares:
    """Use what threads share, and check the answers that depend on nobody else."""
    READY.wait()
    shares = Shares(0, [[] for _ in GUARDS], [])
    source = random.Random(1928)  # the same in every thread
    tried = 0
    while tried < MOST_SALTS and time.monotonic() < end:
        salt = source.randbytes(16)
        for guard, new in zip(GUARDS, shares.new, strict=True):
            try:
                guard.add(salt, time.time())
            except ReplayError:
                continue
            new.append(salt)
        shares.random.append(random_bytes(32))
        tried += 1
        assert hkdf_sha1(bytes(16), bytes(16), b"ss-subkey", 32) == SUBKEY
        assert blake3_derive("a test", bytes(16), 16) == blake3_derive("a test", bytes(16), 16)
        assert AEAD.seal(bytes(12), b"secret") == SEALED
        assert AEAD.open(bytes(12), SEALED) == b"secret"
        assert BLOCK.decrypt(BLOCK.encrypt(bytes(16))) == bytes(16)
        assert BLOCK.encrypt(bytes(16)) == ENCRYPTED
        name = f"host{tried % 6000}.example.com"
        assert RULES.verdict_on(CONNECT, HOST, None, Address.of(name, 443)).action is Action.DENY
        assert hash(TARGET) == hash(Address.of("host.example.com", 443))
        assert ServerURL.parse(f"ss://none:@{HOST}:{1 + tried % 60_000}").host == HOST
        if tried % 1_000 == 0:
            gc.collect()
    return shares._replace(tried=tried)


def check(shares: list[Shares]) -> None:
    """Compare what the threads were given."""
    source = random.Random(1928)
    expected = {source.randbytes(16) for _ in range(max(share.tried for share in shares))}
    for number in range(len(GUARDS)):
        new = [salt for share in shares for salt in share.new[number]]
        assert len(new) == len(expected), f"{len(new)} salts were new, not {len(expected)}"
        assert set(new) == expected
    given = [piece for share in shares for piece in share.random]
    assert len(set(given)) == len(given), "random bytes were given out twice"


def loop_factories() -> list[Callable[[], asyncio.AbstractEventLoop]]:
    """Return what makes an event loop of each kind."""
    if importlib.util.find_spec("uvloop") is None:
        return [asyncio.new_event_loop]
    return [asyncio.new_event_loop, importlib.import_module("uvloop").new_event_loop]


def main(seconds: float) -> None:
    """Run all threads for so long."""
    # What weak methods lack.
    logging.getLogger("fastsocks").setLevel(logging.ERROR)
    servers = [new_options(name) for name in RELAYED if supports_method(name)]
    factories = loop_factories()
    end = time.monotonic() + seconds
    with (
        ServingTarget(echo) as target,
        Echo() as udp_target,
        ThreadPoolExecutor(SERVING + SHARING) as threads,
    ):
        targets = Targets(target.address, udp_target.address)
        sharing = [threads.submit(share_until, end) for _ in range(SHARING)]
        serving = [
            threads.submit(serve_until, end, factories[number % len(factories)], servers, targets)
            for number in range(SERVING)
        ]
        shares = [future.result() for future in sharing]
        rounds = [future.result() for future in serving]
    check(shares)
    print(
        f"GIL {'on' if getattr(sys, '_is_gil_enabled', lambda: True)() else 'off'}, "
        f"{fastsocks.__impl__}: {sum(rounds)} rounds of services of {len(servers)} methods, "
        f"{sum(share.tried for share in shares)} salts of {SHARING} threads"
    )


def supports_method(name: str) -> bool:
    """Tell whether this libcrypto has the method's cipher."""
    cipher = METHODS[name].cipher
    return not cipher or supports(cipher)


if __name__ == "__main__":
    main(float(sys.argv[1]))
