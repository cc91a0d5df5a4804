//! What the journal need not say again.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::Note;

/// Leaves out what has no part in the state any more: everything of accounts that were erased, of sessions that were
/// ended one by one and of holds that were removed, and usage that was purged. What else ran out stays in the journal
/// until its account goes.
pub(super) fn compact(mut transactions: Vec<Vec<Note>>) -> Vec<Vec<Note>> {
    let mut gone = Gone { owners: owners(&transactions), ..Gone::default() };
    // Backwards: what a note removes is left out of what came before it, and of that alone.
    for transaction in transactions.iter_mut().rev() {
        let mut kept = Vec::new();
        while let Some(mut note) = transaction.pop() {
            gone.learn(&note);
            let is_usage = note.first().is_some_and(|name| name == "add_usage");
            for rows in note.iter_mut().filter_map(rows) {
                rows.retain(|row| !(gone.has(row) || is_usage && gone.has_usage(row)));
            }
            if !note.get(1).is_some_and(|subject| gone.has(subject)) {
                kept.push(note);
            }
        }
        kept.reverse();
        *transaction = kept;
    }
    transactions.retain(|transaction| !transaction.is_empty());
    transactions
}

/// What a row belongs to, by what it is known by: a session and a hold to their account, a refresh token to its session.
fn owners(transactions: &[Vec<Note>]) -> HashMap<String, String> {
    let owner = |note: &Note| match note.as_slice() {
        [Value::String(name), Value::Array(row)]
            if matches!(name.as_str(), "insert_session" | "insert_refresh" | "save_hold" | "insert_violation") =>
        {
            Some((row.first()?.as_str()?.to_owned(), row.get(1)?.as_str()?.to_owned()))
        }
        _ => None,
    };
    transactions.iter().flatten().filter_map(owner).collect()
}

/// The rows of an argument that is a list of them.
fn rows(argument: &mut Value) -> Option<&mut Vec<Value>> {
    argument.as_array_mut().filter(|rows| rows.iter().all(Value::is_array))
}

/// What is gone by the notes that were looked at.
#[derive(Default)]
struct Gone {
    owners: HashMap<String, String>,
    ids: HashSet<String>,
    /// By the seconds of its buckets, from when on usage was kept.
    kept_from: HashMap<i64, i64>,
}

impl Gone {
    fn learn(&mut self, note: &[Value]) {
        let [Value::String(name), subject, arguments @ ..] = note else { return };
        match (name.as_str(), subject, arguments) {
            ("erase_account" | "end_session" | "remove_hold", Value::String(id), []) => {
                self.ids.insert(id.clone());
            }
            ("purge_usage", resolution, [before]) => {
                if let (Some(resolution), Some(before)) = (resolution.as_i64(), before.as_i64()) {
                    let kept_from = self.kept_from.entry(resolution).or_default();
                    *kept_from = before.max(*kept_from);
                }
            }
            _ => {}
        }
    }

    /// Whether an id is gone, or a row by what it begins with. Nothing else is looked at: a note of an operator's may be
    /// worded like an id.
    fn has(&self, value: &Value) -> bool {
        match value {
            Value::String(id) => {
                std::iter::successors(Some(id), |id| self.owners.get(*id)).any(|id| self.ids.contains(id))
            }
            Value::Array(row) => row.first().is_some_and(|first| self.has(first)),
            _ => false,
        }
    }

    fn has_usage(&self, row: &Value) -> bool {
        let kept_from = row[1].as_i64().and_then(|resolution| self.kept_from.get(&resolution));
        kept_from.is_some_and(|kept_from| row[2].as_i64().is_some_and(|bucket| bucket < *kept_from))
    }
}
