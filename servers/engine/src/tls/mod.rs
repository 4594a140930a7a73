//! TLS: certificates, what is asked of clients, and how both are replaced while the server runs.
//!
//! TLS 1.2 and 1.3, ALPN `http/1.1`, a certificate for each name (SNI), resumption by tickets whose keys change every
//! six hours. No renegotiation and no 0-RTT, whose requests an attacker could repeat.
//!
//! ```no_run
//! use http_engine::{Request, Server, tls::{Certificate, Tls, TlsSettings}};
//!
//! let settings = TlsSettings::new(Certificate::load("chain.pem", "key.pem")?);
//! let tls = Tls::new(settings)?;
//! let server = Server::bind("0.0.0.0:443")?.tls(&tls);
//! let running = server.serve(|request: &Request<'_>| {
//!     if request.is_secure() { "over TLS" } else { "not on this port" }
//! })?;
//! // Later, when there is a new certificate: connections that are open keep the old one.
//! tls.replace(TlsSettings::new(Certificate::load("chain.pem", "key.pem")?))?;
//! running.wait()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A client that sends plain HTTP gets 400. A connection that is refused because of a limit closes without a response:
//! a handshake takes more of the processor than the 503 is worth. Each process has tickets of its own: a client that
//! comes back to another worker process makes a full handshake.
//!
//! The cryptography is that of [graviola](https://docs.rs/graviola), which needs a processor with certain instructions:
//! [`Tls::new`] fails on others, unless the feature `tls-ring` is on.

mod certificate;
mod error;

pub use certificate::Certificate;
pub use error::{Source, TlsError};

use crate::transport::{TlsStream, set_server_name};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::CryptoProvider,
    server::{
        ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert, WebPkiClientVerifier,
        danger::ClientCertVerifier,
    },
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};
use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
    time::SystemTime,
};

/// The certificates of a server, and what it asks of clients.
///
/// ```no_run
/// use http_engine::tls::{Certificate, ClientCertificates, TlsSettings};
///
/// let settings = TlsSettings::new(Certificate::load("example.org.pem", "example.org.key")?)
///     .certificate(&Certificate::load("example.net.pem", "example.net.key")?)
///     .certificate_for("*.test.example.org", Certificate::load("test.pem", "test.key")?)
///     .client_certificates(ClientCertificates::required("authorities.pem")?);
/// # Ok::<(), http_engine::tls::TlsError>(())
/// ```
#[derive(Clone, Debug)]
pub struct TlsSettings {
    default: Certificate,
    /// Further certificates, each with the name that a client must ask for.
    others: Vec<(String, Certificate)>,
    clients: Option<ClientCertificates>,
    is_old_refused: bool,
}

impl TlsSettings {
    /// Creates settings with this certificate for all clients.
    pub fn new(default: Certificate) -> TlsSettings {
        TlsSettings { default, others: Vec::new(), clients: None, is_old_refused: false }
    }

    /// Adds a certificate for clients that ask for one of its names (SNI). If several certificates have the same name,
    /// the last added certificate is used.
    pub fn certificate(mut self, certificate: &Certificate) -> TlsSettings {
        for name in certificate.names() {
            self.others.push((name.to_ascii_lowercase(), certificate.clone()));
        }
        self
    }

    /// Adds a certificate for clients that ask for this name, whatever names the certificate contains. The name
    /// `*.example.org` stands for all names below it. An exact name comes first, then the longest.
    pub fn certificate_for(mut self, name: &str, certificate: Certificate) -> TlsSettings {
        self.others.push((name.to_ascii_lowercase(), certificate));
        self
    }

    /// Asks clients for certificates.
    pub fn client_certificates(self, clients: ClientCertificates) -> TlsSettings {
        TlsSettings { clients: Some(clients), ..self }
    }

    /// Refuses clients that do not support TLS 1.3.
    pub fn only_tls_1_3(self) -> TlsSettings {
        TlsSettings { is_old_refused: true, ..self }
    }

    /// Returns all certificates: one with several names may come several times.
    pub fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        std::iter::once(&self.default).chain(self.others.iter().map(|(_, certificate)| certificate))
    }
}

/// Which certificates of clients a server accepts, and whether they need one. A handler finds the certificate of its
/// client in [`TlsInfo::client_certificate`](crate::TlsInfo::client_certificate).
///
/// ```no_run
/// use http_engine::tls::ClientCertificates;
///
/// let clients = ClientCertificates::requested("authorities.pem")?;
/// # Ok::<(), http_engine::tls::TlsError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ClientCertificates {
    authorities: Arc<RootCertStore>,
    is_required: bool,
}

impl ClientCertificates {
    /// Accepts only clients with a certificate that one of the authorities in this PEM file has issued.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or contains no valid certificate of an authority.
    pub fn required(authorities: impl AsRef<Path>) -> Result<ClientCertificates, TlsError> {
        Ok(ClientCertificates {
            authorities: certificate::load_authorities(authorities.as_ref())?,
            is_required: true,
        })
    }

    /// As [`required`](ClientCertificates::required), but also accepts clients without any certificate.
    ///
    /// # Errors
    ///
    /// As of [`required`](ClientCertificates::required).
    pub fn requested(authorities: impl AsRef<Path>) -> Result<ClientCertificates, TlsError> {
        Ok(ClientCertificates { is_required: false, ..ClientCertificates::required(authorities)? })
    }

    fn verifier(&self, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let builder =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&self.authorities), Arc::clone(provider));
        let builder = if self.is_required { builder } else { builder.allow_unauthenticated() };
        builder.build().map_err(|error| TlsError::Settings(error.to_string()))
    }
}

/// TLS for the sockets of a server: pass it to [`Server::tls`](crate::Server::tls) or
/// [`Listener::with_tls`](crate::listener::Listener::with_tls).
///
/// ```no_run
/// use http_engine::{Server, tls::{Certificate, Tls, TlsSettings}};
///
/// let tls = Tls::new(TlsSettings::new(Certificate::load("chain.pem", "key.pem")?))?;
/// println!("the certificate expires at {:?}", tls.expires_at());
/// Server::bind("0.0.0.0:443")?.tls(&tls).serve(|_| "Hello")?.wait()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Clones share the settings: [`replace`](Tls::replace) replaces those of all.
#[derive(Clone)]
pub struct Tls(Arc<RwLock<Arc<Current>>>);

/// The settings that new connections get.
struct Current {
    config: Arc<ServerConfig>,
    asks_for_certificates: bool,
    expires_at: SystemTime,
}

impl Tls {
    /// Checks the settings. Logs an error for each certificate that is not valid now.
    ///
    /// # Errors
    ///
    /// The processor lacks instructions, the system has no random numbers, or there is no authority for clients.
    pub fn new(settings: TlsSettings) -> Result<Tls, TlsError> {
        Ok(Tls(Arc::new(RwLock::new(Arc::new(Current::new(settings, None)?)))))
    }

    /// Replaces the settings. New connections get the new ones; those that are open go on. Tickets stay valid, unless
    /// clients are or were asked for certificates: a resumed session is not verified again.
    ///
    /// # Errors
    ///
    /// As of [`new`](Tls::new). Then the old settings stay.
    pub fn replace(&self, settings: TlsSettings) -> Result<(), TlsError> {
        let current = Current::new(settings, Some(&self.current()))?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(current);
        Ok(())
    }

    /// Returns when the first of the certificates expires.
    pub fn expires_at(&self) -> SystemTime {
        self.current().expires_at
    }

    fn current(&self) -> Arc<Current> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Begins the session of a new connection.
    pub(crate) fn accept(&self) -> Option<TlsStream> {
        let current = self.current();
        let stream = TlsStream::new(Arc::clone(&current.config), current.asks_for_certificates);
        stream.map_err(|error| log::error!("cannot begin a TLS session: {error}")).ok()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("expires_at", &self.expires_at()).finish_non_exhaustive()
    }
}

impl Current {
    /// Makes the configuration for these settings, which replace those of `former`.
    fn new(settings: TlsSettings, former: Option<&Current>) -> Result<Current, TlsError> {
        let now = SystemTime::now();
        let problems = settings.certificates().filter_map(|certificate| certificate.problem(now));
        // Each once: a certificate with several names comes several times.
        for problem in problems.collect::<BTreeSet<_>>() {
            log::error!("{problem}");
        }
        let expires_at = settings.certificates().map(Certificate::not_after).min().unwrap_or(now);
        let provider = Arc::new(crypto_provider()?);
        let asks_for_certificates = settings.clients.is_some();
        let failed = |error: rustls::Error| TlsError::Settings(error.to_string());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let versions = if settings.is_old_refused { &[&TLS13][..] } else { &[&TLS13, &TLS12] };
        let builder = builder.with_protocol_versions(versions).map_err(failed)?;
        let builder = match &settings.clients {
            Some(clients) => builder.with_client_cert_verifier(clients.verifier(&provider)?),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(Resolver::new(settings)));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Sessions are in tickets: a server with many clients could not remember them.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = match former {
            Some(former) if !asks_for_certificates && !former.asks_for_certificates => {
                Arc::clone(&former.config.ticketer)
            }
            _ => ticketer().map_err(failed)?,
        };
        Ok(Current { config: Arc::new(config), asks_for_certificates, expires_at })
    }
}

/// Returns the cryptography for this processor, for clients in the same program.
///
/// # Errors
///
/// The processor lacks instructions ([`TlsError::Processor`]).
pub fn crypto_provider() -> Result<CryptoProvider, TlsError> {
    if graviola::util::is_cpu_supported() {
        return Ok(rustls_graviola::default_provider());
    }
    #[cfg(feature = "tls-ring")]
    return Ok(rustls::crypto::ring::default_provider());
    #[cfg(not(feature = "tls-ring"))]
    Err(TlsError::Processor)
}

/// Returns what encrypts tickets, with new keys.
fn ticketer() -> Result<Arc<dyn ProducesTickets>, rustls::Error> {
    #[cfg(feature = "tls-ring")]
    if !graviola::util::is_cpu_supported() {
        return rustls::crypto::ring::Ticketer::new();
    }
    rustls_graviola::Ticketer::new()
}

/// Finds the certificate for the name that a client asks for.
#[derive(Debug)]
struct Resolver {
    default: Arc<CertifiedKey>,
    names: HashMap<String, Arc<CertifiedKey>>,
    /// By the part of the name behind `*`.
    wildcards: HashMap<String, Arc<CertifiedKey>>,
}

impl Resolver {
    fn new(settings: TlsSettings) -> Resolver {
        let mut resolver =
            Resolver { default: settings.default.key, names: HashMap::new(), wildcards: HashMap::new() };
        for (name, Certificate { key, .. }) in settings.others {
            match name.strip_prefix('*') {
                Some(parent) => resolver.wildcards.insert(parent.to_owned(), key),
                None => resolver.names.insert(name, key),
            };
        }
        resolver
    }

    /// Finds the certificate for this name, which is in lower case.
    fn find(&self, name: &str) -> &Arc<CertifiedKey> {
        let mut parents = name.match_indices('.').map(|(dot, _)| &name[dot..]);
        let wildcard = || parents.find_map(|parent| self.wildcards.get(parent));
        self.names.get(name).or_else(wildcard).unwrap_or(&self.default)
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = client_hello.server_name().map(str::to_ascii_lowercase);
        set_server_name(name.as_deref());
        Some(Arc::clone(name.map_or(&self.default, |name| self.find(&name))))
    }
}
