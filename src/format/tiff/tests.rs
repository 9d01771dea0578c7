//! Pages of every kind, and each that is refused.
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::dtype::ByteOrder;
use crate::format::header::tests::{Broken, Bytes, Sparse, array, described, lies_within, member, parse, says, shown};

/// A tag: its number, its type, its values.
type Tag<'a> = (u16, u16, &'a [u64]);

const SHORT: u16 = 3;
const LONG: u16 = 4;
const LONG8: u16 = 16;

/// A file under construction.
struct Build {
    order: ByteOrder,
    is_big: bool,
    bytes: Vec<u8>,
    /// Where the offset of the next directory goes.
    next: usize,
}

impl Build {
    fn new(order: ByteOrder, is_big: bool) -> Build {
        let mut build = Build { order, is_big, bytes: Vec::new(), next: if is_big { 8 } else { 4 } };
        build.bytes.extend(if order == ByteOrder::Big { b"MM" } else { b"II" });
        build.put(if is_big { 43 } else { 42 }, 2);
        if is_big {
            build.put(8, 2);
            build.put(0, 2);
        }
        build.put(0, build.word());
        build
    }

    fn word(&self) -> usize {
        if self.is_big { 8 } else { 4 }
    }

    fn number(&self, number: u64, size: usize) -> Vec<u8> {
        let mut bytes = number.to_le_bytes()[..size].to_vec();
        if self.order == ByteOrder::Big {
            bytes.reverse();
        }
        bytes
    }

    fn put(&mut self, number: u64, size: usize) {
        self.bytes.extend(self.number(number, size));
    }

    /// Adds a page of these tags.
    fn page(mut self, tags: &[Tag]) -> Build {
        let mut fields = Vec::new();
        for &(_, kind, values) in tags {
            let size = [1, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8][usize::from(kind)];
            let mut field: Vec<u8> = values.iter().flat_map(|&value| self.number(value, size)).collect();
            if field.len() > self.word() {
                let at = self.bytes.len() as u64;
                self.bytes.append(&mut field);
                field = self.number(at, self.word());
            }
            field.resize(self.word(), 0);
            fields.push(field);
        }
        let at = self.number(self.bytes.len() as u64, self.word());
        let next = self.next;
        self.bytes[next..next + at.len()].copy_from_slice(&at);
        self.put(tags.len() as u64, if self.is_big { 8 } else { 2 });
        for ((number, kind, values), field) in tags.iter().zip(fields) {
            self.put((*number).into(), 2);
            self.put((*kind).into(), 2);
            self.put(values.len() as u64, self.word());
            self.bytes.extend(field);
        }
        self.next = self.bytes.len();
        self.put(0, self.word());
        self
    }

    /// The file, of this length.
    fn end(mut self, length: usize) -> Vec<u8> {
        assert!(self.bytes.len() <= length);
        self.bytes.resize(length, 0);
        self.bytes
    }
}

/// A little-endian file of one page, of 2000 bytes.
fn one(tags: &[Tag]) -> Vec<u8> {
    Build::new(ByteOrder::Little, false).page(tags).end(2000)
}

/// A page of 5 x 3 `u2` in one strip at byte 1000, with other or more tags.
fn with<'a>(changes: &[Tag<'a>]) -> Vec<Tag<'a>> {
    let usual: [Tag; 4] = [(256, SHORT, &[3]), (257, SHORT, &[5]), (258, SHORT, &[16]), (273, LONG, &[1000])];
    let kept = usual.into_iter().filter(|tag| changes.iter().all(|change| change.0 != tag.0));
    kept.chain(changes.iter().copied()).collect()
}

fn text(text: &str) -> Vec<u64> {
    text.bytes().map(u64::from).collect()
}

fn found(bytes: &[u8]) -> Array {
    array(&Tiff, &Bytes(bytes)).unwrap()
}

fn refused(tags: &[Tag], parts: &[&str]) {
    says(&array(&Tiff, &Bytes(&one(&with(tags)))).unwrap_err(), parts);
}

/// Where the element at some coordinates lies.
fn place(array: &Array, coordinates: &[u64]) -> Option<i64> {
    let spot = array.grid.spot(coordinates, None);
    spot.piece.map(|_| spot.offset)
}

#[test]
fn one_strip_in_either_order_and_size() {
    for (order, letter) in [(ByteOrder::Little, '<'), (ByteOrder::Big, '>')] {
        for is_big in [false, true] {
            let file = Build::new(order, is_big).page(&with(&[])).end(1030);
            assert_eq!(described(&found(&file)), format!("{letter}u2 at 1000 [5, 3] [6, 2]"));
            assert!(Tiff.knows(&file));
        }
    }
    assert_eq!(found(&one(&with(&[]))).dims, ["row", "column"]);
    assert!(!Tiff.knows(b"II+\0\x04\0\0\0") && !Tiff.knows(b""));
}

#[test]
fn types() {
    for (format, bits, wanted) in [
        (1, 8, "|u1"),
        (4, 16, "<u2"),
        (1, 64, "<u8"),
        (2, 8, "|i1"),
        (2, 32, "<i4"),
        (3, 16, "<f2"),
        (3, 64, "<f8"),
        (5, 32, "[('real', '<i2'), ('imag', '<i2')]"),
        (6, 64, "<c8"),
        (6, 128, "<c16"),
    ] {
        let file = one(&with(&[(258, SHORT, &[bits]), (339, SHORT, &[format])]));
        assert_eq!(found(&file).dtype.to_string(), wanted);
    }
}

#[test]
fn strips_that_follow_each_other_are_one_piece() {
    let strips: [Tag; 3] = [(273, SHORT, &[1000, 1012, 1024]), (278, SHORT, &[2]), (279, SHORT, &[12, 12, 6])];
    assert_eq!(described(&found(&one(&with(&strips)))), "<u2 at 1000 [5, 3] [6, 2]");
}

#[test]
fn strips_anywhere_of_which_the_last_is_short() {
    // The last strip ends with the file.
    let strips: [Tag; 2] = [(273, LONG8, &[1500, 1000, 1994]), (278, LONG, &[2])];
    let array = found(&one(&with(&strips)));
    assert!(array.grid.single().is_none());
    for ([row, column], wanted) in [([0, 0], 1500), ([1, 2], 1510), ([2, 0], 1000), ([4, 0], 1994), ([4, 2], 1998)] {
        assert_eq!(place(&array, &[row, column]), Some(wanted));
    }
}

#[test]
fn tiles_stick_out_at_the_edges() {
    let tiles: [Tag; 4] =
        [(322, SHORT, &[2]), (323, SHORT, &[4]), (324, LONG, &[100, 200, 1900, 1994]), (325, LONG, &[16; 4])];
    let file = Build::new(ByteOrder::Big, true).page(&with(&tiles)).end(2000);
    let array = found(&file);
    for ([row, column], wanted) in [([1, 1], 106), ([3, 2], 212), ([4, 1], 1902), ([4, 2], 1994)] {
        assert_eq!(place(&array, &[row, column]), Some(wanted));
    }
}

#[test]
fn samples_behind_and_planes_in_front() {
    let pixels: [Tag; 4] = [(258, SHORT, &[8; 3]), (277, SHORT, &[3]), (262, SHORT, &[2]), (338, SHORT, &[])];
    let array = found(&one(&with(&pixels)));
    assert_eq!(described(&array), "|u1 at 1000 [5, 3, 3] [9, 3, 1]");
    assert_eq!((array.dims.join(" "), &array.attributes["channels"]), ("row column sample".into(), &json!("RGB")));
    let planes: [Tag; 4] =
        [(258, SHORT, &[8; 3]), (277, SHORT, &[3]), (284, SHORT, &[2]), (273, LONG, &[1000, 1015, 1030])];
    let array = found(&one(&with(&planes)));
    assert_eq!(described(&array), "|u1 at 1000 [3, 5, 3] [15, 3, 1]");
    assert_eq!(array.dims, ["sample", "row", "column"]);
    let apart: [Tag; 4] = [(273, LONG, &[1000, 1200, 1100]), planes[0], planes[1], planes[2]];
    assert_eq!(place(&found(&one(&with(&apart))), &[2, 1, 1]), Some(1104));
}

/// A file of pages that begin at these bytes.
fn stack(starts: &[u64], first: &[Tag]) -> Vec<u8> {
    let mut build = Build::new(ByteOrder::Little, false);
    for (number, start) in starts.iter().enumerate() {
        let place = [*start];
        let mut tags = with(&[(273, LONG, &place)]);
        if number == 0 {
            tags.extend(first);
        }
        build = build.page(&tags);
    }
    build.end(2000)
}

#[test]
fn pages_at_equal_distances_are_one_piece() {
    let array = found(&stack(&[1000, 1100, 1200], &[]));
    assert_eq!(described(&array), "<u2 at 1000 [3, 5, 3] [100, 6, 2]");
    assert_eq!(array.dims, ["page", "row", "column"]);
    assert_eq!(described(&found(&stack(&[1200, 1100, 1000], &[]))), "<u2 at 1200 [3, 5, 3] [-100, 6, 2]");
}

#[test]
fn pages_at_any_distances_are_pieces() {
    let array = found(&stack(&[1000, 1900, 1200], &[]));
    assert_eq!((place(&array, &[1, 4, 2]), place(&array, &[2, 0, 0])), (Some(1928), Some(1200)));
}

#[test]
fn pages_in_strips_of_which_some_follow_each_other() {
    let strips = |places| with(&[(273, LONG, places), (278, SHORT, &[3])]);
    let build = Build::new(ByteOrder::Little, false).page(&strips(&[1000, 1018])).page(&strips(&[1100, 1200]));
    let array = found(&build.end(2000));
    assert_eq!((place(&array, &[0, 3, 0]), place(&array, &[1, 3, 1])), (Some(1018), Some(1202)));
}

#[test]
fn axes_that_imagej_and_tifffile_name() {
    let imagej = text("ImageJ=1.53\nimages=6\nchannels=3\nframes=2\n");
    let starts: Vec<u64> = (0..6).map(|page| 1000 + 30 * page).collect();
    let array = found(&stack(&starts, &[(270, 2, &imagej)]));
    assert_eq!(described(&array), "<u2 at 1000 [2, 3, 5, 3] [90, 30, 6, 2]");
    assert_eq!(array.dims, ["frame", "channel", "row", "column"]);
    let other = text("ImageJ=1.53\nchannels=3\nframes=2\norder=tzc\n");
    assert_eq!(found(&stack(&starts, &[(270, 2, &other)])).dims, ["channel", "frame", "row", "column"]);
    let json = text(r#"{"shape": [2, 3, 5, 3]}"#);
    assert_eq!(found(&stack(&starts, &[(270, 2, &json)])).dims, ["", "", "row", "column"]);
    // What does not fit the pages is no axis.
    assert_eq!(found(&stack(&starts[1..], &[(270, 2, &imagej)])).grid.shape(), [5, 5, 3]);
}

#[test]
fn pages_without_a_directory() {
    for description in ["ImageJ=1.53\nimages=30\nslices=30\n", "ImageJ=1.53\nimages=30\n", r#"{"shape": [30, 5, 3]}"#] {
        let array = found(&one(&with(&[(270, 2, &text(description))])));
        assert_eq!(described(&array), "<u2 at 1000 [30, 5, 3] [30, 6, 2]");
    }
    // The file ends before.
    for description in ["ImageJ=1\nimages=34\n", "ImageJ=1\nslices=0\n", r#"{"shape": [34, 5, 3]}"#, "{}", "ImageJ="] {
        assert_eq!(found(&one(&with(&[(270, 2, &text(description))]))).grid.shape(), [5, 3]);
    }
}

#[test]
fn planes_of_metamorph() {
    let array = found(&one(&with(&[(33629, 5, &[0; 30])])));
    assert_eq!(described(&array), "<u2 at 1000 [30, 5, 3] [30, 6, 2]");
    refused(&[(33629, 5, &[0; 34])], &["up to byte 2020", "truncated"]);
    let strips: [Tag; 3] = [(33629, 5, &[0; 2]), (273, LONG, &[1500, 1000]), (278, SHORT, &[3])];
    refused(&strips, &["do not follow each other"]);
}

#[test]
fn pages_that_differ_are_members() {
    let packed: [Tag; 1] = [(259, SHORT, &[5])];
    let small: [Tag; 1] = [(257, SHORT, &[2])];
    let build = Build::new(ByteOrder::Little, false).page(&with(&[])).page(&with(&small)).page(&with(&packed));
    let container = parse(&Tiff, &Bytes(&build.end(2000))).unwrap();
    assert_eq!(shown(&container, "page-0"), "<u2 at 1000 [5, 3] [6, 2]");
    assert_eq!(shown(&container, "page-1"), "<u2 at 1000 [2, 3] [6, 2]");
    says(member(&container, "page-2").unwrap_err(), &["compressed with LZW", "tiffcp -c none"]);
}

#[test]
fn what_was_never_written_is_nodata() {
    let strips: [Tag; 3] = [(273, LONG, &[0, 1000]), (279, LONG, &[0, 48]), (278, SHORT, &[3])];
    let array = found(&one(&with(&strips)));
    assert_eq!((place(&array, &[2, 0]), place(&array, &[3, 0]), array.fill.len()), (None, Some(1000), 0));
    for (format, bits, nodata, wanted) in [
        (1, 8, "255", &[255][..]),
        (2, 16, "-2", &[254, 255]),
        (2, 16, "-2.0", &[254, 255]),
        (1, 64, "18446744073709551615", &[255; 8]),
        (3, 16, "nan", &[0, 0x7e]),
        (3, 32, "1.5", &[0, 0, 0xc0, 0x3f]),
        (6, 64, "1.5", &[0, 0, 0xc0, 0x3f, 0, 0, 0, 0]),
    ] {
        let (bits, format, nodata) = ([bits], [format], text(nodata));
        let more = [(258, SHORT, &bits[..]), (339, SHORT, &format), (42113, 2, &nodata)];
        let found = found(&one(&with(&[&strips[..], &more].concat())));
        assert_eq!(found.fill, wanted);
        assert_eq!(found.attributes["GDAL_NODATA"].as_str().map(text), Some(nodata));
    }
    for nodata in ["-1", "65536", "0.5", "none", "nan"] {
        refused(&[&strips[..], &[(42113, 2, &text(nodata))]].concat(), &["GDAL_NODATA", nodata]);
    }
}

#[test]
fn attributes_under_their_names() {
    let scale = [30.0_f64, 20.0, 0.0].map(f64::to_bits);
    let resolution = [300 | 2 << 32];
    let tags = [
        (262, SHORT, &[1][..]),
        (270, 2, &text("a picture")),
        (282, 5, &resolution),
        (296, SHORT, &[3]),
        (277, SHORT, &[2]),
        (338, SHORT, &[2]),
        (33550, 12, &scale),
    ];
    let wanted = json!({
        "PhotometricInterpretation": "BlackIsZero", "channels": "YA", "ResolutionUnit": "centimeter", "ExtraSamples": 2,
        "XResolution": 150.0, "ModelPixelScale": [30.0, 20.0, 0.0], "ImageDescription": "a picture",
    });
    assert_eq!(json!(found(&one(&with(&tags))).attributes), wanted);
}

#[test]
fn refused_other_kinds() {
    for bytes in [&b"PK\x03\x04"[..], b"II\0\x2a", b"", b"I", b"\0\0*\0"] {
        says(&array(&Tiff, &Bytes(bytes)).unwrap_err(), &["II or MM", "another kind"]);
    }
    says(&array(&Tiff, &Bytes(b"II*\0\x08")).unwrap_err(), &["its header", "truncated"]);
    says(&array(&Tiff, &Bytes(b"II+\0\x04\0\0\0\0\0\0\0\0\0\0\0")).unwrap_err(), &["another size than 8 bytes"]);
    says(&array(&Tiff, &Bytes(b"II*\0\0\0\0\0")).unwrap_err(), &["no page"]);
    assert_eq!(array(&Tiff, &Broken).unwrap_err().0, "cannot be read: the disk is gone");
}

#[test]
fn refused_directories() {
    says(&array(&Tiff, &Bytes(b"II*\0\x08\0\0\0\x01")).unwrap_err(), &["one of its directories", "truncated"]);
    says(&array(&Tiff, &Bytes(b"II*\0\x08\0\0\0\0\0")).unwrap_err(), &["at byte 8 claims 0 tags"]);
    says(&array(&Tiff, &Bytes(b"II*\0\x08\0\0\0\xff\xff")).unwrap_err(), &["claims 65535 tags"]);
    let mut build = Build::new(ByteOrder::Little, false).page(&with(&[]));
    let (start, next) = (build.bytes[4..8].to_vec(), build.next);
    build.bytes[next..next + 4].copy_from_slice(&start);
    says(&array(&Tiff, &Bytes(&build.end(2000))).unwrap_err(), &["in a circle"]);
}

#[test]
fn refused_directories_that_overlap() {
    // Each is two bytes behind the one before, and has all that follows for its tags.
    let mut bytes = b"II*\0\x08\0\0\0".to_vec();
    bytes.extend(4000_u16.to_le_bytes().repeat(40_000));
    for at in (0..20_000_u32).map(|number| 8 + 2 * number) {
        let next = at as usize + 2 + 12 * 4000;
        if let Some(place) = bytes.get_mut(next..next + 4).filter(|_| at.is_multiple_of(4)) {
            place.copy_from_slice(&(at + 4).to_le_bytes());
        }
    }
    says(&array(&Tiff, &Bytes(&bytes)).unwrap_err(), &["overlap"]);
}

#[test]
fn refused_too_many_strips() {
    let tags: [Tag; 3] = [(257, LONG, &[1 << 30]), (256, LONG, &[1]), (278, LONG, &[1])];
    let file = one(&with(&tags));
    says(&array(&Tiff, &Sparse(&file, 1 << 40)).unwrap_err(), &["more than 16777216 strips"]);
}

#[test]
fn refused_offsets_without_their_upper_halves() {
    let file = one(&with(&[(34412, 1, &[0; 8])]));
    found(&file);
    says(&array(&Tiff, &Sparse(&file, 1 << 33)).unwrap_err(), &["LSM", "as BigTIFF"]);
}

#[test]
fn refused_coded() {
    for (compression, name) in [
        (2, "CCITT Huffman"),
        (3, "group 3"),
        (4, "group 4"),
        (5, "LZW"),
        (7, "JPEG"),
        (8, "Deflate"),
        (32773, "PackBits"),
        (34712, "JPEG 2000"),
        (34887, "LERC"),
        (34925, "LZMA"),
        (50000, "Zstandard"),
        (50001, "WebP"),
        (50002, "JPEG XL"),
        (34933, "PNG"),
        (12345, "codec 12345 of TIFF"),
    ] {
        refused(&[(259, SHORT, &[compression])], &[name, "tiffcp -c none"]);
    }
    refused(&[(317, SHORT, &[2])], &["predictor"]);
    refused(&[(266, SHORT, &[2])], &["FillOrder 2", "msb2lsb"]);
    refused(&[(32997, LONG, &[2])], &["ImageDepth"]);
    refused(&[(262, SHORT, &[6])], &["YCbCr", "as RGB"]);
    refused(&[(262, SHORT, &[6]), (530, SHORT, &[2, 1])], &["YCbCr", "as RGB"]);
    found(&one(&with(&[(262, SHORT, &[6]), (530, SHORT, &[1, 1])])));
}

#[test]
fn refused_types() {
    for (format, bits) in [(1, 1), (1, 12), (1, 24), (2, 4), (3, 24), (3, 128), (5, 8), (6, 32)] {
        refused(&[(258, SHORT, &[bits]), (339, SHORT, &[format])], &["the bits of each are", "save it with"]);
    }
    refused(&[(339, SHORT, &[7])], &["SampleFormat is 7"]);
    refused(&[(258, SHORT, &[5, 6, 5]), (277, SHORT, &[3])], &["several sizes"]);
    refused(&[(339, SHORT, &[1, 2]), (277, SHORT, &[2])], &["several types"]);
}

#[test]
fn refused_shapes() {
    refused(&[(256, SHORT, &[0])], &["how many columns"]);
    refused(&[(257, LONG, &[])], &["how many rows"]);
    refused(&[(257, 12, &[5])], &["its tag 257 is of type 12"]);
    refused(&[(278, SHORT, &[0])], &["rows in a strip"]);
    refused(&[(322, SHORT, &[16])], &["rows in a tile"]);
    refused(&[(277, SHORT, &[0])], &["0 samples"]);
    refused(&[(277, LONG, &[65536])], &["65536 samples"]);
    refused(&[(277, SHORT, &[2]), (284, SHORT, &[3])], &["PlanarConfiguration is 3"]);
    refused(&[(256, LONG8, &[u64::MAX]), (257, LONG8, &[u64::MAX])], &["cannot be"]);
}

#[test]
fn refused_tables() {
    says(&array(&Tiff, &Bytes(&one(&with(&[])[..3]))).unwrap_err(), &["where its strips or tiles are"]);
    refused(&[(278, SHORT, &[2]), (273, LONG, &[1000, 1012])], &["tag 273 has 2 entries", "has 3 strips"]);
    refused(&[(278, SHORT, &[2]), (273, LONG, &[1000; 3]), (279, LONG, &[12, 11, 6])], &["1 has 11 bytes", "take 12"]);
    refused(&[(273, LONG, &[1971])], &["strip or tile 0", "truncated"]);
    refused(&[(273, LONG8, &[u64::MAX])], &["strip or tile 0", "truncated"]);
    // Only where it is alone is its size of no matter.
    found(&one(&with(&[(279, LONG, &[1])])));
}

/// Elements at the ends and in between lie in a file of this length.
fn is_within(array: &Array, length: u64) -> bool {
    let (shape, itemsize) = (array.grid.shape(), array.grid.itemsize() as i64);
    let lies =
        |coordinates: &[u64]| place(array, coordinates).is_none_or(|at| at >= 0 && at + itemsize <= length as i64);
    let corner = |part: u64| -> Vec<u64> {
        shape.iter().enumerate().map(|(axis, length)| if part >> axis & 1 == 0 { 0 } else { length - 1 }).collect()
    };
    let between =
        |part: u128| -> Vec<u64> { shape.iter().map(|&length| (u128::from(length - 1) * part / 16) as u64).collect() };
    lies_within(array, length)
        && (0..1 << shape.len().min(8)).all(|part| lies(&corner(part)))
        && (0..=16).all(|part| lies(&between(part)))
}

proptest! {
    #[test]
    fn no_mutation_is_too_strange(
        is_big in any::<bool>(),
        is_big_endian in any::<bool>(),
        changes in prop::collection::vec((0..700_usize, prop_oneof![any::<u8>(), 0..6_u8]), 0..8),
        cut in prop_oneof![Just(2000_usize), 0..2000_usize],
    ) {
        let order = if is_big_endian { ByteOrder::Big } else { ByteOrder::Little };
        let json = text(r#"{"shape": [2, 5, 3, 2]}"#);
        let strips: [Tag; 4] = [(277, SHORT, &[2]), (278, SHORT, &[2]), (279, LONG, &[24, 24, 12]), (258, SHORT, &[16, 16])];
        let page = |places| with(&[&strips[..], &[(273, LONG, places), (270, 2, &json), (42113, 2, &[49, 0])]].concat());
        let tiles: [Tag; 3] = [(322, SHORT, &[2]), (323, SHORT, &[4]), (324, LONG, &[1000, 1100, 1200, 1300])];
        let mut bytes = Build::new(order, is_big)
            .page(&page(&[1000, 1024, 1048]))
            .page(&page(&[1100, 1200, 0]))
            .page(&with(&tiles))
            .end(2000);
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        bytes.truncate(cut);
        match Tiff.parse("a", &Bytes(&bytes), &crate::source::Alone) {
            Ok(Content::One(array)) => prop_assert!(is_within(&array, bytes.len() as u64)),
            Ok(Content::Many(container)) => {
                let mut arrays = container.members.iter().filter_map(|member| member.found.as_ref().ok());
                prop_assert!(arrays.all(|array| is_within(array, bytes.len() as u64)));
            }
            Err(_) => {}
        }
    }
}
