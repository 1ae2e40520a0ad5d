; SPDX-License-Identifier: MIT
;
; entry32.asm - from the loader to C on i386: copy the boot information, turn paging on, jump high.
;
; At entry (Multiboot2 3.3): 32-bit protected mode, paging and interrupts off, flat segments,
; EAX = magic, EBX = physical address of the boot information; no stack, and no GDT of ours.
; The boot tables map the first 8 MiB twice, at 0 and at 0xC0000000, with 4 KiB pages (a 486 has
; no others), and hold the kmap window, so that C reaches any frame from its first line. They
; serve until kernel_space.c has built the real ones.

BITS 32

OFFSET        equ 0xC0000000
PRESENT_WRITE equ 3                     ; P | W, SDM 3A 4.3
TABLES        equ 2                     ; of 4 MiB each
MBI_MAX       equ 128 << 10             ; BOOT_MBI_MAX in multiboot2.h
MULTIBOOT2    equ 0x36d76289
CR0_BITS      equ 0x80010033            ; PG WP NE ET MP PE: caches on (CD and NW clear), SDM 3A 2.5
STACK_BYTES   equ 32 << 10

%define PHYS(symbol) (symbol - OFFSET)

extern kernel_main

section .boot progbits alloc exec nowrite align=16

global _start
_start:
        cli
        cld
        lgdt [boot_gdt_pointer]         ; the loader's GDT may be anywhere, even gone
        jmp 0x08:.own_segments
.own_segments:
        mov cx, 0x10
        mov ds, cx
        mov es, cx
        mov ss, cx
        xor cx, cx
        mov fs, cx
        mov gs, cx

%include "boot/copy_information.inc"

; Tables: boot_table[i] = i << 12 | P | W, entered at 0 and at 0xC0000000; kmap_table at the top.
        mov edi, PHYS(boot_table)
        mov eax, PRESENT_WRITE
        mov ecx, TABLES * 1024
.page:  mov [edi], eax
        add edi, 4
        add eax, 0x1000
        loop .page

        mov edi, PHYS(boot_directory)
        mov eax, PHYS(boot_table) + PRESENT_WRITE
        mov ecx, TABLES
.table: mov [edi], eax
        mov [edi + (OFFSET >> 22) * 4], eax
        add edi, 4
        add eax, 0x1000
        loop .table
        mov dword [PHYS(boot_directory) + 1023 * 4], PHYS(kmap_table) + PRESENT_WRITE

; The labels from here to boot_high are where `make bochs` and `make debug` stop.
global boot_tables_built
boot_tables_built:
        mov eax, PHYS(boot_directory)
        mov cr3, eax
global boot_mode_chosen
boot_mode_chosen:
        mov eax, CR0_BITS
global boot_before_paging
boot_before_paging:
        mov cr0, eax
global boot_after_paging
boot_after_paging:
        mov eax, boot_high              ; an absolute jump: a relative one would stay low
        jmp eax

align 8
boot_gdt:
        dq 0
        dq 0x00cf9a000000ffff           ; 0x08: code, 0 to 4 GiB
        dq 0x00cf92000000ffff           ; 0x10: data, 0 to 4 GiB
boot_gdt_pointer:
        dw $ - boot_gdt - 1
        dd boot_gdt

section .text
global boot_high
boot_high:
        mov esp, boot_stack_top
        xor ebp, ebp                    ; where a backtrace ends
        call kernel_main
.hang:  hlt
        jmp .hang

section .bss align=4096
global kmap_table, boot_mbi, boot_mbi_bytes, boot_mbi_address, boot_magic
global boot_stack_guard, boot_stack, boot_stack_top
boot_directory: resb 4096
boot_table:     resb 4096 * TABLES
kmap_table:     resb 4096               ; of the window at 0xFFC00000, for good
boot_stack_guard: resb 4096             ; left out of the kernel's page tables
boot_stack:     resb STACK_BYTES
boot_stack_top:
boot_mbi:       resb MBI_MAX
boot_mbi_bytes: resd 1
boot_mbi_address: resd 1
boot_magic:     resd 1
