//! The header of a unit: cards of a keyword and a value.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::fault;
use crate::dtype::literal::excerpt;
use crate::format::Refusal;
use crate::format::header;
use crate::layout::MAX_NDIM;
use crate::source::ReadAt;

/// All that a file consists of is padded to so many bytes.
pub(super) const BLOCK: u64 = 2880;

/// Bytes of a card.
const CARD: usize = 80;

/// The header of a unit.
#[derive(Debug)]
pub(super) struct Header {
    /// Offset of the unit.
    pub(super) start: u64,
    /// Keywords and values in the order of the file; keywords may repeat. Of undefined values there is none.
    pub(super) cards: Vec<(String, Value)>,
    /// For each keyword, the first card with it.
    first: HashMap<String, usize>,
    /// Offset of the data.
    pub(super) end: u64,
}

/// Whether the file has these bytes there.
pub(super) fn begins_with(file: &dyn ReadAt, at: u64, wanted: &[u8]) -> Result<bool, Refusal> {
    let mut bytes = vec![0; wanted.len()];
    Ok(file.read_at(&mut bytes, at)? == wanted.len() && bytes == wanted)
}

/// Reads the header that begins at byte `start`, and may take `room` bytes. Blocks are read one by one: what follows a
/// header are elements.
pub(super) fn read(file: &dyn ReadAt, start: u64, room: u64) -> Result<Header, Refusal> {
    let mut header = Header { start, cards: Vec::new(), first: HashMap::new(), end: start };
    let mut block = [0; BLOCK as usize];
    loop {
        if header.end - start + BLOCK > room {
            return Err(Refusal(format!(
                "its headers take more than the {} bytes that are read; it is damaged, or has to be split",
                super::MAX_HEADER
            )));
        }
        let count = file.read_at(&mut block, header.end)?;
        if header.end == 0 && !block[..count].starts_with(super::MAGIC) {
            return Err(Refusal(
                "it does not begin with SIMPLE, as every FITS file: it is a file of another kind, or damaged; rename it \
                 or save it again"
                    .into(),
            ));
        }
        if count < block.len() {
            return Err(Refusal("it ends within a FITS header: it was truncated; copy or save it again".into()));
        }
        header.end += BLOCK;
        for card in block.chunks_exact(CARD) {
            if card.starts_with(b"END ") {
                return Ok(header);
            }
            header.take(card);
        }
    }
}

impl Header {
    fn take(&mut self, card: &[u8]) {
        // FITS is ASCII; what is not is taken for Latin-1, in which every byte is the character of its number.
        let text: String = card.iter().copied().map(char::from).collect();
        let keyword = text.get(..8).map_or("", str::trim_end);
        let rest = text.get(8..).unwrap_or_default();
        if keyword == "CONTINUE" {
            // The string goes on if the one before it ends in an ampersand.
            if let Some((_, Value::String(last))) = self.cards.last_mut()
                && last.ends_with('&')
                && let Some(more) = quoted(rest.trim_start())
            {
                last.pop();
                last.push_str(&more);
            }
        } else if keyword == "HIERARCH" {
            if let Some((key, value)) = rest.split_once('=') {
                self.insert(key.trim(), value);
            }
        } else if let Some(value) = rest.strip_prefix("= ") {
            self.insert(keyword, value);
        }
    }

    fn insert(&mut self, key: &str, text: &str) {
        if let Some(value) = value(text).filter(|_| !key.is_empty()) {
            self.first.entry(key.to_owned()).or_insert(self.cards.len());
            self.cards.push((key.to_owned(), value));
        }
    }

    fn get(&self, key: &str) -> Option<&Value> {
        self.first.get(key).map(|&at| &self.cards[at].1)
    }

    /// The string that a keyword stands for.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }

    /// The integer that a keyword stands for.
    pub(super) fn integer(&self, key: &str) -> Option<i64> {
        self.get(key)?.as_i64()
    }

    /// The truth value that a keyword stands for.
    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        self.get(key)?.as_bool()
    }

    /// A count that must be there.
    pub(super) fn count(&self, key: &str) -> Result<u64, Refusal> {
        let found = self.integer(key).and_then(|count| u64::try_from(count).ok());
        found.ok_or_else(|| match self.get(key) {
            Some(value) => fault(&format!("its header gives {key} = {}, not a count", excerpt(&value.to_string()))),
            None => fault(&format!("its header does not give {key}, as it must")),
        })
    }

    pub(super) fn bitpix(&self) -> Result<i64, Refusal> {
        self.integer("BITPIX").ok_or_else(|| fault("its header does not give BITPIX, as it must"))
    }

    /// The lengths of the axes, fastest first.
    pub(super) fn axes(&self) -> Result<Vec<u64>, Refusal> {
        let ndim = self.count("NAXIS")?;
        if ndim > MAX_NDIM as u64 {
            return Err(Refusal(format!(
                "it has {ndim} axes, and neither NumPy nor afbfs has more than {MAX_NDIM}; reshape it and save it again"
            )));
        }
        (1..=ndim).map(|n| self.count(&format!("NAXIS{n}"))).collect()
    }

    /// Bytes of the data, without padding.
    pub(super) fn data_size(&self) -> Result<u64, Refusal> {
        let axes = self.axes()?;
        let Some(&first) = axes.first() else { return Ok(0) };
        // Of random groups the first axis has length 0 and does not count.
        let lengths = if first == 0 && self.flag("GROUPS") == Some(true) { &axes[1..] } else { &axes[..] };
        let parameters = self.get("PCOUNT").map_or(Ok(0), |_| self.count("PCOUNT"))?;
        let groups = self.get("GCOUNT").map_or(Ok(1), |_| self.count("GCOUNT"))?;
        let size = lengths
            .iter()
            .try_fold(1_u64, |size, &length| size.checked_mul(length))
            .and_then(|size| {
                size.checked_add(parameters)?.checked_mul(groups)?.checked_mul(self.bitpix().ok()?.unsigned_abs())
            })
            .map(|bits| bits / 8);
        self.bitpix()?;
        size.ok_or_else(|| fault("its header claims data that are larger than any file can be"))
    }
}

/// The value that a card gives; nothing if it is undefined or none that FITS knows.
fn value(text: &str) -> Option<Value> {
    let text = text.trim_start();
    if text.starts_with('\'') {
        return quoted(text).map(Value::String);
    }
    let token = text.split('/').next().unwrap_or_default().trim();
    match token {
        "" => None,
        "T" => Some(true.into()),
        "F" => Some(false.into()),
        _ => match token.strip_prefix('(').and_then(|token| token.strip_suffix(')')) {
            Some(parts) => {
                let (real, imaginary) = parts.split_once(',')?;
                Some(json!([number(real.trim())?, number(imaginary.trim())?]))
            }
            None => number(token),
        },
    }
}

fn number(token: &str) -> Option<Value> {
    if let Ok(integer) = token.parse::<i64>() {
        return Some(integer.into());
    }
    // Words such as `inf` are none of FITS.
    let is_numeric = |c: char| c.is_ascii_digit() || "+-.EDed".contains(c);
    let float = token.chars().all(is_numeric).then(|| token.replace(['D', 'd'], "E").parse().ok())??;
    Some(header::float(float))
}

/// The string in quotes that a text begins with; doubled quotes stand for one. Blanks at its end do not count.
fn quoted(text: &str) -> Option<String> {
    let mut rest = text.strip_prefix('\'')?;
    let mut string = String::new();
    loop {
        let (part, more) = rest.split_once('\'')?;
        string.push_str(part);
        match more.strip_prefix('\'') {
            Some(more) => {
                string.push('\'');
                rest = more;
            }
            None => break,
        }
    }
    string.truncate(string.trim_end_matches(' ').len());
    Some(string)
}
