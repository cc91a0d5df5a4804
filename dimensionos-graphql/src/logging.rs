//! The log: on standard error, in lines for people in development and in JSON in production. Nothing in it names or
//! describes a person: no address, token, user agent or source address is ever given to it.

use tracing_subscriber::EnvFilter;

use crate::config::Environment;

/// Starts the log. `RUST_LOG` chooses what is in it; without it, everything from `info` on, and of libraries from
/// `warn` on.
pub(crate) fn start(environment: Environment) {
    // In development a line a request would bury what the server says when it starts.
    let requests = match environment {
        Environment::Development => "warn",
        Environment::Production => "info",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        EnvFilter::new(format!("warn,dimensionos_core=info,dimensionos_graphql=info,request={requests}"))
    });
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A log that is running already is an embedding program's own, and stays.
    let _ = match environment {
        Environment::Development => log.with_ansi(false).try_init(),
        Environment::Production => log.json().flatten_event(true).try_init(),
    };
}
