//! What an operation costs, told from its text: one for each field, times as many as the lists above it may give.

use std::collections::HashMap;

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    BaseType, ExecutableDocument, Field, FieldDefinition, OperationDefinition, OperationType, Selection, SelectionSet,
    Type, TypeKind, TypeSystemDefinition,
};
use async_graphql::{Value, Variables};

/// How long a list is taken to be that names no length: sessions, tiers, resources. Those that may be longer are pages.
const USUAL_LENGTH: u64 = 10;
/// The argument that bounds a page.
const FIRST: &str = "first";

/// The fields of every object and interface, and how many of what each gives.
#[derive(Debug, Default)]
pub(super) struct Prices {
    fields: HashMap<String, HashMap<String, Price>>,
}

#[derive(Debug)]
struct Price {
    gives: String,
    times: Times,
}

#[derive(Debug, Clone, Copy)]
enum Times {
    Once,
    /// As often as `first` says, or so often where it is left out.
    First(u64),
    Usual,
}

impl Prices {
    /// Of a schema in the schema definition language.
    pub(super) fn of(sdl: &str) -> Self {
        let mut fields: HashMap<String, HashMap<String, Price>> = HashMap::new();
        for definition in parse_schema(sdl).map(|schema| schema.definitions).unwrap_or_default() {
            let TypeSystemDefinition::Type(definition) = definition else { continue };
            let declared = match definition.node.kind {
                TypeKind::Object(object) => object.fields,
                TypeKind::Interface(interface) => interface.fields,
                _ => continue,
            };
            let name = definition.node.name.node.to_string();
            // The length of a page was said where the page was asked for.
            let is_page = name.ends_with("Connection");
            let declared = declared.into_iter().map(|field| {
                let price = Price { gives: named(&field.node.ty.node).to_owned(), times: times(&field.node, is_page) };
                (field.node.name.node.to_string(), price)
            });
            fields.insert(name, declared.collect());
        }
        Self { fields }
    }

    /// What an operation costs, with these values of its variables.
    pub(super) fn of_operation(
        &self,
        document: &ExecutableDocument,
        operation: &OperationDefinition,
        variables: &Variables,
    ) -> u64 {
        let root = match operation.ty {
            OperationType::Query => "Query",
            OperationType::Mutation => "Mutation",
            OperationType::Subscription => "Subscription",
        };
        let mut bill = Bill { prices: self, document, variables, known: HashMap::new() };
        bill.of_set(&operation.selection_set.node, root)
    }
}

fn times(field: &FieldDefinition, is_page: bool) -> Times {
    let first = field.arguments.iter().find(|argument| argument.node.name.node == FIRST);
    if let Some(first) = first {
        let default = first.node.default_value.as_ref().and_then(|value| whole(&value.node));
        return Times::First(default.unwrap_or(USUAL_LENGTH));
    }
    match field.ty.node.base {
        BaseType::List(_) if !is_page => Times::Usual,
        _ => Times::Once,
    }
}

fn whole(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        _ => None,
    }
}

fn named(field_type: &Type) -> &str {
    match &field_type.base {
        BaseType::Named(name) => name,
        BaseType::List(element) => named(element),
    }
}

struct Bill<'a> {
    prices: &'a Prices,
    document: &'a ExecutableDocument,
    variables: &'a Variables,
    /// Each fragment is added up once, however often it is spread.
    known: HashMap<&'a str, u64>,
}

impl<'a> Bill<'a> {
    fn of_set(&mut self, set: &'a SelectionSet, parent: &'a str) -> u64 {
        let mut sum: u64 = 0;
        for selection in &set.items {
            let cost = match &selection.node {
                Selection::Field(field) => self.of_field(&field.node, parent),
                Selection::InlineFragment(inline) => {
                    let condition = inline.node.type_condition.as_ref();
                    let on = condition.map_or(parent, |condition| condition.node.on.node.as_str());
                    self.of_set(&inline.node.selection_set.node, on)
                }
                Selection::FragmentSpread(spread) => self.of_fragment(spread.node.fragment_name.node.as_str()),
            };
            sum = sum.saturating_add(cost);
        }
        sum
    }

    fn of_field(&mut self, field: &'a Field, parent: &str) -> u64 {
        let prices = self.prices;
        let Some(price) = prices.fields.get(parent).and_then(|fields| fields.get(field.name.node.as_str())) else {
            // Introspection reads memory alone, and how much of it a document may ask for has been bounded.
            return 1;
        };
        let below = self.of_set(&field.selection_set.node, &price.gives);
        let times = match price.times {
            Times::Once => 1,
            Times::Usual => USUAL_LENGTH,
            Times::First(default) => self.first(field).unwrap_or(default),
        };
        below.saturating_mul(times).saturating_add(1)
    }

    fn of_fragment(&mut self, name: &'a str) -> u64 {
        if let Some(cost) = self.known.get(name) {
            return *cost;
        }
        let document = self.document;
        let Some(fragment) = document.fragments.get(name) else { return 0 };
        // The document is valid, and has no circle of fragments.
        let fragment = &fragment.node;
        let cost = self.of_set(&fragment.selection_set.node, fragment.type_condition.node.on.node.as_str());
        self.known.insert(name, cost);
        cost
    }

    fn first(&self, field: &Field) -> Option<u64> {
        let given = &field.get_argument(FIRST)?.node;
        let known = given.clone().into_const_with(|name| {
            let value = self.variables.get(&name);
            value.cloned().ok_or(())
        });
        known.ok().as_ref().and_then(whole)
    }
}
