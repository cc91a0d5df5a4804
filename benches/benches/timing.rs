//! Whether the time of a refusal tells an account that is there from one that is not.
//!
//! Both kinds of guess take turns, so that whatever else the machine does falls on both alike. The floor is what two
//! runs of one kind differ by.
#![expect(clippy::expect_used, reason = "a bench that cannot set itself up has failed")]

use std::time::{Duration, Instant};

use benches::Readings;
use dimensionos_core::auth::{GuessLimits, HashCost, Password, Recovery, RecoveryCode, SignIn};
use dimensionos_core::users::{Identity, Registration};
use dimensionos_core::{Code, Context, Platform};
use dimensionos_store::testing;

/// Tries of each kind.
const TRIES: usize = 400;
/// The lowest cost a deployment may have: there the rest of the work shows most.
const COST: u32 = 10;

#[derive(Clone, Copy)]
enum Guess {
    WrongPassword,
    UnknownAccount,
    WrongCode,
    CodeOfNobody,
}

struct Setting {
    platform: Platform,
    known: Identity,
    unknown: Identity,
    wrong: Password,
    code: RecoveryCode,
}

impl Setting {
    async fn refused(&self, guess: Guess) -> f64 {
        let identity = match guess {
            Guess::WrongPassword | Guess::WrongCode => &self.known,
            Guess::UnknownAccount | Guess::CodeOfNobody => &self.unknown,
        };
        let (auth, anonymous) = (self.platform.auth(), Context::anonymous());
        let (identity, password) = (identity.clone(), self.wrong.clone());
        let start = now();
        let refused = match guess {
            Guess::WrongPassword | Guess::UnknownAccount => {
                auth.login(&anonymous, SignIn::new(identity, password)).await
            }
            Guess::WrongCode | Guess::CodeOfNobody => {
                let code = self.code.clone();
                auth.recover(&anonymous, Recovery { identity, code, new_password: password, proof: None }).await
            }
        };
        let took = start.elapsed();
        assert_eq!(refused.expect_err("a refusal").code(), Code::InvalidCredentials);
        took.as_secs_f64() * 1e3
    }

    async fn compare(&self, what: &str, one: Guess, other: Guess) {
        let (mut ones, mut others) = (Readings::default(), Readings::default());
        for turn in 0..TRIES {
            // Which goes first alternates too.
            let pair = if turn % 2 == 0 { [one, other] } else { [other, one] };
            let took = [self.refused(pair[0]).await, self.refused(pair[1]).await];
            let (first, second) = if turn % 2 == 0 { (took[0], took[1]) } else { (took[1], took[0]) };
            ones.push(first);
            others.push(second);
        }
        let (a, b) = (ones.trimmed(), others.trimmed());
        let t = a.welch_t(&b);
        println!(
            "| {what} | {:.3} ms | {:.3} ms | {:+.3} % | {t:+.2} | {} |",
            ones.quantile(0.5),
            others.quantile(0.5),
            (a.mean() / b.mean() - 1.0) * 100.0,
            if t.abs() < 4.5 { "cannot be told apart" } else { "TOLD APART" }
        );
    }
}

#[expect(clippy::disallowed_methods, reason = "a measurement reads the system's clock")]
fn now() -> Instant {
    Instant::now()
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let (database, _folder) = testing::sqlite().await;
        let free = GuessLimits {
            per_source: u32::MAX / 2,
            per_account: u32::MAX / 2,
            forgiven_every: Duration::from_millis(1),
        };
        let builder = Platform::builder(database).hash_cost(HashCost::new(COST).expect("a cost")).guesses(free);
        let platform = builder.open().await.expect("a platform");
        let known = Identity::email("ada@example.org").expect("an address");
        let password = Password::new("violet harbour kestrel 41").expect("a password");
        let (users, anonymous) = (platform.users(), Context::anonymous());
        users.register(&anonymous, Registration::new(Some(known.clone()), password.clone())).await.expect("an account");
        let stranger = users.register(&anonymous, Registration::new(None, password)).await.expect("an account");
        let setting = Setting {
            known,
            unknown: Identity::email("nobody@example.org").expect("an address"),
            wrong: Password::new("copper lantern meadow 58").expect("a password"),
            code: stranger.recovery_codes[0].clone(),
            platform: platform.clone(),
        };
        for _ in 0..20 {
            setting.refused(Guess::WrongPassword).await;
        }
        println!("{TRIES} tries of each kind, cost {COST}, SQLite; medians, then means without the slowest tenth\n");
        println!("| what | first | second | difference | Welch's t | |\n| --- | --- | --- | --- | --- | --- |");
        setting.compare("floor: wrong password, and again", Guess::WrongPassword, Guess::WrongPassword).await;
        setting.compare("wrong password, unknown account", Guess::WrongPassword, Guess::UnknownAccount).await;
        setting.compare("wrong code, code for an unknown account", Guess::WrongCode, Guess::CodeOfNobody).await;
    });
}
