use async_trait::async_trait;
use dimensionos_core::id::{AccessKeyId, ViolationId};
use dimensionos_core::store::{Accounts, StoreError, Violations};
use dimensionos_core::tos::{
    Appeal, AppealVerdict, Author, Complaint, Grounds, Imposed, Shadow, StatementOfReasons, Violation, ViolationCount,
    ViolationFilter, ViolationPlace,
};
use dimensionos_core::{AccountId, Timestamp};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict, Order, Query, WindowStatement};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
};
use uuid::Uuid;

use crate::entity::detector_state;
use crate::entity::violation::{Column, Entity, Model};
use crate::error::{store_error, unreadable};
use crate::transaction::{SqlTx, ids, unsigned};

/// States of one statement: far below what either engine takes parameters for.
const ROWS_PER_STATEMENT: usize = 500;

const fn verdict_name(verdict: AppealVerdict) -> &'static str {
    match verdict {
        AppealVerdict::Overruled => "OVERRULED",
        AppealVerdict::Upheld => "UPHELD",
    }
}

fn verdict(name: Option<&str>) -> Result<Option<AppealVerdict>, StoreError> {
    match name {
        None => Ok(None),
        Some("OVERRULED") => Ok(Some(AppealVerdict::Overruled)),
        Some("UPHELD") => Ok(Some(AppealVerdict::Upheld)),
        Some(_) => Err(unreadable("verdict")),
    }
}

impl From<&Violation> for Model {
    fn from(violation: &Violation) -> Self {
        let Violation { imposed, grounds, appeal, shadow, .. } = violation;
        let appeal_decided = appeal.as_ref().and_then(|appeal| appeal.decided);
        Self {
            id: Uuid::from_u128(violation.id.bits()),
            account_id: Uuid::from_u128(violation.account.bits()),
            kind: violation.kind().name().to_owned(),
            rule: grounds.rule.name().to_owned(),
            severity: grounds.severity.name().to_owned(),
            strikes: i64::from(grounds.strikes),
            policy_version: i64::from(violation.policy),
            decided: violation.decided.name().to_owned(),
            sanction: imposed.sanction().name().to_owned(),
            imposed_at: imposed.since().as_millis(),
            imposed_by: match imposed.author() {
                Author::Policy(_) => None,
                Author::Operator(operator) => Some(Uuid::from_u128(operator.bits())),
            },
            ends_at: imposed.until().as_millis(),
            is_automated: imposed.statement().is_automated(),
            detected_at: violation.detected_at.as_millis(),
            lowered_at: violation.lowered_at.map(Timestamp::as_millis),
            shadow_version: shadow.map(|shadow| i64::from(shadow.version)),
            shadow_sanction: shadow.map(|shadow| shadow.sanction.name().to_owned()),
            statement: imposed.statement().to_text(),
            appeal_ground: appeal.as_ref().map(|appeal| appeal.ground.name().to_owned()),
            appealed_at: appeal.as_ref().map(|appeal| appeal.filed_at.as_millis()),
            appeal_statement: appeal
                .as_ref()
                .and_then(|appeal| appeal.sealed_statement.as_ref().map(|sealed| sealed.as_str().to_owned())),
            appeal_decided_at: appeal_decided.map(|(at, _)| at.as_millis()),
            appeal_decided_by: appeal_decided.map(|(_, by)| Uuid::from_u128(by.bits())),
            verdict: violation.verdict.map(|verdict| verdict_name(verdict).to_owned()),
            complaint: violation.complaint.as_ref().map(Complaint::to_text),
            handled_by: handlers(&violation.handled_by),
        }
    }
}

impl TryFrom<Model> for Violation {
    type Error = StoreError;

    fn try_from(row: Model) -> Result<Self, StoreError> {
        let statement = StatementOfReasons::from_text(&row.statement).ok_or(unreadable("statement of reasons"))?;
        let policy = u32::try_from(row.policy_version).map_err(|_| unreadable("policy"))?;
        let author = match row.imposed_by {
            None => Author::Policy(policy),
            Some(operator) => Author::Operator(AccessKeyId::from_bits(operator.as_u128())),
        };
        let sanction = |name: &str| name.parse().map_err(|_| unreadable("sanction"));
        let since = Timestamp::from_millis(row.imposed_at);
        let shadow = match (row.shadow_version, &row.shadow_sanction) {
            (Some(version), Some(name)) => Some(Shadow {
                version: u32::try_from(version).map_err(|_| unreadable("policy"))?,
                sanction: sanction(name)?,
            }),
            _ => None,
        };
        let grounds = Grounds {
            rule: row.rule.parse().map_err(|_| unreadable("rule"))?,
            severity: row.severity.parse().map_err(|_| unreadable("severity"))?,
            strikes: u32::try_from(row.strikes).map_err(|_| unreadable("strikes"))?,
        };
        let complaint = row.complaint.as_deref().map(|text| Complaint::from_text(text).ok_or(unreadable("complaint")));
        Ok(Self {
            id: ViolationId::from_bits(row.id.as_u128()),
            account: AccountId::from_bits(row.account_id.as_u128()),
            detected_at: Timestamp::from_millis(row.detected_at),
            lowered_at: row.lowered_at.map(Timestamp::from_millis),
            imposed: Imposed::restore(sanction(&row.sanction)?, since, author, statement),
            grounds,
            policy,
            decided: sanction(&row.decided)?,
            shadow,
            appeal: appeal(&row)?,
            verdict: verdict(row.verdict.as_deref())?,
            complaint: complaint.transpose()?,
            handled_by: handled_by(row.handled_by.as_deref())?,
        })
    }
}

/// Ids as a text, with a space between two.
fn handlers(operators: &[AccessKeyId]) -> Option<String> {
    let ids: Vec<String> = operators.iter().map(AccessKeyId::to_string).collect();
    (!ids.is_empty()).then(|| ids.join(" "))
}

fn handled_by(text: Option<&str>) -> Result<Vec<AccessKeyId>, StoreError> {
    let ids = text.into_iter().flat_map(str::split_ascii_whitespace);
    ids.map(|id| id.parse().map_err(|_| unreadable("operator"))).collect()
}

fn appeal(row: &Model) -> Result<Option<Appeal>, StoreError> {
    let (Some(ground), Some(filed_at)) = (&row.appeal_ground, row.appealed_at) else { return Ok(None) };
    let sealed = row.appeal_statement.as_deref().map(|text| text.parse().map_err(|_| unreadable("sealed statement")));
    let decided = match (row.appeal_decided_at, row.appeal_decided_by) {
        (Some(at), Some(by)) => Some((Timestamp::from_millis(at), AccessKeyId::from_bits(by.as_u128()))),
        _ => None,
    };
    Ok(Some(Appeal {
        ground: ground.parse().map_err(|_| unreadable("ground"))?,
        filed_at: Timestamp::from_millis(filed_at),
        sealed_statement: sealed.transpose()?,
        decided,
    }))
}

fn condition(filter: &ViolationFilter) -> Condition {
    let ViolationFilter { account, kind, from, is_appealed, differs_in_shadow } = *filter;
    Condition::all()
        .add_option(account.map(|account| Column::AccountId.eq(Uuid::from_u128(account.bits()))))
        .add_option(kind.map(|kind| Column::Kind.eq(kind.name())))
        .add_option(from.map(|from| Column::DetectedAt.gte(from.as_millis())))
        .add_option(is_appealed.then(|| Column::AppealedAt.is_not_null().and(Column::Verdict.is_null())))
        .add_option(differs_in_shadow.then(|| {
            Column::ShadowSanction.is_not_null().and(Expr::col(Column::ShadowSanction).ne(Expr::col(Column::Decided)))
        }))
}

/// What is listed after that place.
fn before(place: ViolationPlace) -> Expr {
    let (at, id) = (place.detected_at.as_millis(), Uuid::from_u128(place.id.bits()));
    Column::DetectedAt.lt(at).or(Column::DetectedAt.eq(at).and(Column::Id.lt(id)))
}

#[async_trait]
impl Violations for SqlTx {
    async fn insert_violation(&mut self, violation: &Violation) -> Result<(), StoreError> {
        let row = Model::from(violation).into_active_model();
        Entity::insert(row).exec_without_returning(&self.sql).await.map_err(store_error)?;
        Ok(())
    }

    async fn update_violation(&mut self, violation: &Violation) -> Result<(), StoreError> {
        let row = Model::from(violation).into_active_model().reset_all();
        let update = Entity::update_many().set(row).filter(Column::Id.eq(Uuid::from_u128(violation.id.bits())));
        update.exec(&self.sql).await.map_err(store_error)?;
        Ok(())
    }

    async fn violation(&mut self, id: ViolationId) -> Result<Option<Violation>, StoreError> {
        let select = self.held(Entity::find_by_id(Uuid::from_u128(id.bits())));
        select.one(&self.sql).await.map_err(store_error)?.map(Violation::try_from).transpose()
    }

    async fn violations(
        &mut self,
        filter: &ViolationFilter,
        after: Option<ViolationPlace>,
        limit: u64,
    ) -> Result<Vec<Violation>, StoreError> {
        let select = Entity::find()
            .filter(condition(filter).add_option(after.map(before)))
            .order_by_desc(Column::DetectedAt)
            .order_by_desc(Column::Id)
            .limit(limit);
        let rows = select.all(&self.sql).await.map_err(store_error)?;
        rows.into_iter().map(Violation::try_from).collect()
    }

    async fn violations_of(
        &mut self,
        accounts: &[AccountId],
        after: Option<ViolationPlace>,
        limit: u64,
    ) -> Result<Vec<Violation>, StoreError> {
        let asked = Condition::all().add(Column::AccountId.is_in(ids(accounts))).add_option(after.map(before));
        let mut newest = WindowStatement::partition_by(Column::AccountId);
        newest.order_by(Column::DetectedAt, Order::Desc).order_by(Column::Id, Order::Desc);
        let mut ranked = Query::select();
        ranked
            .column(Column::Id)
            .expr_window_as(Expr::cust("ROW_NUMBER()"), newest, "place")
            .from(Entity)
            .cond_where(asked);
        let mut first = Query::select();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        first.column("id").from_subquery(ranked, "ranked").and_where(Expr::col("place").lte(limit));
        let select = Entity::find()
            .filter(Column::Id.in_subquery(first))
            .order_by_desc(Column::DetectedAt)
            .order_by_desc(Column::Id);
        let rows = select.all(&self.sql).await.map_err(store_error)?;
        rows.into_iter().map(Violation::try_from).collect()
    }

    async fn violation_counts(&mut self, from: Timestamp, to: Timestamp) -> Result<Vec<ViolationCount>, StoreError> {
        let select = Entity::find()
            .select_only()
            .columns([Column::Kind, Column::Sanction, Column::IsAutomated])
            .column_as(Column::AppealedAt.is_not_null(), "is_appealed")
            .column(Column::Verdict)
            .column_as(Column::Id.count(), "violations")
            .filter(Column::DetectedAt.gte(from.as_millis()).and(Column::DetectedAt.lt(to.as_millis())))
            .group_by(Column::Kind)
            .group_by(Column::Sanction)
            .group_by(Column::IsAutomated)
            .group_by(Column::AppealedAt.is_not_null())
            .group_by(Column::Verdict);
        let rows: Vec<(String, String, bool, bool, Option<String>, i64)> =
            select.into_tuple().all(&self.sql).await.map_err(store_error)?;
        let mut counts = Vec::with_capacity(rows.len());
        for (kind, sanction, is_automated, is_appealed, decided, count) in rows {
            counts.push(ViolationCount {
                kind: kind.parse().map_err(|_| unreadable("kind"))?,
                sanction: sanction.parse().map_err(|_| unreadable("sanction"))?,
                is_automated,
                is_appealed,
                verdict: verdict(decided.as_deref())?,
                count: unsigned(count),
            });
        }
        counts.sort_unstable();
        Ok(counts)
    }

    async fn purge_violations(&mut self, ended_before: Timestamp) -> Result<u64, StoreError> {
        let waits_for_nobody = Column::AppealedAt.is_null().or(Column::Verdict.is_not_null());
        let over = Column::EndsAt.lt(ended_before.as_millis()).and(waits_for_nobody);
        let purged = Entity::delete_many().filter(over).exec(&self.sql).await.map_err(store_error)?;
        Ok(purged.rows_affected)
    }

    async fn save_detectors(&mut self, states: &[(AccountId, Vec<u8>)]) -> Result<(), StoreError> {
        use detector_state::{Column, Entity, Model};
        for states in states.chunks(ROWS_PER_STATEMENT) {
            // Of accounts that are gone nothing is kept, and those that are there stay until the end of this.
            let ids: Vec<AccountId> = states.iter().map(|(account, _)| *account).collect();
            let gone = self.missing_accounts(&ids).await?;
            let rows = states.iter().filter(|(account, _)| !gone.contains(account));
            let rows: Vec<_> = rows
                .map(|(account, state)| {
                    let account_id = Uuid::from_u128(account.bits());
                    Model { account_id, state: state.clone() }.into_active_model()
                })
                .collect();
            if rows.is_empty() {
                continue;
            }
            let replace = OnConflict::column(Column::AccountId).update_column(Column::State).to_owned();
            let insert = Entity::insert_many(rows).on_conflict(replace);
            insert.exec_without_returning(&self.sql).await.map_err(store_error)?;
        }
        Ok(())
    }

    async fn detectors(&mut self, account: AccountId) -> Result<Option<Vec<u8>>, StoreError> {
        let select = detector_state::Entity::find_by_id(Uuid::from_u128(account.bits()));
        Ok(select.one(&self.sql).await.map_err(store_error)?.map(|row| row.state))
    }

    async fn detectors_of(&mut self, accounts: &[AccountId]) -> Result<Vec<(AccountId, Vec<u8>)>, StoreError> {
        use detector_state::{Column, Entity};
        let select = Entity::find().filter(Column::AccountId.is_in(ids(accounts)));
        let rows = select.all(&self.sql).await.map_err(store_error)?;
        Ok(rows.into_iter().map(|row| (AccountId::from_bits(row.account_id.as_u128()), row.state)).collect())
    }
}
