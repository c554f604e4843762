"""The client's end: its first write, and what it makes of answers; on both twins."""

from __future__ import annotations

from typing import Any

import pytest

from fastsocks.address import Address
from fastsocks.errors import HeaderError, ProtocolError, ReplayError, TagError, TimestampError
from shadowsocks_ends import (
    AEAD,
    AEAD_2022,
    AUTHENTICATED,
    NAMES,
    NOW,
    PATTERN,
    STREAM,
    WITH_USERS,
    Clock,
    address_of,
    check_wire,
    halves,
    new_client,
    new_server,
    open_all,
    plaintext_of,
    psk,
    serve,
)

TARGET = Address.of("127.0.0.1", 18080)
NAME = Address.of("example.com", 443)

REQUESTS_2022 = (
    "tcp_request_with_payload",
    "tcp_request_with_padding_only",
    "tcp_request_with_padding_and_payload",
)


def request_of(client: Any, part: Any) -> bytes:
    """Make a client's first write, as a vector of the 2022 edition has it."""
    return bytes(
        client.request(
            address_of(part["target"]),
            bytes.fromhex(part["initial_payload_hex"]),
            salt=bytes.fromhex(part["salt_hex"]),
            padding=bytes.fromhex(part["padding_hex"]),
        )
    )


def answered(shadowsocks: Any, method: str, payload: bytes, **options: Any) -> tuple[Any, bytes]:
    """Make a client that has sent its request, and what a server answers to it."""
    client = new_client(shadowsocks, method, **options)
    server = new_server(shadowsocks, method)
    serve(server, [client.request(TARGET, b"payload")])
    return client, bytes(server.seal(payload))


# What it sends.


@pytest.mark.parametrize("method", AEAD)
@pytest.mark.parametrize("name", ["tcp_request", "tcp_request_small"])
def test_aead_request(shadowsocks: Any, aead: Any, method: str, name: str) -> None:
    part = aead[method][name]
    client = new_client(shadowsocks, method, aead[method]["password"])
    first, *chunks = (plaintext_of(chunk) for chunk in part["chunks"])
    payload = first.removeprefix(TARGET.wire)
    wire = client.request(TARGET, payload, salt=bytes.fromhex(part["salt_hex"]))
    assert len(wire) == len(part["salt_hex"]) // 2 + len(first) + 34
    check_wire(wire + b"".join(client.seal(chunk) for chunk in chunks), part)


@pytest.mark.parametrize("method", AEAD_2022)
@pytest.mark.parametrize("name", REQUESTS_2022)
def test_2022_request(shadowsocks: Any, aead_2022: Any, method: str, name: str) -> None:
    part = aead_2022[method][name]
    client = new_client(shadowsocks, method, aead_2022[method]["psk_b64"])
    wire = request_of(client, part)
    assert len(wire) == part["first_write_len"]
    wire += b"".join(client.seal(plaintext_of(chunk)) for chunk in part["chunks"])
    check_wire(wire, part)
    if "wire_head_hex" in part:
        assert wire.hex().startswith(part["wire_head_hex"])


@pytest.mark.parametrize("method", WITH_USERS)
@pytest.mark.parametrize("layers", ["one_layer", "two_layers"])
def test_identity_headers(shadowsocks: Any, aead_2022: Any, method: str, layers: str) -> None:
    vector = aead_2022[method]["eih"][layers]
    part = vector["tcp_request"]
    client = new_client(shadowsocks, method, vector["client_password"])
    wire = request_of(client, part)
    assert len(wire) == part["first_write_len"]
    at = len(part["salt_hex"]) // 2
    for header in part["identity_headers"]:
        assert wire[at : at + 16].hex() == header["header_hex"]
        at += 16
    check_wire(wire + b"".join(client.seal(plaintext_of(c)) for c in part["chunks"]), part)


@pytest.mark.parametrize("method", [*STREAM, "none"])
def test_stream_request(shadowsocks: Any, stream: Any, method: str) -> None:
    part = stream[method]["tcp_request"]
    plaintext = bytes.fromhex(part["plaintext_hex"]).removeprefix(TARGET.wire)
    for cut in range(len(plaintext) + 1):
        client = new_client(shadowsocks, method, stream[method]["password"])
        wire = client.request(TARGET, plaintext[:cut], salt=bytes.fromhex(part["iv_hex"]))
        assert (wire + client.seal(plaintext[cut:])).hex() == part["wire_hex"]


@pytest.mark.parametrize("method", NAMES)
@pytest.mark.parametrize("size", [0, 1, 0x3FFF, 0xFFFF, 200_000])
def test_first_write_holds_everything(shadowsocks: Any, method: str, size: int) -> None:
    payload = (PATTERN * (size // 251 + 1))[:size]
    for kind in (bytes, bytearray, memoryview):
        wire = new_client(shadowsocks, method).request(NAME, kind(payload))
        assert type(wire) is bytes
        request = new_server(shadowsocks, method).receive(wire)
        assert request is not None
        assert (request.address, request.early_data, request.command) == (NAME, payload, 1)
        assert type(request.early_data) is bytes
        assert request.user is None


@pytest.mark.parametrize("method", NAMES)
def test_salts_are_fresh(shadowsocks: Any, method: str) -> None:
    size = shadowsocks.METHODS[method].salt_size
    salts = {new_client(shadowsocks, method).request(TARGET, b"x")[:size] for _ in range(50)}
    assert len(salts) == (50 if size else 1)


@pytest.mark.parametrize("method", AEAD_2022)
def test_padding_only_without_payload(shadowsocks: Any, method: str) -> None:
    bare = len(new_client(shadowsocks, method).request(TARGET, b"x")) - 1
    sizes = {len(new_client(shadowsocks, method).request(TARGET)) - bare for _ in range(300)}
    assert len(sizes) > 100
    assert min(sizes) >= 1
    assert max(sizes) <= 900
    padded = new_client(shadowsocks, method).request(TARGET, padding=bytes(900))
    assert len(padded) == bare + 900


def test_padding_draws_its_whole_range(shadowsocks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for drawn, padding in ((b"\x00\x00", 1), (b"\xff\xff", 900)):
        monkeypatch.setattr(shadowsocks.headers, "random_bytes", {2: drawn}.__getitem__)
        _, variable, _ = shadowsocks.headers.build_request_headers(TARGET, memoryview(b""), NOW)
        assert len(variable) == len(TARGET.wire) + 2 + padding


@pytest.mark.parametrize("method", [name for name in NAMES if name != "none"])
def test_unusable_salts_and_padding(shadowsocks: Any, method: str) -> None:
    size = shadowsocks.METHODS[method].salt_size
    for wrong in (0, size - 1, size + 1, 1000):
        with pytest.raises(ValueError, match=f"a salt of {wrong} bytes"):
            new_client(shadowsocks, method).request(TARGET, b"x", salt=bytes(wrong))
    if method in AEAD_2022:
        with pytest.raises(ValueError, match="901 bytes of padding"):
            new_client(shadowsocks, method).request(TARGET, b"x", padding=bytes(901))


# What it makes of answers.


@pytest.mark.parametrize("method", AEAD)
def test_aead_response(shadowsocks: Any, aead: Any, method: str) -> None:
    part = aead[method]["tcp_response"]
    wire = bytes.fromhex(part["wire_hex"])
    chunks = [plaintext_of(chunk) for chunk in part["chunks"]]
    for pieces in halves(wire, len(part["salt_hex"]) // 2):
        client = new_client(shadowsocks, method, aead[method]["password"])
        client.request(TARGET)
        assert open_all(client, pieces) == b"".join(chunks)
        assert not client.incomplete


@pytest.mark.parametrize("method", [*STREAM, "none"])
def test_stream_response(shadowsocks: Any, stream: Any, method: str) -> None:
    part = stream[method]["tcp_response"]
    for pieces in halves(bytes.fromhex(part["wire_hex"])):
        client = new_client(shadowsocks, method, stream[method]["password"])
        client.request(TARGET)
        assert open_all(client, pieces).hex() == part["plaintext_hex"]
        assert not client.incomplete


def responses_2022(vector: Any) -> list[tuple[str, Any, Any]]:
    """List what a client's key is, its request and the answer to it."""
    found = [
        (
            vector["psk_b64"],
            vector["tcp_request_with_payload"],
            vector["tcp_response_to_request_with_payload"],
        )
    ]
    if "eih" in vector:
        one = vector["eih"]["one_layer"]
        found.append((one["client_password"], one["tcp_request"], one["tcp_response"]))
    return found


@pytest.mark.parametrize("method", AEAD_2022)
def test_2022_response(shadowsocks: Any, aead_2022: Any, method: str) -> None:
    for key, request, part in responses_2022(aead_2022[method]):
        wire = bytes.fromhex(part["wire_hex"])
        chunks = (part["first_payload"], *part["chunks"])
        plaintext = b"".join(plaintext_of(chunk) for chunk in chunks)
        header_end = len(part["salt_hex"] + part["fixed_header_ct_hex"]) // 2
        for pieces in halves(wire, header_end):
            client = new_client(shadowsocks, method, key, strict=False, now=NOW + 1)
            request_of(client, request)
            assert open_all(client, pieces) == plaintext
            assert not client.incomplete
            client = new_client(shadowsocks, method, key, now=NOW + 1)
            request_of(client, request)
            if len(pieces[0]) < header_end:
                with pytest.raises(HeaderError, match="in pieces"):
                    client.open(pieces[0])
            else:
                assert open_all(client, pieces) == plaintext


@pytest.mark.parametrize("method", AEAD_2022)
@pytest.mark.parametrize(("skew", "good"), [(-31, False), (-30, True), (30, True), (31, False)])
def test_response_timestamp(shadowsocks: Any, method: str, skew: int, good: bool) -> None:
    client, clock = new_client(shadowsocks, method), Clock()
    server = new_server(shadowsocks, method, clock=clock)
    serve(server, [client.request(TARGET, b"x")])
    # The time in an answer is that of the answer, not of the request.
    clock.now += skew
    answer = server.seal(b"answer")
    if good:
        assert client.open(answer) == b"answer"
    else:
        with pytest.raises(TimestampError, match="31 s"):
            client.open(answer)


@pytest.mark.parametrize("method", AEAD_2022)
def test_answer_to_another_request(shadowsocks: Any, method: str) -> None:
    _, answer = answered(shadowsocks, method, b"answer")
    client = new_client(shadowsocks, method)
    client.request(TARGET, b"payload")
    with pytest.raises(HeaderError, match="another request"):
        client.open(answer)


@pytest.mark.parametrize("method", AEAD_2022)
def test_reflected_request_2022(shadowsocks: Any, method: str) -> None:
    """The type byte stops it; the header is padded to the size of a response's."""
    client = new_client(shadowsocks, method)
    # A request's fixed header is shorter than a response's, so it does not even open.
    with pytest.raises(TagError):
        client.open(client.request(TARGET, b"payload" * 20))
    own, salt = shadowsocks.METHODS[method], bytes(range(client._key.method.salt_size))
    client.request(TARGET, b"payload", salt=salt)
    aead = shadowsocks.session_ciphers.session_aead(own, client._key.key, salt)
    header = b"\0" + shadowsocks.headers.build_response_header(NOW, salt, 1)[1:]
    with pytest.raises(HeaderError, match="type 0 where 1"):
        client.open(salt + aead.seal(bytes(12), header))


@pytest.mark.parametrize("method", [*AEAD, *STREAM])
def test_reflected_request(shadowsocks: Any, method: str) -> None:
    client = new_client(shadowsocks, method)
    wire = client.request(TARGET, b"payload")
    with pytest.raises(ReplayError):
        client.open(wire)


@pytest.mark.parametrize("method", AEAD_2022)
def test_announced_size_of_answers(shadowsocks: Any, method: str) -> None:
    own = shadowsocks.METHODS[method]
    for length in (0, 1, 0xFFFF):
        client = new_client(shadowsocks, method)
        client.request(TARGET, b"payload")
        salt = bytes(own.salt_size)
        aead = shadowsocks.session_ciphers.session_aead(own, client._key.key, salt)
        header = shadowsocks.headers.build_response_header(NOW, client._salt, length)
        wire = salt + aead.seal(bytes(12), header)
        wire += aead.seal(b"\1" + bytes(11), bytes(length))
        if length:
            assert client.open(wire) == bytes(length)
        else:
            with pytest.raises(HeaderError, match="without payload"):
                client.open(wire)


@pytest.mark.parametrize("method", AUTHENTICATED)
def test_every_flipped_byte_of_an_answer_is_noticed(shadowsocks: Any, method: str) -> None:
    client, answer = answered(shadowsocks, method, b"answer")
    salt = client._salt
    for place in range(len(answer)):
        tampered = bytearray(answer)
        tampered[place] ^= 1 << place % 8
        victim = new_client(shadowsocks, method)
        victim.request(TARGET, b"payload", salt=salt)
        with pytest.raises(TagError):
            victim.open(tampered)
    assert client.open(answer) == b"answer"


@pytest.mark.parametrize("method", AUTHENTICATED)
def test_wrong_key(shadowsocks: Any, method: str) -> None:
    client, answer = answered(shadowsocks, method, b"answer")
    stranger = new_client(shadowsocks, method, psk(method, 7))
    stranger.request(TARGET, b"payload", salt=client._salt)
    with pytest.raises(TagError):
        stranger.open(answer)


@pytest.mark.parametrize("method", NAMES)
def test_incomplete_at_every_cut(shadowsocks: Any, method: str) -> None:
    client, answer = answered(shadowsocks, method, b"answer", strict=False)
    salt, size = client._salt, shadowsocks.METHODS[method].salt_size
    whole = {0, len(answer)}
    if method not in AEAD_2022:
        # A salt alone cuts nothing off; a stream and `none` have nothing to cut off.
        whole |= {size} if method in AEAD else set(range(size, len(answer)))
    for cut in range(len(answer) + 1):
        client = new_client(shadowsocks, method, strict=False)
        client.request(TARGET, b"payload", salt=salt or None)
        opened = client.open(answer[:cut])
        assert client.incomplete == (cut not in whole)
        assert opened + client.open(answer[cut:]) == b"answer"
        assert not client.incomplete


def test_nothing_before_the_request(shadowsocks: Any) -> None:
    for method in NAMES:
        if method != "none":
            with pytest.raises(ProtocolError):
                new_client(shadowsocks, method).seal(b"x")


def test_only_none_is_transparent(shadowsocks: Any) -> None:
    for method in NAMES:
        assert new_client(shadowsocks, method).transparent == (method == "none")


@pytest.mark.parametrize("method", NAMES)
def test_an_empty_read_is_none(shadowsocks: Any, method: str) -> None:
    """Nor is it the read that has to hold a whole header."""
    client, answer = answered(shadowsocks, method, b"answer")
    assert client.open(b"") == b""
    assert not client.incomplete
    assert client.open(answer) == b"answer"
    assert client.open(b"") == b""
