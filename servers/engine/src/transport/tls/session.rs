//! The TLS session of one connection: turns received records into content, and content into records to send.
//!
//! Makes no system call: what it must send waits in [`outgoing`](TlsSession::outgoing).

use http_core::TlsInfo;
use rustls::{
    CipherSuite, ProtocolVersion, ServerConfig,
    server::{ServerConnectionData, UnbufferedServerConnection},
    unbuffered::{ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic},
};
use std::{
    cell::RefCell,
    io, mem,
    sync::{Arc, OnceLock},
};

/// The maximum number of bytes of content in one record (RFC 8446 §5.1).
pub(super) const RECORD: usize = 16 * 1024;
/// The maximum number of bytes that a record adds to its content, as rustls writes it: header, nonce, type and tag.
const OVERHEAD: usize = 5 + 8 + 1 + 16;
/// The maximum number of bytes that rustls sends of its own accord before a record: the update of a key.
const OWN_MESSAGES: usize = 256;
/// The maximum number of bytes of one receive: the largest record that a client may send (RFC 5246 §6.2.3).
pub(super) const RECEIVE: usize = RECORD + 2048 + 5;
/// The maximum number of bytes that are kept of an incomplete record or handshake message, unless the client is asked
/// for a certificate. More is an attack on the memory of the server: rustls limits a message of 64 KiB, but not its
/// records, which may contain a byte each, and 16 KiB of padding.
const MAX_INCOMING: usize = RECEIVE;
/// The same with a chain of certificates: what rustls accepts, in records.
const MAX_CERTIFICATES: usize = 64 * 1024 + RECEIVE;

thread_local! {
    /// The name in the message that rustls processes. Its interface without buffers does not tell it.
    static SERVER_NAME: RefCell<Option<Box<str>>> = const { RefCell::new(None) };
}

/// Remembers the name that a client asks for, in lower case, while rustls processes its message on this thread.
pub(crate) fn set_server_name(name: Option<&str>) {
    SERVER_NAME.set(name.map(Box::from));
}

/// The state of a session.
pub(super) struct TlsSession {
    tls: UnbufferedServerConnection,
    /// Filled when the handshake is complete.
    negotiated: Arc<OnceLock<TlsInfo>>,
    /// The name that the client has asked for, until the handshake is complete.
    server_name: Option<Box<str>>,
    /// What was received and is not complete: part of a record or of a handshake.
    pub(super) incoming: Vec<u8>,
    /// What was decrypted and did not fit into the receive buffer. At most what one receive can contain.
    pub(super) content: Vec<u8>,
    /// What is encrypted and not sent.
    pub(super) outgoing: Vec<u8>,
    /// How many bytes at the front of the send queue `outgoing` contains at most. The send queue still holds them.
    pub(super) queued: usize,
    /// The maximum length of `incoming`.
    max_incoming: usize,
    /// Whether nothing was received.
    pub(super) is_new: bool,
    /// Whether the handshake is not complete.
    pub(super) is_handshaking: bool,
    /// Whether the client has announced that it sends no more (close_notify).
    pub(super) has_ended: bool,
    /// Whether the session is over because of an error: no close_notify may follow.
    pub(super) has_failed: bool,
    /// Whether what was sent is complete, so that the end of the connection may be announced (close_notify).
    pub(super) is_complete: bool,
}

impl TlsSession {
    /// Begins a session in which the client has sent nothing yet. Fills `negotiated` when the handshake is complete.
    pub(super) fn new(
        config: Arc<ServerConfig>,
        asks_for_certificate: bool,
        negotiated: Arc<OnceLock<TlsInfo>>,
    ) -> Result<TlsSession, rustls::Error> {
        Ok(TlsSession {
            tls: UnbufferedServerConnection::new(config)?,
            negotiated,
            server_name: None,
            incoming: Vec::new(),
            content: Vec::new(),
            outgoing: Vec::new(),
            queued: 0,
            max_incoming: if asks_for_certificate { MAX_CERTIFICATES } else { MAX_INCOMING },
            is_new: true,
            is_handshaking: true,
            has_ended: false,
            has_failed: false,
            is_complete: true,
        })
    }

    /// Passes received bytes to rustls, and appends what is to be sent to [`outgoing`](TlsSession::outgoing). Returns
    /// how many bytes of `incoming` are used, and how many bytes of content are in `room`. Fails if more than
    /// [`max_incoming`](TlsSession::max_incoming) bytes are left.
    pub(super) fn process(&mut self, incoming: &mut [u8], room: &mut [u8]) -> io::Result<(usize, usize)> {
        let (mut used, mut given) = (0, 0);
        loop {
            let UnbufferedStatus { discard, state } = self.tls.process_tls_records(&mut incoming[used..]);
            used += discard;
            if self.is_handshaking {
                self.server_name = SERVER_NAME.take().or(self.server_name.take());
            }
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(invalid)?;
                        used += record.discard;
                        let count = record.payload.len().min(room.len() - given);
                        room[given..given + count].copy_from_slice(&record.payload[..count]);
                        given += count;
                        self.content.extend_from_slice(&record.payload[count..]);
                    }
                }
                Ok(ConnectionState::EncodeTlsData(data)) => encode(data, &mut self.outgoing)?,
                // It is in `outgoing`.
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => self.has_ended = true,
                Ok(ConnectionState::WriteTraffic(_)) => {
                    if mem::take(&mut self.is_handshaking) {
                        self.set_negotiated();
                    }
                    break;
                }
                Ok(_) => break,
                Err(error) => {
                    self.has_failed = true;
                    // The alert, and what comes before it.
                    while self.tls.wants_write()
                        && let UnbufferedStatus { state: Ok(ConnectionState::EncodeTlsData(data)), .. } =
                            self.tls.process_tls_records(&mut incoming[used..])
                    {
                        encode(data, &mut self.outgoing)?;
                    }
                    log::debug!("closing a TLS connection: {error}");
                    return Err(invalid(error));
                }
            }
        }
        if incoming.len() - used > self.max_incoming {
            self.has_failed = true;
            return Err(io::Error::new(io::ErrorKind::InvalidData, "an incomplete TLS message is too large"));
        }
        Ok((used, given))
    }

    /// Tells what the handshake, which is complete, has negotiated.
    fn set_negotiated(&mut self) {
        let is_old = self.tls.protocol_version() == Some(ProtocolVersion::TLSv1_2);
        let protocol = if is_old { "TLSv1.2" } else { "TLSv1.3" };
        let suite = self.tls.negotiated_cipher_suite();
        let cipher = suite.map_or("unknown", |suite| cipher_name(suite.suite()));
        let chain = self.tls.peer_certificates().unwrap_or_default();
        let client_certificate = chain.first().map(|certificate| certificate.as_ref().into());
        let server_name = self.server_name.take();
        // It is set once.
        let _ = self.negotiated.set(TlsInfo { protocol, cipher, server_name, client_certificate });
    }

    /// Calls `write` with what encrypts.
    pub(super) fn with_writer<T>(
        &mut self,
        write: impl FnOnce(&mut WriteTraffic<'_, ServerConnectionData>) -> Result<T, EncryptError>,
    ) -> io::Result<T> {
        // An incomplete record or handshake message must stay where it is: rustls refers to it.
        let mut incoming = mem::take(&mut self.incoming);
        let written = loop {
            let UnbufferedStatus { state, .. } = self.tls.process_tls_records(&mut incoming);
            match state {
                Ok(ConnectionState::WriteTraffic(mut writer)) => break write(&mut writer).map_err(invalid),
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(_) => break Err(io::Error::other("TLS can send nothing now")),
                Err(error) => break Err(invalid(error)),
            }
        };
        self.incoming = incoming;
        written
    }

    /// Encrypts `content` into `out`, behind what is to be sent before. Returns the number of bytes in `out`.
    pub(super) fn encrypt_into(&mut self, content: &[u8], out: &mut Vec<u8>) -> io::Result<usize> {
        let before = mem::take(&mut self.outgoing);
        let needed = before.len() + content.len() + content.len().div_ceil(RECORD) * OVERHEAD + OWN_MESSAGES;
        if out.len() < needed {
            out.resize(needed, 0);
        }
        out[..before.len()].copy_from_slice(&before);
        let len = self.with_writer(|writer| writer.encrypt(content, &mut out[before.len()..]))?;
        Ok(before.len() + len)
    }

    /// Moves decrypted content to `room`. Returns the number of bytes.
    pub(super) fn take(&mut self, room: &mut [u8]) -> usize {
        let count = self.content.len().min(room.len());
        room[..count].copy_from_slice(&self.content[..count]);
        if count == self.content.len() {
            self.content = Vec::new();
        } else {
            self.content.drain(..count);
        }
        count
    }
}

/// Returns the name that OpenSSL gives a cipher suite, which logs of other servers contain.
fn cipher_name(suite: CipherSuite) -> &'static str {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-ECDSA-CHACHA20-POLY1305",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-RSA-CHACHA20-POLY1305",
        other => other.as_str().unwrap_or("unknown"),
    }
}

/// Appends a message of rustls to what is to be sent.
fn encode(mut data: EncodeTlsData<'_, ServerConnectionData>, outgoing: &mut Vec<u8>) -> io::Result<()> {
    let at = outgoing.len();
    if let Err(EncodeError::InsufficientSize(size)) = data.encode(&mut []) {
        outgoing.resize(at + size.required_size, 0);
        data.encode(&mut outgoing[at..]).map_err(invalid)?;
    }
    Ok(())
}

/// The error for a client that violates the protocol, or has violated it before.
fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
