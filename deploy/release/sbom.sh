#!/usr/bin/env bash
# Writes what a release is made of: deploy/release/sbom.sh [FOLDER]
#   sbom.cdx.json   CycloneDX: every package that is shipped, with version, hash and licence
#   licences.txt    the same as a list for people; fails where a licence is not among those that we may ship
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
out=${1:-dist-packages}
mkdir -p "$out"
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
# npm's own --omit=dev leaves out packages that something of the development needs as well.
npm sbom --sbom-format=cyclonedx > "$stage/all.json"
npm ls --omit=dev --all --parseable 2> /dev/null > "$stage/shipped"
node deploy/release/sbom.mjs "$stage/all.json" "$stage/shipped" > "$out/sbom.cdx.json"
node deploy/release/licences.mjs "$out/sbom.cdx.json" > "$out/licences.txt"
echo "$out/sbom.cdx.json $out/licences.txt"
