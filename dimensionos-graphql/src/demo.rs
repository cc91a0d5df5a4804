//! The demo: one account that is metered live from this server's own process, by the agent that meters any other.

use std::path::{Path, PathBuf};
use std::time::Duration;

use dimensionos_core::auth::{KeyName, Password, Role, SignIn};
use dimensionos_core::payment::ServiceStatus;
use dimensionos_core::secret::BearerToken;
use dimensionos_core::users::{AccountNumber, Identity, Registration};
use dimensionos_core::{AccountId, Caller, Context, Error, Platform};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroize;

use crate::agent::{self, AgentSettings, AgentToken, Target};
use crate::config::Settings;
use crate::keys::write_private;

/// How to sign in as the demo account, and its agent's token: kept in the data folder, for its owner alone, so that a
/// demo goes on where it was.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Demo {
    pub(crate) account_number: String,
    pub(crate) password: String,
    agent_token: String,
}

impl Drop for Demo {
    fn drop(&mut self) {
        [&mut self.account_number, &mut self.password, &mut self.agent_token].into_iter().for_each(Zeroize::zeroize);
    }
}

/// The demo cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    #[error("the demo's account cannot be set up")]
    Platform(#[from] Error),
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
}

impl Demo {
    /// The demo of before, or a new one where there is none that still opens.
    pub(crate) async fn open(platform: &Platform, data_dir: &Path) -> Result<(Self, AccountId), DemoError> {
        let path = data_dir.join("demo.json");
        let kept = std::fs::read(&path).ok().and_then(|text| serde_json::from_slice::<Self>(&text).ok());
        if let Some(demo) = kept
            && let Some(account) = demo.sign_in(platform).await?
        {
            return Ok((demo, account));
        }
        let (demo, account) = Self::create(platform).await?;
        let text = serde_json::to_vec_pretty(&demo).unwrap_or_default();
        write_private(&path, &text).map_err(|source| DemoError::File { path, source })?;
        Ok((demo, account))
    }

    async fn sign_in(&self, platform: &Platform) -> Result<Option<AccountId>, Error> {
        let caller = platform.auth().caller(&BearerToken::new(self.agent_token.as_str())).await?;
        let (Caller::Agent(_), Ok(number), Ok(password)) =
            (caller, self.account_number.parse::<AccountNumber>(), Password::new(&self.password))
        else {
            return Ok(None);
        };
        let identity = Identity::AccountNumber(number);
        match platform.auth().login(&Context::anonymous(), SignIn::new(identity, password)).await {
            Ok(signed_in) if platform.users().standing_of(&signed_in.account).status == ServiceStatus::Cancelled => {
                Ok(None)
            }
            Ok(signed_in) => Ok(Some(signed_in.account.id)),
            Err(Error::InvalidCredentials) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn create(platform: &Platform) -> Result<(Self, AccountId), Error> {
        let random = || -> Result<String, Error> {
            let mut bytes = [0; 12];
            platform.entropy().fill(&mut bytes)?;
            Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
        };
        let password = random()?;
        let registration = Registration::new(None, Password::new(&password)?);
        let registered = platform.users().register(&Context::anonymous(), registration).await?;
        let name: KeyName = format!("demo-{}", random()?).parse()?;
        let agent = platform.auth().create_key(&Context::system(), Role::Agent, name).await?;
        let number = registered.account_number.map(|number| number.expose().to_string()).unwrap_or_default();
        let demo = Self { account_number: number, password, agent_token: agent.token.expose().to_owned() };
        Ok((demo, registered.account.id))
    }

    /// What to tell whoever started it.
    pub(crate) fn message(&self, address: &str) -> String {
        let Self { account_number, password, .. } = self;
        format!(
            r#"
The demo account is metered live from this server's own process.

  console         {address}/
  any operation   {address}/graphiql
  account number  {account_number}
  password        {password}

Sign in:

  TOKEN=$(curl -s {address}/graphql -H 'content-type: application/json' -d '{{"query":"mutation {{ login(input: {{identity: {{accountNumber: \"{account_number}\"}}, password: \"{password}\"}}) {{ tokens {{ accessToken }} }} }}"}}' | sed 's/.*"accessToken":"\([^"]*\)".*/\1/')

Look at it, and watch it change:

  curl -s {address}/graphql -H 'content-type: application/json' -H "authorization: Bearer $TOKEN" -d '{{"query":"{{ me {{ tier status metrics {{ cpu {{ coresUsed }} ram {{ megabytesUsed }} storage {{ fileCount }} database {{ tableCount recordCount }} }} }} }}"}}'
  curl -sN {address}/graphql -H 'accept: text/event-stream' -H 'content-type: application/json' -H "authorization: Bearer $TOKEN" -d '{{"query":"subscription {{ usage {{ at cpu {{ coresUsed }} ram {{ megabytesUsed }} }} }}"}}'
"#
        )
    }

    /// Meters this process until told to stop.
    pub(crate) fn meter(&self, account: AccountId, address: &str, settings: &Settings, stop: CancellationToken) {
        let agent = AgentSettings {
            server: address.to_owned(),
            token: AgentToken::new(self.agent_token.as_str()),
            account: account.to_string(),
            target: Some(Target::Process(std::process::id())),
            storage: Some(settings.data_dir.clone()),
            database: Some(settings.database_url.expose().to_owned()),
            interval: Duration::from_secs(1),
            state: settings.data_dir.join("demo-agent"),
        };
        tokio::spawn(async move {
            if let Err(error) = agent::run(agent, stop).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "the demo's agent has stopped");
            }
        });
    }
}
