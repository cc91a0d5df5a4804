use async_graphql::{Context, ID, Object, Result, SimpleObject};
use dimensionos_core::auth::Role;

use crate::engine::Asked;
use crate::error::dress;

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
