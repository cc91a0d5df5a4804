use async_graphql::{Context, ID, Interface, Object, Result};
use dimensionos_core::id::{AccessKeyId, SessionId, ViolationId};
use dimensionos_core::{AccountId, Error};

use crate::engine::Asked;
use crate::error::dress;
use crate::schema::account::Account;
use crate::schema::agent::Agent;
use crate::schema::session::Session;
use crate::schema::violation::Violation;

/// Anything that can be asked for again by its id.
#[derive(Interface)]
#[graphql(field(name = "id", ty = "&ID", desc = "Names it among everything on this server."))]
pub enum Node {
    /// An account.
    Account(Box<Account>),
    /// Who may report usage.
    Agent(Agent),
    /// A session.
    Session(Session),
    /// Something found against an account.
    Violation(Box<Violation>),
}

#[derive(Debug, Default)]
pub struct NodeQuery;

#[Object]
impl NodeQuery {
    /// Whatever has that id; null where there is none, or the caller may not know of it.
    async fn node(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "An `id` that this server gave.")] id: ID,
    ) -> Result<Option<Node>> {
        let asked = Asked::of(context)?;
        match find(asked, &id).await {
            Err(Error::NotFound { .. }) => Ok(None),
            found => found.map_err(|error| dress(&error, asked)),
        }
    }
}

async fn find(asked: &Asked, id: &ID) -> Result<Option<Node>, Error> {
    if let Ok(id) = id.parse::<SessionId>() {
        let account = asked.context.account()?.account;
        let sessions = asked.platform.auth().sessions(&asked.context, account).await?;
        let session = sessions.iter().find(|session| session.id == id);
        return Ok(session.map(|session| Node::Session(Session::new(session, asked))));
    }
    if let Ok(id) = id.parse::<ViolationId>() {
        let violation = asked.platform.tos().violation(&asked.context, id).await?;
        return Ok(Some(Node::Violation(Box::new(Violation::new(&violation, asked.platform.clock().now())))));
    }
    if let Ok(id) = id.parse::<AccessKeyId>() {
        let key = asked.platform.auth().agent(&asked.context, id).await?;
        return Ok(Some(Node::Agent((&key).into())));
    }
    let Ok(id) = id.parse::<AccountId>() else { return Ok(None) };
    let row = asked.platform.users().account(&asked.context, id).await?;
    Ok(Some(Node::Account(Box::new(Account::new(row, asked.context.clone(), asked)))))
}
