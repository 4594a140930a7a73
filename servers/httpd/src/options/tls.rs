//! The options for TLS.

use crate::tls::{ClientAuthentication, SiteCertificate, Tls};
use clap::{Args, ValueEnum};
use http_daemon::{Redirects, bind_address::RedirectAddress, units::count};
use std::path::PathBuf;

/// The certificate of a site.
#[derive(Args)]
#[command(next_help_heading = "TLS")]
pub(super) struct CertificateOptions {
    /// Serve https with the certificates in this PEM file, that of the server first [default: serve http]
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// PEM file with the private key of the certificate
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

impl CertificateOptions {
    /// Returns the certificate, if there is one.
    pub(super) fn into_certificate(self) -> Option<SiteCertificate> {
        let (chain, key) = self.tls_cert.zip(self.tls_key)?;
        Some(SiteCertificate { chain, key, place: None })
    }
}

/// The options for TLS of the whole server.
#[derive(Args)]
#[command(next_help_heading = "TLS")]
pub(super) struct TlsOptions {
    /// The oldest version of TLS that clients may use
    #[arg(long, value_enum, value_name = "VERSION", default_value_t = TlsVersion::Tls12)]
    tls_min: TlsVersion,

    /// PEM file with the authorities that issue certificates to clients [default: clients need no certificate]
    #[arg(long, value_name = "FILE")]
    tls_client_ca: Option<PathBuf>,

    /// Which clients are served if there are such authorities [default: require]
    #[arg(long, value_enum, value_name = "WHICH", requires = "tls_client_ca")]
    tls_client_auth: Option<ClientAuthOption>,

    /// Port, or address with a port, to listen on without TLS: requests are redirected to https with status 308, except
    /// those below /.well-known/acme-challenge/ [default: none]
    #[arg(long, value_name = "PORT|ADDRESS:PORT")]
    redirect_http: Option<RedirectAddress>,

    /// Port in the URLs of these redirects, if clients see another one than the server [default: the port of the first
    /// TCP address]
    #[arg(long, value_name = "PORT", requires = "redirect_http", value_parser = count::<u16>(1..=65_535))]
    https_port: Option<u16>,
}

impl TlsOptions {
    /// Returns what the options mean.
    pub(super) fn into_tls(self) -> Tls {
        Tls {
            is_old_refused: matches!(self.tls_min, TlsVersion::Tls13),
            clients: self.tls_client_ca.map(|authorities| ClientAuthentication {
                authorities,
                is_required: !matches!(self.tls_client_auth, Some(ClientAuthOption::Request)),
            }),
            redirects: self.redirect_http.map(|address| Redirects { address, port: self.https_port }),
        }
    }
}

/// The values of `--tls-min`.
#[derive(Clone, Copy, ValueEnum)]
enum TlsVersion {
    /// TLS 1.2 and 1.3
    #[value(name = "1.2")]
    Tls12,
    /// Only TLS 1.3
    #[value(name = "1.3")]
    Tls13,
}

/// The values of `--tls-client-auth`.
#[derive(Clone, Copy, ValueEnum)]
enum ClientAuthOption {
    /// Only those with a certificate of an authority
    Require,
    /// Also those without a certificate
    Request,
}
