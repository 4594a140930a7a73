//! TLS to the upstream services: which authorities are trusted.

use http_engine::tls::{TlsError, crypto_provider};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use std::{
    io::{self, Read, Write},
    path::Path,
    sync::Arc,
};

/// Secures connections to the upstream services.
#[derive(Clone)]
pub(super) struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Trusts the authorities in this PEM file, or those that Mozilla trusts.
    ///
    /// # Errors
    ///
    /// The file cannot be used, or the processor lacks what the cryptography needs.
    pub(super) fn new(authorities: Option<&Path>) -> io::Result<Tls> {
        let mut roots = RootCertStore::empty();
        match authorities {
            Some(path) => {
                let name = path.display();
                let failed = |cause: &dyn std::fmt::Display| {
                    io::Error::other(format!("cannot use the authorities in {name}: {cause}"))
                };
                for certificate in CertificateDer::pem_file_iter(path).map_err(|error| failed(&error))? {
                    let certificate = certificate.map_err(|error| failed(&error))?;
                    roots.add(certificate).map_err(|error| failed(&error))?;
                }
                if roots.is_empty() {
                    return Err(failed(&"it contains no certificate"));
                }
            }
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        }
        let provider = crypto_provider().map_err(|error: TlsError| io::Error::other(error))?;
        let config = ClientConfig::builder_with_provider(Arc::new(provider));
        let config = config.with_safe_default_protocol_versions().map_err(io::Error::other)?;
        Ok(Tls(Arc::new(config.with_root_certificates(roots).with_no_client_auth())))
    }

    /// Secures a connection to this host, which has not sent anything. The handshake takes place with the first write.
    ///
    /// # Errors
    ///
    /// The host is no name and no address.
    pub(super) fn secure<S: Read + Write>(
        &self,
        host: &str,
        socket: S,
    ) -> io::Result<StreamOwned<ClientConnection, S>> {
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(io::Error::other)?;
        let connection = ClientConnection::new(Arc::clone(&self.0), name).map_err(io::Error::other)?;
        Ok(StreamOwned::new(connection, socket))
    }
}
