"""What the end-to-end and interoperability tests stand on.

Processes with captured logs, targets on loopback, a SOCKS5 client and a writer of Shadowsocks
requests that share no code with the package, and a middlebox that damages what passes it.
"""
