//! Pages of a list: cursors that stay good while the list grows, and how many there are to a page.

use async_graphql::SimpleObject;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dimensionos_core::id::ViolationId;
use dimensionos_core::tos::{MAX_PAGE, ViolationPlace};
use dimensionos_core::{Error, Timestamp};

/// Where a page stands in its list.
#[derive(Debug, SimpleObject)]
pub struct PageInfo {
    /// Whether more follow.
    pub(crate) has_next_page: bool,
    /// Whether any come before: asked for with `after`, there are.
    pub(crate) has_previous_page: bool,
    /// The cursor of the first; null where there is none.
    pub(crate) start_cursor: Option<String>,
    /// The cursor of the last; null where there is none.
    pub(crate) end_cursor: Option<String>,
}

/// The place of a cursor that this server gave.
pub(crate) fn place(cursor: &str) -> Result<ViolationPlace, Error> {
    let read = || {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (at, id) = bytes.split_at_checked(8)?;
        let at = Timestamp::from_millis(i64::from_be_bytes(at.try_into().ok()?));
        Some(ViolationPlace { detected_at: at, id: ViolationId::from_bits(u128::from_be_bytes(id.try_into().ok()?)) })
    };
    read().ok_or_else(|| Error::InvalidInput { field: "after", reason: "not a cursor of this list".to_owned() })
}

pub(crate) fn cursor(place: ViolationPlace) -> String {
    let mut bytes = place.detected_at.as_millis().to_be_bytes().to_vec();
    bytes.extend(place.id.bits().to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// How many a page is to have.
pub(crate) fn length(first: i32) -> Result<u64, Error> {
    let length = u64::try_from(first).ok().filter(|first| (1..=MAX_PAGE).contains(first));
    length.ok_or_else(|| Error::InvalidInput { field: "first", reason: format!("not from 1 to {MAX_PAGE}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_back_to_its_place_and_nothing_else_is_one() {
        let here =
            ViolationPlace { detected_at: Timestamp::from_millis(1_700_000_000_123), id: ViolationId::from_bits(7) };
        assert_eq!(place(&cursor(here)).unwrap(), here);
        for text in ["", "AAAA", "not a cursor", &cursor(here)[1..]] {
            assert!(place(text).is_err(), "{text}");
        }
        assert!(length(0).is_err() && length(-1).is_err() && length(101).is_err());
        assert_eq!(length(100).unwrap(), 100);
    }
}
