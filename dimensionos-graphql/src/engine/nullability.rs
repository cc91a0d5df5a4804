//! Puts back what the executor leaves out of an answer with errors.
//!
//! async-graphql 7.2 drops a field that failed from its object. GraphQL wants a null there, or where the field may not
//! be null, a null in place of the nearest parent that may be: clients' generated types rely on it. It also answers
//! null for an object of which every field was skipped, where GraphQL wants an empty one.

use std::collections::HashMap;

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    BaseType, ExecutableDocument, Field, OperationType, Selection, SelectionSet, Type, TypeKind, TypeSystemDefinition,
};
use async_graphql::{Name, PathSegment, Response, Value};

/// The fields of every object and interface, by type and name.
#[derive(Debug, Default)]
pub(super) struct Nullability {
    fields: HashMap<Name, HashMap<Name, Type>>,
}

const MUTATION: &str = "Mutation";
const QUERY: &str = "Query";
const SUBSCRIPTION: &str = "Subscription";

impl Nullability {
    /// Of a schema in the schema definition language.
    pub(super) fn of(sdl: &str) -> Self {
        let mut fields = HashMap::new();
        let definitions = parse_schema(sdl).map(|schema| schema.definitions).unwrap_or_default();
        for definition in definitions {
            let TypeSystemDefinition::Type(definition) = definition else { continue };
            let declared = match definition.node.kind {
                TypeKind::Object(object) => object.fields,
                TypeKind::Interface(interface) => interface.fields,
                _ => continue,
            };
            let declared = declared.into_iter().map(|field| (field.node.name.node, field.node.ty.node)).collect();
            fields.insert(definition.node.name.node, declared);
        }
        Self { fields }
    }

    /// Brings an executed answer into the shape that GraphQL prescribes.
    pub(super) fn restore(&self, document: &ExecutableDocument, response: &mut Response) {
        for error in &response.errors {
            let kept = self.nullable_prefix(document, &error.path);
            put_null(&mut response.data, &error.path[..kept]);
        }
        if response.errors.is_empty() && response.data == Value::Null {
            response.data = Value::Object(async_graphql::indexmap::IndexMap::new());
        }
        if response.errors.is_empty() {
            for (_, operation) in document.operations.iter() {
                let root = root_type(operation.node.ty);
                let walk = Walk { types: self, document };
                walk.empty_objects(&operation.node.selection_set.node, root, &mut response.data);
            }
        }
    }

    /// How much of an error's path leads to the innermost place that may be null.
    fn nullable_prefix(&self, document: &ExecutableDocument, path: &[PathSegment]) -> usize {
        let prefixes = document.operations.iter().map(|(_, operation)| {
            let set = &operation.node.selection_set.node;
            Walk { types: self, document }.nullable_prefix(set, root_type(operation.node.ty), path)
        });
        // Of several operations only one was executed; the others do not have the path.
        prefixes.flatten().max().unwrap_or(0)
    }
}

const fn root_type(operation: OperationType) -> &'static str {
    match operation {
        OperationType::Query => QUERY,
        OperationType::Mutation => MUTATION,
        OperationType::Subscription => SUBSCRIPTION,
    }
}

struct Walk<'a> {
    types: &'a Nullability,
    document: &'a ExecutableDocument,
}

impl<'a> Walk<'a> {
    fn nullable_prefix(&self, set: &'a SelectionSet, root: &'a str, path: &[PathSegment]) -> Option<usize> {
        let (mut set, mut parent) = (set, root);
        let mut present: Option<&Type> = None;
        let mut kept = 0;
        for (place, segment) in path.iter().enumerate() {
            let reached = match segment {
                PathSegment::Field(key) => {
                    let (field, field_type) = self.field(set, parent, key)?;
                    (set, parent) = (&field.selection_set.node, named(field_type));
                    field_type
                }
                PathSegment::Index(_) => match &present?.base {
                    BaseType::List(element) => element,
                    BaseType::Named(_) => return None,
                },
            };
            if reached.nullable {
                kept = place + 1;
            }
            present = Some(reached);
        }
        Some(kept)
    }

    /// The field that a key of an answer stands for, through fragments, and its type.
    fn field(&self, set: &'a SelectionSet, parent: &'a str, key: &str) -> Option<(&'a Field, &'a Type)> {
        set.items.iter().find_map(|selection| match &selection.node {
            Selection::Field(field) => {
                let field = &field.node;
                let found = field.response_key().node == key;
                let known = self.types.fields.get(parent).and_then(|fields| fields.get(&field.name.node));
                known.filter(|_| found).map(|field_type| (field, field_type))
            }
            Selection::InlineFragment(inline) => {
                let condition = inline.node.type_condition.as_ref();
                let parent = condition.map_or(parent, |condition| condition.node.on.node.as_str());
                self.field(&inline.node.selection_set.node, parent, key)
            }
            Selection::FragmentSpread(spread) => {
                let fragment = &self.document.fragments.get(&spread.node.fragment_name.node)?.node;
                self.field(&fragment.selection_set.node, fragment.type_condition.node.on.node.as_str(), key)
            }
        })
    }

    /// Turns nulls that stand for objects without a field into such objects.
    fn empty_objects(&self, set: &'a SelectionSet, parent: &'a str, value: &mut Value) {
        match value {
            Value::Object(object) => {
                for (key, value) in object.iter_mut() {
                    let Some((field, field_type)) = self.field(set, parent, key) else { continue };
                    let is_object = !field.selection_set.node.items.is_empty();
                    if is_object && *value == Value::Null && !field_type.nullable {
                        *value = Value::Object(async_graphql::indexmap::IndexMap::new());
                    } else if is_object {
                        self.empty_objects(&field.selection_set.node, named(field_type), value);
                    }
                }
            }
            Value::List(list) => list.iter_mut().for_each(|value| self.empty_objects(set, parent, value)),
            _ => {}
        }
    }
}

fn named(field_type: &Type) -> &str {
    match &field_type.base {
        BaseType::Named(name) => name,
        BaseType::List(element) => named(element),
    }
}

/// Puts a null at the end of a path. Where something before the end is missing or null, that is the null already.
fn put_null(data: &mut Value, path: &[PathSegment]) {
    match (path, data) {
        ([], place) => *place = Value::Null,
        ([PathSegment::Field(key)], Value::Object(object)) => {
            object.insert(Name::new(key), Value::Null);
        }
        ([PathSegment::Field(key), rest @ ..], Value::Object(object)) => {
            if let Some(value) = object.get_mut(key.as_str()) {
                put_null(value, rest);
            }
        }
        ([PathSegment::Index(index), rest @ ..], Value::List(list)) => {
            if let Some(value) = list.get_mut(*index) {
                put_null(value, rest);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_graphql::parser::parse_query;
    use async_graphql::{ServerError, value};

    const SDL: &str = "
        interface Thing { name: String! }
        type Query { sure: Inner! maybe: Inner list: [Inner]! strict: [Inner!] }
        type Inner implements Thing { name: String! word: String deeper: Inner! }
    ";

    fn restored(query: &str, data: Value, path: &[PathSegment]) -> Value {
        let mut response = Response::new(data);
        if !path.is_empty() {
            let mut error = ServerError::new("failed", None);
            error.path = path.to_vec();
            response.errors.push(error);
        }
        Nullability::of(SDL).restore(&parse_query(query).unwrap(), &mut response);
        response.data
    }

    fn field(name: &str) -> PathSegment {
        PathSegment::Field(name.to_owned())
    }

    #[test]
    fn a_failed_field_is_null_where_it_may_be() {
        let path = [field("maybe"), field("w")];
        let data = restored("{ maybe { w: word name } }", value!({ "maybe": { "name": "x" } }), &path);
        assert_eq!(data, value!({ "maybe": { "name": "x", "w": null } }));
    }

    #[test]
    fn a_failed_field_that_may_not_be_null_takes_its_parents_along() {
        let query = "{ maybe { ...F } sure { name } } fragment F on Inner { deeper { name } }";
        let path = [field("maybe"), field("deeper"), field("name")];
        let whole = value!({ "maybe": { "deeper": {} }, "sure": { "name": "x" } });
        assert_eq!(restored(query, whole.clone(), &path), value!({ "maybe": null, "sure": { "name": "x" } }));
        assert_eq!(restored(query, whole, &[field("sure"), field("name")]), Value::Null);
    }

    #[test]
    fn an_element_of_a_list_is_null_where_it_may_be() {
        let elements = value!({ "list": [{ "name": "x" }, {}], "strict": [{ "name": "x" }, {}] });
        let query = "{ list { ... on Thing { name } } strict { name } }";
        let at = |list: &str| [field(list), PathSegment::Index(1), field("name")];
        let data = restored(query, elements.clone(), &at("list"));
        assert_eq!(data, value!({ "list": [{ "name": "x" }, null], "strict": [{ "name": "x" }, {}] }));
        let data = restored(query, elements, &at("strict"));
        assert_eq!(data, value!({ "list": [{ "name": "x" }, {}], "strict": null }));
    }

    #[test]
    fn an_object_without_fields_is_empty_and_not_null() {
        let query = "{ sure { name @skip(if: true) } maybe { name } }";
        let data = restored(query, value!({ "sure": null, "maybe": null }), &[]);
        assert_eq!(data, value!({ "sure": {}, "maybe": null }));
        assert_eq!(restored("{ sure @skip(if: true) { name } }", Value::Null, &[]), value!({}));
    }
}
