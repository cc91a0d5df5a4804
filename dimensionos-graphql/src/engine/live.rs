//! Usage as it is watched: from the meters' figures to JSON, without the executor, and once for everybody who watches
//! the same selection of the same account.

use std::sync::{Arc, Weak};
use std::time::Duration;

use async_graphql::Value;
use async_graphql::parser::types::Selection;
use bytes::Bytes;
use dashmap::DashMap;
use dimensionos_core::allocation::Allocation;
use dimensionos_core::monitoring::Metrics;
use dimensionos_core::{AccountId, Context};
use futures_util::{Stream, StreamExt};
use parking_lot::Mutex;

use crate::engine::document::Compilation;
use crate::engine::{Answer, Engine, Prepared};
use crate::plan::Plan;
use crate::schema::ResourceMetrics;
use crate::schema::live::{DEFAULT_INTERVAL_MS, interval};

const INTERVAL: &str = "intervalMs";

/// What is being written, by whose it is and what is selected of it.
#[derive(Debug, Default)]
pub(super) struct Renderings(DashMap<Arc<Place>, Weak<Rendering>>);

/// Whose it is, and what is selected of it.
type Place = (AccountId, Box<str>);

#[derive(Debug)]
struct Rendering {
    place: Arc<Place>,
    plan: Arc<Plan<ResourceMetrics>>,
    /// What stands before and after the selection.
    around: (Box<str>, Box<str>),
    last: Mutex<Option<Written>>,
}

#[derive(Debug)]
struct Written {
    of: (Metrics, Allocation),
    json: Bytes,
}

impl Rendering {
    fn write(&self, metrics: Metrics, allocation: Allocation) -> Bytes {
        let of = (metrics, allocation);
        let mut last = self.last.lock();
        if let Some(written) = last.as_ref().filter(|written| written.of == of) {
            return written.json.clone();
        }
        let (before, after) = &self.around;
        let mut json = Vec::with_capacity(last.as_ref().map_or(256, |written| written.json.len() + 16));
        json.extend_from_slice(before.as_bytes());
        self.plan.write(&ResourceMetrics::new(&of.0, &of.1), &mut json);
        json.extend_from_slice(after.as_bytes());
        let json = Bytes::from(json);
        *last = Some(Written { of, json: json.clone() });
        json
    }
}

impl Engine {
    /// The answers to a subscription to usage; absent where the executor has to give them, which also says what is wrong.
    pub(super) async fn watch(
        &self,
        prepared: &Prepared,
        context: &Context,
    ) -> Option<impl Stream<Item = Answer> + Send + use<>> {
        let compiled = prepared.document.compiled.as_ref()?;
        let Compilation::Usage(plan, selected) = &compiled.plan else { return None };
        let every = interval_of(prepared)?;
        let account = context.account().ok()?.account;
        let changes = self.0.platform.monitoring().watch(context, account, every).await.ok()?;
        let allotted = self.0.platform.allocation().follow(context, account).await.ok()?;
        let kept = Kept {
            engine: self.clone(),
            rendering: Some(self.rendering(account, (&compiled.key, plan, selected), prepared.cost)),
        };
        let mut last = Bytes::new();
        Some(changes.filter_map(move |metrics| {
            let written = kept.rendering.as_ref().map(|rendering| rendering.write(metrics, allotted.now()));
            // What changed may be nothing that was selected.
            let news = written.filter(|json| *json != last);
            if let Some(json) = &news {
                last = json.clone();
            }
            std::future::ready(news.map(Answer::Written))
        }))
    }

    fn rendering(
        &self,
        account: AccountId,
        (key, plan, selected): (&str, &Arc<Plan<ResourceMetrics>>, &str),
        cost: u64,
    ) -> Arc<Rendering> {
        let selected = format!("{key}:{selected}:{cost}");
        let place = Arc::new((account, selected.into_boxed_str()));
        let mut slot = self.0.renderings.0.entry(Arc::clone(&place)).or_default();
        slot.upgrade().unwrap_or_else(|| {
            let before = format!("{{\"data\":{{\"{key}\":").into();
            let after = format!("}},\"extensions\":{{\"cost\":{cost}}}}}").into();
            let plan = Arc::clone(plan);
            let rendering = Arc::new(Rendering { place, plan, around: (before, after), last: Mutex::new(None) });
            *slot = Arc::downgrade(&rendering);
            rendering
        })
    }
}

/// How long there is between two values; absent where what was given is no good.
fn interval_of(prepared: &Prepared) -> Option<Duration> {
    let document = prepared.pruned.as_ref().unwrap_or(&prepared.document.parsed);
    let (_, operation) = document.operations.iter().next()?;
    let Selection::Field(field) = &operation.node.selection_set.node.items.first()?.node else { return None };
    let Some(given) = field.node.get_argument(INTERVAL) else { return interval(DEFAULT_INTERVAL_MS).ok() };
    let given = given.node.clone().into_const_with(|name| prepared.variables.get(&name).cloned().ok_or(()));
    match given.ok()? {
        Value::Number(number) => interval(i32::try_from(number.as_i64()?).ok()?).ok(),
        _ => None,
    }
}

/// A rendering for as long as somebody watches it.
struct Kept {
    engine: Engine,
    /// Absent only while this is dropped.
    rendering: Option<Arc<Rendering>>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        let Some(rendering) = self.rendering.take() else { return };
        let place = Arc::clone(&rendering.place);
        // Let go first: of two that leave at once, the later one finds nobody left.
        drop(rendering);
        self.engine.0.renderings.0.remove_if(&place, |_, left| left.strong_count() == 0);
    }
}
