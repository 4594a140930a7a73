//! The connections of an event loop that were upgraded. Threads of the application serve them.
//!
//! The event loop only knows of them, to end them at its shutdown. It must never read or write them.

use super::{completions::CompletionSender, connections::Key};
use crate::{admission::Permit, transport::Transport};
use http_core::CancellationToken;
use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

/// The upgraded connections by key. Dropping it shuts all of them down.
#[derive(Default)]
pub(super) struct UpgradedConnections {
    open: HashMap<Key, (Weak<Transport>, CancellationToken)>,
}

impl UpgradedConnections {
    /// Adds a connection. Returns its socket, and the token that
    /// [`begin_shutdown`](UpgradedConnections::begin_shutdown) cancels. `permit` counts the connection until the socket
    /// is dropped: then `sender` sends [`Completion::UpgradedEnd`](super::completions::Completion::UpgradedEnd), and
    /// the caller must [`remove`](UpgradedConnections::remove) the connection.
    pub(super) fn insert(
        &mut self,
        key: Key,
        transport: Transport,
        permit: Option<Permit>,
        sender: CompletionSender,
    ) -> (DetachedSocket, CancellationToken) {
        let (transport, token) = (Arc::new(transport), CancellationToken::default());
        self.open.insert(key, (Arc::downgrade(&transport), token.clone()));
        (DetachedSocket { transport, _permit: permit, _end: EndNotice { key, sender } }, token)
    }

    /// Removes a connection that has ended.
    pub(super) fn remove(&mut self, key: Key) {
        self.open.remove(&key);
    }

    /// Whether no connection is open.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Cancels the tokens of all connections.
    pub(super) fn begin_shutdown(&self) {
        self.open.values().for_each(|(_, token)| token.cancel());
    }
}

impl Drop for UpgradedConnections {
    fn drop(&mut self) {
        let open = self.open.values().filter_map(|(transport, _)| transport.upgrade());
        open.for_each(|transport| transport.shutdown_both());
    }
}

/// The socket of a connection that the event loop does not serve any more. The fields are dropped in their order: the
/// event loop learns of the end when the socket is closed and the permit is free.
pub(super) struct DetachedSocket {
    transport: Arc<Transport>,
    _permit: Option<Permit>,
    _end: EndNotice,
}

impl AsRef<Transport> for DetachedSocket {
    fn as_ref(&self) -> &Transport {
        &self.transport
    }
}

/// Notifies the event loop, when it is dropped, that an upgraded connection has ended.
struct EndNotice {
    key: Key,
    sender: CompletionSender,
}

impl Drop for EndNotice {
    fn drop(&mut self) {
        self.sender.send_end(self.key);
    }
}
