use async_graphql::{Context, InputObject, Object, OneofObject, Result, SimpleObject};
use dimensionos_core::auth::{self, Password, SignIn, SignedIn};
use dimensionos_core::secret::RefreshToken;
use dimensionos_core::users::{self, Identity, Registered, Registration};
use dimensionos_core::{Caller, Code, Error};

use crate::engine::Asked;
use crate::error::dress;
use crate::schema::DateTime;
use crate::schema::account::Account;
use crate::schema::credentials::{ProofInput, expose};

/// Who signs in. Exactly one.
#[derive(OneofObject)]
pub enum IdentityInput {
    /// The address in clear. It is tagged in memory at once; it is never stored, logged or forwarded.
    Email(String),
    /// 64 hex digits: SHA-256 of the normalised address, for clients that never send the address itself. Names the
    /// same account as the address does.
    EmailDigest(String),
    /// The number that `register` issued to an account without an address.
    AccountNumber(String),
}

impl IdentityInput {
    /// The password of whoever this is. An address in clear is looked for in it, and then forgotten.
    pub(crate) fn password(&self, text: &str) -> Result<Password, Error> {
        let password = Password::new(text)?;
        Ok(match self {
            Self::Email(address) => password.of(address),
            Self::EmailDigest(_) | Self::AccountNumber(_) => password,
        })
    }

    pub(crate) fn parse(&self) -> Result<Identity, Error> {
        match self {
            Self::Email(address) => Identity::email(address),
            Self::EmailDigest(digest) => digest.parse().map(Identity::Email),
            Self::AccountNumber(number) => number.parse().map(Identity::AccountNumber),
        }
    }
}

/// A new account.
#[derive(InputObject)]
pub struct RegisterInput {
    /// Left out: the account gets a random account number instead, and no address is ever involved.
    identity: Option<IdentityInput>,
    /// At least 15 characters; a few unrelated words will do.
    #[graphql(secret)]
    password: String,
    /// The version of the terms that is accepted; the current one when left out.
    terms_version: Option<String>,
    /// Asked for by `RATE_LIMITED`.
    proof: Option<ProofInput>,
}

/// A sign-in.
#[derive(InputObject)]
pub struct LoginInput {
    /// Whose account.
    identity: IdentityInput,
    /// Its password.
    #[graphql(secret)]
    password: String,
    /// The version of the terms that is accepted with this; nothing is accepted when left out.
    terms_version: Option<String>,
    /// Asked for by `RATE_LIMITED`.
    proof: Option<ProofInput>,
}

/// What a signed-in client holds.
#[derive(SimpleObject)]
pub struct TokenPair {
    /// For every request, as `Authorization: Bearer …`.
    access_token: String,
    /// When the access token runs out.
    access_token_expires_at: DateTime,
    /// For one use of `refresh`. The empty text where the request asked for a session in a cookie, by the header
    /// `X-DimensionOS-Session: cookie`: the token is in the cookie then, out of reach of the page's scripts.
    refresh_token: String,
    /// When the refresh token runs out.
    refresh_token_expires_at: DateTime,
}

impl TokenPair {
    /// The pair as it is answered. Every one that is passes through here: what a cookie keeps is in no answer.
    fn new(tokens: auth::TokenPair, asked: &Asked) -> Self {
        let expires_at = tokens.refresh_token_expires_at;
        let refresh_token = match &asked.cookie {
            Some(cookie) => {
                cookie.set(tokens.refresh_token, expires_at);
                String::new()
            }
            None => tokens.refresh_token.expose().to_owned(),
        };
        Self {
            access_token: tokens.access_token.expose().to_owned(),
            access_token_expires_at: tokens.access_token_expires_at.into(),
            refresh_token,
            refresh_token_expires_at: expires_at.into(),
        }
    }
}

/// A new account, signed in.
#[derive(SimpleObject)]
pub struct RegisterPayload {
    /// The account.
    account: Account,
    /// Its first tokens.
    tokens: TokenPair,
    /// Set where no identity was given. Shown this once.
    account_number: Option<String>,
    /// Each opens the account once when the password is lost. Shown this once.
    recovery_codes: Vec<String>,
}

/// An account that has signed in.
#[derive(SimpleObject)]
pub struct AuthPayload {
    /// The account.
    account: Account,
    /// Its tokens.
    tokens: TokenPair,
}

impl AuthPayload {
    pub(crate) fn new(signed_in: SignedIn, asked: &Asked) -> Self {
        let account = own(signed_in.account, &signed_in.tokens, asked);
        Self { account, tokens: TokenPair::new(signed_in.tokens, asked) }
    }
}

/// The account as its holder sees it, who has only just become the caller.
fn own(account: users::Account, tokens: &auth::TokenPair, asked: &Asked) -> Account {
    let viewer = dimensionos_core::Context { caller: Caller::Account(tokens.principal), ..asked.context.clone() };
    Account::new(account, viewer, asked)
}

#[derive(Debug, Default)]
pub struct AuthMutation;

#[Object]
impl AuthMutation {
    /// Opens an account on the FREE tier and signs it in.
    async fn register(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Who, and with which password.")] input: RegisterInput,
    ) -> Result<RegisterPayload> {
        let asked = Asked::of(context)?;
        let registered = async {
            let registration = Registration {
                identity: input.identity.as_ref().map(IdentityInput::parse).transpose()?,
                password: match &input.identity {
                    Some(identity) => identity.password(&input.password)?,
                    None => Password::new(&input.password)?,
                },
                terms: input.terms_version.map(|version| version.parse()).transpose()?,
                proof: ProofInput::parse_some(input.proof)?,
            };
            asked.platform.users().register(&asked.context, registration).await
        };
        let registered: Registered = registered.await.map_err(|error| dress(&error, asked))?;
        Ok(RegisterPayload {
            account: own(registered.account, &registered.tokens, asked),
            account_number: registered.account_number.map(|number| number.expose().to_string()),
            recovery_codes: expose(&registered.recovery_codes),
            tokens: TokenPair::new(registered.tokens, asked),
        })
    }

    /// Signs in. An unknown account and a wrong password get the same answer in the same time.
    async fn login(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Who, and with which password.")] input: LoginInput,
    ) -> Result<AuthPayload> {
        let asked = Asked::of(context)?;
        let signed_in = async {
            let sign_in = SignIn {
                identity: input.identity.parse()?,
                password: Password::new(&input.password)?,
                terms: input.terms_version.map(|version| version.parse()).transpose()?,
                proof: ProofInput::parse_some(input.proof)?,
            };
            asked.platform.auth().login(&asked.context, sign_in).await
        };
        let signed_in = signed_in.await.map_err(|error| dress(&error, asked))?;
        Ok(AuthPayload::new(signed_in, asked))
    }

    /// Rotates the pair. A refresh token that was used before ends its whole session family.
    async fn refresh(
        &self,
        context: &Context<'_>,
        #[graphql(
            desc = "The refresh token of the pair; the empty text where the session is in a cookie, which then holds it.",
            secret
        )]
        refresh_token: String,
    ) -> Result<AuthPayload> {
        let asked = Asked::of(context)?;
        let cookie = asked.cookie.as_ref().filter(|_| refresh_token.is_empty());
        let token = cookie.map_or_else(|| RefreshToken::new(refresh_token), |cookie| cookie.token());
        let signed_in = asked.platform.auth().refresh(&asked.context, &token).await;
        if let (Some(cookie), Err(error)) = (cookie, &signed_in)
            && matches!(error.code(), Code::TokenInvalid | Code::TokenExpired | Code::TokenReused)
        {
            // What it holds opens nothing any more.
            cookie.remove();
        }
        let signed_in = signed_in.map_err(|error| dress(&error, asked))?;
        Ok(AuthPayload::new(signed_in, asked))
    }

    /// Ends this session, or every session of the account; their tokens open nothing from the next request on.
    async fn logout(
        &self,
        context: &Context<'_>,
        #[graphql(default = false, desc = "Whether every session of the account ends.")] everywhere: bool,
    ) -> Result<bool> {
        let asked = Asked::of(context)?;
        let auth = asked.platform.auth();
        let ended =
            if everywhere { auth.logout_everywhere(&asked.context).await } else { auth.logout(&asked.context).await };
        ended.map_err(|error| dress(&error, asked))?;
        asked.end_cookie();
        Ok(true)
    }
}
