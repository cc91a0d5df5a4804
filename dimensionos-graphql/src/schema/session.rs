use async_graphql::{Context, ID, Object, Result, SimpleObject};
use dimensionos_core::auth::{self, Audience};
use dimensionos_core::id::SessionId;

use crate::engine::Asked;
use crate::error::dress;
use crate::schema::DateTime;
use crate::schema::account::account_id;

/// One sign-in, and every token that descends from it.
#[derive(Debug, SimpleObject)]
pub struct Session {
    /// Random.
    pub(crate) id: ID,
    /// When it began.
    created_at: DateTime,
    /// When it ends unless it is renewed.
    expires_at: DateTime,
    /// When the password was last checked in it. What asks for a check asks for one of the last five minutes.
    authenticated_at: DateTime,
    /// Whether it is the one this request belongs to.
    current: bool,
}

impl Session {
    pub(crate) fn new(session: &auth::Session, asked: &Asked) -> Self {
        let current = asked.context.account().is_ok_and(|principal| principal.session == session.id);
        Self {
            id: session.id.to_string().into(),
            created_at: session.created_at.into(),
            expires_at: session.expires_at.into(),
            authenticated_at: session.authenticated_at.into(),
            current,
        }
    }
}

/// A token for another service.
#[derive(SimpleObject)]
pub struct ServiceToken {
    /// To hand to that service, which verifies it by `/.well-known/jwks.json`.
    token: String,
    /// What the account is called there: always the same there, and different everywhere else.
    subject: String,
    /// When the token runs out.
    expires_at: DateTime,
}

#[derive(Debug, Default)]
pub struct SessionMutation;

#[Object]
impl SessionMutation {
    /// Ends one session of the account; its tokens open nothing from the next request on.
    async fn end_session(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "One of the account's `sessions`.")] session: ID,
    ) -> Result<bool> {
        let asked = Asked::of(context)?;
        // A text that is no id names a session that is not there.
        let id = session.parse().unwrap_or(SessionId::from_bits(0));
        let ended = asked.platform.auth().end_session(&asked.context, id).await;
        ended.map_err(|error| dress(&error, asked))?;
        if asked.context.account().is_ok_and(|principal| principal.session == id) {
            asked.end_cookie();
        }
        Ok(true)
    }

    /// Operators only. Ends every session of an account, as when its tokens have been seen where they should not be.
    async fn end_sessions_of(&self, context: &Context<'_>, #[graphql(desc = "Whose.")] account: ID) -> Result<bool> {
        let asked = Asked::of(context)?;
        let ended = asked.platform.auth().end_sessions_of(&asked.context, account_id(&account)).await;
        ended.map_err(|error| dress(&error, asked))?;
        Ok(true)
    }

    /// A token of five minutes for another service, in which the account goes by a name that only that service knows
    /// it by: two services cannot tell that they have the same user.
    async fn service_token(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "One of the services that this server is set up for.")] audience: String,
    ) -> Result<ServiceToken> {
        let asked = Asked::of(context)?;
        let issued = asked.platform.auth().service_token(&asked.context, &Audience::new(audience)).await;
        let issued = issued.map_err(|error| dress(&error, asked))?;
        Ok(ServiceToken {
            token: issued.token.expose().to_owned(),
            subject: issued.subject,
            expires_at: issued.expires_at.into(),
        })
    }
}
