use rustix::io::Errno;

use super::Draft;

#[test]
fn what_is_too_long_is_refused() {
    let mut draft = Draft::patches();
    assert_eq!(draft.write(5, b"abc", 7), Err(Errno::FBIG));
    assert_eq!(draft.write(u64::MAX, b"abc", u64::MAX), Err(Errno::FBIG));
    assert_eq!(draft.write(4, b"abc", 7), Ok(3));
}
