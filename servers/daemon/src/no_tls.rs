//! Takes the place of `http_engine::tls` in a build without the feature `tls`: no certificate can be loaded, so no type
//! here has a value except the error.

use std::{fmt, iter, path::Path, time::SystemTime};

/// A certificate. There is none.
#[derive(Clone, Debug)]
pub struct Certificate(Never);

/// Which certificates of clients a server accepts. There are none.
#[derive(Clone, Debug)]
pub struct ClientCertificates(Never);

/// The certificates of a server, and what it asks of clients. There are none.
#[derive(Clone, Debug)]
pub struct TlsSettings(Certificate);

/// TLS for the sockets of a server. There is none.
#[derive(Clone, Debug)]
pub struct Tls(TlsSettings);

/// No value. Private, so that the compiler does not call the code of programs unreachable.
#[derive(Clone, Debug)]
enum Never {}

/// The program was built without the feature `tls`.
#[derive(Debug)]
pub struct TlsError(());

impl Certificate {
    /// Fails.
    ///
    /// # Errors
    ///
    /// Always.
    pub fn load(_: impl AsRef<Path>, _: impl AsRef<Path>) -> Result<Certificate, TlsError> {
        Err(TlsError(()))
    }

    /// Returns whether the certificate is for this host.
    pub fn is_for(&self, _: &str) -> bool {
        match self.0 {}
    }

    /// Returns where the certificate comes from.
    pub fn source(&self) -> &str {
        match self.0 {}
    }

    /// Returns when the certificate expires.
    pub fn not_after(&self) -> SystemTime {
        match self.0 {}
    }
}

impl ClientCertificates {
    /// Fails.
    ///
    /// # Errors
    ///
    /// Always.
    pub fn required(_: impl AsRef<Path>) -> Result<ClientCertificates, TlsError> {
        Err(TlsError(()))
    }

    /// Fails.
    ///
    /// # Errors
    ///
    /// Always.
    pub fn requested(_: impl AsRef<Path>) -> Result<ClientCertificates, TlsError> {
        Err(TlsError(()))
    }
}

impl TlsSettings {
    /// Creates settings with this certificate for all clients.
    pub fn new(default: Certificate) -> TlsSettings {
        TlsSettings(default)
    }

    /// Adds a certificate for clients that ask for this name.
    pub fn certificate_for(self, _: &str, _: Certificate) -> TlsSettings {
        self
    }

    /// Asks clients for certificates.
    pub fn client_certificates(self, _: ClientCertificates) -> TlsSettings {
        self
    }

    /// Refuses clients that do not support TLS 1.3.
    pub fn only_tls_1_3(self) -> TlsSettings {
        self
    }

    /// Returns all certificates.
    pub fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        iter::once(&self.0)
    }
}

impl Tls {
    pub(crate) fn new(settings: TlsSettings) -> Result<Tls, TlsError> {
        Ok(Tls(settings))
    }

    pub(crate) fn replace(&self, _: TlsSettings) -> Result<(), TlsError> {
        match self.0.0.0 {}
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot use TLS: the program was built without the feature `tls`")
    }
}

impl std::error::Error for TlsError {}
