//! The accounts of the service, page by page, for operators.

use crate::Error;
use crate::allocation::TierName;
use crate::context::Context;
use crate::id::AccountId;
use crate::payment::{ServiceStatus, Standing};
use crate::policy::{Action, Target, allows};
use crate::store::Access;
use crate::time::Timestamp;
use crate::users::{Account, Users};

/// Accounts that one page has at most.
pub const MAX_ACCOUNT_PAGE: u64 = 100;

/// Rows that are looked at for one page of a status, which no row says: it follows from the clock. Some milliseconds'
/// worth.
pub const MAX_LOOKED_AT: u64 = 1_000;

/// Which accounts are asked for. Everything that is set has to match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AccountFilter {
    /// In that status as of now.
    pub status: Option<ServiceStatus>,
    /// On that tier.
    pub tier: Option<TierName>,
}

/// Where an account stands among others: they are listed newest first. Neither part ever changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccountPlace {
    /// When it was registered.
    pub created_at: Timestamp,
    /// Which it is among those registered then.
    pub id: AccountId,
}

impl Account {
    /// Its place in a list.
    #[must_use]
    pub const fn place(&self) -> AccountPlace {
        AccountPlace { created_at: self.created_at, id: self.id }
    }
}

/// A page of accounts, each with the standing that it was chosen by.
#[derive(Debug, Clone, PartialEq)]
pub struct AccountPage {
    /// They, newest first.
    pub accounts: Vec<(Account, Standing)>,
    /// Where to go on; absent where nothing is left to look at. What is left need not match.
    pub next: Option<AccountPlace>,
}

impl Users<'_> {
    /// Accounts, newest first. Those whose time has come are left out, whether or not anybody has removed them yet.
    ///
    /// A page may be shorter than asked for, and even empty, while there is a [`next`](AccountPage::next): at most
    /// [`MAX_LOOKED_AT`] rows are looked at for it.
    ///
    /// # Errors
    /// `Forbidden` for any caller but an operator and the program; `InvalidInput` for a page of nothing, or of more than
    /// [`MAX_ACCOUNT_PAGE`].
    pub async fn list(
        &self,
        context: &Context,
        filter: &AccountFilter,
        after: Option<AccountPlace>,
        first: u64,
    ) -> Result<AccountPage, Error> {
        let Self(inner) = self;
        allows(&context.caller, Action::ListAccounts, Target::Service)?;
        if !(1..=MAX_ACCOUNT_PAGE).contains(&first) {
            return Err(Error::invalid("first", format!("not from 1 to {MAX_ACCOUNT_PAGE}")));
        }
        // One more than is looked at says whether there is more.
        let looked_at = if filter.status.is_some() { MAX_LOOKED_AT } else { first };
        let rows = inner.store.begin(Access::Read).await?.list_accounts(filter.tier, after, looked_at + 1).await?;
        let now = inner.clock.now();
        let (mut accounts, mut last, mut left) = (Vec::new(), None, rows.len() as u64);
        for account in rows.into_iter().take(usize::try_from(looked_at).unwrap_or(usize::MAX)) {
            if accounts.len() as u64 == first {
                break;
            }
            (last, left) = (Some(account.place()), left - 1);
            let standing = inner.lifecycle.standing(&account, now);
            let matches = filter.status.is_none_or(|status| standing.status == status);
            if matches && !inner.lifecycle.is_gone(&account, now) {
                accounts.push((account, standing));
            }
        }
        Ok(AccountPage { accounts, next: last.filter(|_| left > 0) })
    }
}
