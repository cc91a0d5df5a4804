//! Where a request comes from: for counting failed sign-ins, and for nothing else.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderValue;
use axum::http::request::Parts;
use dimensionos_core::auth::Source;

/// The address at the other end of a connection. The server puts it on every request; a router that is mounted
/// elsewhere may put it there too, or go without.
#[derive(Clone, Copy)]
pub struct Peer(pub IpAddr);

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Peer")
    }
}

/// The header in which proxies write whom they heard from, each adding one at the end.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The source of a request. Of the addresses in the header only the last ones are proxies' own words; as many of them
/// are believed as there are proxies of ours in front, and everything before is whatever a client made up.
pub(super) fn of(head: &Parts, trusted_proxies: u8) -> Option<Source> {
    let headers = &head.headers;
    let forwarded = || {
        let place = usize::from(trusted_proxies).checked_sub(1)?;
        // One line that cannot be read makes all of them worthless: what remained would be the client's own.
        let lists: Result<Vec<&str>, _> = headers.get_all(FORWARDED_FOR).iter().map(HeaderValue::to_str).collect();
        let lists = lists.ok()?;
        let told = lists.iter().flat_map(|list| list.split(',')).map(str::trim).filter(|told| !told.is_empty());
        address(told.rev().nth(place)?)
    };
    forwarded().or_else(|| head.extensions.get().map(|Peer(address)| *address)).map(Source::new)
}

/// Some proxies add the port.
fn address(told: &str) -> Option<IpAddr> {
    let plain = told.trim_start_matches('[').trim_end_matches(']');
    plain.parse().ok().or_else(|| told.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    fn source(lists: &[&str], trusted_proxies: u8) -> Option<Source> {
        let (mut head, ()) = Request::new(()).into_parts();
        for list in lists {
            head.headers.append(FORWARDED_FOR, HeaderValue::from_bytes(list.as_bytes()).unwrap());
        }
        head.extensions.insert(Peer([127, 0, 0, 1].into()));
        of(&head, trusted_proxies)
    }

    #[test]
    fn only_what_our_own_proxies_wrote_is_believed() {
        let is = |address: [u8; 4]| Some(Source::new(address.into()));
        assert_eq!(source(&["192.0.2.1"], 0), is([127, 0, 0, 1]));
        assert_eq!(source(&["198.51.100.7, 192.0.2.1"], 1), is([192, 0, 2, 1]));
        assert_eq!(source(&["198.51.100.7", "192.0.2.1, 203.0.113.5"], 2), is([192, 0, 2, 1]));
        assert_eq!(source(&["192.0.2.1:4711"], 1), is([192, 0, 2, 1]));
        let v6 = Some(Source::new("2001:db8::1".parse().unwrap()));
        assert_eq!([source(&["[2001:db8::1]:80"], 1), source(&["[2001:db8::1]"], 1)], [v6, v6]);
        assert_eq!(source(&["198.51.100.7", "\u{e9}, 192.0.2.1"], 1), is([127, 0, 0, 1]));
        assert_eq!(source(&["198.51.100.7, 192.0.2.1,"], 1), is([192, 0, 2, 1]));
        // Fewer than there are proxies, or nonsense: the connection itself says who it is.
        assert_eq!(source(&["192.0.2.1"], 2), is([127, 0, 0, 1]));
        assert_eq!(source(&["nonsense"], 1), is([127, 0, 0, 1]));
        assert_eq!(source(&[], 1), is([127, 0, 0, 1]));
        assert_eq!(of(&Request::new(()).into_parts().0, 1), None);
    }
}
