# Copy loops between afbfs_copy_begin and afbfs_copy_end. Each is a leaf without a stack frame and keeps what is
# left to do in %r8, so that a fault anywhere in them can continue at afbfs_copy_landing.
#
#   afbfs_copy_aligned_source(%rdi dst, %rsi src, %rdx bytes): loads are aligned
#   afbfs_copy_aligned_target(%rdi dst, %rsi src, %rdx bytes): stores are aligned
#   afbfs_copy_strided_N(%rdi dst, %rsi dst stride, %rdx src, %rcx src stride, %r8 elements)
#   afbfs_copy_reversed_N(%rdi dst, %rsi dst step, %rdx src, %rcx src step, %r8 groups, at least 1)

    .text
    .p2align 4
    .globl afbfs_copy_begin
    .globl afbfs_copy_end
    .globl afbfs_copy_landing
afbfs_copy_begin:

# Copies SIZE bytes through REG and moves on.
    .macro afbfs_step size, reg
    mov (%rsi), \reg
    mov \reg, (%rdi)
    add $\size, %rsi
    add $\size, %rdi
    sub $\size, %r8
    .endm

# Takes a step of SIZE where the aligned side's address has that bit set and so much is left.
    .macro afbfs_head size, reg, side
    test $\size, \side
    jz 1f
    cmp $\size, %r8
    jb 1f
    afbfs_step \size, \reg
1:
    .endm

# Takes a step of SIZE where the bytes left have that bit set.
    .macro afbfs_tail size, reg
    test $\size, %r8b
    jz 1f
    afbfs_step \size, \reg
1:
    .endm

# With WIDE, the 64 bytes of a turn take two moves, so that twice as many cache lines fit the processor's queue of stores.
    .macro afbfs_copy name, side, wide
    .p2align 4
    .globl \name
\name:
    mov %rdx, %r8
    afbfs_head 1, %al, \side
    afbfs_head 2, %ax, \side
    afbfs_head 4, %eax, \side
    cmp $64, %r8
    jb 3f
2:
    .if \wide
    vmovups (%rsi), %ymm0
    vmovups 32(%rsi), %ymm1
    vmovups %ymm0, (%rdi)
    vmovups %ymm1, 32(%rdi)
    .else
    movups (%rsi), %xmm0
    movups 16(%rsi), %xmm1
    movups 32(%rsi), %xmm2
    movups 48(%rsi), %xmm3
    movups %xmm0, (%rdi)
    movups %xmm1, 16(%rdi)
    movups %xmm2, 32(%rdi)
    movups %xmm3, 48(%rdi)
    .endif
    add $64, %rsi
    add $64, %rdi
    sub $64, %r8
    cmp $64, %r8
    jae 2b
    .if \wide
    vzeroupper
    .endif
3:
    test $32, %r8b
    jz 4f
    movups (%rsi), %xmm0
    movups 16(%rsi), %xmm1
    movups %xmm0, (%rdi)
    movups %xmm1, 16(%rdi)
    add $32, %rsi
    add $32, %rdi
    sub $32, %r8
4:
    test $16, %r8b
    jz 5f
    movups (%rsi), %xmm0
    movups %xmm0, (%rdi)
    add $16, %rsi
    add $16, %rdi
    sub $16, %r8
5:
    afbfs_tail 8, %rax
    afbfs_tail 4, %eax
    afbfs_tail 2, %ax
    afbfs_tail 1, %al
    mov %r8, %rax
    ret
    .endm

    afbfs_copy afbfs_copy_aligned_source, %sil, 0
    afbfs_copy afbfs_copy_aligned_target, %dil, 0
    afbfs_copy afbfs_copy_aligned_source_avx, %sil, 1
    afbfs_copy afbfs_copy_aligned_target_avx, %dil, 1

# Four elements a turn. Loads write whole registers (LOAD extends small ones): where only a part is written, each load
# waits for the one before, which cost 5 cycles an element.
    .macro afbfs_strided size, load, store, a, b, a_part, b_part
    .p2align 4
    .globl afbfs_copy_strided_\size
afbfs_copy_strided_\size:
    cmp $4, %r8
    jb 2f
    lea (%rcx,%rcx,2), %r9
    lea (%rsi,%rsi,2), %r10
1:
    \load (%rdx), \a
    \load (%rdx,%rcx), \b
    \store \a_part, (%rdi)
    \store \b_part, (%rdi,%rsi)
    \load (%rdx,%rcx,2), \a
    \load (%rdx,%r9), \b
    \store \a_part, (%rdi,%rsi,2)
    \store \b_part, (%rdi,%r10)
    lea (%rdx,%rcx,4), %rdx
    lea (%rdi,%rsi,4), %rdi
    sub $4, %r8
    cmp $4, %r8
    jae 1b
2:
    test %r8, %r8
    jz 4f
3:
    \load (%rdx), \a
    \store \a_part, (%rdi)
    add %rcx, %rdx
    add %rsi, %rdi
    dec %r8
    jnz 3b
4:
    mov %r8, %rax
    ret
    .endm

    afbfs_strided 1, movzbl, mov, %eax, %r11d, %al, %r11b
    afbfs_strided 2, movzwl, mov, %eax, %r11d, %ax, %r11w
    afbfs_strided 4, mov, mov, %eax, %r11d, %eax, %r11d
    afbfs_strided 8, mov, mov, %rax, %r11, %rax, %r11
    afbfs_strided 16, movups, movups, %xmm0, %xmm1, %xmm0, %xmm1

# Turns the elements in groups of 16 bytes round; the groups lie in opposite orders on the two sides.
    .macro afbfs_reversed size
    .p2align 4
    .globl afbfs_copy_reversed_\size
afbfs_copy_reversed_\size:
1:
    .if \size == 1
    mov (%rdx), %rax
    mov 8(%rdx), %r9
    bswap %rax
    bswap %r9
    mov %rax, 8(%rdi)
    mov %r9, (%rdi)
    .else
    movups (%rdx), %xmm0
    .if \size == 2
    pshuflw $0x1b, %xmm0, %xmm0
    pshufhw $0x1b, %xmm0, %xmm0
    .endif
    .if \size == 4
    pshufd $0x1b, %xmm0, %xmm0
    .else
    pshufd $0x4e, %xmm0, %xmm0
    .endif
    movups %xmm0, (%rdi)
    .endif
    add %rcx, %rdx
    add %rsi, %rdi
    dec %r8
    jnz 1b
    mov %r8, %rax
    ret
    .endm

    afbfs_reversed 1
    afbfs_reversed 2
    afbfs_reversed 4
    afbfs_reversed 8

afbfs_copy_end:
    nop
afbfs_copy_landing:
    mov %r8, %rax
    ret

# afbfs_prefetch(%rdi start, %rsi bytes, at least 1): brings cache lines, and never faults.
    .globl afbfs_prefetch
    .p2align 4
afbfs_prefetch:
    add %rdi, %rsi
1:
    prefetcht0 (%rdi)
    add $64, %rdi
    cmp %rsi, %rdi
    jb 1b
    ret
