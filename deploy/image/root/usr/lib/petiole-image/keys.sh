#!/bin/sh
# Host keys, made on this box at its first start.
set -eu
key=/data/ssh/ssh_host_ed25519_key
mkdir -p -m 700 /data/ssh
# Read whole, since a power cut may have left half of one.
ssh-keygen -y -f "$key" > /dev/null 2>&1 && exit 0
rm -f "$key" "$key.pub"
ssh-keygen -q -t ed25519 -N '' -C "$(hostname)" -f "$key"
sync
