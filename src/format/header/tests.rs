//! Reading a header step by step, and what the tests of the formats with such headers share.
use std::cell::{Cell, RefCell};
use std::io;

use super::*;
use crate::format::{Array, Container, Content, Format};
use crate::source::Alone;

/// A slice as a trait object.
pub(in crate::format) struct Bytes<'a>(pub(in crate::format) &'a [u8]);

impl ReadAt for Bytes<'_> {
    fn len(&self) -> u64 {
        ReadAt::len(self.0)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }
}

/// A file of a disk that is gone.
pub(in crate::format) struct Broken;

impl ReadAt for Broken {
    fn len(&self) -> u64 {
        100
    }

    fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
        Err(io::Error::other("the disk is gone"))
    }
}

/// A file that is longer than the bytes that it begins with, and reads as zeros there.
pub(in crate::format) struct Sparse<'a>(pub(in crate::format) &'a [u8], pub(in crate::format) u64);

impl ReadAt for Sparse<'_> {
    fn len(&self) -> u64 {
        self.1
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let count = buffer.len().min(usize::try_from(self.1.saturating_sub(offset)).unwrap_or(usize::MAX));
        let held = self.0.read_at(&mut buffer[..count], offset)?;
        buffer[held..count].fill(0);
        Ok(count)
    }
}

pub(in crate::format) fn parse(format: &dyn Format, file: &dyn ReadAt) -> Result<Container, Refusal> {
    format.parse("a", file, &Alone).map(|content| match content {
        Content::Many(container) => container,
        Content::One(_) => panic!("no container"),
    })
}

/// The array that a file is.
pub(in crate::format) fn array(format: &dyn Format, file: &dyn ReadAt) -> Result<Array, Refusal> {
    format.parse("a", file, &Alone).map(|content| content.into_array().expect("no container"))
}

/// Type, offset, shape and strides of an array, as one text; its element, where NumPy has none.
pub(in crate::format) fn described(array: &Array) -> String {
    let layout = array.grid.single().unwrap();
    assert_eq!(layout.itemsize, array.dtype.itemsize());
    let element = array.element.map(|element| format!(" ({element})")).unwrap_or_default();
    format!("{}{element} at {} {:?} {:?}", array.dtype, layout.offset, layout.shape, layout.strides)
}

/// The member of this name.
pub(in crate::format) fn member<'a>(container: &'a Container, name: &str) -> Result<&'a Array, &'a Refusal> {
    let found: Vec<&Member> = container.members.iter().filter(|member| member.path == [name]).collect();
    assert_eq!(found.len(), 1, "{name}");
    found[0].found.as_ref()
}

/// Type, offset, shape and strides of a member, as one text.
pub(in crate::format) fn shown(container: &Container, name: &str) -> String {
    let array = member(container, name).unwrap();
    let layout = array.grid.single().unwrap();
    assert_eq!(layout.itemsize, array.dtype.itemsize());
    format!("{} at {} {:?} {:?}", array.dtype, layout.offset, layout.shape, layout.strides)
}

/// The file is refused, for a reason with these parts.
pub(in crate::format) fn refused(format: &dyn Format, bytes: &[u8], parts: &[&str]) {
    says(&parse(format, &Bytes(bytes)).unwrap_err(), parts);
}

/// A reason with these parts, and not too long.
pub(in crate::format) fn says(Refusal(message): &Refusal, parts: &[&str]) {
    assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    assert!(message.len() < 450, "{message}");
}

/// Whether all elements of an array lie within a file of this length, as far as they are one piece of it. Where there are
/// none, it does not matter where they would be.
pub(in crate::format) fn lies_within(array: &Array, length: u64) -> bool {
    array.grid.single().is_none_or(|layout| layout.count() == 0 || layout.extent().end <= length)
}

/// Every element of every member lies in the file.
pub(in crate::format) fn is_within(container: &Container, length: u64) -> bool {
    let mut arrays = container.members.iter().filter_map(|member| member.found.as_ref().ok());
    arrays.all(|array| lies_within(array, length))
}

fn cursor<'a>(file: &'a dyn ReadAt, limit: u64) -> Cursor<'a> {
    Cursor::new(file, "test", limit)
}

#[test]
fn numbers_in_either_order() {
    let file = Bytes(&[1, 2, 1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7, 8]);
    let mut little = cursor(&file, 99);
    assert_eq!((little.u16(), little.u32(), little.u64()), (Ok(0x201), Ok(0x0403_0201), Ok(0x0807_0605_0403_0201)));
    let mut big = cursor(&file, 99);
    big.order = ByteOrder::Big;
    assert_eq!((big.u16(), big.u32(), big.u64()), (Ok(0x102), Ok(0x0102_0304), Ok(0x0102_0304_0506_0708)));
    assert_eq!(big.position(), 14);
}

#[test]
fn no_byte_is_read_twice_and_none_that_is_skipped_far_ahead() {
    /// Remembers what was read.
    struct Watched(Vec<u8>, RefCell<Vec<(u64, usize)>>);
    impl ReadAt for Watched {
        fn len(&self) -> u64 {
            self.0.len() as u64
        }
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            self.1.borrow_mut().push((offset, buffer.len()));
            self.0[..].read_at(buffer, offset)
        }
    }
    let file = Watched((0..1_000_000).map(|i| (i % 251) as u8).collect(), RefCell::default());
    let mut cursor = cursor(&file, u64::MAX);
    let mut at = 0_u64;
    for step in 0..5000 {
        let count = step % 100;
        let wanted: Vec<u8> = (at..at + count).map(|i| (i % 251) as u8).collect();
        assert_eq!(cursor.bytes(count).unwrap(), wanted);
        at += count;
        if step == 2500 {
            cursor.skip(500_000).unwrap();
            at += 500_000;
        }
        assert_eq!(cursor.position(), at);
    }
    let reads = file.1.into_inner();
    assert!(reads.len() < 15, "{reads:?}");
    assert!(reads.windows(2).all(|pair| pair[0].0 + pair[0].1 as u64 <= pair[1].0), "{reads:?}");
    assert!(reads.iter().map(|read| read.1).sum::<usize>() < 450_000, "{reads:?}");
}

#[test]
fn what_is_long_is_read_at_once() {
    let file = Bytes(&[7; 300_000]);
    assert_eq!(cursor(&file, u64::MAX).bytes(300_000).unwrap(), [7; 300_000]);
}

#[test]
fn refused_past_the_end() {
    let file = Bytes(&[0; 10]);
    for count in [11, u64::MAX] {
        let mut cursor = cursor(&file, u64::MAX);
        cursor.u16().unwrap();
        says(&cursor.bytes(count).unwrap_err(), &["it ends within its test header", "copy or save it again"]);
        says(&cursor.skip(count).unwrap_err(), &["it ends within its test header"]);
        assert_eq!(cursor.bytes(8).unwrap(), [0; 8]);
        says(&cursor.array::<1>().unwrap_err(), &["it ends within its test header"]);
    }
}

#[test]
fn refused_past_the_limit() {
    let mut cursor = cursor(&Sparse(&[], u64::MAX), 9000);
    assert_eq!(cursor.bytes(5000).unwrap().len(), 5000);
    says(&cursor.bytes(4001).unwrap_err(), &["its test header is longer than the 9000 bytes"]);
    says(&cursor.skip(u64::MAX / 2).unwrap_err(), &["its test header is longer than the 9000 bytes"]);
    cursor.skip(4000).unwrap();
}

#[test]
fn refused_where_the_file_shrinks() {
    struct Shrunk(Cell<bool>);
    impl ReadAt for Shrunk {
        fn len(&self) -> u64 {
            100
        }
        fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
            if self.0.replace(true) { Err(io::Error::other("the disk is gone")) } else { Ok(3) }
        }
    }
    let file = Shrunk(Cell::new(false));
    says(&cursor(&file, 100).u32().unwrap_err(), &["it ends within its test header"]);
    assert_eq!(cursor(&file, 100).u32().unwrap_err().0, "cannot be read: the disk is gone");
}

#[test]
fn texts() {
    assert_eq!(text(b" a b \0c"), "a b");
    assert_eq!(text("zwölf".as_bytes()), "zwölf");
    assert_eq!(text(b"zw\xf6lf"), "zwölf");
    assert_eq!(text(b""), "");
}

#[test]
fn names_that_stand_twice_get_a_number() {
    let mut names = Numbered::default();
    let found = ["a", "a-2", "a", "a", "b", "a-2"].map(|name| names.name(name.into()));
    assert_eq!(found, ["a", "a-2", "a-3", "a-4", "b", "a-2-2"]);
}

#[test]
fn attributes_that_do_not_fit_are_left_out() {
    let mut attributes = Attributes::new(60);
    attributes.insert("a", "x".repeat(30).into());
    attributes.insert("b", "x".repeat(30).into());
    attributes.insert("c", vec![1, 2].into());
    attributes.insert("d", 1.into());
    assert_eq!(attributes.room(), 4);
    assert_eq!(attributes.into_map().keys().collect::<Vec<_>>(), ["a", "d"]);
}

#[test]
fn numbers_that_json_has_not() {
    let words = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.5].map(float);
    assert_eq!(words, ["NaN".into(), "Infinity".into(), "-Infinity".into(), Value::from(1.5)]);
}
