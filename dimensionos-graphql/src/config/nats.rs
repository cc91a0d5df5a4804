use std::path::PathBuf;

use zeroize::Zeroizing;

use super::{ConfigError, Written, invalid, list};
use crate::bus::NatsSettings;

/// Where NATS is, where there is one.
pub(super) fn settings(written: &Written) -> Result<Option<NatsSettings>, ConfigError> {
    let path = |text: &Option<String>| text.as_ref().map(PathBuf::from);
    let credentials = path(&written.nats_credentials);
    let root_certificates = path(&written.nats_root_certificates);
    let client_certificate = match (path(&written.nats_client_certificate), path(&written.nats_client_key)) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) => return Err(invalid("NATS_CLIENT_KEY", "missing beside NATS_CLIENT_CERTIFICATE")),
        (None, Some(_)) => return Err(invalid("NATS_CLIENT_CERTIFICATE", "missing beside NATS_CLIENT_KEY")),
    };
    let Some(url) = &written.nats_url else {
        let others = [
            ("NATS_CREDENTIALS", credentials.is_some()),
            ("NATS_ROOT_CERTIFICATES", root_certificates.is_some()),
            ("NATS_CLIENT_CERTIFICATE", client_certificate.is_some()),
        ];
        return match others.into_iter().find(|(_, is_set)| *is_set) {
            Some((name, _)) => Err(invalid(name, "of no use without NATS_URL")),
            None => Ok(None),
        };
    };
    let is_address = |one: &str| {
        let host = one.strip_prefix("nats://").or_else(|| one.strip_prefix("tls://"));
        host.is_some_and(|host| !host.is_empty())
    };
    if list(url).next().is_none() || !list(url).all(is_address) {
        return Err(invalid("NATS_URL", "not a list of nats://HOST:PORT or tls://HOST:PORT"));
    }
    let url = Zeroizing::new(url.clone());
    Ok(Some(NatsSettings { url, credentials, root_certificates, client_certificate }))
}

/// In how many copies a stream keeps reports, where one does.
pub(super) fn report_copies(written: &Written) -> Result<Option<usize>, ConfigError> {
    let is_streamed = match written.reports.as_deref() {
        None | Some("database") => false,
        Some("stream") if written.nats_url.is_some() => true,
        Some("stream") => return Err(invalid("REPORTS", "a stream is of no use without NATS_URL")),
        Some(_) => return Err(invalid("REPORTS", "neither database nor stream")),
    };
    let copies = written.report_copies.as_deref().map_or(Some(1), |text| text.parse().ok());
    let copies = copies.filter(|copies| (1..=5).contains(copies));
    let copies = copies.ok_or(invalid("REPORT_COPIES", "not a number from 1 to 5"))?;
    Ok(is_streamed.then_some(copies))
}
