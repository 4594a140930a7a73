//! Listening sockets: bound once, shared by threads or processes, or one for each worker.

use crate::sockopt;
use rustix::{
    io::Errno,
    net::{SocketFlags, acceptfrom_with},
};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::{
    collections::BTreeMap,
    io, iter,
    net::{SocketAddr, TcpListener},
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

/// Connections that wait to be accepted, for each socket; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// How long the kernel holds back a connection on which nothing has arrived.
const DEFER: Duration = Duration::from_secs(1);

/// Bytes that the kernel takes from us for a peer that has no room for them yet. Megabytes that lie there cost memory for
/// each slow download, and half of the CPU for a large file to a fast one; with too few, a socket asks for more too often.
const UNSENT: u32 = 64 * 1024;

/// Whether the sockets of several workers may be bound to one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Each worker has a socket of its own, and the kernel spreads connections over them (`SO_REUSEPORT`).
    EachItsOwn,
    /// All workers accept from one queue, so that none who waits in it is lost when a worker dies.
    OneForAll,
}

/// Binds `address`, ready to be accepted from without blocking.
///
/// # Errors
///
/// Whatever the system says: address in use, not permitted, not available.
pub fn bind(address: SocketAddr, sharing: Sharing) -> io::Result<TcpListener> {
    let socket = bound(address, sharing)?;
    prepare(&socket)?;
    sockopt::defer_accept(&socket, DEFER)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Sets what accepted sockets are to inherit, whoever has bound the socket that they come from.
///
/// # Errors
///
/// Whatever the system says.
pub fn prepare(socket: &impl AsFd) -> io::Result<()> {
    let socket = SockRef::from(socket);
    // Answers leave at once: Nagle's algorithm has nothing to add.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(UNSENT)?;
    socket.set_nonblocking(true)
}

/// Takes the next connection, and says where it comes from if that is an address.
///
/// # Errors
///
/// Whatever the system says: nobody waits, or it lacks something.
pub fn accept(listener: &TcpListener, flags: SocketFlags) -> Result<(OwnedFd, Option<SocketAddr>), Errno> {
    let (socket, address) = acceptfrom_with(listener, flags | SocketFlags::CLOEXEC)?;
    Ok((socket, address.and_then(|address| SocketAddr::try_from(address).ok())))
}

fn bound(address: SocketAddr, sharing: Sharing) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restarted server must not wait until its old connections have left TIME_WAIT.
    socket.set_reuse_address(true)?;
    if sharing == Sharing::EachItsOwn {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        // `[::]` and `0.0.0.0` are two addresses, each bound only if it is asked for.
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Binds every address; with port 0, the port that the first gets is used for all.
///
/// # Errors
///
/// The first address that cannot be bound, and why.
pub fn bind_all(
    addresses: &[SocketAddr],
    sharing: Sharing,
) -> Result<Vec<TcpListener>, (SocketAddr, io::Error)> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    for &(mut address) in addresses {
        if address.port() == 0
            && let Some(Ok(first)) = listeners.first().map(TcpListener::local_addr)
        {
            address.set_port(first.port());
        }
        // With SO_REUSEPORT a second server of the same user would take part of the port's connections, and
        // nobody would notice. Without it, a port in use is an error: so try that first.
        if address.port() != 0 {
            bound(address, Sharing::OneForAll).map_err(|error| (address, error))?;
        }
        listeners.push(bind(address, sharing).map_err(|error| (address, error))?);
    }
    Ok(listeners)
}

/// Binds further sockets to each address that `listeners` are bound to, so that each worker has a set of its own.
///
/// # Errors
///
/// Whatever the system says.
pub fn one_for_each(listeners: Vec<TcpListener>, workers: usize) -> io::Result<Vec<Vec<TcpListener>>> {
    let another = |listener: &TcpListener| bind(listener.local_addr()?, Sharing::EachItsOwn);
    let others = (1..workers).map(|_| listeners.iter().map(another).collect());
    let mut sets: Vec<_> = others.collect::<io::Result<_>>()?;
    sets.insert(0, listeners);
    Ok(sets)
}

/// Deals sockets out to workers, so that each has one for every address. If there are several for an address, each
/// worker gets another one as far as they go; then they share. None is left alone: somebody may be waiting there.
///
/// # Errors
///
/// When the system lacks descriptors.
pub fn dealt_out(listeners: Vec<TcpListener>, workers: usize) -> io::Result<Vec<Vec<TcpListener>>> {
    let mut addresses: BTreeMap<SocketAddr, Vec<TcpListener>> = BTreeMap::new();
    for listener in listeners {
        addresses.entry(listener.local_addr()?).or_default().push(listener);
    }
    let mut sets: Vec<Vec<TcpListener>> = iter::repeat_with(Vec::new).take(workers).collect();
    for sockets in addresses.values() {
        for turn in 0..sockets.len().max(workers) {
            sets[turn % workers].push(sockets[turn % sockets.len()].try_clone()?);
        }
    }
    Ok(sets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// For so many sockets at each of two addresses, how many each worker gets, and how many are in use.
    fn check(sockets: usize, workers: usize, expected: &[usize]) {
        let first = bind_all(
            &["127.0.0.1:0", "127.0.0.2:0"].map(|address| address.parse().expect("one")),
            Sharing::EachItsOwn,
        );
        let sets = one_for_each(first.expect("ports"), sockets).expect("sockets");
        let inode = |listener: &TcpListener| rustix::fs::fstat(listener).expect("a socket").st_ino;
        let all: BTreeSet<u64> = sets.iter().flatten().map(inode).collect();
        assert_eq!(all.len(), 2 * sockets);
        let dealt = dealt_out(sets.into_iter().flatten().collect(), workers).expect("descriptors");
        assert_eq!(dealt.iter().map(Vec::len).collect::<Vec<_>>(), expected, "{sockets} for {workers}");
        assert_eq!(
            dealt.iter().flatten().map(inode).collect::<BTreeSet<_>>(),
            all,
            "{sockets} for {workers}"
        );
        for set in dealt {
            let addresses: BTreeSet<_> =
                set.iter().map(|listener| listener.local_addr().expect("one")).collect();
            assert_eq!(addresses.len(), 2, "{sockets} for {workers}");
        }
    }

    #[test]
    fn each_worker_listens_everywhere_and_no_socket_is_left_alone() {
        check(1, 1, &[2]);
        check(1, 3, &[2, 2, 2]);
        check(3, 3, &[2, 2, 2]);
        check(3, 2, &[4, 2]);
        check(2, 3, &[2, 2, 2]);
    }
}
