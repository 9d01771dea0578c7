//! The names of errors.

/// One past the highest number.
pub(super) const COUNT: usize = 134;

macro_rules! names {
    ($($name:ident)*) => { &[$((libc::$name, stringify!($name)),)*] };
}

/// Those that a file system answers, or hands on of the one below.
const NAMES: &[(i32, &str)] = names! {
    EPERM ENOENT EINTR EIO ENXIO EBADF EAGAIN ENOMEM EACCES EFAULT EBUSY EEXIST EXDEV ENODEV ENOTDIR EISDIR EINVAL ENFILE
    EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE EROFS EMLINK ERANGE EDEADLK ENAMETOOLONG ENOLCK ENOSYS ENOTEMPTY ELOOP ENODATA
    EPROTO EBADMSG EOVERFLOW EOPNOTSUPP ECONNABORTED ECONNRESET ENOTCONN ETIMEDOUT EHOSTDOWN EHOSTUNREACH ESTALE EREMOTEIO
    EDQUOT ENOMEDIUM EKEYEXPIRED EHWPOISON
};

/// The name of an error; its number where it is none that is known here.
pub(super) fn name(number: usize) -> String {
    let known = NAMES.iter().find(|(other, _)| *other as usize == number);
    known.map_or_else(|| number.to_string(), |(_, name)| (*name).to_owned())
}
