use axum::http::{HeaderMap, header};

/// The form in which a file is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Brotli,
    Gzip,
    Identity,
}

impl Coding {
    /// The form that a client likes best of those there are, and of equals the smallest (RFC 9110, section 12.5.3). A
    /// client that takes none of them is sent the plain file: it can do more with that than with a refusal.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let accepted = Accepted::read(headers);
        let coded = [(Self::Brotli, accepted.brotli), (Self::Gzip, accepted.gzip)];
        let coded = coded.map(|(coding, weight)| (coding, weight.or(accepted.any).unwrap_or(0)));
        // Of two that are liked as much the later one stays.
        let best = coded.into_iter().rev().filter(|(_, weight)| *weight > 0).max_by_key(|(_, weight)| *weight);
        match best {
            // What is not listed may be sent, and is what nobody asked for.
            Some((coding, weight)) if weight >= accepted.identity.or(accepted.any).unwrap_or(0) => coding,
            _ => Self::Identity,
        }
    }

    /// What it is called on the wire; the plain form is called nothing.
    pub(super) const fn name(self) -> Option<&'static str> {
        match self {
            Self::Brotli => Some("br"),
            Self::Gzip => Some("gzip"),
            Self::Identity => None,
        }
    }
}

/// How much a client likes each coding, in thousandths; absent where it does not say.
#[derive(Debug, Default)]
struct Accepted {
    brotli: Option<u16>,
    gzip: Option<u16>,
    identity: Option<u16>,
    any: Option<u16>,
}

impl Accepted {
    fn read(headers: &HeaderMap) -> Self {
        let mut accepted = Self::default();
        let lists = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|list| list.to_str().ok());
        for one in lists.flat_map(|list| list.split(',')) {
            let (coding, parameters) = one.split_once(';').unwrap_or((one, ""));
            let place = match coding.trim().to_ascii_lowercase().as_str() {
                "br" => &mut accepted.brotli,
                "gzip" | "x-gzip" => &mut accepted.gzip,
                "identity" => &mut accepted.identity,
                "*" => &mut accepted.any,
                _ => continue,
            };
            *place = Some(weight(parameters));
        }
        accepted
    }
}

/// A weight such as `q=0.8`, in thousandths: all of it where there is none, and nothing where it cannot be read.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 0 to 1,000")]
fn weight(parameters: &str) -> u16 {
    let parameter = parameters.trim();
    if parameter.is_empty() {
        return 1_000;
    }
    let value = parameter.split_once('=').filter(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
    let value =
        value.and_then(|(_, value)| value.trim().parse::<f32>().ok()).filter(|value| (0.0..=1.0).contains(value));
    value.map_or(0, |value| (value * 1_000.0).round() as u16)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn coding(lists: &[&'static str]) -> Coding {
        let list = |list: &&'static str| (header::ACCEPT_ENCODING, HeaderValue::from_static(list));
        Coding::of(&lists.iter().map(list).collect())
    }

    #[test]
    fn a_client_is_sent_what_it_likes_best() {
        use Coding::{Brotli, Gzip, Identity};
        for (list, expected) in [
            ("gzip, deflate, br, zstd", Brotli),
            ("br;q=0.5, gzip;q=0.5", Brotli),
            ("gzip", Gzip),
            ("GZip;Q=0.1", Gzip),
            ("x-gzip", Gzip),
            ("br;q=0.1, gzip;q=0.9", Gzip),
            ("br;q=0.001, gzip;q=0", Brotli),
            ("*", Brotli),
            ("br;q=0, *", Gzip),
            ("br;q=0, *;q=0.2, identity;q=0.1", Gzip),
            ("gzip;q=0.5, identity", Identity),
            ("identity", Identity),
            ("deflate, zstd", Identity),
            ("", Identity),
            ("*;q=0", Identity),
            ("br;q=0, gzip;q=0, identity;q=0", Identity),
            ("br;q=much, gzip; q = 0.5", Gzip),
            ("br;q=1.5, gzip;q=-1", Identity),
            ("br;level=5", Identity),
        ] {
            assert_eq!(coding(&[list]), expected, "{list}");
        }
        assert_eq!(coding(&[]), Identity);
        assert_eq!(coding(&["gzip;q=0.5", "br"]), Brotli);
    }
}
