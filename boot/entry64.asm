; SPDX-License-Identifier: MIT
;
; entry64.asm - from the loader to C on x86_64: copy the boot information, enter long mode, jump high.
;
; At entry (Multiboot2 3.3): 32-bit protected mode, paging and interrupts off, flat segments,
; EAX = magic, EBX = physical address of the boot information; no stack, and no GDT of ours.
; The boot tables show the first 4 GiB in 2 MiB pages at 0 and at the HHDM, the first 1 GiB also at
; 0xFFFFFFFF80000000, and hold the kmap window for PHYSMAP=kmap. They serve until kernel_space.c
; has built the real ones.

BITS 32

OFFSET        equ 0xFFFFFFFF80000000
PRESENT_WRITE equ 3                     ; P | W, SDM 3A 4.5
LARGE         equ 0x83                  ; P | W | PS
MBI_MAX       equ 128 << 10             ; BOOT_MBI_MAX in multiboot2.h
MULTIBOOT2    equ 0x36d76289
CR0_BITS      equ 0x80010033            ; PG WP NE ET MP PE: caches on (CD and NW clear), SDM 3A 2.5
CR4_PAE       equ 1 << 5
EFER          equ 0xC0000080
EFER_LME      equ 1 << 8
EFER_NXE      equ 1 << 11
STACK_BYTES   equ 32 << 10

%define PHYS(symbol) (symbol - OFFSET)

extern kernel_main

section .boot progbits alloc exec nowrite align=16

global _start
_start:
        cli
        cld
        lgdt [boot_gdt_pointer]         ; the loader's GDT may be anywhere, even gone
        jmp 0x18:.own_segments
.own_segments:
        mov cx, 0x10
        mov ds, cx
        mov es, cx
        mov ss, cx
        mov esp, PHYS(boot_stack_top)

%include "boot/copy_information.inc"

; Long mode there? CPUID itself first: EFLAGS.ID can be flipped (SDM 1 20.1.2), then leaf 80000001.
        pushfd
        pop eax
        mov ecx, eax
        xor eax, 1 << 21
        push eax
        popfd
        pushfd
        pop eax
        xor eax, ecx
        test eax, 1 << 21
        jz no_long_mode
        mov eax, 0x80000000
        cpuid
        cmp eax, 0x80000001
        jb no_long_mode
        mov eax, 0x80000001
        cpuid
        test edx, 1 << 29
        jz no_long_mode
        mov esi, edx                    ; bit 20: NX

; Tables. boot_pd covers 4 GiB in 2 MiB pages.
        mov edi, PHYS(boot_pd)
        mov eax, LARGE
        mov ecx, 4 * 512
.page:  mov [edi], eax
        add edi, 8
        add eax, 2 << 20
        loop .page

        mov edi, PHYS(boot_pdpt)
        mov eax, PHYS(boot_pd) + PRESENT_WRITE
        mov ecx, 4
.dir:   mov [edi], eax
        add edi, 8
        add eax, 0x1000
        loop .dir

        mov dword [PHYS(boot_pml4)], PHYS(boot_pdpt) + PRESENT_WRITE
        mov dword [PHYS(boot_pml4) + 256 * 8], PHYS(boot_pdpt) + PRESENT_WRITE
        mov dword [PHYS(boot_pml4) + 511 * 8], PHYS(boot_pdpt_high) + PRESENT_WRITE
        mov dword [PHYS(boot_pdpt_high) + 510 * 8], PHYS(boot_pd) + PRESENT_WRITE
        mov dword [PHYS(boot_pdpt_high) + 511 * 8], PHYS(boot_pd_top) + PRESENT_WRITE
        mov dword [PHYS(boot_pd_top) + 511 * 8], PHYS(kmap_table) + PRESENT_WRITE

; The labels from here to boot_high are where `make bochs` and `make debug` stop.
global boot_tables_built
boot_tables_built:
        mov eax, CR4_PAE
        mov cr4, eax
        mov eax, PHYS(boot_pml4)
        mov cr3, eax
        mov ecx, EFER
        rdmsr
        or eax, EFER_LME
        test esi, 1 << 20
        jz .no_nx
        or eax, EFER_NXE
.no_nx: wrmsr
global boot_mode_chosen
boot_mode_chosen:
        mov eax, CR0_BITS
global boot_before_paging
boot_before_paging:
        mov cr0, eax
global boot_after_paging
boot_after_paging:
        jmp 0x08:boot_long_mode

; The one message that C cannot print: this CPU does not run C's instructions.
no_long_mode:
        mov esi, no_long_mode_text
.next:  lodsb
        test al, al
        jz .end
        mov ah, al
        mov dx, 0x3fd
        mov ecx, 100000
.wait:  in al, dx
        test al, 0x20
        loopz .wait
        mov al, ah
        mov dx, 0x3f8
        out dx, al
        out 0xe9, al
        mov edi, [PHYS(boot_column)]
        mov ah, 0x4f                    ; white on red
        mov [0xb8000 + edi], ax
        add dword [PHYS(boot_column)], 2
        jmp .next
.end:   mov al, 0x11                    ; the fail verdict, isa-debug-exit
        out 0xf4, al
        hlt
        jmp .end
no_long_mode_text:
        db "twinpage: verdict fail: this CPU has no long mode; use the i386 build", 10, 0

BITS 64
global boot_long_mode
boot_long_mode:
        mov rax, boot_high              ; 64-bit absolute: 2 GiB below the top
        jmp rax

align 8
boot_gdt:
        dq 0
        dq 0x00af9a000000ffff           ; 0x08: 64-bit code
        dq 0x00cf92000000ffff           ; 0x10: data
        dq 0x00cf9a000000ffff           ; 0x18: 32-bit code, until the switch
boot_gdt_pointer:
        dw $ - boot_gdt - 1
        dd boot_gdt

section .text
global boot_high
boot_high:
        xor eax, eax
        mov ds, ax
        mov es, ax
        mov fs, ax
        mov gs, ax
        mov ss, ax
        mov rsp, boot_stack_top
        xor ebp, ebp                    ; where a backtrace ends
        call kernel_main
.hang:  hlt
        jmp .hang

section .bss align=4096
global kmap_table, boot_mbi, boot_mbi_bytes, boot_mbi_address, boot_magic
global boot_stack_guard, boot_stack, boot_stack_top
boot_pml4:      resb 4096
boot_pdpt:      resb 4096
boot_pdpt_high: resb 4096
boot_pd:        resb 4096 * 4
boot_pd_top:    resb 4096
kmap_table:     resb 4096               ; of the window at the very top, for PHYSMAP=kmap
boot_stack_guard: resb 4096             ; left out of the kernel's page tables
boot_stack:     resb STACK_BYTES
boot_stack_top:
boot_mbi:       resb MBI_MAX
boot_mbi_bytes: resd 1
boot_mbi_address: resd 1
boot_magic:     resd 1
boot_column:    resd 1
