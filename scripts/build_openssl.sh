#!/usr/bin/env bash
# build_openssl.sh [--tarball FILE-OR-URL [--sha256 SUM]] [--debian-source] [--crate] PREFIX
#
# Build a static libcrypto of OpenSSL 3.5 (the long-term release) into PREFIX/include and
# PREFIX/lib, for FASTSOCKS_OPENSSL_DIR=PREFIX. Position-independent code with hidden symbols;
# the legacy provider (RC4) is folded in; no configuration file is ever read.
#
# Source: the release tarball where it is reachable. Else (or with --debian-source) the source
# package of the Debian release that carries 3.5, its signature checked with Debian's keyring;
# that uses an apt configuration of its own, the machine's is only read. Else (or with --crate) the
# crate openssl-src, which has it for Rust programs, by cargo; it may be a patch or two behind.
# Needs gcc, make, perl; curl, apt-get and dpkg-source, or cargo. Two to four minutes on two cores.
set -Eeuo pipefail

series=3.5
version=3.5.7
sha256=a8c0d28a529ca480f9f36cf5792e2cd21984552a3c8e4aa11a24aa31aeac98e8
url=https://github.com/openssl/openssl/releases/download/openssl-$version/openssl-$version.tar.gz
debian_suite=trixie
crate_version=300.5.5+3.5.5
crate_sha256=3f1787d533e03597a7934fd0a765f0d28e94ecc5fb7789f8053b1e699a56f709
debian_keyring=/usr/share/keyrings/debian-archive-keyring.gpg

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "$0"; }
die() { echo "build_openssl.sh: $*" >&2; exit 1; }
say() { echo "build_openssl.sh: $*" >&2; }

tarball=$url source=release prefix=
while [ $# -gt 0 ]; do
  case $1 in
  --tarball) [ $# -ge 2 ] || die "--tarball needs a file or URL"; tarball=$2 source=given sha256=; shift 2 ;;
  --sha256) [ $# -ge 2 ] || die "--sha256 needs a checksum"; sha256=$2; shift 2 ;;
  --debian-source) source=debian; shift ;;
  --crate) source=crate; shift ;;
  -h | --help) usage; exit ;;
  -*) die "no such option: $1" ;;
  *) [ -z "$prefix" ] || die "one PREFIX, please"; prefix=$1; shift ;;
  esac
done
[ -n "$prefix" ] || { usage >&2; exit 2; }
for tool in make perl; do
  command -v "$tool" >/dev/null || die "$tool is missing: apt-get install build-essential perl"
done
mkdir -p "$prefix"
prefix=$(cd "$prefix" && pwd)

work=$(mktemp -d "${TMPDIR:-/tmp}/fastsocks-openssl.XXXXXX")
log=$prefix/build.log
trap 'rm -rf "$work"' EXIT
trap 'say "failed; the end of $log:"; tail -5 "$log" >&2' ERR
: >"$log"

unpack_tarball() { # unpack_tarball: fetch or copy $tarball, check it, unpack it into $work/source
  case $tarball in
  *://*)
    command -v curl >/dev/null || return 1
    curl -fsSL --retry 2 --connect-timeout 10 -o "$work/openssl.tar.gz" "$tarball" >>"$log" 2>&1 || return 1 ;;
  *) cp "$tarball" "$work/openssl.tar.gz" || exit 1 ;;
  esac
  if [ -n "$sha256" ]; then
    echo "$sha256  $work/openssl.tar.gz" | sha256sum -c --quiet - >&2 || die "$tarball is not what was pinned"
  else
    say "no --sha256 given: $tarball is taken unchecked"
  fi
  mkdir "$work/source"
  tar -xf "$work/openssl.tar.gz" -C "$work/source" --strip-components=1
}

unpack_debian_source() { # the signed source package, patches applied, into $work/source
  local tool mirrors main security suite
  for tool in apt-get dpkg-source; do
    command -v "$tool" >/dev/null || { say "$tool is missing: apt-get install dpkg-dev"; return 1; }
  done
  [ -r "$debian_keyring" ] || { say "$debian_keyring is missing: apt-get install debian-archive-keyring"; return 1; }
  mirrors=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages')
  main=$(grep -m1 '/debian/$' <<<"$mirrors") || { say "this machine's apt sources name no Debian mirror"; return 1; }
  security=$(grep -m1 '/debian-security/$' <<<"$mirrors" || true)
  mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial" "$work/package"
  {
    echo "deb-src [signed-by=$debian_keyring] $main $debian_suite main"
    [ -z "$security" ] || echo "deb-src [signed-by=$debian_keyring] $security $debian_suite-security main"
  } >"$work/apt/sources.list"
  local apt=(apt-get -q -o "Dir::Etc::sourcelist=$work/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o "Dir::State::lists=$work/apt/lists" -o "Dir::Cache=$work/apt/cache"
    -o APT::Sandbox::User= -o APT::Get::AllowUnauthenticated=false)
  "${apt[@]}" update >>"$log" 2>&1 || { say "the mirror $main does not answer for $debian_suite"; return 1; }
  cd "$work/package"
  for suite in ${security:+"$debian_suite-security"} "$debian_suite"; do
    if "${apt[@]}" source "openssl/$suite" >>"$log" 2>&1; then break; fi
    say "the mirror does not deliver openssl of $suite"
  done
  cd - >/dev/null
  compgen -G "$work/package/openssl-*/" >/dev/null || { say "no source package of OpenSSL; see $log"; return 1; }
  mv "$work"/package/openssl-*/ "$work/source"
}

unpack_crate() { # what the crate carries, its checksum pinned, into $work/source
  command -v cargo >/dev/null || { say "cargo is missing: apt-get install cargo"; return 1; }
  mkdir -p "$work/crate/src"
  : >"$work/crate/src/lib.rs"
  printf '[package]\nname = "source"\nversion = "0.0.0"\n[dependencies]\nopenssl-src = "=%s"\n' \
    "$crate_version" >"$work/crate/Cargo.toml"
  (cd "$work/crate" && cargo vendor >>"$log" 2>&1) || { say "cargo cannot fetch openssl-src $crate_version; see $log"; return 1; }
  grep -q "^checksum = \"$crate_sha256\"" "$work/crate/Cargo.lock" || die "the crate openssl-src is not what was pinned"
  mv "$work/crate/vendor/openssl-src/openssl" "$work/source"
}

try() { # try WHAT FUNCTION: run it, with the failures that it tells
  say "taking $1"
  rm -rf "$work/source"
  "$2"
}

case $source in
release)
  unpack_tarball || {
    say "$url is not reachable"
    try "Debian's source package" unpack_debian_source || try "the crate openssl-src" unpack_crate ||
      die "no source of OpenSSL $series is to be had; give --tarball"
  } ;;
given) unpack_tarball || die "cannot fetch $tarball" ;;
debian) unpack_debian_source || die "no source package of OpenSSL $series is to be had" ;;
crate) unpack_crate || die "the crate openssl-src is not to be had" ;;
esac

. "$work/source/VERSION.dat"
found=$MAJOR.$MINOR.$PATCH
[ "$MAJOR.$MINOR" = "$series" ] || die "the source is OpenSSL $found, not $series"
say "building OpenSSL $found in $work (log: $log)"

# no-module folds the legacy provider into libcrypto. What is left out is what no cipher,
# digest or MAC of ours needs and whose absence OpenSSL's own build supports; a section for each
# function lets the linker leave out more.
(
  cd "$work/source"
  ./Configure --prefix=/usr --libdir=lib --openssldir=/etc/ssl -fPIC -fvisibility=hidden \
    -ffunction-sections -fdata-sections \
    no-shared no-module no-apps no-tests no-docs no-engine no-autoload-config no-atexit \
    no-argon2 no-aria no-bf no-blake2 no-cast no-cmp no-cms no-comp no-ct no-des no-dh no-dsa \
    no-dso no-ec no-gost no-http no-idea no-md4 no-mdc2 no-ml-dsa no-ml-kem no-ocb no-ocsp \
    no-quic no-rc2 no-rmd160 no-scrypt no-seed no-siv no-slh-dsa no-sm2 no-sm3 no-sm4 \
    no-srp no-ts no-ui-console no-whirlpool
  make -j"$(nproc)" build_generated
  make -j"$(nproc)" libcrypto.a
) >>"$log" 2>&1

mkdir -p "$prefix/lib" "$prefix/include"
rm -rf "$prefix/include/openssl"
cp -R "$work/source/include/openssl" "$prefix/include/openssl"
rm -f "$prefix"/include/openssl/*.in
cp "$work/source/libcrypto.a" "$prefix/lib/"
cp "$work/source/LICENSE.txt" "$prefix/LICENSE.openssl.txt"
echo "$found" >"$prefix/version"
say "OpenSSL $found is in $prefix; build with FASTSOCKS_OPENSSL_DIR=$prefix"
