#!/bin/sh
# openssl_for_wheels.sh PREFIX: what cibuildwheel runs before the wheels of a platform are built.
#
# Installs what build_openssl.sh needs where the image lacks it (manylinux, musllinux, macOS) and
# builds the static OpenSSL into PREFIX. With FASTSOCKS_OPENSSL_CACHE, a folder that outlives the
# container, it is built once for each image and pinned version.
set -eu
cd "$(dirname "$0")/.."
prefix=$1

if command -v dnf >/dev/null; then
  dnf install -y -q perl-core
elif command -v apk >/dev/null; then
  apk add -q bash curl linux-headers perl
fi

if [ -n "${FASTSOCKS_OPENSSL_CACHE:-}" ]; then
  image=${AUDITWHEEL_PLAT:-$(uname -s)-$(uname -m)}
  cached=$FASTSOCKS_OPENSSL_CACHE/$image-$(cksum <scripts/build_openssl.sh | cut -d ' ' -f 1)
  [ -f "$cached/version" ] || bash scripts/build_openssl.sh "$cached"
  mkdir -p "$prefix"
  cp -R "$cached/." "$prefix"
else
  bash scripts/build_openssl.sh "$prefix"
fi
