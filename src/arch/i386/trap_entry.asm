; SPDX-License-Identifier: MIT
;
; trap_entry.asm - 48 gates into one C function; and the probe that may fault.

BITS 32

extern trap_dispatch, double_fault_task

section .text

; The CPU pushes an error code for these vectors (SDM 3A 6.15); for the rest we push 0.
%define HAS_ERROR(v) ((v) == 8 || ((v) >= 10 && (v) <= 14) || (v) == 17 || (v) == 21)

%assign v 0
%rep 48
trap_%+v:
%if !HAS_ERROR(v)
        push dword 0
%endif
        push dword v
        jmp build_frame
%assign v v+1
%endrep

build_frame:                            ; builds struct trap_frame (frame.h)
        pusha
        cld
        push esp
        call trap_dispatch
        add esp, 4
        popa
        add esp, 8                      ; vector and error code
        iret

; The double-fault task starts here on a stack of its own, and has nowhere to return to.
global double_fault_entry
double_fault_entry:
        cld
        call double_fault_task
.hang:  hlt
        jmp .hang

; int probe_access(enum probe_kind kind, vword_t va): 0 it went through, 1 it faulted.
global probe_access, probe_resume
probe_access:
        push ebp
        mov ebp, esp
        push ebx
        push esi
        push edi
        mov [probe_stack], esp
        mov dword [probe_resume], .faulted
        mov eax, [ebp + 8]
        mov edx, [ebp + 12]
        cmp eax, 1
        je .write
        ja .execute
.read:  mov al, [edx]
        jmp .fine
.write: or byte [edx], 0                ; a write that changes nothing
        jmp .fine
.execute:
        call edx
.fine:  xor eax, eax
.out:   mov dword [probe_resume], 0
        pop edi
        pop esi
        pop ebx
        pop ebp
        ret
.faulted:
        mov esp, [probe_stack]
        mov eax, 1
        jmp .out

section .rodata
global trap_entries
trap_entries:
%assign v 0
%rep 48
        dd trap_%+v
%assign v v+1
%endrep

section .bss
probe_resume: resd 1
probe_stack:  resd 1
