//! The connections of an event loop that were upgraded. Threads of the application serve them.
//!
//! The event loop only knows of them, to end them at its shutdown. It must never read or write them.

use super::completions::CompletionSender;
use crate::{admission::Permit, transport::Transport};
use http_core::CancellationToken;
use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Weak},
};

/// The upgraded connections by key. Dropping it shuts all of them down.
pub(super) struct UpgradedConnections<K> {
    open: HashMap<K, (Weak<Transport>, CancellationToken)>,
    has_begun_shutdown: bool,
}

impl<K> Default for UpgradedConnections<K> {
    fn default() -> UpgradedConnections<K> {
        UpgradedConnections { open: HashMap::new(), has_begun_shutdown: false }
    }
}

impl<K: Copy + Eq + Hash> UpgradedConnections<K> {
    /// Adds a connection, and returns its socket, and the token that is cancelled at the shutdown. When the socket is
    /// dropped, `sender` sends the news, and the caller must [`remove`](UpgradedConnections::remove) the connection.
    /// `permit` counts it until then.
    pub(super) fn insert(
        &mut self,
        key: K,
        transport: Transport,
        permit: Option<Permit>,
        sender: CompletionSender<K>,
    ) -> (DetachedSocket<K>, CancellationToken) {
        let (transport, token) = (Arc::new(transport), CancellationToken::default());
        self.open.insert(key, (Arc::downgrade(&transport), token.clone()));
        if self.has_begun_shutdown {
            token.cancel();
        }
        (DetachedSocket { transport, _permit: permit, _end: End { key, sender } }, token)
    }

    /// Removes a connection that has ended.
    pub(super) fn remove(&mut self, key: K) {
        self.open.remove(&key);
    }

    /// Whether no connection is open.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Cancels the tokens of all connections, and of those that are added later.
    pub(super) fn begin_shutdown(&mut self) {
        self.has_begun_shutdown = true;
        self.open.values().for_each(|(_, token)| token.cancel());
    }
}

impl<K> Drop for UpgradedConnections<K> {
    fn drop(&mut self) {
        let open = self.open.values().filter_map(|(transport, _)| transport.upgrade());
        open.for_each(|transport| transport.shutdown_both());
    }
}

/// The socket of a connection that the event loop does not serve any more. The fields are dropped in their order.
pub(super) struct DetachedSocket<K: Copy> {
    transport: Arc<Transport>,
    _permit: Option<Permit>,
    _end: End<K>,
}

impl<K: Copy> AsRef<Transport> for DetachedSocket<K> {
    fn as_ref(&self) -> &Transport {
        &self.transport
    }
}

/// Tells the event loop, when it is dropped, that the connection has ended.
struct End<K: Copy> {
    key: K,
    sender: CompletionSender<K>,
}

impl<K: Copy> Drop for End<K> {
    fn drop(&mut self) {
        self.sender.send_end(self.key);
    }
}
