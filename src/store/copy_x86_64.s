# Copy loops between afbfs_copy_begin and afbfs_copy_end. Each is a leaf without a stack frame and keeps what is
# left to do in %r8, so that a fault anywhere in them can continue at afbfs_copy_landing.
#
#   afbfs_copy_aligned_source(%rdi dst, %rsi src, %rdx bytes): loads are aligned
#   afbfs_copy_aligned_target(%rdi dst, %rsi src, %rdx bytes): stores are aligned
#   afbfs_copy_strided_N(%rdi dst, %rsi dst stride, %rdx src, %rcx src stride, %r8 elements)

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

    .macro afbfs_copy name, side
    .p2align 4
    .globl \name
\name:
    mov %rdx, %r8
    afbfs_head 1, %al, \side
    afbfs_head 2, %ax, \side
    afbfs_head 4, %eax, \side
    cmp $32, %r8
    jb 3f
2:
    mov (%rsi), %rax
    mov 8(%rsi), %rcx
    mov 16(%rsi), %r9
    mov 24(%rsi), %r10
    mov %rax, (%rdi)
    mov %rcx, 8(%rdi)
    mov %r9, 16(%rdi)
    mov %r10, 24(%rdi)
    add $32, %rsi
    add $32, %rdi
    sub $32, %r8
    cmp $32, %r8
    jae 2b
3:
    cmp $8, %r8
    jb 4f
    afbfs_step 8, %rax
    jmp 3b
4:
    afbfs_tail 4, %eax
    afbfs_tail 2, %ax
    afbfs_tail 1, %al
    mov %r8, %rax
    ret
    .endm

    afbfs_copy afbfs_copy_aligned_source, %sil
    afbfs_copy afbfs_copy_aligned_target, %dil

    .macro afbfs_strided size, reg
    .p2align 4
    .globl afbfs_copy_strided_\size
afbfs_copy_strided_\size:
    test %r8, %r8
    jz 2f
1:
    mov (%rdx), \reg
    mov \reg, (%rdi)
    add %rcx, %rdx
    add %rsi, %rdi
    dec %r8
    jnz 1b
2:
    mov %r8, %rax
    ret
    .endm

    afbfs_strided 1, %al
    afbfs_strided 2, %ax
    afbfs_strided 4, %eax
    afbfs_strided 8, %rax

    .p2align 4
    .globl afbfs_copy_strided_16
afbfs_copy_strided_16:
    test %r8, %r8
    jz 2f
1:
    mov (%rdx), %rax
    mov 8(%rdx), %r9
    mov %rax, (%rdi)
    mov %r9, 8(%rdi)
    add %rcx, %rdx
    add %rsi, %rdi
    dec %r8
    jnz 1b
2:
    mov %r8, %rax
    ret

afbfs_copy_end:
    nop
afbfs_copy_landing:
    mov %r8, %rax
    ret
