//! The application that `httpd` runs: its sites, and the handlers that serve them.
//!
//! The handler of a server with one site and one directory is that of the files.

use crate::{
    config::Reloader,
    dispatch::{Misdirected, Sites, with_mounts, with_rules},
    hosts::{HostPattern, HostTable},
    metrics::{CacheCounters, METRICS},
    rules::Rules,
    site::Site,
    tls::{SiteCertificate, Tls},
};
use http_daemon::{Application, MakeHandler, Metric, Redirects, tls::TlsSettings};
use http_engine::{io_cause, path::RelativePath};
use http_files::Root;
use std::{
    fmt, io,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

/// How many sites are named in messages, each by its first host.
const MAX_SHOWN_HOSTS: usize = 3;

/// The sites of the server.
#[derive(Debug)]
pub struct Server {
    sites: Vec<VirtualHost>,
    hosts: Arc<HostTable>,
    /// The index of the site that serves all other hosts. Without one, requests for them get 421.
    default: Option<usize>,
    misdirected: Misdirected,
    tls: Tls,
    reloader: Reloader,
    caches: CacheCounters,
}

/// A site, and what belongs to it.
#[derive(Debug)]
pub struct VirtualHost {
    /// The hosts of its requests. A site without hosts serves all that have no other.
    pub hosts: Vec<HostPattern>,
    pub site: Site,
    /// Directories that are served at paths of this site.
    pub mounts: Vec<Mount>,
    pub rules: Arc<Rules>,
    /// `None` without TLS.
    pub certificate: Option<SiteCertificate>,
}

/// A directory that is served at a path of a site.
#[derive(Debug)]
pub struct Mount {
    pub path: MountPath,
    pub site: Site,
}

/// The path of a [`Mount`], without a slash at either end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountPath(String);

impl MountPath {
    /// The path, without a slash at either end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MountPath {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<MountPath, &'static str> {
        let path = RelativePath::new(text.as_bytes()).filter(|path| !path.as_bytes().is_empty());
        let is_valid = path.is_some();
        is_valid
            .then(|| MountPath(text.trim_matches('/').to_owned()))
            .ok_or("must be a path below the root, as in /docs")
    }
}

impl Server {
    /// Creates the server of these sites. `misdirected` says how requests for hosts that no site serves are responded
    /// to.
    ///
    /// # Errors
    ///
    /// If a site has the hosts of an earlier one, redirects that lead to each other, or no certificate although others
    /// have one. Has the index of the site.
    pub fn new(
        sites: Vec<VirtualHost>,
        tls: Tls,
        misdirected: Misdirected,
        reloader: Reloader,
    ) -> Result<Server, (usize, String)> {
        let (mut hosts, mut default) = (HostTable::default(), None);
        for (index, site) in sites.iter().enumerate() {
            let is_new = |host: &HostPattern| hosts.insert(host.clone(), index);
            let is_default = site.hosts.is_empty();
            if !site.hosts.iter().all(is_new) || is_default && default.replace(index).is_some() {
                return Err((index, "an earlier site has the same hosts".to_owned()));
            }
        }
        // The host that is redirected need not be one of the site's.
        for (index, site) in sites.iter().enumerate() {
            site.rules
                .hosts
                .iter()
                .for_each(|redirect| hosts.insert_redirected(redirect.from.clone(), index));
        }
        let rules_of = |host: &str| hosts.find(host).map(|index| &*sites[index].rules);
        for (index, site) in sites.iter().enumerate() {
            site.rules.check(rules_of).map_err(|error| (index, error))?;
        }
        tls.check(&sites)?;
        let caches = CacheCounters::default();
        Ok(Server { sites, hosts: hosts.into(), default, misdirected, tls, reloader, caches })
    }

    /// Sets the configuration that worker processes receive.
    pub(crate) fn set_text(&mut self, text: crate::config::Text) {
        self.reloader.set_text(text);
    }

    /// Opens the directories by their names and reads the files that options name, for a check.
    ///
    /// # Errors
    ///
    /// What cannot be served, and why.
    pub fn check(&self) -> Result<(), String> {
        let roots: Vec<_> = self.roots().into_iter().map(Path::to_owned).collect();
        self.open_roots(&roots).map_err(|error| format!("cannot serve {}", io_cause(&error)))?;
        self.open(&roots).map_err(|error| format!("cannot serve {self}: {}", io_cause(&error)))?;
        self.tls().map_err(|error| error.to_string())?;
        self.directories().try_for_each(Site::check_pages)
    }

    /// All directories of all sites.
    fn directories(&self) -> impl Iterator<Item = &Site> {
        self.sites
            .iter()
            .flat_map(|host| std::iter::once(&host.site).chain(host.mounts.iter().map(|mount| &mount.site)))
    }

    /// Fails if a password file is in a served directory: clients could read it.
    fn check_password_files(&self) -> io::Result<()> {
        let served =
            self.directories().filter_map(|site| site.access.file()).find_map(|file| self.served(file));
        match served {
            Some(place) => Err(io::Error::other(format!("the password file {place}"))),
            None => Ok(()),
        }
    }

    /// Returns where a file is, as a part of a message, if it is in a served directory, of whichever site.
    fn served(&self, file: &Path) -> Option<String> {
        let file = file.canonicalize().ok()?;
        let mut roots = self.roots().into_iter().filter_map(|root| root.canonicalize().ok());
        let root = roots.find(|root| file.starts_with(root))?;
        Some(format!("{} must not be in the served directory {}", file.display(), root.display()))
    }

    /// Opens each directory, or shares it with an earlier site. Returns them in the order of [`Server::directories`].
    fn open_roots(&self, paths: &[PathBuf]) -> io::Result<Vec<Arc<Root>>> {
        let names = self.roots();
        let mut opened: Vec<(&Site, Arc<Root>)> = Vec::new();
        for site in self.directories() {
            let shared = opened.iter().find(|(other, _)| other.has_root_of(site));
            let root = match shared {
                Some((_, root)) => Arc::clone(root),
                None => {
                    let path = names.iter().zip(paths).find(|(name, _)| **name == site.root);
                    let path = path.map_or(&site.root, |(_, path)| path);
                    let root = site.open_root(path).map_err(|error| {
                        let message = format!("{}: {}", site.root.display(), io_cause(&error));
                        io::Error::new(error.kind(), message)
                    })?;
                    // All directories share the descriptors that one would have.
                    let share = (root.max_open_files() / names.len().max(1)).max(1);
                    Arc::new(root.with_max_open_files(share))
                }
            };
            opened.push((site, root));
        }
        Ok(opened.into_iter().map(|(_, root)| root).collect())
    }
}

impl Application for Server {
    fn roots(&self) -> Vec<&Path> {
        let mut roots: Vec<&Path> = Vec::new();
        for site in self.directories() {
            if !roots.contains(&&*site.root) {
                roots.push(&site.root);
            }
        }
        roots
    }

    fn reads(&self) -> Vec<&Path> {
        let of_sites = self.directories().flat_map(Site::reads).chain(self.tls.reads(&self.sites));
        self.reloader.file().into_iter().chain(of_sites).collect()
    }

    fn open(&self, paths: &[PathBuf]) -> io::Result<MakeHandler> {
        self.check_password_files()?;
        let mut roots = self.open_roots(paths)?.into_iter();
        let mut make = |site: &Site, prefix: &str, rules: &Rules| {
            let root = roots.next().ok_or_else(|| io::Error::other("a directory is missing"))?;
            site.make_handler(root, prefix, rules.has_redirects(), &self.caches)
        };
        let mut sites = Vec::new();
        for host in &self.sites {
            let rest = make(&host.site, "", &host.rules)?;
            let mut mounts = Vec::new();
            for mount in &host.mounts {
                mounts.push((mount.path.clone(), make(&mount.site, &mount.path.0, &host.rules)?));
            }
            sites.push(with_rules(Arc::clone(&host.rules), with_mounts(rest, mounts)));
        }
        if let ([site], Some(_)) = (&sites[..], self.default) {
            return Ok(Arc::clone(site));
        }
        let (hosts, default, misdirected) =
            (Arc::clone(&self.hosts), self.default, self.misdirected.handler()?);
        Ok(Arc::new(move |worker| {
            let sites = sites.iter().map(|make| make(worker)).collect();
            let (hosts, misdirected) = (Arc::clone(&hosts), Arc::clone(&misdirected));
            Arc::new(Sites { sites, hosts, default, misdirected })
        }))
    }

    fn tls(&self) -> io::Result<Option<TlsSettings>> {
        self.tls.load(&self.sites)
    }

    fn redirects(&self) -> Option<&Redirects> {
        self.tls.redirects.as_ref()
    }

    fn reload(&self) -> io::Result<Option<Arc<dyn Application>>> {
        if self.reads().is_empty() { Ok(None) } else { self.reloader.reload().map(Some) }
    }

    fn configuration(&self) -> String {
        self.reloader.configuration()
    }

    fn with_configuration(&self, configuration: &str) -> io::Result<Option<Arc<dyn Application>>> {
        if self.reads().is_empty() {
            Ok(None)
        } else {
            self.reloader.with_configuration(configuration).map(Some)
        }
    }

    fn metrics(&self) -> &'static [Metric] {
        METRICS
    }

    fn measure(&self, worker: usize) -> Vec<u64> {
        self.caches.measure(worker)
    }

    /// Names the configuration file if it is served, a host that a certificate is not for, the first page of `--spa` or
    /// `--error-page` that is not there, and the first site without a start page. A site with redirects or rewrites may
    /// need none.
    fn notice(&self) -> Option<String> {
        let file = self.reloader.file().and_then(|file| self.served(file));
        let file = file.map(|place| format!("the configuration file {place}: clients can read it"));
        let site = self.sites.iter().find(|host| host.rules.is_empty() && host.site.lacks_index());
        let site = site
            .map(|host| format!("{} has no index.html: a request for / gets 404", host.site.root.display()));
        let page = self.directories().find_map(|site| site.check_pages().err());
        let notices: Vec<_> =
            file.into_iter().chain(Tls::notice(&self.sites)).chain(page).chain(site).collect();
        (!notices.is_empty()).then(|| notices.join("; "))
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.sites[..] {
            [host] => host.site.root.display().fmt(f),
            sites => {
                let mut hosts: Vec<_> = sites.iter().filter_map(|site| site.hosts.first()).collect();
                let rest = if hosts.len() > MAX_SHOWN_HOSTS { ", …" } else { "" };
                hosts.truncate(MAX_SHOWN_HOSTS);
                let hosts: Vec<_> = hosts.into_iter().map(HostPattern::to_string).collect();
                write!(f, "{} sites ({}{rest})", sites.len(), hosts.join(", "))
            }
        }
    }
}
