//! Networks of IP addresses, as operators write them: `10.0.0.0/8`.

use core::net::IpAddr;
use std::{fmt, str::FromStr};

/// A network of IP addresses. An IPv4-mapped one (`::ffff:10.0.0.0/104`) is the IPv4 network.
///
/// ```
/// use http_core::Network;
///
/// let network: Network = "10.0.0.0/8".parse()?;
/// assert!(network.contains([10, 1, 2, 3].into()) && !network.contains([11, 0, 0, 0].into()));
/// assert_eq!("192.0.2.7".parse::<Network>()?.prefix_len(), 32);
/// assert!("10.1.2.3/8".parse::<Network>().is_err());
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    /// The first address of the network.
    address: IpAddr,
    /// The length of the prefix in bits.
    prefix: u32,
}

impl Network {
    /// Returns whether the network contains this address. An IPv4-mapped address counts as the IPv4 address.
    pub fn contains(self, address: IpAddr) -> bool {
        first_address(address.to_canonical(), self.prefix) == self.address
    }

    /// Returns the length of the prefix in bits: 32 for one IPv4 address, and 128 for one IPv6 address.
    pub fn prefix_len(self) -> u32 {
        self.prefix
    }
}

impl fmt::Display for Network {
    /// Writes the first address and the length of the prefix.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
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
                Ok(network) => {
                    assert_eq!(parsed, Ok(network), "{text}");
                    assert_eq!(network.to_string(), format!("{}/{}", network.address, network.prefix_len()));
                    assert_eq!(network.to_string().parse(), parsed);
                }
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
}
