//! Accounts, page by page.

use async_graphql::{ComplexObject, SimpleObject};
use dimensionos_core::payment::Standing;
use dimensionos_core::users;

use crate::engine::Asked;
use crate::schema::account::Account;
use crate::schema::page::{PageInfo, cursor};

/// An account's place in a list.
#[derive(Debug, SimpleObject)]
pub struct AccountEdge {
    /// The account.
    node: Account,
    /// Where it stands: for `after`.
    cursor: String,
}

/// A page of accounts, newest first.
#[derive(Debug, SimpleObject)]
#[graphql(complex)]
pub struct AccountConnection {
    /// Where the page stands in the list.
    page_info: PageInfo,
    #[graphql(skip)]
    all: Vec<(users::Account, Standing)>,
}

#[ComplexObject]
impl AccountConnection {
    /// They, each with its cursor.
    async fn edges(&self, context: &async_graphql::Context<'_>) -> async_graphql::Result<Vec<AccountEdge>> {
        let cursors = self.all.iter().map(|(row, _)| cursor(row.place()));
        Ok(self.accounts(context)?.zip(cursors).map(|(node, cursor)| AccountEdge { node, cursor }).collect())
    }

    /// The same without cursors.
    async fn nodes(&self, context: &async_graphql::Context<'_>) -> async_graphql::Result<Vec<Account>> {
        Ok(self.accounts(context)?.collect())
    }
}

impl AccountConnection {
    pub(crate) fn new(page: users::AccountPage, is_later: bool) -> Self {
        let users::AccountPage { accounts: all, next } = page;
        // Where more rows were looked at than are on the page, the last of those leads on.
        let last = next.or_else(|| all.last().map(|(row, _)| row.place()));
        let page_info = PageInfo {
            has_next_page: next.is_some(),
            has_previous_page: is_later,
            start_cursor: all.first().map(|(row, _)| cursor(row.place())),
            end_cursor: last.map(cursor),
        };
        Self { page_info, all }
    }

    fn accounts<'a>(
        &'a self,
        context: &'a async_graphql::Context<'_>,
    ) -> async_graphql::Result<impl Iterator<Item = Account> + 'a> {
        let asked = Asked::of(context)?;
        let each = |(row, standing): &(users::Account, Standing)| {
            Account::standing(row.clone(), *standing, asked.context.clone(), &asked.platform)
        };
        Ok(self.all.iter().map(each))
    }
}
