//! Complaints of copyright, by the clock of notice and counter-notice (17 USC 512).
//!
//! Kept are a digest of each paper, dates, and what follows from them. The papers name people and works; they stay with
//! the operators, outside of this service.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;
use crate::users::identity::parse_hex;

mod days;

pub use days::is_business_day;

/// What is withheld comes back at the earliest so many business days after a counter-notice,
pub const RESTORE_AFTER: u32 = 10;
/// and at the latest so many.
pub const RESTORE_BY: u32 = 14;
/// How far back complainants are judged.
pub(super) const COMPLAINANT_MEMORY: Duration = Duration::from_hours(365 * 24);
/// Complaints that came to nothing before a complainant's further ones wait for a person.
pub const MAX_UNFOUNDED: usize = 3;

/// What a notice has to have to be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum NoticeElement {
    /// The signature of whoever may act for the owner.
    Signature,
    /// Which work it is about.
    Work,
    /// What infringes it, and where that is.
    Material,
    /// How to reach whoever complains.
    Contact,
    /// The belief in good faith that the use is not authorised.
    GoodFaith,
    /// That the notice is accurate, under penalty of perjury.
    Accuracy,
}

impl NoticeElement {
    /// Every element.
    pub const ALL: [Self; 6] =
        [Self::Signature, Self::Work, Self::Material, Self::Contact, Self::GoodFaith, Self::Accuracy];

    /// The name in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Signature => "SIGNATURE",
            Self::Work => "WORK",
            Self::Material => "MATERIAL",
            Self::Contact => "CONTACT",
            Self::GoodFaith => "GOOD_FAITH",
            Self::Accuracy => "ACCURACY",
        }
    }
}

/// SHA-256 of a paper that is kept elsewhere, or the keyed tag of whoever sent it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PaperDigest([u8; 32]);

/// A text that is no digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not 64 hex digits")]
pub struct InvalidDigest;

impl PaperDigest {
    /// The digest of those bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for PaperDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PaperDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PaperDigest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        parse_hex(text).map(Self).ok_or(InvalidDigest)
    }
}

/// Where a complaint stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ComplaintState {
    /// Its notice lacks something, and has no effect.
    Incomplete,
    /// Its complainant has been wrong too often: a person has to look first.
    Held,
    /// Its notice is complete, and what it is about is withheld.
    Noticed,
    /// A counter-notice was served; what is withheld comes back at its date.
    Countered,
    /// What was withheld is back.
    Restored,
    /// The complainant went to court in time: it stays withheld.
    InCourt,
    /// The complainant took it back.
    Withdrawn,
}

impl ComplaintState {
    /// The name in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Incomplete => "INCOMPLETE",
            Self::Held => "HELD",
            Self::Noticed => "NOTICED",
            Self::Countered => "COUNTERED",
            Self::Restored => "RESTORED",
            Self::InCourt => "IN_COURT",
            Self::Withdrawn => "WITHDRAWN",
        }
    }
}

/// A complaint of copyright.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// SHA-256 of the notice as it was received.
    pub notice: PaperDigest,
    /// When it was received.
    pub received_at: Timestamp,
    /// The keyed tag of who complains, so that the same are known again; absent where nobody said.
    pub complainant: Option<PaperDigest>,
    /// What its notice lacks.
    pub missing: Vec<NoticeElement>,
    /// Whether it waits for a person because its complainant has been wrong too often.
    pub is_held: bool,
    /// SHA-256 of the counter-notice, and when it was received.
    pub counter: Option<(PaperDigest, Timestamp)>,
    /// When the complainant said that it went to court.
    pub court_at: Option<Timestamp>,
    /// When the complainant took it back.
    pub withdrawn_at: Option<Timestamp>,
}

impl Complaint {
    /// Where it stands at an instant. What comes back comes back by the clock, whoever is on holiday.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> ComplaintState {
        if self.withdrawn_at.is_some() {
            return ComplaintState::Withdrawn;
        }
        if !self.missing.is_empty() {
            return ComplaintState::Incomplete;
        }
        if self.is_held {
            return ComplaintState::Held;
        }
        match (self.restore_window(), self.court_at) {
            (None, _) => ComplaintState::Noticed,
            // In time is before what was withheld came back.
            (Some((from, _)), Some(court)) if court < from => ComplaintState::InCourt,
            (Some((from, _)), _) if from <= now => ComplaintState::Restored,
            (Some(_), _) => ComplaintState::Countered,
        }
    }

    /// From when to when what is withheld has to come back: the tenth and the fourteenth business day after the
    /// counter-notice, each to its end. It comes back at the first. Absent before there is one.
    #[must_use]
    pub fn restore_window(&self) -> Option<(Timestamp, Timestamp)> {
        let (_, received_at) = self.counter?;
        Some((
            days::business_days_after(received_at, RESTORE_AFTER),
            days::business_days_after(received_at, RESTORE_BY),
        ))
    }

    /// When it comes to nothing, or came: taken back, or countered and not brought to court in time.
    #[must_use]
    pub fn settled_at(&self) -> Option<Timestamp> {
        self.withdrawn_at.or_else(|| {
            let (from, _) = self.restore_window()?;
            self.court_at.is_none_or(|court| court >= from).then_some(from)
        })
    }

    /// Whether it counts against the account at an instant.
    #[must_use]
    pub fn counts(&self, now: Timestamp) -> bool {
        matches!(self.state(now), ComplaintState::Noticed | ComplaintState::InCourt)
    }

    /// Whether it came to nothing.
    #[must_use]
    pub fn was_unfounded(&self, now: Timestamp) -> bool {
        matches!(self.state(now), ComplaintState::Restored | ComplaintState::Withdrawn)
    }

    /// As a storage keeps it.
    #[must_use]
    pub fn to_text(&self) -> String {
        // Digests and dates: it cannot fail.
        serde_json::to_string(&Stored::from(self)).unwrap_or_default()
    }

    /// As a storage kept it.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        serde_json::from_str::<Stored>(text).ok()?.complaint()
    }
}

/// Whether a complainant's further complaints wait for a person: it has been wrong too often, and more often than right.
#[must_use]
pub fn is_abusive<'a>(earlier: impl IntoIterator<Item = &'a Complaint>, now: Timestamp) -> bool {
    let (mut unfounded, mut founded) = (0, 0);
    for complaint in earlier {
        if now.since(complaint.received_at) <= COMPLAINANT_MEMORY {
            unfounded += usize::from(complaint.was_unfounded(now));
            founded += usize::from(complaint.counts(now));
        }
    }
    unfounded >= MAX_UNFOUNDED && unfounded > founded
}

#[derive(Serialize, Deserialize)]
struct Stored {
    notice: String,
    received_at: i64,
    complainant: Option<String>,
    missing: Vec<NoticeElement>,
    held: bool,
    counter: Option<(String, i64)>,
    court_at: Option<i64>,
    withdrawn_at: Option<i64>,
}

impl From<&Complaint> for Stored {
    fn from(complaint: &Complaint) -> Self {
        Self {
            notice: complaint.notice.to_string(),
            received_at: complaint.received_at.as_millis(),
            complainant: complaint.complainant.as_ref().map(PaperDigest::to_string),
            missing: complaint.missing.clone(),
            held: complaint.is_held,
            counter: complaint.counter.as_ref().map(|(digest, at)| (digest.to_string(), at.as_millis())),
            court_at: complaint.court_at.map(Timestamp::as_millis),
            withdrawn_at: complaint.withdrawn_at.map(Timestamp::as_millis),
        }
    }
}

impl Stored {
    fn complaint(self) -> Option<Complaint> {
        let counter = match self.counter {
            Some((digest, at)) => Some((digest.parse().ok()?, Timestamp::from_millis(at))),
            None => None,
        };
        let complainant = match self.complainant {
            Some(digest) => Some(digest.parse().ok()?),
            None => None,
        };
        Some(Complaint {
            notice: self.notice.parse().ok()?,
            received_at: Timestamp::from_millis(self.received_at),
            complainant,
            missing: self.missing,
            is_held: self.held,
            counter,
            court_at: self.court_at.map(Timestamp::from_millis),
            withdrawn_at: self.withdrawn_at.map(Timestamp::from_millis),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Monday, 2 March 2026, noon.
    const MONDAY: Timestamp = Timestamp::from_millis(1_772_452_800_000);
    const DAY: Duration = Duration::from_hours(24);

    fn complete() -> Complaint {
        Complaint {
            notice: PaperDigest::from_bytes([7; 32]),
            received_at: MONDAY,
            complainant: Some(PaperDigest::from_bytes([9; 32])),
            missing: Vec::new(),
            is_held: false,
            counter: None,
            court_at: None,
            withdrawn_at: None,
        }
    }

    #[test]
    fn what_is_withheld_comes_back_ten_business_days_after_the_counter_notice_and_stays_only_for_a_court() {
        let noticed = complete();
        assert_eq!(noticed.state(MONDAY.after(365 * DAY)), ComplaintState::Noticed);
        let countered = Complaint { counter: Some((PaperDigest::from_bytes([8; 32]), MONDAY)), ..noticed };
        let (from, by) = countered.restore_window().unwrap();
        // The tenth business day after Monday 2 March is Monday 16 March; the fourteenth Friday 20 March.
        assert_eq!(
            (from.to_string(), by.to_string()),
            ("2026-03-17T00:00:00.000Z".to_owned(), "2026-03-21T00:00:00.000Z".to_owned())
        );
        assert_eq!(countered.state(from.before(Duration::from_millis(1))), ComplaintState::Countered);
        assert_eq!(countered.state(from), ComplaintState::Restored);
        assert!(!countered.counts(from) && countered.was_unfounded(from));
        let in_court = Complaint { court_at: Some(from.before(DAY)), ..countered.clone() };
        assert_eq!(in_court.state(by.after(30 * DAY)), ComplaintState::InCourt);
        let too_late = Complaint { court_at: Some(from), ..countered };
        assert_eq!(too_late.state(from.after(DAY)), ComplaintState::Restored);
    }

    #[test]
    fn an_incomplete_notice_has_no_effect() {
        let lacking = Complaint { missing: vec![NoticeElement::Signature], ..complete() };
        assert_eq!(lacking.state(MONDAY), ComplaintState::Incomplete);
        assert!(!lacking.counts(MONDAY) && !lacking.was_unfounded(MONDAY));
    }

    #[test]
    fn whoever_is_wrong_too_often_waits_for_a_person() {
        let unfounded = Complaint { withdrawn_at: Some(MONDAY), ..complete() };
        let earlier = |wrong: usize, right: usize| {
            let wrong = std::iter::repeat_n(unfounded.clone(), wrong);
            wrong.chain(std::iter::repeat_n(complete(), right)).collect::<Vec<_>>()
        };
        assert!(!is_abusive(&earlier(2, 0), MONDAY));
        assert!(is_abusive(&earlier(3, 0), MONDAY));
        assert!(!is_abusive(&earlier(3, 3), MONDAY));
        assert!(!is_abusive(&earlier(3, 0), MONDAY.after(COMPLAINANT_MEMORY + DAY)));
    }

    #[test]
    fn what_is_stored_reads_back() {
        let full = Complaint {
            missing: NoticeElement::ALL.into(),
            is_held: true,
            counter: Some((PaperDigest::from_bytes([1; 32]), MONDAY)),
            court_at: Some(MONDAY),
            withdrawn_at: Some(MONDAY),
            ..complete()
        };
        for complaint in [complete(), full] {
            assert_eq!(Complaint::from_text(&complaint.to_text()), Some(complaint));
        }
        assert_eq!(Complaint::from_text("{}"), None);
    }
}
