//! Where elements lie, given that lists of one name all have one count.

use super::{CHECKED, Element, Header, Number, fault};
use crate::dtype::literal::excerpt;
use crate::dtype::{ByteOrder, DType, Kind};
use crate::format::{Refusal, header};
use crate::source::ReadAt;

/// Where the records of an element start, and their type; or why there is neither.
type Placed = Result<(u64, DType), Refusal>;

/// Places all elements, the first at byte `start`.
pub(super) fn place(header: &Header, start: u64, file: &dyn ReadAt) -> Result<Vec<Placed>, Refusal> {
    let (mut at, mut placed) = (start, Vec::new());
    for element in &header.elements {
        match one(element, header.order, at, file) {
            Ok((dtype, end)) => {
                placed.push(Ok((at, dtype)));
                at = end;
            }
            Err(refusal) => {
                placed.push(Err(refusal));
                placed.resize(header.elements.len(), Err(behind(element)));
                return Ok(placed);
            }
        }
    }
    let first = header.elements.iter().position(|element| element.has_lists() && element.count > 0);
    if at != file.len()
        && let Some(first) = first
    {
        let held = file.len();
        placed[first] = Err(Refusal(format!(
            "its lists do not all have the count of the first ones, or the file was truncated: all elements would end at byte \
             {at}, and the file does at {held}; write polygons of one kind (triangulate them), or copy it again"
        )));
        placed.truncate(first + 1);
        placed.resize(header.elements.len(), Err(behind(&header.elements[first])));
    }
    Ok(placed)
}

/// Why an element is refused that comes behind one that has no place.
fn behind(element: &Element) -> Refusal {
    Refusal(format!(
        "it comes behind the element {}, which is refused, so that nobody knows where it begins; write it in front of that",
        excerpt(&element.name)
    ))
}

/// The type of the records of an element that starts at byte `start`, and where they end.
fn one(element: &Element, order: ByteOrder, start: u64, file: &dyn ReadAt) -> Result<(DType, u64), Refusal> {
    let count = element.count;
    let counts = if count > 0 && element.has_lists() { counts(element, order, start, file)? } else { Vec::new() };
    let dtype = element.dtype(order, &counts).map_err(header::no_type)?;
    let size = dtype.itemsize();
    if size == 0 {
        return Err(Refusal("it has no property; there is nothing to show".into()));
    }
    let end = count.checked_mul(size).and_then(|size| start.checked_add(size));
    let end = end.filter(|&end| end <= file.len()).ok_or_else(|| {
        Refusal(format!(
            "its header claims {count} records of {size} bytes from byte {start} on, the file holds only {} bytes: it was \
             truncated, or has lists of several counts; copy or write it again",
            file.len()
        ))
    })?;
    let checked = count.min(CHECKED);
    for step in 1..checked {
        // Spread over all records, the last one included.
        let number = (u128::from(count - 1) * u128::from(step) / u128::from(checked - 1)) as u64;
        let others = self::counts(element, order, start + number * size, file)?;
        if let Some((first, other)) = counts.iter().zip(&others).find(|(first, other)| first != other) {
            return Err(Refusal(format!(
                "its lists have several counts ({first} in its first record, {other} in record {number}), so that no \
                 record has a place of its own; write polygons of one kind (triangulate them)"
            )));
        }
    }
    Ok((dtype, end))
}

/// The counts of the lists of the record at byte `start`.
fn counts(element: &Element, order: ByteOrder, start: u64, file: &dyn ReadAt) -> Result<Vec<u64>, Refusal> {
    let (mut at, mut counts) = (start, Vec::new());
    for property in &element.properties {
        let mut size = property.number.itemsize;
        if let Some(number) = property.count {
            let count = count(number, order, at, file)?;
            counts.push(count);
            // A count has at most 4 bytes.
            size = number.itemsize + count * size;
        }
        at = at.checked_add(size).ok_or_else(|| fault("its lists lead beyond all files"))?;
    }
    Ok(counts)
}

/// The count at byte `at`.
fn count(number: Number, order: ByteOrder, at: u64, file: &dyn ReadAt) -> Result<u64, Refusal> {
    let mut bytes = [0; 4];
    let used = &mut bytes[..number.itemsize.min(4) as usize];
    if file.read_at(used, at)? < used.len() {
        return Err(fault(&format!("it ends at byte {at}, within its lists")));
    }
    if order == ByteOrder::Big {
        used.reverse();
    }
    let is_negative = number.kind == Kind::Int && used.last().is_some_and(|&top| top >= 0x80);
    if is_negative {
        return Err(fault(&format!("the count of a list at byte {at} is negative")));
    }
    Ok(u32::from_le_bytes(bytes).into())
}
