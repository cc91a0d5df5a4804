//! The schema as a contract: everything in it is described, no list in it is without an end, and what is to go says
//! since when and why.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::collections::{BTreeMap, BTreeSet};

use async_graphql::Positioned;
use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    BaseType, ConstDirective, FieldDefinition, InputValueDefinition, Type, TypeDefinition, TypeKind,
    TypeSystemDefinition,
};

/// Every list that is no page, and what bounds it.
const BOUNDED: [(&str, &str); 19] = [
    ("Account.sessions", "the newest 100: an older one ends where there are more"),
    ("Account.limitOverrides", "one for each resource"),
    ("Account.usageHistory", "3,000 points, or it is refused"),
    ("CopyrightComplaint.missing", "one for each element of a notice"),
    ("Payment.tiers", "one for each tier"),
    ("Query.tiers", "one for each tier"),
    ("Query.enforcementPolicies", "one for each version that an operator put to use"),
    ("Query.signInFlags", "the newest 100"),
    ("Query.transparencyReport", "one for each kind, sanction, origin and end of an appeal"),
    ("Query.jobs", "one for each job"),
    ("Query.voucherKeys", "one for each denomination in each quarter that can still be redeemed"),
    ("RecoveryCodesPayload.recoveryCodes", "ten"),
    ("RegisterPayload.recoveryCodes", "ten"),
    ("ServiceInfo.storedData", "one for each stored column"),
    ("ServiceInfo.terms", "the versions that the operator's settings name"),
    ("StatementOfReasons.supporting", "the figures that a rule has room for"),
    ("UsageSummary.resources", "one for each resource"),
    ("VoucherIssue.elements", "as many as were sent, 100 at most"),
    // Of what is sent the request's size is limited, and each is counted.
    ("UsageReportInput.samples", "1,000"),
];

fn types() -> Vec<TypeDefinition> {
    let sdl = parse_schema(dimensionos_graphql::schema::sdl()).unwrap();
    let types = sdl.definitions.into_iter().filter_map(|definition| match definition {
        TypeSystemDefinition::Type(definition) => Some(definition.node),
        _ => None,
    });
    types.collect()
}

/// Output fields of a type; none where it has none.
fn fields(definition: &TypeDefinition) -> &[Positioned<FieldDefinition>] {
    match &definition.kind {
        TypeKind::Object(object) => &object.fields,
        TypeKind::Interface(interface) => &interface.fields,
        _ => &[],
    }
}

fn inputs(definition: &TypeDefinition) -> &[Positioned<InputValueDefinition>] {
    match &definition.kind {
        TypeKind::InputObject(input) => &input.fields,
        _ => &[],
    }
}

fn is_list(kind: &Type) -> bool {
    matches!(kind.base, BaseType::List(_))
}

fn is_described(description: Option<&Positioned<String>>) -> bool {
    description.is_some_and(|text| !text.node.trim().is_empty())
}

#[test]
fn everything_in_the_schema_is_described() {
    let mut bare = Vec::new();
    let mut count = 0;
    let mut look = |name: String, description: Option<&Positioned<String>>| {
        count += 1;
        if !is_described(description) {
            bare.push(name);
        }
    };
    for definition in &types() {
        let of = &definition.name.node;
        look(of.to_string(), definition.description.as_ref());
        for field in fields(definition) {
            let field = &field.node;
            look(format!("{of}.{}", field.name.node), field.description.as_ref());
            for argument in &field.arguments {
                let name = format!("{of}.{}({})", field.name.node, argument.node.name.node);
                look(name, argument.node.description.as_ref());
            }
        }
        for field in inputs(definition) {
            look(format!("{of}.{}", field.node.name.node), field.node.description.as_ref());
        }
        if let TypeKind::Enum(values) = &definition.kind {
            for value in &values.values {
                look(format!("{of}.{}", value.node.value.node), value.node.description.as_ref());
            }
        }
    }
    assert_eq!(bare, Vec::<String>::new(), "without a description");
    assert!(count > 400, "{count} were looked at");
}

#[test]
fn no_list_is_without_an_end() {
    let types = types();
    let mut found = BTreeSet::new();
    for definition in &types {
        let of = definition.name.node.as_str();
        // What a page holds is bounded by what is asked of the page.
        if of.ends_with("Connection") {
            continue;
        }
        let outputs = fields(definition).iter().map(|field| (&field.node.name.node, &field.node.ty.node));
        let inputs = inputs(definition).iter().map(|field| (&field.node.name.node, &field.node.ty.node));
        let lists = outputs.chain(inputs).filter(|(_, kind)| is_list(kind));
        found.extend(lists.map(|(name, _)| format!("{of}.{name}")));
    }
    // What the client sends may lack as much as there is.
    found.remove("CopyrightComplaintInput.missing");
    let listed: BTreeSet<String> = BOUNDED.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(found, listed, "every list says what bounds it");

    let mut connections = BTreeMap::new();
    for definition in &types {
        for field in fields(definition) {
            let BaseType::Named(kind) = &field.node.ty.node.base else { continue };
            if kind.ends_with("Connection") {
                let arguments: BTreeMap<&str, &InputValueDefinition> =
                    field.node.arguments.iter().map(|one| (one.node.name.node.as_str(), &one.node)).collect();
                let first = arguments["first"];
                assert_eq!(first.default_value.as_ref().map(|value| value.node.to_string()).as_deref(), Some("20"));
                assert!(first.description.as_ref().unwrap().node.contains("1 to 100"), "{kind}");
                assert!(arguments["after"].ty.node.nullable, "{kind}");
                connections.insert(format!("{}.{}", definition.name.node, field.node.name.node), kind.to_string());
            }
        }
    }
    assert_eq!(connections.len(), 4, "{connections:?}");
}

#[test]
fn what_is_deprecated_says_since_when_and_why() {
    let check = |name: String, directives: &[Positioned<ConstDirective>]| {
        for directive in directives.iter().filter(|directive| directive.node.name.node == "deprecated") {
            let reason = directive.node.get_argument("reason").map(|reason| reason.node.to_string());
            let reason = reason.unwrap_or_else(|| panic!("{name} is deprecated without a reason"));
            let is_date = |word: &str| {
                let parts: Vec<&str> = word.trim_matches(|c: char| !c.is_ascii_digit()).split('-').collect();
                parts.iter().map(|part| part.len()).eq([4, 2, 2])
                    && parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
            };
            assert!(reason.split_whitespace().any(is_date), "{name} does not say since when: {reason}");
        }
    };
    for definition in &types() {
        let of = &definition.name.node;
        for field in fields(definition) {
            check(format!("{of}.{}", field.node.name.node), &field.node.directives);
            for argument in &field.node.arguments {
                check(format!("{of}.{}", field.node.name.node), &argument.node.directives);
            }
        }
        for field in inputs(definition) {
            check(format!("{of}.{}", field.node.name.node), &field.node.directives);
        }
        if let TypeKind::Enum(values) = &definition.kind {
            for value in &values.values {
                check(format!("{of}.{}", value.node.value.node), &value.node.directives);
            }
        }
    }
}
