"""A SOCKS5 and Shadowsocks relay with Cython-accelerated hot paths."""

__version__ = "0.1.0"
