//! Sizes, as people write them.

/// A number of bytes, with K, M or G for the powers of 1024.
pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    let units = [("K", 10), ("k", 10), ("M", 20), ("m", 20), ("G", 30), ("g", 30)];
    let with_unit = units.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)));
    let (digits, shift) = with_unit.unwrap_or((text, 0));
    let number = digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let size = number.and_then(|number: u64| number.checked_mul(1 << shift));
    size.ok_or_else(|| format!("{text}: is no size; write bytes, or 64K, 1M, 1G"))
}

#[cfg(test)]
mod tests {
    use super::parse_size;

    #[test]
    fn sizes() {
        for (text, size) in [("0", 0), ("512", 512), ("64K", 65536), ("1m", 1 << 20), ("3G", 3 << 30)] {
            assert_eq!(parse_size(text), Ok(size));
        }
        for text in ["", "K", "5é", "1T", "-1", "+1", "1.5M", "99999999999G", "64 K"] {
            assert!(parse_size(text).unwrap_err().contains("is no size"), "{text}");
        }
    }
}
