//! Moments as ISO 8601 text, as NumPy writes them, and back.
//!
//! A `datetime64` counts units since the start of 1970, in the proleptic Gregorian calendar, without leap seconds. Its text goes down to
//! its unit: `1970` for years, `1970-01-01` for days and weeks, `1970-01-01T00:00:00.000` for milliseconds.

use super::cell::Fault;

/// The unit of a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    kind: Kind,
    /// So many of them are one count.
    many: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Years,
    Months,
    Weeks,
    Days,
    Hours,
    Minutes,
    /// Seconds, with so many digits behind the point.
    Seconds(u32),
}

/// Names of the units.
const UNITS: [(&str, Kind); 13] = [
    ("Y", Kind::Years),
    ("M", Kind::Months),
    ("W", Kind::Weeks),
    ("D", Kind::Days),
    ("h", Kind::Hours),
    ("m", Kind::Minutes),
    ("s", Kind::Seconds(0)),
    ("ms", Kind::Seconds(3)),
    ("us", Kind::Seconds(6)),
    ("ns", Kind::Seconds(9)),
    ("ps", Kind::Seconds(12)),
    ("fs", Kind::Seconds(15)),
    ("as", Kind::Seconds(18)),
];

const DAY: i128 = 86_400;
/// Beyond what 2^63 times the largest multiple of a year reaches.
const LAST_YEAR: i128 = 1 << 95;

impl Unit {
    /// A unit in brackets, as a type has it: `[ns]`, `[25s]`.
    pub(super) fn parse(text: &str) -> Option<Unit> {
        let text = text.strip_prefix('[')?.strip_suffix(']')?;
        let (many, name) = text.split_at(text.find(|letter: char| !letter.is_ascii_digit())?);
        let many = if many.is_empty() { 1 } else { many.parse().ok()? };
        UNITS.iter().find(|(known, _)| *known == name).map(|&(_, kind)| Unit { kind, many })
    }

    /// Bytes of the longest text.
    pub(super) fn width(self) -> usize {
        self.text(i64::MIN + 1).len().max(self.text(i64::MAX).len()).max(3)
    }

    /// The text of a count.
    pub(super) fn text(self, count: i64) -> String {
        let count = i128::from(count) * i128::from(self.many);
        let date = |days: i128| {
            let (year, month, day) = date_of(days);
            format!("{year:04}-{month:02}-{day:02}")
        };
        match self.kind {
            Kind::Years => format!("{:04}", 1970 + count),
            Kind::Months => format!("{:04}-{:02}", 1970 + count.div_euclid(12), count.rem_euclid(12) + 1),
            Kind::Weeks => date(count * 7),
            Kind::Days => date(count),
            Kind::Hours => format!("{}T{:02}", date(count.div_euclid(24)), count.rem_euclid(24)),
            Kind::Minutes => {
                let minutes = count.rem_euclid(1440);
                format!("{}T{:02}:{:02}", date(count.div_euclid(1440)), minutes / 60, minutes % 60)
            }
            Kind::Seconds(digits) => {
                let parts = 10_i128.pow(digits);
                let (seconds, fraction) = (count.div_euclid(parts), count.rem_euclid(parts));
                let (days, seconds) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
                let clock = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
                let point =
                    if digits > 0 { format!(".{fraction:0width$}", width = digits as usize) } else { String::new() };
                format!("{}T{clock}{point}", date(days))
            }
        }
    }

    /// The count of a text, which may be more or less exact than the unit, but for what would be lost.
    pub(super) fn parse_moment(self, text: &str) -> Result<i64, Fault> {
        if matches!(text, "NaT" | "nat" | "NA" | "") {
            return Ok(i64::MIN);
        }
        let (date, clock) = text.split_once(['T', ' ']).unwrap_or((text, ""));
        let (sign, date) = date.strip_prefix('-').map_or((1, date), |date| (-1, date));
        let mut parts = date.split('-');
        let mut next = |least: i128, most: i128| match parts.next() {
            Some(text) => number(text).filter(|number| (least..=most).contains(number)).ok_or(Fault::Meaning),
            None => Ok(least),
        };
        let (year, month, day) = (next(0, LAST_YEAR)? * sign, next(1, 12)?, next(1, 31)?);
        if parts.next().is_some() || month_days(year, month) < day {
            return Err(Fault::Meaning);
        }
        let months = (year - 1970) * 12 + month - 1;
        let days = days_of(year, month, day);
        let (seconds, atoms) = clock_of(clock)?;
        let whole =
            |number: i128, parts: i128| if number % parts == 0 { Ok(number / parts) } else { Err(Fault::Range) };
        let at_midnight = seconds == 0 && atoms == 0;
        let count = match self.kind {
            Kind::Years if at_midnight && day == 1 => whole(months, 12)?,
            Kind::Months if at_midnight && day == 1 => months,
            Kind::Weeks if at_midnight => whole(days, 7)?,
            Kind::Days if at_midnight => days,
            Kind::Years | Kind::Months | Kind::Weeks | Kind::Days => return Err(Fault::Range),
            Kind::Hours if atoms == 0 => whole(days * DAY + seconds, 3600)?,
            Kind::Minutes if atoms == 0 => whole(days * DAY + seconds, 60)?,
            Kind::Hours | Kind::Minutes => return Err(Fault::Range),
            Kind::Seconds(digits) => {
                let rest = whole(atoms, 10_i128.pow(18 - digits))?;
                (days * DAY + seconds).checked_mul(10_i128.pow(digits)).ok_or(Fault::Range)? + rest
            }
        };
        let count = whole(count, i128::from(self.many))?;
        i64::try_from(count).ok().filter(|&count| count != i64::MIN).ok_or(Fault::Range)
    }
}

fn number(text: &str) -> Option<i128> {
    if text.is_empty() || text.len() > 30 || !text.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// Seconds since midnight, and 10^-18 of one.
fn clock_of(text: &str) -> Result<(i128, i128), Fault> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (clock, fraction) = text.split_once('.').unwrap_or((text, ""));
    let (mut seconds, mut unit) = (0, 3600);
    for (at, part) in clock.split(':').filter(|_| !clock.is_empty()).enumerate() {
        let most = [23, 59, 59].get(at).ok_or(Fault::Meaning)?;
        seconds += number(part).filter(|number| number <= most).ok_or(Fault::Meaning)? * unit;
        unit /= 60;
    }
    if fraction.is_empty() {
        return Ok((seconds, 0));
    }
    let digits = fraction.len() as u32;
    let atoms = number(fraction).filter(|_| digits <= 18).ok_or(Fault::Meaning)? * 10_i128.pow(18 - digits);
    Ok((seconds, atoms))
}

/// Days from the start of 1970 to a date. Years begin in March here, so that the leap day is the last.
fn days_of(year: i128, month: i128, day: i128) -> i128 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The date so many days after the start of 1970.
fn date_of(days: i128) -> (i128, i128, i128) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i128::from(month <= 2), month, day)
}

fn month_days(year: i128, month: i128) -> i128 {
    let next = if month == 12 { days_of(year + 1, 1, 1) } else { days_of(year, month + 1, 1) };
    next - days_of(year, month, 1)
}
