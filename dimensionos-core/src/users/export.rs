//! Everything that is known of one account, in a form that programs read.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::allocation::{Hold, KeyedDecision, LimitOverride};
use crate::auth::{RefreshRecord, Session};
use crate::id::AccountId;
use crate::monitoring::{Bucket, Counter, Level, Readings, Resolution, Rollup};
use crate::payment::Standing;
use crate::store::Tx;
use crate::time::Timestamp;
use crate::tos::{MAX_PAGE, Restriction, Sanction, ViolationFilter};
use crate::users::Account;
use crate::users::export::violation::ExportedViolation;
use crate::{Code, Error};

mod violation;

/// What stands for a digest of a secret.
const NOT_SHOWN: &str = "kept, and not shown";

/// Everything that is known of an account. Digests of secrets are said to be there and are not shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Export {
    format: &'static str,
    exported_at: String,
    account: ExportedAccount,
    password: Option<ExportedPassword>,
    recovery_codes_left: u64,
    sessions: Vec<ExportedSession>,
    refresh_tokens: Vec<ExportedRefreshToken>,
    readings: BTreeMap<&'static str, ExportedReading>,
    last_measured_at: Option<String>,
    usage: ExportedUsage,
    limits: Vec<ExportedLimit>,
    holds: Vec<ExportedHold>,
    decisions: Vec<ExportedQuotaDecision>,
    violations: Vec<ExportedViolation>,
    /// The state of its detectors, in base64: sums that fade, to go on from after a restart.
    detectors: Option<String>,
}

/// A limit of the account's own.
#[derive(Debug, Serialize)]
struct ExportedLimit {
    resource: &'static str,
    limit: u64,
    until: String,
}

/// What is granted or reserved of a quota.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ExportedHold {
    resource: &'static str,
    amount: u64,
    expires_at: String,
}

/// What was decided under a key.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ExportedQuotaDecision {
    key: &'static str,
    resource: &'static str,
    amount: u64,
    is_allowed: bool,
    is_over: bool,
    reason: Option<&'static str>,
    limit: Option<u64>,
    used: u64,
    resets_at: Option<String>,
    expires_at: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ExportedAccount {
    id: String,
    anonymous_id: String,
    /// Which key the tag was made under.
    pepper_id: String,
    tier: &'static str,
    created_at: String,
    trial_started_at: String,
    trial_ends_at: String,
    /// Until when each tier is paid for.
    paid: BTreeMap<&'static str, String>,
    cancelled_at: Option<String>,
    active_since: String,
    told: ExportedTold,
    epoch: u64,
    status: &'static str,
    status_reason: &'static str,
    status_since: String,
    operator_status: Option<ExportedDecision>,
    restrictions: Vec<ExportedRestriction>,
    terms: Option<ExportedTerms>,
    has_names_at_services: bool,
}

/// What its listeners were told last, and when there is more to tell.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ExportedTold {
    status: &'static str,
    notice_of: Option<String>,
    notice_days: Option<u8>,
    due_at: String,
}

/// What a breach of the terms restricts the account to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ExportedRestriction {
    violation: String,
    sanction: Sanction,
    since: String,
    until: String,
    relaxes_at: Option<String>,
}

impl From<&Restriction> for ExportedRestriction {
    fn from(own: &Restriction) -> Self {
        Self {
            violation: own.violation.to_string(),
            sanction: own.sanction,
            since: own.since.to_string(),
            until: own.until.to_string(),
            relaxes_at: own.relaxes_at.map(|at| at.to_string()),
        }
    }
}

#[derive(Debug, Serialize)]
struct ExportedDecision {
    status: &'static str,
    since: String,
    reason: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ExportedTerms {
    version: String,
    accepted_at: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ExportedSession {
    id: String,
    created_at: String,
    expires_at: String,
    authenticated_at: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ExportedPassword {
    bcrypt: &'static str,
    /// Which key the hash was made under.
    pepper_id: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ExportedRefreshToken {
    digest: &'static str,
    session: String,
    expires_at: String,
    used_at: Option<String>,
}

#[derive(Debug, Serialize)]
struct ExportedReading {
    value: u64,
    at: String,
}

#[derive(Debug, Serialize)]
struct ExportedUsage {
    minutes: Vec<ExportedBucket>,
    hours: Vec<ExportedBucket>,
    days: Vec<ExportedBucket>,
}

#[derive(Debug, Serialize)]
struct ExportedBucket {
    at: String,
    totals: BTreeMap<&'static str, u64>,
    levels: BTreeMap<&'static str, ExportedLevel>,
}

#[derive(Debug, Serialize)]
struct ExportedLevel {
    average: Option<f64>,
    peak: u64,
    readings: u64,
}

impl Export {
    pub(crate) async fn read(
        tx: &mut dyn Tx,
        id: AccountId,
        standing: Standing,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let account = tx.account(id).await?.ok_or(Error::no_account())?;
        let password = tx.password(id).await?;
        let sessions = tx.sessions(id).await?;
        let newest = tx.readings(id).await?;
        Ok(Self {
            format: "dimensionos-export/1",
            exported_at: now.to_string(),
            account: ExportedAccount::new(&account, standing),
            password: password.map(|hash| ExportedPassword { bcrypt: NOT_SHOWN, pepper_id: hash.pepper.to_string() }),
            recovery_codes_left: tx.recovery_code_count(id).await?,
            sessions: sessions.iter().map(ExportedSession::from).collect(),
            refresh_tokens: tx.refreshes(id).await?.iter().map(ExportedRefreshToken::from).collect(),
            readings: readings(&newest),
            last_measured_at: newest.newest().map(|at| at.to_string()),
            usage: ExportedUsage {
                minutes: buckets(tx, id, Resolution::Minute).await?,
                hours: buckets(tx, id, Resolution::Hour).await?,
                days: buckets(tx, id, Resolution::Day).await?,
            },
            limits: tx.overrides(id).await?.iter().map(ExportedLimit::from).collect(),
            holds: tx.holds(id).await?.iter().map(ExportedHold::from).collect(),
            decisions: tx.decisions_of(id).await?.iter().map(ExportedQuotaDecision::from).collect(),
            violations: violations(tx, id, now).await?,
            detectors: tx.detectors(id).await?.map(|state| STANDARD.encode(state)),
        })
    }
}

async fn violations(tx: &mut dyn Tx, id: AccountId, now: Timestamp) -> Result<Vec<ExportedViolation>, Error> {
    let filter = ViolationFilter { account: Some(id), ..ViolationFilter::default() };
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = tx.violations(&filter, after, MAX_PAGE).await?;
        all.extend(page.iter().map(|violation| ExportedViolation::new(violation, now)));
        match page.last() {
            Some(last) if page.len() as u64 == MAX_PAGE => after = Some(last.place()),
            _ => return Ok(all),
        }
    }
}

impl ExportedAccount {
    fn new(account: &Account, standing: Standing) -> Self {
        Self {
            id: account.id.to_string(),
            anonymous_id: account.anonymous_id.to_string(),
            pepper_id: account.pepper.to_string(),
            tier: account.tier.name(),
            created_at: account.created_at.to_string(),
            trial_started_at: account.trial_started_at.to_string(),
            trial_ends_at: account.trial_ends_at.to_string(),
            paid: account.paid.each().map(|(tier, until)| (tier.name(), until.to_string())).collect(),
            cancelled_at: account.cancelled_at.map(|at| at.to_string()),
            active_since: account.active_since.to_string(),
            told: ExportedTold {
                status: account.told.status.name(),
                notice_of: account.told.notice.map(|notice| notice.step_at.to_string()),
                notice_days: account.told.notice.map(|notice| notice.days),
                due_at: account.told.due_at.to_string(),
            },
            epoch: account.epoch,
            status: standing.status.name(),
            status_reason: standing.reason.name(),
            status_since: standing.since.to_string(),
            operator_status: account.operator_status.as_ref().map(|decided| ExportedDecision {
                status: decided.status.name(),
                since: decided.since.to_string(),
                reason: decided.note.as_str().to_owned(),
            }),
            restrictions: account.restrictions.iter().map(ExportedRestriction::from).collect(),
            terms: account.terms.as_ref().map(|accepted| ExportedTerms {
                version: accepted.version.to_string(),
                accepted_at: accepted.accepted_at.to_string(),
            }),
            has_names_at_services: account.subject_seed.is_some(),
        }
    }
}

impl From<&Session> for ExportedSession {
    fn from(session: &Session) -> Self {
        Self {
            id: session.id.to_string(),
            created_at: session.created_at.to_string(),
            expires_at: session.expires_at.to_string(),
            authenticated_at: session.authenticated_at.to_string(),
        }
    }
}

impl From<&RefreshRecord> for ExportedRefreshToken {
    fn from(record: &RefreshRecord) -> Self {
        Self {
            digest: NOT_SHOWN,
            session: record.session.to_string(),
            expires_at: record.expires_at.to_string(),
            used_at: record.used_at.map(|used_at| used_at.to_string()),
        }
    }
}

impl From<&LimitOverride> for ExportedLimit {
    fn from(own: &LimitOverride) -> Self {
        Self { resource: own.resource.name(), limit: own.limit, until: own.until.to_string() }
    }
}

impl From<&Hold> for ExportedHold {
    fn from(hold: &Hold) -> Self {
        Self { resource: hold.resource.name(), amount: hold.amount, expires_at: hold.expires_at.to_string() }
    }
}

impl From<&KeyedDecision> for ExportedQuotaDecision {
    fn from(decided: &KeyedDecision) -> Self {
        let decision = &decided.decision;
        Self {
            key: NOT_SHOWN,
            resource: decision.resource.name(),
            amount: decided.amount,
            is_allowed: decision.is_allowed,
            is_over: decision.is_over,
            reason: decision.reason.map(Code::name),
            limit: decision.limit,
            used: decision.used,
            resets_at: decision.resets_at.map(|at| at.to_string()),
            expires_at: decided.expires_at.to_string(),
        }
    }
}

fn readings(readings: &Readings) -> BTreeMap<&'static str, ExportedReading> {
    let known = Level::ALL.into_iter().filter_map(|level| Some((level.name(), readings.of(level)?)));
    known.map(|(name, reading)| (name, ExportedReading { value: reading.value, at: reading.at.to_string() })).collect()
}

async fn buckets(tx: &mut dyn Tx, id: AccountId, resolution: Resolution) -> Result<Vec<ExportedBucket>, Error> {
    let end = Timestamp::from_millis(i64::MAX);
    let rows = tx.usage(id, resolution, Timestamp::EPOCH, end).await?;
    Ok(rows.iter().map(|(bucket, rollup)| ExportedBucket::new(*bucket, rollup)).collect())
}

impl ExportedBucket {
    fn new(bucket: Bucket, rollup: &Rollup) -> Self {
        let totals = Counter::ALL.into_iter().filter_map(|counter| Some((counter.name(), rollup.total(counter)?)));
        let levels = Level::ALL.into_iter().map(|level| (level.name(), rollup.level(level)));
        let levels = levels.filter(|(_, level)| level.count > 0).map(|(name, level)| {
            (name, ExportedLevel { average: level.average(), peak: level.peak, readings: level.count })
        });
        Self { at: bucket.start().to_string(), totals: totals.collect(), levels: levels.collect() }
    }
}
