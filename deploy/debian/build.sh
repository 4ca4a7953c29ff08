#!/usr/bin/env bash
# Builds the Debian package from this tree, after `npm ci` and without a network:
#
#   deploy/debian/build.sh [--arch amd64|arm64] [--node FILE] [--out FOLDER] [--version VERSION]
#
# The package carries its own Node (Debian's is too old): for this machine's architecture the one of the development
# dependencies, for another one FILE, the bin/node of the npm package node-linux-<architecture>.
# The same tree gives the same bytes: file times are those of the last commit.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

arch=$(dpkg --print-architecture)
node=
out=dist-packages
version=$(sed -n 's/^  "version": "\(.*\)",$/\1/p' package.json)
while [ $# -gt 0 ]; do
  case $1 in
    --arch) arch=$2 ;;
    --node) node=$2 ;;
    --out) out=$2 ;;
    --version) version=$2 ;;
    *) echo "build.sh: unknown option $1 (--arch, --node, --out, --version)" >&2; exit 64 ;;
  esac
  shift 2
done
case $arch in
  amd64) cpu=x64 machine='x86-64' ;;
  arm64) cpu=arm64 machine='aarch64' ;;
  *) echo "build.sh: there is no Petiole for $arch: amd64 and arm64" >&2; exit 64 ;;
esac
[ -n "$node" ] || node=node_modules/node/bin/node
# Without `file`: the machine is at byte 18 of an ELF header.
case $(od -An -tu2 -j18 -N2 "$node" | tr -d ' ') in
  62) is=x86-64 ;;
  183) is=aarch64 ;;
  *) is=unknown ;;
esac
[ "$is" = "$machine" ] || {
  echo "build.sh: $node is for $is, the package for $machine: npm pack node-linux-$cpu, and give its bin/node as --node" >&2
  exit 65
}

export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
root=$stage/root
lib=$root/usr/lib/petiole
mkdir -p "$lib/bin" "$root/DEBIAN" "$root/usr/bin" "$root/etc/petiole" "$root/usr/share/doc/petiole" "$root/lib/systemd/system"
mkdir -p "$root/usr/lib/sysusers.d" "$root/usr/lib/tmpfiles.d" "$root/usr/lib/modules-load.d" "$root/lib/udev/rules.d"

PATH=$PWD/node_modules/.bin:$PATH npm run --silent build
cp -r dist package.json "$lib/"
cp "$node" "$lib/bin/node"
# What the box needs at run time, as npm has resolved it; types and the addons of other machines stay behind.
PATH=$PWD/node_modules/.bin:$PATH npm ls --omit=dev --all --parseable 2>/dev/null | sed -n "s#^$PWD/##p" | while read -r folder; do
  mkdir -p "$lib/$folder"
  cp -rL "$folder/." "$lib/$folder/"
done
# What no part of the box imports yet stays behind, too.
for name in $(node -p 'Object.keys(JSON.parse(fs.readFileSync("package.json")).dependencies).join(" ")'); do
  grep -rqE "['\"]$name(/[^'\"]*)?['\"]" dist || rm -rf "$lib/node_modules/$name"
done
# A compiler is an optional peer of the configuration's schema library; the box needs none.
rm -rf "$lib"/node_modules/{@types,undici-types,typescript,@typescript}
find "$lib/node_modules" \( -name test -o -name tests -o -name test.js -o -name benchmarks \) -prune -exec rm -rf {} +
rm -rf "$lib"/node_modules/better-sqlite3/{deps,src,binding.gyp} "$lib"/node_modules/@serialport/bindings-cpp/{src,binding.gyp}
find "$lib/node_modules" -path '*/prebuilds/*' -name '*.node' ! -path "*linux-$cpu*" -delete
find "$lib/node_modules" -name '*musl*.node' -delete
find "$lib/node_modules" \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.[cm]ts' -o -name '*.md' -o -name '*.c' -o -name '*.h' \) -type f -delete
find "$lib/node_modules" -type d -empty -delete
# Register lists of Modbus devices, where the box looks for them: beside dist.
mkdir -p "$lib/deploy"
cp -r deploy/modbus "$lib/deploy/"

cat > "$root/usr/bin/petiole" <<'WRAPPER'
#!/bin/sh
exec /usr/lib/petiole/bin/node /usr/lib/petiole/dist/main.js "$@"
WRAPPER
chmod 755 "$root/usr/bin/petiole"
install -m 644 systemd/petiole.service "$root/lib/systemd/system/petiole.service"
install -m 644 systemd/petiole-backup.service systemd/petiole-backup.timer "$root/lib/systemd/system/"
install -m 755 deploy/debian/backup.sh "$lib/backup.sh"
mkdir -p "$root/usr/sbin"
install -m 755 deploy/debian/factory-reset.sh "$root/usr/sbin/petiole-factory-reset"
install -m 644 systemd/petiole.sysusers.conf "$root/usr/lib/sysusers.d/petiole.conf"
install -m 644 systemd/petiole.tmpfiles.conf "$root/usr/lib/tmpfiles.d/petiole.conf"
install -m 644 systemd/petiole.modules-load.conf "$root/usr/lib/modules-load.d/petiole.conf"
install -m 644 systemd/70-petiole.rules "$root/lib/udev/rules.d/70-petiole.rules"
sed 's#^  data: \./data#  data: /var/lib/petiole#' deploy/petiole.example.yaml > "$root/etc/petiole/petiole.yaml"
chmod 640 "$root/etc/petiole/petiole.yaml"
cp "$root/etc/petiole/petiole.yaml" "$lib/petiole.yaml"
install -m 644 README.md deploy/petiole.example.yaml "$root/usr/share/doc/petiole/"
gzip -9nc CHANGELOG.md > "$root/usr/share/doc/petiole/changelog.gz"
mkdir -p "$root/usr/share/man/man1" "$root/usr/share/bash-completion/completions"
for text in manual 'completion bash'; do
  # shellcheck disable=SC2086
  PATH=$PWD/node_modules/.bin:$PATH node dist/main.js $text > "$stage/${text%% *}"
done
gzip -9nc "$stage/manual" > "$root/usr/share/man/man1/petiole.1.gz"
install -m 644 "$stage/completion" "$root/usr/share/bash-completion/completions/petiole"
# Ours, and the licences of everything that comes along.
{
  cat LICENSE
  find "$lib/node_modules" -iname 'licen[cs]e*' -type f | sort | while read -r file; do
    printf '\n\n==== %s ====\n\n' "${file#"$lib/node_modules/"}"
    cat "$file"
  done
} > "$root/usr/share/doc/petiole/copyright"

for script in postinst prerm postrm; do install -m 755 "deploy/debian/$script" "$root/DEBIAN/$script"; done
echo /etc/petiole/petiole.yaml > "$root/DEBIAN/conffiles"
cat > "$root/DEBIAN/control" <<CONTROL
Package: petiole
Version: $version
Architecture: $arch
Maintainer: Petiole <maintainers@petiole.invalid>
Installed-Size: $(du -sk "$root" | cut -f1)
Depends: libc6 (>= 2.28), libstdc++6, systemd (>= 247), adduser
Recommends: ca-certificates
Section: net
Priority: optional
Description: leaf-node broker for edge gateways
 Sensors reach it by MQTT or serial, local programs by any NATS client. It keeps
 everything in SQLite while the link is down, and syncs it exactly once into the
 JetStream streams of a NATS cluster.
CONTROL

find "$root" -type d -exec chmod 755 {} +
find "$lib" -type f -perm /111 -exec chmod 755 {} + -o -type f -exec chmod 644 {} +
find "$root" -newermt "@$SOURCE_DATE_EPOCH" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
mkdir -p "$out"
dpkg-deb --root-owner-group -Zxz --build "$root" "$out/petiole_${version}_$arch.deb" > /dev/null
echo "$out/petiole_${version}_$arch.deb"
