//! Which loop copies which blocks.
//!
//! The loops are written in assembly (see [`super`]); each knows one row. Here the row is cut, and each part given to
//! the fastest loop that can do it. What is common to all rows is decided once.

use super::Run;

// Each but the last returns how much was left when a fault stopped it: bytes; elements; groups of 16 bytes.
unsafe extern "C" {
    pub(super) fn afbfs_copy_aligned_source(dst: *mut u8, src: *const u8, len: usize) -> usize;
    fn afbfs_copy_aligned_target(dst: *mut u8, src: *const u8, len: usize) -> usize;
    fn afbfs_copy_strided_1(dst: *mut u8, dst_stride: isize, src: *const u8, src_stride: isize, count: usize) -> usize;
    fn afbfs_copy_strided_2(dst: *mut u8, dst_stride: isize, src: *const u8, src_stride: isize, count: usize) -> usize;
    fn afbfs_copy_strided_4(dst: *mut u8, dst_stride: isize, src: *const u8, src_stride: isize, count: usize) -> usize;
    fn afbfs_copy_strided_8(dst: *mut u8, dst_stride: isize, src: *const u8, src_stride: isize, count: usize) -> usize;
    fn afbfs_copy_strided_16(dst: *mut u8, dst_stride: isize, src: *const u8, src_stride: isize, count: usize)
    -> usize;
    fn afbfs_copy_reversed_1(dst: *mut u8, dst_step: isize, src: *const u8, src_step: isize, groups: usize) -> usize;
    fn afbfs_copy_reversed_2(dst: *mut u8, dst_step: isize, src: *const u8, src_step: isize, groups: usize) -> usize;
    fn afbfs_copy_reversed_4(dst: *mut u8, dst_step: isize, src: *const u8, src_step: isize, groups: usize) -> usize;
    fn afbfs_copy_reversed_8(dst: *mut u8, dst_step: isize, src: *const u8, src_step: isize, groups: usize) -> usize;
    fn afbfs_prefetch(start: *const u8, len: usize);
    pub(super) static afbfs_copy_begin: u8;
    pub(super) static afbfs_copy_end: u8;
    pub(super) static afbfs_copy_landing: u8;
}

type Plain = unsafe extern "C" fn(*mut u8, *const u8, usize) -> usize;
type Strided = unsafe extern "C" fn(*mut u8, isize, *const u8, isize, usize) -> usize;

/// The side of a copy that may fault, and whose elements must not tear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mapped {
    Source,
    Target,
}

/// The loop that copies bytes, aligned on the mapped side. Where the processor has wide registers, that is a fifth faster
/// for blocks of some hundred bytes far from each other: they halve the stores that wait for cache lines.
fn plain(mapped: Mapped) -> Plain {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx") {
        unsafe extern "C" {
            fn afbfs_copy_aligned_source_avx(dst: *mut u8, src: *const u8, len: usize) -> usize;
            fn afbfs_copy_aligned_target_avx(dst: *mut u8, src: *const u8, len: usize) -> usize;
        }
        return match mapped {
            Mapped::Source => afbfs_copy_aligned_source_avx,
            Mapped::Target => afbfs_copy_aligned_target_avx,
        };
    }
    match mapped {
        Mapped::Source => afbfs_copy_aligned_source,
        Mapped::Target => afbfs_copy_aligned_target,
    }
}

/// Bytes of a group.
const GROUP: usize = 16;
/// Blocks of up to so many elements, and of up to so many bytes, are copied in passes.
const PASSES: usize = 8;
const NARROW: usize = 32;
/// A batch of blocks spans about so many bytes, so that all passes but the first find it in the first-level cache.
const BATCH: usize = 8192;
/// A row of fewer bytes is not asked for ahead, and a block of fewer is not a row.
const LONG: usize = 512;
/// So many bytes of a row are asked for ahead.
const AHEAD: usize = 2048;

/// How the rows of a run are copied.
enum Way {
    /// Block by block.
    Blocks(Plain),
    /// By a loop over elements of the block's size.
    Elements(Strided),
    /// Blocks of a few elements, of which each pass over a batch of blocks copies one (items of 3, 12 or 24 bytes in
    /// reverse: 3 to 8 times as fast as block by block).
    Passes { elements: Strided, size: usize, batch: usize },
    /// Elements that follow each other on both sides, but in opposite orders: in groups, and what is left as elements
    /// (2 bytes: twice as fast as by elements).
    Reversed(Strided, Strided),
}

impl Way {
    /// How to copy rows of so many blocks. `bits` are those of the addresses and steps on the mapped side, by which the
    /// elements of a block are aligned.
    fn of(length: usize, count: usize, [dst_stride, src_stride]: [isize; 2], bits: usize, mapped: Mapped) -> Way {
        let plain = Way::Blocks(plain(mapped));
        if count < 2 {
            return plain;
        }
        let by_size: (Strided, Option<Strided>) = match length {
            1 => (afbfs_copy_strided_1, Some(afbfs_copy_reversed_1)),
            2 => (afbfs_copy_strided_2, Some(afbfs_copy_reversed_2)),
            4 => (afbfs_copy_strided_4, Some(afbfs_copy_reversed_4)),
            8 => (afbfs_copy_strided_8, Some(afbfs_copy_reversed_8)),
            16 => (afbfs_copy_strided_16, None),
            _ => {
                let size = 1 << (length | bits).trailing_zeros().min(3);
                let elements = match size {
                    1 => afbfs_copy_strided_1,
                    2 => afbfs_copy_strided_2,
                    4 => afbfs_copy_strided_4,
                    _ => afbfs_copy_strided_8,
                };
                let span = dst_stride.unsigned_abs().max(src_stride.unsigned_abs());
                let batch = (BATCH / span).clamp(8, 64);
                let is_narrow = length <= NARROW && length / size <= PASSES;
                return if is_narrow { Way::Passes { elements, size, batch } } else { plain };
            }
        };
        match by_size {
            (elements, Some(groups)) if dst_stride == -src_stride && dst_stride.unsigned_abs() == length => {
                Way::Reversed(groups, elements)
            }
            (elements, _) => Way::Elements(elements),
        }
    }

    /// Copies a row, and returns how many bytes were left at a fault.
    ///
    /// # Safety
    /// As of [`copy`].
    unsafe fn row(
        &self,
        mut dst: *mut u8,
        dst_stride: isize,
        mut src: *const u8,
        src_stride: isize,
        length: usize,
        mut count: usize,
    ) -> usize {
        match *self {
            Way::Elements(elements) => {
                // SAFETY: the caller vouches for all blocks.
                unsafe { elements(dst, dst_stride, src, src_stride, count) * length }
            }
            Way::Reversed(groups, elements) => {
                let each = GROUP / length;
                let whole = count / each;
                // A group is given by its lowest byte, which on the backward side is that of its last element.
                let low = |stride: isize| stride.min(0) * (each as isize - 1);
                let step = |stride: isize| stride * each as isize;
                // SAFETY: the groups are elements of the row, for which the caller vouches; so are those that are left.
                unsafe {
                    let (to, from) = (dst.wrapping_offset(low(dst_stride)), src.wrapping_offset(low(src_stride)));
                    let left = if whole > 0 { groups(to, step(dst_stride), from, step(src_stride), whole) } else { 0 };
                    if left > 0 {
                        return (left * each + count % each) * length;
                    }
                    let done = (whole * each) as isize;
                    let (dst, src) = (dst.wrapping_offset(done * dst_stride), src.wrapping_offset(done * src_stride));
                    elements(dst, dst_stride, src, src_stride, count % each) * length
                }
            }
            Way::Passes { elements, size, batch } => {
                while count > 0 {
                    let batch = count.min(batch);
                    for at in (0..length).step_by(size) {
                        let (to, from) = (dst.wrapping_add(at), src.wrapping_add(at));
                        // SAFETY: these elements are parts of the blocks, for all of which the caller vouches.
                        if unsafe { elements(to, dst_stride, from, src_stride, batch) } > 0 {
                            return count * length;
                        }
                    }
                    count -= batch;
                    dst = dst.wrapping_offset(batch as isize * dst_stride);
                    src = src.wrapping_offset(batch as isize * src_stride);
                }
                0
            }
            Way::Blocks(plain) => {
                while count > 0 {
                    // SAFETY: the caller vouches for all blocks.
                    let left = unsafe { plain(dst, src, length) };
                    count -= 1;
                    if left > 0 {
                        return left + count * length;
                    }
                    dst = dst.wrapping_offset(dst_stride);
                    src = src.wrapping_offset(src_stride);
                }
                0
            }
        }
    }
}

/// What of each row is asked for while the row before it is copied: the processor itself looks ahead within a page, but
/// rows begin elsewhere (rows of 2048 bytes, backwards: twice as fast). Nothing of short rows, and of thin ones.
#[derive(Clone, Copy)]
struct Ahead {
    /// From the start of a row to the lowest byte.
    low: isize,
    len: usize,
}

impl Ahead {
    fn of(length: usize, count: usize, stride: isize) -> Ahead {
        let span = stride.unsigned_abs() * (count - 1) + length;
        let is_asked = span >= LONG && (count == 1 || stride.unsigned_abs() <= 64);
        let len = if is_asked { span.min(AHEAD) } else { 0 };
        // The row of a negative stride is copied from its end.
        Ahead { low: if stride < 0 { length as isize - len as isize } else { 0 }, len }
    }

    fn ask(self, row: *const u8) {
        // SAFETY: asking for memory that is not there does nothing.
        unsafe { afbfs_prefetch(row.wrapping_offset(self.low), self.len) }
    }
}

/// Copies the blocks of a run, each side with its own stride and pitch, and returns how many bytes were left at a fault.
///
/// # Safety
/// All blocks of both sides must lie in memory that is mapped, from `dst` and `src` on.
pub(super) unsafe fn copy(
    mut dst: *mut u8,
    [dst_stride, mut dst_pitch]: [isize; 2],
    mut src: *const u8,
    [src_stride, mut src_pitch]: [isize; 2],
    run: &Run,
    mapped: Mapped,
) -> usize {
    let (length, mut count, mut rows) = (run.length as usize, run.count as usize, run.rows as usize);
    if rows == 1 && length >= LONG {
        // Each long block is a row.
        (rows, count) = (count, 1);
        (dst_pitch, src_pitch) = (dst_stride, src_stride);
    }
    let (at, stride, pitch) = match mapped {
        Mapped::Source => (src as usize, src_stride, src_pitch),
        Mapped::Target => (dst as usize, dst_stride, dst_pitch),
    };
    let way = Way::of(length, count, [dst_stride, src_stride], at | stride as usize | pitch as usize, mapped);
    let ahead = Ahead::of(length, count, if count > 1 { stride } else { 0 });
    for done in 1..=rows {
        if ahead.len > 0 && done < rows {
            ahead.ask(match mapped {
                Mapped::Source => src.wrapping_offset(src_pitch),
                Mapped::Target => dst.wrapping_offset(dst_pitch),
            });
        }
        // SAFETY: the caller vouches for the blocks of all rows.
        let left = unsafe { way.row(dst, dst_stride, src, src_stride, length, count) };
        if left > 0 {
            return left + (rows - done) * count * length;
        }
        dst = dst.wrapping_offset(dst_pitch);
        src = src.wrapping_offset(src_pitch);
    }
    0
}
