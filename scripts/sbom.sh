#!/bin/sh
# sbom.sh PYTHON FILE: write what a binary wheel of fastsocks brings along, as CycloneDX JSON.
#
# The Python packages are those that pip installs with it now; the OpenSSL is the pinned one.
set -eu
cd "$(dirname "$0")/.."
python=$1 file=$2

work=$(mktemp -d "${TMPDIR:-/tmp}/fastsocks-sbom.XXXXXX")
trap 'rm -rf "$work"' EXIT
"$python" -m venv "$work/installed"
FASTSOCKS_BUILD=pure "$work/installed/bin/python" -m pip --disable-pip-version-check --quiet install .
"$work/installed/bin/python" -m pip --disable-pip-version-check --quiet uninstall --yes pip setuptools
"$python" -m venv "$work/tools"
"$work/tools/bin/python" -m pip --disable-pip-version-check --quiet install 'cyclonedx-bom>=7'
mkdir -p "$(dirname "$file")"
"$work/tools/bin/cyclonedx-py" environment --pyproject pyproject.toml --output-reproducible \
  --output-file "$work/packages.json" "$work/installed/bin/python"
"$python" - "$work/packages.json" "$(sed -n 's/^version=//p' scripts/build_openssl.sh)" >"$file" <<'PYTHON'
import json
import sys

with open(sys.argv[1], encoding="utf-8") as packages:
    bom = json.load(packages)
version = sys.argv[2]
bom["components"].append({
    "type": "library",
    "name": "openssl",
    "version": version,
    "bom-ref": f"openssl=={version}",
    "purl": f"pkg:generic/openssl@{version}",
    "licenses": [{"license": {"id": "Apache-2.0"}}],
    "description": "libcrypto, linked statically into fastsocks.crypto._primitives",
})
json.dump(bom, sys.stdout, indent=2)
print()
PYTHON
echo "$file: $("$python" -c 'import json, sys; print(len(json.load(open(sys.argv[1]))["components"]))' "$file") components"
