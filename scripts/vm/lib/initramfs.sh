# The first file system of the machine: busybox, kernel modules, guest/, and what this run is about.

boot_modules='virtio_mmio virtio_blk virtio_console virtio_rng crc32c_generic crc32c_intel ext4 overlay fuse virtiofs tun'

make_initramfs() {
  local root=$run/initramfs
  mkdir -p "$root"/{bin,proc,sys,dev,modules,host,disk,root}
  cp "$(command -v busybox)" "$root/bin/busybox"
  ln -s busybox "$root/bin/sh"
  copy_modules "$root/modules"
  cp -a "$here/guest" "$root/vm"
  mv "$root/vm/init" "$root/init"
  write_settings >"$root/vm/settings"
  write_command "$@" >"$root/vm/command"
  write_etc "$root/vm/etc"
  chmod -R go=u,go-w "$root/vm"
  chmod 755 "$root/vm/command"
  chmod 640 "$root/vm/etc/shadow"
  (cd "$root" && find . | cpio -o -H newc -R 0:0 --quiet) >"$run/initrd" || fail 'cannot make the initramfs'
}

# In the order in which they are loaded.
copy_modules() {
  local name file
  for name in $boot_modules; do
    PATH=$PATH:/usr/sbin:/sbin modprobe -d "${modules_root:-/}" -S "$version" --show-depends "$name" || fail "the kernel $version has no $name"
  done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' | while read -r file; do
    name=$(basename "$file" | sed 's/\.ko.*/.ko/')
    case $file in
      *.xz) xz -dc "$file" ;;
      *.zst) zstd -dcq "$file" ;;
      *) cat "$file" ;;
    esac >"$1/$name" || fail "cannot unpack $file"
    echo "$name" >>"$1/order"
  done
}

# Read by the shells of guest/.
write_settings() {
  printf '%s=%q\n' as "$as" systemd "$systemd" terminal "$terminal" project "$project" seen "$project $cwd ${seen[*]}" modules "$modules" swap "$swap" \
    version "$version" modules_root "$modules_root" size "$(stty size 2>/dev/null | sed 's/\(.*\) \(.*\)/rows \1 cols \2/')"
}

# The command with its surroundings: nothing of the host's environment but what was asked for.
write_command() {
  local variable
  echo '#!/bin/bash'
  for variable in CI "${variables[@]}"; do
    case $variable in
      *=*) printf 'export %s=%q\n' "${variable%%=*}" "${variable#*=}" ;;
      *) [ -z "${!variable+set}" ] || printf 'export %s=%q\n' "$variable" "${!variable}" ;;
    esac
  done
  printf 'umask 022\ncd %q || exit 125\n' "$cwd"
  printf 'exec'
  printf ' %q' "$@"
  echo
}

# Over the host's /etc: a user 1000 of the machine's own, with subordinate ids, and a name of its own.
write_etc() {
  mkdir -p "$1"
  { grep -vE '^(user:|[^:]*:[^:]*:1000:)' /etc/passwd; echo 'user:x:1000:1000::/home/user:/bin/bash'; } >"$1/passwd"
  { grep -vE '^(user:|[^:]*:[^:]*:1000:)' /etc/group; echo 'user:x:1000:'; } >"$1/group"
  sed 's/:.*/:*:20000:0:99999:7:::/' "$1/passwd" >"$1/shadow"
  echo user:100000:65536 | tee "$1/subuid" >"$1/subgid"
  echo runts-vm >"$1/hostname"
  printf '127.0.0.1 localhost runts-vm\n::1 localhost\n' >"$1/hosts"
  echo 0123456789abcdef0123456789abcdef >"$1/machine-id"
  : >"$1/fstab"
  : >"$1/resolv.conf"
}
