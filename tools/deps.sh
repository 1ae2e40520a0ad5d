#!/bin/sh
# SPDX-License-Identifier: MIT
#
# deps.sh - which programs the goals need, which are missing, and who has them.
#
#   deps.sh install [GOAL...]   installs what is missing for the goals (Debian, Ubuntu)
#   deps.sh doctor              names each missing piece; false if one is needed
#   deps.sh need PIECE...       one clear error if a piece (program or file) is not there
#
# Needs sh and, to install, apt-get: on a bare machine there is no more.
set -eu

# goals|piece|package|what for|what one sees without it
#   goals: build iso run bochs tour debug memview web test bench llvm; + before a piece: better with it, possible without
#   piece: a program; a file when it has a slash; "import MODULE" for Python, "include HEADER" and
#   "link FLAG" for the host compiler, "fuzz FLAG" for clang with libFuzzer, "grub PLATFORM" for its
#   modules; alternatives with a comma
table() {
    cat <<'END'
build|gcc|gcc|compiles the kernel|gcc: not found
build|ld|binutils|links it|ld: not found
build|nasm|nasm|assembles the entry and the traps|nasm: not found
build|/usr/share/consolefonts/Lat15-Terminus16.psf.gz|console-setup-linux|the letters of the framebuffer console|no rule to make font.psf
iso|grub-mkimage,grub2-mkimage|grub-common|makes the boot loader of the image|grub-mkimage: not found (named grub2-mkimage on Fedora and Gentoo)
iso|grub-file,grub2-file|grub-common|asks whether a loader would accept the kernel|grub-file: not found
iso|grub i386-pc|grub-pc-bin|lets a BIOS boot the image|Boot failed: Could not read from CDROM (code 0009)
iso|grub x86_64-efi|grub-efi-amd64-bin|lets UEFI x64 boot the image|UEFI shell instead of the kernel
iso|grub i386-efi|grub-efi-ia32-bin|lets UEFI ia32 boot the image|UEFI shell instead of the kernel
iso|xorriso|xorriso|writes the image|xorriso: not found, or: Could not read from CDROM (code 0004)
iso|mformat|mtools|makes the UEFI volume in the image|`mformat` invocation failed
run|qemu-system-i386|qemu-system-x86|the machine that make run starts|qemu-system-i386: not found
run|qemu-system-x86_64|qemu-system-x86|the machine that make run starts|qemu-system-x86_64: not found
bochs|bochs|bochs|the other machine, with a debugger|bochs: not found
bochs|/usr/share/bochs/BIOS-bochs-latest|bochsbios|its BIOS|ROM: couldn't open ROM image file
bochs|/usr/share/bochs/VGABIOS-lgpl-latest|vgabios|its VGA BIOS|ROM: couldn't open ROM image file
bochs|/usr/lib/*/bochs/plugins/libbx_term_gui.so,/usr/lib/bochs/plugins/libbx_term_gui.so|bochs-term|its screen in the terminal, and no screen at all|display library 'term' not available
tour|python3|python3|leads the tour that make bochs is|python3: not found
tour|import pexpect|python3-pexpect|talks to Bochs' debugger|No module named pexpect
tour|import elftools|python3-pyelftools|knows the kernel's names and lines|No module named elftools
web|node,nodejs|nodejs|runs v86 without a browser|node: not found
web|npm|npm|fetches v86, by version and hash|npm: not found
web|/usr/share/seabios/bios.bin|seabios|the BIOS of the machine in the page|No such file: bios.bin
web|/usr/share/seabios/vgabios-stdvga.bin|seabios|its VGA BIOS|No such file: vgabios-stdvga.bin
test|+chromedriver|chromium-driver|types and clicks in it|no chromedriver found
test|import selenium|python3-selenium|tells it what to do|No module named selenium
debug|gdb|gdb|steps through the kernel|gdb: not found
memview|import elftools|python3-pyelftools|reads the kernel's debug information, also for gdb|No module named elftools
test|python3|python3|runs the tests|python3: not found
test|import pytest|python3-pytest|runs the boot tests|No module named pytest
test|import xdist|python3-pytest-xdist|runs two machines at a time|unrecognized arguments: -n
test|import pexpect|python3-pexpect|types into the shell|No module named pexpect
test|import hypothesis|python3-hypothesis|makes up memory maps|No module named hypothesis
test|chromium,chromium-browser,google-chrome|chromium|opens our pages, without a screen|chromium is not installed, so the page was not opened
test|include cmocka.h|libcmocka-dev|unit tests|cmocka.h: No such file or directory
test|include stdio.h|libc6-dev|host programs|stdio.h: No such file or directory
test|link -m32|gcc-multilib|unit tests in 32 bits|cannot find -lgcc, or bits/libc-header-start.h: No such file
test|clang|clang|compiles the fuzz targets|clang: not found
test|fuzz -m64|libclang-rt-dev|libFuzzer and the sanitizers for them|cannot find libclang_rt.fuzzer-x86_64.a
test|fuzz -m32|g++-multilib|libFuzzer in 32 bits|cannot find -lstdc++
test|clang-19|clang-19|counts what the unit tests reach: make coverage|clang-19: not found
test|llvm-cov-19|llvm-19|tells it|llvm-cov-19: not found
test|/usr/lib/llvm-19/lib/clang/19/lib/linux/libclang_rt.profile-i386.a|libclang-rt-19-dev|counts in both widths|cannot find libclang_rt.profile-i386.a
test|+frama-c|frama-c-base|proves what tests/proof states|the proofs are skipped
test|+why3|why3|asks the provers|the proofs are skipped
test|+z3|z3|a prover|the proofs are skipped
test|+cvc4|cvc4|another prover|the proofs are skipped
test|/usr/share/ovmf/OVMF.fd|ovmf|UEFI x64 for QEMU|qemu: could not load PC BIOS 'OVMF.fd'
test|/usr/share/OVMF/OVMF32_CODE_4M.secboot.fd|ovmf-ia32|UEFI ia32 for QEMU|Could not open 'OVMF32_CODE_4M.secboot.fd'
bench|+valgrind|valgrind|counts what the heaps cost|valgrind is absent: instructions are not counted
bench|+/usr/lib/*/libmimalloc.so.[23],/usr/lib64/libmimalloc.so.[23]|libmimalloc2.0|a heap beside ours|mimalloc is absent
bench|+/usr/lib/*/libjemalloc.so.2,/usr/lib64/libjemalloc.so.2|libjemalloc2|a heap beside ours|jemalloc is absent
llvm|clang|clang|compiles the kernel with LLVM=1|clang: not found
llvm|ld.lld|lld|links it with LLVM=1|ld.lld: not found
llvm|llvm-nm|llvm|reads its symbols with LLVM=1|llvm-nm: not found
END
    [ -z "${DISPLAY-}${WAYLAND_DISPLAY-}" ] || cat <<'END'
run|+/usr/lib/*/qemu/ui-gtk.so,/usr/lib/qemu/ui-gtk.so,/usr/lib64/qemu-kvm/ui-gtk.so|qemu-system-gui|a window, as there is a display|gtk initialization failed
bochs|+/usr/lib/*/bochs/plugins/libbx_x_gui.so,/usr/lib/bochs/plugins/libbx_x_gui.so|bochs-x|a window, as there is a display|display library 'x' not available
END
}

there_one() {
    case $1 in
    "import "*) "${PYTHON:-/usr/bin/python3}" -c "$1" ;;
    "include "*) echo "#include <${1#* }>" | gcc -E - ;;
    "link "*) echo 'int main(void) { return 0; }' | gcc "${1#* }" -x c - -o /dev/null ;;
    "fuzz "*) echo 'int LLVMFuzzerTestOneInput(void) { return 0; }' |
        clang "${1#* }" -fsanitize=fuzzer,address,undefined -x c - -o /dev/null ;;
    "grub "*) ls -d /usr/lib/grub/"${1#* }" /usr/lib64/grub/"${1#* }" /usr/share/grub*/"${1#* }" |
        grep . ;;
    /*) ls -d $1 ;; # may hold a star
    *) command -v "$1" ;;
    esac >/dev/null 2>&1
}

# Is any of the alternatives there?
there() {
    rest=$1,
    while [ -n "$rest" ]; do
        there_one "${rest%%,*}" && return
        rest=${rest#*,}
    done
    return 1
}

# What each goal leans on.
groups_of() {
    groups=
    for goal; do
        case $goal in
        kernel) groups="$groups build" ;;
        iso) groups="$groups build iso" ;;
        run) groups="$groups build iso run" ;;
        bochs | bochs-tour) groups="$groups build iso bochs tour" ;;
        debug) groups="$groups build iso run debug memview" ;;
        memview) groups="$groups build iso run memview" ;;
        web) groups="$groups build iso web" ;;
        bench) groups="$groups build iso run test bench" ;;
        bench-host) groups="$groups build test bench" ;;
        fuzz) groups="$groups test" ;;
        doctor | help | clean) ;;
        *) groups="build iso run bochs tour debug memview web test llvm" && break ;;
        esac
    done
    echo "${groups:-build iso run bochs tour debug memview web test bench llvm}"
}

# Prints the rows of the given groups whose piece is missing.
missing() {
    wanted=" $* "
    table | while IFS='|' read -r group piece package purpose symptom; do
        case $wanted in *" $group "*) ;; *) continue ;; esac
        there "${piece#+}" || echo "$group|$piece|$package|$purpose|$symptom"
    done
}

# Those of the names that apt can install; the others are named, and the rest goes on without them.
known() {
    for name; do
        if apt-cache policy "$name" 2>/dev/null | grep -q 'Candidate: [^(]'; then
            echo "$name"
        else
            echo "deps: no package $name here" >&2
        fi
    done
}

install() {
    packages=$(missing $(groups_of "$@") | cut -d'|' -f3 | sort -u | tr '\n' ' ')
    if [ -z "$packages" ]; then
        echo "deps: everything is there"
        return
    fi
    if ! command -v apt-get >/dev/null; then
        echo "deps: no apt-get here; what Debian calls: $packages" >&2
        echo "deps: install the same by this system's own means; make doctor says what each is for" >&2
        exit 1
    fi
    sudo=
    if [ "$(id -u)" != 0 ]; then
        sudo=sudo
        command -v sudo >/dev/null || {
            echo "deps: as root: apt-get install --no-install-recommends $packages" >&2
            exit 1
        }
    fi
    echo "deps: installing $packages"
    # An index that cannot be refreshed may still do; the installation says so if not.
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get update -q || true
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $(known $packages)
    left=$(missing $(groups_of "$@") | grep -v '|+' | cut -d'|' -f2,3 || true)
    [ -z "$left" ] || {
        echo "deps: installed, and still not there (piece|package):" >&2
        echo "$left" >&2
        exit 1
    }
}

doctor() {
    bad=0
    for group in build iso run bochs tour debug memview web test bench llvm; do
        rows=$(missing $group)
        if [ -z "$rows" ]; then
            printf '  %-7s ok\n' $group
            continue
        fi
        if [ $group = llvm ] || ! echo "$rows" | grep -qv '|+'; then
            printf '  %-7s works; more is possible\n' $group
        else
            bad=1
            printf '  %-7s MISSING\n' $group
        fi
        echo "$rows" | while IFS='|' read -r _ piece package purpose symptom; do
            printf '         %s: %s\n' "${piece#+}" "$purpose"
            printf '           without it: %s\n           to get it:  apt-get install %s\n' \
                "$symptom" "$package"
        done
    done
    [ $bad = 0 ] && echo "doctor: all that is needed is there" && return
    echo "doctor: 'make deps' installs what is missing (Debian, Ubuntu)"
    return 1
}

need() {
    for piece; do
        case $piece in
        -* | */ccache) continue ;;
        esac
        row=$(table | while IFS='|' read -r _ name package _; do
            case ",${name#+}," in *",$piece,"*) echo "${name#+}|$package" && break ;; esac
        done)
        there "$(echo "${row:-$piece}" | cut -d'|' -f1)" && continue
        echo "error: $piece is missing${row:+ (package ${row#*|})}" >&2
        echo "       'make doctor' names all that is missing, 'make deps' installs it" >&2
        exit 1
    done
}

command=$1
shift
case $command in
install | doctor | need) $command "$@" ;;
*) echo "usage: deps.sh install|doctor|need" >&2; exit 2 ;;
esac
