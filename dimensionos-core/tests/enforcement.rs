//! What follows from what was found, over time: incidents, appeals that nobody answers, and who may decide them.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::time::Duration;

use dimensionos_core::auth::{HashCost, Password};
use dimensionos_core::id::AccessKeyId;
use dimensionos_core::payment::{ServiceStatus, StatusReason};
use dimensionos_core::testing::FixedClock;
use dimensionos_core::tos::{
    AppealGround, ComplaintState, Counterfactual, Exit, Figure, Flag, NewComplaint, PaperDigest, Rule, Sanction,
    Severity, Signal, Signals, Violation, ViolationState,
};
use dimensionos_core::users::Registration;
use dimensionos_core::{AccountId, Caller, Clock, Context, Error, MemoryStore, Platform, Timestamp};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_hours(24);

struct Scene {
    platform: Platform,
    clock: FixedClock,
    account: AccountId,
}

fn operator(number: u128) -> Context {
    Context::new(Caller::Operator(AccessKeyId::from_bits(number)))
}

impl Scene {
    async fn new() -> Self {
        let clock = FixedClock::at(Timestamp::from_millis(1_772_452_800_000));
        let platform = Platform::builder(MemoryStore::new()).clock(clock.clone()).hash_cost(HashCost::for_tests());
        let platform = platform.open().await.unwrap();
        let registration = Registration::new(None, Password::new("violet harbour kestrel 41").unwrap());
        let account = platform.users().register(&Context::anonymous(), registration).await.unwrap().account.id;
        Self { platform, clock, account }
    }

    fn flag(&self, rule: Rule, severity: Severity) -> Flag {
        let now = self.clock.now();
        Flag {
            rule,
            severity,
            figure: Figure { signal: "distinct_peers", observed: 40.0, limit: 15.0 },
            window: Duration::from_secs(60),
            since: now,
            at: now,
            tier: None,
            supporting: [None; 4],
            exit: Exit { at_most: 11.25, lasting: Duration::from_secs(120) },
            counterfactual: Counterfactual { signal: "distinct_peers", at_most: 15.0 },
        }
    }

    async fn raise(&self, rule: Rule) -> Violation {
        let flag = self.flag(rule, rule.severity());
        self.platform.tos().raise(&Context::system(), self.account, flag).await.unwrap()
    }

    async fn standing(&self) -> (ServiceStatus, StatusReason) {
        let account = self.platform.users().any_account(&operator(1), self.account).await.unwrap();
        let standing = self.platform.users().standing_of(&account);
        (standing.status, standing.reason)
    }

    async fn calls_per_hour(&self) -> u64 {
        self.platform.allocation().of(&operator(1), self.account).await.unwrap().api_calls_per_hour
    }

    async fn again(&self, violation: &Violation) -> Violation {
        self.platform.tos().violation(&operator(1), violation.id).await.unwrap()
    }

    async fn appeal(&self, violation: &Violation) -> Result<Violation, Error> {
        // The program may speak for the account's holder.
        self.platform.tos().appeal(&Context::system(), violation.id, AppealGround::NotMe, None).await
    }
}

#[tokio::test]
async fn one_incident_is_held_against_an_account_once_and_the_next_goes_further() {
    let scene = Scene::new().await;
    let first = scene.raise(Rule::Scan).await;
    assert_eq!(first.imposed.sanction(), Sanction::Throttle);
    assert_eq!(scene.raise(Rule::Scan).await.id, first.id, "up again by half as much more");
    let other = scene.raise(Rule::Hammering).await;
    assert_eq!((other.grounds.strikes, other.imposed.sanction()), (0, Sanction::Throttle), "another rule sees it too");
    scene.clock.advance(2 * DAY);
    let next = scene.raise(Rule::Scan).await;
    assert_ne!(next.id, first.id);
    assert_eq!((next.grounds.strikes, next.imposed.sanction()), (1_000, Sanction::ReadOnly));
    assert_eq!(scene.standing().await, (ServiceStatus::ReadOnly, StatusReason::TosViolation));
    scene.clock.advance(DAY);
    assert_eq!(scene.standing().await, (ServiceStatus::Active, StatusReason::None), "it ends by itself");
    scene.clock.advance(90 * DAY);
    assert_eq!(scene.raise(Rule::Scan).await.imposed.sanction(), Sanction::Throttle, "good conduct is forgotten");
}

#[tokio::test]
async fn a_warning_that_becomes_worse_is_judged_anew() {
    let scene = Scene::new().await;
    let flag = scene.flag(Rule::DdosPackets, Severity::Warn);
    let warned = scene.platform.tos().raise(&Context::system(), scene.account, flag).await.unwrap();
    assert_eq!(warned.imposed.sanction(), Sanction::Warn);
    scene.appeal(&warned).await.unwrap();
    let worse = scene.raise(Rule::DdosPackets).await;
    assert_eq!((worse.id, worse.imposed.sanction()), (warned.id, Sanction::Suspend));
    assert!(worse.appeal.is_none(), "what is new may be contested");
    scene.appeal(&worse).await.unwrap();
}

#[tokio::test]
async fn no_account_is_suspended_for_more_than_a_day_without_a_person() {
    let scene = Scene::new().await;
    let mut suspended = Duration::ZERO;
    for hour in 0..72 {
        let rule = if hour % 2 == 0 { Rule::DdosPackets } else { Rule::DdosConnections };
        scene.raise(rule).await;
        if scene.standing().await.0 == ServiceStatus::Suspended {
            suspended += HOUR;
        }
        scene.clock.advance(HOUR);
    }
    assert!(suspended > HOUR && suspended <= DAY, "{suspended:?}");
}

#[tokio::test]
async fn an_appeal_that_nobody_answers_relaxes_by_one_step_and_stays_relaxed() {
    let scene = Scene::new().await;
    let found = scene.raise(Rule::Scan).await;
    let until = scene.clock.now().after(60 * DAY);
    let tos = scene.platform.tos();
    let throttled = tos.impose(&operator(1), found.id, Sanction::Throttle, until).await.unwrap();
    assert!(!throttled.imposed.statement().is_automated());
    assert_eq!(scene.calls_per_hour().await, 100);
    scene.appeal(&found).await.unwrap();
    scene.clock.advance(14 * DAY);
    assert_eq!(scene.calls_per_hour().await, 1_000, "no job has to run for it");
    assert_eq!(scene.again(&found).await.sanction(scene.clock.now()), Sanction::Warn);
    let upheld = tos.decide_appeal(&operator(2), found.id, false).await.unwrap();
    let now = scene.clock.now();
    assert_eq!((upheld.state(now), upheld.sanction(now)), (ViolationState::Upheld, Sanction::Warn));
    assert_eq!(scene.calls_per_hour().await, 1_000);
}

#[tokio::test]
async fn nobody_decides_about_what_he_had_a_part_in() {
    let scene = Scene::new().await;
    let tos = scene.platform.tos();
    let found = scene.raise(Rule::Scan).await;
    let until = scene.clock.now().after(DAY);
    tos.impose(&operator(1), found.id, Sanction::ReadOnly, until).await.unwrap();
    tos.impose(&operator(2), found.id, Sanction::ReadOnly, until.after(HOUR)).await.unwrap();
    scene.appeal(&found).await.unwrap();
    for involved in [1, 2] {
        let decided = tos.decide_appeal(&operator(involved), found.id, true).await;
        assert!(matches!(decided, Err(Error::Forbidden)), "{involved}");
    }
    assert!(matches!(tos.decide_appeal(&Context::system(), found.id, true).await, Err(Error::Forbidden)));
    let overruled = tos.decide_appeal(&operator(3), found.id, true).await.unwrap();
    assert_eq!(overruled.state(scene.clock.now()), ViolationState::Overruled);
    assert_eq!(scene.standing().await.0, ServiceStatus::Active);
    let imposed = tos.impose(&operator(1), found.id, Sanction::Warn, until).await;
    assert!(matches!(imposed, Err(Error::Conflict { .. })));
    let next = scene.raise(Rule::Scan).await;
    assert_eq!((next.grounds.strikes, next.id != found.id), (0, true), "it counts no more");
}

#[tokio::test]
async fn what_is_only_shown_leads_to_no_sanction() {
    let scene = Scene::new().await;
    let shown = scene.raise(Rule::Unusual).await;
    assert_eq!((shown.imposed.sanction(), shown.grounds.severity), (Sanction::None, Severity::Notice));
    let until = scene.clock.now().after(DAY);
    let imposed = scene.platform.tos().impose(&operator(1), shown.id, Sanction::Suspend, until).await;
    assert!(matches!(imposed, Err(Error::Conflict { .. })));
    assert_eq!(scene.standing().await.0, ServiceStatus::Active);
}

#[tokio::test]
async fn what_a_countered_complaint_led_to_ends_by_the_clock() {
    let scene = Scene::new().await;
    let tos = scene.platform.tos();
    let file = async |number: u8| {
        let complaint = NewComplaint {
            account: scene.account,
            notice: PaperDigest::from_bytes([number; 32]),
            complainant: None,
            missing: Vec::new(),
        };
        scene.platform.tos().file_complaint(&operator(1), complaint).await
    };
    let mut last = file(0).await.unwrap();
    assert!(matches!(file(0).await, Err(Error::Conflict { .. })));
    for number in 1..3 {
        scene.clock.advance(60 * DAY);
        last = file(number).await.unwrap();
    }
    assert_eq!(last.imposed.sanction(), Sanction::ReadOnly, "the third in half a year, however far apart");
    assert!(matches!(tos.decide_appeal(&operator(1), last.id, true).await, Err(Error::Forbidden)));
    let countered = tos.counter_notice(&Context::system(), last.id, PaperDigest::from_bytes([9; 32])).await.unwrap();
    let (from, _) = countered.complaint.as_ref().unwrap().restore_window().unwrap();
    scene.clock.advance(from.since(scene.clock.now()) - Duration::from_millis(1));
    let state = async || scene.again(&last).await.complaint.unwrap().state(scene.clock.now());
    assert_eq!(state().await, ComplaintState::Countered);
    scene.clock.advance(Duration::from_millis(1));
    assert_eq!(state().await, ComplaintState::Restored);
    assert_eq!(scene.again(&last).await.state(scene.clock.now()), ViolationState::Expired);
}

#[tokio::test]
async fn a_program_that_meters_by_itself_has_its_counts_looked_at_and_what_is_found_is_done_before_it_ends() {
    let scene = Scene::new().await;
    let scan = Signals::new()
        .with(Signal::OutboundConnections, 36)
        .with(Signal::FailedConnections, 34)
        .with(Signal::DistinctPeers, 36);
    let monitoring = scene.platform.monitoring();
    for _ in 0..60 {
        let now = scene.clock.now();
        monitoring.show(&Context::system(), scene.account, now, &scan).await.unwrap();
        scene.clock.advance(Duration::from_secs(2));
    }
    let ahead = scene.clock.now().after(HOUR);
    assert!(matches!(
        monitoring.show(&Context::system(), scene.account, ahead, &scan).await,
        Err(Error::InvalidInput { field: "at", .. })
    ));
    assert!(matches!(
        monitoring.show(&operator(1), scene.account, scene.clock.now(), &scan).await,
        Err(Error::Forbidden)
    ));
    scene.platform.close().await.unwrap();
    let found = scene.platform.tos().violations(&operator(1), scene.account, None, 10).await.unwrap();
    let scan = found.iter().find(|one| one.grounds.rule == Rule::Scan).unwrap();
    assert_eq!(scan.imposed.sanction(), Sanction::Throttle);
    assert_eq!(scene.calls_per_hour().await, 100);
}
