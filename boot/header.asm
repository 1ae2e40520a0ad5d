; SPDX-License-Identifier: MIT
;
; header.asm - what a Multiboot2 loader looks for (Multiboot2 3.1), in the first page of the image.
;
; No address tag: the ELF program headers say where everything goes. The framebuffer request is
; optional and without a size, so that a BIOS stays in text mode and UEFI gives what it has.

MAGIC         equ 0xe85250d6
ARCH_I386     equ 0                     ; 32-bit protected mode; there is no value for x86_64
TAG_END       equ 0
TAG_REQUEST   equ 1
TAG_ALIGNMENT equ 6
OPTIONAL      equ 1

section .multiboot2 align=8

header:
        dd MAGIC, ARCH_I386, header_end - header
        dd -(MAGIC + ARCH_I386 + (header_end - header)) & 0xffffffff

align 8
request_map:                            ; without a memory map there is nothing to do
        dw TAG_REQUEST, 0
        dd request_map_end - request_map
        dd 6
request_map_end:

align 8
request_more:                           ; modules, framebuffer, EFI map: when there are any
        dw TAG_REQUEST, OPTIONAL
        dd request_more_end - request_more
        dd 1, 3, 8, 17
request_more_end:

align 8
modules_aligned:                        ; on page boundaries, so that a frame has one owner
        dw TAG_ALIGNMENT, OPTIONAL
        dd 8

align 8
        dw TAG_END, 0
        dd 8
header_end:
