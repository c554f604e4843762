"""What a SOCKS5 server is told and answers, as plays of ``socks_playbook``."""

from __future__ import annotations

#: Those who may log in to the server of LOGIN_PLAYS.
ACCOUNTS = {b"user": b"pass", b"empty": b"", b"u" * 255: b"p" * 255, b"\xff\xc3\xb6": b"\0\xff"}

OPEN_PLAYS = {
    "IPv4": """
        >> 05 01 00
        << 05 00
        >> 05 01 00 01 c0000201 0050
        request 01 192.0.2.1:80
        connected 198.51.100.7:40001
        << 05 00 00 01 c6336407 9c41
    """,
    "IPv6": """
        >> 05 01 00
        << 05 00
        >> 05 01 00 04 20010db8000000000000000000000001 01bb
        request 01 [2001:db8::1]:443
        connected [2001:db8::5]:40000
        << 05 00 00 04 20010db8000000000000000000000005 9c40
    """,
    "name": """
        >> 05 01 00
        << 05 00
        >> 05 01 00 03 0b 'example.com' 01bb
        request 01 example.com:443
        connected
        << 05 00 00 01 00000000 0000
    """,
    "IPv6 literal as a name": """
        >> 05 01 00
        << 05 00
        >> 05 01 00 03 0b '2001:db8::1' 01bb
        request 01 [2001:db8::1]:443
    """,
    "bracketed IPv6 literal as a name": """
        >> 05 01 00
        << 05 00
        >> 05 01 00 03 0d '[2001:db8::1]' 01bb
        request 01 [2001:db8::1]:443
    """,
    "port 0": """
        >> 05 01 00
        << 05 00
        >> 05 01 00 01 c0000201 0000
        request 01 192.0.2.1:0
        failed 05
        << 05 05 00 01 00000000 0000
    """,
    "several methods, also twice and unknown": """
        >> 05 05 02 80 00 00 01
        << 05 00
    """,
    "pipelined with early data": """
        >> 05 01 00 05 01 00 01 c0000201 0050 'GET /'
        request 01 192.0.2.1:80 with b'GET /'
        connected 198.51.100.7:40001
        << 05 00 05 00 00 01 c6336407 9c41
    """,
    "pipelined, sent as it comes": """
        >> 05 01 00 05 01
        << 05 00
        >> 00 01 c0000201 0050 'GET /'
        request 01 192.0.2.1:80 with b'GET /'
        connected
        << 05 00 00 01 00000000 0000
    """,
    "the dial fails": """
        >> 05 01 00 05 01 00 01 c0000201 0050
        << 05 00
        request 01 192.0.2.1:80
        failed 04
        << 05 04 00 01 00000000 0000
    """,
    "wrong version": """
        >> 04 01 0050 c0000201 00
        error VersionError 01
        <<
    """,
    "HTTP": """
        >> 'CONNECT example.com:443 HTTP/1.1'
        error VersionError 01
        <<
    """,
    "NMETHODS 0": """
        >> 05 00
        error ProtocolError 01
        << 05 ff
    """,
    "no acceptable method": """
        >> 05 02 01 02
        error AuthenticationError 02
        << 05 ff
    """,
    "method FF is none": """
        >> 05 01 ff
        error AuthenticationError 02
        << 05 ff
    """,
    "credentials although none were asked for": """
        >> 05 01 00
        << 05 00
        >> 01 04 'user' 04 'pass'
        error VersionError 01
        << 05 01 00 01 00000000 0000
    """,
    "request of another version": """
        >> 05 01 00
        << 05 00
        >> 04
        error VersionError 01
        << 05 01 00 01 00000000 0000
    """,
    "empty name": """
        >> 05 01 00
        << 05 00
        >> 05 01 00 03 00
        <<
        >> 0050
        error AddressError 01
        << 05 01 00 01 00000000 0000
    """,
    "NUL in a name": """
        >> 05 01 00
        << 05 00
        >> 05 01 00 03 0b 'ex' 61 00 'ple.com' 0050
        error AddressError 01
        << 05 01 00 01 00000000 0000
    """,
    "RSV not zero": """
        >> 05 01 00
        << 05 00
        >> 05 01 ff 01 c0000201 0050
        request 01 192.0.2.1:80
    """,
    "BIND": """
        >> 05 01 00
        << 05 00
        >> 05 02 00 01 c0000201 00
        <<
        >> 50
        error CommandError 07
        << 05 07 00 01 00000000 0000
    """,
    "UDP ASSOCIATE": """
        >> 05 01 00
        << 05 00
        >> 05 03 00 01 00000000 0000
        error CommandError 07
        << 05 07 00 01 00000000 0000
    """,
    "unknown command, whole name read first": """
        >> 05 01 00
        << 05 00
        >> 05 f0 00 03 0b 'example.com' 00
        <<
        >> 00
        error CommandError 07
        << 05 07 00 01 00000000 0000
    """,
    "unknown ATYP": """
        >> 05 01 00
        << 05 00
        >> 05 01 00 02
        error AddressTypeError 08
        << 05 08 00 01 00000000 0000
    """,
    "unknown command and ATYP": """
        >> 05 01 00
        << 05 00
        >> 05 77 00 05 01 02
        error AddressTypeError 08
        << 05 08 00 01 00000000 0000
    """,
    "pipelined up to a bad request": """
        >> 05 01 00 05 01 00 02
        error AddressTypeError 08
        << 05 00 05 08 00 01 00000000 0000
    """,
}

LOGIN_PLAYS = {
    "right": """
        >> 05 02 00 02
        << 05 02
        >> 01 04 'user' 04 'pass'
        << 01 00
        >> 05 01 00 01 c0000201 0050
        request 01 192.0.2.1:80 as user
        connected
        << 05 00 00 01 00000000 0000
    """,
    "all at once": """
        >> 05 01 02 01 04 'user' 04 'pass' 05 01 00 01 c0000201 0050 'early'
        request 01 192.0.2.1:80 as user with b'early'
        connected
        << 05 02 01 00 05 00 00 01 00000000 0000
    """,
    "any bytes": """
        >> 05 01 02
        << 05 02
        >> 01 03 ff c3 b6 02 00 ff
        << 01 00
    """,
    "empty password": """
        >> 05 01 02
        << 05 02
        >> 01 05 'empty' 00
        << 01 00
    """,
    "only no authentication offered": """
        >> 05 01 00
        error AuthenticationError 02
        << 05 ff
    """,
    "wrong password": """
        >> 05 01 02
        << 05 02
        >> 01 04 'user' 04 'Pass'
        error AuthenticationError 02
        << 01 01
    """,
    "password cut short": """
        >> 05 01 02
        << 05 02
        >> 01 04 'user' 03 'pas'
        error AuthenticationError 02
        << 01 01
    """,
    "no such user": """
        >> 05 01 02
        << 05 02
        >> 01 04 'User' 04 'pass'
        error AuthenticationError 02
        << 01 01
    """,
    "no such user, empty password": """
        >> 05 01 02
        << 05 02
        >> 01 04 'User' 00
        error AuthenticationError 02
        << 01 01
    """,
    "empty user and password": """
        >> 05 01 02
        << 05 02
        >> 01 00 00
        error AuthenticationError 02
        << 01 01
    """,
    "wrong password, the rest already there": """
        >> 05 01 02 01 04 'user' 00 05 01 00 01 c0000201 0050
        error AuthenticationError 02
        << 05 02 01 01
    """,
    "sub-negotiation of version 5": """
        >> 05 01 02
        << 05 02
        >> 05
        error VersionError 01
        << 01 01
    """,
    "request without a login": """
        >> 05 02 00 02 05 01 00 01 c0000201 0050
        error VersionError 01
        << 05 02 01 01
    """,
}

BIND_PLAYS = {
    "BIND, with both replies": """
        >> 05 01 00 05 02 00 01 c0000201 0014
        << 05 00
        request 02 192.0.2.1:20
        connected 198.51.100.7:40001
        << 05 00 00 01 c6336407 9c41
        connected 192.0.2.1:1024
        << 05 00 00 01 c0000201 0400
    """,
    "BIND, and nobody comes": """
        >> 05 01 00
        << 05 00
        >> 05 02 00 01 c0000201 0014
        request 02 192.0.2.1:20
        connected 198.51.100.7:40001
        << 05 00 00 01 c6336407 9c41
        failed 06
        << 05 06 00 01 00000000 0000
    """,
    "BIND, and no port": """
        >> 05 01 00
        << 05 00
        >> 05 02 00 01 00000000 0000
        request 02 0.0.0.0:0
        failed 01
        << 05 01 00 01 00000000 0000
    """,
}
