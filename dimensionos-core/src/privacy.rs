//! The inventory of everything that is stored: which column, of what kind, what for, and for how long.
//!
//! It is what the server tells about itself, and a test holds it against the tables that there are.

use crate::monitoring::{Counter, Level};

/// What kind of thing a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataClass {
    /// Stands for an account, and leads to nobody without the pepper.
    Pseudonym,
    /// A digest of a secret, from which the secret cannot be had.
    SecretDigest,
    /// What an account may do, and since when.
    Status,
    /// A figure of usage.
    Metric,
    /// A finding about an account's conduct.
    Flag,
    /// Serves the storing itself.
    Technical,
}

/// One stored column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredField {
    /// The table.
    pub table: &'static str,
    /// The column.
    pub column: String,
    /// What kind of thing it holds.
    pub class: DataClass,
    /// What for.
    pub purpose: &'static str,
    /// For how long.
    pub retention: &'static str,
}

const WITH_THE_ACCOUNT: &str = "as long as the account";
const UNTIL_LIFTED: &str = "until it is lifted";
const UNTIL_USED: &str = "until it is used or replaced";
const WITH_THE_SESSION: &str = "until the session ends, 30 days after its last use at most";
const UNTIL_SETTLED: &str = "until it is used, released or expired, an hour or a day at most";
const A_YEAR: &str = "a year after what followed from it has ended";
const A_YEAR_AFTER: &str = "a year after the account was erased";
const WITH_THE_EPOCH: &str =
    "until no voucher of its quarter is good, and a quarter more: two and a half years at most";
const FOR_EVER: &str = "for ever: what was counted once must not count again";
const UNTIL_DECIDED: &str = "until the appeal is decided";
const AN_HOUR: &str = "an hour, two at most";
const A_DAY: &str = "a day";
const UNTIL_ITS_DATE: &str = "until its date";
const WITH_THE_KEY: &str = "as long as the key";
const A_MONTH: &str = "31 days";
const WITH_THE_SERVICE: &str = "as long as the service";
const ROLLED_UP: &str = "by the minute 48 hours, by the hour 90 days, by the day 3 years, unless set otherwise; \
    where usage is partitioned, at most 6 hours, a week or 13 weeks longer";

type Row = (&'static str, &'static str, DataClass, &'static str, &'static str);

const ROWS: [Row; 146] = {
    use DataClass::{Flag, Metric, Pseudonym, SecretDigest, Status, Technical};
    [
        ("accounts", "id", Pseudonym, "names the account; random", WITH_THE_ACCOUNT),
        ("accounts", "anonymous_id", Pseudonym, "finds the account at sign-in; a keyed tag", WITH_THE_ACCOUNT),
        ("accounts", "pepper_id", Technical, "names the key of the tag", WITH_THE_ACCOUNT),
        ("accounts", "tier", Status, "what the account is allotted by", WITH_THE_ACCOUNT),
        ("accounts", "created_at", Status, "since when the account is active", WITH_THE_ACCOUNT),
        ("accounts", "trial_started_at", Status, "when its trial began", WITH_THE_ACCOUNT),
        ("accounts", "trial_ends_at", Status, "when its trial ends", WITH_THE_ACCOUNT),
        ("accounts", "paid", Status, "until when each tier is paid for", WITH_THE_ACCOUNT),
        ("accounts", "cancelled_at", Status, "when its holder cancelled it", "until it is restored or erased"),
        ("accounts", "active_since", Status, "since when it is active", WITH_THE_ACCOUNT),
        ("accounts", "told_status", Status, "which status its listeners were told last", WITH_THE_ACCOUNT),
        ("accounts", "notice_step_at", Technical, "of which step they were given notice", WITH_THE_ACCOUNT),
        ("accounts", "notice_days", Technical, "how many days before it", WITH_THE_ACCOUNT),
        ("accounts", "due_at", Technical, "when there is more to tell", WITH_THE_ACCOUNT),
        ("accounts", "epoch", Technical, "ends tokens made before", WITH_THE_ACCOUNT),
        ("accounts", "operator_status", Status, "what an operator decided the account may do", UNTIL_LIFTED),
        ("accounts", "operator_status_at", Status, "since when", UNTIL_LIFTED),
        ("accounts", "operator_status_note", Status, "why, in the operator's words; its holder reads it", UNTIL_LIFTED),
        ("accounts", "restrictions", Status, "what breaches of the terms restrict it to", "until they end"),
        ("accounts", "terms_version", Status, "which terms its holder accepted last", WITH_THE_ACCOUNT),
        ("accounts", "terms_accepted_at", Status, "when", WITH_THE_ACCOUNT),
        (
            "accounts",
            "subject_seed",
            Pseudonym,
            "makes its unlinkable names at other services; sealed under the pepper",
            WITH_THE_ACCOUNT,
        ),
        ("recovery_codes", "account_id", Pseudonym, "whose code", UNTIL_USED),
        ("recovery_codes", "digest", SecretDigest, "knows the code again", UNTIL_USED),
        ("passwords", "account_id", Pseudonym, "whose password", WITH_THE_ACCOUNT),
        ("passwords", "bcrypt", SecretDigest, "knows the password again", WITH_THE_ACCOUNT),
        ("passwords", "pepper_id", Technical, "names the key of the hash", WITH_THE_ACCOUNT),
        ("sessions", "id", Technical, "names the session; random", WITH_THE_SESSION),
        ("sessions", "account_id", Pseudonym, "whose session", WITH_THE_SESSION),
        ("sessions", "created_at", Technical, "shows the holder when it began", WITH_THE_SESSION),
        ("sessions", "expires_at", Technical, "when it ends by itself", WITH_THE_SESSION),
        ("sessions", "authenticated_at", Technical, "when the password was last checked in it", WITH_THE_SESSION),
        ("refresh_tokens", "digest", SecretDigest, "knows the token again", WITH_THE_SESSION),
        ("refresh_tokens", "session_id", Technical, "which session it renews", WITH_THE_SESSION),
        ("refresh_tokens", "expires_at", Technical, "when it runs out", WITH_THE_SESSION),
        ("refresh_tokens", "used_at", Technical, "notices that a stolen one is used again", WITH_THE_SESSION),
        ("access_keys", "id", Technical, "names the key of an agent or operator; random", WITH_THE_KEY),
        ("access_keys", "role", Technical, "what its holder may do", WITH_THE_KEY),
        ("access_keys", "name", Technical, "what an operator called it", WITH_THE_KEY),
        ("access_keys", "digest", SecretDigest, "knows the key again", WITH_THE_KEY),
        ("access_keys", "created_at", Technical, "when it was made", WITH_THE_KEY),
        ("tier_versions", "tier", Technical, "the tier", WITH_THE_SERVICE),
        ("tier_versions", "version", Technical, "which definition of it", WITH_THE_SERVICE),
        ("tier_versions", "effective_from", Technical, "from when on it holds", WITH_THE_SERVICE),
        ("tier_versions", "cpu_millicores", Technical, "what it grants", WITH_THE_SERVICE),
        ("tier_versions", "ram_megabytes", Technical, "what it grants", WITH_THE_SERVICE),
        ("tier_versions", "storage_gigabytes", Technical, "what it grants", WITH_THE_SERVICE),
        ("tier_versions", "bandwidth_bits_per_second", Technical, "what it grants", WITH_THE_SERVICE),
        ("tier_versions", "database", Technical, "what it grants", WITH_THE_SERVICE),
        ("tier_versions", "api_calls_per_hour", Technical, "what it grants", WITH_THE_SERVICE),
        ("tier_versions", "file_operations_per_hour", Technical, "what it grants", WITH_THE_SERVICE),
        ("tier_versions", "price_cents_per_month", Technical, "what it costs", WITH_THE_SERVICE),
        ("tier_versions", "trial_days", Technical, "how long it is free", WITH_THE_SERVICE),
        ("usage_sources", "agent_id", Technical, "which agent reports", WITH_THE_KEY),
        ("usage_sources", "name", Technical, "which of its sources", WITH_THE_KEY),
        ("usage_sources", "state", Technical, "counts each report once", WITH_THE_KEY),
        ("usage_flushes", "replica", Technical, "which process wrote usage; random", A_MONTH),
        ("usage_flushes", "number", Technical, "tells whether its last writing took effect", A_MONTH),
        ("usage_flushes", "flushed_at", Technical, "when it may be forgotten", A_MONTH),
        ("usage_rollups", "account_id", Pseudonym, "whose usage", ROLLED_UP),
        ("usage_rollups", "resolution", Technical, "minute, hour or day", ROLLED_UP),
        ("usage_rollups", "bucket_start", Metric, "when it was used, to the minute", ROLLED_UP),
        ("usage_readings", "version", Technical, "tells processes whether they know all of it", WITH_THE_ACCOUNT),
        ("usage_readings", "account_id", Pseudonym, "whose readings", WITH_THE_ACCOUNT),
        ("quota_holds", "id", Technical, "names what is granted or reserved; random", UNTIL_SETTLED),
        ("quota_holds", "account_id", Pseudonym, "of whose quota", UNTIL_SETTLED),
        ("quota_holds", "resource", Technical, "of what", UNTIL_SETTLED),
        ("quota_holds", "amount", Metric, "how much counts as used", UNTIL_SETTLED),
        ("quota_holds", "expires_at", Technical, "when it counts no more", UNTIL_SETTLED),
        ("quota_decisions", "key_digest", SecretDigest, "knows a repeated question again", A_DAY),
        ("quota_decisions", "account_id", Pseudonym, "whose quota", A_DAY),
        ("quota_decisions", "resource", Technical, "of what", A_DAY),
        ("quota_decisions", "amount", Metric, "how much was asked for", A_DAY),
        ("quota_decisions", "is_allowed", Status, "what was decided", A_DAY),
        ("quota_decisions", "is_over", Status, "whether a soft limit was passed", A_DAY),
        ("quota_decisions", "reason", Status, "why it was refused", A_DAY),
        ("quota_decisions", "limit_amount", Technical, "by which limit", A_DAY),
        ("quota_decisions", "used", Metric, "by how much use", A_DAY),
        ("quota_decisions", "resets_at", Technical, "when some of it runs off", A_DAY),
        ("quota_decisions", "expires_at", Technical, "when it is forgotten", A_DAY),
        ("limit_overrides", "account_id", Pseudonym, "whose limit", UNTIL_ITS_DATE),
        ("limit_overrides", "resource", Technical, "of what", UNTIL_ITS_DATE),
        ("limit_overrides", "limit_amount", Status, "how much is granted", UNTIL_ITS_DATE),
        ("limit_overrides", "until", Status, "when it ends", UNTIL_ITS_DATE),
        ("violations", "id", Technical, "names what was found; random", A_YEAR),
        ("violations", "account_id", Pseudonym, "whose account", A_YEAR),
        ("violations", "kind", Flag, "what kind of breach", A_YEAR),
        ("violations", "rule", Flag, "which rule found it", A_YEAR),
        ("violations", "severity", Flag, "how much it weighs", A_YEAR),
        ("violations", "strikes", Flag, "what went before, in one number", A_YEAR),
        ("violations", "policy_version", Technical, "which policy decided", A_YEAR),
        ("violations", "decided", Status, "what that policy decided", A_YEAR),
        ("violations", "sanction", Status, "what followed", A_YEAR),
        ("violations", "imposed_at", Status, "since when", A_YEAR),
        (
            "violations",
            "imposed_by",
            Technical,
            "which operator decided it, so that another decides the appeal",
            A_YEAR,
        ),
        ("violations", "ends_at", Status, "until when", A_YEAR),
        ("violations", "is_automated", Status, "whether a person took part", A_YEAR),
        ("violations", "detected_at", Flag, "when it was found", A_YEAR),
        ("violations", "lowered_at", Flag, "when it was over", A_YEAR),
        ("violations", "shadow_version", Technical, "which policy was tried beside", A_YEAR),
        ("violations", "shadow_sanction", Technical, "what that one would have decided", A_YEAR),
        ("violations", "statement", Flag, "the figures it was found by, and their limits", A_YEAR),
        ("violations", "appeal_ground", Status, "why its holder does not agree", A_YEAR),
        ("violations", "appealed_at", Status, "since when", A_YEAR),
        (
            "violations",
            "appeal_statement",
            Status,
            "its holder's words, sealed to a key that is not here",
            UNTIL_DECIDED,
        ),
        ("violations", "appeal_decided_at", Status, "when the appeal was decided", A_YEAR),
        ("violations", "appeal_decided_by", Technical, "by which operator", A_YEAR),
        ("violations", "verdict", Status, "how it was decided", A_YEAR),
        ("violations", "complaint", Status, "digests and dates of a complaint of copyright; no paper, no name", A_YEAR),
        ("violations", "handled_by", Technical, "which operators had a part in it, so that another decides", A_YEAR),
        ("detector_states", "account_id", Pseudonym, "whose detectors", WITH_THE_ACCOUNT),
        ("detector_states", "state", Metric, "faded sums of counts, to go on after a restart", WITH_THE_ACCOUNT),
        ("enforcement_policies", "version", Technical, "names the policy", WITH_THE_SERVICE),
        ("enforcement_policies", "is_shadow", Technical, "whether it decides", WITH_THE_SERVICE),
        ("enforcement_policies", "applied_at", Technical, "since when", WITH_THE_SERVICE),
        ("enforcement_policies", "policy", Technical, "what it decides", WITH_THE_SERVICE),
        ("spent_attestations", "digest", SecretDigest, "counts a payment once; leads to no account", FOR_EVER),
        ("spent_attestations", "request", SecretDigest, "knows a repeated request for vouchers again", FOR_EVER),
        (
            "trial_tombstones",
            "tag",
            Pseudonym,
            "refuses a second trial; keyed, and good for nothing else",
            A_YEAR_AFTER,
        ),
        ("trial_tombstones", "until", Technical, "when it is forgotten, to the day", A_YEAR_AFTER),
        ("voucher_keys", "epoch", Technical, "in which quarter the key makes vouchers", WITH_THE_EPOCH),
        ("voucher_keys", "tier", Technical, "for which tier", WITH_THE_EPOCH),
        ("voucher_keys", "days", Technical, "for how many days", WITH_THE_EPOCH),
        ("voucher_keys", "public_key", Technical, "the same for everybody, so that none is marked", WITH_THE_EPOCH),
        ("spent_vouchers", "epoch", Technical, "in which quarter a voucher was bought", WITH_THE_EPOCH),
        (
            "spent_vouchers",
            "nullifier",
            SecretDigest,
            "counts a voucher once; leads neither to who bought it nor to an account",
            WITH_THE_EPOCH,
        ),
        ("job_leases", "job", Technical, "which job", WITH_THE_SERVICE),
        ("job_leases", "holder", Technical, "which process does it; random", WITH_THE_SERVICE),
        ("job_leases", "expires_at", Technical, "when another may", WITH_THE_SERVICE),
        ("job_runs", "job", Technical, "which job", WITH_THE_SERVICE),
        ("job_runs", "started_at", Technical, "when it ran last", WITH_THE_SERVICE),
        ("job_runs", "ended_at", Technical, "until when", WITH_THE_SERVICE),
        ("job_runs", "outcome", Technical, "how it went", WITH_THE_SERVICE),
        ("job_runs", "fault", Technical, "the code of what it failed with", WITH_THE_SERVICE),
        ("job_runs", "done", Technical, "how many things it did", WITH_THE_SERVICE),
        ("job_runs", "last_ok_at", Technical, "when it last went well", WITH_THE_SERVICE),
        ("usage_readings", "newest_at", Metric, "when anything was measured last", WITH_THE_ACCOUNT),
        ("deployment", "singleton", Technical, "there is one", WITH_THE_SERVICE),
        ("deployment", "id", Technical, "tells deployments apart that share a message bus; random", WITH_THE_SERVICE),
        ("account_changes", "number", Technical, "names the change", AN_HOUR),
        ("account_changes", "account_id", Pseudonym, "which account other processes have to read again", AN_HOUR),
        ("account_changes", "replica", Technical, "which process changed it; random", AN_HOUR),
        ("account_changes", "written_in", Technical, "in which order changes were made", AN_HOUR),
        ("account_changes", "changed_at", Technical, "when it may be forgotten", AN_HOUR),
        ("seaql_migrations", "version", Technical, "which step of the schema was applied", WITH_THE_SERVICE),
        ("seaql_migrations", "applied_at", Technical, "when", WITH_THE_SERVICE),
    ]
};

/// Every column of every table, in the order of the tables.
#[must_use]
pub fn stored_data() -> Vec<StoredField> {
    let named = ROWS.into_iter().map(|(table, column, class, purpose, retention)| StoredField {
        table,
        column: column.to_owned(),
        class,
        purpose,
        retention,
    });
    let metric = |table, column: String, purpose, retention| StoredField {
        table,
        column,
        class: DataClass::Metric,
        purpose,
        retention,
    };
    let rollups = Level::ALL.into_iter().flat_map(|level| {
        let column = |part: &str| format!("{}_{part}", level.name());
        [
            metric("usage_rollups", column("sum"), "the mean, with the count", ROLLED_UP),
            metric("usage_rollups", column("count"), "the mean, with the sum", ROLLED_UP),
            metric("usage_rollups", column("peak"), "the highest reading", ROLLED_UP),
        ]
    });
    let counters = Counter::ALL
        .into_iter()
        .map(|counter| metric("usage_rollups", counter.name().to_owned(), "how much was used", ROLLED_UP));
    let readings = Level::ALL.into_iter().flat_map(|level| {
        let at = format!("{}_at", level.name());
        [
            metric("usage_readings", level.name().to_owned(), "the newest reading", WITH_THE_ACCOUNT),
            metric("usage_readings", at, "when it was taken", WITH_THE_ACCOUNT),
        ]
    });
    named.chain(rollups).chain(counters).chain(readings).collect()
}
