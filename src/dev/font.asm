; SPDX-License-Identifier: MIT
;
; font.asm - the console font as the build found it: a PSF file, unpacked.

section .rodata
global font_psf, font_psf_end
align 8
font_psf:
        incbin "font.psf"
font_psf_end:
