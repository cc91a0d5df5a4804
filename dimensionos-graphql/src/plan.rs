//! Selections compiled to a list of texts and figures, for values of which every field is at hand.
//!
//! The executor walks a document anew for each value, with a future and a map for every object in it. Where a type's
//! fields take no arguments and ask nobody, a selection of them comes to the same texts with other figures in between:
//! it is compiled once, and a value of it takes a fraction of the time.

use std::io::Write as _;

use async_graphql::parser::types::{ExecutableDocument, Field, Selection, SelectionSet};
use async_graphql::resolver_utils::{EnumType, enum_value};
use serde::Serialize;

use crate::schema::{DateTime, UInt53};

/// An object type of which every field is at hand in a `T`.
pub(crate) struct Shape<T: 'static> {
    /// The type's name.
    pub(crate) name: &'static str,
    /// Its fields, by name.
    pub(crate) members: &'static [(&'static str, Member<T>)],
}

/// A field.
pub(crate) enum Member<T: 'static> {
    /// Writes a scalar as JSON.
    Leaf(fn(&T, &mut Vec<u8>)),
    /// An object that is never null.
    Object(&'static Shape<T>),
    /// An object that is a part of the value, or null.
    Part(&'static (dyn Part<T> + Sync)),
}

/// An object that is a part of a value.
pub(crate) trait Part<T> {
    /// Compiles what is selected of it.
    fn compile(&self, document: &ExecutableDocument, sets: &[&SelectionSet], key: &mut String) -> Option<Write<T>>;
}

/// Writes what is selected of a part.
type Write<T> = Box<dyn Fn(&T, &mut Vec<u8>) + Send + Sync>;

/// Where in a value a part is found, and what shape it has.
pub(crate) struct At<T: 'static, U: 'static>(pub(crate) fn(&T) -> Option<&U>, pub(crate) &'static Shape<U>);

impl<T, U> Part<T> for At<T, U> {
    fn compile(&self, document: &ExecutableDocument, sets: &[&SelectionSet], key: &mut String) -> Option<Write<T>> {
        let Self(find, shape) = *self;
        let plan = Plan::of(document, sets, shape, key)?;
        Some(Box::new(move |value, out| match find(value) {
            Some(part) => plan.write(part, out),
            None => out.extend_from_slice(b"null"),
        }))
    }
}

impl<T, U> Clone for At<T, U> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, U> Copy for At<T, U> {}

/// A compiled selection.
pub(crate) struct Plan<T: 'static> {
    steps: Vec<Step<T>>,
    /// The fields that are selected of the value itself.
    fields: Vec<&'static str>,
}

enum Step<T> {
    Text(Box<[u8]>),
    Leaf(fn(&T, &mut Vec<u8>)),
    Part(Write<T>),
}

impl<T> std::fmt::Debug for Plan<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan").field("fields", &self.fields).finish_non_exhaustive()
    }
}

impl<T> Plan<T> {
    /// Compiles what is selected of a field whose type has that shape, and says in `key` what that is: plans of one shape
    /// and key write the same. Absent for what only the executor can do: arguments, directives, and fields that the shape
    /// does not have.
    pub(crate) fn compile(
        document: &ExecutableDocument,
        field: &Field,
        shape: &'static Shape<T>,
        key: &mut String,
    ) -> Option<Self> {
        Self::of(document, &[&field.selection_set.node], shape, key)
    }

    fn of(
        document: &ExecutableDocument,
        sets: &[&SelectionSet],
        shape: &'static Shape<T>,
        key: &mut String,
    ) -> Option<Self> {
        let plan = Self { steps: Vec::new(), fields: Vec::new() };
        let mut draft = Draft { document, plan, text: Vec::new(), depth: 0 };
        draft.object(sets, shape, key)?;
        draft.end_text();
        Some(draft.plan)
    }

    /// Whether a field of the value itself is selected.
    pub(crate) fn has(&self, field: &str) -> bool {
        self.fields.contains(&field)
    }

    /// Writes what is selected of a value, as JSON.
    pub(crate) fn write(&self, value: &T, out: &mut Vec<u8>) {
        for step in &self.steps {
            match step {
                Step::Text(text) => out.extend_from_slice(text),
                Step::Leaf(write) => write(value, out),
                Step::Part(write) => write(value, out),
            }
        }
    }
}

struct Draft<'a, T: 'static> {
    document: &'a ExecutableDocument,
    plan: Plan<T>,
    /// What stands before the next figure.
    text: Vec<u8>,
    /// How deep in the value it stands.
    depth: usize,
}

/// The fields of one key of an answer: what is selected of them is merged.
type Group<'a> = (&'a str, Vec<&'a Field>);

impl<'a, T> Draft<'a, T> {
    fn object(&mut self, sets: &[&'a SelectionSet], shape: &'static Shape<T>, key: &mut String) -> Option<()> {
        let mut groups: Vec<Group<'a>> = Vec::new();
        sets.iter().try_for_each(|set| self.collect(set, shape, &mut groups))?;
        for (place, (name, fields)) in groups.iter().enumerate() {
            self.text.push(if place == 0 { b'{' } else { b',' });
            let field = fields.first()?.name.node.as_str();
            // Names are letters, digits and underscores: as JSON they are themselves.
            self.text.extend_from_slice(format!("\"{name}\":").as_bytes());
            key.push_str(&format!("{name}:{field}"));
            if field == "__typename" {
                self.text.extend_from_slice(format!("\"{}\"", shape.name).as_bytes());
            } else {
                let (known, member) = shape.members.iter().find(|(name, _)| *name == field)?;
                if self.depth == 0 {
                    self.plan.fields.push(known);
                }
                let below: Vec<_> = fields.iter().map(|field| &field.selection_set.node).collect();
                match member {
                    Member::Leaf(write) => {
                        self.end_text();
                        self.plan.steps.push(Step::Leaf(*write));
                    }
                    Member::Object(shape) => {
                        key.push('{');
                        self.depth += 1;
                        self.object(&below, shape, key)?;
                        self.depth -= 1;
                        key.push('}');
                    }
                    Member::Part(part) => {
                        key.push('{');
                        let write = part.compile(self.document, &below, key)?;
                        key.push('}');
                        self.end_text();
                        self.plan.steps.push(Step::Part(write));
                    }
                }
            }
            key.push(',');
        }
        self.text.extend_from_slice(if groups.is_empty() { b"{}" } else { b"}" });
        Some(())
    }

    /// The fields of a selection by their keys, in the order in which each was first asked for.
    fn collect(&self, set: &'a SelectionSet, shape: &'static Shape<T>, groups: &mut Vec<Group<'a>>) -> Option<()> {
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) => {
                    let field = &field.node;
                    if !field.directives.is_empty() || !field.arguments.is_empty() {
                        return None;
                    }
                    let name = field.response_key().node.as_str();
                    match groups.iter_mut().find(|(known, _)| *known == name) {
                        Some((_, fields)) => fields.push(field),
                        None => groups.push((name, vec![field])),
                    }
                }
                Selection::InlineFragment(inline) => {
                    let inline = &inline.node;
                    let condition = inline.type_condition.as_ref().map(|condition| condition.node.on.node.as_str());
                    if !inline.directives.is_empty() || condition.is_some_and(|on| on != shape.name) {
                        return None;
                    }
                    self.collect(&inline.selection_set.node, shape, groups)?;
                }
                Selection::FragmentSpread(spread) => {
                    let fragment = &self.document.fragments.get(&spread.node.fragment_name.node)?.node;
                    if !spread.node.directives.is_empty() || fragment.type_condition.node.on.node != shape.name {
                        return None;
                    }
                    self.collect(&fragment.selection_set.node, shape, groups)?;
                }
            }
        }
        Some(())
    }

    fn end_text(&mut self) {
        if !self.text.is_empty() {
            self.plan.steps.push(Step::Text(std::mem::take(&mut self.text).into()));
        }
    }
}

/// Writes a figure, or null where there is none.
pub(crate) fn figure(out: &mut Vec<u8>, figure: Option<f64>) {
    json(out, &figure);
}

/// Writes a count, or null where there is none.
pub(crate) fn count(out: &mut Vec<u8>, count: Option<UInt53>) {
    json(out, &count.map(|count| count.0));
}

/// Writes a small whole number, or null where there is none.
pub(crate) fn whole(out: &mut Vec<u8>, number: Option<i32>) {
    json(out, &number);
}

/// Writes a claim.
pub(crate) fn boolean(out: &mut Vec<u8>, claim: bool) {
    json(out, &claim);
}

/// Writes an instant.
pub(crate) fn instant(out: &mut Vec<u8>, at: DateTime) {
    // An instant has no character that JSON would escape.
    let _ = write!(out, "\"{}\"", at.0);
}

/// Writes the name of a variant.
pub(crate) fn name<T: EnumType>(out: &mut Vec<u8>, variant: T) {
    json(out, &enum_value(variant));
}

/// Writes a text, or null where there is none.
pub(crate) fn text(out: &mut Vec<u8>, text: Option<&str>) {
    json(out, &text);
}

fn json(out: &mut Vec<u8>, value: &impl Serialize) {
    // Writing to memory does not fail.
    let _ = serde_json::to_writer(out, value);
}
