#!/bin/sh
# Takes everything of the box's owner from this machine, as before the first start: petiole-factory-reset --yes
set -eu
[ "${1:-}" = --yes ] || { echo "takes the queue, the configuration, all secrets and backups: petiole-factory-reset --yes" >&2; exit 64; }
root=${2:-}
[ -n "$root" ] || ! [ -d /run/systemd/system ] || systemctl stop petiole.service petiole-backup.timer
for folder in var/lib/petiole var/lib/petiole-backup var/lib/private/petiole etc/petiole; do
  [ ! -d "$root/$folder" ] || find "$root/$folder" -mindepth 1 -delete
done
rm -f "$root/etc/default/petiole"
# Of the SD-card image: keys of the machine and who may come in; the next start makes new ones.
[ ! -f "$root/data/machine-id" ] || rm -rf "$root/data/ssh" "$root/data/machine-id" "$root/data/var/lib/systemd"
# The configuration as the package brings it.
[ ! -f "$root/usr/lib/petiole/petiole.yaml" ] || install -m 640 "$root/usr/lib/petiole/petiole.yaml" "$root/etc/petiole/petiole.yaml"
if [ -z "$root" ]; then
  chown root:petiole /etc/petiole/petiole.yaml
  systemd-tmpfiles --create petiole.conf || true
  journalctl --rotate --vacuum-time=1s > /dev/null 2>&1 || true
  [ ! -d /run/systemd/system ] || systemctl start petiole.service petiole-backup.timer
fi
sync
echo "nothing is left; on flash, what was deleted may still be read by who takes the chip apart: destroy the card instead"
