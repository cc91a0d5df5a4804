//! Settings: flags, then the environment, then `dimensionos.toml`, then defaults.

mod limits;
mod nats;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dimensionos_core::Timestamp;
use dimensionos_core::allocation::Resource;
use dimensionos_core::auth::{
    Audience, BillingPublicKey, HashCost, Issuer, PasswordRule, Pepper, SigningKey, TombstoneKey, VoucherKey,
};
use dimensionos_core::monitoring::Retention;
use dimensionos_core::payment::voucher::Denomination;
use dimensionos_core::payment::{BillingIssuer, LapsePeriods};
use dimensionos_core::users::{Terms, TermsVersion};
use dimensionos_store::Database;
use zeroize::Zeroizing;

use crate::bus::NatsSettings;
use crate::engine::EngineOptions;
use crate::http::SourceRate;

/// What every variable of the environment that is ours begins with.
const PREFIX: &str = "DIMENSIONOS_";
/// Variables that begin so and are not the server's: where tests find databases, an agent's token, and what becomes of
/// the web pages when a server is built.
const NOT_SETTINGS: [&str; 3] = ["DIMENSIONOS_TEST_", "DIMENSIONOS_AGENT_", "DIMENSIONOS_CONSOLE"];
/// The file of settings, in the folder the server is started in.
const FILE: &str = "dimensionos.toml";

/// What kind of deployment this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    /// Keys are made where there are none, and introspection answers.
    Development,
    /// Keys and allowed origins must be given; introspection, pages for developers, the demo and `db reset` are off.
    Production,
}

/// Everything a server is told before it starts.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What kind of deployment this is.
    pub environment: Environment,
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Where the database is.
    pub database_url: DatabaseUrl,
    /// Where NATS is, where servers on one database tell one another over it.
    pub nats: Option<NatsSettings>,
    /// In how many copies a stream of NATS keeps reports before they are counted; absent where the database has them at once.
    pub report_copies: Option<usize>,
    /// Where files of this server's own live.
    pub data_dir: PathBuf,
    /// The peppers, where they were given: the first makes, all verify.
    pub peppers: Option<Vec<Pepper>>,
    /// The signing keys, where they were given: the first makes, all verify.
    pub signing_keys: Option<Vec<SigningKey>>,
    /// The keys of what is left of erased accounts, where they were given: the first makes, all verify.
    pub tombstone_keys: Option<Vec<TombstoneKey>>,
    /// The keys of vouchers, where they were given: the first makes, all verify.
    pub voucher_keys: Option<Vec<VoucherKey>>,
    /// What vouchers are sold for.
    pub denominations: Vec<Denomination>,
    /// Whose attestations of payments are believed, where that was said.
    pub billing_public_keys: Option<Vec<BillingPublicKey>>,
    /// Who attests payments.
    pub billing_issuer: BillingIssuer,
    /// How long a lapsed account stays at each step.
    pub lapse_periods: LapsePeriods,
    /// Origins that browsers may call from besides the server's own.
    pub allowed_origins: Vec<String>,
    /// bcrypt's cost.
    pub bcrypt_cost: HashCost,
    /// What a new password has to be.
    pub password_rule: PasswordRule,
    /// The versions of the terms of service.
    pub terms: Terms,
    /// Who makes the tokens.
    pub issuer: Issuer,
    /// Whom they are for: this deployment.
    pub audience: Audience,
    /// Other services that accounts may ask tokens for.
    pub services: Vec<Audience>,
    /// Resources whose limits may be passed.
    pub soft_limits: Vec<Resource>,
    /// How long usage is kept.
    pub retention: Retention,
    /// How many proxies of ours stand in front.
    pub trusted_proxies: u8,
    /// What operations may be, and which.
    pub engine: EngineOptions,
    /// How often a source may ask without a token that holds.
    pub source_rate: SourceRate,
}

/// Where the database is; it may hold a password, and prints without it.
#[derive(Clone)]
pub struct DatabaseUrl(Zeroizing<String>);

impl DatabaseUrl {
    /// The URL in clear, to connect with.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it is a SQLite file.
    #[must_use]
    pub fn is_sqlite(&self) -> bool {
        self.0.starts_with("sqlite:")
    }
}

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DatabaseUrl")
    }
}

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A name that no setting has.
    #[error("{origin}: there is no setting {name}")]
    Unknown {
        /// Where it stood.
        origin: &'static str,
        /// The name.
        name: String,
    },
    /// A value that cannot be meant. The value itself is not repeated: it may be a secret.
    #[error("{name}: {reason}")]
    Invalid {
        /// The setting.
        name: &'static str,
        /// What is wrong with its value.
        reason: &'static str,
    },
    /// A setting that production demands.
    #[error("{name} must be set in production")]
    Missing {
        /// The setting.
        name: &'static str,
    },
    /// The file of settings cannot be read.
    #[error("{FILE} cannot be read: {reason}")]
    File {
        /// Why.
        reason: String,
    },
}

macro_rules! settings {
    ($($field:ident $name:literal $help:literal),+ $(,)?) => {
        /// Settings as they were written, before any is read.
        #[derive(Default, Clone, clap::Args)]
        pub struct Written {
            $(
                #[doc = $help]
                #[arg(long, global = true, value_name = $name)]
                pub $field: Option<String>,
            )+
        }

        impl std::fmt::Debug for Written {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("Written")
            }
        }

        impl Written {
            /// Sets a setting by its name; false where there is none of that name.
            fn set(&mut self, name: &str, value: String) -> bool {
                match name {
                    $($name => self.$field = Some(value),)+
                    _ => return false,
                }
                true
            }

            /// Each setting from here, or else from `other`.
            fn or(self, other: Self) -> Self {
                Self { $($field: self.$field.or(other.$field),)+ }
            }
        }
    };
}

settings! {
    env "ENV" "`development` (default) or `production`",
    listen "LISTEN" "Where to listen; port 0 picks a free one [default: 127.0.0.1:8000]",
    database_url "DATABASE_URL" "sqlite://PATH or postgres://… [default: sqlite://DATA_DIR/dimensionos.db]",
    nats_url "NATS_URL" "nats://… or tls://…, several of one cluster separated by commas: servers on one database tell one another over it what they change and count [default: none]",
    reports "REPORTS" "Where a report is durable before it is acknowledged: `database` (default), or `stream`, JetStream's, from which it is counted a moment later, or once the database is there again",
    report_copies "REPORT_COPIES" "On how many servers of a cluster of NATS a stream of reports is kept, 1 to 5 [default: 1]",
    nats_credentials "NATS_CREDENTIALS" "A file of credentials for NATS, as nsc makes it",
    nats_root_certificates "NATS_ROOT_CERTIFICATES" "A file of root certificates for NATS [default: the system's]",
    nats_client_certificate "NATS_CLIENT_CERTIFICATE" "A file with this server's certificate for NATS",
    nats_client_key "NATS_CLIENT_KEY" "A file with the key of NATS_CLIENT_CERTIFICATE",
    data_dir "DATA_DIR" "Where keys made in development and the SQLite file live [default: ./data]",
    pepper "PEPPER" "64 hex digits each, separated by commas: the first makes, all verify. Better in the environment: a command line is visible to everybody",
    signing_key "SIGNING_KEY" "64 hex digits each, separated by commas: the first makes, all verify. Better in the environment",
    tombstone_key "TOMBSTONE_KEY" "64 hex digits each, separated by commas: the first makes, all verify. Refuses a second trial to whoever erased an account in the last year",
    voucher_key "VOUCHER_KEY" "64 hex digits each, separated by commas: the first makes, all verify; each for as long as its vouchers are good, two years and a quarter",
    voucher_denominations "VOUCHER_DENOMINATIONS" "What vouchers are sold for, TIER:DAYS each, separated by commas [default: STARTER:30,PRO:30,ENTERPRISE:30]",
    billing_public_key "BILLING_PUBLIC_KEY" "Ed25519 public keys of 64 hex digits each, separated by commas: whose attestations of payments are believed",
    billing_issuer "BILLING_ISSUER" "Who attests payments, the `iss` of attestations [default: dimensionos-billing]",
    grace_days "GRACE_DAYS" "Days from what was paid for to read-only [default: 7]",
    read_only_days "READ_ONLY_DAYS" "Days from read-only to suspended [default: 30]",
    suspended_days "SUSPENDED_DAYS" "Days from suspended to cancelled [default: 60]",
    cancelled_days "CANCELLED_DAYS" "Days from cancelled to erased, 1 at least [default: 30]",
    appeal_recipient "APPEAL_RECIPIENT" "The operators' public key of age's (age1…), to which the statements of appeals are sealed [default: none]",
    allowed_origins "ALLOWED_ORIGINS" "Origins that browsers may call from, separated by commas [default: the server's own]",
    bcrypt_cost "BCRYPT_COST" "10 to 31 [default: 12]",
    min_password_length "MIN_PASSWORD_LENGTH" "Characters of a new password at least, 8 to 128 [default: 15]",
    terms "TERMS" "Versions of the terms, VERSION@DATE each, separated by commas; each is required from its date. Left out, there is one, called 1",
    issuer "ISSUER" "Who makes tokens, their `iss` [default: dimensionos]",
    audience "AUDIENCE" "Whom tokens are for, their `aud` [default: dimensionos]",
    services "SERVICES" "Other services that accounts may ask tokens for, by the `aud` of each, separated by commas [default: none]",
    soft_limits "SOFT_LIMITS" "Resources whose limits may be passed, such as API_CALLS, separated by commas: more is allowed, and flagged [default: none]",
    minute_retention_hours "MINUTE_RETENTION_HOURS" "Hours that usage by the minute is kept, 2 at least [default: 48]",
    hour_retention_days "HOUR_RETENTION_DAYS" "Days that usage by the hour is kept, 32 at least [default: 90]",
    day_retention_days "DAY_RETENTION_DAYS" "Days that usage by the day is kept [default: 1098]",
    max_body_bytes "MAX_BODY_BYTES" "Bytes of a request's body, or of a message on a socket [default: 262144]",
    max_document_bytes "MAX_DOCUMENT_BYTES" "Bytes of a document [default: 65536]",
    max_tokens "MAX_TOKENS" "Tokens of a document [default: 8000]",
    max_bracket_depth "MAX_BRACKET_DEPTH" "How deep a document's brackets may nest, 200 at most [default: 48]",
    max_directives "MAX_DIRECTIVES" "Directives of a document [default: 64]",
    max_aliases "MAX_ALIASES" "Aliases of an operation, its fragments written out [default: 64]",
    max_fields "MAX_FIELDS" "Fields of an operation, its fragments written out [default: 2000]",
    max_depth "MAX_DEPTH" "How deep an operation's fields may nest, its fragments written out [default: 24]",
    max_root_fields "MAX_ROOT_FIELDS" "Fields at an operation's root [default: 16]",
    max_cost "MAX_COST" "What an operation may cost: one a field, times as many as the lists above it may give [default: 10000]",
    kept_document_bytes "KEPT_DOCUMENT_BYTES" "Bytes of the texts of documents that are kept parsed for the next request [default: 1048576]",
    persisted_queries "PERSISTED_QUERIES" "`automatic` (default): a document that was sent with its SHA-256 may be asked for by that; `off`; `only`: those of PERSISTED_QUERIES_FILE and no others",
    persisted_queries_file "PERSISTED_QUERIES_FILE" "JSON: documents by their SHA-256, or a manifest of operations with id and body",
    charge_api_calls "CHARGE_API_CALLS" "`true` (default): an account may ask as often in an hour as it is granted API calls; or `false`",
    source_rate "SOURCE_RATE" "Requests a second from one source without a token that holds, 0 for no limit [default: 1000]",
    source_burst "SOURCE_BURST" "Requests at once from a source that has been quiet, 1 at least [default: 5000]",
    trusted_proxies "TRUSTED_PROXIES" "How many proxies stand in front, each adding to X-Forwarded-For whom it heard from; 0 believes nobody's word [default: 0]",
}

impl Settings {
    /// Reads the settings of this process.
    ///
    /// # Errors
    /// [`ConfigError`] with the setting's name.
    pub fn load(flags: Written) -> Result<Self, ConfigError> {
        let environment = from_environment(
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        )?;
        let file = match std::fs::read_to_string(FILE) {
            Ok(text) => from_file(&text)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Written::default(),
            Err(error) => return Err(ConfigError::File { reason: error.kind().to_string() }),
        };
        Self::parse(flags.or(environment).or(file))
    }

    fn parse(written: Written) -> Result<Self, ConfigError> {
        let environment = match written.env.as_deref() {
            None | Some("development") => Environment::Development,
            Some("production") => Environment::Production,
            Some(_) => return Err(invalid("ENV", "neither development nor production")),
        };
        let is_production = environment == Environment::Production;
        let demanded = [
            ("PEPPER", written.pepper.is_none()),
            ("SIGNING_KEY", written.signing_key.is_none()),
            ("BILLING_PUBLIC_KEY", written.billing_public_key.is_none()),
            ("ALLOWED_ORIGINS", written.allowed_origins.is_none()),
        ];
        if let Some((name, _)) = demanded.into_iter().find(|(_, is_missing)| is_production && *is_missing) {
            return Err(ConfigError::Missing { name });
        }
        let retention = retention(&written)?;
        let lapse_periods = lapse_periods(&written)?;
        let source_rate = limits::source_rate(&written)?;
        let engine = limits::engine(&written, environment)?;
        let nats = nats::settings(&written)?;
        let report_copies = nats::report_copies(&written)?;
        let data_dir = PathBuf::from(written.data_dir.as_deref().unwrap_or("./data"));
        Ok(Self {
            environment,
            listen: listen(written.listen.as_deref())?,
            database_url: database_url(written.database_url, &data_dir)?,
            nats,
            report_copies,
            data_dir,
            peppers: keys(written.pepper, "PEPPER")?,
            signing_keys: keys(written.signing_key, "SIGNING_KEY")?,
            tombstone_keys: keys(written.tombstone_key, "TOMBSTONE_KEY")?,
            voucher_keys: keys(written.voucher_key, "VOUCHER_KEY")?,
            denominations: denominations(written.voucher_denominations.as_deref())?,
            billing_public_keys: keys(written.billing_public_key, "BILLING_PUBLIC_KEY")?,
            billing_issuer: name(written.billing_issuer, "BILLING_ISSUER")?.map(BillingIssuer::new).unwrap_or_default(),
            lapse_periods,
            allowed_origins: origins(written.allowed_origins.as_deref())?,
            bcrypt_cost: cost(written.bcrypt_cost.as_deref())?,
            password_rule: password_rule(written.min_password_length.as_deref())?,
            terms: terms(written.terms.as_deref())?,
            issuer: name(written.issuer, "ISSUER")?.map(Issuer::new).unwrap_or_default(),
            audience: name(written.audience, "AUDIENCE")?.map(Audience::new).unwrap_or_default(),
            services: services(written.services.as_deref())?,
            soft_limits: soft_limits(written.soft_limits.as_deref())?,
            retention,
            trusted_proxies: proxies(written.trusted_proxies.as_deref())?,
            engine,
            source_rate,
        })
    }
}

const fn invalid(name: &'static str, reason: &'static str) -> ConfigError {
    ConfigError::Invalid { name, reason }
}

fn from_environment(variables: impl Iterator<Item = (String, String)>) -> Result<Written, ConfigError> {
    let mut written = Written::default();
    for (variable, value) in variables {
        let Some(name) = variable.strip_prefix(PREFIX) else { continue };
        if NOT_SETTINGS.iter().any(|prefix| variable.starts_with(prefix)) {
            continue;
        }
        if !written.set(name, value) {
            return Err(ConfigError::Unknown { origin: "environment", name: variable });
        }
    }
    Ok(written)
}

fn from_file(text: &str) -> Result<Written, ConfigError> {
    let table: toml::Table =
        text.parse().map_err(|error: toml::de::Error| ConfigError::File { reason: error.message().to_owned() })?;
    let mut written = Written::default();
    for (name, value) in table {
        let value = plain(value).ok_or_else(|| ConfigError::File {
            reason: format!("{name} is neither a text, a number nor a list of texts"),
        })?;
        // In the file, names are in lower case as TOML has them.
        if name.to_lowercase() != name || !written.set(&name.to_uppercase(), value) {
            return Err(ConfigError::Unknown { origin: FILE, name });
        }
    }
    Ok(written)
}

fn plain(value: toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Array(list) => {
            let texts: Option<Vec<String>> = list.into_iter().map(|one| one.as_str().map(str::to_owned)).collect();
            texts.map(|texts| texts.join(","))
        }
        _ => None,
    }
}

fn listen(text: Option<&str>) -> Result<SocketAddr, ConfigError> {
    let text = text.unwrap_or("127.0.0.1:8000");
    text.parse().map_err(|_| invalid("LISTEN", "not an address and a port, such as 127.0.0.1:8000"))
}

fn database_url(text: Option<String>, data_dir: &Path) -> Result<DatabaseUrl, ConfigError> {
    let url = text.unwrap_or_else(|| Database::sqlite_url(&data_dir.join("dimensionos.db")));
    if ["sqlite:", "postgres:", "postgresql:"].iter().any(|scheme| url.starts_with(scheme)) {
        Ok(DatabaseUrl(Zeroizing::new(url)))
    } else {
        Err(invalid("DATABASE_URL", "neither sqlite://… nor postgres://…"))
    }
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|one| !one.is_empty())
}

fn keys<K: std::str::FromStr>(text: Option<String>, name: &'static str) -> Result<Option<Vec<K>>, ConfigError> {
    let Some(text) = text.map(Zeroizing::new) else { return Ok(None) };
    let keys: Result<Vec<K>, _> = list(&text).map(str::parse).collect();
    match keys {
        Ok(keys) if !keys.is_empty() => Ok(Some(keys)),
        _ => Err(invalid(name, "not a list of keys of 64 hex digits each")),
    }
}

fn origins(text: Option<&str>) -> Result<Vec<String>, ConfigError> {
    let is_origin = |origin: &str| {
        let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        host.is_some_and(|host| !host.is_empty() && host.bytes().all(|c| c.is_ascii_graphic() && c != b'/'))
    };
    let origins: Vec<String> = text.map(|text| list(text).map(str::to_owned).collect()).unwrap_or_default();
    if origins.iter().all(|origin| is_origin(origin)) {
        Ok(origins)
    } else {
        Err(invalid("ALLOWED_ORIGINS", "not a list of origins such as https://app.example"))
    }
}

fn soft_limits(text: Option<&str>) -> Result<Vec<Resource>, ConfigError> {
    let resources: Result<Vec<Resource>, _> = list(text.unwrap_or_default()).map(str::parse).collect();
    resources.map_err(|_| invalid("SOFT_LIMITS", "not a list of resources such as API_CALLS"))
}

fn denominations(text: Option<&str>) -> Result<Vec<Denomination>, ConfigError> {
    let Some(text) = text else { return Ok(Denomination::OFFERED.to_vec()) };
    let offered: Result<Vec<Denomination>, _> = list(text).map(str::parse).collect();
    offered.map_err(|_| {
        invalid("VOUCHER_DENOMINATIONS", "not a list such as STARTER:30, of tiers that are paid for and 1 to 3660 days")
    })
}

fn retention(written: &Written) -> Result<Retention, ConfigError> {
    let hours = |text: Option<&String>, name, hours_each: u64, default: u64| {
        let number = text.map_or(Ok(default), |text| text.parse().map_err(|_| invalid(name, "not a whole number")))?;
        // Longer than anything was ever kept, and far from the end of what a duration holds.
        Ok::<_, ConfigError>(Duration::from_hours(number.min(1_000_000) * hours_each))
    };
    let minutes = hours(written.minute_retention_hours.as_ref(), "MINUTE_RETENTION_HOURS", 1, 48)?;
    let by_hour = hours(written.hour_retention_days.as_ref(), "HOUR_RETENTION_DAYS", 24, 90)?;
    let days = hours(written.day_retention_days.as_ref(), "DAY_RETENTION_DAYS", 24, 3 * 366)?;
    if minutes < Retention::MIN_MINUTES {
        return Err(invalid("MINUTE_RETENTION_HOURS", "less than 2"));
    }
    if by_hour < Retention::MIN_HOURS {
        return Err(invalid("HOUR_RETENTION_DAYS", "less than 32"));
    }
    Retention::new(minutes, by_hour, days).map_err(|_| invalid("DAY_RETENTION_DAYS", "less than HOUR_RETENTION_DAYS"))
}

fn lapse_periods(written: &Written) -> Result<LapsePeriods, ConfigError> {
    const TOO_LONG: &str = "not a whole number of days, ten years at most";
    let days = |text: Option<&String>, name, default: u64| {
        let days = text.map_or(Ok(default), |text| text.parse().map_err(|_| invalid(name, TOO_LONG)))?;
        let period = Duration::from_hours(days.min(1_000_000) * 24);
        if period > LapsePeriods::MAX { Err(invalid(name, TOO_LONG)) } else { Ok(period) }
    };
    let grace = days(written.grace_days.as_ref(), "GRACE_DAYS", 7)?;
    let read_only = days(written.read_only_days.as_ref(), "READ_ONLY_DAYS", 30)?;
    let suspended = days(written.suspended_days.as_ref(), "SUSPENDED_DAYS", 60)?;
    let cancelled = days(written.cancelled_days.as_ref(), "CANCELLED_DAYS", 30)?;
    LapsePeriods::new(grace, read_only, suspended, cancelled).map_err(|_| invalid("CANCELLED_DAYS", "less than 1"))
}

fn cost(text: Option<&str>) -> Result<HashCost, ConfigError> {
    let Some(text) = text else { return Ok(HashCost::DEFAULT) };
    let cost = text.parse().ok().and_then(|cost| HashCost::new(cost).ok());
    cost.ok_or(invalid("BCRYPT_COST", "not a number from 10 to 31"))
}

fn password_rule(text: Option<&str>) -> Result<PasswordRule, ConfigError> {
    let Some(text) = text else { return Ok(PasswordRule::default()) };
    let rule = text.parse().ok().and_then(|characters| PasswordRule::at_least(characters).ok());
    rule.ok_or(invalid("MIN_PASSWORD_LENGTH", "not a number from 8 to 128"))
}

fn terms(text: Option<&str>) -> Result<Terms, ConfigError> {
    let Some(text) = text else { return Ok(Terms::default()) };
    let version = |text: &str| {
        let (name, date) = text.split_once('@')?;
        let effective_at: Timestamp = format!("{}T00:00:00Z", date.trim()).parse().ok()?;
        Some(TermsVersion { name: name.trim().parse().ok()?, effective_at })
    };
    let versions: Option<Vec<TermsVersion>> = list(text).map(version).collect();
    let terms = versions.and_then(|versions| Terms::new(versions).ok());
    terms.ok_or(invalid("TERMS", "not a list of VERSION@DATE such as 2026-11@2026-11-01, each name and date once"))
}

fn name(text: Option<String>, setting: &'static str) -> Result<Option<String>, ConfigError> {
    match text {
        Some(text) if text.is_empty() || text.len() > 200 || !text.bytes().all(|c| c.is_ascii_graphic()) => {
            Err(invalid(setting, "not 1 to 200 ASCII characters without a space"))
        }
        text => Ok(text),
    }
}

fn services(text: Option<&str>) -> Result<Vec<Audience>, ConfigError> {
    let names = text.map(|text| list(text).map(str::to_owned).collect::<Vec<_>>()).unwrap_or_default();
    let checked = names.into_iter().map(|one| name(Some(one), "SERVICES"));
    Ok(checked.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().map(Audience::new).collect())
}

fn proxies(text: Option<&str>) -> Result<u8, ConfigError> {
    text.map_or(Some(0), |text| text.parse().ok()).ok_or(invalid("TRUSTED_PROXIES", "not a number from 0 to 255"))
}

#[cfg(test)]
mod tests;
