//! The number of rows in the header of a `.npy` file, changed where it stands.

use std::ops::Range;

use crate::format::npy::{self, Header};
use crate::source::Memory;

/// What a write changes in one step, seen by whoever reads it or finds it after a kill: bytes of one page.
const PAGE: usize = 4096;

/// The bytes of a header that change for another number of rows, and where they stand. The rest of it stays as it is: the digits take
/// room from the blanks at its end. Nothing where there is no room, or no such header.
pub(super) fn change(head: &[u8], rows: u64) -> Option<(usize, Vec<u8>)> {
    let before = npy::header(&Memory(head)).ok()?;
    let digits = digits(head)?;
    let mut changed = [&head[..digits.start], rows.to_string().as_bytes(), &head[digits.end..]].concat();
    let end = changed.len() - usize::from(changed.ends_with(b"\n"));
    let blanks = changed[..end].iter().rev().take_while(|&&byte| byte == b' ').count();
    match changed.len().checked_sub(head.len()) {
        Some(more) if more <= blanks => drop(changed.drain(end - more..end)),
        Some(_) => return None,
        None => drop(changed.splice(end..end, std::iter::repeat_n(b' ', head.len() - changed.len()))),
    }
    let mut shape = before.shape.clone();
    *shape.first_mut()? = rows;
    if npy::header(&Memory(&changed)).ok()? != (Header { shape, ..before }) {
        return None;
    }
    let differs = |at: &usize| changed[*at] != head[*at];
    let start = (0..head.len()).find(differs)?;
    let end = (0..head.len()).rfind(differs)? + 1;
    (start / PAGE == (end - 1) / PAGE).then(|| (start, changed[start..end].to_vec()))
}

/// Where the first length of the shape stands: behind the key `shape` of the dictionary.
fn digits(head: &[u8]) -> Option<Range<usize>> {
    let (mut at, mut depth) = (head.iter().position(|&byte| byte == b'{')?, 0);
    while let Some(&byte) = head.get(at) {
        match byte {
            b'{' | b'[' | b'(' => depth += 1,
            b'}' | b']' | b')' => depth -= 1,
            b'\'' | b'"' => {
                let start = at + 1;
                at = string_end(head, at)?;
                if depth == 1
                    && head[start..at] == *b"shape"
                    && let Some(colon) = behind(head, at + 1, b':')
                {
                    let start = skip(head, behind(head, colon, b'(')?);
                    let count = head[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                    return (count > 0).then_some(start..start + count);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// The closing quotation mark of a string that opens here.
fn string_end(head: &[u8], open: usize) -> Option<usize> {
    let mut at = open + 1;
    while *head.get(at)? != head[open] {
        at += if head[at] == b'\\' { 2 } else { 1 };
    }
    Some(at)
}

fn skip(head: &[u8], at: usize) -> usize {
    at + head[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count()
}

/// What follows a mark, if that comes next.
fn behind(head: &[u8], at: usize, mark: u8) -> Option<usize> {
    let at = skip(head, at);
    (head.get(at) == Some(&mark)).then_some(at + 1)
}

#[cfg(test)]
mod tests {
    use super::change;

    fn head(text: &str) -> Vec<u8> {
        [b"\x93NUMPY\x01\0", &(text.len() as u16).to_le_bytes()[..], text.as_bytes()].concat()
    }

    #[track_caller]
    fn check(before: &str, rows: u64, after: Option<&str>) {
        let before = head(before);
        let changed = change(&before, rows).map(|(at, bytes)| {
            let mut changed = before.clone();
            changed[at..at + bytes.len()].copy_from_slice(&bytes);
            changed
        });
        assert_eq!(changed, after.map(head));
    }

    #[test]
    fn digits_take_room_from_blanks() {
        check(
            "{'descr': '<f8', 'fortran_order': False, 'shape': (9, 3), }  \n",
            100,
            Some("{'descr': '<f8', 'fortran_order': False, 'shape': (100, 3), }\n"),
        );
        check("{'descr': '<f8', 'fortran_order': False, 'shape': (9, 3), }  \n", 1000, None);
        check("{'descr': '<f8', 'fortran_order': False, 'shape': (9, 3), }\n", 10, None);
        check(
            "{'descr': '|u1', 'fortran_order': False, 'shape': (0,), }",
            7,
            Some("{'descr': '|u1', 'fortran_order': False, 'shape': (7,), }"),
        );
    }

    #[test]
    fn as_others_write_it() {
        check(
            "{ \"shape\" :\t( 5L,2L ),'fortran_order':False,'descr':u'<i2'} ",
            10,
            Some("{ \"shape\" :\t( 10L,2L ),'fortran_order':False,'descr':u'<i2'}"),
        );
    }

    #[test]
    fn fields_are_not_taken_for_the_shape() {
        check(
            "{'descr': [('shape', '<f4', (3,)), ('\\'shape\\': (1', '|u1')], 'fortran_order': False, 'shape': (1,), } \n",
            12,
            Some(
                "{'descr': [('shape', '<f4', (3,)), ('\\'shape\\': (1', '|u1')], 'fortran_order': False, 'shape': (12,), }\n",
            ),
        );
    }

    #[test]
    fn a_change_across_two_pages_is_none() {
        let mut refused = 0;
        for pad in 4000..4100 {
            let before = head(&format!("{{{:pad$}'descr': '<f8', 'fortran_order': False, 'shape': (9,), }}  \n", ""));
            let starts = before.windows(2).position(|bytes| bytes == b"(9").expect("a shape") + 1;
            let ends = before.len() - 3;
            let change = change(&before, 10);
            assert_eq!(change.is_none(), starts / 4096 != ends / 4096, "{pad}");
            refused += u32::from(change.is_none());
        }
        assert!((1..20).contains(&refused), "{refused}");
    }

    #[test]
    fn what_is_no_header_is_not_changed() {
        for text in ["{'descr': '<f8', 'fortran_order': False, 'shape': (), }  \n", "{'shape': (1,)}   ", "nonsense   "]
        {
            check(text, 12, None);
        }
    }
}
