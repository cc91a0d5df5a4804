//! Crockford's base32: digits and letters without I, L, O and U, for what people read, type and say.

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Characters that 128 bits take: 26 of five bits, of which the first carries three.
pub(crate) const LENGTH: usize = 26;

/// Writes 128 bits in lower case, the highest bits first.
pub(crate) fn encode(value: u128) -> [u8; LENGTH] {
    let mut text = [b'0'; LENGTH];
    let mut rest = value;
    for character in text.iter_mut().rev() {
        *character = ALPHABET[(rest & 31) as usize];
        rest >>= 5;
    }
    text
}

/// Reads 128 bits back: either case, and O for 0, I and L for 1, as Crockford has it.
pub(crate) fn decode(text: &[u8]) -> Option<u128> {
    if text.len() != LENGTH {
        return None;
    }
    let mut value: u128 = 0;
    for (place, character) in text.iter().enumerate() {
        let digit = digit(*character)?;
        // 26 characters hold 130 bits: the first may not pass three.
        if place == 0 && digit > 7 {
            return None;
        }
        value = (value << 5) | u128::from(digit);
    }
    Some(value)
}

fn digit(character: u8) -> Option<u8> {
    let lower = match character.to_ascii_lowercase() {
        b'o' => b'0',
        b'i' | b'l' => b'1',
        other => other,
    };
    ALPHABET.iter().position(|known| *known == lower).and_then(|place| u8::try_from(place).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_value_past_128_bits_is_refused() {
        assert_eq!(decode(b"80000000000000000000000000"), None);
        assert_eq!(decode(b"7zzzzzzzzzzzzzzzzzzzzzzzzz"), Some(u128::MAX));
        assert_eq!(decode(b"u0000000000000000000000000"), None);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_in_either_case(value: u128) {
            let text = encode(value);
            prop_assert_eq!(decode(&text), Some(value));
            prop_assert_eq!(decode(&text.to_ascii_uppercase()), Some(value));
        }
    }
}
