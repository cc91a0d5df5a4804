//! What was found against an account, as its holder and operators see it.

use async_graphql::{ComplexObject, Context, Enum, ID, Object, Result, SimpleObject};
use dimensionos_core::id::ViolationId;
use dimensionos_core::{Error, Timestamp, tos};

use crate::engine::Asked;
use crate::error::dress;
use crate::schema::DateTime;
use crate::schema::page::{PageInfo, cursor};

/// What kind of breach of the terms something is.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "tos::ViolationKind")]
pub enum ViolationKind {
    /// More than the tier allocates, for long.
    ResourceAbuse,
    /// Messages that nobody asked for.
    Spam,
    /// What looks like mining, encrypting for ransom, scanning or being commanded from outside.
    Malware,
    /// Part in an attack that drowns its target.
    Ddos,
    /// Trying many passwords.
    CredentialStuffing,
    /// A complaint of copyright.
    Copyright,
}

/// Where a violation stands.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "tos::ViolationState")]
pub enum ViolationState {
    /// It is held against the account.
    Open,
    /// An appeal was rejected.
    Upheld,
    /// An appeal was granted: it counts no more.
    Overruled,
    /// What followed from it has ended.
    Expired,
}

/// What follows from a violation, in rising order.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "tos::Sanction")]
pub enum Sanction {
    /// Nothing: it is shown, and that is all.
    None,
    /// A warning.
    Warn,
    /// A tenth of what the tier grants by the hour.
    Throttle,
    /// The account is read-only.
    ReadOnly,
    /// The account is suspended.
    Suspend,
}

/// How much a flag weighs.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "tos::Severity")]
pub enum Severity {
    /// Unusual for this account. Shown, and never acted on.
    Notice,
    /// A rule's limit was passed.
    Warn,
    /// A rule's limit was passed in a way that harms others now.
    Restrict,
}

/// Where an appeal stands.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "tos::AppealState")]
pub enum AppealState {
    /// Nobody has decided it yet.
    Pending,
    /// The violation was overruled.
    Granted,
    /// The violation was upheld.
    Rejected,
}

/// Why an account does not agree.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "tos::AppealGround")]
pub enum AppealGround {
    /// Somebody else did it.
    NotMe,
    /// It is what the account is for.
    LegitimateUse,
    /// The figures are wrong.
    WrongMeasurement,
    /// The rule is wrong.
    UnfairRule,
    /// Something else.
    Other,
}

/// Where a complaint of copyright stands.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "tos::ComplaintState")]
pub enum ComplaintState {
    /// Its notice lacks something, and has no effect.
    Incomplete,
    /// Its complainant has been wrong too often: an operator has to look first.
    Held,
    /// Its notice is complete.
    Noticed,
    /// A counter-notice was served; what follows from the complaint ends at its date.
    Countered,
    /// What followed from it has ended, for nobody went to court.
    Restored,
    /// The complainant went to court in time.
    InCourt,
    /// The complainant took it back.
    Withdrawn,
}

/// What a notice of copyright has to have to be one.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "tos::NoticeElement")]
pub enum NoticeElement {
    /// The signature of whoever may act for the owner.
    Signature,
    /// Which work it is about.
    Work,
    /// What infringes it, and where that is.
    Material,
    /// How to reach whoever complains.
    Contact,
    /// The belief in good faith that the use is not authorised.
    GoodFaith,
    /// That the notice is accurate, under penalty of perjury.
    Accuracy,
}

/// A figure that was held against a limit.
#[derive(Debug, SimpleObject)]
pub struct SupportingSignal {
    /// What was measured.
    signal: String,
    /// What it was.
    observed: f64,
    /// What it was held against.
    limit: f64,
}

/// What every sanction owes the account it falls on.
#[derive(Debug, SimpleObject)]
pub struct StatementOfReasons {
    /// Stable name of the rule, with its version.
    rule: String,
    /// Plain words, made from the figures below.
    facts: String,
    /// What was measured.
    signal: String,
    /// What it was.
    observed: f64,
    /// What it was held against.
    limit: f64,
    /// Over how long it was measured.
    window_seconds: i32,
    /// Since when it was over its limit.
    since: DateTime,
    /// What else had to hold.
    supporting: Vec<SupportingSignal>,
    /// The flag goes down by itself once the figure is at most this,
    exit_at_most: f64,
    /// for so many seconds.
    exit_seconds: i32,
    /// Whether no person took part in the decision.
    automated: bool,
    /// When what follows ends by itself.
    expires_at: Option<DateTime>,
    /// What would have kept the rule from firing.
    counterfactual: String,
    /// What to do about it.
    redress: String,
}

impl From<&tos::StatementOfReasons> for StatementOfReasons {
    fn from(statement: &tos::StatementOfReasons) -> Self {
        let flag = statement.flag();
        let seconds = |duration: std::time::Duration| i32::try_from(duration.as_secs()).unwrap_or(i32::MAX);
        let supporting = flag.supporting.iter().flatten().map(|figure| SupportingSignal {
            signal: figure.signal.to_owned(),
            observed: figure.observed,
            limit: figure.limit,
        });
        Self {
            rule: statement.rule(),
            facts: statement.facts(),
            signal: flag.figure.signal.to_owned(),
            observed: flag.figure.observed,
            limit: flag.figure.limit,
            window_seconds: seconds(flag.window),
            since: flag.since.into(),
            supporting: supporting.collect(),
            exit_at_most: flag.exit.at_most,
            exit_seconds: seconds(flag.exit.lasting),
            automated: statement.is_automated(),
            expires_at: statement.expires_at().map(DateTime::from),
            counterfactual: statement.counterfactual(),
            redress: statement.redress().to_owned(),
        }
    }
}

/// What an account says to a violation.
#[derive(Debug, SimpleObject)]
pub struct Appeal {
    /// Where it stands.
    state: AppealState,
    /// Why the account does not agree.
    ground: AppealGround,
    /// When it was filed.
    filed_at: DateTime,
    /// When it was decided.
    decided_at: Option<DateTime>,
    /// The statement as it was sealed; null where there is none, and once the appeal is decided.
    sealed_statement: Option<String>,
}

/// A complaint of copyright: dates, and digests of papers that are kept elsewhere.
#[derive(Debug, SimpleObject)]
pub struct CopyrightComplaint {
    /// Where it stands.
    state: ComplaintState,
    /// When the notice was received.
    received_at: DateTime,
    /// SHA-256 of the notice.
    notice_digest: String,
    /// What the notice lacks.
    missing: Vec<NoticeElement>,
    /// When a counter-notice was received.
    countered_at: Option<DateTime>,
    /// When what follows from the complaint ends, unless the complainant goes to court before.
    restore_at: Option<DateTime>,
    /// Until when it has to have ended.
    restore_by: Option<DateTime>,
}

impl CopyrightComplaint {
    fn new(complaint: &tos::Complaint, now: Timestamp) -> Self {
        let window = complaint.restore_window();
        Self {
            state: complaint.state(now).into(),
            received_at: complaint.received_at.into(),
            notice_digest: complaint.notice.to_string(),
            missing: complaint.missing.iter().map(|element| (*element).into()).collect(),
            countered_at: complaint.counter.map(|(_, at)| at.into()),
            restore_at: window.map(|(from, _)| from.into()),
            restore_by: window.map(|(_, by)| by.into()),
        }
    }
}

/// A flag: which rule, which number, which limit, and what followed. Nothing of what the account stores or sends.
#[derive(Debug, SimpleObject)]
pub struct Violation {
    /// Names it.
    pub(crate) id: ID,
    /// Whose account.
    account_id: ID,
    /// What kind of breach it is.
    kind: ViolationKind,
    /// How much it weighs.
    severity: Severity,
    /// Where it stands.
    state: ViolationState,
    /// What follows from it, or followed.
    sanction: Sanction,
    /// When it was found.
    detected_at: DateTime,
    /// When the flag went down by itself; null while it is up.
    lowered_at: Option<DateTime>,
    /// Why.
    statement: StatementOfReasons,
    /// What the account says to it.
    appeal: Option<Appeal>,
    /// The complaint it follows from.
    complaint: Option<CopyrightComplaint>,
}

impl Violation {
    pub(crate) fn new(violation: &tos::Violation, now: Timestamp) -> Self {
        let appeal = violation.appeal.as_ref().zip(violation.appeal_state()).map(|(appeal, state)| Appeal {
            state: state.into(),
            ground: appeal.ground.into(),
            filed_at: appeal.filed_at.into(),
            decided_at: appeal.decided.map(|(at, _)| at.into()),
            sealed_statement: appeal.sealed_statement.as_ref().map(|sealed| sealed.as_str().to_owned()),
        });
        Self {
            id: violation.id.to_string().into(),
            account_id: violation.account.to_string().into(),
            kind: violation.kind().into(),
            severity: violation.grounds.severity.into(),
            state: violation.state(now).into(),
            sanction: violation.sanction(now).into(),
            detected_at: violation.detected_at.into(),
            lowered_at: violation.lowered_at.map(DateTime::from),
            statement: violation.imposed.statement().into(),
            appeal,
            complaint: violation.complaint.as_ref().map(|complaint| CopyrightComplaint::new(complaint, now)),
        }
    }
}

/// A violation's place in a list.
#[derive(Debug, SimpleObject)]
pub struct ViolationEdge {
    /// The violation.
    node: Violation,
    /// Where it stands: for `after`.
    cursor: String,
}

/// A page of violations, newest first.
#[derive(Debug, SimpleObject)]
#[graphql(complex)]
pub struct ViolationConnection {
    /// They, each with its cursor.
    edges: Vec<ViolationEdge>,
    /// Where the page stands in the list.
    page_info: PageInfo,
    #[graphql(skip)]
    all: Vec<tos::Violation>,
    #[graphql(skip)]
    now: Timestamp,
}

#[ComplexObject]
impl ViolationConnection {
    /// The same without cursors.
    async fn nodes(&self) -> Vec<Violation> {
        self.all.iter().map(|violation| Violation::new(violation, self.now)).collect()
    }
}

impl ViolationConnection {
    /// A page of that length, of a list of which one more was read.
    pub(crate) fn new(mut all: Vec<tos::Violation>, length: u64, is_later: bool, now: Timestamp) -> Self {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let has_next_page = all.len() > length;
        all.truncate(length);
        let edges = all
            .iter()
            .map(|violation| ViolationEdge { node: Violation::new(violation, now), cursor: cursor(violation.place()) });
        let page_info = PageInfo {
            has_next_page,
            has_previous_page: is_later,
            start_cursor: all.first().map(|violation| cursor(violation.place())),
            end_cursor: all.last().map(|violation| cursor(violation.place())),
        };
        Self { edges: edges.collect(), page_info, all, now }
    }
}

/// Something was found against the account.
#[derive(Debug)]
pub struct ViolationRaised {
    pub(crate) id: ViolationId,
}

/// Something was found against the account.
#[Object]
impl ViolationRaised {
    /// What.
    async fn violation(&self, context: &Context<'_>) -> Result<Violation> {
        let asked = Asked::of(context)?;
        let violation = asked.platform.tos().violation(&asked.context, self.id).await;
        let violation = violation.map_err(|error| dress(&error, asked))?;
        Ok(Violation::new(&violation, asked.platform.clock().now()))
    }
}

/// The violation of an id; of a text that is none, one that is not there.
pub(crate) fn violation_id(id: &ID) -> ViolationId {
    id.parse().unwrap_or(ViolationId::from_bits(0))
}

/// A violation as an operation answers with it.
pub(crate) fn answer(asked: &Asked, done: Result<tos::Violation, Error>) -> Result<Violation> {
    let violation = done.map_err(|error| dress(&error, asked))?;
    Ok(Violation::new(&violation, asked.platform.clock().now()))
}
