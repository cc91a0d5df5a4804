use std::fmt;
use std::str::FromStr;

use crate::Error;
use crate::payment::ServiceStatus;
use crate::time::Timestamp;

/// Characters of an operator's note: two sentences.
const MAX_NOTE_CHARACTERS: usize = 280;

/// A status that an operator set. It stands beside what the account's payments say, and the stricter of the two shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorStatus {
    /// What the account may still do.
    pub status: ServiceStatus,
    /// Since when.
    pub since: Timestamp,
    /// Why, in the operator's words; the account's holder reads it.
    pub note: StatusNote,
}

/// Why an operator set a status: 1 to 280 characters on one line, without an `@`, so that no address is kept in it.
#[derive(Clone, PartialEq, Eq)]
pub struct StatusNote(String);

impl StatusNote {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for StatusNote {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let length = text.chars().count();
        if length == 0 || length > MAX_NOTE_CHARACTERS || text.chars().any(char::is_control) {
            return Err(Error::invalid("reason", "not 1 to 280 characters on one line"));
        }
        if text.contains('@') {
            return Err(Error::invalid("reason", "has an @: an address must not be kept"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for StatusNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StatusNote")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_has_one_line_and_no_address() {
        assert_eq!(" abuse report 17 ".parse::<StatusNote>().unwrap().as_str(), "abuse report 17");
        for text in ["", "  ", "two\nlines", "ada@example.org", &"x".repeat(281)] {
            let refused = text.parse::<StatusNote>().unwrap_err();
            assert!(matches!(refused, Error::InvalidInput { field: "reason", .. }), "{text}");
        }
    }
}
