#!/bin/sh
# SPDX-License-Identifier: MIT
#
# qemu.sh run|debug QEMU ISO KERNEL.elf - the kernel in QEMU, serial line in this terminal.
#
# MEM, CPU, MACHINE, QEMU_ARGS and GDB_ARGS come in through the environment. The kernel's verdict becomes the
# exit code: isa-debug-exit gives 33 for pass (and 35 for fail), a reset or the monitor's quit 0.
set -eu

mode=$1 qemu=$2 iso=$3 kernel=$4
out=$(dirname "$iso")
here=$(dirname "$0")

set -- -machine "${MACHINE:-pc}" -m "${MEM:-128M}" -cpu "${CPU:-max}" -cdrom "$iso" -boot d \
    -device isa-debug-exit,iobase=0xf4,iosize=0x04 -debugcon "file:$out/e9.txt" -no-reboot
[ -n "${DISPLAY-}${WAYLAND_DISPLAY-}" ] && "$qemu" -display help | grep -qE '^(gtk|sdl|cocoa)' ||
    set -- "$@" -display none

if [ "$mode" = debug ]; then
    "$here/deps.sh" need gdb
    socket=$(mktemp -d)/gdb
    # shellcheck disable=SC2086 # QEMU_ARGS are words
    "$qemu" "$@" -serial "file:$out/serial.txt" -monitor none -S \
        -gdb "unix:$socket,server=on,wait=off" ${QEMU_ARGS-} &
    trap 'kill $! 2>/dev/null; rm -rf "$(dirname "$socket")"' EXIT
    for _ in 1 2 3 4 5 6 7 8 9 10; do [ -S "$socket" ] || sleep 0.2; done
    echo "QEMU waits at $socket; the console goes to $out/serial.txt"
    echo "c goes on to the instruction before paging (boot_before_paging), then to kernel_main"
    # shellcheck disable=SC2086 # GDB_ARGS are words
    gdb -q -nx "$kernel" -ex "target remote $socket" -x "$here/gdb/twinpage.gdb" \
        -x "$here/gdb/twinpage.py" -ex twinpage ${GDB_ARGS-}
    exit
fi

[ ! -t 0 ] || echo "Ctrl-A x leaves QEMU, Ctrl-A c is its monitor"
status=0
# shellcheck disable=SC2086
"$qemu" "$@" -serial mon:stdio ${QEMU_ARGS-} || status=$?
case $status in
33) exit 0 ;;
35) echo "run: the kernel's verdict is fail" >&2 && exit 1 ;;
esac
exit $status
