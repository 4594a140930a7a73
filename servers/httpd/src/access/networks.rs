//! Which clients may send requests: networks that are allowed or denied.

use http_engine::Network;
use std::{cmp::Reverse, net::IpAddr};

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
        rules.sort_by_key(|(network, _)| Reverse(network.prefix_len()));
        Networks { rules, denies_others: !allowed.is_empty() }
    }

    /// Returns whether all clients are allowed.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Returns whether a client with this address is allowed. Without an address, it is so only if all are.
    pub fn allow(&self, client: Option<IpAddr>) -> bool {
        let Some(client) = client else { return self.is_empty() };
        let rule = self.rules.iter().find(|(network, _)| network.contains(client));
        rule.map_or(!self.denies_others, |(_, allowed)| *allowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
