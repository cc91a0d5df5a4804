use async_graphql::{Context, ID, Object, Result};
use dimensionos_core::auth::Password;

use crate::engine::Asked;
use crate::error::dress;
use crate::schema::account::{Account, ServiceStatus, account_id};
use crate::schema::credentials::ProofInput;

#[derive(Debug, Default)]
pub struct StandingMutation;

#[Object]
impl StandingMutation {
    /// Accepts a version of the terms: the one in force, or an announced one.
    async fn accept_terms(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The version's name.")] version: String,
    ) -> Result<Account> {
        let asked = Asked::of(context)?;
        let accepted = async {
            asked.context.account()?;
            asked.platform.users().accept_terms(&asked.context, &version.parse()?).await
        };
        let row = accepted.await.map_err(|error| dress(&error, asked))?;
        Ok(Account::new(row, asked.context.clone(), asked))
    }

    /// Erases the account. Asks for the password again, and for a password check of the last five minutes
    /// (`REAUTHENTICATION_REQUIRED`).
    async fn erase_account(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The account's password.", secret)] password: String,
        #[graphql(desc = "Asked for by `RATE_LIMITED`.")] proof: Option<ProofInput>,
    ) -> Result<bool> {
        let asked = Asked::of(context)?;
        let erased = async {
            asked.context.account()?;
            let (password, proof) = (Password::new(&password)?, ProofInput::parse_some(proof)?);
            asked.platform.users().erase(&asked.context, &password, proof.as_ref()).await
        };
        erased.await.map_err(|error| dress(&error, asked))?;
        asked.end_cookie();
        Ok(true)
    }

    /// Operators only. Sets what an account may do; ACTIVE takes such a decision back, and leaves what its payments
    /// say. It holds from the next request on.
    async fn set_service_status(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Whose.")] account: ID,
        #[graphql(desc = "What it may do from now on.")] status: ServiceStatus,
        #[graphql(desc = "Why: 1 to 280 characters without an `@`. The account's holder reads it.")] reason: String,
    ) -> Result<Account> {
        let asked = Asked::of(context)?;
        let set = async {
            let id = account_id(&account);
            asked.platform.users().set_status(&asked.context, id, status.into(), reason.parse()?).await
        };
        let row = set.await.map_err(|error| dress(&error, asked))?;
        Ok(Account::new(row, asked.context.clone(), asked))
    }
}
