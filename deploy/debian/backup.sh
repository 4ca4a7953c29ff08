#!/bin/sh
# Keeps the last four backups of what can't be made again: the configuration, credentials and keys. Not the journal: that
# is `petiole journal export`, since records that were sent meanwhile must not come back unseen.
set -eu
from=${1:-}
to=$from/var/lib/petiole-backup
name=petiole-$(date -u +%Y%m%dT%H%M%SZ).tar.gz
[ -d "$from/etc/petiole" ] || exit 0
mkdir -p "$to"
tar -C "${from:-/}" -czf "$to/.$name" etc/petiole \
  $(cd "${from:-/}" && find var/lib/petiole -maxdepth 1 -name '*.creds' 2>/dev/null)
sync "$to/.$name"
mv "$to/.$name" "$to/$name"
ls -1 "$to"/petiole-*.tar.gz | sort -r | tail -n +5 | while read -r old; do rm -f "$old"; done
