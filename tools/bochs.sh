#!/bin/sh
# SPDX-License-Identifier: MIT
#
# bochs.sh ISO KERNEL.elf CPU-MODEL - the kernel in Bochs, which checks more than QEMU does.
#
# Goes on by itself: no black window that waits for a command. STEP=symbol stops there first, at the
# debugger's prompt, with the kernel's names loaded; STEP=1 is the kernel's first instruction. MEM
# as for QEMU; DISPLAY_LIBRARY overrides the screen that is found; BOCHS_ARGS are further words for
# bochs. PROMPT_ON_PIPE=1 leaves the debugger's prompt to the program on the other end (tools/tour).
set -eu

iso=$1 kernel=$2 model=$3
out=$(dirname "$iso")
: "${NM=nm}" "${BOCHS=bochs}" "${STEP=}" "${BOCHS_ARGS=}" "${PROMPT_ON_PIPE=}"
[ "$STEP" != 1 ] || STEP=_start

case ${MEM:-128M} in
*G | *g) megs=$((${MEM%?} * 1024)) ;;
*) megs=${MEM:-128M} && megs=${megs%[Mm]} ;;
esac

# A window if there is a display, else the terminal (Bochs draws the screen on a pty of its own then).
# Not wx, which Debian installs with Bochs: 2.7 falls in GTK as soon as its debugger runs beside it.
plugin() {
    ls -d /usr/lib/*/bochs/plugins/libbx_"$1"_gui.so /usr/lib*/bochs/plugins/libbx_"$1"*.so \
        /usr/local/lib/bochs/plugins/libbx_"$1"*.so 2>/dev/null | grep -q .
}
library=${DISPLAY_LIBRARY-}
if [ -z "$library" ]; then
    library=term
    [ -z "${DISPLAY-}${WAYLAND_DISPLAY-}" ] || ! plugin sdl2 || library=sdl2
    [ -z "${DISPLAY-}" ] || ! plugin x || library=x
    [ $library != term ] || plugin term || {
        echo "error: bochs has no screen plugin for the terminal (package bochs-term); see make doctor" >&2
        exit 1
    }
fi

# With somebody at the terminal, and no debugger asked for, the serial line is here, as with QEMU;
# else it goes to a file. Bochs takes every key for the guest, so one is set aside to leave with.
here=
if [ -t 0 ] && [ -t 1 ] && [ -z "$STEP$PROMPT_ON_PIPE" ]; then
    here=$(tty)
    com1="mode=term, dev=$here"
else
    com1="mode=file, dev=\"$out/bochs-serial.txt\""
fi

help=$("$BOCHS" --help 2>&1 || true)
version=$(echo "$help" | sed -n 's/.*Bochs x86 Emulator \([0-9]*\)\..*/\1/p' | head -n 1)
debugger=$(echo "$help" | grep -c -e ' -rc ' -e '-rc filename' || true)

"$NM" "$kernel" | awk '{ print $1 " " $3 }' >"$out/bochs.sym"
{
    cat <<END
config_interface: textconfig
display_library: $library
megs: $megs
cpu: model=$model, count=1, ips=50000000, reset_on_triple_fault=0
ata0-master: type=cdrom, path="$iso", status=inserted
boot: cdrom
magic_break: enabled=1
port_e9_hack: enabled=0
com1: enabled=1, $com1
clock: sync=none, time0=local
sound: waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
print_timestamps: enabled=0
log: $out/bochs.log
panic: action=fatal
END
    [ "$debugger" = 0 ] || echo "debug_symbols: file=$out/bochs.sym"
} >"$out/bochsrc"

set -- -q -f "$out/bochsrc"
if [ "$debugger" != 0 ]; then
    [ "${version:-2}" -lt 3 ] || set -- "$@" -dbg
    if [ -z "$PROMPT_ON_PIPE" ]; then
        { [ -z "$STEP" ] || echo "lb \"$STEP\""; echo c; } >"$out/bochs.rc"
        set -- "$@" -rc "$out/bochs.rc"
    fi
elif [ -n "$STEP$PROMPT_ON_PIPE" ]; then
    echo "error: this bochs has no debugger; the tour and STEP= need one" >&2
    exit 1
fi

rm -f "$out/bochs-serial.txt"
# shellcheck disable=SC2086
[ -z "$PROMPT_ON_PIPE" ] || TERM=dumb exec "$BOCHS" "$@" $BOCHS_ARGS 2>"$out/bochs-stderr.txt"
if [ -n "$here" ]; then
    echo "Ctrl-] leaves Bochs"
    saved=$(stty -g)
    trap : QUIT
    { sleep 1 && stty isig intr undef susp undef quit '^]' <"$here"; } 2>/dev/null &
fi
# Its exit code says nothing of the kernel, so the verdict is read from the serial line.
# At the debugger's prompt nobody wants to read which plugins were loaded.
if [ -n "$STEP" ]; then
    echo "Bochs stops at $STEP, at its own prompt: help, r, creg, page ADDR, s, c, q"
    # shellcheck disable=SC2086
    TERM=${TERM:-dumb} "$BOCHS" "$@" $BOCHS_ARGS 2>"$out/bochs-stderr.txt" ||
        tail -n 5 "$out/bochs-stderr.txt" >&2
    exit
fi
# shellcheck disable=SC2086
TERM=${TERM:-dumb} "$BOCHS" "$@" $BOCHS_ARGS || true
[ -z "$here" ] || stty "$saved"
! grep -qs 'verdict fail' "$out/bochs-serial.txt"
