# SPDX-License-Identifier: MIT
#
# klines.awk - objdump -d -l -j .text output -> the C bytes that give code addresses file and line.
#
# GNU and LLVM objdump both print a line "path:number" (LLVM behind "; ") wherever the source of the
# instructions below it changes; the head of a function without one (assembly) ends what came
# before. klines.c says how a row is packed. Addresses differ in their last eight digits only.

function hex(digits,    i, value) {
    value = 0
    for (i = length(digits) > 8 ? length(digits) - 7 : 1; i <= length(digits); i++)
        value = value * 16 + index("0123456789abcdef", substr(digits, i, 1)) - 1
    return value
}

function put(byte) {
    bytes = bytes byte ","
    if (++size % 20 == 0)
        bytes = bytes "\n    "
}

function put_number(value) {
    while (value > 127) {
        put(128 + value % 128)
        value = int(value / 128)
    }
    put(value)
}

function number_of(name) {
    if (!(name in number)) {
        number[name] = ++files
        names = names "\n    \"" name "\\0\""
    }
    return number[name]
}

function put_row(offset, new_file, new_line,    step, way, delta) {
    step = offset - at_offset
    delta = new_line - at_line
    if (new_file != at_file)
        way = 7
    else if (delta < -2 || delta > 3)
        way = 6
    else
        way = delta + 2
    put(way * 32 + (step < 32 ? step : 0))
    if (step == 0 || step >= 32) # 0: the first row alone
        put_number(step)
    if (way == 7)
        put(new_file)
    if (way >= 6)
        put_number(way == 7 ? new_line : delta < 0 ? -2 * delta - 1 : 2 * delta)
    at_offset = offset
    at_file = new_file
    at_line = new_line
}

BEGIN { size = files = at_offset = at_file = at_line = 0 }

/^[0-9a-f]+ <.*>:$/ { file = line = 0; next }

/^(; )?[^ ]+:[0-9]+( .*)?$/ {
    sub(/^; /, "")
    sub(/ .*/, "")
    while (sub(/^\.\//, ""))
        continue
    line = $0
    sub(/.*:/, "", line)
    sub(/:[0-9]+$/, "")
    file = number_of($0)
    next
}

/^ *[0-9a-f]+:/ {
    sub(/:.*/, "")
    sub(/^ */, "")
    address = hex($0)
    if (start == "")
        start = address
    if (file != at_file || line + 0 != at_line)
        put_row(address - start, file + 0, line + 0)
}

END {
    print "/* Made by tools/klines.awk. */"
    print "#include \"diag/klines.h\""
    print "const uint8_t kline_bytes[] = {\n    " bytes "0};"
    print "const uint32_t kline_size = " size ";"
    print "const char kline_files[] =" names "\n    \"\";"
}
