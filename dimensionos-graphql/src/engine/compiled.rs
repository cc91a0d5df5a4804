//! Operations that are compiled once for a document, and answered from memory without the executor.

use async_graphql::parser::types::{ExecutableDocument, OperationType, Selection};
use dimensionos_core::Context;

use crate::engine::document::{Compilation, Compiled};
use crate::engine::{Answer, Engine, Prepared};
use crate::plan::Plan;
use crate::schema::{Account, ME, METRICS, Me, ResourceMetrics};

/// The compiled form of a document that has one operation with one field, and of which every field is at hand.
pub(super) fn compile(document: &ExecutableDocument) -> Option<Compiled> {
    let mut operations = document.operations.iter();
    let (_, operation) = operations.next().filter(|_| operations.next().is_none())?;
    let [only] = operation.node.selection_set.node.items.as_slice() else { return None };
    let Selection::Field(field) = &only.node else { return None };
    let field = &field.node;
    if !field.directives.is_empty() {
        return None;
    }
    let mut selected = String::new();
    let plan = match (operation.node.ty, field.name.node.as_str()) {
        (OperationType::Subscription, "usage") => {
            let plan = Plan::compile(document, field, &METRICS, &mut selected)?;
            Compilation::Usage(plan.into(), selected.into())
        }
        (OperationType::Query, "me") => Compilation::Me(Plan::compile(document, field, &ME, &mut selected)?),
        _ => return None,
    };
    Some(Compiled { key: field.response_key().node.to_string(), plan })
}

impl Engine {
    /// The answer to a query of the signed-in account; absent where the executor has to give it, which also says what is
    /// wrong.
    pub(super) async fn answer_compiled(&self, prepared: &Prepared, context: &Context) -> Option<Answer> {
        let compiled = prepared.document.compiled.as_ref()?;
        let Compilation::Me(plan) = &compiled.plan else { return None };
        let me = self.me(plan, context).await?;
        let mut json = Vec::with_capacity(512);
        json.extend_from_slice(b"{\"data\":{\"");
        json.extend_from_slice(compiled.key.as_bytes());
        json.extend_from_slice(b"\":");
        plan.write(&me, &mut json);
        json.extend_from_slice(b"},\"extensions\":{\"cost\":");
        json.extend_from_slice(prepared.cost.to_string().as_bytes());
        json.extend_from_slice(b"}}");
        Some(Answer::Written(json.into()))
    }

    async fn me(&self, plan: &Plan<Me>, context: &Context) -> Option<Me> {
        let platform = &self.0.platform;
        let row = platform.users().me(context).await.ok()?;
        let id = row.id;
        let has_metrics = plan.has("metrics");
        let mut allocation = None;
        if has_metrics || plan.has("allocation") {
            allocation = Some(platform.allocation().of(context, id).await.ok()?);
        }
        let metrics = match allocation.as_ref().filter(|_| has_metrics) {
            Some(allocation) => {
                let metrics = platform.monitoring().metrics(context, id).await.ok()?;
                Some(ResourceMetrics::new(&metrics, allocation))
            }
            None => None,
        };
        let account = Account::of(row, context.clone(), platform);
        Some(Me { account, metrics, allocation: allocation.map(Into::into) })
    }
}
