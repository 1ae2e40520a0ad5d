#!/bin/sh
# SPDX-License-Identifier: MIT
#
# mkiso.sh KERNEL.elf GRUB.CFG OUT.iso - a small hybrid image: BIOS, UEFI x64, UEFI ia32; CD or stick.
#
# GRUB with only the modules that are used, made here by grub-mkimage instead of grub-mkrescue: 1.7
# instead of 22 MB, and nothing in it depends on the day, the directory or the machine, so the same
# kernel gives the same bytes. STRIP and CMDLINE come in through the environment.
set -eu

kernel=$1 cfg=$2 out=$3
: "${CMDLINE=}" "${STRIP=strip}" "${SOURCE_DATE_EPOCH:=1735689600}"
export SOURCE_DATE_EPOCH CMDLINE TZ=UTC LC_ALL=C

here=$(dirname "$0")
work=$out.tmp
rm -rf "$work"
mkdir -p "$work/iso/boot/grub" "$work/efi"
trap 'rm -rf "$work"' EXIT

"$here/deps.sh" need xorriso mformat grub-mkimage
mkimage=$(command -v grub-mkimage || command -v grub2-mkimage)

# Runs quietly; shows what was said only when it failed.
quietly() {
    "$@" >"$work/log" 2>&1 && return
    cat "$work/log" >&2
    echo "error: $1 failed; make doctor looks for what is missing" >&2
    exit 1
}

# The words of CMDLINE go in as they are: GRUB splits and quotes them as a shell does.
"$STRIP" --strip-debug -o "$work/iso/boot/twinpage.elf" "$kernel"
awk '{ at = index($0, "@CMDLINE@")
       print at ? substr($0, 1, at - 1) ENVIRON["CMDLINE"] substr($0, at + 9) : $0 }' \
    "$cfg" >"$work/iso/boot/grub/grub.cfg"

# What GRUB runs before that file: find the medium. Under UEFI it starts in the small FAT volume.
printf '%s\n' 'search --set=root --file /boot/twinpage.elf' 'set prefix=($root)/boot/grub' \
    >"$work/start.cfg"
modules="normal configfile iso9660 fat part_msdos part_gpt search search_fs_file test multiboot2 boot"

modules_of() {
    for d in /usr/lib/grub /usr/lib64/grub /usr/share/grub /usr/share/grub2 /usr/local/lib/grub; do
        [ -f "$d/$1/modinfo.sh" ] && echo "$d/$1" && return
    done
    return 1
}

# core PLATFORM FORMAT OUTPUT MODULES...; false when GRUB for that platform is not installed.
core() {
    platform=$1 format=$2 output=$3
    shift 3
    dir=$(modules_of "$platform") || return 1
    quietly "$mkimage" -d "$dir" -O "$format" -p /boot/grub -c "$work/start.cfg" -o "$output" \
        $modules "$@"
}

set -- # what xorriso is told of the boot images
if core i386-pc i386-pc-eltorito "$work/iso/boot/grub/core.img" biosdisk; then
    set -- -b boot/grub/core.img -no-emul-boot -boot-load-size 4 -boot-info-table \
        --grub2-boot-info --grub2-mbr "$dir/boot_hybrid.img"
else
    echo "warning: no GRUB for BIOS here (package grub-pc-bin): the image boots by UEFI only" >&2
fi

efi=
core x86_64-efi x86_64-efi "$work/efi/BOOTX64.EFI" efi_gop efi_uga && efi="$efi $work/efi/BOOTX64.EFI" ||
    echo "warning: no GRUB for UEFI x64 here (package grub-efi-amd64-bin)" >&2
core i386-efi i386-efi "$work/efi/BOOTIA32.EFI" efi_gop efi_uga && efi="$efi $work/efi/BOOTIA32.EFI" ||
    echo "warning: no GRUB for UEFI ia32 here (package grub-efi-ia32-bin)" >&2
if [ -n "$efi" ]; then
    kib=$(du -ck --apparent-size $efi | awk 'END { print int(($1 + 64 + 31) / 32) * 32 }')
    quietly mformat -i "$work/efi.img" -C -T $((kib * 2)) -h 2 -s 32 -N 54574e50 -v EFI ::
    quietly mmd -i "$work/efi.img" ::/EFI ::/EFI/BOOT
    quietly mcopy -i "$work/efi.img" $efi ::/EFI/BOOT
    # one copy only: the appended partition is also what El Torito points to
    set -- "$@" -eltorito-alt-boot -e --interval:appended_partition_2:all:: -no-emul-boot \
        -append_partition 2 0xef "$work/efi.img" -appended_part_as_gpt
fi
[ $# -gt 0 ] || { echo "error: no GRUB at all; make deps installs it" >&2; exit 1; }

stamp=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y%m%d%H%M%S00 2>/dev/null ||
    date -u -r "$SOURCE_DATE_EPOCH" +%Y%m%d%H%M%S00)
quietly xorriso -as mkisofs -R -V TWINPAGE -o "$work/out.iso" \
    --modification-date="$stamp" --set_all_file_dates "$stamp" "$@" "$work/iso"
mv "$work/out.iso" "$out"
