use crate::Error;
use crate::auth::{AccessKey, JsonWebKey, KeyName, NewAccessKey, Role, TokenPair};
use crate::context::{Caller, Context, Refusal};
use crate::id::AccessKeyId;
use crate::platform::Inner;
use crate::policy::{Action, Target, allows};
use crate::secret::{AccessKeyToken, BearerToken, SecretDigest, random_token};
use crate::store::{Access, StoreError};
use crate::users::Account;

/// Signs accounts in and out, and knows every caller by its token.
#[derive(Debug)]
pub struct Auth<'a>(pub(crate) &'a Inner);

/// An account that has just signed in.
#[derive(Debug)]
pub struct SignedIn {
    /// The account.
    pub account: Account,
    /// Its tokens.
    pub tokens: TokenPair,
}

impl Auth<'_> {
    /// Who presents this token. A refused one is a caller too, for whom public calls still work.
    ///
    /// # Errors
    /// Only where the storage fails.
    pub async fn caller(&self, token: &BearerToken) -> Result<Caller, Error> {
        let text = token.expose();
        if let Some(role) = Role::of_token(text) {
            return self.key_holder(role, text).await;
        }
        let principal = match self.0.secrets().tokens.read(text, self.0.clock.now()) {
            Ok(principal) => principal,
            Err(refusal) => return Ok(Caller::Refused(refusal)),
        };
        let entry = self.0.directory.entry(&*self.0.store, principal.account).await?;
        let is_current = entry.is_some_and(|entry| self.0.holds(&principal, &entry).is_ok());
        Ok(if is_current { Caller::Account(principal) } else { Caller::Refused(Refusal::Invalid) })
    }

    /// Whether a token was found good before: [`caller`](Self::caller) then tells whose it is without arithmetic and
    /// without asking the storage. Whoever is flooded with tokens may put off the others.
    #[must_use]
    pub fn remembers(&self, token: &BearerToken) -> bool {
        let digest = SecretDigest::of(token.expose());
        match Role::of_token(token.expose()) {
            Some(_) => self.0.key_holders.contains_key(&digest),
            None => self.0.secrets().tokens.remembers(&digest),
        }
    }

    async fn key_holder(&self, role: Role, token: &str) -> Result<Caller, Error> {
        let digest = SecretDigest::of(token);
        if let Some(id) = self.0.key_holders.get(&digest) {
            return Ok(as_caller(role, *id));
        }
        let mut tx = self.0.store.begin(Access::Read).await?;
        let key = tx.access_key(&digest).await?;
        let Some(key) = key.filter(|key| key.role == role) else { return Ok(Caller::Refused(Refusal::Invalid)) };
        // Keys cannot be withdrawn, so what was found once holds.
        self.0.key_holders.insert(digest, key.id);
        Ok(as_caller(role, key.id))
    }

    /// Makes a key for an agent or an operator.
    ///
    /// # Errors
    /// `Forbidden` where the caller may not; `Conflict` where the role has a key of that name.
    pub async fn create_key(&self, context: &Context, role: Role, name: KeyName) -> Result<NewAccessKey, Error> {
        let Self(inner) = self;
        let action = match role {
            Role::Agent => Action::CreateAgent,
            Role::Operator => Action::CreateOperator,
        };
        allows(&context.caller, action, Target::Service)?;
        let token = AccessKeyToken::new(random_token(role.token_prefix(), &*inner.entropy)?.as_str());
        let key = AccessKey {
            id: AccessKeyId::random(&*inner.entropy)?,
            role,
            name,
            digest: SecretDigest::of(token.expose()),
            created_at: inner.clock.now(),
        };
        let mut tx = inner.store.begin(Access::Write).await?;
        tx.insert_access_key(&key).await.map_err(name_taken)?;
        tx.commit().await.map_err(name_taken)?;
        Ok(NewAccessKey { key, token })
    }

    /// The public keys that verify access tokens. Public.
    #[must_use]
    pub fn public_keys(&self) -> Vec<JsonWebKey> {
        self.0.secrets().tokens.public_keys()
    }
}

fn as_caller(role: Role, id: AccessKeyId) -> Caller {
    match role {
        Role::Agent => Caller::Agent(id),
        Role::Operator => Caller::Operator(id),
    }
}

fn name_taken(error: StoreError) -> Error {
    match error {
        StoreError::Conflict => Error::Conflict { reason: "a key of this name exists" },
        other => other.into(),
    }
}
