// Copy loops between afbfs_copy_begin and afbfs_copy_end. Each is a leaf without a stack frame and keeps what is
// left to do in x4, so that a fault anywhere in them can continue at afbfs_copy_landing.
//
//   afbfs_copy_aligned_source(x0 dst, x1 src, x2 bytes): loads are aligned
//   afbfs_copy_aligned_target(x0 dst, x1 src, x2 bytes): stores are aligned
//   afbfs_copy_strided_N(x0 dst, x1 dst stride, x2 src, x3 src stride, x4 elements)
//   afbfs_copy_reversed_N(x0 dst, x1 dst step, x2 src, x3 src step, x4 groups, at least 1)

    .text
    .p2align 4
    .globl afbfs_copy_begin
    .globl afbfs_copy_end
    .globl afbfs_copy_landing
afbfs_copy_begin:

// Copies SIZE bytes through REG and moves on. The registers change only once both accesses are done.
    .macro afbfs_step size, load, store, reg
    \load \reg, [x1]
    \store \reg, [x0]
    add x1, x1, #\size
    add x0, x0, #\size
    sub x4, x4, #\size
    .endm

// Takes a step of SIZE where the aligned side's address has that bit set and so much is left.
    .macro afbfs_head size, bit, load, store, reg, side
    tbz \side, #\bit, 1f
    cmp x4, #\size
    b.lo 1f
    afbfs_step \size, \load, \store, \reg
1:
    .endm

// Takes a step of SIZE where the bytes left have that bit set.
    .macro afbfs_tail size, bit, load, store, reg
    tbz x4, #\bit, 1f
    afbfs_step \size, \load, \store, \reg
1:
    .endm

    .macro afbfs_copy name, side
    .p2align 4
    .globl \name
\name:
    mov x4, x2
    afbfs_head 1, 0, ldrb, strb, w5, \side
    afbfs_head 2, 1, ldrh, strh, w5, \side
    afbfs_head 4, 2, ldr, str, w5, \side
    cmp x4, #32
    b.lo 3f
2:
    ldp x5, x6, [x1]
    ldp x7, x8, [x1, #16]
    stp x5, x6, [x0]
    stp x7, x8, [x0, #16]
    add x1, x1, #32
    add x0, x0, #32
    sub x4, x4, #32
    cmp x4, #32
    b.hs 2b
3:
    cmp x4, #8
    b.lo 4f
    afbfs_step 8, ldr, str, x5
    b 3b
4:
    afbfs_tail 4, 2, ldr, str, w5
    afbfs_tail 2, 1, ldrh, strh, w5
    afbfs_tail 1, 0, ldrb, strb, w5
    mov x0, x4
    ret
    .endm

    afbfs_copy afbfs_copy_aligned_source, x1
    afbfs_copy afbfs_copy_aligned_target, x0

    .macro afbfs_strided size, load, store, reg
    .p2align 4
    .globl afbfs_copy_strided_\size
afbfs_copy_strided_\size:
    cbz x4, 2f
1:
    \load \reg, [x2]
    \store \reg, [x0]
    add x2, x2, x3
    add x0, x0, x1
    sub x4, x4, #1
    cbnz x4, 1b
2:
    mov x0, x4
    ret
    .endm

    afbfs_strided 1, ldrb, strb, w5
    afbfs_strided 2, ldrh, strh, w5
    afbfs_strided 4, ldr, str, w5
    afbfs_strided 8, ldr, str, x5

    .p2align 4
    .globl afbfs_copy_strided_16
afbfs_copy_strided_16:
    cbz x4, 2f
1:
    ldp x5, x6, [x2]
    stp x5, x6, [x0]
    add x2, x2, x3
    add x0, x0, x1
    sub x4, x4, #1
    cbnz x4, 1b
2:
    mov x0, x4
    ret

// Turns the elements in groups of 16 bytes round; the groups lie in opposite orders on the two sides.
    .macro afbfs_reversed size
    .p2align 4
    .globl afbfs_copy_reversed_\size
afbfs_copy_reversed_\size:
1:
    ldr q0, [x2]
    .if \size == 1
    rev64 v0.16b, v0.16b
    .elseif \size == 2
    rev64 v0.8h, v0.8h
    .elseif \size == 4
    rev64 v0.4s, v0.4s
    .endif
    ext v0.16b, v0.16b, v0.16b, #8
    str q0, [x0]
    add x2, x2, x3
    add x0, x0, x1
    sub x4, x4, #1
    cbnz x4, 1b
    mov x0, x4
    ret
    .endm

    afbfs_reversed 1
    afbfs_reversed 2
    afbfs_reversed 4
    afbfs_reversed 8

afbfs_copy_end:
    nop
afbfs_copy_landing:
    mov x0, x4
    ret

// afbfs_prefetch(x0 start, x1 bytes, at least 1): brings cache lines, and never faults.
    .globl afbfs_prefetch
    .p2align 4
afbfs_prefetch:
    add x1, x0, x1
1:
    prfm pldl1keep, [x0]
    add x0, x0, #64
    cmp x0, x1
    b.lo 1b
    ret
