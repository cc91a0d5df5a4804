//! The arrows between the crates point one way.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

fn metadata() -> Value {
    let cargo = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    // Of this platform alone: what others need has not been downloaded.
    let compiler = cargo("rustc", &["-vV"]);
    let host = compiler.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let arguments = ["metadata", "--format-version", "1", "--offline", "--locked", "--filter-platform", host];
    serde_json::from_str(&cargo(env!("CARGO"), &arguments)).unwrap()
}

/// The crates that each of ours may build on.
const ARROWS: [(&str, &[&str]); 7] = [
    ("dimensionos-core", &[]),
    ("migration", &[]),
    ("dimensionos-store", &["dimensionos-core", "migration"]),
    ("dimensionos-graphql", &["dimensionos-core", "dimensionos-store"]),
    ("benches", &["dimensionos-core", "dimensionos-store", "dimensionos-graphql"]),
    ("examples", &["dimensionos-core", "dimensionos-store", "dimensionos-graphql"]),
    ("fuzz", &["dimensionos-core", "dimensionos-graphql"]),
];

#[test]
fn no_crate_builds_on_one_above_it() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    for (name, allowed) in ARROWS {
        let package = packages.iter().find(|package| package["name"] == name).unwrap();
        for dependency in package["dependencies"].as_array().unwrap() {
            let on = dependency["name"].as_str().unwrap();
            let is_ours = ARROWS.iter().any(|(ours, _)| *ours == on);
            // A crate's tests may use its own features for tests.
            let is_itself = on == name && dependency["kind"] == "dev";
            assert!(!is_ours || is_itself || allowed.contains(&on), "{name} builds on {on}");
        }
    }
    let members = metadata["workspace_members"].as_array().unwrap().len();
    assert_eq!(members, ARROWS.len(), "every crate stands in the table");
}

#[test]
fn the_core_pulls_no_sql_http_or_graphql() {
    let metadata = metadata();
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let names: BTreeMap<&str, &str> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (package["id"].as_str().unwrap(), package["name"].as_str().unwrap()))
        .collect();
    let start = names.iter().find(|(_, name)| **name == "dimensionos-core").unwrap().0;
    let (mut seen, mut next) = (BTreeSet::new(), vec![*start]);
    while let Some(id) = next.pop() {
        if !seen.insert(id) {
            continue;
        }
        let node = nodes.iter().find(|node| node["id"] == id).unwrap();
        for dependency in node["deps"].as_array().unwrap() {
            let kinds = dependency["dep_kinds"].as_array().unwrap();
            if kinds.iter().any(|kind| kind["kind"].is_null()) {
                next.push(dependency["pkg"].as_str().unwrap());
            }
        }
    }
    let pulled: BTreeSet<&str> = seen.iter().map(|id| names[id]).collect();
    assert!(pulled.contains("tokio") && pulled.contains("bcrypt"), "{pulled:?}");
    let barred =
        ["sqlx", "sea-orm", "rusqlite", "libsqlite3-sys", "hyper", "http", "axum", "tower", "reqwest", "async-graphql"];
    for name in barred {
        assert!(!pulled.iter().any(|pulled| pulled.starts_with(name)), "{name}: {pulled:?}");
    }
}
