#!/bin/sh
# SPDX-License-Identifier: MIT
#
# mkweb.sh ISO V86 OUT - a folder that any file server can serve: the page, v86, two BIOSes, our image.
#
# V86 is the unpacked npm package. Its BIOS images are not in it: they come from the package seabios,
# and each licence goes along as a file. Nothing in OUT points outside of OUT.
set -eu

iso=$1 v86=$2 out=$3
here=$(dirname "$0")
bios=/usr/share/seabios
"$here/deps.sh" need $bios/bios.bin $bios/vgabios-stdvga.bin

rm -rf "$out"
mkdir -p "$out/licences"
cp "$here"/../web/*.html "$here"/../web/*.css "$here"/../web/*.js "$here"/../web/package.json "$out"
cp "$v86/build/libv86.mjs" "$v86/build/v86.wasm" "$out"
cp $bios/bios.bin "$out/bios.bin"
cp $bios/vgabios-stdvga.bin "$out/vgabios.bin"
cp "$iso" "$out/twinpage-i386.iso"

cp "$here/../LICENSE" "$out/licences/twinpage.txt"
cp "$v86/LICENSE" "$out/licences/v86.txt"
cp /usr/share/doc/seabios/copyright "$out/licences/seabios.txt" 2>/dev/null ||
    echo 'SeaBIOS: GNU Lesser General Public License, version 3' >"$out/licences/seabios.txt"
