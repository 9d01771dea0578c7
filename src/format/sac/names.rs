//! The variables of a SAC header, in order. Those without a name are unused, or of no meaning outside of SAC.

/// The floats.
#[rustfmt::skip]
pub(super) const FLOATS: [&str; 70] = [
    "delta", "depmin", "depmax", "scale", "odelta", "b", "e", "o", "a", "", "t0", "t1", "t2", "t3", "t4", "t5", "t6",
    "t7", "t8", "t9", "f", "resp0", "resp1", "resp2", "resp3", "resp4", "resp5", "resp6", "resp7", "resp8", "resp9",
    "stla", "stlo", "stel", "stdp", "evla", "evlo", "evel", "evdp", "mag", "user0", "user1", "user2", "user3",
    "user4", "user5", "user6", "user7", "user8", "user9", "dist", "az", "baz", "gcarc", "", "", "depmen", "cmpaz",
    "cmpinc", "xminimum", "xmaximum", "yminimum", "ymaximum", "", "", "", "", "", "", "",
];

/// The integers, and the truth values behind them.
#[rustfmt::skip]
pub(super) const INTEGERS: [&str; 40] = [
    "nzyear", "nzjday", "nzhour", "nzmin", "nzsec", "nzmsec", "nvhdr", "norid", "nevid", "npts", "", "nwfid",
    "nxsize", "nysize", "", "iftype", "idep", "iztype", "", "iinst", "istreg", "ievreg", "ievtyp", "iqual", "isynth",
    "imagtyp", "imagsrc", "", "", "", "", "", "", "", "", "leven", "lpspol", "lovrok", "lcalda", "",
];

/// The texts, and their bytes.
#[rustfmt::skip]
pub(super) const TEXTS: [(&str, u64); 23] = [
    ("kstnm", 8), ("kevnm", 16), ("khole", 8), ("ko", 8), ("ka", 8), ("kt0", 8), ("kt1", 8), ("kt2", 8), ("kt3", 8),
    ("kt4", 8), ("kt5", 8), ("kt6", 8), ("kt7", 8), ("kt8", 8), ("kt9", 8), ("kf", 8), ("kuser0", 8), ("kuser1", 8),
    ("kuser2", 8), ("kcmpnm", 8), ("knetwk", 8), ("kdatrd", 8), ("kinst", 8),
];
