# SPDX-License-Identifier: MIT
#
# twinpage.gdb - what `make debug` loads first: settings, and where to stop.

set pagination off
set confirm off
set disassemble-next-line on
# Memory changes behind gdb's back whenever the machine runs.
set stack-cache off
set code-cache off
hbreak boot_before_paging
hbreak kernel_main

define where-is
    eval "monitor gva2gpa %#lx", (unsigned long) $arg0
end
document where-is
Physical address of a virtual one, by QEMU's own page walk (twinpage).
Usage: where-is ADDRESS
An independent second opinion on `walk`.
end

define mappings
    monitor info mem
end
document mappings
What is mapped now, as QEMU sees it: neighbours merged, user/read/write (twinpage).
An independent second opinion on `ptdump`.
end

define here
    x /8i $pc
end
document here
The next eight instructions, in the mode in which the CPU will run them (twinpage).
end
