//! Panics where a test wants them: in the thread that asks for it, with a lock held.

use std::cell::Cell;

thread_local! {
    /// How many more locks this thread takes before it panics, if it is to.
    static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Has this thread panic as it takes a lock, once it has taken so many more.
pub(crate) fn arm(after: usize) {
    LEFT.set(Some(after));
}

/// Has it panic no more, and says whether it has.
pub(crate) fn disarm() -> bool {
    LEFT.take().is_none()
}

pub(super) fn locked() {
    if let Some(left) = LEFT.get() {
        LEFT.set(left.checked_sub(1));
        assert!(left > 0, "a panic, as the test wants it");
    }
}
