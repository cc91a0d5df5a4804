//! Pages of a list: cursors that stay good while the list grows, and how many there are to a page.

use async_graphql::SimpleObject;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dimensionos_core::auth::KeyPlace;
use dimensionos_core::id::{AccessKeyId, ViolationId};
use dimensionos_core::tos::{MAX_PAGE, ViolationPlace};
use dimensionos_core::users::AccountPlace;
use dimensionos_core::{AccountId, Error, Timestamp};

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

/// A place in a list that has cursors: an instant, and an id among those of that instant.
pub(crate) trait Place: Copy {
    /// What a cursor of this list begins with, so that one of another list is none of this.
    const KIND: &'static [u8];

    fn parts(self) -> (Timestamp, u128);
    fn of(at: Timestamp, id: u128) -> Self;
}

impl Place for ViolationPlace {
    // Released before there was another list.
    const KIND: &'static [u8] = b"";

    fn parts(self) -> (Timestamp, u128) {
        (self.detected_at, self.id.bits())
    }

    fn of(at: Timestamp, id: u128) -> Self {
        Self { detected_at: at, id: ViolationId::from_bits(id) }
    }
}

impl Place for AccountPlace {
    const KIND: &'static [u8] = b"acc";

    fn parts(self) -> (Timestamp, u128) {
        (self.created_at, self.id.bits())
    }

    fn of(at: Timestamp, id: u128) -> Self {
        Self { created_at: at, id: AccountId::from_bits(id) }
    }
}

impl Place for KeyPlace {
    const KIND: &'static [u8] = b"key";

    fn parts(self) -> (Timestamp, u128) {
        (self.created_at, self.id.bits())
    }

    fn of(at: Timestamp, id: u128) -> Self {
        Self { created_at: at, id: AccessKeyId::from_bits(id) }
    }
}

/// The place of a cursor that this server gave for the same list.
pub(crate) fn place<P: Place>(cursor: &str) -> Result<P, Error> {
    let read = || {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (at, id) = bytes.strip_prefix(P::KIND)?.split_at_checked(8)?;
        let at = Timestamp::from_millis(i64::from_be_bytes(at.try_into().ok()?));
        Some(P::of(at, u128::from_be_bytes(id.try_into().ok()?)))
    };
    read().ok_or_else(|| Error::InvalidInput { field: "after", reason: "not a cursor of this list".to_owned() })
}

pub(crate) fn cursor<P: Place>(place: P) -> String {
    let (at, id) = place.parts();
    let mut bytes = P::KIND.to_vec();
    bytes.extend(at.as_millis().to_be_bytes());
    bytes.extend(id.to_be_bytes());
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
        assert_eq!(place::<ViolationPlace>(&cursor(here)).unwrap(), here);
        let there = AccountPlace { created_at: here.detected_at, id: AccountId::from_bits(7) };
        assert_eq!(place::<AccountPlace>(&cursor(there)).unwrap(), there);
        for text in ["", "AAAA", "not a cursor", &cursor(here)[1..], &cursor(there)] {
            assert!(place::<ViolationPlace>(text).is_err(), "{text}");
        }
        assert!(place::<AccountPlace>(&cursor(here)).is_err());
        let agent = KeyPlace { created_at: here.detected_at, id: AccessKeyId::from_bits(7) };
        assert_eq!(place::<KeyPlace>(&cursor(agent)).unwrap(), agent);
        assert!(place::<KeyPlace>(&cursor(there)).is_err());
        assert!(length(0).is_err() && length(-1).is_err() && length(101).is_err());
        assert_eq!(length(100).unwrap(), 100);
    }
}
