# The machine: its disks, the share of the host's file system, the emulator.

make_disks() {
  truncate -s 8G "$run/disk" &&
    PATH=$PATH:/usr/sbin:/sbin mke2fs -q -F -t ext4 -O ^has_journal,^resize_inode -E lazy_itable_init=1,nodiscard -m 0 "$run/disk" ||
    fail 'cannot make the disk'
  if [ "$swap" -gt 0 ]; then truncate -s "${swap}M" "$run/swap" || fail 'cannot make the swap disk'; fi
}

# In a mount namespace of its own the host's root is bound read-only, and with it what is mounted elsewhere and needed.
share_root() {
  local options=(--socket-path="$run/socket" --thread-pool-size=0)
  case $virtiofsd in
    */qemu/*) options+=(-o source="$run/root" -o cache=always -o sandbox=chroot -o no_writeback -f) ;;
    *) options+=(--shared-dir "$run/root" --cache always --sandbox chroot) ;;
  esac
  mkdir "$run/root"
  unshare --mount --propagation private bash -c '
    bind() { mount --bind "$1" "$to$2" && mount -o remount,bind,ro "$to$2"; }
    to=$1 directories=$2; shift 2
    bind / "" || exit 1
    device=$(stat -c %d /)
    for directory in $directories; do
      [ ! -d "$directory" ] || [ "$(stat -c %d "$directory")" = "$device" ] || bind "$directory" "$directory" || exit 1
    done
    exec setpriv --pdeathsig KILL "$@"
  ' share "$run/root" "/usr /etc /home /opt /var $cache $project $cwd ${seen[*]}" "$virtiofsd" "${options[@]}" >"$run/virtiofsd.log" 2>&1 &
  started+=($!)
  local waited=0
  until [ -S "$run/socket" ]; do
    kill -0 $! 2>/dev/null && [ $waited -lt 500 ] || fail "the host's file system cannot be shared: $(cat "$run/virtiofsd.log")"
    waited=$((waited + 1))
    sleep 0.02
  done
}

boot() {
  local console=(-display none) pids=() ended status machine
  mkfifo "$run/stdout" "$run/stderr"
  cat "$run/stdout" & pids=($!)
  cat "$run/stderr" >&2 & pids+=($!)
  started+=("${pids[@]}")
  [ $terminal = 0 ] || console+=(-chardev stdio,id=terminal,signal=off -device virtconsole,chardev=terminal,nr=0)
  machine=(qemu-system-x86_64
    -M microvm,memory-backend=memory -object "memory-backend-memfd,id=memory,size=${memory}M,share=on" -m "$memory"
    -smp "$cpus" -accel tcg,thread=multi,tb-size=512 -cpu max -nodefaults -no-user-config -no-reboot
    -global virtio-mmio.force-legacy=false
    -kernel "$kernel_image" -initrd "$run/initrd" -append "$(kernel_arguments)"
    -chardev "file,id=console,path=$run/console" -serial chardev:console
    -drive "if=none,id=disk,file=$run/disk,format=raw,cache=unsafe,discard=unmap" -device virtio-blk-device,drive=disk
    -chardev "socket,id=root,path=$run/socket" -device vhost-user-fs-device,chardev=root,tag=host
    -device virtio-rng-device -device virtio-serial-device,max_ports=8 "${console[@]}"
    -chardev "file,id=stdout,path=$run/stdout" -device virtserialport,chardev=stdout,nr=1
    -chardev "file,id=stderr,path=$run/stderr" -device virtserialport,chardev=stderr,nr=2
    -chardev "file,id=out,path=$run/out.tar" -device virtserialport,chardev=out,nr=3
    -chardev "file,id=status,path=$run/status" -device virtserialport,chardev=status,nr=4)
  [ "$swap" = 0 ] || machine+=(-drive "if=none,id=swap,file=$run/swap,format=raw,cache=unsafe" -device virtio-blk-device,drive=swap)
  if [ $terminal = 1 ]; then
    timeout --foreground -k 5 "$time_limit" setpriv --pdeathsig KILL "${machine[@]}" 2>"$run/qemu.log"
  else
    timeout -k 5 "$time_limit" setpriv --pdeathsig KILL "${machine[@]}" </dev/null >"$run/qemu.log" 2>&1 &
    started+=($!)
    wait $!
  fi
  ended=$?
  wait "${pids[@]}"
  [ $debug = 0 ] || cat "$run/console" >&2
  status=$(tail -n1 "$run/status" 2>/dev/null)
  if [ -n "$out" ] && [ -s "$run/out.tar" ]; then
    mkdir -p "$out" && tar -xf "$run/out.tar" -C "$out" --no-same-owner || fail "cannot write what came back to $out"
  fi
  case $status in
    '') ;;
    *) exit "$status" ;;
  esac
  case $ended in
    124 | 137) echo "vm: not done after $time_limit s (--timeout)" >&2; exit 124 ;;
  esac
  tail -n 25 "$run/console" "$run/qemu.log" >&2
  fail "the machine ended (status $ended) before the command did; the end of its console is above"
}

# The time stamp counter is the host's: measuring it, under emulation on a busy host, fails or hangs.
kernel_arguments() {
  local khz
  khz=$(awk '/^bogomips/ { printf "%d", $3 * 500; exit }' /proc/cpuinfo)
  echo "console=ttyS0 quiet loglevel=3 panic=-1 reboot=t mitigations=off nopti random.trust_cpu=on cryptomgr.notests" \
    "tsc_early_khz=$khz lpj=$((khz * 4)) tsc=reliable no_timer_check"
}
