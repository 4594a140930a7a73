//! What a handler states about the headers that the library writes: accepted if it agrees with what is sent.
//!
//! It never changes how the message is delimited or whether the connection stays open, except that `Connection: close`
//! closes it.

use super::upgrade::OnUpgrade;
use crate::{
    codec::{
        encode::{self, ResponseHead},
        framing::BodyLength,
    },
    types::{
        chars,
        clock::Clock,
        error::{HeaderError, Misuse},
        grammar,
        headers::{Headers, trim},
        http_date,
    },
};

/// The statements of one response. Most responses have none.
#[derive(Debug, Default)]
pub(super) struct Statements {
    /// Content-Length, Transfer-Encoding, Trailer, Connection, Upgrade, Server and Date as the handler has set them,
    /// each at most once.
    lines: Headers,
    /// The first header that the handler has set and that cannot be sent: the response cannot be sent either.
    misuse: Option<Misuse>,
    /// The function that takes over the connection after a 101.
    pub(super) on_upgrade: Option<OnUpgrade>,
}

impl Statements {
    /// Sets a header that [`Headers::append`] rejects as reserved, in place of an earlier value.
    ///
    /// # Errors
    ///
    /// If the library never sends this header, or never with a value like this.
    pub(super) fn set(&mut self, name: &str, value: &[u8]) -> Result<(), HeaderError> {
        let value = trim(value);
        if !value.iter().copied().all(chars::is_header_value) {
            return Err(HeaderError::Value);
        }
        match name.to_ascii_lowercase().as_str() {
            "content-length" if grammar::decimal(value).is_none() => Err(HeaderError::ContentLength),
            "transfer-encoding" if !value.eq_ignore_ascii_case(b"chunked") => Err(HeaderError::Reserved),
            "connection" if !grammar::list(value).all(is_connection_option) => Err(HeaderError::Reserved),
            "upgrade" if !is_protocol_list(value) => Err(HeaderError::Upgrade),
            "date" if !http_date::is_imf_fixdate(value) => Err(HeaderError::Date),
            "trailer" if !grammar::list(value).all(grammar::is_token) => Err(HeaderError::Reserved),
            "content-length" | "transfer-encoding" | "trailer" | "connection" | "upgrade" | "date"
            | "server" => {
                self.lines.remove(name);
                self.lines.append_unchecked(name.as_bytes(), value);
                Ok(())
            }
            _ => Err(HeaderError::Reserved),
        }
    }

    /// Removes the header with this name, if the handler has set it.
    pub(super) fn remove(&mut self, name: &str) {
        self.lines.remove(name);
    }

    /// Returns the value that the handler has set.
    pub(super) fn get(&self, name: &str) -> Option<&[u8]> {
        self.lines.get(name)
    }

    /// Returns the names and values that the handler has set.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.lines.iter()
    }

    /// Stores that the handler has set a header that cannot be sent. Only the first call has an effect.
    pub(super) fn add_misuse(&mut self, name: &str, reason: HeaderError) {
        self.misuse.get_or_insert_with(|| Misuse::Header { name: name.into(), reason });
    }

    /// Returns the number in Content-Length, if the handler has set it.
    #[cold]
    pub(super) fn content_length(&self) -> Option<u64> {
        grammar::decimal(self.get("Content-Length")?)
    }

    /// Checks the statements against a body of `actual` bytes; `None` if its length is unknown. `is_sent` is false if
    /// the response has no body because of its method or its status: then the handler may state what another response
    /// would have.
    ///
    /// # Errors
    ///
    /// If a header that was set cannot be sent, or a statement disagrees with what is sent.
    pub(super) fn check(&self, actual: Option<u64>, is_sent: bool) -> Result<(), Misuse> {
        if let Some(misuse) = &self.misuse {
            return Err(misuse.clone());
        }
        match self.content_length() {
            Some(stated) if is_sent && actual != Some(stated) => {
                Err(Misuse::ContentLength { stated, actual })
            }
            _ if is_sent && actual.is_some() && self.get("Transfer-Encoding").is_some() => {
                Err(Misuse::TransferEncoding)
            }
            _ => Ok(()),
        }
    }

    /// Appends a response's head to `text`, as [`encode::response_head`] does, with the Upgrade of the handler, with
    /// its Trailer if the body can have trailers, and with its Server and Date in place of those of `clock`, if the
    /// handler has set them.
    #[cold]
    pub(super) fn write_head(&self, text: &mut Vec<u8>, head: ResponseHead<'_>, clock: &Clock) {
        let (server, date) = clock.server_and_date();
        let line = |name: &str, default: &[u8]| match self.get(name) {
            Some(value) => [name.as_bytes(), b": ", value, b"\r\n"].concat(),
            None => default.to_vec(),
        };
        let trailer = match head.body {
            Some(BodyLength::Chunked) => line("Trailer", b""),
            _ => Vec::new(),
        };
        let upgrade = line("Upgrade", b"");
        let server_and_date = [line("Server", server), line("Date", date), trailer, upgrade.clone()].concat();
        let head = ResponseHead { server_and_date: &server_and_date, upgrade: !upgrade.is_empty(), ..head };
        encode::response_head(text, &head);
    }
}

/// Returns whether a handler may set this option of Connection.
fn is_connection_option(option: &[u8]) -> bool {
    option.eq_ignore_ascii_case(b"close") || option.eq_ignore_ascii_case(b"keep-alive")
}

/// Returns whether a handler may set Upgrade to this value: one or more protocols, each a name with or without a
/// version.
fn is_protocol_list(value: &[u8]) -> bool {
    let is_protocol = |protocol: &[u8]| protocol.splitn(2, |&byte| byte == b'/').all(grammar::is_token);
    !value.is_empty() && value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).all(is_protocol)
}
