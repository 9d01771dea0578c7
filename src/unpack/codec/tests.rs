//! Bytes that the reference libraries made: numcodecs 0.16, and for HDF5's filters h5py 3.16 with hdf5plugin 7.1.

use std::io::Write;

use proptest::prelude::*;

use super::blosc::Blosc;
use super::bzip2::Bzip2;
use super::checksum::{Checksum, Kind};
use super::deflate::{Gzip, Zlib};
use super::lz4::{Hdf5Lz4, Lz4};
use super::lzf::Lzf;
use super::lzma::Lzma;
use super::numbers::{Filter, Numbers, PackBits, Type};
use super::shuffle::{Shuffle, bit_unshuffled, unshuffled};
use super::zstd::Zstd;
use super::{Chain, Codec, Damage};

mod bytes;

use bytes::*;

fn from_hex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16).unwrap() as u8;
    text.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// What most of the bytes decode to: the numbers 0 to 511, divided by 7.
fn plain() -> Vec<u8> {
    (0..512_u32).flat_map(|number| (number / 7).to_le_bytes()).collect()
}

/// All decoders, and bytes for each.
fn decoders() -> Vec<(Box<dyn Codec>, &'static str)> {
    vec![
        (Box::new(Zlib), ZLIB),
        (Box::new(Gzip), GZIP),
        (Box::new(Bzip2), BZ2),
        (Box::new(Lz4), LZ4),
        (Box::new(Zstd), ZSTD),
        (Box::new(Lzma::Xz), XZ),
        (Box::new(Lzma::Auto), XZ),
        (Box::new(Lzma::Alone), LZMA),
        (Box::new(Lzma::Auto), LZMA),
        (Box::new(Lzf), LZF),
        (Box::new(Hdf5Lz4), H5LZ4),
        (Box::new(Blosc), BLOSC_BLOSCLZ_1),
        (Box::new(Blosc), BLOSC_BLOSCLZ_2),
        (Box::new(Blosc), BLOSC_LZ4_1),
        (Box::new(Blosc), BLOSC_LZ4HC_2),
        (Box::new(Blosc), BLOSC_ZLIB_2),
        (Box::new(Blosc), BLOSC_ZSTD_1),
        (Box::new(Blosc), SNAPPY),
    ]
}

#[test]
fn decode_what_the_libraries_encode() {
    for (codec, hex) in decoders() {
        assert_eq!(codec.decode(from_hex(hex), 2048).as_deref(), Ok(&plain()[..]), "{codec:?}");
    }
}

#[test]
fn no_decoder_gives_more_than_it_may() {
    for (codec, hex) in decoders() {
        for limit in [0, 1, 1000, 2047] {
            let found = codec.decode(from_hex(hex), limit);
            assert!(found.is_err(), "{codec:?} gave {} bytes of {limit}", found.unwrap().len());
        }
    }
}

#[test]
fn what_is_cut_is_damaged() {
    for (codec, hex) in decoders() {
        let whole = from_hex(hex);
        for len in 0..whole.len() {
            if let Ok(found) = codec.decode(whole[..len].to_vec(), 2048) {
                // LZF does not say where it ends; of some others the last bytes are not needed.
                let plain = plain();
                assert!(plain.starts_with(&found), "{codec:?} {len}");
            }
        }
    }
    assert_eq!(Zlib.decode(from_hex(ZLIB)[..140].to_vec(), 2048), Err(Damage::too_short()));
    assert_eq!(Gzip.decode(from_hex(GZIP)[..150].to_vec(), 2048), Err(Damage::too_short()));
    assert!(Zstd.decode(from_hex(ZSTD)[..108].to_vec(), 2048).is_err());
    assert!(Bzip2.decode(from_hex(BZ2)[..190].to_vec(), 2048).is_err());
}

#[test]
fn checksums_of_the_formats_themselves_are_verified() {
    for (codec, hex, at) in [
        (Box::new(Zlib) as Box<dyn Codec>, ZLIB, 141),
        (Box::new(Gzip), GZIP, 149),
        (Box::new(Zstd), ZSTD, 109),
        (Box::new(Bzip2), BZ2, 11),
        (Box::new(Lzma::Xz), XZ, 139),
    ] {
        let mut bytes = from_hex(hex);
        bytes[at] ^= 1;
        let damage = codec.decode(bytes, 2048).expect_err(hex);
        assert!(damage.0.contains("damaged"), "{codec:?}: {}", damage.0);
    }
}

#[test]
fn streams_may_follow_each_other() {
    for (codec, hex) in [(Box::new(Gzip) as Box<dyn Codec>, GZIP), (Box::new(Zstd), ZSTD), (Box::new(Bzip2), BZ2)] {
        let twice = from_hex(hex).repeat(2);
        assert_eq!(codec.decode(twice, 4096), Ok(plain().repeat(2)), "{codec:?}");
    }
    // A frame that is to be skipped, of 3 bytes.
    let skipped = [&b"\x50\x2a\x4d\x18\x03\0\0\0abc"[..], &from_hex(ZSTD)].concat();
    assert_eq!(Zstd.decode(skipped, 2048), Ok(plain()));
}

#[test]
fn blosc_far_copies_and_bytes_that_were_copied() {
    let found = Blosc.decode(from_hex(FAR), 9120).unwrap();
    assert_eq!(found.len(), 9120);
    assert!(found[60..9060].iter().all(|&byte| byte == 0));
    assert_eq!(found[..60], found[9060..]);
    assert_eq!(found[..8], [0xff, 0xe4, 0x22, 0x79, 0xf3, 0xbd, 0x06, 0x83]);
    assert_eq!(Blosc.decode(from_hex(BLOSC_COPIED), 40).unwrap(), plain()[..40]);
}

#[test]
fn blosc_of_version_2_is_named() {
    let mut bytes = from_hex(BLOSC_COPIED);
    bytes[0] = 5;
    assert_eq!(Blosc.decode(bytes, 40).unwrap_err().0, "are of Blosc 2, which is not built in");
}

#[test]
fn checksums() {
    let plain: Vec<u8> = (0..250).step_by(7).map(|byte| byte as u8).collect();
    for (kind, at_start, sum) in [
        (Kind::Crc32, true, [0x48, 0x68, 0xc2, 0xa7]),
        (Kind::Crc32c, false, [0xdc, 0x2b, 0x8d, 0x52]),
        (Kind::Adler32, true, [0x3b, 0x11, 0x9a, 0xd4]),
        (Kind::Fletcher32, false, [0xe4, 0x66, 0xe0, 0x37]),
        // As old writers of HDF5 have it.
        (Kind::Fletcher32, false, [0x66, 0xe4, 0x37, 0xe0]),
    ] {
        let codec = Checksum { kind, at_start };
        let bytes = if at_start { [&sum[..], &plain].concat() } else { [&plain[..], &sum].concat() };
        assert_eq!(codec.decode(bytes.clone(), plain.len()).as_ref(), Ok(&plain), "{kind:?}");
        assert!(codec.decode(bytes[..3].to_vec(), 100).is_err());
        let mut wrong = bytes;
        wrong[20] ^= 1;
        assert!(codec.decode(wrong, plain.len()).unwrap_err().0.contains("do not have the checksum"), "{kind:?}");
    }
    // An odd number of bytes, as numcodecs and HDF5 sum them.
    let odd = [&plain[..35], &[0xef, 0x65, 0xeb, 0x36]].concat();
    assert_eq!(Checksum { kind: Kind::Fletcher32, at_start: false }.decode(odd, 35).unwrap(), plain[..35]);
}

#[test]
fn shuffled_bytes_and_bits() {
    let plain: Vec<u8> = (0..24 * 3 + 2).map(|byte| (byte * 37 % 251) as u8).collect();
    let shuffled: Vec<u8> =
        (0..3).flat_map(|place| plain[place..72].iter().step_by(3)).chain(&plain[72..]).copied().collect();
    assert_eq!(unshuffled(&shuffled, 3), plain);
    assert_eq!(Shuffle { size: 1 }.decode(plain.clone(), 100).unwrap(), plain);
    let mut bits = vec![0; 72];
    for element in 0..24 {
        for bit in 0..24 {
            let row = bit * 3 + element / 8;
            bits[row] |= (plain[3 * element + bit / 8] >> (bit % 8) & 1) << (element % 8);
        }
    }
    bits.extend(&plain[72..]);
    assert_eq!(bit_unshuffled(&bits, 3), plain);
    // 5 elements are no multiple of 8.
    assert_eq!(bit_unshuffled(&plain[..15], 3), plain[..15]);
}

/// What a filter makes of numbers.
#[track_caller]
fn calculated(filter: Filter, plain: &str, stored: &str, bytes: &[u8]) -> Vec<u8> {
    let (plain, stored) = (Type::parse(plain).unwrap(), Type::parse(stored).unwrap());
    Numbers { filter, plain, stored }.decode(bytes.to_vec(), 1000).unwrap()
}

#[test]
fn filters_that_calculate() {
    let floats = |numbers: &[f64]| numbers.iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<u8>>();
    assert_eq!(calculated(Filter::Delta, "|i1", "|i1", &[100, 100, 0xff]), [100, 200, 199]);
    assert_eq!(calculated(Filter::Delta, ">i2", "|i1", &[0xff, 1, 1]), [0xff, 0xff, 0, 0, 0, 1]);
    let sums = calculated(Filter::Delta, ">f8", ">f8", &floats(&[-0.0, 1.5, 2.0]));
    assert_eq!(sums, floats(&[-0.0, 1.5, 3.5]));
    let scaled = Filter::FixedScaleOffset { scale: 4.0, offset: 10.0 };
    assert_eq!(calculated(scaled, ">f8", "|u1", &[6, 255]), floats(&[11.5, 73.75]));
    assert_eq!(calculated(scaled, "|u1", "<i2", &[6, 0, 0xfe, 0xff]), [11, 9]);
    assert_eq!(calculated(Filter::AsType, ">i2", "<f4", &(-2.75_f32).to_le_bytes()), [0xff, 0xfe]);
    assert_eq!(calculated(Filter::AsType, "<u4", "|i1", &[0xff]), [0xff; 4]);
    assert_eq!(PackBits.decode(vec![3, 0b1010_0000], 8).unwrap(), [1, 0, 1, 0, 0]);
    for text in ["f2", "c8", "S3", "M8[s]", "?", "f16", "nonsense"] {
        assert_eq!(Type::parse(text), None, "{text}");
    }
}

#[test]
fn a_chain_is_undone_from_its_end() {
    let sum = Checksum { kind: Kind::Crc32c, at_start: false };
    let chain = Chain(vec![Box::new(Shuffle { size: 4 }), Box::new(Zlib), Box::new(sum)]);
    let numbers = plain();
    let shuffled: Vec<u8> = (0..4).flat_map(|place| numbers[place..].iter().step_by(4)).copied().collect();
    let zlib = |bytes: &[u8]| {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let summed = |bytes: Vec<u8>| [&bytes[..], &crc32c::crc32c(&bytes).to_le_bytes()].concat();
    assert_eq!(chain.decode(summed(zlib(&shuffled)), 2048, 0).as_ref(), Ok(&numbers));
    // One that was left out for this chunk.
    assert_eq!(chain.decode(summed(zlib(&numbers)), 2048, 1).as_ref(), Ok(&numbers));
    assert_eq!(chain.decode(shuffled.clone(), 2048, 6).as_ref(), Ok(&numbers));
    let why = chain.decode(summed(zlib(&[0; 5000])), 2048, 0).unwrap_err();
    assert_eq!(why, "its zlib data decode to more than the 2048 bytes that there can be");
    let why = chain.decode(summed(zlib(&[0; 20])), 2048, 0).unwrap_err();
    assert_eq!(why, "it holds 20 bytes where a chunk has 2048");
    assert!(chain.decode(summed(vec![1, 2, 3]), 2048, 0).unwrap_err().starts_with("its zlib data are damaged ("));
}

/// Every codec, with whatever parameters it takes.
fn all() -> Vec<Box<dyn Codec>> {
    let mut all: Vec<Box<dyn Codec>> = decoders().into_iter().map(|(codec, _)| codec).collect();
    for kind in [Kind::Crc32, Kind::Crc32c, Kind::Adler32, Kind::Fletcher32] {
        all.push(Box::new(Checksum { kind, at_start: false }));
    }
    all.extend([0, 1, 3, 8].map(|size| Box::new(Shuffle { size }) as Box<dyn Codec>));
    all.push(Box::new(PackBits));
    for (plain, stored) in [("<i4", "|i1"), ("|u1", ">f8"), ("<f4", "<f4"), (">u8", "<f4")] {
        for filter in [Filter::Delta, Filter::AsType, Filter::FixedScaleOffset { scale: 0.0, offset: 1e300 }] {
            let (plain, stored) = (Type::parse(plain).unwrap(), Type::parse(stored).unwrap());
            all.push(Box::new(Numbers { filter, plain, stored }));
        }
    }
    all
}

/// None panics, and none gives more than it may.
fn bounded(bytes: &[u8], limit: usize) {
    for codec in all() {
        if let Ok(found) = codec.decode(bytes.to_vec(), limit) {
            assert!(found.len() <= limit, "{codec:?} gave {} of {limit} bytes", found.len());
        }
    }
}

proptest! {
    #[test]
    fn random_bytes_are_decoded_to_no_more_than_may_be(bytes: Vec<u8>, limit in 0_usize..300) {
        bounded(&bytes, limit);
    }

    #[test]
    fn damaged_bytes_are_decoded_to_no_more_than_may_be(
        number in 0_usize..18,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        limit in 0_usize..3000,
    ) {
        let (codec, hex) = decoders().swap_remove(number);
        let mut bytes = from_hex(hex);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(found) = codec.decode(bytes.clone(), limit) {
            prop_assert!(found.len() <= limit);
        }
        // Headers that claim much are the more likely the fewer bytes they have.
        bytes.truncate(24);
        let _ = codec.decode(bytes, 1 << 32);
    }

    #[test]
    fn what_the_encoders_of_the_crates_make_is_decoded(bytes: Vec<u8>) {
        let prefixed = [&(bytes.len() as u32).to_le_bytes()[..], &lz4_flex::block::compress(&bytes)].concat();
        prop_assert_eq!(Lz4.decode(prefixed, bytes.len()).unwrap(), &bytes[..]);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&bytes).unwrap();
        prop_assert_eq!(Gzip.decode(gzip.finish().unwrap(), bytes.len()).unwrap(), &bytes[..]);
        let mut bzip2 = ::bzip2::write::BzEncoder::new(Vec::new(), ::bzip2::Compression::fast());
        bzip2.write_all(&bytes).unwrap();
        prop_assert_eq!(Bzip2.decode(bzip2.finish().unwrap(), bytes.len()).unwrap(), &bytes[..]);
        let zstd = ruzstd::encoding::compress_to_vec(&bytes[..], ruzstd::encoding::CompressionLevel::Fastest);
        prop_assert_eq!(Zstd.decode(zstd, bytes.len()).unwrap(), &bytes[..]);
    }
}
