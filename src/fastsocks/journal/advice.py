"""What to do about errors, by their status: for whoever reads the log.

Errors say what happened; what it most likely means depends on the service it happened to.
"""

from __future__ import annotations

from collections.abc import Mapping

#: A Shadowsocks server, about its clients.
SHADOWSOCKS_ADVICE: Mapping[str, str] = {
    "tag": "password or method mismatch, or a probe",
    "header": "method mismatch, another edition of the protocol, or a probe",
    "address-type": "password or method mismatch, or a probe",
    "bad-address": "password or method mismatch, or a probe",
    "unknown-user": "add the user, or correct the key in the client",
    "replay": "harmless if rare; if it goes on, somebody records and replays this traffic",
    "handshake-timeout": "password or method mismatch, a very slow network, or a probe",
}

#: A SOCKS and HTTP proxy, about its clients.
SOCKS_ADVICE: Mapping[str, str] = {
    "version": "set the application to another kind of proxy, or see --protocols",
    "protocol": "is this application set to this kind of proxy?",
    "http-request": "is this application set to use an HTTP proxy?",
    "command": "CONNECT, UDP ASSOCIATE and, by a proxy, BIND are carried out, as far as --mode "
    "allows",
    "authentication": "check user name and password in the application",
    "gssapi-context": "check the client's ticket (klist) and clock, and that the keytab has the "
    "principal it asks for (klist -k)",
    "protection": "messages were changed on the way, or gssapi_protection does not list what the "
    "application can do",
    "handshake-timeout": "is this application set to use a proxy of SOCKS or HTTP?",
}

#: What leads to a Shadowsocks server, which it can complain of.
TUNNEL_ADVICE: Mapping[str, str] = {
    "tag": "the server's answer: password or method differ there, or it was tampered with",
    "header": "the server's answer: method differs there, or it was tampered with",
    "replay": "what listens there is no Shadowsocks server, or does not know the password",
}

#: The same, where clients speak SOCKS or HTTP.
LOCAL_ADVICE: Mapping[str, str] = {**SOCKS_ADVICE, **TUNNEL_ADVICE}

#: About a Shadowsocks server that says nothing.
UNANSWERED_ADVICE = (
    "password, method or user differ there, a clock is more than 30 s off, or it is no Shadowsocks "
    "server, or cannot reach what it is asked for: its log tells which"
)
