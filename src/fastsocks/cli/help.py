"""How the help of commands is laid out: in sections, with examples at the end."""

from __future__ import annotations

import click

#: Headings, and the parameters of services that stand below each; what is in none comes first.
SECTIONS = {
    "Who may use it, and for what": (
        "names",
        "accounts_file",
        "gssapi",
        "gssapi_keytab",
        "gssapi_protection",
        "rules",
        "acl",
        "acl_leave_out",
        "allow_private",
        "allow_unencrypted",
    ),
    "Ways to the target": (
        "upstream",
        "ipv6_first",
        "ipv4_first",
        "ipv4_only",
        "target_ipv6_only",
        "resolver",
        "search_domains",
        "timeout",
        "fast_open",
        "no_delay",
    ),
    "UDP": (
        "mode",
        "udp",
        "udp_only",
        "udp_address",
        "udp_timeout",
        "udp_max_associations",
        "udp_max_associations_per_client",
        "udp_max_associations_per_user",
        "mtu",
    ),
    "Connections from the target (BIND)": ("bind_address", "bind_ports", "bind_timeout"),
    "Limits": (
        "max_connections",
        "max_connections_per_client",
        "max_handshakes",
        "max_handshakes_per_client",
        "max_lookups_per_client",
    ),
    "Process": ("workers", "reuse_port", "user", "nofile", "no_core_dumps", "grace"),
    "Log": ("access_log", "log_format", "log_level", "verbose"),
}

#: Of each command, and of all together.
EXAMPLES = {
    "fastsocks": (
        "fastsocks server          # on a host in the Internet; prints the next command",
        "fastsocks local ss://...  # on your computer: SOCKS and HTTP on port 1080",
        "fastsocks proxy           # or without a server: a SOCKS and HTTP proxy",
        "fastsocks server --help   # the options of a command",
    ),
    "server": (
        "fastsocks server --public-address 198.51.100.7",
        "fastsocks server -c /etc/fastsocks/server.toml",
        "fastsocks server -p 8388 -m aes-256-gcm --password-file key.txt",
        'fastsocks server --workers auto --rule "deny port 25"',
    ),
    "local": (
        "fastsocks local ss://...",
        "fastsocks local -s server.example -m aes-256-gcm --password-file key.txt",
        "fastsocks local -c config.json -l 1081",
    ),
    "proxy": (
        "fastsocks proxy",
        "fastsocks proxy -b 0.0.0.0 --accounts-file /etc/fastsocks/accounts",
        "fastsocks proxy --upstream socks5://127.0.0.1:9050",
    ),
    "url": (
        "fastsocks url",
        "fastsocks url --qr --public-address 198.51.100.7",
        "fastsocks url -c /etc/fastsocks/server.toml",
    ),
    "check": (
        "fastsocks check -c /etc/shadowsocks-libev/config.json",
        "fastsocks check server --workers auto",
        "fastsocks check -c config.toml --target example.com:443 --user alice",
    ),
    "genkey": ("fastsocks genkey 2022-blake3-aes-128-gcm",),
    "passwd": (
        "fastsocks passwd /etc/fastsocks/accounts alice",
        "fastsocks passwd --delete /etc/fastsocks/accounts alice",
    ),
    "explain": (
        "fastsocks explain 050100 --from client",
        "fastsocks explain relay.pcap --port 8388 --url ss://...",
    ),
    "completion": (
        'eval "$(fastsocks completion bash)"    # in ~/.bashrc',
        'eval "$(fastsocks completion zsh)"     # in ~/.zshrc',
        "fastsocks completion fish | source     # in ~/.config/fish/config.fish",
    ),
}

_SECTION_OF = {name: title for title, names in SECTIONS.items() for name in names}


def sections(command: click.Command) -> dict[str, list[click.Option]]:
    """Return what the help of a command shows: the options below each heading.

    :return: in the order of the headings; "Options" is that of all which is in no other.
    """
    found: dict[str, list[click.Option]] = {"Options": []}
    if isinstance(command, Service):
        found |= {title: [] for title in SECTIONS}
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            title = _SECTION_OF.get(parameter.name or "", "Options")
            found.get(title, found["Options"]).append(parameter)
    return {title: options for title, options in found.items() if options}


class Command(click.Command):
    """A command whose help ends with its examples."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        format_examples(self, formatter)


class Service(Command):
    """A command with more options than can be read in one list."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, options in sections(self).items():
            records = [option.get_help_record(ctx) for option in options]
            if title == "Options" and (help_option := self.get_help_option(ctx)):
                records.append(help_option.get_help_record(ctx))
            with formatter.section(title):
                formatter.write_dl([record for record in records if record])


def format_examples(command: click.Command, formatter: click.HelpFormatter) -> None:
    """Write the examples of a command."""
    with formatter.section("Examples"):
        for line in EXAMPLES[command.name or ""]:
            formatter.write(f"{'':{formatter.current_indent}}{line}\n")
