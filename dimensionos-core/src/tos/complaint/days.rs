//! Business days, as a clerk of the United States counts them: Monday to Friday, but for federal holidays.

use std::time::Duration;

use jiff::civil::{Date, Weekday};

use crate::time::Timestamp;

const DAY: Duration = Duration::from_hours(24);

/// Whether the day of an instant, in UTC, is a business day.
#[must_use]
pub fn is_business_day(at: Timestamp) -> bool {
    let day = date(at);
    !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday) && !is_holiday(day)
}

/// The end of that many business days after the day of an instant.
pub(super) fn business_days_after(at: Timestamp, days: u32) -> Timestamp {
    let mut day = at.start_of_day();
    let mut left = days;
    while left > 0 {
        day = day.after(DAY);
        if is_business_day(day) {
            left -= 1;
        }
        if day == Timestamp::LAST {
            break;
        }
    }
    day.after(DAY)
}

fn date(at: Timestamp) -> Date {
    let instant = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    jiff::tz::Offset::UTC.to_datetime(instant).date()
}

/// A holiday on a Saturday is kept on the Friday before, one on a Sunday on the Monday after (5 USC 6103).
fn is_holiday(day: Date) -> bool {
    if is_fixed_holiday(day) || is_moving_holiday(day) {
        return true;
    }
    let neighbour = match day.weekday() {
        Weekday::Friday => day.tomorrow(),
        Weekday::Monday => day.yesterday(),
        _ => return false,
    };
    neighbour.is_ok_and(is_fixed_holiday)
}

fn is_fixed_holiday(day: Date) -> bool {
    // New Year's Day, Juneteenth, Independence Day, Veterans Day, Christmas Day.
    matches!((day.month(), day.day()), (1, 1) | (6, 19) | (7, 4) | (11, 11) | (12, 25))
}

fn is_moving_holiday(day: Date) -> bool {
    let week = (day.day() - 1) / 7 + 1;
    let is_last = day.day() + 7 > day.days_in_month();
    match (day.month(), day.weekday()) {
        // Birthday of Martin Luther King, Jr.; Washington's Birthday; Columbus Day; Labor Day.
        (1 | 2, Weekday::Monday) => week == 3,
        (10, Weekday::Monday) => week == 2,
        (9, Weekday::Monday) => week == 1,
        // Memorial Day.
        (5, Weekday::Monday) => is_last,
        // Thanksgiving Day.
        (11, Weekday::Thursday) => week == 4,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("{text}T12:00:00Z").parse().unwrap()
    }

    #[test]
    fn the_federal_holidays_of_a_year_are_no_business_days() {
        let holidays = [
            "2026-01-01",
            "2026-01-19",
            "2026-02-16",
            "2026-05-25",
            "2026-06-19",
            "2026-07-03",
            "2026-09-07",
            "2026-10-12",
            "2026-11-11",
            "2026-11-26",
            "2026-12-25",
            "2027-07-05",
            "2021-12-31",
        ];
        for day in holidays {
            assert!(!is_business_day(at(day)), "{day}");
        }
        for day in ["2026-01-02", "2026-02-09", "2026-05-18", "2026-07-06", "2026-11-27", "2026-10-05"] {
            assert!(is_business_day(at(day)), "{day}");
        }
        for day in ["2026-11-21", "2026-11-22"] {
            assert!(!is_business_day(at(day)), "{day}");
        }
    }

    #[test]
    fn business_days_are_counted_past_weekends_and_holidays() {
        // Friday 20 November 2026: Monday is the first; Thanksgiving Day is none.
        let end = |days| business_days_after(at("2026-11-20"), days).to_string();
        assert_eq!(end(1), "2026-11-24T00:00:00.000Z");
        assert_eq!(end(3), "2026-11-26T00:00:00.000Z");
        assert_eq!(end(4), "2026-11-28T00:00:00.000Z");
    }
}
