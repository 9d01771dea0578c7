//! Orders that are written to `.afbfs/overlay.json`: how `afbfs commit` and the process behind a mount work together.
//!
//! The command writes the array files, since this process may not. Before that it orders `begin N`, afterwards `finish N INODE SIZE
//! SECONDS NANOSECONDS`, which says what the array file is like by then; N is the number of the overlay. What was written in between
//! stays in the overlay. Once the file is closed, be it because the command was killed, nothing of that is going on any more.

use std::sync::atomic::Ordering;

use rustix::io::Errno;

use super::handles::Handle;
use super::{Fs, Special};
use crate::store::Mark;

/// What can be ordered.
#[derive(Debug, PartialEq, Eq)]
enum Order {
    Begin(u64),
    Finish(u64, Mark),
}

impl Order {
    fn parse(text: &str) -> Option<Order> {
        let mut words = text.split_ascii_whitespace();
        let order = match words.next()? {
            "begin" => Order::Begin(words.next()?.parse().ok()?),
            "finish" => Order::Finish(
                words.next()?.parse().ok()?,
                Mark {
                    inode: words.next()?.parse().ok()?,
                    size: words.next()?.parse().ok()?,
                    mtime: (words.next()?.parse().ok()?, words.next()?.parse().ok()?),
                },
            ),
            _ => return None,
        };
        words.next().is_none().then_some(order)
    }
}

impl Fs {
    /// Opens the file for orders.
    ///
    /// # Errors
    /// EBUSY while another one has it open so.
    pub(super) fn open_orders(&self) -> Result<Handle, Errno> {
        if self.commits.swap(true, Ordering::AcqRel) {
            return Err(Errno::BUSY);
        }
        Ok(Handle::Orders(self.special(Special::Overlay).into_bytes().into_boxed_slice()))
    }

    pub(super) fn close_orders(&self) {
        if let Some(shelf) = self.catalog.store().shelf() {
            shelf.abandon();
        }
        self.commits.store(false, Ordering::Release);
    }

    /// Follows one order.
    pub(super) fn order(&self, text: &[u8]) -> Result<(), Errno> {
        let shelf = self.catalog.store().shelf().ok_or(Errno::INVAL)?;
        match std::str::from_utf8(text).ok().and_then(Order::parse).ok_or(Errno::INVAL)? {
            Order::Begin(number) => shelf.begin(number),
            Order::Finish(number, mark) => shelf.finish(number, mark),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_understood_and_nothing_else() {
        assert_eq!(Order::parse("begin 7\n"), Some(Order::Begin(7)));
        let mark = Mark { inode: 5, size: 4096, mtime: (-1, 9) };
        assert_eq!(Order::parse("finish 7 5 4096 -1 9"), Some(Order::Finish(7, mark)));
        for text in ["", "begin", "begin x", "begin 7 8", "finish 7", "finish 7 5 4096 -1", "end 7"] {
            assert_eq!(Order::parse(text), None, "{text}");
        }
    }
}
