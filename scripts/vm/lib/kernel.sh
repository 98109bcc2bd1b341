# The kernel: one that is installed, or Debian's package unpacked into the cache (nothing is installed for it).
# Gives: version, modules_root (the directory that holds lib/modules/$version), kernel_image (an uncompressed one).

find_kernel() {
  local image
  version=$(ls /boot "$cache/kernel/boot" 2>/dev/null | sed -n 's/^vmlinuz-//p' | grep -F -- "$kernel_filter" | sort -V | tail -n1)
  if [ -z "$version" ]; then
    fetch_kernel
    version=$(ls "$cache/kernel/boot" | sed -n 's/^vmlinuz-//p' | grep -F -- "$kernel_filter" | sort -V | tail -n1)
  fi
  modules_root=$cache/kernel
  [ -e "$modules_root/boot/vmlinuz-$version" ] || modules_root=
  image=$modules_root/boot/vmlinuz-$version
  [ -r "$image" ] || fail "cannot read the kernel $image"
  kernel_image=$cache/vmlinux-$version
  [ "$kernel_image" -nt "$image" ] || unpack_image "$image" "$kernel_image"
}

# The package linux-image-FILTER names the newest kernel of that kind by what it depends on.
fetch_kernel() {
  local package=linux-image-$kernel_filter
  echo "vm: fetching Debian's $package into $cache" >&2
  rm -rf "$cache/new" && mkdir "$cache/new" || fail "cannot write to $cache"
  download "$package" || { apt-get update -qq >/dev/null && download "$package"; } ||
    fail "cannot fetch the package $package: is the archive reachable, and does it have such a kernel?"
  (
    cd "$cache/new" && dpkg-deb -x ./*.deb . && rm ./*.deb &&
      # Later releases have the modules below /usr, and modprobe looks in /lib.
      { [ -d lib ] || ln -s usr/lib lib; } &&
      PATH=$PATH:/usr/sbin:/sbin depmod -b . "$(ls boot | sed -n 's/^vmlinuz-//p')"
  ) || fail "cannot unpack the package $package in $cache/new"
  rm -rf "$cache/kernel"
  mv -T "$cache/new" "$cache/kernel"
}
download() {
  local real
  real=$(apt-cache depends "$1" 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n1)
  (cd "$cache/new" && apt-get download -q -o APT::Sandbox::User=root "${real:-$1}" >/dev/null)
}

# A bzImage holds the kernel as a compressed ELF file, which starts without firmware; decompressing it in the emulator
# takes longer than all else. Where it lies is told by the boot header (the kernel's Documentation/arch/x86/boot.rst).
unpack_image() {
  local image=$1 to=$2 sectors offset length start
  sectors=$(number "$image" 497 1)
  offset=$(number "$image" 584 4)
  length=$(number "$image" 588 4)
  start=$(((sectors + 1) * 512 + offset + 1))
  payload() { tail -c +$start "$image" | head -c "$1"; }
  # The last four bytes are the length, which not every decompressor takes.
  case $(payload 4 | od -An -tx1 | tr -d ' ') in
    fd377a58) unpacker xz xz-utils && payload "$length" | xz -dcq >"$to.new" 2>/dev/null ;;
    28b52ffd) unpacker zstd zstd && payload $((length - 4)) | zstd -dcq >"$to.new" ;;
    02214c18) unpacker lz4 lz4 && payload $((length - 4)) | lz4 -dcq >"$to.new" ;;
    1f8b*) payload "$length" | gzip -dcq >"$to.new" 2>/dev/null ;;
    *) fail "$image is compressed in an unknown way" ;;
  esac
  [ "$(head -c 4 "$to.new" | od -An -c | tr -d ' ')" = 177ELF ] || fail "$image does not hold an ELF kernel"
  mv "$to.new" "$to"
}
number() { od -An -tu"$3" -j "$2" -N "$3" "$1" | tr -d ' '; }
unpacker() { has "$1" || fail "missing here: apt-get install $2"; }
