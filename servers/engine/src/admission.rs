//! How many connections each address holds: one peer must not take the places of all.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Counts connections by address, for all workers of a process.
#[derive(Debug)]
pub(super) struct Addresses {
    most: usize,
    held: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection's place among those of its address; dropped, it is free again.
#[derive(Debug)]
pub(super) struct Visit {
    addresses: Arc<Addresses>,
    address: IpAddr,
}

/// An address holds as many connections as it may.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crowded;

impl Addresses {
    /// Lets each address hold `most` connections.
    pub(super) fn at_most(most: usize) -> Arc<Addresses> {
        Arc::new(Addresses { most, held: Mutex::default() })
    }

    /// Takes a place.
    ///
    /// # Errors
    ///
    /// When this address has none left.
    pub(super) fn enter(self: &Arc<Addresses>, address: IpAddr) -> Result<Visit, Crowded> {
        let mut held = self.held();
        let count = held.entry(address).or_default();
        if *count >= self.most {
            return Err(Crowded);
        }
        *count += 1;
        Ok(Visit { addresses: Arc::clone(self), address })
    }

    fn held(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if let Entry::Occupied(mut held) = self.addresses.held().entry(self.address) {
            *held.get_mut() -= 1;
            // Addresses that have gone must leave nothing behind.
            if *held.get() == 0 {
                held.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    #[test]
    fn each_address_has_its_own_places_and_gets_them_back() {
        let addresses = Addresses::at_most(2);
        let (four, six) = (IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST));
        let first = addresses.enter(four);
        let second = addresses.enter(four);
        assert!(first.is_ok() && second.is_ok() && addresses.enter(four).is_err());
        assert!(addresses.enter(six).is_ok());
        drop(first);
        assert!(addresses.enter(four).is_ok());
        drop(second);
        assert!(addresses.held().is_empty(), "{addresses:?}");
    }
}
