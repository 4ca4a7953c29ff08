#!/usr/bin/env bash
# Pushes the last commit of this tree to a balena fleet: deploy/balena/push.sh FLEET [options of `balena push`]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
[ $# -ge 1 ] || { echo "usage: deploy/balena/push.sh FLEET [options of balena push]" >&2; exit 64; }
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
git archive HEAD | tar -x -C "$stage"
# balena looks for these at the root, where the tree keeps nothing that only one way of installing needs.
cp deploy/balena/docker-compose.yml "$stage/"
balena push "$@" --source "$stage"
