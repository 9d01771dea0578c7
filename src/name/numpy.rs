//! How NumPy and Python write what stands in names: element types and quoted texts, both ways.

use super::path::{PathError, refuse};

/// Types that NumPy has not, by the names of `as/` and of the Python package that brings them.
const FOREIGN: &[(&str, &str)] = &[
    ("bf16", "ml_dtypes.bfloat16"),
    ("f8_e4m3", "ml_dtypes.float8_e4m3fn"),
    ("f8_e5m2", "ml_dtypes.float8_e5m2"),
    ("f8_e4m3fnuz", "ml_dtypes.float8_e4m3fnuz"),
    ("f8_e5m2fnuz", "ml_dtypes.float8_e5m2fnuz"),
    ("f8_e3m4", "ml_dtypes.float8_e3m4"),
    ("f8_e4m3_ieee", "ml_dtypes.float8_e4m3"),
    ("f8_e8m0", "ml_dtypes.float8_e8m0fnu"),
];

/// Other names of the same.
const ALIASES: &[(&str, &str)] = &[
    ("bf16le", "bf16"),
    ("bfloat16", "bf16"),
    ("e4m3", "f8_e4m3"),
    ("f8e4m3", "f8_e4m3"),
    ("float8_e4m3", "f8_e4m3"),
    ("float8_e4m3fn", "f8_e4m3"),
    ("e5m2", "f8_e5m2"),
    ("f8e5m2", "f8_e5m2"),
    ("float8_e5m2", "f8_e5m2"),
];

/// Names of NumPy's whose end is not that of a byte order.
const WORDS: &[&str] = &["single", "double", "longdouble", "csingle", "cdouble", "clongdouble"];

/// What `astype` is given for a name of `as/`.
///
/// # Errors
/// Of types that NumPy has not, and no package brings.
pub fn numpy_name(name: &str) -> Result<String, PathError> {
    let plain = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, plain)| plain);
    if let Some((_, foreign)) = FOREIGN.iter().find(|(known, _)| *known == plain) {
        return Ok((*foreign).to_owned());
    }
    let is_wider = ["i3", "u3", "int24", "uint24"].iter().any(|stem| name.strip_prefix(stem).is_some_and(is_order));
    if is_wider {
        return refuse(format!("NumPy has no integers of 24 bits: as/{}4 has the same numbers", &name[..1]));
    }
    if name.starts_with("ibm32") || name.starts_with("bf16") {
        return refuse(format!("NumPy has no type {name}: as/f8 has the same numbers"));
    }
    if WORDS.contains(&name) {
        return Ok(quote(name));
    }
    let ordered = [("be", '>'), ("le", '<')].iter().find_map(|(end, mark)| Some((name.strip_suffix(end)?, mark)));
    match ordered {
        None => Ok(quote(name)),
        Some((stem, mark)) => match short(stem) {
            Some(code) => Ok(format!("'{mark}{code}'")),
            None => {
                refuse(format!("`{name}` is not how NumPy writes a type: write a letter and bytes, as in i2be, f8le"))
            }
        },
    }
}

/// A kind and the number of bytes, of a type that is written so, or as a word and the number of bits.
fn short(name: &str) -> Option<String> {
    let digits = name.find(|letter: char| letter.is_ascii_digit())?;
    let (word, number) = (&name[..digits], name[digits..].parse::<u32>().ok()?);
    match word {
        "i" | "u" | "f" | "c" => Some(name.to_owned()),
        "int" | "uint" | "float" | "complex" => Some(format!("{}{}", &word[..1], number / 8)),
        _ => None,
    }
}

fn is_order(text: &str) -> bool {
    matches!(text, "" | "le" | "be")
}

/// The name of `as/` for what `astype` is given.
pub(super) fn folder_type(text: &str) -> Result<String, PathError> {
    if let Some(name) = unquote(text)? {
        let order = name.starts_with('>');
        let plain = name.strip_prefix(['<', '>', '=', '|']).unwrap_or(&name);
        if plain.is_empty() || plain.contains(|letter: char| !(letter.is_ascii_alphanumeric() || "_?".contains(letter)))
        {
            return refuse(format!("{text} is no number's type: write .astype('f4')"));
        }
        return Ok(if order { format!("{plain}be") } else { plain.to_owned() });
    }
    if let Some((name, _)) = FOREIGN.iter().find(|(_, foreign)| *foreign == text) {
        return Ok((*name).to_owned());
    }
    let word = text.strip_prefix("numpy.").or_else(|| text.strip_prefix("np.")).unwrap_or(text);
    let is_word = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let is_known = word.len() < text.len() || matches!(word, "bool" | "int" | "float" | "complex");
    if is_word && is_known {
        return Ok(word.to_owned());
    }
    refuse(format!("the type {text} is not understood: write .astype('f4')"))
}

/// A text as Python writes it.
pub fn quote(text: &str) -> String {
    let mut quoted = String::from("'");
    for letter in text.chars() {
        match letter {
            '\\' | '\'' => quoted.extend(['\\', letter]),
            '\n' => quoted += "\\n",
            '\t' => quoted += "\\t",
            '\r' => quoted += "\\r",
            _ if letter.is_ascii_control() => quoted += &format!("\\x{:02x}", u32::from(letter)),
            _ => quoted.push(letter),
        }
    }
    quoted.push('\'');
    quoted
}

/// What stands between quotes; nothing where the text is not quoted.
pub(super) fn unquote(text: &str) -> Result<Option<String>, PathError> {
    let mut letters = text.chars();
    let Some(open @ ('\'' | '"')) = letters.next() else { return Ok(None) };
    let mut name = String::new();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => name.push(match letters.next() {
                Some(escaped @ ('\\' | '\'' | '"')) => escaped,
                Some('n') => '\n',
                Some('t') => '\t',
                Some('r') => '\r',
                Some('x') => {
                    match letters.next().zip(letters.next()).map(|(high, low)| (high.to_digit(16), low.to_digit(16))) {
                        // A Latin letter of the first 128; others are written as they are.
                        Some((Some(high @ 0..8), Some(low))) => char::from((high * 16 + low) as u8),
                        _ => return refuse(format!("{text}: `\\x` wants two digits, of 00 to 7f")),
                    }
                }
                _ => {
                    return refuse(format!(
                        "{text}: of the escapes only \\\\, \\', \\\", \\n, \\t, \\r and \\x are understood"
                    ));
                }
            }),
            _ if letter == open && letters.as_str().is_empty() => return Ok(Some(name)),
            _ if letter == open => break,
            _ => name.push(letter),
        }
    }
    refuse(format!("{text} is not one quoted text"))
}
