#!/bin/sh
# Grows the data partition to the end of the card, and its file system with it. Each step is whole or not done, so that a power
# cut between them is made up for at the next start; on a card that is full already nothing is written.
set -eu
data=$(findmnt -n -o SOURCE /data)
case $data in /dev/*) ;; *) exit 0 ;; esac
sys=/sys/class/block/${data#/dev/}
number=$(cat "$sys/partition")
disk=$(basename "$(dirname "$(readlink -f "$sys")")")
free=$(($(cat "/sys/class/block/$disk/size") - $(cat "$sys/start") - $(cat "$sys/size")))
# Less than a MiB is what partitions are aligned by.
if [ "$free" -gt 2048 ]; then
  echo ', +' | sfdisk --quiet --no-reread --no-tell-kernel -N "$number" "/dev/$disk"
  partx --update --nr "$number" "/dev/$disk"
fi
resize2fs "$data" 2> /dev/null
