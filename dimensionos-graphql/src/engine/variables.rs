//! The values of an operation's variables, held against their types before anything is executed.
//!
//! The executor looks at a value only when a field asks for it, when fields before it have been executed, and knows
//! nothing of defaults where a directive asks. So every value is settled here: given, taken from the default, or left out.

use std::collections::{HashMap, HashSet};

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    BaseType, DocumentOperations, ExecutableDocument, OperationDefinition, Selection, SelectionSet, Type, TypeKind,
    TypeSystemDefinition,
};
use async_graphql::{Name, ScalarType, ServerError, Value, Variables};

use crate::error::invalid_request;
use crate::schema::{DateTime, UInt53};

/// Variables as a request has them.
pub(super) type Given = serde_json::Map<String, serde_json::Value>;

/// The types that values may have.
#[derive(Debug, Default)]
pub(super) struct InputTypes(HashMap<Name, InputType>);

#[derive(Debug)]
enum InputType {
    Enum(HashSet<Name>),
    Object { fields: HashMap<Name, Field>, is_one_of: bool },
}

#[derive(Debug)]
struct Field {
    field_type: Type,
    has_default: bool,
}

impl InputTypes {
    /// Of a schema in the schema definition language.
    pub(super) fn of(sdl: &str) -> Self {
        let mut types = HashMap::new();
        for definition in parse_schema(sdl).map(|schema| schema.definitions).unwrap_or_default() {
            let TypeSystemDefinition::Type(definition) = definition else { continue };
            let definition = definition.node;
            let is_one_of = definition.directives.iter().any(|directive| directive.node.name.node == "oneOf");
            let input_type = match definition.kind {
                TypeKind::Enum(values) => {
                    InputType::Enum(values.values.into_iter().map(|value| value.node.value.node).collect())
                }
                TypeKind::InputObject(object) => {
                    let fields = object.fields.into_iter().map(|field| {
                        let has_default = field.node.default_value.is_some();
                        (field.node.name.node, Field { field_type: field.node.ty.node, has_default })
                    });
                    InputType::Object { fields: fields.collect(), is_one_of }
                }
                _ => continue,
            };
            types.insert(definition.name.node, input_type);
        }
        Self(types)
    }

    /// Settles every variable of an operation.
    ///
    /// # Errors
    /// The first value that is not of its variable's type, or is missing.
    pub(super) fn settle(&self, operation: &OperationDefinition, given: Option<Given>) -> Result<Settled, ServerError> {
        let mut settled = Settled::default();
        if operation.variable_definitions.is_empty() {
            return Ok(settled);
        }
        let mut given = given.unwrap_or_default();
        for definition in &operation.variable_definitions {
            let definition = &definition.node;
            let name = &definition.name.node;
            let value = given.remove(name.as_str()).map(Value::from_json).transpose();
            let value = value.map_err(|_| invalid_request("variables", format!("${name} cannot be read")))?;
            let value = match (value, definition.default_value()) {
                (None, Some(default)) => default.clone(),
                (None, None) if definition.var_type.node.nullable => {
                    settled.left_out.insert(name.clone());
                    Value::Null
                }
                (None, None) => return Err(invalid_request("variables", format!("${name} is missing"))),
                (Some(value), _) => {
                    let mut path = format!("${name}");
                    self.check(&value, &definition.var_type.node, &mut path).map_err(|fault| {
                        let message = format!("{path} {}", fault.0);
                        invalid_request("variables", message)
                    })?;
                    value
                }
            };
            settled.values.insert(name.clone(), value);
        }
        Ok(settled)
    }

    fn check(&self, value: &Value, expected: &Type, path: &mut String) -> Result<(), Fault> {
        if *value == Value::Null {
            return if expected.nullable { Ok(()) } else { Err(Fault("may not be null".to_owned())) };
        }
        match (&expected.base, value) {
            (BaseType::List(element), Value::List(values)) => {
                for (place, value) in values.iter().enumerate() {
                    within(path, &format!("[{place}]"), |path| self.check(value, element, path))?;
                }
                Ok(())
            }
            // One value stands for a list of it alone.
            (BaseType::List(element), single) => self.check(single, element, path),
            (BaseType::Named(name), value) => self.check_named(value, name, path),
        }
    }

    fn check_named(&self, value: &Value, name: &Name, path: &mut String) -> Result<(), Fault> {
        let is_good = match (self.0.get(name), value) {
            (Some(InputType::Enum(names)), Value::String(chosen)) => names.contains(chosen.as_str()),
            (Some(InputType::Enum(names)), Value::Enum(chosen)) => names.contains(chosen),
            (Some(InputType::Object { fields, is_one_of }), Value::Object(values)) => {
                return self.check_object(values, fields, *is_one_of, path);
            }
            (Some(_), _) => false,
            (None, value) => is_scalar(name, value),
        };
        if is_good { Ok(()) } else { Err(Fault(format!("is no {name}"))) }
    }

    fn check_object(
        &self,
        values: &async_graphql::indexmap::IndexMap<Name, Value>,
        fields: &HashMap<Name, Field>,
        is_one_of: bool,
        path: &mut String,
    ) -> Result<(), Fault> {
        if is_one_of && (values.len() != 1 || values.values().any(|value| *value == Value::Null)) {
            return Err(Fault("takes exactly one field, and not null".to_owned()));
        }
        for (name, value) in values {
            let Some(field) = fields.get(name) else { return Err(Fault("has a field that is not there".to_owned())) };
            within(path, &format!(".{name}"), |path| self.check(value, &field.field_type, path))?;
        }
        let demanded = fields.iter().filter(|(_, field)| !field.field_type.nullable && !field.has_default);
        let missing = demanded.map(|(name, _)| name).find(|name| !values.contains_key(*name));
        missing.map_or(Ok(()), |name| Err(Fault(format!("lacks {name}"))))
    }
}

/// What is wrong with a value; the path to it is told beside it, and the value itself is not repeated.
#[derive(Debug)]
struct Fault(String);

/// Looks at a part of a value. The path stays at a part that is wrong.
fn within<R, E>(path: &mut String, step: &str, look: impl FnOnce(&mut String) -> Result<R, E>) -> Result<R, E> {
    let length = path.len();
    path.push_str(step);
    let seen = look(path)?;
    path.truncate(length);
    Ok(seen)
}

fn is_scalar(name: &str, value: &Value) -> bool {
    match name {
        "Int" => matches!(value, Value::Number(number) if number.as_i64().is_some_and(|n| i32::try_from(n).is_ok())),
        "Float" => matches!(value, Value::Number(_)),
        "String" => matches!(value, Value::String(_)),
        "Boolean" => matches!(value, Value::Boolean(_)),
        "ID" => match value {
            Value::String(_) => true,
            Value::Number(number) => number.is_i64() || number.is_u64(),
            _ => false,
        },
        "DateTime" => DateTime::parse(value.clone()).is_ok(),
        "UInt53" => UInt53::parse(value.clone()).is_ok(),
        // A scalar of another kind is looked at where it is read.
        _ => true,
    }
}

/// The values of an operation's variables.
#[derive(Debug, Default)]
pub(super) struct Settled {
    pub(super) values: Variables,
    /// Variables that have neither a value nor a default: an argument that one stands for is left out itself.
    left_out: HashSet<Name>,
}

impl Settled {
    /// A document without the arguments for which no value was given, where there are any: a null there would mean
    /// something else.
    pub(super) fn prune(&self, document: &ExecutableDocument) -> Option<ExecutableDocument> {
        if self.left_out.is_empty() {
            return None;
        }
        let mut pruned = document.clone();
        let operations = match &mut pruned.operations {
            DocumentOperations::Single(operation) => vec![operation],
            DocumentOperations::Multiple(all) => all.values_mut().collect(),
        };
        let operations = operations.into_iter().map(|operation| &mut operation.node.selection_set.node);
        let fragments = pruned.fragments.values_mut().map(|fragment| &mut fragment.node.selection_set.node);
        operations.chain(fragments).for_each(|set| self.prune_set(set));
        Some(pruned)
    }

    fn prune_set(&self, set: &mut SelectionSet) {
        for selection in &mut set.items {
            match &mut selection.node {
                Selection::Field(field) => {
                    field.node.arguments.retain(|(_, value)| {
                        // As GraphQL writes it: a variable alone, and no list or object that has one.
                        let text = value.node.to_string();
                        !text.strip_prefix('$').is_some_and(|name| self.left_out.contains(name))
                    });
                    self.prune_set(&mut field.node.selection_set.node);
                }
                Selection::InlineFragment(inline) => self.prune_set(&mut inline.node.selection_set.node),
                Selection::FragmentSpread(_) => {}
            }
        }
    }
}
