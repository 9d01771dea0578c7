//! Conversions: what is written back unchanged changes nothing, and of what is changed nothing else.

use afbfs::convert::{Code, Conversion, Element, Scaling};

fn element(number: u8) -> Element {
    let code = match number & 31 {
        0 => Code::Bool,
        at @ 1..=5 => Code::Int([1, 2, 3, 4, 8][usize::from(at) - 1]),
        at @ 6..=10 => Code::Uint([1, 2, 3, 4, 8][usize::from(at) - 6]),
        at @ 11..=19 => Code::Small(at - 11),
        20..=22 => Code::Float(4),
        23..=25 => Code::Float(8),
        26..=28 => Code::Extended,
        _ => Code::Ibm,
    };
    let can_pair = matches!(code, Code::Float(_) | Code::Extended);
    Element { complex: can_pair && number & 64 != 0, ..Element::new(code, number & 32 != 0) }
}

pub(crate) fn target(data: &[u8]) {
    let Some((&[from, to, how], data)) = data.split_first_chunk::<3>() else { return };
    let (from, to) = (element(from), element(to));
    let mut conversion = Conversion::new(from, to);
    if how & 1 == 1 && !from.complex && data.len() >= 20 {
        let number = |at: usize| f64::from_le_bytes(data[at..at + 8].try_into().unwrap_or_default());
        let missing = data.chunks_exact(from.size()).take(usize::from(how >> 4)).map(<[u8]>::to_vec).collect();
        conversion.scaling = Some(Scaling { scale: number(0), offset: number(8), missing });
    }
    conversion.flip = how & 2 != 0 && to.code.is_integer();
    // Enough to fill more than one block, now and then.
    let times = if how & 12 == 12 { 3000 / data.len().max(1) + 1 } else { 1 };
    let bytes = data.repeat(times);
    let count = bytes.len() / from.size();
    let stored = bytes[..count * from.size()].to_vec();
    let mut shown = vec![0; count * to.size()];
    conversion.read(&stored, &mut shown);
    let mut same = stored.clone();
    assert_eq!(conversion.write(&shown, &mut same), Ok(Vec::new()));
    assert_eq!(same, stored);
    // One element is changed.
    let Some(at) = usize::from(how).checked_rem(count) else { return };
    let mut changed = shown.clone();
    changed[at * to.size()..(at + 1) * to.size()].iter_mut().zip(data).for_each(|(byte, new)| *byte = *new);
    let mut now = stored.clone();
    match conversion.write(&changed, &mut now) {
        Ok(ranges) => {
            let place = at * from.size()..(at + 1) * from.size();
            assert!(ranges.is_empty() && changed == shown || ranges == [place.clone()]);
            assert_eq!(now[..place.start], stored[..place.start]);
            assert_eq!(now[place.end..], stored[place.end..]);
        }
        Err(unfit) => assert_eq!(unfit.0, at),
    }
}
