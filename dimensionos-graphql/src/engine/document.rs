//! Documents that were parsed and found valid, kept so that the next of the same text need not be.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use async_graphql::parser::types::{
    DocumentOperations, ExecutableDocument, OperationDefinition, Selection, SelectionSet,
};
use parking_lot::Mutex;

use crate::plan::Plan;
use crate::schema::{Me, ResourceMetrics};

/// A document that is valid.
#[derive(Debug)]
pub(crate) struct Document {
    pub(super) parsed: ExecutableDocument,
    /// Whether parts of it may be left out by what a request says.
    pub(super) has_directives: bool,
    pub(super) compiled: Option<Compiled>,
    /// What its only operation costs, as far as no variable has a say in it.
    pub(super) cost: Option<u64>,
    /// Bytes of its text.
    pub(super) size: usize,
}

/// The compiled form of a document of one operation with one field.
#[derive(Debug)]
pub(super) struct Compiled {
    /// The name under which the field is asked for.
    pub(super) key: String,
    pub(super) plan: Compilation,
}

/// Which field it is, and what is selected of it.
#[derive(Debug)]
pub(super) enum Compilation {
    /// The subscription to usage, with what says what is selected.
    Usage(Arc<Plan<ResourceMetrics>>, Box<str>),
    /// The signed-in account.
    Me(Plan<Me>),
}

impl Document {
    pub(super) fn operation(&self, name: Option<&str>) -> Option<&OperationDefinition> {
        let mut operations = self.parsed.operations.iter();
        let chosen = match name {
            Some(name) => operations.find(|(known, _)| known.is_some_and(|known| known == name)),
            None => operations.next().filter(|_| operations.next().is_none()),
        };
        chosen.map(|(_, operation)| &operation.node)
    }
}

/// Whether any selection of a document has a directive.
pub(super) fn has_directives(document: &ExecutableDocument) -> bool {
    let operations = document.operations.iter().map(|(_, operation)| &operation.node.selection_set.node);
    let fragments = document.fragments.values().map(|fragment| &fragment.node.selection_set.node);
    operations.chain(fragments).any(set_has_directives)
}

fn set_has_directives(set: &SelectionSet) -> bool {
    set.items.iter().any(|selection| {
        let below = match &selection.node {
            Selection::Field(field) => Some(&field.node.selection_set.node),
            Selection::InlineFragment(inline) => Some(&inline.node.selection_set.node),
            Selection::FragmentSpread(_) => None,
        };
        !selection.node.directives().is_empty() || below.is_some_and(set_has_directives)
    })
}

/// Puts the fields of fragments at a subscription's root in the fragments' place: the executor overlooks them there.
pub(super) fn flatten_subscriptions(document: &mut ExecutableDocument) {
    let fragments = document.fragments.clone();
    let operations: Vec<_> = match &mut document.operations {
        DocumentOperations::Single(operation) => vec![operation],
        DocumentOperations::Multiple(all) => all.values_mut().collect(),
    };
    for operation in operations {
        let operation = &mut operation.node;
        let is_plain = operation.selection_set.node.items.iter().all(|one| matches!(one.node, Selection::Field(_)));
        if operation.ty != async_graphql::parser::types::OperationType::Subscription || is_plain {
            continue;
        }
        let mut flat = Vec::new();
        let mut rest = std::mem::take(&mut operation.selection_set.node.items);
        rest.reverse();
        while let Some(selection) = rest.pop() {
            match selection.node {
                Selection::Field(_) => flat.push(selection),
                Selection::InlineFragment(inline) => {
                    rest.extend(inline.node.selection_set.node.items.into_iter().rev());
                }
                Selection::FragmentSpread(spread) => {
                    let fragment = fragments.get(&spread.node.fragment_name.node);
                    let items = fragment.map(|fragment| fragment.node.selection_set.node.items.clone());
                    rest.extend(items.into_iter().flatten().rev());
                }
            }
        }
        operation.selection_set.node.items = flat;
    }
}

/// Documents by their text or digest, as many as come to a number of bytes of text. Those that were not asked for
/// since as many others came are forgotten.
#[derive(Debug)]
pub(super) struct Documents<K> {
    kept: Mutex<Generations<K>>,
    max_bytes: usize,
}

#[derive(Debug)]
struct Generations<K> {
    young: HashMap<K, Arc<Document>>,
    old: HashMap<K, Arc<Document>>,
    young_bytes: usize,
}

/// Bytes that a document counts for beside its text: a parsed one takes more than it was written in.
const ENTRY_BYTES: usize = 256;

impl<K: Hash + Eq + Clone> Documents<K> {
    pub(super) fn new(max_bytes: usize) -> Self {
        let kept = Generations { young: HashMap::new(), old: HashMap::new(), young_bytes: 0 };
        Self { kept: Mutex::new(kept), max_bytes }
    }

    pub(super) fn find<Q>(&self, key: &Q) -> Option<Arc<Document>>
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let mut kept = self.kept.lock();
        if let Some(document) = kept.young.get(key) {
            return Some(Arc::clone(document));
        }
        let (key, document) = kept.old.remove_entry(key)?;
        kept.add(key, Arc::clone(&document), self.max_bytes);
        Some(document)
    }

    pub(super) fn keep(&self, key: K, document: &Arc<Document>) {
        self.kept.lock().add(key, Arc::clone(document), self.max_bytes);
    }
}

impl<K: Hash + Eq> Generations<K> {
    fn add(&mut self, key: K, document: Arc<Document>, max_bytes: usize) {
        let size = document.size + ENTRY_BYTES;
        if size > max_bytes / 2 {
            return;
        }
        if self.young_bytes + size > max_bytes / 2 {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        if self.young.insert(key, document).is_none() {
            self.young_bytes += size;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_graphql::parser::parse_query;

    fn document(size: usize) -> Arc<Document> {
        let parsed = parse_query("{ me { id } }").unwrap();
        Arc::new(Document { parsed, has_directives: false, compiled: None, cost: None, size })
    }

    #[test]
    fn what_is_asked_for_stays_and_the_rest_goes() {
        let documents = Documents::new(20 * (100 + ENTRY_BYTES));
        documents.keep("asked".to_owned(), &document(100));
        for number in 0..1_000 {
            documents.keep(number.to_string(), &document(100));
            assert!(documents.find("asked").is_some());
        }
        assert!(documents.find("999").is_some() && documents.find("5").is_none());
        let kept = documents.kept.lock();
        assert!(kept.young.len() + kept.old.len() <= 20);
    }

    #[test]
    fn one_that_would_fill_the_place_is_not_kept() {
        let documents = Documents::new(10_000);
        documents.keep("large".to_owned(), &document(5_000));
        assert!(documents.find("large").is_none());
    }

    #[test]
    fn fragments_at_a_subscriptions_root_are_written_out_in_their_order() {
        let text =
            "subscription { ...A ... { c } d } fragment A on Subscription { a ...B } fragment B on Subscription { b }";
        let mut document = parse_query(text).unwrap();
        flatten_subscriptions(&mut document);
        let (_, operation) = document.operations.iter().next().unwrap();
        let names = operation.node.selection_set.node.items.iter().map(|one| match &one.node {
            Selection::Field(field) => field.node.name.node.to_string(),
            _ => panic!("a fragment is left"),
        });
        assert_eq!(names.collect::<String>(), "abcd");
    }
}
