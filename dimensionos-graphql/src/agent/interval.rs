//! Durations as they are written on the command line.

use std::time::Duration;

const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_hours(1);

/// A text that names no interval an agent can keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidInterval {
    /// Not a whole number followed by a unit.
    #[error("an interval is a whole number and one of ms, s, m, h, such as 500ms or 1s")]
    Form,
    /// Shorter than 100 ms or longer than an hour.
    #[error("an interval is between 100ms and 1h")]
    Range,
}

/// Reads an interval such as `500ms`, `1s`, `1m` or `1h`, from 100 ms to an hour.
///
/// ```
/// use std::time::Duration;
/// use dimensionos_graphql::agent::{InvalidInterval, parse_interval};
///
/// assert_eq!(parse_interval("500ms"), Ok(Duration::from_millis(500)));
/// assert_eq!(parse_interval("2h"), Err(InvalidInterval::Range));
/// ```
///
/// # Errors
/// [`InvalidInterval`] says what is expected.
pub fn parse_interval(text: &str) -> Result<Duration, InvalidInterval> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(InvalidInterval::Form);
    }
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(InvalidInterval::Form),
    };
    // Digits alone that make no number make one too large.
    let number: u64 = number.parse().map_err(|_| InvalidInterval::Range)?;
    let interval = Duration::from_millis(number.checked_mul(milliseconds).ok_or(InvalidInterval::Range)?);
    if (SHORTEST..=LONGEST).contains(&interval) { Ok(interval) } else { Err(InvalidInterval::Range) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read() {
        for (text, milliseconds) in
            [("100ms", 100), ("500ms", 500), ("1s", 1_000), ("90s", 90_000), ("1m", 60_000), ("1h", 3_600_000)]
        {
            assert_eq!(parse_interval(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused_by_its_form_and_excess_by_its_range() {
        for text in ["", "s", "1", "1.5s", "-1s", "1 s", "1S", "+1s", "1sm", "١s"] {
            assert_eq!(parse_interval(text), Err(InvalidInterval::Form), "{text}");
        }
        for text in ["0s", "99ms", "3601s", "2h", "99999999999999999999s", "18446744073709551615h"] {
            assert_eq!(parse_interval(text), Err(InvalidInterval::Range), "{text}");
        }
    }
}
