#!/usr/bin/env bash
# Pushes the last commit of this tree to a balena fleet:
#
#   deploy/balena/push.sh FLEET [options of `balena push`]
#   deploy/balena/push.sh --stage FOLDER    only lays out what would be pushed
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# balena looks for these at the root, where the tree keeps nothing that only one way of installing needs.
lay_out() {
  git archive HEAD | tar -x -C "$1"
  cp deploy/balena/docker-compose.yml "$1/"
  cat deploy/container/Dockerfile deploy/balena/Dockerfile.template > "$1/Dockerfile.template"
  printf '%s\n' '!Dockerfile.template' '!docker-compose.yml' '!balena.yml' >> "$1/.dockerignore"
}

case ${1:-} in
  '')
    echo "usage: deploy/balena/push.sh FLEET [options of balena push] | --stage FOLDER" >&2
    exit 64
    ;;
  --stage)
    mkdir -p "${2:?a folder}"
    lay_out "$2"
    ;;
  *)
    stage=$(mktemp -d)
    trap 'rm -rf "$stage"' EXIT
    lay_out "$stage"
    balena push "$@" --source "$stage"
    ;;
esac
