use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use proptest::prelude::*;

use super::chance::Chance;
use super::*;
use crate::Error;
use crate::allocation::TierName;
use crate::auth::VoucherKey;
use crate::entropy::{Entropy, EntropyError, OsEntropy};
use crate::time::Timestamp;

mod rfc_9497;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// Chance that was written down before.
#[derive(Debug)]
struct Script(Mutex<Vec<u8>>);

impl Script {
    fn of(hex_digits: &str) -> Self {
        Self(Mutex::new(hex(hex_digits)))
    }
}

impl Entropy for Script {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        let mut script = self.0.lock();
        if script.len() < bytes.len() {
            return Err(EntropyError);
        }
        let written: Vec<u8> = script.drain(..bytes.len()).collect();
        bytes.copy_from_slice(&written);
        Ok(())
    }
}

/// The same bytes again and again.
#[derive(Debug)]
struct Stuck(u8);

impl Entropy for Stuck {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        bytes.fill(self.0);
        Ok(())
    }
}

fn hex(digits: &str) -> Vec<u8> {
    let nibbles: Vec<u32> = digits.chars().map(|digit| digit.to_digit(16).unwrap()).collect();
    nibbles.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect()
}

fn texts(hexes: &[&str]) -> Vec<String> {
    hexes.iter().map(|digits| URL_SAFE_NO_PAD.encode(hex(digits))).collect()
}

fn starter() -> Denomination {
    "STARTER:30".parse().unwrap()
}

fn issuing_key(secret: u8, epoch: u16, denomination: Denomination) -> IssuingKey {
    IssuingKey::derive(&VoucherKey::from_bytes([secret; 32]), Epoch::from_number(epoch), denomination).unwrap()
}

fn present() -> u16 {
    Epoch::of(NOW).number()
}

fn bought(key: &IssuingKey, count: usize) -> (Order, Issue, Vec<Voucher>) {
    let order = Order::new(key.published().denomination, count, NOW, &OsEntropy).unwrap();
    let issue = key.issue(&order.blinded(), &OsEntropy).unwrap();
    let vouchers = order.finish(&issue, &[key.published()]).unwrap();
    (order, issue, vouchers)
}

#[test]
fn what_is_issued_redeems_and_under_no_other_secret_epoch_or_denomination() {
    let key = issuing_key(1, present(), starter());
    let (_, _, vouchers) = bought(&key, 3);
    assert_eq!(vouchers.len(), 3);
    let others = [
        issuing_key(2, present(), starter()),
        issuing_key(1, present() + 1, starter()),
        issuing_key(1, present(), "STARTER:31".parse().unwrap()),
        issuing_key(1, present(), "PRO:30".parse().unwrap()),
    ];
    let public_keys = others.iter().chain([&key]).map(|key| key.published().public_key);
    assert_eq!(public_keys.collect::<HashSet<_>>().len(), 5);
    for voucher in &vouchers {
        assert!(key.verifies(voucher));
        for other in &others {
            assert!(!other.verifies(voucher));
            // Nor where it says that it is of that epoch and denomination.
            let elsewhere = (other.published().epoch, other.published().denomination);
            let moved = Voucher::new(elsewhere, (*voucher.nonce()).into(), (*voucher.output()).into());
            assert!(!other.verifies(&moved));
        }
    }
    let nullifiers: HashSet<Nullifier> = vouchers.iter().map(Voucher::nullifier).collect();
    assert_eq!(nullifiers.len(), 3);
}

#[test]
fn processes_that_share_the_secret_derive_the_same_key_and_a_restart_changes_none() {
    let (_, _, vouchers) = bought(&issuing_key(1, present(), starter()), 1);
    assert!(issuing_key(1, present(), starter()).verifies(&vouchers[0]));
}

#[test]
fn a_buyer_takes_nothing_that_another_key_than_the_published_made() {
    let (key, marked) = (issuing_key(1, present(), starter()), issuing_key(2, present(), starter()));
    let order = Order::new(starter(), 2, NOW, &OsEntropy).unwrap();
    let issue = |key: &IssuingKey| key.issue(&order.blinded(), &OsEntropy).unwrap();
    let published = [issuing_key(1, present(), "PRO:30".parse().unwrap()).published(), key.published()];
    let refused = |issue: &Issue| order.finish(issue, &published).unwrap_err();

    assert_eq!(refused(&issue(&marked)), IssueRefused::OtherKey);
    // Under the published name, but made with another key.
    let passed_off = Issue { key: key.published(), ..issue(&marked) };
    assert_eq!(refused(&passed_off), IssueRefused::ProofInvalid);
    // With the proof of another answer, which was right there.
    let borrowed = Issue { proof: issue(&key).proof, ..passed_off };
    assert_eq!(refused(&borrowed), IssueRefused::ProofInvalid);
    // One of two made with another key.
    let (good, bad) = (issue(&key).elements.texts(), issue(&marked).elements.texts());
    let mixed = Evaluated::parse(&[&good[0], &bad[1]]).unwrap();
    assert_eq!(refused(&Issue { elements: mixed, ..issue(&key) }), IssueRefused::ProofInvalid);
    // The right ones in another order, and one of them left out.
    let turned = Evaluated::parse(&[&good[1], &good[0]]).unwrap();
    assert_eq!(refused(&Issue { elements: turned, ..issue(&key) }), IssueRefused::ProofInvalid);
    let one = Evaluated::parse(&good[..1]).unwrap();
    assert_eq!(refused(&Issue { elements: one, ..issue(&key) }), IssueRefused::OtherCount);
    assert_eq!(order.finish(&issue(&key), &published).unwrap().len(), 2);
}

#[test]
fn a_buyer_takes_nothing_of_another_denomination_or_of_an_epoch_nobody_else_buys_in() {
    let order = Order::new(starter(), 1, NOW, &OsEntropy).unwrap();
    let finish = |key: IssuingKey| {
        order
            .finish(&key.issue(&order.blinded(), &OsEntropy).unwrap(), &[key.published()])
            .map(|vouchers| vouchers[0].epoch().number())
    };
    let days: Denomination = "STARTER:29".parse().unwrap();
    assert_eq!(finish(issuing_key(1, present(), days)), Err(IssueRefused::OtherDenomination));
    for (epoch, is_taken) in [(-2, false), (-1, true), (0, true), (1, true), (2, false)] {
        let epoch = present().saturating_add_signed(epoch);
        let finished = finish(issuing_key(1, epoch, starter()));
        assert_eq!(finished, if is_taken { Ok(epoch) } else { Err(IssueRefused::OtherEpoch) });
    }
}

#[test]
fn an_order_that_was_kept_finishes_what_it_asked_for() {
    let key = issuing_key(1, present(), starter());
    let (order, issue, vouchers) = bought(&key, 2);
    let kept = order.expose();
    let again: Order = kept.parse().unwrap();
    assert_eq!(again.blinded().texts(), order.blinded().texts());
    let finished = again.finish(&issue, &[key.published()]).unwrap();
    let shown = |vouchers: &[Voucher]| vouchers.iter().map(|voucher| voucher.expose().to_string()).collect::<Vec<_>>();
    assert_eq!(shown(&finished), shown(&vouchers));
    for text in ["", "AQ", &kept[..8], &kept[..kept.len() - 4], &format!("{}AAAA", *kept)] {
        assert!(text.parse::<Order>().is_err(), "{text}");
    }
}

#[test]
fn chance_that_fails_or_repeats_itself_is_an_error_and_no_panic() {
    let key = issuing_key(1, present(), starter());
    let blinded = Order::new(starter(), 1, NOW, &OsEntropy).unwrap().blinded();
    // 255 is never a scalar, 0 is the one that must not be; both would be drawn for ever.
    for stuck in [Stuck(255), Stuck(0)] {
        assert!(matches!(Order::new(starter(), 1, NOW, &stuck), Err(Error::Entropy(_))));
        assert!(matches!(key.issue(&blinded, &stuck), Err(Error::Entropy(_))));
    }
    let empty = Script::of("");
    assert!(matches!(Order::new(starter(), 1, NOW, &empty), Err(Error::Entropy(_))));
    assert!(matches!(key.issue(&blinded, &empty), Err(Error::Entropy(_))));
}

#[test]
fn what_is_no_point_and_what_are_none_or_too_many_is_refused() {
    let good = Order::new(starter(), 1, NOW, &OsEntropy).unwrap().blinded().texts();
    let neutral = URL_SAFE_NO_PAD.encode([0; 32]);
    let no_point = URL_SAFE_NO_PAD.encode([255; 32]);
    let padded = format!("{}=", good[0]);
    for text in [&neutral, &no_point, &padded, "", &good[0][1..]] {
        assert!(Blinded::parse(&[text]).is_err(), "{text}");
        assert!(Evaluated::parse(&[text]).is_err(), "{text}");
    }
    assert!(Blinded::parse(&[""; 0]).is_err());
    assert_eq!(Blinded::parse(&vec![&good[0]; MAX_VOUCHERS]).unwrap().count(), MAX_VOUCHERS);
    assert!(Blinded::parse(&vec![&good[0]; MAX_VOUCHERS + 1]).is_err());
    for count in [0, MAX_VOUCHERS + 1] {
        assert!(matches!(Order::new(starter(), count, NOW, &OsEntropy), Err(Error::InvalidInput { .. })));
    }
    assert!(URL_SAFE_NO_PAD.encode([255; 64]).parse::<IssueProof>().is_err());
}

#[test]
fn a_request_is_the_same_only_with_the_same_elements_in_the_same_epoch() {
    let blinded = Order::new(starter(), 2, NOW, &OsEntropy).unwrap().blinded();
    let texts = blinded.texts();
    let again = Blinded::parse(&texts).unwrap();
    let epoch = Epoch::of(NOW);
    assert_eq!(again.digest(epoch, starter()), blinded.digest(epoch, starter()));
    let digests = [
        blinded.digest(epoch, starter()),
        blinded.digest(Epoch::from_number(present() + 1), starter()),
        blinded.digest(epoch, "PRO:30".parse().unwrap()),
        Blinded::parse(&texts[..1]).unwrap().digest(epoch, starter()),
        Blinded::parse(&[&texts[1], &texts[0]]).unwrap().digest(epoch, starter()),
    ];
    assert_eq!(digests.into_iter().collect::<HashSet<_>>().len(), 5);
}

#[test]
fn nothing_secret_prints_more_than_its_name() {
    let (order, issue, vouchers) = bought(&issuing_key(1, present(), starter()), 1);
    assert_eq!(format!("{:?} {order:?} {:?}", vouchers[0], vouchers[0].nullifier()), "Voucher Order Nullifier");
    assert_eq!(format!("{:?} {:?} {:?}", order.blinded(), issue.elements, issue.proof), "Blinded Evaluated IssueProof");
    let key = issuing_key(1, present(), starter());
    let public = key.published().public_key;
    let shown = format!("{key:?}");
    assert!(shown.contains(&public.to_string()) && shown.len() < 200, "{shown}");
}

/// Every string of eight bytes in some texts and bytes.
fn eights<'a>(of: impl IntoIterator<Item = &'a [u8]>) -> HashSet<[u8; 8]> {
    of.into_iter().flat_map(|bytes| bytes.windows(8)).filter_map(|window| window.try_into().ok()).collect()
}

#[test]
fn what_is_shown_when_buying_and_when_redeeming_has_no_eight_bytes_in_common() {
    let (order, issue, vouchers) = bought(&issuing_key(1, present(), starter()), 20);
    let decode = |text: &String| URL_SAFE_NO_PAD.decode(text).unwrap();
    let mut buying: Vec<Vec<u8>> =
        [order.blinded().texts(), issue.elements.texts()].concat().iter().map(decode).collect();
    buying.push(decode(&issue.proof.to_string()));
    buying.push(order.blinded().digest(issue.key.epoch, issue.key.denomination).to_vec());
    let mut redeeming: Vec<Vec<u8>> = Vec::new();
    for voucher in &vouchers {
        redeeming.extend([voucher.nonce().to_vec(), voucher.output().to_vec()]);
        redeeming.push(voucher.nullifier().as_bytes().to_vec());
    }
    let common = |buying: &[Vec<u8>]| {
        let redeemed = eights(redeeming.iter().map(Vec::as_slice));
        eights(buying.iter().map(Vec::as_slice)).intersection(&redeemed).count()
    };
    assert_eq!(common(&buying), 0);
    // It would be found.
    buying.push([&[7; 3], &vouchers[9].nonce()[10..18]].concat());
    assert_eq!(common(&buying), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_voucher_reads_back_and_one_with_a_bit_flipped_opens_nothing(bit in 0..70 * 8_usize, days in 1..=MAX_DAYS) {
        let key = issuing_key(1, present(), Denomination::new(TierName::Pro, days).unwrap());
        let (_, _, vouchers) = bought(&key, 1);
        let text = vouchers[0].expose();
        let read: Voucher = text.parse().unwrap();
        prop_assert!(key.verifies(&read));
        prop_assert_eq!(read.expose(), text.clone());
        prop_assert_eq!(read.nullifier(), vouchers[0].nullifier());

        let mut bytes = URL_SAFE_NO_PAD.decode(&text[5..]).unwrap();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let flipped = format!("dimv_{}", URL_SAFE_NO_PAD.encode(bytes)).parse::<Voucher>();
        // Under the key that it names, as the server would look it up.
        let is_good = flipped.is_ok_and(|flipped| {
            issuing_key(1, flipped.epoch().number(), flipped.denomination()).verifies(&flipped)
        });
        prop_assert!(!is_good);
    }

    #[test]
    fn no_text_is_read_to_a_voucher_that_is_written_otherwise(text in "(dimv_)?[A-Za-z0-9_-]{93,95}") {
        if let Ok(voucher) = text.parse::<Voucher>() {
            prop_assert_eq!(voucher.expose().to_string(), text);
        }
    }

    #[test]
    fn no_text_is_read_to_another_element(bytes: [u8; 32]) {
        let text = URL_SAFE_NO_PAD.encode(bytes);
        if let Ok(blinded) = Blinded::parse(&[&text]) {
            prop_assert_eq!(blinded.texts(), vec![text]);
        }
    }
}
