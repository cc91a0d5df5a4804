use async_graphql::{ComplexObject, Context, ID, Object, Result, SimpleObject};
use dimensionos_core::auth::{AccessKey, AgentPage, Role};

use crate::engine::Asked;
use crate::error::dress;
use crate::schema::DateTime;
use crate::schema::page::{self, PageInfo, cursor};

/// Who may report usage.
#[derive(Debug, SimpleObject)]
pub struct Agent {
    /// Names the agent.
    pub(crate) id: ID,
    /// What it is called.
    name: String,
    /// When it was created.
    created_at: DateTime,
}

impl From<&AccessKey> for Agent {
    fn from(key: &AccessKey) -> Self {
        Self { id: key.id.to_string().into(), name: key.name.to_string(), created_at: key.created_at.into() }
    }
}

/// An agent's place in a list.
#[derive(Debug, SimpleObject)]
pub struct AgentEdge {
    /// The agent.
    node: Agent,
    /// Where it stands: for `after`.
    cursor: String,
}

/// A page of agents, newest first.
#[derive(Debug, SimpleObject)]
#[graphql(complex)]
pub struct AgentConnection {
    /// Where the page stands in the list.
    page_info: PageInfo,
    #[graphql(skip)]
    all: Vec<AccessKey>,
}

#[ComplexObject]
impl AgentConnection {
    /// They, each with its cursor.
    async fn edges(&self) -> Vec<AgentEdge> {
        self.all.iter().map(|key| AgentEdge { node: key.into(), cursor: cursor(key.place()) }).collect()
    }

    /// The same without cursors.
    async fn nodes(&self) -> Vec<Agent> {
        self.all.iter().map(Agent::from).collect()
    }
}

impl AgentConnection {
    fn new(page: AgentPage, is_later: bool) -> Self {
        let AgentPage { agents: all, next } = page;
        let page_info = PageInfo {
            has_next_page: next.is_some(),
            has_previous_page: is_later,
            start_cursor: all.first().map(|key| cursor(key.place())),
            end_cursor: all.last().map(|key| cursor(key.place())),
        };
        Self { page_info, all }
    }
}

#[derive(Debug, Default)]
pub struct AgentQuery;

#[Object]
impl AgentQuery {
    /// Operators only. Who may report usage, newest first.
    async fn agents(
        &self,
        context: &Context<'_>,
        #[graphql(default = 20, desc = "How many: 1 to 100.")] first: Option<i32>,
        #[graphql(desc = "Those after this cursor.")] after: Option<String>,
    ) -> Result<AgentConnection> {
        let asked = Asked::of(context)?;
        let _turn = asked.turn().await?;
        let listed = async {
            let length = page::length(first.unwrap_or(20))?;
            let place = after.as_deref().map(page::place).transpose()?;
            asked.platform.auth().agents(&asked.context, place, length).await
        };
        let page = listed.await.map_err(|error| dress(&error, asked))?;
        Ok(AgentConnection::new(page, after.is_some()))
    }
}

/// A new agent's key.
#[derive(SimpleObject)]
pub struct AgentCredential {
    /// Names the agent.
    id: ID,
    /// What it is called.
    name: String,
    /// The bearer token it reports with. Shown this once.
    token: String,
}

#[derive(Debug, Default)]
pub struct AgentMutation;

#[Object]
impl AgentMutation {
    /// Operators only. The token is shown this once.
    async fn create_agent(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "1 to 64 letters, digits, dots, hyphens and underscores; no two agents are called the same.")]
        name: String,
    ) -> Result<AgentCredential> {
        let asked = Asked::of(context)?;
        let created = async { asked.platform.auth().create_key(&asked.context, Role::Agent, name.parse()?).await };
        let created = created.await.map_err(|error| dress(&error, asked))?;
        Ok(AgentCredential {
            id: created.key.id.to_string().into(),
            name: created.key.name.to_string(),
            token: created.token.expose().to_owned(),
        })
    }
}
