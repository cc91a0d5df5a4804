//! Contesting what was found, deciding about it, and the policies by which the service decides.

use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use dimensionos_core::Error;
use dimensionos_core::tos::{self, NewComplaint, PaperDigest, ViolationFilter};

use crate::engine::Asked;
use crate::error::dress;
use crate::schema::account::account_id;
use crate::schema::page;
use crate::schema::violation::{
    AppealGround, NoticeElement, Sanction, StatementOfReasons, Violation, ViolationConnection, ViolationKind, answer,
    violation_id,
};
use crate::schema::{DateTime, UInt53};

/// A complaint of copyright as it was received.
#[derive(InputObject)]
pub struct CopyrightComplaintInput {
    /// Whose account it is about.
    account: ID,
    /// SHA-256 of the notice as received; the notice itself is not stored.
    notice_digest: String,
    /// SHA-256 of who complains, in any form that is the same each time; stored under a key only, to know again who is
    /// often wrong.
    complainant_digest: Option<String>,
    /// What the notice lacks of what the law asks for. Left out: nothing.
    missing: Option<Vec<NoticeElement>>,
}

/// Which violations are asked for: everything that is set has to match.
#[derive(InputObject)]
pub struct ViolationFilterInput {
    /// Of one account.
    account: Option<ID>,
    /// Of one kind.
    kind: Option<ViolationKind>,
    /// Those with an appeal that nobody has decided.
    #[graphql(default)]
    appealed: bool,
    /// Those of which the policy in shadow would have decided otherwise.
    #[graphql(default)]
    differing_in_shadow: bool,
}

impl From<ViolationFilterInput> for ViolationFilter {
    fn from(input: ViolationFilterInput) -> Self {
        Self {
            account: input.account.as_ref().map(account_id),
            kind: input.kind.map(tos::ViolationKind::from),
            from: None,
            is_appealed: input.appealed,
            differs_in_shadow: input.differing_in_shadow,
        }
    }
}

/// Whether a policy decides, or only says what it would.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "tos::PolicyMode")]
pub enum PolicyMode {
    /// What it decides is done.
    InForce,
    /// What it decides is written down beside what is done.
    Shadow,
}

/// A policy as it was put to use.
#[derive(Debug, SimpleObject)]
pub struct EnforcementPolicy {
    /// Its version.
    version: i32,
    /// Whether what it decides is done.
    mode: PolicyMode,
    /// Since when.
    applied_at: DateTime,
    /// All of it, as JSON.
    policy: String,
}

impl From<&tos::PolicyRecord> for EnforcementPolicy {
    fn from(record: &tos::PolicyRecord) -> Self {
        Self {
            version: i32::try_from(record.policy.version).unwrap_or(i32::MAX),
            mode: record.mode.into(),
            applied_at: record.applied_at.into(),
            policy: record.policy.to_json(),
        }
    }
}

/// What came of deciding everything again from what is stored.
#[derive(Debug, SimpleObject)]
pub struct DecisionReplay {
    /// Decisions that were made again.
    checked: UInt53,
    /// Those that came out otherwise.
    differing: UInt53,
    /// Those whose policy is not stored.
    unknown: UInt53,
}

/// One line of a transparency report.
#[derive(Debug, SimpleObject)]
pub struct TransparencyLine {
    /// What is counted by: `kind`, `sanction`, `origin` or `appeal`.
    group: String,
    /// Which of them.
    name: String,
    /// How many; null where there were so few that somebody might be told.
    count: Option<UInt53>,
}

#[derive(Debug, Default)]
pub struct EnforcementQuery;

#[Object]
impl EnforcementQuery {
    /// Operators only. What was found against any account, newest first.
    async fn violations(
        &self,
        context: &Context<'_>,
        #[graphql(default = 20, desc = "How many: 1 to 100.")] first: i32,
        #[graphql(desc = "Those after this cursor.")] after: Option<String>,
        #[graphql(desc = "Which; all of them when left out.")] filter: Option<ViolationFilterInput>,
    ) -> Result<ViolationConnection> {
        let asked = Asked::of(context)?;
        let _turn = asked.turn().await?;
        let listed = async {
            let length = page::length(first)?;
            let place = after.as_deref().map(page::place).transpose()?;
            let filter = filter.map(ViolationFilter::from).unwrap_or_default();
            Ok((asked.platform.tos().queue(&asked.context, &filter, place, length).await?, length))
        };
        let (all, length) = listed.await.map_err(|error: Error| dress(&error, asked))?;
        Ok(ViolationConnection::new(all, length, after.is_some(), asked.platform.clock().now()))
    }

    /// Operators only. Every policy that ever was in force or in shadow, oldest first.
    async fn enforcement_policies(&self, context: &Context<'_>) -> Result<Vec<EnforcementPolicy>> {
        let asked = Asked::of(context)?;
        let records = asked.platform.tos().policies(&asked.context).await.map_err(|error| dress(&error, asked))?;
        Ok(records.iter().map(EnforcementPolicy::from).collect())
    }

    /// Operators only. Decides everything again that was decided since an instant, from the stored figures.
    async fn replay_decisions(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Since when.")] from: DateTime,
    ) -> Result<DecisionReplay> {
        let asked = Asked::of(context)?;
        let _turn = asked.only_turn().await?;
        let replay = asked.platform.tos().replay(&asked.context, from.0).await.map_err(|error| dress(&error, asked))?;
        Ok(DecisionReplay {
            checked: replay.checked.into(),
            differing: replay.differing.into(),
            unknown: replay.unknown.into(),
        })
    }

    /// Operators only. What was found about sign-ins since this server started, newest first, at most 100: sources that try
    /// passwords, and the whole service being tried.
    async fn sign_in_flags(&self, context: &Context<'_>) -> Result<Vec<StatementOfReasons>> {
        let asked = Asked::of(context)?;
        let flags = asked.platform.tos().sign_in_flags(&asked.context).map_err(|error| dress(&error, asked))?;
        Ok(flags.iter().map(StatementOfReasons::from).collect())
    }

    /// What was found and decided in a calendar month that is over, in numbers from which nobody can be told. Public.
    async fn transparency_report(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Any instant of the month, in UTC.")] month: DateTime,
    ) -> Result<Vec<TransparencyLine>> {
        let asked = Asked::of(context)?;
        let _turn = asked.turn().await?;
        let lines = asked.platform.tos().transparency(month.0).await.map_err(|error| dress(&error, asked))?;
        let lines = lines.into_iter().map(|line| TransparencyLine {
            group: line.group.to_owned(),
            name: line.name.to_owned(),
            count: line.count.map(UInt53::from),
        });
        Ok(lines.collect())
    }
}

#[derive(Debug, Default)]
pub struct EnforcementMutation;

#[Object]
impl EnforcementMutation {
    /// Also while suspended. A statement is text sealed by the client to the operators' key (age); the server cannot read
    /// it, and drops it once the appeal is decided.
    async fn appeal(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "What is contested.")] violation: ID,
        #[graphql(desc = "Why.")] ground: AppealGround,
        #[graphql(desc = "An armoured age file of at most 32 KB, sealed to `service.appealRecipient`.")]
        sealed_statement: Option<String>,
    ) -> Result<Violation> {
        let asked = Asked::of(context)?;
        let appealed = async {
            asked.context.account()?;
            let sealed = sealed_statement.as_deref().map(str::parse).transpose();
            let sealed = sealed.map_err(|not: tos::NotSealed| Error::InvalidInput {
                field: "sealedStatement",
                reason: not.to_string(),
            })?;
            asked.platform.tos().appeal(&asked.context, violation_id(&violation), ground.into(), sealed).await
        };
        answer(asked, appealed.await)
    }

    /// Operators only, and not the one who imposed it. Decides an appeal: granted, the violation is overruled, and what
    /// followed from it ends.
    async fn decide_appeal(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "What was contested.")] violation: ID,
        #[graphql(desc = "Whether it is overruled.")] grant: bool,
    ) -> Result<Violation> {
        let asked = Asked::of(context)?;
        answer(asked, asked.platform.tos().decide_appeal(&asked.context, violation_id(&violation), grant).await)
    }

    /// Operators only. Puts another sanction in the place of what followed from a violation.
    async fn impose_sanction(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "From what it follows.")] violation: ID,
        #[graphql(desc = "What follows from now on.")] sanction: Sanction,
        #[graphql(desc = "Until when: at most a year.")] until: DateTime,
    ) -> Result<Violation> {
        let asked = Asked::of(context)?;
        let (id, tos) = (violation_id(&violation), asked.platform.tos());
        answer(asked, tos.impose(&asked.context, id, sanction.into(), until.0).await)
    }

    /// Operators only. Files a complaint of copyright. A complete notice counts at once.
    async fn file_copyright_complaint(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The complaint.")] input: CopyrightComplaintInput,
    ) -> Result<Violation> {
        let asked = Asked::of(context)?;
        let filed = async {
            let complaint = NewComplaint {
                account: account_id(&input.account),
                notice: digest("noticeDigest", &input.notice_digest)?,
                complainant: input
                    .complainant_digest
                    .as_deref()
                    .map(|text| digest("complainantDigest", text))
                    .transpose()?,
                missing: input.missing.unwrap_or_default().into_iter().map(tos::NoticeElement::from).collect(),
            };
            asked.platform.tos().file_complaint(&asked.context, complaint).await
        };
        answer(asked, filed.await)
    }

    /// Operators only. What a notice lacked has come: the complaint counts from now on.
    async fn complete_copyright_complaint(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The complaint's violation.")] violation: ID,
    ) -> Result<Violation> {
        let asked = Asked::of(context)?;
        answer(asked, asked.platform.tos().complete_complaint(&asked.context, violation_id(&violation)).await)
    }

    /// Operators only. Lets the complaint of somebody who has often been wrong count, after a person has looked at it.
    async fn release_copyright_complaint(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The complaint's violation.")] violation: ID,
    ) -> Result<Violation> {
        let asked = Asked::of(context)?;
        answer(asked, asked.platform.tos().release_complaint(&asked.context, violation_id(&violation)).await)
    }

    /// Answers a complaint, also while suspended: unless the complainant goes to court within ten business days, what
    /// follows from it ends then.
    async fn file_counter_notice(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The complaint's violation.")] violation: ID,
        #[graphql(desc = "SHA-256 of the counter-notice, as 64 hex digits; the paper goes to the operators.")]
        notice_digest: String,
    ) -> Result<Violation> {
        let asked = Asked::of(context)?;
        let countered = async {
            asked.context.account()?;
            let notice = digest("noticeDigest", &notice_digest)?;
            asked.platform.tos().counter_notice(&asked.context, violation_id(&violation), notice).await
        };
        answer(asked, countered.await)
    }

    /// Operators only. The complainant has gone to court: what follows from the complaint stays.
    async fn report_court_action(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The complaint's violation.")] violation: ID,
    ) -> Result<Violation> {
        let asked = Asked::of(context)?;
        answer(asked, asked.platform.tos().report_court(&asked.context, violation_id(&violation)).await)
    }

    /// Operators only. The complainant has taken the complaint back: what follows from it ends.
    async fn withdraw_copyright_complaint(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The complaint's violation.")] violation: ID,
    ) -> Result<Violation> {
        let asked = Asked::of(context)?;
        answer(asked, asked.platform.tos().withdraw_complaint(&asked.context, violation_id(&violation)).await)
    }

    /// Operators only. Puts a policy in force or in shadow, from the next decision on.
    async fn apply_enforcement_policy(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "All of it, as JSON; its version the next one.")] policy: String,
        #[graphql(desc = "Whether what it decides is done.")] mode: PolicyMode,
    ) -> Result<EnforcementPolicy> {
        let asked = Asked::of(context)?;
        let applied = asked.platform.tos().apply_policy(&asked.context, &policy, mode.into()).await;
        Ok(EnforcementPolicy::from(&applied.map_err(|error| dress(&error, asked))?))
    }
}

fn digest(field: &'static str, text: &str) -> Result<PaperDigest, Error> {
    text.parse().map_err(|invalid: tos::InvalidDigest| Error::InvalidInput { field, reason: invalid.to_string() })
}
