# SPDX-License-Identifier: MIT
#
# twinpage.gdb - what `make debug` loads: where to stop, and words for looking at paging.

set pagination off
set disassemble-next-line on
hbreak boot_before_paging
hbreak kernel_main

define where-is
    eval "monitor gva2gpa %#lx", (unsigned long) $arg0
end
document where-is
where-is ADDRESS: the physical address, by the CPU's own page walk.
end

define mappings
    monitor info mem
end
document mappings
mappings: what is mapped now, neighbours merged, with user/read/write.
end

define here
    monitor x /6i $pc
end
document here
here: the next instructions as the CPU sees them; in the 32-bit part of a 64-bit kernel gdb cannot.
end

echo \n
echo c            on to the instruction before paging (boot_before_paging), then to kernel_main\n
echo where-is A   physical address of A        mappings   all that is mapped        here   code\n
