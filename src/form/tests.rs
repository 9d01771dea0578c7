//! What others write as headers.

use proptest::prelude::*;
use serde_json::Map;

use super::*;

/// Slices that have headers, and their forms.
const SLICES: &[(&str, &[u64], &str)] = &[
    ("<i4", &[3, 4], "npy"),
    ("<f8", &[], "npy"),
    ("[('a', '<i4'), ('ü', '>f8', (2,))]", &[5], "npy"),
    ("u1", &[3, 4], "pgm"),
    (">u2", &[3, 4], "pgm"),
    ("u1", &[3, 4, 3], "ppm"),
    ("<f4", &[3, 4], "pfm"),
    (">f4", &[3, 4, 3], "pfm"),
    ("u1", &[3, 5], "bmp"),
    ("u1", &[3, 5, 3], "bmp"),
    ("u1", &[7], "wav"),
    ("<i2", &[7, 2], "wav"),
    ("<i4", &[7, 3], "wav"),
    (">f8", &[7], "wav"),
    ("i1", &[7, 2], "au"),
    ("<f4", &[7], "au"),
    ("<f4", &[3, 4], "tif"),
    ("<i2", &[3, 4], "fits"),
    ("<i2", &[3, 4], "nii"),
    ("<i2", &[3, 4], "nrrd"),
    ("<i2", &[3, 4], "mat"),
];

fn binary(number: usize) -> Binary {
    let (dtype, shape, suffix) = SLICES[number];
    let attributes = Map::new();
    let dtype = DType::parse(dtype).expect("a type");
    let slice = Slice { dtype: &dtype, element: None, shape, is_fortran: false, file: None, attributes: &attributes };
    match Form::of_suffix(suffix).and_then(|form| form.face(&slice)) {
        Some(Face::Binary(binary)) => binary,
        face => panic!("{suffix} of {dtype}: {face:?}"),
    }
}

#[test]
fn a_header_is_its_own_and_no_other_slices() {
    for (number, slice) in SLICES.iter().enumerate() {
        let ours = binary(number);
        assert!(ours.accepts(&ours.head), "{slice:?}");
        assert!(!ours.accepts(&[]) && !ours.accepts(&ours.head[1..]), "{slice:?}");
        for other in (0..SLICES.len()).filter(|&other| other != number) {
            let (theirs, kind) = (binary(other).head, SLICES[other].2);
            assert!(!ours.accepts(&theirs), "{slice:?} took the header of {kind}");
        }
    }
}

/// Changes one place of the header of a form, and tells whether it is still taken.
fn changed(suffix: &str, at: usize, bytes: &[u8]) -> bool {
    let number = SLICES.iter().position(|slice| slice.2 == suffix).expect("a form");
    let ours = binary(number);
    let mut head = ours.head.clone();
    head[at..at + bytes.len()].copy_from_slice(bytes);
    assert_ne!(head, ours.head);
    ours.accepts(&head)
}

#[test]
fn what_may_differ_and_what_may_not() {
    // The resolution of a bitmap, the length that is left open; not its width, its depth, its colours.
    assert!(changed("bmp", 38, &[1, 2, 3, 4, 5, 6, 7, 8]) && changed("bmp", 2, &[0; 4]) && changed("bmp", 34, &[0; 4]));
    assert!(
        !changed("bmp", 18, &[6])
            && !changed("bmp", 22, &[0xfd])
            && !changed("bmp", 28, &[24])
            && !changed("bmp", 60, &[9])
    );
    // The rate of a sound, and a length that is left open.
    assert!(changed("wav", 24, &[1, 2, 3]) && changed("wav", 40, &[0; 4]) && changed("wav", 40, &[0xff; 4]));
    assert!(
        !changed("wav", 22, &[2])
            && !changed("wav", 34, &[16])
            && !changed("wav", 40, &[6])
            && !changed("wav", 36, b"x")
    );
    assert!(changed("au", 16, &[1, 2]) && changed("au", 8, &[0xff; 4]) && changed("au", 8, &[0; 4]));
    assert!(
        !changed("au", 8, &[0, 0, 0, 13]) && !changed("au", 12, &[0, 0, 0, 3]) && !changed("au", 20, &[0, 0, 0, 3])
    );
    // Blanks for blanks; not another size or a largest value of two bytes.
    assert!(changed("pgm", 2, b" ") && changed("pgm", 4, b"\t"));
    assert!(
        !changed("pgm", 1, b"6")
            && !changed("pgm", 3, b"5")
            && !changed("pgm", 7, b"999")
            && !changed("pgm", 7, b"254")
    );
    assert!(!changed("pfm", 8, b"2.0\n") && !changed("pfm", 10, b"5"), "how bright a value is cannot be kept");
}

proptest! {
    #[test]
    fn any_bytes_as_a_header(number in 0..SLICES.len(), bytes in prop::collection::vec(any::<u8>(), 0..1200)) {
        let ours = binary(number);
        let mut head = bytes;
        head.resize(ours.head.len(), b' ');
        ours.accepts(&head);
        // Such as begin as ours do, so that more of them is looked at.
        for keep in [1, 8, 10, 12, 20, 40, 54] {
            let keep = keep.min(head.len());
            head[..keep].copy_from_slice(&ours.head[..keep]);
            ours.accepts(&head);
        }
    }

    #[test]
    fn a_few_changed_bytes(number in 0..SLICES.len(), changes in prop::collection::vec((any::<u32>(), any::<u8>()), 1..5)) {
        let ours = binary(number);
        let mut head = ours.head.clone();
        for (at, byte) in changes {
            let at = at as usize % head.len();
            head[at] = byte;
        }
        ours.accepts(&head);
    }
}
