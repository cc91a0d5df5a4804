use async_graphql::{Context, InputObject, Object, Result, SimpleObject};
use dimensionos_core::Error;
use dimensionos_core::auth::{Password, Proof, Recovery, RecoveryCode};

use crate::engine::Asked;
use crate::error::dress;
use crate::schema::auth::{AuthPayload, IdentityInput};
use crate::schema::session::Session;

/// Work done instead of waiting: the challenge of a `RATE_LIMITED` error, and a text that solves it.
#[derive(InputObject)]
pub struct ProofInput {
    /// The error's `extensions.proofOfWork.challenge`, as it came.
    challenge: String,
    /// 1 to 64 ASCII characters such that SHA-256 of challenge, a dot and this begins with `difficulty` zero bits.
    solution: String,
}

impl ProofInput {
    pub(crate) fn parse(self) -> Result<Proof, Error> {
        Proof::new(self.challenge, self.solution)
    }

    pub(crate) fn parse_some(given: Option<Self>) -> Result<Option<Proof>, Error> {
        given.map(Self::parse).transpose()
    }
}

/// A way back in without the password.
#[derive(InputObject)]
pub struct RecoverInput {
    /// Whose account.
    identity: IdentityInput,
    /// One of the codes given at registration or since. It is used up.
    #[graphql(secret)]
    recovery_code: String,
    /// The password from now on.
    #[graphql(secret)]
    new_password: String,
    /// Asked for by `RATE_LIMITED`.
    proof: Option<ProofInput>,
}

/// New recovery codes.
#[derive(SimpleObject)]
pub struct RecoveryCodesPayload {
    /// Each opens the account once when the password is lost. Shown this once; those from before open nothing.
    recovery_codes: Vec<String>,
}

pub(crate) fn expose(codes: &[RecoveryCode]) -> Vec<String> {
    codes.iter().map(|code| code.expose().to_string()).collect()
}

#[derive(Debug, Default)]
pub struct CredentialsMutation;

#[Object]
impl CredentialsMutation {
    /// Sets another password. Every session ends, and a new one begins. Asks for a password check of the last five
    /// minutes (`REAUTHENTICATION_REQUIRED`).
    async fn change_password(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The password until now.", secret)] current: String,
        #[graphql(desc = "The password from now on.", secret)] new: String,
        #[graphql(desc = "Asked for by `RATE_LIMITED`.")] proof: Option<ProofInput>,
    ) -> Result<AuthPayload> {
        let asked = Asked::of(context)?;
        let changed = async {
            // Who may not do it is told so first, whatever the inputs are.
            asked.context.account()?;
            let (current, new) = (Password::new(&current)?, Password::new(&new)?);
            let proof = ProofInput::parse_some(proof)?;
            asked.platform.auth().change_password(&asked.context, &current, &new, proof.as_ref()).await
        };
        let signed_in = changed.await.map_err(|error| dress(&error, asked))?;
        Ok(AuthPayload::new(signed_in, asked))
    }

    /// Opens the account with a recovery code and sets another password. Every session ends, and a new one begins. An
    /// unknown account and a wrong code get the same answer in the same time.
    async fn recover(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Who, with which code, and the new password.")] input: RecoverInput,
    ) -> Result<AuthPayload> {
        let asked = Asked::of(context)?;
        let recovered = async {
            let recovery = Recovery {
                identity: input.identity.parse()?,
                code: input.recovery_code.parse()?,
                new_password: input.identity.password(&input.new_password)?,
                proof: ProofInput::parse_some(input.proof)?,
            };
            asked.platform.auth().recover(&asked.context, recovery).await
        };
        let signed_in = recovered.await.map_err(|error| dress(&error, asked))?;
        Ok(AuthPayload::new(signed_in, asked))
    }

    /// Checks the password of the signed-in account: for five minutes this session may do what asks for that.
    async fn reauthenticate(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The account's password.", secret)] password: String,
        #[graphql(desc = "Asked for by `RATE_LIMITED`.")] proof: Option<ProofInput>,
    ) -> Result<Session> {
        let asked = Asked::of(context)?;
        let checked = async {
            asked.context.account()?;
            let (password, proof) = (Password::new(&password)?, ProofInput::parse_some(proof)?);
            asked.platform.auth().reauthenticate(&asked.context, &password, proof.as_ref()).await
        };
        let session = checked.await.map_err(|error| dress(&error, asked))?;
        Ok(Session::new(&session, asked))
    }

    /// Makes new recovery codes in place of all the account has. Asks for a password check of the last five minutes
    /// (`REAUTHENTICATION_REQUIRED`).
    async fn renew_recovery_codes(&self, context: &Context<'_>) -> Result<RecoveryCodesPayload> {
        let asked = Asked::of(context)?;
        let codes = asked.platform.auth().renew_recovery_codes(&asked.context).await;
        let codes = codes.map_err(|error| dress(&error, asked))?;
        Ok(RecoveryCodesPayload { recovery_codes: expose(&codes) })
    }
}
