//! Messages to people who were never written to before.
//!
//! How many says little: who announces something writes to many. What comes back says more: addresses that do not exist,
//! or nobody who answers. Without that the rule on volume alone holds, which warns and never restricts.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;
use crate::tos::detectors::claim::{Claim, Standing, part};
use crate::tos::detectors::{COUNTERFACTUAL_PART, Pace, decay};
use crate::tos::{Counterfactual, Figure, Finding, Rule, Signal, Signals};

/// What the spam rules hold figures against.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SpamParameters {
    /// Over how long everything is counted.
    pub window: Duration,
    /// New recipients in a window that are many, where too much comes back.
    pub recipients_with_bounces: f64,
    /// From what part of them on too much comes back. Mail providers look at senders from a tenth on.
    pub bounced_share: f64,
    /// New recipients in a window that are many, where next to nobody answers.
    pub recipients_unanswered: f64,
    /// From what part of them on next to nobody answers.
    pub unanswered_share: f64,
    /// New recipients in a window that are worth a warning whatever comes back.
    pub recipients_in_any_case: f64,
}

impl Default for SpamParameters {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(3_600),
            recipients_with_bounces: 60.0,
            bounced_share: 0.2,
            // Three times what the busiest sender of a benign network of 1,900 people does.
            recipients_unanswered: 300.0,
            unanswered_share: 0.98,
            recipients_in_any_case: 500.0,
        }
    }
}

/// The spam rules of one account.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Spam {
    pace: Pace,
    recipients: f32,
    bounced: f32,
    answered: f32,
    /// Whether anybody ever counted answers: nobody answers where nobody counts.
    sees_answers: bool,
    evidence: Standing,
    volume: Standing,
}

impl Spam {
    /// Takes what was counted since the last observation.
    #[expect(clippy::cast_possible_truncation, reason = "seven digits are enough for an hour's sum")]
    #[expect(clippy::cast_precision_loss, reason = "counts are at most 2^53 - 1")]
    pub fn observe(
        &mut self,
        at: Timestamp,
        signals: &Signals,
        parameters: &SpamParameters,
        sink: &mut impl FnMut(Finding),
    ) {
        let kept = decay(self.pace.step(at), parameters.window);
        let add = |sum: &mut f32, of| {
            *sum = (f64::from(*sum) * kept + signals.get(of).unwrap_or(0) as f64) as f32;
        };
        add(&mut self.recipients, Signal::NewRecipients);
        add(&mut self.bounced, Signal::MessagesBounced);
        add(&mut self.answered, Signal::MessagesAnswered);
        self.sees_answers |= signals.get(Signal::MessagesAnswered).is_some();
        self.of_evidence(parameters).hold(&mut self.evidence, at, sink);
        let limit = parameters.recipients_in_any_case;
        self.claim(Rule::SpamVolume, limit, f64::INFINITY, None, parameters).hold(&mut self.volume, at, sink);
    }

    fn of_evidence(&self, parameters: &SpamParameters) -> Claim {
        let recipients = f64::from(self.recipients);
        let bounced = part(self.bounced.into(), recipients);
        let unanswered = 1.0 - part(self.answered.into(), recipients).min(1.0);
        let by_bounces = part(bounced, parameters.bounced_share);
        let by_silence = if self.sees_answers { part(unanswered, parameters.unanswered_share) } else { 0.0 };
        let of_bounced = Figure { signal: "bounced_share", observed: bounced, limit: parameters.bounced_share };
        let of_silent = Figure { signal: "unanswered_share", observed: unanswered, limit: parameters.unanswered_share };
        let rule = Rule::SpamEvidence;
        // What comes back is the stronger evidence, and is named where there is any.
        if by_bounces > 1.0 || by_silence <= 1.0 {
            self.claim(rule, parameters.recipients_with_bounces, by_bounces, Some(of_bounced), parameters)
        } else {
            self.claim(rule, parameters.recipients_unanswered, by_silence, Some(of_silent), parameters)
        }
    }

    fn claim(&self, rule: Rule, limit: f64, gate: f64, support: Option<Figure>, parameters: &SpamParameters) -> Claim {
        let figure = Figure { signal: Signal::NewRecipients.name(), observed: self.recipients.into(), limit };
        // With fewer recipients the same bounces are a larger part of them, so what keeps the rule silent on one kind of
        // evidence has to do so on the other.
        let least = match rule {
            Rule::SpamEvidence => parameters.recipients_with_bounces.min(parameters.recipients_unanswered),
            _ => limit,
        };
        Claim {
            rule,
            severity: rule.severity(),
            figure,
            window: parameters.window,
            quiet_beside: Some(least),
            unrest: 0.0,
            reach: Duration::ZERO,
            // A burst is over before any dwell is; the hour is the dwell.
            rise: Duration::ZERO,
            fall: parameters.window / 4,
            tier: None,
            gate,
            supporting: [support, None, None, None],
            counterfactual: Counterfactual { signal: figure.signal, at_most: least * COUNTERFACTUAL_PART },
        }
    }
}
