; SPDX-License-Identifier: MIT
;
; trap_entry.asm - 48 gates into one C function; and the probe that may fault.

BITS 64
default rel

extern trap_dispatch

section .text

; The CPU pushes an error code for these vectors (SDM 3A 6.15); for the rest we push 0.
%define HAS_ERROR(v) ((v) == 8 || ((v) >= 10 && (v) <= 14) || (v) == 17 || (v) == 21)

%assign v 0
%rep 48
trap_%+v:
%if !HAS_ERROR(v)
        push qword 0
%endif
        push qword v
        jmp build_frame
%assign v v+1
%endrep

build_frame:                            ; builds struct trap_frame (frame.h)
        push rax
        push rbx
        push rcx
        push rdx
        push rsi
        push rdi
        push rbp
        push r8
        push r9
        push r10
        push r11
        push r12
        push r13
        push r14
        push r15
        cld
        mov rdi, rsp
        mov rbp, rsp
        and rsp, -16                    ; the ABI's alignment, whatever was interrupted
        call trap_dispatch
        mov rsp, rbp
        pop r15
        pop r14
        pop r13
        pop r12
        pop r11
        pop r10
        pop r9
        pop r8
        pop rbp
        pop rdi
        pop rsi
        pop rdx
        pop rcx
        pop rbx
        pop rax
        add rsp, 16                     ; vector and error code
        iretq

; int probe_access(enum probe_kind kind, vword_t va): 0 it went through, 1 it faulted.
global probe_access, probe_resume
probe_access:
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        push r13
        push r14
        push r15
        sub rsp, 8                      ; so that .execute calls with an aligned stack
        mov [probe_stack], rsp
        lea rax, [.faulted]
        mov [probe_resume], rax
        cmp edi, 1
        je .write
        ja .execute
.read:  mov al, [rsi]
        jmp .fine
.write: or byte [rsi], 0                ; a write that changes nothing
        jmp .fine
.execute:
        call rsi
.fine:  xor eax, eax
.out:   mov qword [probe_resume], 0
        add rsp, 8
        pop r15
        pop r14
        pop r13
        pop r12
        pop rbx
        pop rbp
        ret
.faulted:
        mov rsp, [probe_stack]
        mov eax, 1
        jmp .out

section .rodata
global trap_entries
trap_entries:
%assign v 0
%rep 48
        dq trap_%+v
%assign v v+1
%endrep

section .bss
probe_resume: resq 1
probe_stack:  resq 1
