//! The agents of the service, page by page, for operators.

use crate::Error;
use crate::auth::{AccessKey, Auth, KeyPlace, Role};
use crate::context::Context;
use crate::id::AccessKeyId;
use crate::policy::{Action, Target, allows};
use crate::store::Access;

/// Agents that one page has at most.
pub const MAX_AGENT_PAGE: u64 = 100;

/// A page of agents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentPage {
    /// Their keys, newest first.
    pub agents: Vec<AccessKey>,
    /// Where to go on; absent where no more follow.
    pub next: Option<KeyPlace>,
}

impl Auth<'_> {
    /// One of those who may report usage.
    ///
    /// # Errors
    /// `Forbidden` for any caller but an operator and the program; `NotFound`.
    pub async fn agent(&self, context: &Context, id: AccessKeyId) -> Result<AccessKey, Error> {
        let Self(inner) = self;
        allows(&context.caller, Action::ListAgents, Target::Service)?;
        let key = inner.store.begin(Access::Read).await?.access_key_by_id(id).await?;
        key.filter(|key| key.role == Role::Agent).ok_or(Error::NotFound { what: "agent" })
    }

    /// Who may report usage, newest first.
    ///
    /// # Errors
    /// `Forbidden` for any caller but an operator and the program; `InvalidInput` for a page of nothing, or of more than
    /// [`MAX_AGENT_PAGE`].
    pub async fn agents(&self, context: &Context, after: Option<KeyPlace>, first: u64) -> Result<AgentPage, Error> {
        let Self(inner) = self;
        allows(&context.caller, Action::ListAgents, Target::Service)?;
        if !(1..=MAX_AGENT_PAGE).contains(&first) {
            return Err(Error::invalid("first", format!("not from 1 to {MAX_AGENT_PAGE}")));
        }
        let mut tx = inner.store.begin(Access::Read).await?;
        // One more than is asked for says whether there is more.
        let mut agents = tx.list_access_keys(Role::Agent, after, first + 1).await?;
        let has_more = agents.len() as u64 > first;
        if has_more {
            agents.pop();
        }
        let next = agents.last().map(AccessKey::place).filter(|_| has_more);
        Ok(AgentPage { agents, next })
    }
}
