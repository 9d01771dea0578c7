//! Every pair of elements against a model that converts one number at a time.

use super::*;
use model::{Number, number_of, same, stored_as};

pub(in crate::convert) mod model;

/// Numbers of a buffer around which blocks end.
const COUNTS: [usize; 9] = [0, 1, 7, BLOCK / 2 - 1, BLOCK / 2, BLOCK / 2 + 1, BLOCK - 1, BLOCK + 1, 5 * BLOCK / 2 + 3];

/// All elements.
fn elements() -> Vec<Element> {
    let mut codes = vec![Code::Bool, Code::Float(4), Code::Float(8), Code::Extended, Code::Ibm];
    codes.extend([1, 2, 3, 4, 8].into_iter().flat_map(|size| [Code::Int(size), Code::Uint(size)]));
    codes.extend((0..9).map(Code::Small));
    let mut all = Vec::new();
    for code in codes {
        for big in [false, true] {
            let element = Element::new(code, big);
            if element.big != big {
                continue;
            }
            all.push(element);
            if matches!(code, Code::Float(_) | Code::Extended) {
                all.push(Element { complex: true, ..element });
            }
        }
    }
    all
}

/// Random bits, and numbers of a size that most types hold.
fn random(rng: &mut fastrand::Rng, element: Element, count: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(count * element.size());
    for _ in 0..count * if element.complex { 2 } else { 1 } {
        let number = match rng.u8(..8) {
            0..3 => {
                bytes.extend(std::iter::repeat_with(|| rng.u8(..)).take(element.code.size()));
                continue;
            }
            3 => Number::Integer(0),
            4 => Number::Integer(1),
            5 => Number::Integer(rng.i8(..).into()),
            6 => Number::Double((rng.f64() - 0.5) * 2_f64.powi(rng.i32(-20..80))),
            _ => Number::Double(
                *rng.choice([f64::NAN, f64::INFINITY, -f64::INFINITY, -0.0, 0.5, 255.9, -128.9])
                    .as_ref()
                    .unwrap_or(&0.0),
            ),
        };
        bytes.extend(stored_as(number, element));
    }
    bytes
}

/// The parts of each element, real and imaginary.
fn parts(element: Element, bytes: &[u8]) -> Vec<Vec<Number>> {
    let numbers: Vec<Number> = bytes.chunks(element.code.size()).map(|bytes| number_of(element, bytes)).collect();
    numbers.chunks(if element.complex { 2 } else { 1 }).map(<[Number]>::to_vec).collect()
}

/// What one element is shown as.
fn shown_as(numbers: &[Number], to: Element) -> Vec<u8> {
    let (real, imaginary) = (numbers[0], numbers.get(1).copied());
    if to.complex {
        return [stored_as(real, to), stored_as(imaginary.unwrap_or(Number::Integer(0)), to)].concat();
    }
    if to.code == Code::Bool && imaginary.is_some_and(|number| number.double() != 0.0) {
        return vec![1];
    }
    stored_as(real, to)
}

/// One range is changed.
fn only(range: Range<usize>) -> Result<Vec<Range<usize>>, Unfit> {
    Ok(std::iter::once(range).collect())
}

/// Bytes of elements that are equal, but for what stands in a NaN.
fn assert_same(found: &[u8], wanted: &[u8], element: Element, what: &str) {
    assert_eq!(found.len(), wanted.len());
    let size = element.code.size();
    for (number, (found, wanted)) in found.chunks(size).zip(wanted.chunks(size)).enumerate() {
        assert!(same(element, found, wanted), "{what}: number {number} is {found:02x?} instead of {wanted:02x?}");
    }
}

#[test]
fn every_pair_reads_as_the_model() {
    let mut rng = fastrand::Rng::with_seed(1);
    for from in elements() {
        for to in elements() {
            let count = COUNTS[rng.usize(..COUNTS.len())].max(200);
            let stored = random(&mut rng, from, count);
            let wanted: Vec<u8> = if from.code == to.code && from.complex == to.complex {
                let turn = |number: &[u8]| match from.big == to.big {
                    true => number.to_vec(),
                    false => number.iter().rev().copied().collect(),
                };
                stored.chunks(from.code.size()).flat_map(turn).collect()
            } else {
                parts(from, &stored).iter().flat_map(|numbers| shown_as(numbers, to)).collect()
            };
            let mut shown = vec![0xa5; count * to.size()];
            Conversion::new(from, to).read(&stored, &mut shown);
            assert_same(&shown, &wanted, to, &format!("{} as {}", from.name(), to.name()));
        }
    }
}

#[test]
fn blocks_end_anywhere() {
    let mut rng = fastrand::Rng::with_seed(2);
    let names =
        ["u1", "i3be", "f2", "c8", "f8be", "f16", "c32be", "bf16"].map(|name| Element::parse(name).expect("known"));
    for (from, to) in names.into_iter().flat_map(|from| names.map(|to| (from, to))) {
        for count in COUNTS {
            let conversion = Conversion::new(from, to);
            let stored = random(&mut rng, from, count);
            let mut shown = vec![0; count * to.size()];
            conversion.read(&stored, &mut shown);
            for (stored, shown) in stored.chunks(from.size()).zip(shown.chunks(to.size())) {
                let mut one = vec![0; to.size()];
                conversion.read(stored, &mut one);
                assert_eq!(one, shown, "{} as {}, {count} elements", from.name(), to.name());
            }
        }
    }
}

#[test]
fn what_is_written_back_changes_nothing() {
    let mut rng = fastrand::Rng::with_seed(3);
    let missing = |element: Element| stored_as(Number::Integer(1), element);
    for from in elements() {
        for to in elements() {
            let plain = Conversion::new(from, to);
            let scaling = Scaling { scale: 0.1, offset: -3.5, missing: vec![missing(from)] };
            let mut conversions = vec![plain.clone()];
            if !from.complex {
                conversions.push(Conversion { scaling: Some(scaling), ..plain.clone() });
            }
            if to.code.is_integer() {
                conversions.push(Conversion { flip: true, ..plain });
            }
            for conversion in conversions {
                let mut stored = random(&mut rng, from, 300);
                let before = stored.clone();
                let mut shown = vec![0; 300 * to.size()];
                conversion.read(&stored, &mut shown);
                assert_eq!(conversion.write(&shown, &mut stored), Ok(vec![]), "{conversion:?}");
                assert_eq!(stored, before, "{conversion:?}");
            }
        }
    }
}

/// Whether a stored type can hold a number, but for a fraction or rounding.
fn fits(number: Number, stored: Element) -> bool {
    let double = number.double();
    let is_within = |low: i128, high: i128| match number {
        Number::Integer(number) => low <= number && number < high,
        // Exactly: the bounds are powers of two.
        _ => low as f64 <= double.trunc() && double.trunc() < high as f64,
    };
    match stored.code {
        Code::Bool => double == 0.0 || double == 1.0,
        Code::Int(size) => is_within(-(1 << (8 * size - 1)), 1 << (8 * size - 1)),
        Code::Uint(size) => is_within(0, 1 << (8 * size)),
        Code::Float(8) | Code::Extended => true,
        // It has no zero, and nothing below it.
        Code::Small(8) => double.is_nan() || double > 0.0 && double < 2_f64.powi(127) * 1.5,
        Code::Ibm => double.is_finite() && double.abs() < 16_f64.powi(63) * (1.0 - 2_f64.powi(-25)),
        _ => {
            let back = number_of(stored, &stored_as(number, stored)).double();
            back.is_nan() == double.is_nan() && back.is_infinite() == double.is_infinite()
        }
    }
}

#[test]
fn every_pair_writes_as_the_model() {
    let mut rng = fastrand::Rng::with_seed(4);
    for from in elements() {
        for to in elements().into_iter().filter(|to| to.code != from.code || to.complex != from.complex) {
            let conversion = Conversion::new(from, to);
            let what = format!("{} as {}", from.name(), to.name());
            let count = 2 * BLOCK + 5;
            let before = random(&mut rng, from, count);
            let mut shown = vec![0; count * to.size()];
            conversion.read(&before, &mut shown);
            // Some are changed, and keep the others what they are.
            let other = random(&mut rng, to, count);
            let mut first_unfit = None;
            let mut wanted = before.clone();
            for number in 0..count {
                if rng.u8(..4) > 0 {
                    continue;
                }
                let new = &other[number * to.size()..(number + 1) * to.size()];
                let numbers = &parts(to, new)[0];
                let is_real = from.complex || !to.complex || numbers[1].double() == 0.0;
                let parts = if from.complex && to.complex { &numbers[..] } else { &numbers[..1] };
                let place = number * to.size()..(number + 1) * to.size();
                if shown[place.clone()] == *new {
                    continue;
                }
                if !is_real || !parts.iter().all(|&part| fits(part, from)) {
                    // A few of them, each once.
                    if rng.u8(..10) > 0 || first_unfit.is_some() {
                        continue;
                    }
                    first_unfit = Some((number, new.to_vec()));
                    continue;
                }
                shown[place].copy_from_slice(new);
                let mut stored = stored_as(parts[0], from);
                if from.complex {
                    stored.extend(stored_as(parts.get(1).copied().unwrap_or(Number::Integer(0)), from));
                }
                wanted[number * from.size()..(number + 1) * from.size()].copy_from_slice(&stored);
            }
            let mut stored = before.clone();
            let ranges = conversion.write(&shown, &mut stored).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_same(&stored, &wanted, from, &what);
            let mut kept = before.clone();
            for range in &ranges {
                assert!(range.start % from.size() == 0 && range.end % from.size() == 0 && !range.is_empty());
                kept[range.clone()].copy_from_slice(&stored[range.clone()]);
            }
            assert!(ranges.windows(2).all(|pair| pair[0].end < pair[1].start), "{what}: {ranges:?}");
            assert_eq!(kept, stored, "{what}: changed outside of the ranges");
            if let Some((number, new)) = first_unfit {
                shown[number * to.size()..(number + 1) * to.size()].copy_from_slice(&new);
                assert_eq!(conversion.write(&shown, &mut before.clone()), Err(Unfit(number)), "{what}: {new:02x?}");
            }
        }
    }
}

#[test]
fn the_first_that_does_not_fit_is_named_wherever_it_stands() {
    let (from, to) = (Element::new(Code::Int(1), false), Element::new(Code::Float(8), true));
    let conversion = Conversion::new(from, to);
    for at in [0, 1, BLOCK / 2 - 1, BLOCK / 2, BLOCK, 3 * BLOCK + 1] {
        let mut shown = vec![0; (4 * BLOCK) * 8];
        shown[at * 8..at * 8 + 8].copy_from_slice(&128_f64.to_be_bytes());
        // Whatever stands before it, changed or not.
        for start in [0, at, at.saturating_sub(1), at / 2] {
            let mut shown = shown.clone();
            shown[start * 8..at * 8].chunks_mut(8).for_each(|number| number.copy_from_slice(&5_f64.to_be_bytes()));
            assert_eq!(conversion.write(&shown, &mut vec![0; 4 * BLOCK]), Err(Unfit(at)));
        }
    }
}

#[test]
fn bytes_of_unchanged_elements_are_kept() {
    let write = |from: &str, to: &str, before: &[u8], change: &dyn Fn(&mut [u8])| {
        let element = |name| Element::parse(name).expect("known");
        let conversion = Conversion::new(element(from), element(to));
        let mut shown = vec![0; before.len() / conversion.from.size() * conversion.to.size()];
        conversion.read(before, &mut shown);
        change(&mut shown);
        let mut stored = before.to_vec();
        (conversion.write(&shown, &mut stored), stored)
    };
    // Truth values other than 0 and 1, of which one is changed.
    let (ranges, stored) = write("bool", "u1", &[0, 1, 2, 255, 7], &|shown| shown[3] = 0);
    assert_eq!((ranges, stored), (only(3..4), vec![0, 1, 2, 0, 7]));
    // A float beyond the range of what it is shown as.
    let before = [1e20_f32, -0.0, f32::from_bits(0x7f80_0001), 300.5].map(f32::to_le_bytes).concat();
    let (ranges, stored) = write("f4", "u1", &before, &|shown| shown[1] = 9);
    assert_eq!(ranges, only(4..8));
    assert_eq!(stored, [1e20_f32, 9.0, f32::from_bits(0x7f80_0001), 300.5].map(f32::to_le_bytes).concat());
    // More digits than are shown.
    let before = [0.1_f64, 0.2, 0.3].map(f64::to_be_bytes).concat();
    let (ranges, stored) = write("f8be", "f4", &before, &|shown| shown[4..8].copy_from_slice(&0.5_f32.to_le_bytes()));
    assert_eq!((ranges, stored), (only(8..16), [0.1_f64, 0.5, 0.3].map(f64::to_be_bytes).concat()));
    // An imaginary part stays with its unchanged real part, and goes with a new one.
    let before = [1_f32, 2.0, 3.0, 4.0].map(f32::to_le_bytes).concat();
    let (ranges, stored) = write("c8", "f8", &before, &|shown| shown[..8].copy_from_slice(&5_f64.to_le_bytes()));
    assert_eq!((ranges, stored), (only(0..8), [5_f32, 0.0, 3.0, 4.0].map(f32::to_le_bytes).concat()));
}

#[test]
fn scaled_values_and_missing_ones() {
    let (from, to) = (Element::new(Code::Int(2), true), Element::new(Code::Float(8), false));
    let missing = vec![(-999_i16).to_be_bytes().to_vec(), 7_i16.to_be_bytes().to_vec()];
    let scaling = Some(Scaling { scale: 0.01, offset: 20.0, missing });
    let conversion = Conversion { scaling, ..Conversion::new(from, to) };
    let stored: Vec<i16> = (0..2 * BLOCK as i16 + 1).chain([-999, 7, i16::MIN, i16::MAX]).collect();
    let mut bytes: Vec<u8> = stored.iter().flat_map(|number| number.to_be_bytes()).collect();
    let mut shown = vec![0; stored.len() * 8];
    conversion.read(&bytes, &mut shown);
    for (stored, shown) in stored.iter().zip(shown.chunks(8)) {
        let value = native::float(shown);
        match stored {
            -999 | 7 => assert!(value.is_nan()),
            _ => assert_eq!(value, f64::from(*stored) * 0.01 + 20.0),
        }
    }
    // What is read of a number leads back to it; NaN leads to the first of the missing; half of a step to the even one.
    let mut put = |at: usize, value: f64| {
        let mut shown = vec![0; bytes.len() * 4];
        conversion.read(&bytes, &mut shown);
        shown[at * 8..at * 8 + 8].copy_from_slice(&value.to_le_bytes());
        let outcome = conversion.write(&shown, &mut bytes);
        outcome.map(|ranges| {
            assert_eq!(Ok(ranges), only(at * 2..at * 2 + 2));
            i16::from_be_bytes([bytes[at * 2], bytes[at * 2 + 1]])
        })
    };
    for number in (i16::MIN..=i16::MAX).step_by(97).filter(|number| *number != 5) {
        assert_eq!(put(5, f64::from(number) * 0.01 + 20.0), Ok(number));
        assert_eq!(put(5, 20.05), Ok(5));
    }
    assert_eq!(put(600, f64::NAN), Ok(-999));
    assert_eq!(put(601, -f64::NAN), Ok(-999));
    assert_eq!(put(0, 20.114), Ok(11));
    assert_eq!(put(0, 20.116), Ok(12));
    assert_eq!(put(0, 20.0 + 327.67), Ok(i16::MAX));
    assert_eq!(put(0, 20.0 - 327.68), Ok(i16::MIN));
    assert_eq!(put(1030, 20.0 + 327.68), Err(Unfit(1030)));
    assert_eq!(put(3, f64::INFINITY), Err(Unfit(3)));
}

#[test]
fn without_a_missing_value_an_integer_takes_no_nan_and_a_float_does() {
    let to = Element::new(Code::Float(8), false);
    let scaling = Some(Scaling { scale: 2.0, offset: 1.0, missing: Vec::new() });
    let of = |code| Conversion { scaling: scaling.clone(), ..Conversion::new(Element::new(code, false), to) };
    let nan = f64::NAN.to_le_bytes();
    assert_eq!(of(Code::Int(2)).write(&nan, &mut [3, 0]), Err(Unfit(0)));
    let mut float = 3_f32.to_le_bytes();
    assert_eq!(of(Code::Float(4)).write(&nan, &mut float), only(0..4));
    assert!(f32::from_le_bytes(float).is_nan());
}

#[test]
fn flips_turn_the_highest_bit() {
    for (big, high) in [(false, 1), (true, 0)] {
        let element = Element::new(Code::Int(2), big);
        let conversion = Conversion { flip: true, ..Conversion::new(element, element) };
        let stored: Vec<u8> = (0..2 * BLOCK + 2).map(|at| at as u8).collect();
        let mut shown = vec![0; stored.len()];
        conversion.read(&stored, &mut shown);
        let turned = |bytes: &[u8]| -> Vec<u8> {
            bytes.iter().enumerate().map(|(at, byte)| if at % 2 == high { byte ^ 0x80 } else { *byte }).collect()
        };
        assert_eq!(shown, turned(&stored));
        let new: Vec<u8> = shown.iter().map(|byte| byte.wrapping_mul(3)).collect();
        let mut changed = stored.clone();
        conversion.write(&new, &mut changed).expect("every bit pattern fits");
        assert_eq!(changed, turned(&new));
    }
}

#[test]
fn names_lead_back_to_their_elements() {
    for element in elements() {
        assert_eq!(Element::parse(&element.name()), Some(element), "{}", element.name());
        let (dtype, name) = element.dtype();
        assert_eq!(Element::of(&dtype, name), Some(element), "{}", element.name());
        assert_eq!(dtype.itemsize(), element.size() as u64);
    }
    for name in ["", "x", "f3", "i5", "M8[s]", "S3", "U1", "V4", "f1", "c4", "f4be ", "bf16xe", "u3,u3", "(2,)f4"] {
        assert_eq!(Element::parse(name), None, "{name}");
    }
}
