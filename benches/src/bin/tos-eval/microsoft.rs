//! Microsoft's cloud monitoring series: the spike score with the fixed threshold against segments that experts marked.
//!
//! A segment is a run of labelled rows; it is hit where at least one of its own rows is flagged, with no grace before or
//! behind it. An alarm is a run of flagged rows in which up to [`BRIDGED`] rows that are not flagged are bridged; it is
//! false where none of its flagged rows is labelled. With hits h, missed segments m and false alarms f over all files
//! together, F1 is 2h / (2h + m + f). False per 1,000 counts single rows and not alarms: the flagged rows among those
//! that are not labelled, those at the edges of a segment too.
//!
//! Nothing is left out: each series is scored from its first row on, with whatever was learnt by then.

use std::error::Error;
use std::path::Path;

use dimensionos_core::tos::detectors::adaptive::{Score, UNUSUAL};

use crate::adaptive::scores;
use crate::report::{Report, put};
use crate::series::{self, Row};
use crate::statistics::{frequency, rate};

/// Rows without a flag that do not end an alarm.
const BRIDGED: usize = 5;

/// What was counted, of one file or of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Counts {
    hit: u64,
    missed: u64,
    false_alarms: u64,
    unlabelled_rows: u64,
    false_rows: u64,
}

/// Puts `ms.f1`, `ms.false_per_1000` and their like in.
///
/// # Errors
/// Where a file cannot be read.
pub(crate) fn evaluate(folder: &Path, report: &mut Report) -> Result<(), Box<dyn Error>> {
    let files = series::files(&folder.join("data"), &[".csv", ".csv.gz"])?;
    let files = files.iter().map(|path| series::read(path)).collect::<Result<Vec<_>, _>>()?;
    let files: Vec<(Vec<Score>, Vec<Row>)> = files.into_iter().map(|rows| (scores(&rows), rows)).collect();
    let with = |of: fn(Score) -> f64| {
        let counts = files.iter().map(|(scores, rows)| {
            let flagged: Vec<bool> = scores.iter().map(|&score| of(score) >= UNUSUAL).collect();
            counts(&flagged, rows)
        });
        counts.fold(Counts::default(), Counts::and)
    };
    let all = with(|score| score.spike);
    put(report, "ms.files", files.len())?;
    put(report, "ms.f1", all.f1())?;
    let thousands = frequency(all.false_rows, count(all.unlabelled_rows) / 1_000.0);
    put(report, "ms.false_per_1000", thousands["rate"].clone())?;
    put(report, "ms.false_per_1000_bound", thousands)?;
    put(report, "ms.recall_bound", rate(all.hit, all.hit + all.missed))?;
    put(report, "ms.precision_bound", rate(all.hit, all.hit + all.false_alarms))?;
    // Each layer alone.
    put(report, "ms.ablation.novelty.f1", with(|score| score.novelty).f1())?;
    put(report, "ms.ablation.largest.f1", with(Score::largest).f1())
}

impl Counts {
    fn and(self, other: Self) -> Self {
        Self {
            hit: self.hit + other.hit,
            missed: self.missed + other.missed,
            false_alarms: self.false_alarms + other.false_alarms,
            unlabelled_rows: self.unlabelled_rows + other.unlabelled_rows,
            false_rows: self.false_rows + other.false_rows,
        }
    }

    /// 0 where there is nothing to find and nothing was found, too: no set is that.
    fn f1(self) -> f64 {
        let all = 2 * self.hit + self.missed + self.false_alarms;
        2.0 * count(self.hit) / count(all.max(1))
    }
}

fn counts(flagged: &[bool], rows: &[Row]) -> Counts {
    let mut counts = Counts::default();
    // Of the segment and of the alarm that are open: whether it is hit, whether it is right.
    let mut segment: Option<bool> = None;
    let mut alarm: Option<(usize, bool)> = None;
    for (index, (&is_flagged, row)) in flagged.iter().zip(rows).enumerate() {
        if row.is_labelled {
            segment = Some(segment.unwrap_or(false) || is_flagged);
        } else {
            counts.close_segment(segment.take());
            counts.unlabelled_rows += 1;
            counts.false_rows += u64::from(is_flagged);
        }
        if let Some((_, is_right)) = alarm.take_if(|(last, _)| index - *last > BRIDGED + 1) {
            counts.false_alarms += u64::from(!is_right);
        }
        if is_flagged {
            let is_right = alarm.is_some_and(|(_, is_right)| is_right);
            alarm = Some((index, is_right || row.is_labelled));
        }
    }
    counts.close_segment(segment);
    counts.false_alarms += u64::from(alarm.is_some_and(|(_, is_right)| !is_right));
    counts
}

impl Counts {
    fn close_segment(&mut self, segment: Option<bool>) {
        match segment {
            Some(true) => self.hit += 1,
            Some(false) => self.missed += 1,
            None => {}
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of rows")]
fn count(rows: u64) -> f64 {
    rows as f64
}

#[cfg(test)]
mod tests {
    use dimensionos_core::Timestamp;

    use super::*;

    /// `.` a row, `f` a flagged one; in capitals where the row is labelled (`L`, `F`).
    fn of(drawn: &str) -> Counts {
        let flagged: Vec<bool> = drawn.chars().map(|row| row.eq_ignore_ascii_case(&'f')).collect();
        let row = |row: char| Row { at: Timestamp::EPOCH, value: None, is_labelled: row.is_uppercase() };
        counts(&flagged, &drawn.chars().map(row).collect::<Vec<_>>())
    }

    #[test]
    fn one_flagged_row_of_its_own_hits_a_segment() {
        let found = of("..LFL..LLL..L");
        assert_eq!((found.hit, found.missed, found.false_alarms, found.false_rows), (1, 2, 0, 0));
        // The row behind it does not.
        assert_eq!((of("LLLf..").hit, of("LLLf..").false_alarms), (0, 1));
        assert!((of("FF").f1() - 1.0).abs() < 1e-9);
        assert!(of("LL..").f1().abs() < 1e-9);
    }

    #[test]
    fn an_alarm_that_goes_on_behind_a_segment_is_right_but_its_rows_are_counted() {
        let found = of("..FFff.....f......f.");
        assert_eq!((found.hit, found.false_alarms, found.false_rows), (1, 1, 4));
        assert_eq!(of("f.....f").false_alarms, 1);
        assert_eq!(of("f......f").false_alarms, 2);
    }
}
