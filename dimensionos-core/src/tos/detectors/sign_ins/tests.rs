use proptest::prelude::*;

use super::*;
use crate::tos::flag::Flag;
use crate::tos::rule::Severity;

const START: i64 = 1_700_000_000_000;

type Event = (Timestamp, SignIn);

fn run(events: &[Event], room: usize) -> Vec<(Subject, Finding)> {
    let (mut sign_ins, mut found) = (SignIns::new(room), Vec::new());
    for (at, sign_in) in events {
        let mut sink = |subject, finding| found.push((subject, finding));
        sign_ins.take(*at, sign_in, &SignInParameters::default(), &mut sink);
    }
    found
}

fn flags(found: &[(Subject, Finding)]) -> Vec<(Subject, Flag)> {
    let raised = |(subject, finding): &(Subject, Finding)| match finding {
        Finding::Raised(flag) => Some((*subject, *flag)),
        Finding::Lowered { .. } => None,
    };
    found.iter().filter_map(raised).collect()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(START + seconds * 1_000)
}

fn failure(source: u64, name: u64) -> SignIn {
    SignIn { source, name, has_succeeded: false }
}

fn in_window(flag: &Flag, at: Timestamp) -> bool {
    at > flag.at.before(flag.window) && at <= flag.at
}

fn of_source(source: u64) -> impl Fn(&&Event) -> bool {
    move |(_, sign_in)| sign_in.source == source && !sign_in.has_succeeded
}

prop_compose! {
    fn attempts(apart: u64)(
        of in prop::collection::vec((1..apart, 0_u64..6, 0_u64..20, 0_u8..10), 20..200),
    ) -> Vec<Event> {
        let mut at = Timestamp::from_millis(START);
        of.into_iter().map(|(step, source, name, outcome)| {
            at = at.after(Duration::from_millis(step));
            (at, SignIn { source, name, has_succeeded: outcome == 0 })
        }).collect()
    }
}

/// Every flag of a source says what the attempts say, and without what is too many it does not go up.
fn check(events: &[Event]) -> Result<(), TestCaseError> {
    for (subject, flag) in flags(&run(events, 64)) {
        let Subject::Source(source) = subject else { continue };
        let within: Vec<&Event> =
            events.iter().filter(of_source(source)).filter(|(at, _)| in_window(&flag, *at)).collect();
        let mut names = Vec::new();
        for (_, sign_in) in &within {
            if !names.contains(&sign_in.name) {
                names.push(sign_in.name);
            }
        }
        let count = if flag.rule == Rule::StuffingNames { names.len().min(16) } else { within.len() };
        #[expect(clippy::cast_precision_loss, reason = "small counts")]
        let count = count as f64;
        prop_assert!((count - flag.figure.observed).abs() <= 0.05 * count, "{count}: {flag:?}");
        prop_assert!(flag.severity <= flag.rule.severity());
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small counts")]
        let kept = flag.counterfactual.at_most as usize;
        // The attempt that raised the flag stays: the earliest are those that are too many, and names too many turn into
        // one that was there.
        let mut surplus = within.len().saturating_sub(kept);
        let mut fewer = Vec::new();
        for event in events {
            let mut event = *event;
            if of_source(source)(&&event) && in_window(&flag, event.0) {
                if flag.rule == Rule::StuffingNames {
                    let place = names.iter().position(|name| *name == event.1.name).unwrap();
                    event.1.name = if place < kept { event.1.name } else { names[0] };
                } else if surplus > 0 {
                    surplus -= 1;
                    continue;
                }
            }
            fewer.push(event);
        }
        let again = flags(&run(&fewer, 64));
        let is_same = |(other, of): &(Subject, Flag)| *other == subject && of.rule == flag.rule && of.at == flag.at;
        prop_assert!(!again.iter().any(is_same), "{flag:?} and still {again:?}");
    }
    Ok(())
}

proptest! {
    #[test]
    fn flags_of_quick_sources_are_honest(events in attempts(20_000)) {
        check(&events)?;
    }

    #[test]
    fn flags_of_patient_sources_are_honest(events in attempts(1_200_000)) {
        check(&events)?;
    }

    #[test]
    fn a_restart_from_what_was_saved_changes_nothing(events in attempts(60_000), cut in 0_usize..200) {
        let (mut sign_ins, mut found) = (SignIns::new(64), Vec::new());
        for (index, (at, sign_in)) in events.iter().enumerate() {
            if index == cut {
                sign_ins = serde_json::from_str(&serde_json::to_string(&sign_ins).unwrap()).unwrap();
            }
            let parameters = SignInParameters::default();
            sign_ins.take(*at, sign_in, &parameters, &mut |subject, finding| found.push((subject, finding)));
        }
        prop_assert_eq!(found, run(&events, 64));
    }

    #[test]
    fn flags_of_accounts_are_honest(reports in prop::collection::vec((1_u64..4_000_000, 0_u64..12, 0_u64..14), 2..60)) {
        let mut now = Timestamp::from_millis(START);
        let (mut account, mut all, mut raised) = (AccountSignIns::new(), Vec::new(), Vec::new());
        for (step, failures, names) in reports {
            now = now.after(Duration::from_millis(step));
            let names = names.min(failures);
            all.push((now, failures, names));
            let signals = Signals::new().with(Signal::FailedLogins, failures).with(Signal::FailedLoginNames, names);
            account.signals(now, &signals, &SignInParameters::default(), &mut |finding| {
                if let Finding::Raised(flag) = finding { raised.push(flag); }
            });
        }
        for flag in raised {
            let within = all.iter().skip(1).filter(|(at, ..)| in_window(&flag, *at));
            let of = |(_, failures, names): &(Timestamp, u64, u64)| {
                if flag.rule == Rule::StuffingNames { *names } else { *failures }
            };
            #[expect(clippy::cast_precision_loss, reason = "small counts")]
            let sum = within.map(of).sum::<u64>() as f64;
            prop_assert!((sum - flag.figure.observed).abs() <= 0.05 * sum, "{sum}: {flag:?}");
        }
    }
}

#[test]
fn a_person_who_has_forgotten_is_left_alone() {
    let mut events: Vec<Event> = (0..5).map(|index| (at(index * 9), failure(1, 1))).collect();
    events.push((at(60), SignIn { has_succeeded: true, ..failure(1, 1) }));
    assert_eq!(run(&events, 64), []);
}

#[test]
fn who_succeeded_is_warned_at_most() {
    let mut events = vec![(at(0), SignIn { has_succeeded: true, ..failure(1, 1) })];
    events.extend((1..400).map(|index| (at(index), failure(1, u64::try_from(index).unwrap()))));
    let raised = flags(&run(&events, 64));
    assert!(!raised.is_empty());
    assert!(raised.iter().all(|(_, flag)| flag.severity == Severity::Warn));
}

#[test]
fn the_slow_and_the_distributed_kind_are_found() {
    // Two an hour, for a day.
    let patient: Vec<Event> = (0..48).map(|index| (at(index * 1_800), failure(1, 1))).collect();
    assert!(flags(&run(&patient, 64)).iter().any(|(_, flag)| flag.rule == Rule::StuffingFailures));
    // Two hundred sources, each once.
    let spread: Vec<Event> =
        (0..200).map(|index| (at(index * 10), failure(u64::try_from(index).unwrap(), 1))).collect();
    let raised = flags(&run(&spread, 64));
    assert!(raised.iter().all(|(subject, _)| *subject == Subject::Service), "{raised:?}");
    assert_eq!(raised.first().map(|(_, flag)| flag.severity), Some(Severity::Warn));
    // As many where most succeed.
    let busy: Vec<Event> =
        spread.iter().map(|(at, of)| (*at, SignIn { has_succeeded: !of.source.is_multiple_of(5), ..*of })).collect();
    assert_eq!(run(&busy, 64), []);
}

#[test]
fn a_crowd_of_sources_does_not_push_out_one_that_attacks() {
    let mut events: Vec<Event> = Vec::new();
    for index in 0..60_i64 {
        events.extend([(at(index * 20), failure(0, 1)); 3]);
        let crowd = (1..200_i64).map(|other| (at(index * 20), failure(u64::try_from(index * 200 + other).unwrap(), 1)));
        events.extend(crowd);
    }
    let raised = flags(&run(&events, 16));
    assert!(raised.iter().any(|(subject, flag)| *subject == Subject::Source(0) && flag.severity == Severity::Restrict));
}

#[test]
fn a_source_takes_as_many_bytes_as_it_says() {
    assert_eq!((size_of::<Source>(), size_of::<AccountSignIns>()), (248, 136));
}
