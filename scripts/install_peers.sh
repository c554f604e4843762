#!/usr/bin/env bash
# install_peers.sh [PEER ...]: the programs of other projects that tests and benchmarks run.
#
# PEER: libev rust curl dig ip nc sshd proxychains chromium tshark krb5 systemd (the default: what tests need),
# and for benchmarks xray microsocks dante pproxy blake3; `benchmarks` stands for these and libev and rust.
# From Debian: libev, curl, dig, ip, nc, proxychains, chromium, tshark, krb5, systemd, microsocks and dante, whose
# service is not used and may be disabled (danted). Into ${FASTSOCKS_PEERS:-~/.cache/fastsocks-peers}: rust, built by
# cargo in release mode without the DNS, HTTP and TUN features (2 to 6 minutes, once); xray, built by go (2
# minutes); pproxy, from PyPI in an environment of its own; blake3, the reference C source that comes with its
# crate, for the C relay of the benchmarks; sshd, out of Debian's package, which would enable a daemon if installed.
# What is there already is left alone. Prints one line a peer: name, version, path.
set -Eeuo pipefail
PATH=$PATH:$HOME/.cargo/bin:/usr/local/go/bin:/usr/sbin:/sbin

rust_version=1.25.0
xray_version=v1.260327.0 # how the Go module calls 26.3.27
pproxy_version=2.7.9
blake3_version=1.8.2
rust_features=logging,local,server,manager,multi-threaded,local-tunnel,local-socks4,stream-cipher
rust_features+=,aead-cipher,aead-cipher-extra,aead-cipher-2022,aead-cipher-2022-extra

prefix=${FASTSOCKS_PEERS:-$HOME/.cache/fastsocks-peers}
mkdir -p "$prefix/bin"
log=$prefix/install.log
: >"$log"
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
updated=

update() { # update PROGRAM PACKAGE: fetch the lists of packages, once, for PACKAGE, which has PROGRAM
  command -v apt-get >/dev/null || {
    echo "install_peers.sh: $1 is missing and this is no Debian: install $2" >&2
    exit 1
  }
  [ -n "$updated" ] || { $sudo apt-get update -q >>"$log" 2>&1; updated=yes; }
}

install() { # install PACKAGE...
  $sudo env DEBIAN_FRONTEND=noninteractive \
    apt-get -o DPkg::Lock::Timeout=300 install -y -q --no-install-recommends --no-upgrade "$@" >>"$log" 2>&1
}

debian() { # debian PROGRAM PACKAGE: install PACKAGE unless PROGRAM is there
  if command -v "$1" >/dev/null; then return; fi
  update "$1" "$2"
  install "$2"
}

unpack() { # unpack PACKAGE FOLDER: put its files there, and install the libraries they load
  local work
  work=$(mktemp -d)
  (cd "$work" && apt-get download "$1" >>"$log" 2>&1 && dpkg -x ./*.deb "$2")
  rm -r "$work"
  # shellcheck disable=SC2046
  install $(apt-cache depends --important "$1" | sed -n 's/^ *Depends: \(lib[^<>]*\)$/\1/p')
}

report() { printf '%-10s %-18s %s\n' "$@"; }
packaged() { dpkg-query -W -f '${Version}' "$1" 2>>"$log" || true; }

[ $# -gt 0 ] || set -- libev rust curl dig ip nc sshd proxychains chromium tshark krb5 systemd
trap 'echo "install_peers.sh: $peer failed; the end of $log:" >&2; tail -5 "$log" >&2' ERR
for peer in ${*//benchmarks/libev rust xray microsocks dante pproxy blake3}; do
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
  systemd)
    # Its tools alone; nothing of it runs.
    debian systemd-socket-activate systemd
    report systemd "$(packaged systemd)" "$(command -v systemd-socket-activate)" ;;
  nc)
    debian nc.openbsd netcat-openbsd
    report nc "$(packaged netcat-openbsd)" "$(command -v nc.openbsd)" ;;
  sshd)
    debian ssh openssh-client
    # A folder that was kept from another machine comes without the libraries.
    program=$prefix/openssh/usr/sbin/sshd
    if [ ! -x "$program" ] || [[ $(ldd "$program") == *"not found"* ]]; then
      update sshd openssh-server
      unpack openssh-server "$prefix/openssh"
      ln -sf ../openssh/usr/sbin/sshd "$prefix/bin/sshd"
    fi
    # The user as which sshd of root reads what is not authenticated yet; its package makes the same.
    if [ "$(id -u)" = 0 ] && ! getent passwd sshd >/dev/null; then
      useradd --system --gid nogroup --home-dir /run/sshd --no-create-home --shell /usr/sbin/nologin sshd
    fi
    report sshd "$("$prefix/bin/sshd" -V 2>&1 | sed -n 's/.*OpenSSH_\([^ ,]*\).*/\1/p')" "$prefix/bin/sshd" ;;
  proxychains)
    debian proxychains4 proxychains4
    report proxychains "$(packaged proxychains4)" "$(command -v proxychains4)" ;;
  chromium)
    debian chromium chromium
    report chromium "$(packaged chromium)" "$(command -v chromium)" ;;
  tshark)
    debian tshark tshark
    report tshark "$(packaged tshark)" "$(command -v tshark)" ;;
  xray)
    if ! "$prefix/bin/xray" version >/dev/null 2>&1; then
      debian go golang-go # go fetches the toolchain that xray asks for
      GOFLAGS=-buildvcs=false GOBIN=$prefix/go go install "github.com/xtls/xray-core/main@$xray_version" >>"$log" 2>&1
      ln -sf "$prefix/go/main" "$prefix/bin/xray"
    fi
    report xray "$("$prefix/bin/xray" version | awk 'NR == 1 { print $2 }')" "$prefix/bin/xray" ;;
  microsocks)
    debian microsocks microsocks
    report microsocks "$(packaged microsocks)" "$(command -v microsocks)" ;;
  dante)
    debian danted dante-server
    report dante "$(packaged dante-server)" "$(command -v danted)" ;;
  pproxy)
    if ! "$prefix/bin/pproxy" --version >/dev/null 2>&1; then
      python3 -m venv "$prefix/pproxy"
      # Without uvloop: it fails with the current one.
      "$prefix/pproxy/bin/pip" -q install "pproxy==$pproxy_version" pycryptodome >>"$log" 2>&1
      ln -sf "$prefix/pproxy/bin/pproxy" "$prefix/bin/pproxy"
    fi
    report pproxy "$pproxy_version" "$prefix/bin/pproxy" ;;
  blake3)
    source=$prefix/blake3/vendor/blake3/c
    if [ ! -e "$source/blake3.c" ]; then
      debian cargo cargo-web
      mkdir -p "$prefix/blake3/src"
      : >"$prefix/blake3/src/lib.rs"
      printf '[package]\nname = "source"\nversion = "0.0.0"\n[dependencies]\nblake3 = "=%s"\n' \
        "$blake3_version" >"$prefix/blake3/Cargo.toml"
      (cd "$prefix/blake3" && cargo vendor >>"$log" 2>&1)
    fi
    report blake3 "$(sed -n 's/.*BLAKE3_VERSION_STRING "\(.*\)"/\1/p' "$source/blake3.h")" "$source" ;;
  curl)
    debian curl curl
    report curl "$(curl --version | sed -n '1s/^curl \([^ ]*\).*/\1/p')" "$(command -v curl)" ;;
  ip)
    debian ip iproute2
    report ip "$(ip -V | sed 's/.*iproute2-\([^,]*\).*/\1/')" "$(command -v ip)" ;;
  krb5)
    debian krb5kdc krb5-kdc
    debian kadmin.local krb5-admin-server
    debian kinit krb5-user
    debian krb5-config libkrb5-dev # for the Python package gssapi
    report krb5 "$(packaged krb5-kdc)" "$(command -v krb5kdc)" ;;
  dig)
    debian dig bind9-dnsutils
    report dig "$(dig -v 2>&1 | sed -n 's/^DiG \([^ ]*\).*/\1/p')" "$(command -v dig)" ;;
  *)
    echo "install_peers.sh: no such peer: $peer" >&2
    exit 2 ;;
  esac
done
