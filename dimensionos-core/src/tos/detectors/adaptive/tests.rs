use proptest::prelude::*;

use super::*;

const FIVE_MINUTES: i64 = 300_000;
/// Samples in seven days of five minutes.
const WEEK: u32 = 2_016;

fn instant(sample: u32) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + i64::from(sample) * FIVE_MINUTES)
}

/// A day's course with noise on it, from `seed`: 20 to 80 or so.
fn ordinary(seed: u64, sample: u32) -> f64 {
    let noise = (seed ^ u64::from(sample)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    let day = f64::from(sample % 288) / 288.0 * std::f64::consts::TAU;
    50.0 + 20.0 * day.sin() + 10.0 * (f64::from(u32::try_from(noise).unwrap()) / f64::from(1_u32 << 24))
}

fn observe(adaptive: &mut Adaptive, at: Timestamp, value: f64) -> (Score, Vec<Finding>) {
    let mut found = Vec::new();
    let score = adaptive.observe(at, value, "cpu", &AdaptiveParameters::default(), &mut |finding| found.push(finding));
    (score, found)
}

/// After so many ordinary samples, which raise nothing.
fn used_to(seed: u64, samples: u32) -> Adaptive {
    let mut adaptive = Adaptive::new();
    for sample in 0..samples {
        let (_, found) = observe(&mut adaptive, instant(sample), ordinary(seed, sample));
        assert_eq!(found, [], "sample {sample}");
    }
    adaptive
}

fn raised(found: &[Finding]) -> Option<Flag> {
    found.iter().find_map(|finding| match finding {
        Finding::Raised(flag) => Some(*flag),
        Finding::Lowered { .. } => None,
    })
}

#[test]
fn a_metric_takes_no_more_than_96_bytes() {
    assert!(size_of::<Adaptive>() <= 96, "{}", size_of::<Adaptive>());
}

#[test]
fn nothing_is_noticed_before_300_samples_and_seven_days_and_something_right_after() {
    for samples in [1, 299, 300, WEEK - 1] {
        let (score, found) = observe(&mut used_to(1, samples), instant(samples), 5_000.0);
        assert_eq!(found, [], "after {samples}");
        assert!(score.novelty > UNUSUAL || samples < 20, "the score is there before the flag: {score:?}");
    }
    let (_, found) = observe(&mut used_to(1, WEEK), instant(WEEK), 5_000.0);
    let flag = raised(&found).unwrap();
    assert_eq!((flag.rule, flag.severity), (Rule::Unusual, Severity::Notice));
    // Enough days, at an hour's pace, and too few samples.
    let mut slow = Adaptive::new();
    for sample in 0..299 {
        observe(&mut slow, instant(sample * 12), 50.0);
    }
    assert_eq!(observe(&mut slow, instant(300 * 12), 5_000.0).1, []);
}

#[test]
fn a_clock_that_jumps_ahead_makes_no_habit_older() {
    let mut adaptive = Adaptive::new();
    for sample in 0..400 {
        observe(&mut adaptive, instant(sample), ordinary(3, sample));
    }
    let ahead = instant(400).after(Duration::from_secs(86_400 * 365));
    assert_eq!(observe(&mut adaptive, ahead, 5_000.0).1, []);
    assert_eq!(observe(&mut adaptive, instant(401), 50_000.0).1, []);
}

#[test]
fn a_clock_that_steps_changes_no_score() {
    let (mut steady, mut stepping) = (Adaptive::new(), Adaptive::new());
    for sample in 0..3_000_u32 {
        let value = ordinary(4, sample) + if sample % 700 == 699 { 60.0 } else { 0.0 };
        let moved = match sample % 500 {
            250 => instant(sample).before(Duration::from_secs(7_200)),
            400 => instant(sample).after(Duration::from_secs(86_400)),
            _ => instant(sample),
        };
        assert_eq!(observe(&mut steady, instant(sample), value).0, observe(&mut stepping, moved, value).0);
    }
}

#[test]
fn what_is_no_number_is_as_if_it_were_missing() {
    let mut adaptive = used_to(5, 500);
    let before = adaptive;
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(observe(&mut adaptive, instant(500), value), (Score::default(), vec![]));
    }
    assert_eq!(adaptive, before);
}

#[test]
fn a_figure_that_was_constant_is_not_noticed_for_a_tick() {
    for constant in [0.0, 1.0, 1e6] {
        let mut adaptive = Adaptive::new();
        for sample in 0..3_000 {
            assert_eq!(observe(&mut adaptive, instant(sample), constant).1, []);
        }
        assert_eq!(observe(&mut adaptive, instant(3_000), constant + 1.0).1, []);
        assert!(raised(&observe(&mut adaptive, instant(3_001), (constant + 1.0) * 10.0).1).is_some());
    }
}

#[test]
fn a_notice_goes_up_once_and_down_after_a_day_and_up_again_at_half_as_much_more() {
    let mut adaptive = used_to(6, 3_000);
    let (first, last) = (3_000, 3_100);
    let mut findings = Vec::new();
    for sample in first..last {
        findings.extend(observe(&mut adaptive, instant(sample), 5_000.0).1);
    }
    assert!(matches!(findings[..], [Finding::Raised(_)]), "{findings:?}");
    let more = observe(&mut adaptive, instant(last), 80_000.0).1;
    assert!(raised(&more).is_some());
    let mut lowered = Vec::new();
    for sample in last + 1..last + 600 {
        lowered.extend(observe(&mut adaptive, instant(sample), ordinary(6, sample)).1);
    }
    let at = instant(last + 1).after(Duration::from_secs(86_400));
    assert_eq!(lowered, [Finding::Lowered { rule: Rule::Unusual, at }]);
}

#[test]
fn a_fall_is_scored_and_not_noticed() {
    let mut adaptive = used_to(7, 3_000);
    let (score, found) = observe(&mut adaptive, instant(3_000), -400.0);
    assert!(score.novelty > UNUSUAL && score.spike > UNUSUAL, "{score:?}");
    assert_eq!(found, []);
}

#[test]
fn an_outage_is_a_spike_and_nothing_where_nothing_is_usual_is_none() {
    let mut steady = used_to(9, 3_000);
    assert!(observe(&mut steady, instant(3_000), 0.0).0.spike > UNUSUAL);
    let mut sparse = Adaptive::new();
    for sample in 0..3_000 {
        let (score, _) = observe(&mut sparse, instant(sample), if sample % 10 == 0 { 5.0 } else { 0.0 });
        assert!(score.spike < UNUSUAL || sample % 10 < 2 || sample < 100, "{sample}: {score:?}");
    }
}

#[test]
fn what_lasts_is_said_once_and_what_returns_to_old_bounds_not_at_all() {
    let mut adaptive = used_to(8, 3_000);
    let scores: Vec<f64> =
        (3_000..3_040).map(|sample| observe(&mut adaptive, instant(sample), 300.0).0.novelty).collect();
    assert!(scores[0] > UNUSUAL);
    assert!(scores[1..].iter().filter(|&&score| score > UNUSUAL).count() <= 2, "{scores:?}");
}

proptest! {
    #[test]
    fn the_counterfactual_is_silent_and_the_figures_are_those_of_the_samples(
        seed in any::<u64>(),
        samples in WEEK + 1..3_000_u32,
        times in 5.0..1e6_f64,
    ) {
        let before = used_to(seed, samples);
        let (value, at) = (100.0 * times, instant(samples));
        let flag = raised(&observe(&mut before.clone(), at, value).1).unwrap();
        prop_assert!((flag.figure.observed - value).abs() < 1e-9);
        // The limit again from the samples alone: the whole range, and it five times on top. What was forgotten of it
        // meanwhile is within five parts in a hundred.
        let all = (0..samples).map(|sample| ordinary(seed, sample));
        let (low, high) = all.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
        let limit = high + 5.0 * (high - low).max(0.25 * high);
        prop_assert!((flag.figure.limit / limit - 1.0).abs() < 0.05, "{} {limit}", flag.figure.limit);
        let scaled = value * (flag.counterfactual.at_most / flag.figure.observed);
        prop_assert_eq!(observe(&mut before.clone(), at, scaled).1, []);
        // And hardly more than that is not.
        let over = observe(&mut before.clone(), at, flag.figure.limit * 1.001).1;
        prop_assert!(raised(&over).is_some());
    }

    #[test]
    fn a_restored_state_goes_on_as_if_nothing_had_been(
        seed in any::<u64>(),
        until in 0..2_600_u32,
        values in prop::collection::vec(prop_oneof![-1e3..1e3_f64, 0.0..1e18_f64], 1..100),
    ) {
        let mut one = used_to(seed, until);
        let saved = serde_json::to_string(&one).unwrap();
        let mut other: Adaptive = serde_json::from_str(&saved).unwrap();
        prop_assert_eq!(one, other);
        for (sample, value) in (until..).zip(values) {
            prop_assert_eq!(observe(&mut one, instant(sample), value), observe(&mut other, instant(sample), value));
        }
    }

    #[test]
    fn a_score_is_between_0_and_1_whatever_comes(values in prop::collection::vec(any::<f64>(), 1..300)) {
        let mut adaptive = Adaptive::new();
        for (sample, value) in (0..).zip(values) {
            let (score, found) = observe(&mut adaptive, instant(sample), value);
            for part in [score.novelty, score.spike] {
                prop_assert!((0.0..=1.0).contains(&part), "{score:?}");
            }
            prop_assert!(found.is_empty());
        }
    }

    #[test]
    fn another_unit_of_the_same_figure_scores_the_same(seed in any::<u64>(), power in -10..30_i32) {
        let factor = 2.0_f64.powi(power);
        let (mut one, mut other) = (Adaptive::new(), Adaptive::new());
        let mut ties = 0;
        for sample in 0..600 {
            let value = ordinary(seed, sample) + if sample % 97 == 96 { 70.0 } else { 0.0 };
            let scores = [observe(&mut one, instant(sample), value), observe(&mut other, instant(sample), value * factor)];
            prop_assert!((scores[0].0.spike - scores[1].0.spike).abs() < 1e-3, "{scores:?}");
            // What equals what was said of late but for rounding is said in one unit and not in the other.
            let novelty = [scores[0].0.novelty, scores[1].0.novelty];
            let is_tie = novelty[0].min(novelty[1]) <= 0.0 && novelty[0].max(novelty[1]) > 0.0;
            prop_assert!(is_tie || (novelty[0] - novelty[1]).abs() < 1e-2, "{scores:?}");
            ties += u32::from(is_tie);
        }
        prop_assert!(ties <= 3, "{ties}");
    }
}
