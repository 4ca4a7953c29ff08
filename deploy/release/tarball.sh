#!/usr/bin/env bash
# The source of a release, byte for byte the same from the same commit: deploy/release/tarball.sh [FOLDER]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
out=${1:-dist-packages}
mkdir -p "$out"
version=$(sed -n 's/^  "version": "\(.*\)",$/\1/p' package.json)
# Names in order, times of the commit, no owner: git sees to all three; gzip must not add a time of its own.
git archive --format=tar --prefix="petiole-$version/" HEAD | gzip -9n > "$out/petiole-$version.tar.gz"
(cd "$out" && sha256sum "petiole-$version.tar.gz")
