//! Sign-ins one by one: sources that try passwords, and the service that many sources try them at.

use std::collections::BTreeSet;
use std::time::Duration;

use dimensionos_core::Timestamp;
use dimensionos_core::tos::detectors::{SignIn, SignInParameters, SignIns, Subject};
use dimensionos_core::tos::{Finding, Flag, Rule};

use crate::account::BEGIN;
use crate::chance::Chance;
use crate::figures::is_in_window;
use crate::{Held, TOLERANCE};

type Event = (Timestamp, SignIn);

/// Sources, and room for all of them.
const SOURCES: u64 = 128;
/// Names of one source that are told apart.
const NAMES: usize = 16;

pub(crate) fn hold(seed: u64, held: &mut Held) {
    let events = events(&mut Chance(seed));
    for (subject, flag) in run(&events).into_iter().filter_map(raised) {
        let until = events.partition_point(|(at, _)| *at <= flag.at);
        let events = &events[..until];
        let (exact, less) = match subject {
            Subject::Source(source) => of_source(&flag, source, events),
            Subject::Service => of_service(&flag, events),
        };
        let again = run(&less).into_iter().filter_map(raised).filter(|(other, _)| *other == subject);
        let again: Vec<Flag> = again.map(|(_, flag)| flag).collect();
        held.hold(&flag, exact, TOLERANCE, &again, seed);
    }
}

fn raised((subject, finding): (Subject, Finding)) -> Option<(Subject, Flag)> {
    if let Finding::Raised(flag) = finding { Some((subject, flag)) } else { None }
}

fn run(events: &[Event]) -> Vec<(Subject, Finding)> {
    let (mut sign_ins, mut found) = (SignIns::new(usize::try_from(SOURCES).unwrap()), Vec::new());
    for (at, sign_in) in events {
        let mut sink = |subject, finding| found.push((subject, finding));
        sign_ins.take(*at, sign_in, &SignInParameters::default(), &mut sink);
    }
    found
}

/// A few loud sources among many quiet ones.
fn events(chance: &mut Chance) -> Vec<Event> {
    let (mut at, apart) = (BEGIN, chance.one_of([2_000, 12_000, 30_000]));
    let (loud, succeeds) = (chance.between(1, 4), chance.between(4, 20));
    let mut events = Vec::new();
    for _ in 0..chance.between(150, 300) {
        at = at.after(Duration::from_millis(chance.between(1, apart)));
        let source = if chance.one_in(4) { chance.between(1, loud) } else { chance.between(5, SOURCES) };
        events.push((at, SignIn { source, name: chance.between(1, 40), has_succeeded: chance.one_in(succeeds) }));
    }
    events
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rounded down, as no more than so much")]
fn kept(flag: &Flag) -> usize {
    flag.counterfactual.at_most as usize
}

/// The figure of a source's flag, and the events with less of it.
fn of_source(flag: &Flag, source: u64, events: &[Event]) -> (f64, Vec<Event>) {
    let is_its = |(at, of): &Event| of.source == source && !of.has_succeeded && is_in_window(flag, *at);
    let within: Vec<&Event> = events.iter().filter(|event| is_its(event)).collect();
    if flag.rule == Rule::StuffingNames {
        let mut names = Vec::new();
        within.iter().map(|(_, of)| of.name).for_each(|name| {
            if !names.contains(&name) {
                names.push(name);
            }
        });
        // Names too many turn into one that was there.
        let fewer = |event: &Event| {
            let mut event = *event;
            if is_its(&event) && !names[..kept(flag)].contains(&event.1.name) {
                event.1.name = names[0];
            }
            event
        };
        return (number(names.len().min(NAMES)), events.iter().map(fewer).collect());
    }
    (number(within.len()), without(events, within.len().saturating_sub(kept(flag)), is_its))
}

/// The figure of the service's flag, and the events with less of it. Failures of a source whose flag is up after them are
/// held against that source alone.
fn of_service(flag: &Flag, events: &[Event]) -> (f64, Vec<Event>) {
    let mut up: BTreeSet<(u64, Rule)> = BTreeSet::new();
    let (mut sign_ins, mut counted) = (SignIns::new(usize::try_from(SOURCES).unwrap()), BTreeSet::new());
    let mut ever = BTreeSet::new();
    for (at, sign_in) in events {
        sign_ins.take(*at, sign_in, &SignInParameters::default(), &mut |subject, finding| match (subject, finding) {
            (Subject::Source(source), Finding::Raised(flag)) => {
                up.insert((source, flag.rule));
                ever.insert(source);
            }
            (Subject::Source(source), Finding::Lowered { rule, .. }) => drop(up.remove(&(source, rule))),
            (Subject::Service, _) => {}
        });
        let is_flagged = up.iter().any(|(source, _)| *source == sign_in.source);
        if !sign_in.has_succeeded && !is_flagged && is_in_window(flag, *at) {
            counted.insert(*at);
        }
    }
    // Of those that nobody is blamed for: what a flagged source did before its flag may count again once it has none.
    let is_its = |(at, of): &Event| counted.contains(at) && !ever.contains(&of.source);
    (number(counted.len()), without(events, counted.len().saturating_sub(kept(flag)), is_its))
}

/// The events without the earliest of those that are too many.
fn without(events: &[Event], mut surplus: usize, is_one: impl Fn(&Event) -> bool) -> Vec<Event> {
    let mut fewer = events.to_vec();
    fewer.retain(|event| {
        let goes = surplus > 0 && is_one(event);
        surplus -= usize::from(goes);
        !goes
    });
    assert_eq!(surplus, 0, "there are too few to leave out");
    fewer
}
