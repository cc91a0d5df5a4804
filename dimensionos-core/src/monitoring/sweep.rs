//! What the writer is asked for until its next transaction, and its going through of all cells.

use std::time::Duration;

use crate::Error;
use crate::allocation::accounting::Question;
use crate::id::AccountId;
use crate::monitoring::ledger::{Entry, Erasure, Job, Reply};
use crate::monitoring::slab::Slot;
use crate::monitoring::transaction::each;

/// Reports of one transaction: enough to share its fsync, few enough that its rows stay small.
const MAX_GROUP: usize = 256;
/// Samples of one transaction, for the same reason.
const MAX_GROUP_SAMPLES: usize = 65_536;

/// One going through of all cells that wait to be made durable.
#[derive(Default)]
pub(super) struct Sweep {
    /// Where it goes on; absent where none is under way.
    pub(super) next: Option<Slot>,
    /// Who is answered at its end.
    replies: Vec<Reply<()>>,
    /// Who asked while it was under way, and is answered at the end of another.
    later: Vec<Reply<()>>,
}

impl Sweep {
    pub(super) fn ask(&mut self, replies: Vec<Reply<()>>) {
        match self.next {
            None => {
                self.next = Some(0);
                self.replies = replies;
            }
            Some(_) => self.later.extend(replies),
        }
    }

    /// Ends it where there is nothing more, and answers.
    pub(super) fn go_on(&mut self, next: Option<Slot>, done: &Result<(), Error>) {
        self.next = if done.is_ok() { next } else { None };
        if self.next.is_some() {
            return;
        }
        for reply in self.replies.drain(..) {
            let _ = reply.send(done.as_ref().copied().map_err(each));
        }
        if !self.later.is_empty() {
            let later = std::mem::take(&mut self.later);
            self.ask(later);
        }
    }

    /// Answers everybody: all cells have been gone through otherwise.
    pub(super) fn end(self) {
        self.replies.into_iter().chain(self.later).for_each(|reply| drop(reply.send(Ok(()))));
    }
}

/// What is done together.
#[derive(Default)]
pub(super) struct Work {
    pub(super) entries: Vec<Entry>,
    pub(super) questions: Vec<Question>,
    pub(super) flushes: Vec<Reply<()>>,
    pub(super) renewals: Vec<(Vec<AccountId>, Reply<()>)>,
    pub(super) closings: Vec<Reply<()>>,
    pub(super) evictions: Vec<(Duration, Reply<usize>)>,
    pub(super) erasures: Vec<(Erasure, Reply<()>)>,
}

impl Work {
    pub(super) fn add(&mut self, job: Job) {
        match job {
            Job::Report(entry) => self.entries.push(entry),
            Job::Quota(question) => self.questions.push(question),
            Job::Flush(reply) => self.flushes.push(reply),
            Job::Renew(accounts, reply) => self.renewals.push((accounts, reply)),
            Job::Close(reply) => self.closings.push(reply),
            Job::Evict { idle, reply } => self.evictions.push((idle, reply)),
            Job::Erase(erasure, reply) => self.erasures.push((erasure, reply)),
        }
    }

    pub(super) fn is_full(&self) -> bool {
        let samples: usize = self.entries.iter().map(|entry| entry.report.samples.len()).sum();
        self.entries.len() + self.questions.len() >= MAX_GROUP || samples >= MAX_GROUP_SAMPLES
    }
}
