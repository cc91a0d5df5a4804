use async_graphql::{Context, ID, Interface, Object, Result};
use dimensionos_core::AccountId;
use dimensionos_core::Error;

use crate::engine::Asked;
use crate::error::dress;
use crate::schema::account::Account;

/// Anything that can be asked for again by its id.
#[derive(Interface)]
#[graphql(field(name = "id", ty = "&ID", desc = "Names it among everything on this server."))]
pub enum Node {
    /// An account.
    Account(Box<Account>),
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
        let Ok(id) = id.parse::<AccountId>() else { return Ok(None) };
        match asked.platform.users().account(&asked.context, id).await {
            Ok(row) => {
                let account = Account::new(row, asked.context.clone(), asked.platform.clock().now());
                Ok(Some(Node::Account(Box::new(account))))
            }
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(dress(&error, asked)),
        }
    }
}
