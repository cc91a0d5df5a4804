//! The scoring of the Numenta Anomaly Benchmark, version 1.1, from its published definition (Lavin and Ahmad, 2015):
//! each labelled window is worth as much as its first detection is early, each detection outside costs more the further
//! behind a window it is, and the sum is set between the detector that says nothing and the one that is always right.

/// The part of a file at its beginning in which nothing is scored,
const PROBATION: f64 = 0.15;
/// held to what it is of so many rows.
const PROBATION_ROWS_AT_MOST: f64 = 5_000.0;
/// So many window widths behind a window a detection is as wrong as anywhere.
const FAR_BEHIND: f64 = 3.0;
/// A threshold over every score, at which nothing is detected.
const NOTHING_DETECTED: f64 = 1.1;

/// What right and wrong are worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Profile {
    pub(crate) name: &'static str,
    pub(crate) true_positive: f64,
    pub(crate) false_positive: f64,
    pub(crate) false_negative: f64,
}

/// The benchmark's three profiles, under the names of the report.
pub(crate) const PROFILES: [Profile; 3] = [
    Profile { name: "standard", true_positive: 1.0, false_positive: 0.11, false_negative: 1.0 },
    Profile { name: "low_fp", true_positive: 1.0, false_positive: 0.22, false_negative: 1.0 },
    Profile { name: "low_fn", true_positive: 1.0, false_positive: 0.11, false_negative: 2.0 },
];

/// A scored row of a file.
#[derive(Debug, Clone, Copy)]
struct Point {
    score: f64,
    /// What a detection here is worth: up to 1 in a window, down to -1 outside.
    worth: f64,
    window: Option<usize>,
}

/// Everything that is scored together: a threshold is one for all files.
#[derive(Debug, Clone, Default)]
pub(crate) struct Corpus {
    points: Vec<Point>,
    /// Windows labelled in the files, whether or not a row of them is scored.
    windows: usize,
}

impl Corpus {
    /// Takes in a file: its scores, and the first and last row of each of its windows, in order.
    pub(crate) fn add(&mut self, scores: &[f64], windows: &[(usize, usize)]) {
        let first_scored = probation(scores.len());
        let mut upcoming = windows.iter().copied().zip(self.windows..).peekable();
        let mut current: Option<((usize, usize), usize)> = None;
        let mut before: Option<(usize, usize)> = None;
        for (row, &score) in scores.iter().enumerate() {
            if let Some(entered) = upcoming.next_if(|((first, _), _)| *first == row) {
                current = Some(entered);
            }
            let (worth, window) = match (current, before) {
                (Some(((first, last), window)), _) => (worth_within(row, first, last), Some(window)),
                (None, Some((first, last))) => (scaled_sigmoid(ratio(row - last, last - first)), None),
                (None, None) => (-1.0, None),
            };
            if row >= first_scored {
                self.points.push(Point { score, worth, window });
            }
            if let Some((limits, _)) = current.filter(|((_, last), _)| *last == row) {
                (current, before) = (None, Some(limits));
            }
        }
        self.windows += windows.len();
    }

    /// How many windows are labelled.
    pub(crate) fn windows(&self) -> usize {
        self.windows
    }

    /// The threshold with the highest score, and that score: as the benchmark chooses it, over all files at once.
    pub(crate) fn optimise(&self, profile: &Profile) -> (f64, f64) {
        let mut points: Vec<&Point> = self.points.iter().collect();
        points.sort_by(|one, other| other.score.total_cmp(&one.score));
        let mut tally = Tally::new(&self.points, self.windows, profile);
        let (mut best, mut threshold) = ((NOTHING_DETECTED, f64::NEG_INFINITY), NOTHING_DETECTED);
        for point in points {
            if point.score.total_cmp(&threshold).is_ne() {
                if tally.sum > best.1 {
                    best = (threshold, tally.sum);
                }
                threshold = point.score;
            }
            tally.detect(point);
        }
        if tally.sum > best.1 {
            best = (threshold, tally.sum);
        }
        (best.0, self.normalised(best.1, profile))
    }

    /// The score with a threshold that was fixed before: a row is a detection from it on.
    pub(crate) fn at(&self, threshold: f64, profile: &Profile) -> f64 {
        let mut tally = Tally::new(&self.points, self.windows, profile);
        self.points.iter().filter(|point| point.score >= threshold).for_each(|point| tally.detect(point));
        self.normalised(tally.sum, profile)
    }

    /// Windows with a detection, and detections outside of any.
    pub(crate) fn counts(&self, threshold: f64) -> (usize, usize) {
        let mut found = vec![false; self.windows];
        let mut outside = 0;
        for point in self.points.iter().filter(|point| point.score >= threshold) {
            match point.window {
                Some(window) => found[window] = true,
                None => outside += 1,
            }
        }
        (found.into_iter().filter(|&found| found).count(), outside)
    }

    fn normalised(&self, sum: f64, profile: &Profile) -> f64 {
        let null = Tally::new(&self.points, self.windows, profile).sum;
        let perfect = count(self.windows) * profile.true_positive;
        100.0 * (sum - null) / (perfect - null)
    }
}

/// The sum while rows become detections.
struct Tally<'a> {
    profile: &'a Profile,
    /// The best detection of each window so far; a window none of whose rows is scored counts for nothing.
    windows: Vec<f64>,
    sum: f64,
}

impl<'a> Tally<'a> {
    /// With nothing detected: every window is missed.
    fn new(points: &[Point], windows: usize, profile: &'a Profile) -> Self {
        let mut missed = vec![0.0; windows];
        points.iter().filter_map(|point| point.window).for_each(|window| missed[window] = -profile.false_negative);
        Self { profile, sum: missed.iter().sum(), windows: missed }
    }

    fn detect(&mut self, point: &Point) {
        let Some(window) = point.window else {
            self.sum += point.worth * self.profile.false_positive;
            return;
        };
        let worth = point.worth * self.profile.true_positive;
        if worth > self.windows[window] {
            self.sum += worth - self.windows[window];
            self.windows[window] = worth;
        }
    }
}

/// How many rows at the beginning of a file are not scored.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of a count of rows")]
fn probation(rows: usize) -> usize {
    (PROBATION * count(rows)).floor().min(PROBATION * PROBATION_ROWS_AT_MOST).ceil() as usize
}

/// 1 at a window's first row, falling to little above 0 at its last.
fn worth_within(row: usize, first: usize, last: usize) -> f64 {
    scaled_sigmoid(-ratio(last - row + 1, last - first + 1)) / scaled_sigmoid(-1.0)
}

fn scaled_sigmoid(position: f64) -> f64 {
    if position > FAR_BEHIND { -1.0 } else { 2.0 / (1.0 + (5.0 * position).exp()) - 1.0 }
}

fn ratio(part: usize, whole: usize) -> f64 {
    count(part) / count(whole.max(1))
}

#[expect(clippy::cast_precision_loss, reason = "counts of rows")]
fn count(rows: usize) -> f64 {
    rows as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const STANDARD: &Profile = &PROFILES[0];

    fn corpus(detections: &[usize]) -> Corpus {
        let mut scores = vec![0.0; 1_000];
        detections.iter().for_each(|&row| scores[row] = 1.0);
        let mut corpus = Corpus::default();
        corpus.add(&scores, &[(400, 499), (700, 799)]);
        corpus
    }

    #[test]
    fn silence_is_worth_nothing_and_the_first_row_of_each_window_everything() {
        for profile in &PROFILES {
            assert!(corpus(&[]).at(0.5, profile).abs() < 1e-9);
            assert!((corpus(&[400, 700]).at(0.5, profile) - 100.0).abs() < 1e-9);
        }
        assert_eq!(corpus(&[400, 450, 150]).counts(0.5), (1, 1));
    }

    #[test]
    fn later_is_worth_less_and_a_second_detection_nothing_more() {
        let early = corpus(&[400]).at(0.5, STANDARD);
        let late = corpus(&[480]).at(0.5, STANDARD);
        assert!(early > late && late > 0.0);
        assert!((corpus(&[400, 480]).at(0.5, STANDARD) - early).abs() < 1e-9);
    }

    #[test]
    fn outside_costs_more_further_behind_and_nothing_in_the_probation() {
        let cost = |row: usize| corpus(&[row]).at(0.5, STANDARD);
        assert!(cost(149).abs() < 1e-9);
        assert!(cost(150) < 0.0);
        assert!(cost(505) > cost(600) && cost(505) < 0.0);
        // 0.11 of the four points between silence and perfection.
        assert!((cost(150) + 100.0 * 0.11 / 4.0).abs() < 1e-9);
        assert!(corpus(&[150]).at(0.5, &PROFILES[1]) < cost(150));
    }

    #[test]
    fn no_threshold_beats_the_chosen_one() {
        let scores: Vec<f64> =
            (0..2_000_u32).map(|row| f64::from(row.wrapping_mul(2_654_435_761) >> 20) / 4_096.0).collect();
        let mut corpus = Corpus::default();
        corpus.add(&scores, &[(500, 620), (1_500, 1_900)]);
        for profile in &PROFILES {
            let (threshold, best) = corpus.optimise(profile);
            assert!((corpus.at(threshold, profile) - best).abs() < 1e-9);
            let others = (0..=100).map(|step| corpus.at(f64::from(step) / 100.0, profile));
            assert!(others.into_iter().all(|other| other <= best + 1e-9));
        }
    }
}
