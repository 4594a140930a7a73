//! The certificates of the sites, and what is asked of clients.

use crate::{hosts::HostPattern, server::VirtualHost};
use http_daemon::{
    Redirects,
    tls::{Certificate, ClientCertificates, TlsError, TlsSettings},
};
use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
};

/// What TLS does for the whole server.
#[derive(Debug, Default)]
pub struct Tls {
    /// Whether clients without TLS 1.3 are refused.
    pub is_old_refused: bool,
    pub clients: Option<ClientAuthentication>,
    pub redirects: Option<Redirects>,
}

/// Which clients are served.
#[derive(Debug)]
pub struct ClientAuthentication {
    /// The file with the authorities that issue certificates to clients.
    pub authorities: PathBuf,
    /// Whether clients without a certificate are refused.
    pub is_required: bool,
}

/// The files with the certificate of a site.
#[derive(Clone, Debug)]
pub struct SiteCertificate {
    pub chain: PathBuf,
    pub key: PathBuf,
    /// Where the configuration names them, as in `httpd.toml:3:12`; `None` for the command line.
    pub place: Option<String>,
}

impl SiteCertificate {
    fn load(&self) -> io::Result<Certificate> {
        Certificate::load(&self.chain, &self.key).map_err(|error| match &self.place {
            Some(place) => io::Error::other(format!("{place}: {}", with_remedy(&error))),
            None => io::Error::other(with_remedy(&error)),
        })
    }

    fn has_files_of(&self, other: &SiteCertificate) -> bool {
        (&self.chain, &self.key) == (&other.chain, &other.key)
    }
}

/// The error, with what the operator can do about a file that only root may read.
fn with_remedy(error: &TlsError) -> String {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    match cause.map(io::Error::kind) {
        Some(io::ErrorKind::PermissionDenied) => {
            format!("{error} (the user of the server must be able to read it, also for a reload)")
        }
        _ => error.to_string(),
    }
}

impl Tls {
    /// Fails if the options need certificates, but there are none, or if only some of the sites have one. Has the index
    /// of a site if that is the reason.
    pub fn check(&self, sites: &[VirtualHost]) -> Result<(), (usize, String)> {
        let has_any = sites.iter().any(|site| site.certificate.is_some());
        let needs_any = [
            ("tls-min", self.is_old_refused),
            ("tls-client-ca", self.clients.is_some()),
            ("redirect-http", self.redirects.is_some()),
        ];
        let unused = needs_any.iter().find(|(_, is_given)| *is_given && !has_any);
        if let Some((option, _)) = unused {
            return Err((0, format!("{option} needs a certificate: tls-cert and tls-key")));
        }
        match sites.iter().position(|site| site.certificate.is_none()) {
            Some(index) if has_any => {
                Err((index, "the site needs tls-cert and tls-key: other sites have them".to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// Loads the certificates. Returns `None` if the sites have none.
    pub fn load(&self, sites: &[VirtualHost]) -> io::Result<Option<TlsSettings>> {
        let mut loaded: Vec<(&SiteCertificate, Certificate)> = Vec::new();
        let (mut default, mut others, mut redirected) = (None, Vec::new(), Vec::new());
        for site in sites {
            let Some(files) = &site.certificate else { continue };
            let known = loaded.iter().find(|(other, _)| other.has_files_of(files));
            let certificate = match known {
                Some((_, certificate)) => certificate.clone(),
                None => files.load()?,
            };
            let of = |host: &HostPattern| (host.to_string(), certificate.clone());
            others.extend(site.hosts.iter().map(of));
            redirected.extend(site.rules.hosts.iter().map(|redirect| of(&redirect.from)));
            // The site that serves all other hosts; without one, the first.
            if default.is_none() || site.hosts.is_empty() {
                default = Some(certificate.clone());
            }
            loaded.push((files, certificate));
        }
        let Some(default) = default else { return Ok(None) };
        let mut settings = TlsSettings::new(default);
        // As for requests: a site that redirects a host is the one of that host if no other is.
        for (host, certificate) in redirected {
            if others.iter().all(|(other, _)| *other != host) {
                others.push((host, certificate));
            }
        }
        for (host, certificate) in others {
            settings = settings.certificate_for(&host, certificate);
        }
        if let Some(ClientAuthentication { authorities, is_required }) = &self.clients {
            let load =
                if *is_required { ClientCertificates::required } else { ClientCertificates::requested };
            let clients = load(authorities.as_path());
            let clients =
                clients.map_err(|error| io::Error::other(format!("tls-client-ca: {}", with_remedy(&error))));
            settings = settings.client_certificates(clients?);
        }
        Ok(Some(if self.is_old_refused { settings.only_tls_1_3() } else { settings }))
    }

    /// Returns a message if a certificate is not for a host of its site: browsers reject it.
    pub fn notice(sites: &[VirtualHost]) -> Option<String> {
        let unnamed = |site: &VirtualHost| {
            let certificate = site.certificate.as_ref()?.load().ok()?;
            // Brackets belong to the host of a URL, not to an IPv6 address.
            let is_for = |host: &HostPattern| certificate.is_for(host.example().trim_matches(['[', ']']));
            let host = site.hosts.iter().find(|host| !is_for(host))?;
            Some(format!("the certificate {} is not for {host}, a host of its site", certificate.source()))
        };
        sites.iter().find_map(unnamed)
    }

    /// The files that [`load`](Tls::load) reads.
    pub fn reads<'t>(&'t self, sites: &'t [VirtualHost]) -> impl Iterator<Item = &'t Path> {
        let certificates = sites.iter().filter_map(|site| site.certificate.as_ref());
        let certificates = certificates.flat_map(|files| [&*files.chain, &*files.key]);
        certificates.chain(self.clients.iter().map(|clients| &*clients.authorities))
    }
}
