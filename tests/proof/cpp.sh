#!/bin/sh
# SPDX-License-Identifier: MIT
#
# cpp.sh IN OUT ARGUMENT... - the C preprocessor for Frama-C 25, which cannot read [[attributes]].
# They are deleted; nothing else is changed.
in=$1 out=$2
shift 2
gcc -E -C "$@" -o "$out" "$in" && sed -i 's/\[\[[a-z:_]*\]\]//g' "$out"
