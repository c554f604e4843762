#!/usr/bin/env bash
# install_peers.sh [PEER ...]: the programs of other projects that tests and benchmarks run.
#
# PEER: libev rust curl dig ip (default: all). libev, curl, dig and ip come from Debian; rust is built by cargo
# in release mode, without the DNS, HTTP and TUN features (2 to 6 minutes, once), into
# ${FASTSOCKS_PEERS:-~/.cache/fastsocks-peers}. What is there already is left alone.
# Prints one line a peer: name, version, path.
set -Eeuo pipefail
PATH=$PATH:$HOME/.cargo/bin

rust_version=1.25.0
rust_features=logging,local,server,manager,multi-threaded,local-tunnel,local-socks4,stream-cipher
rust_features+=,aead-cipher,aead-cipher-extra,aead-cipher-2022,aead-cipher-2022-extra

prefix=${FASTSOCKS_PEERS:-$HOME/.cache/fastsocks-peers}
mkdir -p "$prefix/bin"
log=$prefix/install.log
: >"$log"
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
updated=

debian() { # debian PROGRAM PACKAGE: install PACKAGE unless PROGRAM is there
  if command -v "$1" >/dev/null; then return; fi
  command -v apt-get >/dev/null || {
    echo "install_peers.sh: $1 is missing and this is no Debian: install $2" >&2
    exit 1
  }
  [ -n "$updated" ] || { $sudo apt-get update -q >>"$log" 2>&1; updated=yes; }
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$2" >>"$log" 2>&1
}

report() { printf '%-6s %-10s %s\n' "$@"; }

[ $# -gt 0 ] || set -- libev rust curl dig ip
trap 'echo "install_peers.sh: $peer failed; the end of $log:" >&2; tail -5 "$log" >&2' ERR
for peer in "$@"; do
  case $peer in
  libev)
    debian ss-server shadowsocks-libev
    report libev "$(ss-server -h 2>&1 | sed -n 's/^shadowsocks-libev //p')" "$(command -v ss-server)" ;;
  rust)
    if ! { "$prefix/bin/ssserver" --version && "$prefix/bin/sslocal" --version; } >/dev/null 2>&1; then
      # Debian's cargo is too old for it; cargo-web follows the current releases.
      debian cargo cargo-web
      cargo install shadowsocks-rust --version "$rust_version" --locked --root "$prefix/rust" \
        --no-default-features --features "$rust_features" >>"$log" 2>&1
      ln -sf "$prefix"/rust/bin/ss* "$prefix/bin/"
    fi
    report rust "$("$prefix/bin/ssserver" --version | cut -d' ' -f2)" "$prefix/bin/ssserver" ;;
  curl)
    debian curl curl
    report curl "$(curl --version | sed -n '1s/^curl \([^ ]*\).*/\1/p')" "$(command -v curl)" ;;
  ip)
    debian ip iproute2
    report ip "$(ip -V | sed 's/.*iproute2-\([^,]*\).*/\1/')" "$(command -v ip)" ;;
  dig)
    debian dig bind9-dnsutils
    report dig "$(dig -v 2>&1 | sed -n 's/^DiG \([^ ]*\).*/\1/p')" "$(command -v dig)" ;;
  *)
    echo "install_peers.sh: no such peer: $peer" >&2
    exit 2 ;;
  esac
done
