use super::*;
use crate::auth::Challenge;
use crate::entropy::OsEntropy;
use std::net::{Ipv4Addr, Ipv6Addr};

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const TAG: AnonymousId = AnonymousId::from_bytes([1; 32]);

fn throttle() -> Throttle {
    Throttle::new(GuessLimits::default(), 33, Arc::new(OsEntropy))
}

fn source(number: u8) -> Source {
    Source::new(Ipv4Addr::new(192, 0, 2, number).into())
}

fn guess<'a>(
    throttle: &'a Throttle,
    source: Source,
    tag: AnonymousId,
    proof: Option<&Proof>,
    now: Timestamp,
) -> Result<Attempt<'a>, (Duration, Box<Challenge>)> {
    let guesser = Guesser { guess: Guess::SignIn, source: Some(source), tag, proof };
    match throttle.begin(guesser, &Pepper::from_bytes([2; 32]), now) {
        Ok(attempt) => Ok(attempt),
        Err(Error::RateLimited { retry_after, challenge }) => Err((retry_after, challenge)),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_source_has_twenty_free_failures_and_one_more_every_half_minute() {
    let throttle = throttle();
    let tag = |number: u8| AnonymousId::from_bytes([number; 32]);
    for number in 0..20 {
        let _ = guess(&throttle, source(1), tag(number), None, NOW).unwrap();
    }
    let (retry_after, _) = guess(&throttle, source(1), tag(20), None, NOW).unwrap_err();
    assert_eq!(retry_after, Duration::from_secs(30));
    // Another source is not concerned, and nor is this one once it has waited.
    let _ = guess(&throttle, source(2), tag(20), None, NOW).unwrap();
    let later = NOW.after(retry_after);
    let _ = guess(&throttle, source(1), tag(20), None, later).unwrap();
    assert!(guess(&throttle, source(1), tag(20), None, later).is_err());
}

#[test]
fn a_right_guess_does_not_count_and_a_refused_one_neither() {
    let throttle = throttle();
    for _ in 0..1_000 {
        guess(&throttle, source(1), TAG, None, NOW).unwrap().judged(Ok(())).unwrap();
    }
    for _ in 0..20 {
        let _ = guess(&throttle, source(1), TAG, None, NOW).unwrap();
    }
    for _ in 0..100 {
        let (retry_after, _) = guess(&throttle, source(1), TAG, None, NOW).unwrap_err();
        assert_eq!(retry_after, Duration::from_secs(30));
    }
}

#[test]
fn many_at_once_do_not_keep_each_other_out_and_each_wrong_one_counts_at_its_end() {
    let throttle = throttle();
    let mut at_once: Vec<_> = (0..33).map(|_| guess(&throttle, source(1), TAG, None, NOW).unwrap()).collect();
    at_once.drain(..14).for_each(|right| right.judged(Ok(())).unwrap());
    guess(&throttle, source(1), TAG, None, NOW).unwrap().judged(Ok(())).unwrap();
    drop(at_once);
    let _ = guess(&throttle, source(1), TAG, None, NOW).unwrap();
    assert!(guess(&throttle, source(1), TAG, None, NOW).is_err());
    assert!(throttle.under_way.is_empty());
}

#[test]
fn one_source_leaves_room_for_others_and_cannot_charge_an_account_past_its_own_limit() {
    let throttle = throttle();
    let guesser = |source| Guesser { guess: Guess::SignIn, source: Some(source), tag: TAG, proof: None };
    let begin = |from| throttle.begin(guesser(from), &Pepper::from_bytes([2; 32]), NOW);
    for _ in 0..10 {
        let at_once: Vec<_> = (0..33).map_while(|_| begin(source(1)).ok()).collect();
        let one_more = begin(source(1));
        assert!(matches!(one_more, Err(Error::Busy { .. } | Error::RateLimited { .. })));
        let _ = begin(source(2)).unwrap().judged(Ok(()));
        drop(at_once);
    }
    // Twenty of them counted against the account: its holder has thirty left.
    assert_eq!(throttle.accounts.excess(TAG, Rule { limit: 0, every: 30_000 }, NOW), 21);
}

#[test]
fn work_is_not_lost_on_a_guess_that_was_not_checked() {
    let throttle = throttle();
    for _ in 0..20 {
        let _ = guess(&throttle, source(1), TAG, None, NOW).unwrap();
    }
    let (_, challenge) = guess(&throttle, source(1), TAG, None, NOW).unwrap_err();
    let proof = challenge.solve();
    let busy = guess(&throttle, source(1), TAG, Some(&proof), NOW).unwrap();
    assert!(busy.judged::<()>(Err(Error::Busy { retry_after: RETRY_AFTER })).is_err());
    let wrong = guess(&throttle, source(1), TAG, Some(&proof), NOW).unwrap();
    assert!(wrong.judged::<()>(Err(Error::InvalidCredentials)).is_err());
    assert!(guess(&throttle, source(1), TAG, Some(&proof), NOW).is_err());
}

#[test]
fn the_work_grows_with_the_failures_up_to_a_bound_and_runs_off_in_hours() {
    let throttle = throttle();
    let mut hardest = 0;
    for number in 0..1_000_u32 {
        // One source each, as whoever commands many machines has them.
        let from = Source::new(Ipv4Addr::from(0x0a00_0000 + number).into());
        match guess(&throttle, from, TAG, None, NOW) {
            Ok(_) => assert!(number < 50),
            Err((_, challenge)) => {
                assert!(challenge.difficulty >= hardest && challenge.difficulty <= MOST_DIFFICULTY);
                hardest = challenge.difficulty;
                // As if the work had been done.
                throttle.accounts.charge(TAG, throttle.by_account(), NOW);
            }
        }
    }
    assert_eq!(hardest, MOST_DIFFICULTY);
    let (retry_after, _) = guess(&throttle, source(9), TAG, None, NOW).unwrap_err();
    assert_eq!(retry_after, Duration::from_secs(30) * (crate::auth::tally::MAX_EXCESS + 1));
    let _ = guess(&throttle, source(9), TAG, None, NOW.after(retry_after)).unwrap();
}

#[test]
fn a_proof_lets_one_guess_through() {
    let throttle = throttle();
    for _ in 0..20 {
        let _ = guess(&throttle, source(1), TAG, None, NOW).unwrap();
    }
    let (_, challenge) = guess(&throttle, source(1), TAG, None, NOW).unwrap_err();
    assert_eq!(challenge.difficulty, LEAST_DIFFICULTY);
    let proof = challenge.solve();
    let _ = guess(&throttle, source(1), TAG, Some(&proof), NOW).unwrap();
    assert!(guess(&throttle, source(1), TAG, Some(&proof), NOW).is_err());
}

#[test]
fn one_ipv6_network_is_one_source_and_a_mapped_address_is_its_ipv4() {
    let key = [3; 32];
    let v6 = |network: u16, host: u16| Source::new(Ipv6Addr::new(0x2001, 0xdb8, 0, network, 0, 0, 0, host).into());
    assert_eq!(tag(&key, v6(1, 1)), tag(&key, v6(1, 2)));
    assert_ne!(tag(&key, v6(1, 1)), tag(&key, v6(2, 1)));
    let plain = Ipv4Addr::new(192, 0, 2, 1);
    assert_eq!(tag(&key, Source::new(plain.into())), tag(&key, Source::new(plain.to_ipv6_mapped().into())));
    assert_ne!(tag(&key, v6(1, 1)), tag(&[4; 32], v6(1, 1)));
}

#[test]
fn the_key_of_sources_changes_with_the_day_and_counts_are_tidied_away() {
    let throttle = throttle();
    let today = throttle.digest(source(1), NOW).unwrap();
    assert_eq!(throttle.digest(source(1), NOW.start_of_day()).unwrap(), today);
    let _ = guess(&throttle, source(1), TAG, None, NOW).unwrap();
    throttle.tidy(NOW);
    assert_eq!((throttle.sources.len(), throttle.accounts.len()), (1, 1));
    throttle.tidy(NOW.after(Duration::from_secs(31)));
    assert_eq!((throttle.sources.len(), throttle.accounts.len()), (0, 0));
    assert_ne!(throttle.digest(source(1), NOW.after(DAY)).unwrap(), today);
}
