use std::convert::Infallible;
use std::io::Cursor;

use super::picture::{Picture, Sum};
use super::preview::{Preview, Samples};
use super::{Refusal, font, number};

/// Pixels of some bytes.
fn pixels(bytes: &[u8]) -> impl FnMut(u64, &mut [u8]) -> Result<(), Infallible> + '_ {
    |at, target| {
        target.copy_from_slice(&bytes[at as usize..at as usize + target.len()]);
        Ok(())
    }
}

fn bytes_of(picture: &Picture) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(7);
    (0..picture.row() * u64::from(picture.height)).map(|_| rng.u8(..)).collect()
}

fn file_of(picture: &Picture, bytes: &[u8]) -> Vec<u8> {
    let mut file = vec![0; picture.len() as usize];
    let Ok(()) = picture.read(0..picture.len(), &mut file, &mut Sum::default(), &mut pixels(bytes));
    file
}

/// What an independent decoder finds, with every checksum checked.
fn decoded(file: &[u8]) -> (png::OutputInfo, Vec<u8>) {
    let mut decoder = png::Decoder::new(Cursor::new(file));
    decoder.ignore_checksums(false);
    decoder.set_transformations(png::Transformations::IDENTITY);
    let mut reader = decoder.read_info().unwrap();
    let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut bytes).unwrap();
    reader.finish().unwrap();
    (info, bytes)
}

#[test]
fn a_decoder_finds_the_pixels() {
    for (width, height, samples, depth) in [
        (1, 1, 1, 8),
        (5, 7, 1, 16),
        (3, 2, 3, 8),
        (2, 3, 4, 16),
        (1, 70_000, 1, 8),
        (65_534, 1, 1, 8),
        (65_534, 2, 1, 8),
        (65_535, 2, 1, 8),
        (511, 300, 3, 16),
    ] {
        let picture = Picture::new(width, height, samples, depth).unwrap();
        let bytes = bytes_of(&picture);
        let (info, found) = decoded(&file_of(&picture, &bytes));
        assert_eq!((info.width, info.height), (width as u32, height as u32));
        assert_eq!(info.bit_depth as u8, depth);
        assert_eq!(info.color_type.samples(), usize::from(samples));
        assert!(found == bytes, "{width} x {height}");
    }
}

#[test]
fn every_window_is_that_of_the_whole() {
    let picture = Picture::new(257, 300, 1, 16).unwrap();
    let bytes = bytes_of(&picture);
    let file = file_of(&picture, &bytes);
    let mut rng = fastrand::Rng::with_seed(1);
    let mut sum = Sum::default();
    for turn in 0..3000 {
        // Many of them near the ends of chunks and of the file.
        let near = [0, 41, 47, 47 + 65_552, 47 + 2 * 65_552, file.len() as u64 - 30][turn % 6];
        let start = (near + rng.u64(0..60)).saturating_sub(30).min(file.len() as u64);
        let end = (start + rng.u64(0..[4, 80, 70_000][turn % 3])).min(file.len() as u64);
        let mut found = vec![1; (end - start) as usize];
        let Ok(()) = picture.read(start..end, &mut found, &mut sum, &mut pixels(&bytes));
        assert!(found == file[start as usize..end as usize], "{start}..{end}");
    }
}

#[test]
fn who_reads_in_order_has_each_pixel_fetched_about_once() {
    let picture = Picture::new(1000, 3000, 1, 8).unwrap();
    let bytes = bytes_of(&picture);
    let file = file_of(&picture, &bytes);
    let mut fetched = 0;
    let mut sum = Sum::default();
    let mut found = Vec::new();
    for start in (0..picture.len()).step_by(1 << 20) {
        let end = picture.len().min(start + (1 << 20));
        let mut part = vec![0; (end - start) as usize];
        let mut counted = |at: u64, target: &mut [u8]| {
            fetched += target.len();
            pixels(&bytes)(at, target)
        };
        let Ok(()) = picture.read(start..end, &mut part, &mut sum, &mut counted);
        found.extend(part);
    }
    assert!(found == file);
    assert!(fetched < bytes.len() + 3 * 65_536, "{fetched} of {}", bytes.len());
}

#[test]
fn a_reader_who_begins_anew_sees_the_picture_as_it_is() {
    let picture = Picture::new(300, 300, 1, 8).unwrap();
    let mut bytes = bytes_of(&picture);
    let mut sum = Sum::default();
    let mut file = vec![0; picture.len() as usize];
    let Ok(()) = picture.read(0..picture.len(), &mut file, &mut sum, &mut pixels(&bytes));
    bytes[5] ^= 1;
    let Ok(()) = picture.read(0..picture.len(), &mut file, &mut sum, &mut pixels(&bytes));
    assert!(decoded(&file).1 == bytes);
}

#[test]
fn sizes_that_png_has_no_room_for_have_no_picture() {
    assert!(Picture::new(0, 5, 1, 8).is_none());
    assert!(Picture::new(1 << 31, 1, 1, 8).is_none());
    assert!(Picture::new((1 << 31) - 1, (1 << 31) - 1, 4, 16).is_none());
    assert!(Picture::new((1 << 31) - 1, 1 << 30, 1, 8).is_some());
}

/// Writes a picture as another program may.
fn encoded(width: u32, height: u32, colour: png::ColorType, depth: png::BitDepth, bytes: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(colour);
    encoder.set_depth(depth);
    if colour == png::ColorType::Indexed {
        encoder.set_palette(vec![0, 0, 0, 7, 7, 7, 1, 2, 3, 255, 255, 255]);
    }
    encoder.write_header().unwrap().write_image_data(bytes).unwrap();
    file
}

fn taken(picture: &Picture, file: &[u8]) -> Result<Vec<u8>, String> {
    let mut found = Vec::new();
    let taken = picture.decode(Cursor::new(file), &mut |_, line| -> Result<(), Infallible> {
        found.extend(line);
        Ok(())
    });
    match taken {
        Ok(()) => Ok(found),
        Err(Refusal::Picture(what)) => Err(what),
        Err(Refusal::Other(never)) => match never {},
    }
}

#[test]
fn colour_types_and_depths_that_mean_the_same_are_taken() {
    use png::{BitDepth::*, ColorType::*};
    let is = |samples, depth, colour, bits, written: &[u8], wanted: Result<&[u8], &str>| {
        let picture = Picture::new(2, 1, samples, depth).unwrap();
        let found = taken(&picture, &encoded(2, 1, colour, bits, written));
        match (found, wanted) {
            (Ok(found), Ok(wanted)) => assert_eq!(found, wanted),
            (Err(what), Err(wanted)) => assert!(what.contains(wanted), "{what}"),
            (found, wanted) => panic!("{found:?} instead of {wanted:?}"),
        }
    };
    is(1, 8, Grayscale, Eight, &[9, 200], Ok(&[9, 200]));
    is(1, 8, Grayscale, One, &[0b0100_0000], Ok(&[0, 255]));
    is(1, 8, Grayscale, Four, &[0x1f], Ok(&[0x11, 255]));
    is(1, 8, Rgb, Eight, &[9, 9, 9, 4, 4, 4], Ok(&[9, 4]));
    is(1, 8, Rgb, Eight, &[9, 9, 9, 4, 5, 4], Err("not grey, in row 0"));
    is(1, 8, GrayscaleAlpha, Eight, &[9, 255, 4, 255], Ok(&[9, 4]));
    is(1, 8, GrayscaleAlpha, Eight, &[9, 255, 4, 254], Err("transparent"));
    is(1, 8, Grayscale, Sixteen, &[9, 9, 4, 4], Ok(&[9, 4]));
    is(1, 8, Grayscale, Sixteen, &[9, 9, 4, 5], Err("16 bits"));
    is(1, 8, Indexed, Two, &[0b0111_0000], Ok(&[7, 255]));
    is(1, 8, Indexed, Two, &[0b0110_0000], Err("not grey"));
    is(1, 16, Grayscale, Eight, &[1, 255], Ok(&[1, 1, 255, 255]));
    is(1, 16, Grayscale, Sixteen, &[1, 2, 3, 4], Ok(&[1, 2, 3, 4]));
    is(3, 8, Grayscale, Eight, &[1, 2], Ok(&[1, 1, 1, 2, 2, 2]));
    is(3, 8, Indexed, Two, &[0b1001_0000], Ok(&[1, 2, 3, 7, 7, 7]));
    is(3, 8, Rgba, Eight, &[1, 2, 3, 255, 4, 5, 6, 255], Ok(&[1, 2, 3, 4, 5, 6]));
    is(4, 8, Rgb, Eight, &[1, 2, 3, 4, 5, 6], Ok(&[1, 2, 3, 255, 4, 5, 6, 255]));
    is(4, 16, GrayscaleAlpha, Eight, &[1, 2, 3, 4], Ok(&[1, 1, 1, 1, 1, 1, 2, 2, 3, 3, 3, 3, 3, 3, 4, 4]));
}

#[test]
fn what_is_no_such_picture_is_refused() {
    let picture = Picture::new(300, 300, 1, 8).unwrap();
    let bytes = bytes_of(&picture);
    let ours = file_of(&picture, &bytes);
    assert!(taken(&picture, &ours).unwrap() == bytes);
    assert!(taken(&picture, b"").is_err());
    assert!(taken(&picture, b"P5 300 300 255 ").is_err());
    for end in [8, 40, 60, 70_000, ours.len() - 20, ours.len() - 12, ours.len() - 1] {
        assert!(taken(&picture, &ours[..end]).is_err(), "{end} bytes of {}", ours.len());
    }
    for at in [20, 100, 65_600, ours.len() - 20] {
        let mut broken = ours.clone();
        broken[at] ^= 4;
        assert!(taken(&picture, &broken).is_err(), "byte {at}");
    }
    let other = Picture::new(300, 299, 1, 8).unwrap();
    assert_eq!(taken(&other, &ours).unwrap_err(), "it is 300 x 300, and must be 300 x 299");
}

#[test]
fn a_preview_is_as_long_as_its_shape_says_whatever_the_numbers() {
    let mut rng = fastrand::Rng::with_seed(3);
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    let shapes: &[&[u64]] = &[
        &[1],
        &[2],
        &[100],
        &[5000],
        &[1 << 21],
        &[u64::MAX >> 8],
        &[1, 1],
        &[1, 1000],
        &[1000, 1],
        &[5, 7],
        &[3, 1 << 20],
        &[1025, 1023],
        &[20_000, 20_000],
        &[1 << 40, 1 << 20],
    ];
    for shape in shapes {
        let preview = Preview::new(shape, false).unwrap();
        let count: u64 = preview.stretches().iter().map(|stretch| stretch.end - stretch.start).sum();
        assert!(count <= 1 << 20, "{shape:?}: {count} samples");
        if let Samples::Grid(spans) = preview.samples() {
            for (span, &length) in spans.iter().zip(*shape) {
                assert!(span.len > 0 && span.start + (span.len - 1) * (span.step as u64) < length);
            }
        }
        let random: Vec<f64> = (0..count).map(|_| rng.f64() - 0.5).collect();
        let with = |value: f64| random.iter().map(|&other| if rng.clone().bool() { value } else { other }).collect();
        let constant = |value: f64| vec![value; count as usize];
        let huge = random.iter().map(|sample| sample * f64::MAX * 2.0).collect();
        let all = [with(nan), with(inf), with(-inf), huge, constant(3.0), constant(nan), constant(inf), random.clone()];
        for samples in all {
            let file = preview.draw(samples);
            assert_eq!(file.len() as u64, preview.len(), "{shape:?}");
            let (info, indices) = decoded(&file);
            assert_eq!(info.color_type, png::ColorType::Indexed);
            assert!(info.width >= 64 && info.width < 1300 && info.height >= 64 && info.height < 1100, "{shape:?}");
            assert!(indices.iter().any(|&index| index > 1));
        }
    }
    for shape in [&[][..], &[0], &[0, 5], &[5, 0], &[2, 2, 2]] {
        assert!(Preview::new(shape, false).is_none());
    }
}

#[test]
fn samples_keep_the_shape_up_to_one_to_four() {
    let lengths = |shape: [u64; 2]| match Preview::new(&shape, false).unwrap().samples() {
        Samples::Grid(spans) => spans.map(|span| span.len),
        Samples::Stretches => panic!(),
    };
    assert_eq!(lengths([1024, 1024]), [1024, 1024]);
    assert_eq!(lengths([1025, 1024]), [513, 512]);
    assert_eq!(lengths([4096, 1024]), [1024, 256]);
    assert_eq!(lengths([102_400, 300]), [512, 150]);
    assert_eq!(lengths([1 << 20, 3]), [512, 3]);
}

#[test]
fn one_number_among_millions_is_seen_where_it_was_sampled() {
    let mut samples = vec![0.0; 1 << 20];
    samples[500_000] = 1.0;
    let (info, indices) = decoded(&Preview::new(&[1 << 20], false).unwrap().draw(samples));
    let row = |y: usize| &indices[y * info.width as usize..(y + 1) * info.width as usize];
    // Between the lines of the extremes there is one column in the colour of the curve.
    assert_eq!(row(100).iter().filter(|&&index| index == 35).count(), 1);
}

#[test]
fn no_time_is_no_number() {
    let preview = Preview::new(&[2, 2], true).unwrap();
    let file = preview.draw(vec![i64::MIN as f64, 1.0, 2.0, 3.0]);
    // The colour of what is missing, and of the least number beside it.
    let (info, indices) = decoded(&file);
    let at = |x: usize, y: usize| indices[y * info.width as usize + x];
    assert_eq!((at(20, 20), at(300, 20)), (3, 4));
}

#[test]
fn short_numbers() {
    for (value, text) in [
        (0.0, "0"),
        (-0.0, "0"),
        (65535.0, "65535"),
        (-9_999_999.0, "-9999999"),
        (10_000_000.0, "1e7"),
        (0.1 + 0.2, "0.3"),
        (-0.99999, "-0.99999"),
        (-0.999_999, "-1"),
        (123.456_78, "123.46"),
        (0.000_123_456, "1.235e-4"),
        (0.001_234, "0.001234"),
        (-1.797_693e308, "-1.8e308"),
        (5e-324, "4.94e-324"),
        (f64::NAN, "nan"),
    ] {
        assert_eq!(number::short(value), text);
    }
    let mut rng = fastrand::Rng::with_seed(9);
    for _ in 0..100_000 {
        let value = f64::from_bits(rng.u64(..));
        let text = number::short(value);
        assert!(text.len() <= number::LETTERS && !text.is_empty(), "{value:e}: {text}");
        assert!(value.is_infinite() || text.chars().all(|letter| font::rows(letter) != [0; 7]), "{text}");
        if value.is_finite() {
            let back: f64 = text.parse().unwrap();
            assert!(
                value.abs() < 1e-307 || (back / 2.0 - value / 2.0).abs() <= value.abs() * 0.03,
                "{value:e}: {text}"
            );
        }
    }
}
