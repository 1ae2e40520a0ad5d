# SPDX-License-Identifier: MIT
#
# ksyms.awk - nm -n output -> the C table that names code addresses in backtraces.
#
# Only functions between kernel_text_start and kernel_text_end. No arithmetic on addresses here:
# awk's numbers are too short for them, so the compiler subtracts.

function wanted(type, name) {
    if (type !~ /^[tTwW]$/ || name == "kernel_text_start" || name == "kernel_text_end")
        return 0
    # Local labels of assembly files have a dot; so have the compiler's clones, which are functions.
    return name !~ /\./ || name ~ /\.(part|constprop|isra|cold)(\.[0-9]+)?$/
}

{ address = "x" $1 }
$3 == "kernel_text_start" { base = address; literal = $1; inside = 1 }
$3 == "kernel_text_end" { inside = 0 }
inside && wanted($2, $3) && address != previous {
    offset[count] = $1
    name[count++] = $3
    previous = address
}

END {
    print "/* Made by tools/ksyms.awk. */"
    print "#include \"diag/ksyms.h\""
    print "#define AT(address) ((uint32_t)(0x##address##ull - 0x" (base ? literal : "0") "ull))"
    print "const uint32_t ksym_count = " count + 0 ";"
    print "const struct ksym ksym_table[] = {"
    for (i = 0; i < count; i++) {
        printf "    {AT(%s), %d},\n", offset[i], at
        at += length(name[i]) + 1
    }
    print "    {0, 0}};"
    print "const char ksym_names[] ="
    for (i = 0; i < count; i++)
        printf "    \"%s\\0\"\n", name[i]
    print "    \"\";"
}
