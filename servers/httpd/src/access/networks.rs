//! Which clients may send requests: networks that are allowed or denied.

use std::{cmp::Reverse, net::IpAddr, str::FromStr};

/// A network, such as `10.0.0.0/8`. An IPv4-mapped one (`::ffff:10.0.0.0/104`) is the IPv4 network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// The first address of the network.
    address: IpAddr,
    /// The length of the prefix in bits.
    prefix: u32,
}

impl Network {
    /// Returns whether the network contains this address, which must be canonical.
    fn contains(self, address: IpAddr) -> bool {
        first_address(address, self.prefix) == self.address
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Network, String> {
        let error =
            || "must be an address or a network, as in 192.0.2.1, 10.0.0.0/8, 2001:db8::/32".to_owned();
        let (address, prefix) =
            text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| error())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let is_number = |prefix: &&str| prefix.bytes().all(|byte| byte.is_ascii_digit());
        let prefix: u32 = match prefix {
            Some(prefix) => Some(prefix).filter(is_number).and_then(|prefix| prefix.parse().ok()),
            None => Some(bits),
        }
        .filter(|prefix| *prefix <= bits)
        .ok_or_else(error)?;
        let first = first_address(address, prefix);
        if first != address {
            return Err(format!("{address} is not the first address of its network: write {first}/{prefix}"));
        }
        let canonical = address.to_canonical();
        Ok(match prefix.checked_sub(96) {
            Some(prefix) if canonical != address => Network { address: canonical, prefix },
            _ => Network { address, prefix },
        })
    }
}

/// Returns the first address of the network with this prefix that contains `address`.
fn first_address(address: IpAddr, prefix: u32) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(prefix)).unwrap_or(0);
            IpAddr::V4((address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(prefix)).unwrap_or(0);
            IpAddr::V6((address.to_bits() & mask).into())
        }
    }
}

/// Says whether a client is allowed. The longest network that contains its address decides; if that network is both
/// allowed and denied, the client is denied. If none contains the address, the client is denied if any network is
/// allowed. So the order of the networks makes no difference.
#[derive(Clone, Debug, Default)]
pub struct Networks {
    /// Each with whether it is allowed: the longest prefix first, and of one length those that are denied first.
    rules: Box<[(Network, bool)]>,
    /// Whether a client is denied if no network contains its address.
    denies_others: bool,
}

impl Networks {
    /// Allows and denies these networks.
    pub fn new(allowed: &[Network], denied: &[Network]) -> Networks {
        let denied = denied.iter().map(|network| (*network, false));
        let mut rules: Box<[_]> = denied.chain(allowed.iter().map(|network| (*network, true))).collect();
        // A stable sort: of one length, those that are denied stay first.
        rules.sort_by_key(|(network, _)| Reverse(network.prefix));
        Networks { rules, denies_others: !allowed.is_empty() }
    }

    /// Returns whether all clients are allowed.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Returns whether a client with this address is allowed. Without an address, it is so only if all are.
    pub fn allow(&self, client: Option<IpAddr>) -> bool {
        let Some(client) = client.map(|client| client.to_canonical()) else { return self.is_empty() };
        let rule = self.rules.iter().find(|(network, _)| network.contains(client));
        rule.map_or(!self.denies_others, |(_, allowed)| *allowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_networks() {
        let check = |text: &str, expected: Result<(&str, u32), &str>| {
            let expected = expected
                .map(|(address, prefix)| Network { address: address.parse().expect("an address"), prefix });
            let parsed = text.parse::<Network>();
            match expected {
                Ok(network) => assert_eq!(parsed, Ok(network), "{text}"),
                Err(message) => {
                    assert!(parsed.as_ref().is_err_and(|error| error.contains(message)), "{parsed:?}");
                }
            }
        };
        check("192.0.2.1", Ok(("192.0.2.1", 32)));
        check("10.0.0.0/8", Ok(("10.0.0.0", 8)));
        check("0.0.0.0/0", Ok(("0.0.0.0", 0)));
        check("::/0", Ok(("::", 0)));
        check("2001:db8::/32", Ok(("2001:db8::", 32)));
        check("::1", Ok(("::1", 128)));
        check("::ffff:10.0.0.0/104", Ok(("10.0.0.0", 8)));
        check("::ffff:192.0.2.1", Ok(("192.0.2.1", 32)));
        check("10.1.2.3/8", Err("10.1.2.3 is not the first address of its network: write 10.0.0.0/8"));
        check("2001:db8::1/64", Err("write 2001:db8::/64"));
        for text in
            ["", "/8", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0.0/+8", "10.0.0/8", "all", "[::1]"]
        {
            check(text, Err("must be an address or a network, as in"));
        }
    }

    #[test]
    fn the_longest_network_decides() {
        let check = |allowed: &str, denied: &str, client: &str, expected: bool| {
            let parse = |list: &str| -> Vec<Network> {
                list.split_whitespace().map(|network| network.parse().expect("a network")).collect()
            };
            let networks = Networks::new(&parse(allowed), &parse(denied));
            assert_eq!(networks.allow(client.parse().ok()), expected, "{allowed} | {denied} | {client}");
        };
        for client in ["192.0.2.1", "::1", ""] {
            check("", "", client, true);
        }
        check("10.0.0.0/8", "", "10.255.0.1", true);
        check("10.0.0.0/8", "", "::ffff:10.0.0.1", true);
        check("10.0.0.0/8", "", "11.0.0.1", false);
        check("10.0.0.0/8", "", "::1", false);
        check("10.0.0.0/8", "", "", false);
        check("", "192.0.2.0/24", "192.0.2.9", false);
        check("", "192.0.2.0/24", "::ffff:192.0.2.9", false);
        check("", "192.0.2.0/24", "192.0.3.9", true);
        check("", "192.0.2.0/24", "", false);
        check("10.0.0.0/8", "10.6.0.0/16", "10.6.0.1", false);
        check("10.6.0.0/16", "10.0.0.0/8", "10.6.0.1", true);
        check("10.6.0.0/16", "10.0.0.0/8", "10.7.0.1", false);
        check("10.6.0.0/16", "10.6.0.0/16", "10.6.0.1", false);
        check("0.0.0.0/0", "127.0.0.1", "127.0.0.2", true);
        check("2001:db8::/32", "2001:db8:1::/48", "2001:db8:1::7", false);
        check("2001:db8::/32", "2001:db8:1::/48", "2001:db8:2::7", true);
    }
}
