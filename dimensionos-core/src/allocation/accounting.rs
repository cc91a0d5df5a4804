//! Deciding about quotas in one transaction: what is used, what is granted, and never a unit more than the limit.
//!
//! What may be used is granted before it is used, by a row that counts as used until it is settled (a [`Hold`]). A
//! process holds one for each account and hourly quota that it serves: it uses up what it was granted in memory, and at
//! each flush what was used becomes usage and leaves the hold, in one transaction. Where the process dies, what it had
//! been granted counts until all of it would have run off even if it had been used at the last moment: so nothing is
//! ever used twice, and what was lost comes back.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::Error;
use crate::allocation::book::Book;
use crate::allocation::hold::{KEY_RETENTION, LEVEL_HOLD};
use crate::allocation::quota::Counted;
use crate::allocation::{Decision, Enforcement, Hold, KeyedDecision, Limits, OwnLimits, Reservation, Resource};
use crate::entropy::Entropy;
use crate::id::{AccountId, HoldId};
use crate::monitoring::cell::{Leasable, Snapshot};
use crate::monitoring::ledger::Reply;
use crate::monitoring::slab::Pinned;
use crate::monitoring::{MAX_AMOUNT, Sample};
use crate::secret::SecretDigest;
use crate::store::Tx;
use crate::time::Timestamp;

/// How long a process may use what it was granted before it asks again: long enough that a busy account asks the storage
/// some times a minute, short enough that what an idle process was granted is soon another's.
pub(crate) const LEASE_TIME: Duration = Duration::from_secs(10);

/// Until when what is granted now may be used: not beyond the instant at which a tier grants something else.
pub(crate) fn lease_end(limits: &Limits, now: Timestamp) -> Timestamp {
    let end = now.after(LEASE_TIME);
    limits.next_change(now).map_or(end, |change| change.min(end))
}

/// The part of what is free that a process is granted at once at most: towards the end hardly anything lies with one
/// process while another is refused.
const LEASE_SHARE: u64 = 16;
/// Units of a first lease. Whoever uses one up in less than half its time is granted twice as much the next time, so that
/// leases come to last some seconds at any rate, and what a process holds is what it uses.
const FIRST_LEASE: u32 = 64;

/// How much a process was granted last of an account's quota, and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    units: u32,
    at: Timestamp,
}

impl Pace {
    /// How much it is granted next.
    fn next(self, now: Timestamp) -> u32 {
        match now.since(self.at) {
            since if since < LEASE_TIME / 2 => self.units.saturating_mul(2),
            since if since < LEASE_TIME => self.units,
            _ => FIRST_LEASE,
        }
    }

    /// Whether it says anything still.
    pub(crate) fn is_over(self, now: Timestamp) -> bool {
        now.since(self.at) >= LEASE_TIME
    }
}

/// The paces of accounts' quotas.
pub(crate) type Paces = HashMap<(AccountId, Leasable), Pace>;

/// So much of a resource.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request {
    pub(crate) account: AccountId,
    pub(crate) resource: Resource,
    pub(crate) amount: u64,
}

impl Request {
    pub(crate) fn new(account: AccountId, resource: Resource, amount: u64) -> Result<Self, Error> {
        if amount == 0 || amount > MAX_AMOUNT {
            return Err(Error::invalid("amount", "not a whole number from 1 to 2^53 - 1"));
        }
        Ok(Self { account, resource, amount })
    }
}

/// What is asked about a quota, and where the answer goes.
#[derive(Debug)]
pub(crate) enum Question {
    Consume {
        request: Request,
        key: Option<SecretDigest>,
        reply: Reply<Decision>,
    },
    Reserve {
        request: Request,
        lasting: Duration,
        reply: Reply<Reservation>,
    },
    /// Ends a reservation: so much of it was used, or nothing.
    Settle {
        account: AccountId,
        hold: HoldId,
        used: u64,
        reply: Reply<()>,
    },
}

impl Question {
    pub(crate) const fn account(&self) -> AccountId {
        match self {
            Self::Consume { request, .. } | Self::Reserve { request, .. } => request.account,
            Self::Settle { account, .. } => *account,
        }
    }

    const fn key(&self) -> Option<SecretDigest> {
        match self {
            Self::Consume { key, .. } => *key,
            Self::Reserve { .. } | Self::Settle { .. } => None,
        }
    }

    /// Answers, once what was decided is durable.
    pub(crate) fn answer(self, verdict: Result<Verdict, Error>) {
        // Whoever stopped waiting finds out by asking again.
        match (self, verdict) {
            (Self::Consume { reply, .. }, Ok(Verdict::Decided(decision))) => drop(reply.send(Ok(decision))),
            (Self::Reserve { reply, .. }, Ok(Verdict::Reserved(reservation))) => drop(reply.send(Ok(reservation))),
            (Self::Settle { reply, .. }, Ok(Verdict::Settled)) => drop(reply.send(Ok(()))),
            (Self::Consume { reply, .. }, verdict) => drop(reply.send(Err(failure(verdict)))),
            (Self::Reserve { reply, .. }, verdict) => drop(reply.send(Err(failure(verdict)))),
            (Self::Settle { reply, .. }, verdict) => drop(reply.send(Err(failure(verdict)))),
        }
    }
}

fn failure(verdict: Result<Verdict, Error>) -> Error {
    verdict.err().unwrap_or(Error::Internal { what: "a question about a quota got another's answer" })
}

/// What was decided.
#[derive(Debug)]
pub(crate) enum Verdict {
    Decided(Decision),
    Reserved(Reservation),
    Settled,
}

/// What this process was granted of an hourly quota.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lease {
    /// As the storage has it.
    pub(crate) hold: Hold,
    /// Until when it may be used.
    pub(crate) until: Timestamp,
}

/// What this process was granted, by account and quota.
pub(crate) type Leases = HashMap<(AccountId, Leasable), Lease>;

/// The quotas that one transaction decides about.
pub(crate) struct Accounting<'a> {
    pub(crate) limits: &'a Limits,
    pub(crate) entropy: &'a dyn Entropy,
    pub(crate) leases: &'a Leases,
    pub(crate) paces: &'a Paces,
    pub(crate) now: Timestamp,
    /// Until when what is granted now may be used.
    pub(crate) lease_end: Timestamp,
    /// Whether the process is about to end, and may be granted nothing more.
    pub(crate) is_closed: bool,
    pub(crate) books: BTreeMap<AccountId, Option<Book>>,
}

impl Accounting<'_> {
    /// Opens an account's book: from here to the end of the transaction nobody else decides about it. Says whether the
    /// account is there.
    pub(crate) async fn open(
        &mut self,
        tx: &mut dyn Tx,
        account: AccountId,
        cell: Pinned,
        snapshot: Snapshot,
    ) -> Result<bool, Error> {
        let book = match tx.account(account).await? {
            None => None,
            Some(row) => {
                let own = OwnLimits::of(&row, tx.overrides(account).await?);
                let mut holds = tx.holds(account).await?;
                holds.retain(|hold| hold.expires_at > self.now);
                let (used, counted) = (HashMap::new(), BTreeMap::new());
                let tier = row.tier;
                let (granted, taken) = ([0; 2], [0; 2]);
                let leases = Leasable::ALL.map(|what| self.leases.get(&(account, what)).map(|lease| lease.hold.id));
                let mut book =
                    Book { cell, tier, own, holds, snapshot, used, counted, granted, taken, leases, limits: [0; 2] };
                book.settle_leases();
                Some(book)
            }
        };
        let is_there = book.is_some();
        self.books.insert(account, book);
        Ok(is_there)
    }

    /// Answers questions in their turn. Nothing holds before the transaction's end.
    pub(crate) async fn answer(
        &mut self,
        tx: &mut dyn Tx,
        questions: &[Question],
    ) -> Result<Vec<Result<Verdict, Error>>, Error> {
        let keys: Vec<_> = questions.iter().filter_map(Question::key).collect();
        let known = tx.decisions(&keys).await?;
        let mut known: HashMap<_, _> = known.into_iter().flatten().map(|decided| (decided.key, decided)).collect();
        let mut new = Vec::new();
        let mut verdicts = Vec::with_capacity(questions.len());
        for question in questions {
            verdicts.push(match question {
                Question::Consume { request, key: None, .. } => {
                    self.consume(tx, *request, true).await?.map(Verdict::Decided)
                }
                Question::Consume { request, key: Some(key), .. } => match known.get(key) {
                    Some(decided) => repeated(decided, *request),
                    None => self.consume(tx, *request, false).await?.map(|decision| {
                        let decided = KeyedDecision {
                            key: *key,
                            account: request.account,
                            amount: request.amount,
                            decision: decision.clone(),
                            expires_at: self.now.after(KEY_RETENTION),
                        };
                        new.push(decided.clone());
                        known.insert(*key, decided);
                        Verdict::Decided(decision)
                    }),
                },
                Question::Reserve { request, lasting, .. } => {
                    self.reserve(tx, *request, *lasting).await?.map(Verdict::Reserved)
                }
                Question::Settle { account, hold, used, .. } => {
                    self.settle(tx, *account, *hold, *used).await?.map(|()| Verdict::Settled)
                }
            });
        }
        tx.insert_decisions(&new).await?;
        Ok(verdicts)
    }

    async fn consume(
        &mut self,
        tx: &mut dyn Tx,
        request: Request,
        may_lease: bool,
    ) -> Result<Result<Decision, Error>, Error> {
        let Request { account, resource, amount } = request;
        let Some(Some(book)) = self.books.get_mut(&account) else { return Ok(Err(Error::no_account())) };
        let (now, limits) = (self.now, self.limits);
        let figures = book.figures(tx, limits, request, now).await?;
        let enforcement = limits.enforcement(resource);
        let decision = Decision::new(resource, figures, amount, enforcement);
        let decision = match decision.is_allowed {
            true => decision,
            false if book.take_of_lease(resource, &decision, amount) => {
                Decision { is_allowed: true, is_over: false, reason: None, ..decision }
            }
            false => return Ok(Ok(decision)),
        };
        match resource.counted() {
            Counted::For { .. } => book.count(resource, amount),
            Counted::WhileItLasts => {
                let id = HoldId::random(self.entropy)?;
                let hold = Hold { id, account, resource, amount, expires_at: now.after(LEVEL_HOLD) };
                tx.save_hold(&hold).await?;
                book.holds.push(hold);
            }
        }
        if may_lease && !self.is_closed && enforcement == Enforcement::Hard {
            let free = figures.limit.map_or(0, |limit| limit.saturating_sub(figures.used.saturating_add(amount)));
            self.grant(account, resource, free)?;
        }
        Ok(Ok(decision.counting(amount)))
    }

    /// Lets the process use some of what is free without asking again.
    fn grant(&mut self, account: AccountId, resource: Resource, free: u64) -> Result<(), Error> {
        let Some(what) = Leasable::of(resource) else { return Ok(()) };
        let most = u32::try_from((free / LEASE_SHARE).max(1).min(free)).unwrap_or(u32::MAX);
        let units = self.paces.get(&(account, what)).map_or(FIRST_LEASE, |pace| pace.next(self.now)).min(most);
        let Some(Some(book)) = self.books.get_mut(&account) else { return Ok(()) };
        // Where the process has enough already, its next question is far off.
        let has = book.snapshot.leased[what as usize].saturating_add(book.granted[what as usize]);
        if units == 0 || has >= units {
            return Ok(());
        }
        let id = match book.leases[what as usize] {
            Some(id) => id,
            None => HoldId::random(self.entropy)?,
        };
        let Counted::For { seconds } = resource.counted() else { return Ok(()) };
        let expires_at = self.lease_end.after(Duration::from_secs(seconds));
        match book.holds.iter_mut().find(|hold| hold.id == id) {
            Some(hold) => (hold.amount, hold.expires_at) = (hold.amount + u64::from(units), expires_at),
            None => book.holds.push(Hold { id, account, resource, amount: u64::from(units), expires_at }),
        }
        book.granted[what as usize] += units;
        book.leases[what as usize] = Some(id);
        Ok(())
    }

    async fn reserve(
        &mut self,
        tx: &mut dyn Tx,
        request: Request,
        lasting: Duration,
    ) -> Result<Result<Reservation, Error>, Error> {
        let Request { account, resource, amount } = request;
        let Some(Some(book)) = self.books.get_mut(&account) else { return Ok(Err(Error::no_account())) };
        let figures = book.figures(tx, self.limits, request, self.now).await?;
        let decision = Decision::new(resource, figures, amount, self.limits.enforcement(resource));
        let is_allowed = decision.is_allowed || book.take_of_lease(resource, &decision, amount);
        let id = HoldId::random(self.entropy)?;
        let expires_at = self.now.after(lasting);
        if !is_allowed {
            return Ok(Ok(Reservation { id, decision, expires_at: self.now }));
        }
        let hold = Hold { id, account, resource, amount, expires_at };
        tx.save_hold(&hold).await?;
        book.holds.push(hold);
        let is_over = decision.is_over && decision.is_allowed;
        let decision = Decision { is_allowed, is_over, reason: None, ..decision }.counting(amount);
        Ok(Ok(Reservation { id, decision, expires_at }))
    }

    async fn settle(
        &mut self,
        tx: &mut dyn Tx,
        account: AccountId,
        id: HoldId,
        used: u64,
    ) -> Result<Result<(), Error>, Error> {
        let Some(Some(book)) = self.books.get_mut(&account) else { return Ok(Err(Error::no_account())) };
        let Some(place) = book.holds.iter().position(|hold| hold.id == id) else {
            return Ok(Err(Error::NotFound { what: "reservation" }));
        };
        let hold = book.holds[place];
        if used > hold.amount {
            return Ok(Err(Error::invalid("amount", "more than was reserved")));
        }
        book.holds.remove(place);
        tx.remove_hold(id).await?;
        match hold.resource.counted() {
            _ if used == 0 => {}
            Counted::For { .. } => {
                // Loaded before it is added to: what the storage has does not have it yet.
                let request = Request { account, resource: hold.resource, amount: used };
                book.figures(tx, self.limits, request, self.now).await?;
                book.count(hold.resource, used);
            }
            Counted::WhileItLasts => {
                // Another hold: the reservation is settled, and cannot be settled again.
                let id = HoldId::random(self.entropy)?;
                let hold = Hold { id, amount: used, expires_at: self.now.after(LEVEL_HOLD), ..hold };
                tx.save_hold(&hold).await?;
                book.holds.push(hold);
            }
        }
        Ok(Ok(()))
    }

    /// Writes down what the process may still use, and gives the leases as they are once the transaction is over.
    pub(crate) async fn save_leases(
        &self,
        tx: &mut dyn Tx,
    ) -> Result<Vec<((AccountId, Leasable), Option<Lease>)>, Error> {
        let mut changed = Vec::new();
        for (account, book) in self.books.iter().filter_map(|(account, book)| Some((*account, book.as_ref()?))) {
            for what in Leasable::ALL {
                let before = self.leases.get(&(account, what));
                let own = book.leases[what as usize];
                let Some(hold) = book.holds.iter().find(|hold| Some(hold.id) == own) else { continue };
                let was_granted = book.granted[what as usize] > 0;
                let until = before.filter(|_| !was_granted).map_or(self.lease_end, |lease| lease.until);
                changed.push(((account, what), save_lease(tx, before, Lease { hold: *hold, until }).await?));
            }
        }
        Ok(changed)
    }
}

/// Writes a lease down where it changed; one with nothing left is removed.
pub(crate) async fn save_lease(tx: &mut dyn Tx, before: Option<&Lease>, lease: Lease) -> Result<Option<Lease>, Error> {
    if lease.hold.amount == 0 {
        tx.remove_hold(lease.hold.id).await?;
        return Ok(None);
    }
    if before.is_none_or(|before| before.hold != lease.hold) {
        tx.save_hold(&lease.hold).await?;
    }
    Ok(Some(lease))
}

/// The first decision again, for the same question.
fn repeated(decided: &KeyedDecision, request: Request) -> Result<Verdict, Error> {
    let is_same = decided.decision.resource == request.resource && decided.amount == request.amount;
    if is_same {
        Ok(Verdict::Decided(decided.decision.clone()))
    } else {
        Err(Error::Conflict { reason: "this key was used for another resource or amount" })
    }
}

impl Accounting<'_> {
    /// What the transaction counts, to be written with the usage.
    pub(crate) fn counted(&self) -> impl Iterator<Item = (AccountId, Sample)> {
        self.books.iter().filter_map(|(account, book)| Some((*account, book.as_ref()?.sample(self.now)?)))
    }

    /// What was decided, for the time after the transaction.
    pub(crate) fn decided(self) -> Decided {
        let books = self.books.into_values().flatten().collect();
        Decided { books, now: self.now, lease_end: self.lease_end }
    }
}

/// What a transaction decided about quotas.
pub(crate) struct Decided {
    books: Vec<Book>,
    now: Timestamp,
    lease_end: Timestamp,
}

impl Decided {
    /// Shows it, once it is durable: what was counted is in the windows, and what was granted may be used.
    pub(crate) fn show(&self, act: impl Fn(&Pinned, &Sample)) {
        for book in &self.books {
            if let Some(sample) = book.sample(self.now) {
                act(&book.cell, &sample);
            }
            let locked = book.cell.write();
            for what in Leasable::ALL {
                let granted = book.granted[what as usize];
                if granted > 0 {
                    let limit = book.limits[what as usize];
                    locked.give_leased(what, granted, self.lease_end, limit);
                }
            }
        }
    }

    /// What the process was granted.
    pub(crate) fn grants(&self) -> impl Iterator<Item = ((AccountId, Leasable), Pace)> + '_ {
        let at = self.now;
        self.books.iter().flat_map(move |book| {
            let account = book.cell.cell().account();
            let granted = Leasable::ALL.into_iter().map(|what| (what, book.granted[what as usize]));
            let granted = granted.filter(|(_, units)| *units > 0);
            granted.map(move |(what, units)| ((account, what), Pace { units, at }))
        })
    }

    /// What was counted, of each account.
    pub(crate) fn samples(&self) -> impl Iterator<Item = (AccountId, Sample)> + '_ {
        self.books.iter().filter_map(|book| Some((book.cell.cell().account(), book.sample(self.now)?)))
    }

    /// Puts back what was taken out of the leases for a transaction that failed.
    pub(crate) fn undo(&self) {
        for book in &self.books {
            let locked = book.cell.write();
            Leasable::ALL.into_iter().for_each(|what| locked.put_back_leased(what, book.taken[what as usize]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_grows_with_the_pace_and_begins_anew_where_there_was_none() {
        let now = Timestamp::from_millis(1_700_000_000_000);
        let pace = Pace { units: 500, at: now };
        let after = |seconds| now.after(Duration::from_secs(seconds));
        assert_eq!([0, 4, 5, 9, 10, 600].map(|seconds| pace.next(after(seconds))), [1_000, 1_000, 500, 500, 64, 64]);
        assert_eq!([9, 10].map(|seconds| pace.is_over(after(seconds))), [false, true]);
    }
}
