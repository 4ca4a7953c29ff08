#!/usr/bin/env bash
# Builds a bootable arm64 image for an SD card, on Debian, as root:
#
#   deploy/image/build.sh [--deb FILE] [--out FILE] [--suite NAME] [--no-firmware]
#
# It needs a Debian archive, and mmdebstrap qemu-user-static e2fsprogs fdisk dosfstools mtools cpio kmod. FILE is Petiole's package
# for arm64 (deploy/debian/build.sh --arch arm64). Three partitions: what boots (FAT), the root that is only read (ext4), and
# what lasts (ext4), which grows to the end of the card at the first start. Nothing secret is in it. The base system is made once
# (minutes: arm64 programs are emulated) and kept in .cache/image.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

deb=dist-packages/petiole_$(sed -n 's/^  "version": "\(.*\)",$/\1/p' package.json)_arm64.deb
out=dist-packages/petiole-arm64.img
suite=bookworm
firmware=yes
while [ $# -gt 0 ]; do
  case $1 in
    --deb) deb=$2; shift ;;
    --out) out=$2; shift ;;
    --suite) suite=$2; shift ;;
    --no-firmware) firmware=no ;;
    *) echo "build.sh: unknown option $1 (--deb, --out, --suite, --no-firmware)" >&2; exit 64 ;;
  esac
  shift
done
[ "$(id -u)" = 0 ] || { echo 'build.sh: the files of the image belong to root: run it as root' >&2; exit 77; }
[ "$(dpkg-deb -f "$deb" Package Architecture 2> /dev/null | tr -d '\n')" = 'Package: petioleArchitecture: arm64' ] || {
  echo "build.sh: $deb is not Petiole's package for arm64: deploy/debian/build.sh --arch arm64" >&2
  exit 66
}
for program in mmdebstrap mkfs.ext4 sfdisk mkfs.vfat mcopy cpio depmod; do
  command -v "$program" > /dev/null || {
    echo "build.sh: $program is missing: apt-get install mmdebstrap qemu-user-static e2fsprogs fdisk dosfstools mtools cpio kmod" >&2
    exit 69
  }
done

# No password manager, no mail, no scheduler: what the box needs to start, to be reached and to be looked into.
packages=systemd,systemd-sysv,systemd-timesyncd,systemd-resolved,dbus,udev,kmod,e2fsprogs,fdisk,openssh-server,iproute2
packages=$packages,ca-certificates,systemd-zram-generator,procps,libstdc++6,adduser,netbase
boot_mib=128
root_mib=1024
data_mib=64

cache=.cache/image
mkdir -p "$cache"
base=$cache/$suite-$(echo "$packages" | sha256sum | cut -c 1-8).tar
if [ ! -f "$base" ]; then
  # The archive and its keys are those of this machine, as mmdebstrap finds them.
  rm -rf "$cache/packages"
  mkdir -p "$cache/packages"
  fetch="cd '$PWD/$cache/packages' && export APT_CONFIG=\"\$MMDEBSTRAP_APT_CONFIG\""
  kernel='$(apt-cache depends linux-image-arm64 | sed -n "s/^  Depends: \(linux-image-[^ ]*\)$/\1/p" | head -n 1)'
  mmdebstrap --quiet --format=tar --arch=arm64 --variant=minbase --components=main,non-free-firmware --include="$packages" \
    --customize-hook="$fetch && apt-get -q download $kernel busybox-static && { apt-get -q download raspi-firmware || true; }" \
    "$suite" "$base.new"
  mv "$base.new" "$base"
fi

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
root=$stage/root
mkdir -p "$root" "$stage/kernel" "$stage/busybox" "$stage/firmware" "$stage/initrd"
tar -xf "$base" -C "$root"
dpkg-deb -x "$cache"/packages/linux-image-*.deb "$stage/kernel"
dpkg-deb -x "$cache"/packages/busybox-static_*.deb "$stage/busybox"
version=$(ls "$stage/kernel/lib/modules")

# Drivers of what no box of this kind has: three quarters of all.
rm -rf "$stage"/kernel/lib/modules/"$version"/kernel/{sound,drivers/{gpu,media,infiniband,iio,staging,scsi/{lpfc,qla2xxx,mpt3sas,be2iscsi},net/ethernet/{mellanox,intel,chelsio,qlogic,marvell,cavium,freescale,hisilicon,netronome,huawei,amazon,emulex,sfc,cisco},net/wireless,isdn,firewire,accel,comedi,hsi,memstick,thunderbolt,infiniband},fs/{ocfs2,gfs2,ceph,xfs,btrfs,f2fs,jfs,reiserfs,nilfs2,ubifs,afs,orangefs,coda,9p,smb,nfs,nfsd,lockd}}
depmod -b "$stage/kernel" "$version" 2> /dev/null
mkdir -p "$root/lib/modules"
cp -a "$stage/kernel/lib/modules/$version" "$root/lib/modules/"

cp "$deb" "$root/root/petiole.deb"
chroot "$root" dpkg -i /root/petiole.deb
rm "$root/root/petiole.deb"
cp -r deploy/image/root/. "$root/"
install -m 644 deploy/image/take-config.mjs "$root/usr/lib/petiole-image/take-config.mjs"
chmod 755 "$root"/usr/lib/petiole-image/*.sh "$root/usr/sbin/petiole-image-upgrade"
install -m 640 -g "$(chroot "$root" id -g petiole)" deploy/image/petiole.yaml "$root/etc/petiole/petiole.yaml"
# What a factory reset goes back to.
install -m 644 deploy/image/petiole.yaml "$root/usr/lib/petiole/petiole.yaml"
ln -sf ../run/systemd/resolve/resolv.conf "$root/etc/resolv.conf"
printf '%s\n' '# Mounted by the initial RAM disk.' > "$root/etc/fstab"
chroot "$root" systemctl --quiet enable systemd-networkd systemd-resolved systemd-timesyncd ssh petiole-image petiole-screen
chroot "$root" systemctl --quiet mask getty@tty1.service serial-getty@.service systemd-networkd-wait-online.service \
  apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer e2scrub_reap.service systemd-remount-fs.service systemd-machine-id-commit.service
mkdir -p "$root/data" "$root/media/root-ro"

# What the installation of the packages has made, and every box makes for itself.
rm -f "$root"/etc/ssh/ssh_host_* "$root/var/lib/systemd/random-seed" "$root"/var/lib/dbus/machine-id
rm -rf "$root"/var/log/* "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/*
: > "$root/etc/machine-id"
rm -f "$root/etc/hostname"
sed -i 's/^root:[^:]*:/root:*:/' "$root/etc/shadow"

# The initial RAM disk: a shell in one file, and the drivers of the places where a root can be.
mkdir -p "$stage"/initrd/{bin,lib/modules}
cp "$(find "$stage/busybox" -path '*bin/busybox' -type f)" "$stage/initrd/bin/busybox"
install -m 755 deploy/image/init "$stage/initrd/init"
wanted='ext4 crc32c_generic overlay virtio_pci virtio_mmio virtio_blk mmc_block sdhci-iproc bcm2835 bcm2835-dma gpio-regulator
clk-raspberrypi reset-raspberrypi gpio-raspberrypi-exp raspberrypi-hwmon pcie-brcmstb xhci-pci dwc2 usb-storage uas sd_mod'
for module in $wanted; do
  # A kernel that has it built in, or not at all, has no file of it.
  { modprobe -d "$stage/kernel" -S "$version" --show-depends "$module" 2> /dev/null || true; } | sed -n 's/^insmod \([^ ]*\).*/\1/p'
done | sort -u | while read -r file; do
  to=$stage/initrd/${file#"$stage/kernel/"}
  mkdir -p "$(dirname "$to")"
  cp "$file" "$to"
done
cp "$stage/kernel/lib/modules/$version"/modules.{builtin,order} "$stage/initrd/lib/modules/$version/"
depmod -b "$stage/initrd" "$version"
echo $wanted > "$stage/initrd/modules"
(cd "$stage/initrd" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0 | gzip -9n) > "$stage/initrd.gz"

# The partition that boots.
fat=$stage/boot.fat
truncate -s "${boot_mib}M" "$fat"
mkfs.vfat -n PETIOLE "$fat" > /dev/null
mcopy -i "$fat" "$stage"/kernel/boot/vmlinuz-* ::vmlinuz
mcopy -i "$fat" "$stage/initrd.gz" deploy/image/boot/* ::
if [ "$firmware" = yes ]; then
  dpkg-deb -x "$cache"/packages/raspi-firmware_*.deb "$stage/firmware" 2> /dev/null || {
    echo 'build.sh: the firmware of the Raspberry Pi (raspi-firmware, non-free-firmware) is not in this archive; --no-firmware goes without, and then the image starts in an emulator only' >&2
    exit 69
  }
  mcopy -i "$fat" "$stage"/firmware/usr/lib/raspi-firmware/{bootcode.bin,*.elf,*.dat} ::
  mcopy -i "$fat" "$stage"/kernel/usr/lib/linux-image-*/broadcom/bcm2[78]*-rpi-*.dtb ::
fi

mkfs.ext4 -q -L petiole-root -d "$root" "$stage/root.ext4" "${root_mib}M"
# Blocks of 4 KiB although it begins small: it grows to the size of a card.
mkfs.ext4 -q -b 4096 -L petiole-data "$stage/data.ext4" "${data_mib}M"

mkdir -p "$(dirname "$out")"
rm -f "$out"
truncate -s "$((4 + boot_mib + root_mib + data_mib))M" "$out"
sfdisk --quiet "$out" <<TABLE
label: dos
start=4MiB, size=${boot_mib}MiB, type=c, bootable
start=$((4 + boot_mib))MiB, size=${root_mib}MiB, type=83
start=$((4 + boot_mib + root_mib))MiB, size=${data_mib}MiB, type=83
TABLE
put() { dd if="$1" of="$out" bs=1M seek="$2" conv=notrunc,sparse status=none; }
put "$fat" 4
put "$stage/root.ext4" $((4 + boot_mib))
put "$stage/data.ext4" $((4 + boot_mib + root_mib))
echo "$out"
