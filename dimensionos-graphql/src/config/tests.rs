use super::*;

fn variables(pairs: &[(&str, &str)]) -> Result<Written, ConfigError> {
    from_environment(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

#[test]
fn flags_come_before_the_environment_and_that_before_the_file() {
    let flags = Written { listen: Some("127.0.0.1:1".to_owned()), ..Written::default() };
    let environment = variables(&[("DIMENSIONOS_LISTEN", "127.0.0.1:2"), ("DIMENSIONOS_BCRYPT_COST", "11")]);
    let file = from_file("listen = '127.0.0.1:3'\nbcrypt_cost = 10\ndata_dir = '/x'\n");
    let settings = Settings::parse(flags.or(environment.unwrap()).or(file.unwrap())).unwrap();
    assert_eq!(settings.listen.port(), 1);
    assert_eq!(settings.bcrypt_cost, HashCost::new(11).unwrap());
    assert_eq!(settings.database_url.expose(), "sqlite:///x/dimensionos.db");
}

#[test]
fn an_unknown_name_is_refused_with_it() {
    let told = variables(&[("DIMENSIONOS_LISTN", "x")]).unwrap_err().to_string();
    assert!(told.contains("DIMENSIONOS_LISTN"), "{told}");
    let told = from_file("listn = 'x'").unwrap_err().to_string();
    assert!(told.contains("listn"), "{told}");
    assert!(
        variables(&[("DIMENSIONOS_TEST_POSTGRES_URL", "x"), ("DIMENSIONOS_CONSOLE", "skip"), ("PATH", "y")]).is_ok()
    );
}

#[test]
fn a_wrong_value_is_refused_by_name_and_not_repeated() {
    let secret = "00hunter2";
    for (name, value) in [
        ("DIMENSIONOS_ENV", "prod"),
        ("DIMENSIONOS_LISTEN", "8000"),
        ("DIMENSIONOS_DATABASE_URL", "mysql://x"),
        ("DIMENSIONOS_PEPPER", secret),
        ("DIMENSIONOS_PEPPER", ""),
        ("DIMENSIONOS_SIGNING_KEY", secret),
        ("DIMENSIONOS_TOMBSTONE_KEY", secret),
        ("DIMENSIONOS_BILLING_PUBLIC_KEY", secret),
        ("DIMENSIONOS_BILLING_ISSUER", "two words"),
        ("DIMENSIONOS_GRACE_DAYS", "-1"),
        ("DIMENSIONOS_READ_ONLY_DAYS", "a month"),
        ("DIMENSIONOS_SUSPENDED_DAYS", "4000"),
        ("DIMENSIONOS_CANCELLED_DAYS", "0"),
        ("DIMENSIONOS_ALLOWED_ORIGINS", "app.example"),
        ("DIMENSIONOS_ALLOWED_ORIGINS", "https://app.example/path"),
        ("DIMENSIONOS_APPEAL_RECIPIENT", ""),
        ("DIMENSIONOS_APPEAL_RECIPIENT", "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8q"),
        ("DIMENSIONOS_BCRYPT_COST", "9"),
        ("DIMENSIONOS_MIN_PASSWORD_LENGTH", "7"),
        ("DIMENSIONOS_TERMS", ""),
        ("DIMENSIONOS_TERMS", "1"),
        ("DIMENSIONOS_TERMS", "1@yesterday"),
        ("DIMENSIONOS_TERMS", "1@2026-01-01,1@2026-02-01"),
        ("DIMENSIONOS_ISSUER", ""),
        ("DIMENSIONOS_AUDIENCE", "two words"),
        ("DIMENSIONOS_SERVICES", "billing,two words"),
        ("DIMENSIONOS_TRUSTED_PROXIES", "-1"),
        ("DIMENSIONOS_MAX_BODY_BYTES", "1"),
        ("DIMENSIONOS_MAX_BRACKET_DEPTH", "5000"),
        ("DIMENSIONOS_MAX_COST", "much"),
        ("DIMENSIONOS_MAX_TOKENS", "0"),
        ("DIMENSIONOS_PERSISTED_QUERIES", "some"),
        ("DIMENSIONOS_CHARGE_API_CALLS", "yes"),
        ("DIMENSIONOS_SOURCE_RATE", "-1"),
        ("DIMENSIONOS_SOURCE_BURST", "0"),
    ] {
        let told = Settings::parse(variables(&[(name, value)]).unwrap()).unwrap_err().to_string();
        assert!(told.starts_with(name.trim_start_matches(PREFIX)) && !told.contains(secret), "{told}");
    }
}

#[test]
fn terms_and_services_are_lists() {
    let written = variables(&[
        ("DIMENSIONOS_TERMS", "2026-11@2026-11-01, 2027@2027-01-15"),
        ("DIMENSIONOS_SERVICES", "billing, https://forum.example"),
    ]);
    let settings = Settings::parse(written.unwrap()).unwrap();
    let names: Vec<_> = settings.terms.versions().iter().map(|version| version.name.as_str()).collect();
    assert_eq!(names, ["2026-11", "2027"]);
    assert_eq!(settings.services, ["billing", "https://forum.example"].map(Audience::new));
}

#[test]
fn production_demands_its_keys_and_origins() {
    let key = "ab".repeat(32);
    let all = [
        ("DIMENSIONOS_ENV", "production"),
        ("DIMENSIONOS_PEPPER", key.as_str()),
        ("DIMENSIONOS_SIGNING_KEY", key.as_str()),
        ("DIMENSIONOS_BILLING_PUBLIC_KEY", key.as_str()),
        ("DIMENSIONOS_ALLOWED_ORIGINS", ""),
    ];
    assert!(Settings::parse(variables(&all).unwrap()).is_ok());
    for missing in 1..all.len() {
        let mut some = all.to_vec();
        some.remove(missing);
        let told = Settings::parse(variables(&some).unwrap()).unwrap_err();
        assert!(matches!(told, ConfigError::Missing { .. }), "{told}");
    }
}

#[test]
fn limits_are_settings() {
    let written = variables(&[("DIMENSIONOS_MAX_ALIASES", "5"), ("DIMENSIONOS_MAX_COST", "77")]).unwrap();
    let limits = Settings::parse(written).unwrap().engine.limits;
    assert_eq!((limits.aliases, limits.cost, limits.tokens), (5, 77, 8_000));
}

#[test]
fn a_list_of_documents_is_demanded_with_its_mode_and_has_to_be_good() {
    let only = ("DIMENSIONOS_PERSISTED_QUERIES", "only");
    let told = Settings::parse(variables(&[only]).unwrap()).unwrap_err().to_string();
    assert!(told.starts_with("PERSISTED_QUERIES_FILE"), "{told}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("queries.json");
    let path = file.to_str().unwrap();
    let digest = "5d6b9a3ce5d0b1b1b2a9dd7e8b8f5a0c1f8a6d1c3a5e7b9d0f2a4c6e8a0b2c4d";
    for (json, is_good) in [
        ("{}".to_owned(), true),
        (format!(r#"{{ "{digest}": "{{ me {{ id }} }}" }}"#), false),
        (r#"{ "operations": [{ "id": "x", "body": "{ me { id } }" }] }"#.to_owned(), false),
        ("[]".to_owned(), false),
    ] {
        std::fs::write(&file, &json).unwrap();
        let settings = Settings::parse(variables(&[only, ("DIMENSIONOS_PERSISTED_QUERIES_FILE", path)]).unwrap());
        assert_eq!(settings.is_ok(), is_good, "{json}");
    }
}

#[test]
fn nats_is_named_whole_and_its_url_is_told_to_nobody() {
    let parse = |pairs: &[(&str, &str)]| Settings::parse(variables(pairs).unwrap());
    let url = ("DIMENSIONOS_NATS_URL", "nats://ada:hunter2@one:4222, tls://two");
    let settings = parse(&[url, ("DIMENSIONOS_NATS_CREDENTIALS", "/c"), ("DIMENSIONOS_REPORTS", "stream")]).unwrap();
    assert!(settings.nats.is_some());
    assert_eq!(settings.report_copies, Some(1));
    assert!(!format!("{settings:?}").contains("hunter2"));
    let plain = parse(&[url, ("DIMENSIONOS_REPORT_COPIES", "3")]).unwrap();
    assert_eq!(plain.report_copies, None, "there is no stream");
    for (name, wrong) in [
        ("NATS_URL", vec![("DIMENSIONOS_NATS_URL", "http://one")]),
        ("NATS_URL", vec![("DIMENSIONOS_NATS_URL", " ,")]),
        ("NATS_CREDENTIALS", vec![("DIMENSIONOS_NATS_CREDENTIALS", "/c")]),
        ("NATS_CLIENT_KEY", vec![url, ("DIMENSIONOS_NATS_CLIENT_CERTIFICATE", "/c")]),
        ("NATS_CLIENT_CERTIFICATE", vec![url, ("DIMENSIONOS_NATS_CLIENT_KEY", "/k")]),
        ("REPORTS", vec![("DIMENSIONOS_REPORTS", "stream")]),
        ("REPORTS", vec![url, ("DIMENSIONOS_REPORTS", "tape")]),
        ("REPORT_COPIES", vec![url, ("DIMENSIONOS_REPORTS", "stream"), ("DIMENSIONOS_REPORT_COPIES", "6")]),
    ] {
        let told = parse(&wrong).unwrap_err().to_string();
        assert!(told.starts_with(name) && !told.contains("hunter2"), "{told}");
    }
}
