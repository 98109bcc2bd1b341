# What the host must have; every missing package is named at once.

require_programs() {
  local missing=()
  [ "$(uname -m)" = x86_64 ] || fail 'the machine is an emulated x86-64 one and runs this host'"'"'s programs: needs an x86-64 host'
  [ "$(id -u)" = 0 ] || fail 'needs root on the host, to share its whole file system with the machine: run it with sudo'
  has qemu-system-x86_64 || missing+=(qemu-system-x86)
  virtiofsd=$(find_virtiofsd) || missing+=("$(virtiofsd_package)")
  has busybox && is_static "$(command -v busybox)" || missing+=(busybox-static)
  has cpio || missing+=(cpio)
  has modprobe || missing+=(kmod)
  has mke2fs || missing+=(e2fsprogs)
  has newuidmap || missing+=(uidmap)
  if [ $systemd = 1 ]; then
    [ -x /lib/systemd/systemd ] || missing+=(systemd)
    has dbus-daemon || missing+=(dbus)
    [ -e /usr/lib/systemd/user/dbus.socket ] || missing+=(dbus-user-session)
    [ -n "$(find /lib/*/security /usr/lib/*/security -name pam_systemd.so -print -quit 2>/dev/null)" ] || missing+=(libpam-systemd)
  fi
  [ ${#missing[@]} = 0 ] || fail "missing here: apt-get install --no-install-recommends ${missing[*]}"
}

has() { PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null; }
is_static() { ! grep -aq /lib64/ld-linux "$1"; }

# Debian 12 has the one of qemu, later releases have one of their own, with other options.
find_virtiofsd() {
  local program
  for program in /usr/libexec/virtiofsd /usr/lib/qemu/virtiofsd; do
    [ ! -x $program ] || { echo $program; return 0; }
  done
  return 1
}
virtiofsd_package() {
  if apt-cache show virtiofsd >/dev/null 2>&1; then echo virtiofsd; else echo qemu-system-common; fi
}
