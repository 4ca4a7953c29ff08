#!/bin/sh
# Takes what somebody has put on the boot partition. It is mounted only for this, so that a power cut can't harm what boots.
set -eu
at=/run/petiole-image/boot
notices=/var/lib/petiole/notices
mkdir -p "$at"
mount -t vfat -o noatime,umask=077 LABEL=PETIOLE "$at"
trap 'sync; umount "$at"' EXIT
install -d -m 750 -o petiole -g petiole "$notices"
if [ -f "$at/authorized_keys" ]; then
  install -m 600 "$at/authorized_keys" /data/ssh/authorized_keys.new
  sync
  mv /data/ssh/authorized_keys.new /data/ssh/authorized_keys
  rm "$at/authorized_keys"
fi
STATE_DIRECTORY=/var/lib/petiole CREDENTIALS_DIRECTORY=/etc/petiole/credentials \
  /usr/lib/petiole/bin/node /usr/lib/petiole-image/take-config.mjs "$at" /etc/petiole "$notices" /usr/bin/petiole
if [ -f /run/petiole-image/no-data ]; then
  echo '{"part":"data partition","code":"data_lost","message":"The data partition cannot be read: nothing that is taken in outlasts a restart","hint":"Save the card before you write to it; then flash a new one"}' > "$notices/data.json"
else
  rm -f "$notices/data.json"
fi
