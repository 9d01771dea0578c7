//! The number in an element, as its text is made of.

use crate::convert::{Code, Element, small};

/// An element as an integer, or as a float: what its text is made of.
pub(super) enum Plain {
    Bool(bool),
    Integer(i64),
    Large(u64),
    Single(f32),
    Double(f64),
    Small(u8, u16),
}

/// The number in an element.
pub(super) fn plain(number: Element, element: &[u8]) -> Plain {
    let mut little = [0; 16];
    let size = number.code.size();
    little[..size].copy_from_slice(&element[..size]);
    if number.big {
        little[..size].reverse();
    }
    let low = u64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|at| little[at]));
    match number.code {
        Code::Bool => Plain::Bool(low != 0),
        Code::Int(size) => {
            let shift = 64 - 8 * u32::from(size);
            Plain::Integer((low << shift) as i64 >> shift)
        }
        Code::Uint(_) => Plain::Large(low),
        Code::Float(4) => Plain::Single(f32::from_bits(low as u32)),
        Code::Float(_) => Plain::Double(f64::from_bits(low)),
        Code::Small(which) => Plain::Small(which, low as u16),
        Code::Extended => Plain::Double(small::from_extended(u128::from_le_bytes(little))),
        Code::Ibm => {
            let number = small::from_ibm(low as u32);
            // A normal single float holds most of them, and has fewer digits.
            let single = number as f32;
            let is_held = f64::from(single) == number && (single.is_normal() || single == 0.0);
            if is_held { Plain::Single(single) } else { Plain::Double(number) }
        }
    }
}
