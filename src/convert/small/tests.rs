//! Small floats bit by bit, IBM's and x86's by known numbers.

use super::*;
use crate::convert::element::SMALL;
use crate::convert::tests::model;

fn is_same(found: f64, wanted: f64) -> bool {
    found.to_bits() == wanted.to_bits() || found.is_nan() && wanted.is_nan()
}

#[test]
fn every_small_float_is_decoded_and_encoded() {
    for (which, small) in SMALL.iter().enumerate() {
        for bits in 0..1_u64 << (8 * small.size()) {
            let number = small.decode(bits);
            assert!(is_same(number, model::small(which, bits)), "{which}: {bits:#x} is {number}");
            if !number.is_nan() {
                assert_eq!(small.encode(number), Some(bits), "{which}: {number}");
            }
        }
    }
}

/// Between each two numbers, just below and just above the middle, and the middle itself.
#[test]
fn what_lies_between_goes_to_the_nearest() {
    for (which, small) in SMALL.iter().enumerate() {
        let encode = |number: f64| small.encode(number).unwrap_or_else(|| small.instead_of(number));
        for bits in 0..1_u64 << (8 * small.size()) {
            let (one, next) = (small.decode(bits), small.decode(bits + 1));
            if !one.is_finite() || bits >= 0xffff >> (16 - 8 * small.size()) {
                continue;
            }
            let step = if next.is_finite() { next - one } else { one - small.decode(bits - 1) };
            for number in [one + step / 2.0, (one + step / 2.0).next_up(), (one + step / 2.0).next_down(), one + step] {
                assert_eq!(encode(number), model::to_small(which, number), "{which}: {number:e}, {one} and {next}");
            }
        }
        for number in [0.0, -0.0, f64::NAN, f64::INFINITY, -f64::INFINITY, f64::MAX, f64::MIN, 5e-324, -5e-324, 1e-300]
        {
            assert_eq!(encode(number), model::to_small(which, number), "{which}: {number:e}");
        }
        let mut rng = fastrand::Rng::with_seed(which as u64);
        for _ in 0..100_000 {
            let number = f64::from_bits(rng.u64(..));
            let near = rng.f64() * 2_f64.powi(rng.i32(-140..140));
            for number in [number, near, -near] {
                assert_eq!(encode(number), model::to_small(which, number), "{which}: {number:e}");
            }
        }
    }
}

#[test]
fn known_halves() {
    for (bits, number) in [
        (0x3c00, 1.0),
        (0xc000, -2.0),
        (0x7bff, 65504.0),
        (0x0400, 6.103_515_625e-5),
        (0x0001, 5.960_464_477_539_063e-8),
        (0x3555, 0.333_251_953_125),
    ] {
        assert_eq!(Small::HALF.decode(bits), number);
        assert_eq!(Small::HALF.encode(number), Some(bits));
    }
    assert_eq!(Small::HALF.encode(65519.9), Some(0x7bff));
    assert_eq!(Small::HALF.encode(65520.0), Some(0x7c00));
}

/// Vectors from descriptions of IBM's format.
#[test]
fn known_ibm_floats() {
    for (bits, number) in [
        (0x4110_0000, 1.0),
        (0xc110_0000, -1.0),
        (0xc276_a000, -118.625),
        (0x4019_9999, 0.099_999_964_237_213_13),
        (0x7fff_ffff, 7.237_005_145_973_115_5e75),
        (0x0010_0000, 5.397_605_346_934_028e-79),
        (0x0000_0000, 0.0),
        (0x8000_0000, -0.0),
        (0x4264_0000, 100.0),
        (0x4132_43f7, 3.141_592_979_431_152_3),
    ] {
        assert!(is_same(from_ibm(bits), number), "{bits:#x} is {}", from_ibm(bits));
        assert_eq!(to_ibm(number), Some(bits), "{number}");
    }
    assert_eq!(to_ibm(f64::NAN), None);
    assert_eq!(to_ibm(f64::INFINITY), None);
    assert_eq!(to_ibm(7.24e75), None);
    let mut rng = fastrand::Rng::with_seed(1);
    for _ in 0..300_000 {
        let bits = rng.u32(..);
        let number = from_ibm(bits);
        assert!(is_same(number, model::ibm(bits)), "{bits:#x}");
        // Several bits may have one number; all lead to the number.
        assert_eq!(to_ibm(number).map(from_ibm), Some(number), "{bits:#x}");
        for number in [f64::from_bits(rng.u64(..)), (rng.f64() - 0.5) * 2_f64.powi(rng.i32(-300..270))] {
            if let Some(bits) = to_ibm(number) {
                assert_eq!(bits, model::to_ibm(number), "{number:e}");
            }
        }
    }
}

#[test]
fn known_extended_floats() {
    for (bits, number) in [
        (0x3fff_8000_0000_0000_0000, 1.0),
        (0xc000_8000_0000_0000_0000, -2.0),
        (0x4000_c90f_daa2_2168_c235, std::f64::consts::PI),
        (0x7fff_8000_0000_0000_0000, f64::INFINITY),
        (0xffff_8000_0000_0000_0000, f64::NEG_INFINITY),
        (0x7fff_c000_0000_0000_0000, f64::NAN),
        (0x8000_0000_0000_0000_0000, -0.0),
        (0x3bcd_8000_0000_0000_0000, 5e-324),
        // Halfway between two doubles, and just above.
        (0x3fff_8000_0000_0000_0400, 1.0),
        (0x3fff_8000_0000_0000_0401, 1.000_000_000_000_000_2),
        // Half of the smallest double, and just above.
        (0x3bcc_8000_0000_0000_0000, 0.0),
        (0x3bcc_8000_0000_0000_0001, 5e-324),
        (0x43fe_ffff_ffff_ffff_fbff, f64::MAX),
        (0x43fe_ffff_ffff_ffff_fc00, f64::INFINITY),
        (0x7ffe_ffff_ffff_ffff_ffff, f64::INFINITY),
        (0x0001_8000_0000_0000_0000, 0.0),
    ] {
        assert!(is_same(from_extended(bits), number), "{bits:#x} is {:e}", from_extended(bits));
    }
    let mut rng = fastrand::Rng::with_seed(1);
    for _ in 0..300_000 {
        let double = f64::from_bits(rng.u64(..));
        assert!(is_same(from_extended(extended(double)), double), "{double:e}");
        let subnormal = f64::from_bits(rng.u64(..) & 0x800f_ffff_ffff_ffff >> rng.u32(..52));
        assert!(is_same(from_extended(extended(subnormal)), subnormal), "{subnormal:e}");
        let exponent = u128::from(rng.u16(15200..17500) | rng.u16(..2) << 15);
        let bits = exponent << 64 | u128::from(rng.u64(..) | 1 << 63);
        assert!(is_same(from_extended(bits), model::extended(bits)), "{bits:#x}");
    }
}
