"""Plays of GSSAPI (RFC 1961) with tokens of a toy mechanism; see ``socks_playbook.py``."""

from __future__ import annotations

REQUEST = "05 01 00 01 c0000201 0050"

_BEGUN = """
    >> 05 01 01
    << 05 01
    >> 01 01 0005 'hello'
    << 01 01 0007 'welcome'
"""

_CONFIDENTIAL = f"""
    {_BEGUN}
    >> 01 02 0004 'i0:' 02
    << 01 02 0004 'i0:' 02
"""

_ASKED = """
    << 05 01 01
    >> 05 01
    << 01 01 0005 'hello'
"""

_PROPOSED = f"""
    {_ASKED}
    >> 01 01 0007 'welcome'
    << 01 02 0004 'i0:' 02
"""

CONFIDENTIALITY = f"""
    {_CONFIDENTIAL}
    >> 01 03 000d 'c1:' {REQUEST}
    request 01 192.0.2.1:80 as alice@TOY
    connected 192.0.2.2:81
    << 01 03 000d 'c1:' 05 00 00 01 c0000202 0051
"""

#: Of a server, by what it shows.
SERVER = {
    "confidentiality": CONFIDENTIALITY,
    "integrity": f"""
        {_BEGUN}
        >> 01 02 0004 'i0:' 01
        << 01 02 0004 'i0:' 01
        >> 01 03 000d 'i1:' {REQUEST}
        request 01 192.0.2.1:80 as alice@TOY
        connected
        << 01 03 000d 'i1:' 05 00 00 01 00000000 0000
    """,
    "more protection than agreed": f"""
        {_BEGUN}
        >> 01 02 0004 'i0:' 01
        << 01 02 0004 'i0:' 01
        >> 01 03 000d 'c1:' {REQUEST}
        request 01 192.0.2.1:80 as alice@TOY
        failed 05
        << 01 03 000d 'i1:' 05 05 00 01 00000000 0000
    """,
    "less protection than agreed": f"""
        {_CONFIDENTIAL}
        >> 01 03 000d 'i1:' {REQUEST}
        error ProtectionError 01
        << 01 03 000d 'c1:' 05 01 00 01 00000000 0000
    """,
    "a choice for every message is answered by the strongest": f"""
        {_BEGUN}
        >> 01 02 0004 'i0:' 03
        << 01 02 0004 'i0:' 02
    """,
    "no protection": f"""
        {_BEGUN}
        >> 01 02 0004 'i0:' 00
        error ProtectionError 01
        << 01 ff
    """,
    "a level of two bytes": f"""
        {_BEGUN}
        >> 01 02 0005 'i0:' 02 02
        error ProtectionError 01
        << 01 ff
    """,
    "a level that was changed": f"""
        {_BEGUN}
        >> 01 02 0004 'i7:' 02
        error ProtectionError 01
        << 01 ff
    """,
    "garbage for a token": """
        >> 05 01 01
        << 05 01
        >> 01 01 0005 'hallo'
        error ContextError 02
        << 01 ff
    """,
    "an empty token": """
        >> 05 01 01
        << 05 01
        >> 01 01 0000
        error ContextError 02
        << 01 ff
    """,
    "a context that never ends": """
        >> 05 01 01
        << 05 01
        >> 01 01 0004 'more' 01 01 0004 'more' 01 01 0004 'more' 01 01 0004 'more'
        << 01 01 0004 'more' 01 01 0004 'more' 01 01 0004 'more' 01 01 0004 'more'
        >> 01 01 0004 'more' 01 01 0004 'more' 01 01 0004 'more' 01 01 0004 'more'
        << 01 01 0004 'more' 01 01 0004 'more' 01 01 0004 'more' 01 01 0004 'more'
        >> 01 01 0004 'more'
        error ContextError 02
        << 01 ff
    """,
    "a level before the context": """
        >> 05 01 01
        << 05 01
        >> 01 02
        error ProtocolError 01
        << 01 ff
    """,
    "another version": """
        >> 05 01 01
        << 05 01
        >> 05
        error VersionError 01
        << 01 ff
    """,
    "a client that gives up": """
        >> 05 01 01
        << 05 01
        >> 01 ff
        error ContextError 02
        << 01 ff
    """,
    "a request without protection": f"""
        {_CONFIDENTIAL}
        >> 05
        error VersionError 01
        << 01 03 000d 'c1:' 05 01 00 01 00000000 0000
    """,
    "a repeated message": f"""
        {_CONFIDENTIAL}
        >> 01 03 0004 'c1:' 05
        >> 01 03 0004 'c1:' 05
        error ProtectionError 01
        << 01 03 000d 'c1:' 05 01 00 01 00000000 0000
    """,
    "UDP, which the protection does not reach": f"""
        {_CONFIDENTIAL}
        >> 01 03 000d 'c1:' 05 03 00 01 00000000 0000
        error CommandError 07
        << 01 03 000d 'c1:' 05 07 00 01 00000000 0000
    """,
    "no login at all": """
        >> 05 01 00
        error AuthenticationError 02
        << 05 ff
    """,
    "only a password": """
        >> 05 02 00 02
        error AuthenticationError 02
        << 05 ff
    """,
}

#: Of a server that knows passwords, too.
SERVER_WITH_ACCOUNTS = {
    "a password goes first": """
        >> 05 03 00 01 02
        << 05 02
        >> 01 04 'user' 04 'pass'
        << 01 00
    """,
    "nothing makes up for a wrong password": """
        >> 05 02 01 02
        << 05 02
        >> 01 04 'user' 04 'fail'
        error AuthenticationError 02
        << 01 01
    """,
    "GSSAPI goes before nothing": """
        >> 05 02 00 01
        << 05 01
    """,
    "no login at all": """
        >> 05 01 00
        error AuthenticationError 02
        << 05 ff
    """,
}

#: Of a server that allows no protection only.
UNPROTECTED_SERVER = {
    "no protection": f"""
        {_BEGUN}
        >> 01 02 0004 'i0:' 00
        << 01 02 0004 'i0:' 00
        >> {REQUEST} 'early'
        request 01 192.0.2.1:80 as alice@TOY with b'early'
        connected
        << 05 00 00 01 00000000 0000
    """,
    "protection": f"""
        {_BEGUN}
        >> 01 02 0004 'i0:' 02
        << 01 02 0004 'i0:' 00
    """,
    "UDP": f"""
        {_BEGUN}
        >> 01 02 0004 'i0:' 00
        << 01 02 0004 'i0:' 00
        >> 05 03 00 01 00000000 0000
        request 03 0.0.0.0:0 as alice@TOY
        connected
        << 05 00 00 01 00000000 0000
    """,
}

#: Of a server that insists on confidentiality.
STRICT_SERVER = {
    "integrity": f"""
        {_BEGUN}
        >> 01 02 0004 'i0:' 01
        << 01 02 0004 'i0:' 02
    """,
}

#: Of a server whose mechanism answers nothing.
SILENT_SERVER = {
    "an empty message": """
        >> 05 01 01
        << 05 01
        >> 01 01 0005 'hello'
        << 01 01 0000
    """,
}

#: Of a client that proposes confidentiality, and takes integrity, too.
CLIENT = {
    "confidentiality": f"""
        {_PROPOSED}
        >> 01 02 0004 'i0:' 02
        << 01 03 000d 'c1:' {REQUEST}
        >> 01 03 000d 'c1:' 05 00 00 01 c0000202 0051
        reply 192.0.2.2:81
    """,
    "less": f"""
        {_PROPOSED}
        >> 01 02 0004 'i0:' 01
        << 01 03 000d 'i1:' {REQUEST}
        >> 01 03 000e 'i1:' 05 00 00 01 c0000202 0051 'x'
        reply 192.0.2.2:81 with b'x'
    """,
    "nothing": f"""
        {_PROPOSED}
        >> 01 02 0004 'i0:' 00
        error ProtectionError 01
    """,
    "a refusal of the request": f"""
        {_PROPOSED}
        >> 01 02 0004 'i0:' 02
        << 01 03 000d 'c1:' {REQUEST}
        >> 01 03 0005 'c1:' 05 02
        error ReplyError 02
    """,
    "a refusal of the context": f"""
        {_ASKED}
        >> 01 ff
        error ContextError 02
    """,
    "another server": f"""
        {_ASKED}
        >> 01 01 0005 'hallo'
        error ContextError 02
    """,
    "no login": """
        << 05 01 01
        >> 05 00
        error ProtocolError 01
    """,
    "an end": f"""
        {_ASKED}
        end
        error TruncatedError 01
    """,
}

#: Of a client that wants no protection.
UNPROTECTED_CLIENT = {
    "no protection": f"""
        {_ASKED}
        >> 01 01 0007 'welcome'
        << 01 02 0004 'i0:' 00
        >> 01 02 0004 'i0:' 00
        << {REQUEST}
        >> 05 00 00 01 c0000202 0051
        reply 192.0.2.2:81
    """,
}

#: Of a client whose mechanism needs no answer.
SELF_SUFFICIENT_CLIENT = {
    "an empty message": f"""
        {_ASKED}
        >> 01 01 0000
        << 01 02 0004 'i0:' 02
    """,
}
