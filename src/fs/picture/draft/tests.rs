use rustix::io::Errno;

use super::Draft;

#[test]
fn what_was_written_is_noted_in_any_order() {
    let mut rng = fastrand::Rng::with_seed(5);
    for _ in 0..200 {
        let (mut draft, mut model) = (Draft::patches(), [None; 300]);
        for _ in 0..rng.usize(1..40) {
            let start = rng.usize(0..250);
            let data: Vec<u8> = (0..rng.usize(1..50)).map(|_| rng.u8(..)).collect();
            assert_eq!(draft.write(start as u64, &data, 1000), Ok(data.len()));
            model[start..start + data.len()].iter_mut().zip(data).for_each(|(place, byte)| *place = Some(byte));
            if rng.u8(..) < 20 {
                let size = rng.usize(0..300);
                draft.truncate(size as u64).unwrap();
                model[size..].fill(None);
            }
        }
        let mut noted = [false; 300];
        for range in &draft.written {
            assert!(range.start < range.end);
            noted[range.start as usize..range.end as usize].fill(true);
        }
        assert!(draft.written.windows(2).all(|pair| pair[0].end < pair[1].start), "{:?}", draft.written);
        assert_eq!(noted, model.map(|byte| byte.is_some()));
    }
}

#[test]
fn what_is_too_long_is_refused() {
    let mut draft = Draft::patches();
    assert_eq!(draft.write(5, b"abc", 7), Err(Errno::FBIG));
    assert_eq!(draft.write(u64::MAX, b"abc", u64::MAX), Err(Errno::FBIG));
    assert_eq!(draft.write(4, b"abc", 7), Ok(3));
}
