# SPDX-License-Identifier: MIT
#
# ksyms.awk - nm -n output -> the C table that names code addresses in backtraces.
#
# Only functions in [kernel_text_start, kernel_text_end). Addresses stay strings of equal length
# (the x keeps awk from taking them for numbers, which are too short for them), so they compare
# right; the compiler subtracts.

# Local labels of assembly files have a dot; so have the compiler's clones, which are functions.
function is_function(type, name) {
    return type ~ /^[tTwW]$/ && name !~ /^kernel_text_(start|end)$/ &&
           (name !~ /\./ || name ~ /\.(part|constprop|isra|cold)(\.[0-9]+)?$/)
}

BEGIN { count = at = 0 }
$3 == "kernel_text_start" { start = "x" $1 }
$3 == "kernel_text_end" { end = "x" $1 }
is_function($2, $3) && "x" $1 != address[count - 1] { address[count] = "x" $1; name[count++] = $3 }

END {
    print "/* Made by tools/ksyms.awk. */"
    print "#include \"diag/ksyms.h\""
    print "#define AT(address) ((uint32_t)(0##address##ull - 0" (start ? start : "x0") "ull))"
    print "const struct ksym ksym_table[] = {"
    for (i = 0; i < count; i++) {
        if (address[i] < start || address[i] >= end)
            continue
        printf "    {AT(%s), %d},\n", address[i], at
        names = names "    \"" name[i] "\\0\"\n"
        at += length(name[i]) + 1
        kept++
    }
    print "    {0, 0}};"
    print "const uint32_t ksym_count = " kept + 0 ";"
    print "const char ksym_names[] =\n" names "    \"\";"
}
