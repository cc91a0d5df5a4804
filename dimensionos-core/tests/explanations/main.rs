//! Every flag explains itself, and the explanation is true: on a random run of at least 10,000 flags the figure is that
//! of the raw inputs, and without what the counterfactual names the rule is silent.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod account;
mod chance;
mod connections;
mod evasions;
mod figures;
mod sign_ins;

use std::collections::BTreeMap;

use dimensionos_core::tos::{Figure, Finding, Flag, LEAVE_AT, Rule, Severity};

use account::Conduct;
use chance::Chance;

/// How many flags the run raises at least, in all and of each rule.
const FLAGS: usize = 10_000;
const OF_EACH: usize = 200;
/// Another run is another number here.
const SEED: u64 = 0x00D1_3E45;
/// How far a figure may be from the one that is recomputed, as a part of it.
const TOLERANCE: f64 = 0.05;

/// How many flags of each rule held what they say.
#[derive(Debug, Default)]
pub(crate) struct Held {
    counts: BTreeMap<Rule, usize>,
    farthest: BTreeMap<Rule, f64>,
}

impl Held {
    /// Holds a flag against its recomputed figure, and against its rule once there was less of what it names.
    fn hold(&mut self, flag: &Flag, exact: f64, tolerance: f64, again: &[Flag], seed: u64) {
        let off = (flag.figure.observed - exact).abs() / exact;
        assert!(off <= tolerance, "seed {seed}: {exact} recomputed, {flag:?}");
        // Each metric has a habit of its own.
        let is_same = |other: &&Flag| {
            let is_of_it = flag.rule != Rule::Unusual || other.figure.signal == flag.figure.signal;
            other.rule == flag.rule && other.at == flag.at && is_of_it
        };
        let still = again.iter().find(is_same);
        assert!(still.is_none(), "seed {seed}: {flag:?} and with less {still:?}");
        explains_itself(flag, seed);
        *self.counts.entry(flag.rule).or_default() += 1;
        let farthest = self.farthest.entry(flag.rule).or_default();
        *farthest = farthest.max(off);
    }

    fn of(&self, rule: Rule) -> usize {
        self.counts.get(&rule).copied().unwrap_or(0)
    }

    fn total(&self) -> usize {
        self.counts.values().sum()
    }
}

/// As people read it: whole where it is large, with three digits where it is small.
fn number(number: f64) -> String {
    if number >= 100.0 || number.fract() == 0.0 { format!("{number:.0}") } else { format!("{number:.3}") }
}

/// What holds for a flag by itself.
fn explains_itself(flag: &Flag, seed: u64) {
    assert!(flag.severity <= flag.rule.severity(), "seed {seed}: {flag:?}");
    assert!(flag.rule == Rule::Unusual || flag.severity >= Severity::Warn, "seed {seed}: {flag:?}");
    assert!(flag.figure.observed.is_finite() && flag.figure.observed > flag.figure.limit, "seed {seed}: {flag:?}");
    assert!(flag.since <= flag.at && figures::is_sane(flag.window), "seed {seed}: {flag:?}");
    assert!(
        (flag.exit.at_most - flag.figure.limit * LEAVE_AT).abs() < 1e-9 * flag.figure.limit,
        "seed {seed}: {flag:?}"
    );
    let less = flag.counterfactual.at_most;
    assert!(less > 0.0 && less <= flag.figure.limit, "seed {seed}: {flag:?}");
    let (facts, otherwise) = (flag.facts(), flag.counterfactual_sentence());
    assert!(facts.ends_with('.') && otherwise.ends_with('.'), "seed {seed}: {facts} {otherwise}");
    for Figure { signal, observed, limit } in flag.supporting.into_iter().flatten().chain([flag.figure]) {
        let has_all = facts.contains(signal) && facts.contains(&number(observed)) && facts.contains(&number(limit));
        assert!(has_all, "seed {seed}: {facts}");
    }
    assert!(otherwise.contains(flag.counterfactual.signal) && otherwise.contains(&number(less)), "{otherwise}");
}

fn account(conduct: Conduct, seed: u64, held: &mut Held) {
    let inputs = conduct.inputs(&mut Chance(seed));
    for flag in account::flags(&account::findings(&inputs)) {
        let until = inputs.partition_point(|(sample, _)| sample.taken_at() <= flag.at);
        let exact = figures::recomputed(&flag, &inputs[..until]);
        let again = account::flags(&account::findings(&figures::with_less(&flag, &inputs[..until])));
        held.hold(&flag, exact, TOLERANCE, &again, seed);
    }
}

/// Copyright is about notices, which no detector counts.
fn can_fire(rule: Rule) -> bool {
    rule != Rule::CopyrightNotice
}

#[test]
fn ten_thousand_flags_say_what_was_and_what_would_have_kept_them_down() {
    let (mut held, mut seed) = (Held::default(), SEED);
    let is_enough = |held: &Held| {
        held.total() >= FLAGS
            && Rule::ALL.into_iter().filter(|rule| can_fire(*rule)).all(|rule| held.of(rule) >= OF_EACH)
    };
    while !is_enough(&held) {
        assert!(seed < SEED + 10_000, "rules that hardly fire: {held:?}");
        for conduct in Conduct::ALL {
            // What is slow to replay is not asked for more than its rules need.
            let is_asked = conduct.rules().iter().any(|rule| held.of(*rule) < OF_EACH);
            if is_asked {
                account(conduct, seed, &mut held);
            }
        }
        connections::hold(seed, &mut held);
        if held.of(Rule::StuffingService) < OF_EACH {
            sign_ins::hold(seed, &mut held);
        }
        seed += 1;
    }
    println!("{} flags of {} seeds: {:#?}", held.total(), seed - SEED, held);
}

/// Whether two runs found the same.
fn assert_same(one: &[Finding], other: &[Finding], seed: u64) {
    assert_eq!(one.len(), other.len(), "seed {seed}");
    assert!(one.iter().zip(other).all(|(one, other)| one == other), "seed {seed}");
}
