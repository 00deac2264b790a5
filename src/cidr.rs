//! Blocks of addresses: `10.0.1.0/24`, `::1`, `fe80::/10`.
//!
//! An IPv4 address that comes mapped into IPv6 (`::ffff:10.0.1.7`, as a socket that serves both
//! shows it) is taken for the IPv4 address it is.

use std::fmt;
use std::net::IpAddr;

/// A block of addresses; a single address is a block of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr {
    address: IpAddr,
    bits: u8,
}

impl Cidr {
    /// The block of a text; nothing where it is none. Bits behind the prefix are ignored.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let given: IpAddr = address.parse().ok()?;
        let digits = |bits: &str| bits.bytes().all(|byte| byte.is_ascii_digit());
        let bits = match bits {
            Some(bits) if digits(bits) => bits.parse().ok()?,
            Some(_) => return None,
            None => width(given),
        };
        if bits > width(given) {
            return None;
        }
        // A mapped block keeps its meaning as long as it is within the mapped addresses.
        let address = given.to_canonical();
        Some(match bits.checked_sub(width(given) - width(address)) {
            Some(bits) => Self { address, bits },
            None => Self { address: given, bits },
        })
    }

    /// Whether the address is in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differing = u32::from(own) ^ u32::from(other);
                differing.checked_shr(32 - u32::from(self.bits)).unwrap_or(0) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differing = u128::from(own) ^ u128::from(other);
                differing.checked_shr(128 - u32::from(self.bits)).unwrap_or(0) == 0
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

const fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, bits } = self;
        if *bits == width(*address) {
            write!(f, "{address}")
        } else {
            write!(f, "{address}/{bits}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_contain_their_addresses() {
        for (block, good, bad) in [
            (
                "10.0.1.0/24",
                &["10.0.1.0", "10.0.1.255", "::ffff:10.0.1.7"][..],
                &["10.0.2.0", "::1"][..],
            ),
            ("10.0.1.9/24", &["10.0.1.0"], &["10.0.0.9"]),
            ("1.2.3.4", &["1.2.3.4"], &["1.2.3.5", "::1.2.3.4"]),
            ("0.0.0.0/0", &["255.255.255.255"], &["::1"]),
            ("::/0", &["::1", "ffff::"], &["1.2.3.4"]),
            ("fe80::/10", &["fe80::1", "febf::1"], &["fec0::1"]),
            ("::ffff:10.0.0.0/104", &["10.200.0.1"], &["11.0.0.1"]),
        ] {
            let block = Cidr::parse(block).expect("a block");
            for address in good {
                assert!(block.contains(address.parse().expect("an address")), "{block} {address}");
            }
            for address in bad {
                assert!(!block.contains(address.parse().expect("an address")), "{block} {address}");
            }
        }
    }

    #[test]
    fn what_is_no_block_is_refused() {
        for bad in ["", "10.0.1.0/33", "10.0.1", "::/129", "1.2.3.4/", "1.2.3.4/-1", "1.2.3.4/+1"] {
            assert_eq!(Cidr::parse(bad), None, "{bad}");
        }
        for text in ["10.0.1.0/24", "1.2.3.4", "fe80::/10"] {
            assert_eq!(Cidr::parse(text).expect("a block").to_string(), text);
        }
    }
}
