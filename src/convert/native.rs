//! Numbers as this machine has them, and casts between them, as loops that the compiler turns into vector code.

/// A type of number that Rust has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Native {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
}

impl Native {
    /// Bytes of a number.
    pub(super) fn size(self) -> usize {
        match self {
            Native::U8 | Native::I8 => 1,
            Native::U16 | Native::I16 => 2,
            Native::U32 | Native::I32 | Native::F32 => 4,
            Native::U64 | Native::I64 | Native::F64 => 8,
        }
    }
}

/// What becomes of a number in a cast, as an integer or a float of the widest kind.
#[derive(Clone, Copy)]
enum Wide {
    Integer(i128),
    Float(f64),
}

trait Number: Copy {
    fn wide(self) -> Wide;
    /// Whether a cast of a number to this type keeps it, but for a fraction or rounding.
    fn holds(number: Wide) -> bool;
}

macro_rules! integers {
    ($($type:ty)*) => { $(
        impl Number for $type {
            fn wide(self) -> Wide {
                Wide::Integer(self.into())
            }
            fn holds(number: Wide) -> bool {
                match number {
                    Wide::Integer(number) => <$type>::try_from(number).is_ok(),
                    // The bounds are powers of two, but for the upper one less 1, which rounds up to one.
                    Wide::Float(number) => number.trunc() >= <$type>::MIN as f64 && number.trunc() < <$type>::MAX as f64 + 1.0,
                }
            }
        }
    )* };
}

macro_rules! floats {
    ($($type:ty)*) => { $(
        impl Number for $type {
            fn wide(self) -> Wide {
                Wide::Float(self.into())
            }
            fn holds(number: Wide) -> bool {
                match number {
                    Wide::Integer(_) => true,
                    Wide::Float(number) => !number.is_finite() || (number as $type).is_finite(),
                }
            }
        }
    )* };
}

integers!(u8 i8 u16 i16 u32 i32 u64 i64);
floats!(f32 f64);

/// Calls a macro with the Rust type of a [`Native`].
macro_rules! with_type {
    ($kind:expr, $call:ident $(, $argument:expr)*) => {
        match $kind {
            Native::U8 => $call!(u8 $(, $argument)*),
            Native::I8 => $call!(i8 $(, $argument)*),
            Native::U16 => $call!(u16 $(, $argument)*),
            Native::I16 => $call!(i16 $(, $argument)*),
            Native::U32 => $call!(u32 $(, $argument)*),
            Native::I32 => $call!(i32 $(, $argument)*),
            Native::U64 => $call!(u64 $(, $argument)*),
            Native::I64 => $call!(i64 $(, $argument)*),
            Native::F32 => $call!(f32 $(, $argument)*),
            Native::F64 => $call!(f64 $(, $argument)*),
        }
    };
}

/// Casts numbers as Rust's `as` does: integers wrap, floats saturate when they become integers.
pub(super) fn cast(from: Native, to: Native, source: &[u8], target: &mut [u8]) {
    if from == to {
        return target.copy_from_slice(source);
    }
    macro_rules! from {
        ($from:ty) => {{
            macro_rules! to {
                ($to:ty) => {{
                    let (source, _) = source.as_chunks::<{ size_of::<$from>() }>();
                    let (target, _) = target.as_chunks_mut::<{ size_of::<$to>() }>();
                    for (target, source) in target.iter_mut().zip(source) {
                        *target = (<$from>::from_ne_bytes(*source) as $to).to_ne_bytes();
                    }
                }};
            }
            with_type!(to, to)
        }};
    }
    with_type!(from, from);
}

/// The first number that a type cannot hold.
pub(super) fn first_unfit(from: Native, to: Native, numbers: &[u8]) -> Option<usize> {
    let holds: fn(Wide) -> bool = {
        macro_rules! holds {
            ($to:ty) => {
                <$to>::holds
            };
        }
        with_type!(to, holds)
    };
    macro_rules! find {
        ($from:ty) => {{
            let (numbers, _) = numbers.as_chunks::<{ size_of::<$from>() }>();
            numbers.iter().position(|number| !holds(<$from>::from_ne_bytes(*number).wide()))
        }};
    }
    with_type!(from, find)
}

/// Numbers as doubles, for the rare paths.
pub(super) fn floats(kind: Native, numbers: &[u8]) -> Vec<f64> {
    let mut doubles = vec![0; numbers.len() / kind.size() * 8];
    cast(kind, Native::F64, numbers, &mut doubles);
    doubles.chunks_exact(8).map(float).collect()
}

/// The double in 8 bytes.
pub(super) fn float(bytes: &[u8]) -> f64 {
    bytes.try_into().map_or(0.0, f64::from_ne_bytes)
}

/// Reverses the bytes of each number.
pub(super) fn swap(bytes: &mut [u8], size: usize) {
    match size {
        0 | 1 => {}
        2 => bytes.as_chunks_mut::<2>().0.iter_mut().for_each(|number| number.reverse()),
        4 => bytes.as_chunks_mut::<4>().0.iter_mut().for_each(|number| number.reverse()),
        8 => bytes.as_chunks_mut::<8>().0.iter_mut().for_each(|number| number.reverse()),
        _ => bytes.chunks_exact_mut(size).for_each(<[u8]>::reverse),
    }
}
