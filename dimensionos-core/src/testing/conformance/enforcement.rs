//! Violations, policies, and the state of detectors.

use std::time::Duration;

use super::{NOW, account, commit, id, put_account, read, write};
use crate::id::{AccessKeyId, AccountId, ViolationId};
use crate::store::{Store, StoreError};
use crate::time::Timestamp;
use crate::tos::{
    Appeal, AppealGround, AppealVerdict, Complaint, Counterfactual, Decision, EnforcementPolicy, Exit, Figure, Flag,
    Grounds, Imposed, MAX_SUPPORTING, NoticeElement, PaperDigest, PolicyMode, PolicyRecord, Restriction, Rule,
    Sanction, Shadow, Violation, ViolationCount, ViolationFilter, ViolationKind,
};

const MINUTE: Duration = Duration::from_secs(60);
const SEALED: &str = "-----BEGIN AGE ENCRYPTED FILE-----
YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IFgyNTUxOSB4
-----END AGE ENCRYPTED FILE-----";

fn flag(rule: Rule, at: Timestamp) -> Flag {
    let figure = Figure { signal: "distinct_peers", observed: 16.5, limit: 0.1 };
    let mut supporting = [None; MAX_SUPPORTING];
    supporting[0] = Some(figure);
    Flag {
        rule,
        severity: rule.severity(),
        figure,
        window: MINUTE,
        since: at.before(MINUTE),
        at,
        tier: None,
        supporting,
        exit: Exit { at_most: 11.25, lasting: 2 * MINUTE },
        counterfactual: Counterfactual { signal: "distinct_peers", at_most: 15.0 },
    }
}

/// A violation found so many minutes in, of that rule.
pub(super) fn violation(number: u8, account: AccountId, rule: Rule) -> Violation {
    let detected_at = NOW.after(MINUTE * u32::from(number));
    let decision = Decision { sanction: Sanction::Warn, lasting: MINUTE };
    let grounds = Grounds { rule, severity: rule.severity(), strikes: 2_500 };
    Violation {
        id: ViolationId::from_bits(u128::from(number) << 100 | 1),
        account,
        detected_at,
        lowered_at: None,
        imposed: Imposed::by_policy(1, decision, flag(rule, detected_at), detected_at),
        grounds,
        policy: 1,
        decided: Sanction::Warn,
        shadow: None,
        appeal: None,
        verdict: None,
        complaint: None,
        handled_by: Vec::new(),
    }
}

/// The same with everything that a violation may come to have.
fn full(violation: &Violation) -> Violation {
    let operator = AccessKeyId::from_bits(1 << 127);
    let at = violation.detected_at.after(MINUTE);
    Violation {
        lowered_at: Some(at),
        imposed: violation.imposed.by_operator(operator, Sanction::Suspend, at.after(MINUTE), at),
        shadow: Some(Shadow { version: 2, sanction: Sanction::None }),
        appeal: Some(Appeal {
            ground: AppealGround::WrongMeasurement,
            filed_at: at,
            sealed_statement: Some(SEALED.parse().expect("it is sealed")),
            decided: Some((at, operator)),
        }),
        verdict: Some(AppealVerdict::Upheld),
        complaint: Some(Complaint {
            notice: PaperDigest::from_bytes([7; 32]),
            received_at: at,
            complainant: Some(PaperDigest::from_bytes([8; 32])),
            missing: vec![NoticeElement::Work],
            is_held: true,
            counter: Some((PaperDigest::from_bytes([9; 32]), at)),
            court_at: Some(at),
            withdrawn_at: Some(at),
        }),
        handled_by: vec![operator, AccessKeyId::from_bits(7)],
        ..violation.clone()
    }
}

pub async fn a_violation_is_kept_whole_and_changed_whole(store: &dyn Store) {
    put_account(store, &account(1)).await;
    let plain = violation(1, id(1), Rule::Scan);
    let mut tx = write(store).await;
    tx.insert_violation(&plain).await.expect("a violation is added");
    commit(tx).await;
    assert_eq!(read(store).await.violation(plain.id).await.unwrap(), Some(plain.clone()));
    let changed = full(&plain);
    let mut tx = write(store).await;
    tx.update_violation(&changed).await.expect("a violation is changed");
    commit(tx).await;
    let mut tx = read(store).await;
    assert_eq!(tx.violation(changed.id).await.unwrap(), Some(changed));
    assert_eq!(tx.violation(ViolationId::from_bits(7)).await.unwrap(), None);
}

pub async fn violations_are_listed_newest_first_in_pages(store: &dyn Store) {
    put_account(store, &account(1)).await;
    put_account(store, &account(2)).await;
    let mut tx = write(store).await;
    let appeal = Appeal { ground: AppealGround::NotMe, filed_at: NOW, sealed_statement: None, decided: None };
    let shadow = Some(Shadow { version: 2, sanction: Sanction::Throttle });
    let same = Some(Shadow { version: 2, sanction: Sanction::Warn });
    let all = [
        violation(3, id(1), Rule::Scan),
        Violation { shadow, ..violation(2, id(2), Rule::SpamVolume) },
        Violation { appeal: Some(appeal), shadow: same, ..violation(1, id(1), Rule::Mining) },
        full(&violation(0, id(1), Rule::CopyrightNotice)),
    ];
    for one in &all {
        tx.insert_violation(one).await.expect("a violation is added");
    }
    commit(tx).await;
    let mut tx = read(store).await;
    let every = ViolationFilter::default();
    assert_eq!(tx.violations(&every, None, 10).await.unwrap(), all);
    let page = tx.violations(&every, None, 3).await.unwrap();
    assert_eq!(page, all[..3]);
    assert_eq!(tx.violations(&every, page.last().map(Violation::place), 3).await.unwrap(), all[3..]);
    for (filter, expected) in [
        (ViolationFilter { account: Some(id(2)), ..every }, &all[1..2]),
        (ViolationFilter { kind: Some(ViolationKind::Malware), account: Some(id(2)), ..every }, &[]),
        (ViolationFilter { from: Some(all[1].detected_at), ..every }, &all[..2]),
        (ViolationFilter { is_appealed: true, ..every }, &all[2..3]),
        (ViolationFilter { kind: Some(ViolationKind::Copyright), ..every }, &all[3..]),
    ] {
        assert_eq!(tx.violations(&filter, None, 10).await.unwrap(), expected, "{filter:?}");
    }
    let differing = tx.violations(&ViolationFilter { differs_in_shadow: true, ..every }, None, 10).await.unwrap();
    assert_eq!(differing, [all[1].clone(), all[3].clone()]);
}

pub async fn violations_are_counted_by_what_they_are(store: &dyn Store) {
    put_account(store, &account(1)).await;
    let mut tx = write(store).await;
    let all =
        [violation(0, id(1), Rule::Scan), violation(1, id(1), Rule::Mining), full(&violation(2, id(1), Rule::Scan))];
    for one in &all {
        tx.insert_violation(one).await.expect("a violation is added");
    }
    commit(tx).await;
    let end = NOW.after(MINUTE * 10);
    let mut tx = read(store).await;
    let mut expected = [
        ViolationCount { count: 2, ..ViolationCount::of(&all[0]) },
        ViolationCount { count: 1, ..ViolationCount::of(&all[2]) },
    ];
    expected.sort_unstable();
    assert_eq!(tx.violation_counts(NOW, end).await.unwrap(), expected);
    assert_eq!(tx.violation_counts(NOW.after(MINUTE * 3), end).await.unwrap(), []);
}

pub async fn violations_that_are_over_are_purged_unless_somebody_waits(store: &dyn Store) {
    put_account(store, &account(1)).await;
    let appeal = Appeal { ground: AppealGround::NotMe, filed_at: NOW, sealed_statement: None, decided: None };
    let waiting = Violation { appeal: Some(appeal), ..violation(0, id(1), Rule::Scan) };
    let decided = full(&violation(1, id(1), Rule::Scan));
    let later = violation(9, id(1), Rule::Scan);
    let mut tx = write(store).await;
    for one in [&waiting, &decided, &later, &violation(2, id(1), Rule::Scan)] {
        tx.insert_violation(one).await.expect("a violation is added");
    }
    assert_eq!(tx.purge_violations(NOW.after(MINUTE * 5)).await.unwrap(), 2);
    commit(tx).await;
    let left = read(store).await.violations(&ViolationFilter::default(), None, 10).await.unwrap();
    assert_eq!(left, [later, waiting]);
}

pub async fn a_policy_has_one_version(store: &dyn Store) {
    let record = |version, mode| PolicyRecord {
        policy: EnforcementPolicy { version, ..EnforcementPolicy::default() },
        mode,
        applied_at: NOW,
    };
    let (first, second) = (record(1, PolicyMode::InForce), record(2, PolicyMode::Shadow));
    let mut tx = write(store).await;
    tx.insert_policy(&second).await.expect("a policy is added");
    tx.insert_policy(&first).await.expect("a policy is added");
    commit(tx).await;
    assert!(matches!(write(store).await.insert_policy(&first).await, Err(StoreError::Conflict)));
    assert_eq!(read(store).await.policies().await.unwrap(), [first, second]);
}

pub async fn the_state_of_detectors_goes_with_its_account(store: &dyn Store) {
    put_account(store, &account(1)).await;
    let mut tx = write(store).await;
    let nobody = (id(2), vec![2]);
    tx.save_detectors(&[(id(1), vec![1; 2_000]), nobody.clone()]).await.expect("states are kept");
    tx.save_detectors(&[(id(1), vec![3])]).await.expect("a state is replaced");
    tx.save_detectors(&[]).await.expect("nothing is kept");
    commit(tx).await;
    let mut tx = write(store).await;
    assert_eq!(tx.detectors(id(1)).await.unwrap(), Some(vec![3]));
    assert_eq!(tx.detectors(nobody.0).await.unwrap(), None);
    tx.insert_violation(&violation(1, id(1), Rule::Scan)).await.expect("a violation is added");
    tx.erase_account(id(1)).await.expect("an account is erased");
    commit(tx).await;
    let mut tx = read(store).await;
    assert_eq!(tx.detectors(id(1)).await.unwrap(), None);
    assert_eq!(tx.violations(&ViolationFilter::default(), None, 10).await.unwrap(), []);
}

pub async fn an_account_carries_what_restricts_it(store: &dyn Store) {
    let restriction = Restriction {
        violation: ViolationId::from_bits(7),
        sanction: Sanction::ReadOnly,
        since: NOW,
        until: NOW.after(MINUTE),
        relaxes_at: Some(NOW.after(MINUTE / 2)),
    };
    let mut restricted = account(1);
    put_account(store, &restricted).await;
    restricted.restrictions = vec![restriction, Restriction { relaxes_at: None, ..restriction }];
    let mut tx = write(store).await;
    tx.update_account(&restricted).await.expect("an account is changed");
    commit(tx).await;
    assert_eq!(read(store).await.account(id(1)).await.unwrap(), Some(restricted));
}
