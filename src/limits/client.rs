//! Who a limit is kept for: an address, or whoever has logged in.

use std::net::{IpAddr, Ipv6Addr};

use super::bucket::Rate;
use crate::cidr::Cidr;

/// Longest list of addresses in a header that is looked at, from its end.
const FORWARDERS_MAX: usize = 32;

/// Whom requests are counted for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ClientKey {
    /// An address: one of IPv4, or the first 64 bits of one of IPv6, of which a client has as many
    /// as it likes. Made by [`ClientKey::of`].
    Address(IpAddr),
    /// A principal that has shown who it is, by a hash of its kind and name.
    Principal(u64),
}

impl ClientKey {
    /// The client at this address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => {
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
            }
        })
    }
}

/// Whose tokens pay for a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Payer {
    /// Whose.
    pub key: ClientKey,
    /// How many there are of them, where that is not as for everybody.
    pub rate: Option<Rate>,
}

impl Payer {
    /// The client at this address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        Self { key: ClientKey::of(address), rate: None }
    }
}

/// The address of the client behind `peer`. Where that is a trusted proxy, it is the last address
/// of `forwarded_for` that is not one itself (a client can write what it likes before that), else
/// the one in `real_ip`; a header that cannot be read counts as absent.
#[must_use]
pub fn client_address(
    peer: IpAddr,
    trusted: &[Cidr],
    forwarded_for: Option<&[u8]>,
    real_ip: Option<&[u8]>,
) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|block| block.contains(address));
    if !is_trusted(peer) {
        return peer;
    }
    let hops = forwarded_for.unwrap_or_default().rsplit(|byte| *byte == b',');
    for hop in hops.take(FORWARDERS_MAX) {
        match address(hop) {
            Some(address) if is_trusted(address) => {}
            Some(address) => return address,
            None => break,
        }
    }
    real_ip.and_then(address).unwrap_or(peer)
}

/// An address as proxies write it: alone, in brackets, with a port.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text.trim_ascii()).ok()?;
    let parsed = text.parse().ok().or_else(|| {
        let with_port = text.parse::<std::net::SocketAddr>().ok().map(|address| address.ip());
        let inside = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
        with_port.or_else(inside)
    });
    parsed.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn clients_are_told_apart_by_what_they_cannot_choose() {
        assert_eq!(ClientKey::of(ip("2001:db8::1")), ClientKey::of(ip("2001:db8::ffff:1")));
        assert_ne!(ClientKey::of(ip("2001:db8::1")), ClientKey::of(ip("2001:db8:0:1::1")));
        assert_eq!(ClientKey::of(ip("::ffff:10.0.0.1")), ClientKey::of(ip("10.0.0.1")));
        assert_ne!(ClientKey::of(ip("10.0.0.2")), ClientKey::of(ip("10.0.0.1")));
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let trusted: Vec<Cidr> =
            ["10.0.0.0/8", "::1"].iter().map(|text| Cidr::parse(text).expect("one")).collect();
        let of = |peer, forwarded: &str, real: &str| {
            let given = |text: &'static str| (!text.is_empty()).then_some(text.as_bytes());
            let (forwarded, real) = (forwarded.to_owned().leak(), real.to_owned().leak());
            client_address(ip(peer), &trusted, given(forwarded), given(real))
        };
        assert_eq!(of("9.9.9.9", "1.1.1.1", "2.2.2.2"), ip("9.9.9.9"));
        assert_eq!(of("10.0.0.1", "6.6.6.6, 1.1.1.1, 10.2.2.2", "2.2.2.2"), ip("1.1.1.1"));
        assert_eq!(of("10.0.0.1", "", "2.2.2.2"), ip("2.2.2.2"));
        assert_eq!(of("10.0.0.1", "1.1.1.1, junk", ""), ip("10.0.0.1"));
        assert_eq!(of("10.0.0.1", "10.0.0.7", ""), ip("10.0.0.1"));
        assert_eq!(of("::1", "[2001:db8::1]:99", ""), ip("2001:db8::1"));
        assert_eq!(of("::1", "1.1.1.1:80", ""), ip("1.1.1.1"));
    }
}
