//! The application that `httpd` runs: it chooses the site of a request by its host, and the directory by its path.
//!
//! A server with one site and one directory does neither: its handler is that of the files.

use crate::{
    access::{AccessOptions, Guarded},
    config::Reloader,
    hosts::{HostPattern, HostTable},
    metrics::{CacheCounters, METRICS},
    rules::{Ruled, Rules},
    site::Site,
    tls::{SiteCertificate, Tls},
};
use http_daemon::{Application, MakeHandler, Metric, Redirects, tls::TlsSettings};
use http_engine::{Admit, Handler, Rejected, Reply, Request, Response, Status, io_cause, path::RelativePath};
use http_files::{Options, RewrittenPath, Root};
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
    /// Creates the server of these sites. `misdirected` says how requests for hosts that no site serves are responded to.
    ///
    /// # Errors
    ///
    /// If a site has the hosts of an earlier one, redirects that lead to each other, or no certificate although others have
    /// one. Has the index of the site.
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

    /// Names the configuration file if it is served, a host that a certificate is not for, and the first site without a start
    /// page. A site with redirects or rewrites may need none.
    fn notice(&self) -> Option<String> {
        let file = self.reloader.file().and_then(|file| self.served(file));
        let file = file.map(|place| format!("the configuration file {place}: clients can read it"));
        let site = self.sites.iter().find(|host| host.rules.is_empty() && host.site.lacks_index());
        let site = site
            .map(|host| format!("{} has no index.html: a request for / gets 404", host.site.root.display()));
        let notices: Vec<_> = file.into_iter().chain(Tls::notice(&self.sites)).chain(site).collect();
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

/// Returns the function that makes the handler of a site with these mounts.
fn with_mounts(rest: MakeHandler, mut mounts: Vec<(MountPath, MakeHandler)>) -> MakeHandler {
    if mounts.is_empty() {
        return rest;
    }
    // The longest path first: the most precise.
    mounts.sort_by_key(|(path, _)| std::cmp::Reverse(path.0.len()));
    Arc::new(move |worker| {
        let mounts = mounts.iter().map(|(path, make)| (path.clone(), make(worker))).collect();
        Arc::new(Mounts { mounts, rest: rest(worker) })
    })
}

/// Returns the function that makes the handler of a site with these rules.
fn with_rules(rules: Arc<Rules>, site: MakeHandler) -> MakeHandler {
    if rules.is_empty() {
        return site;
    }
    Arc::new(move |worker| Arc::new(Ruled { rules: Arc::clone(&rules), site: site(worker) }))
}

/// How requests for hosts that no site serves are responded to: with 421, to clients that the options above the sites
/// permit. A password is not asked for.
#[derive(Clone, Debug)]
pub struct Misdirected {
    pub options: Arc<Options>,
    pub access: AccessOptions,
}

impl Misdirected {
    /// Returns the handler of these requests, which all workers share.
    fn handler(&self) -> io::Result<Arc<dyn Handler>> {
        let access = AccessOptions { login: None, ..self.access.clone() };
        let handler = Arc::new(self.clone());
        Ok(match access.open("", &self.options)? {
            Some(rules) => Arc::new(Guarded::new(rules, handler)),
            None => handler,
        })
    }
}

impl Handler for Misdirected {
    fn admit(&self, _head: &Request<'_>) -> Admit {
        Admit::AtHead
    }

    fn handle(&self, request: &Request<'_>) -> Reply {
        self.options.complete(Some(request), Response::error(Status::MISDIRECTED_REQUEST)).into()
    }

    fn rejected(&self, rejected: &Rejected<'_>, response: Response) -> Response {
        self.options.complete(rejected.request.as_ref(), response)
    }
}

/// Chooses the site of a request.
struct Sites {
    sites: Vec<Arc<dyn Handler>>,
    hosts: Arc<HostTable>,
    default: Option<usize>,
    /// The handler of the requests for hosts that no site serves.
    misdirected: Arc<dyn Handler>,
}

impl Sites {
    /// Returns the handler of the site that serves the host of a request. There is none if the client has asked for another
    /// site in the TLS handshake: it may have got the certificate of that one, and have been verified for it.
    fn of(&self, request: &Request<'_>) -> &dyn Handler {
        let index = |host: &str| self.hosts.find(host).or(self.default);
        let name = request.tls().and_then(|session| session.server_name.as_deref());
        let site = request.host().map_or(self.default, index);
        let is_same = name.is_none_or(|name| index(name) == site);
        self.at(site.filter(|_| is_same))
    }

    /// Returns the handler of the site with this index, or that of requests which no site serves.
    fn at(&self, index: Option<usize>) -> &dyn Handler {
        index.and_then(|index| self.sites.get(index)).map_or(&*self.misdirected, |site| &**site)
    }
}

impl Handler for Sites {
    fn admit(&self, head: &Request<'_>) -> Admit {
        self.of(head).admit(head)
    }

    fn handle(&self, request: &Request<'_>) -> Reply {
        self.of(request).handle(request)
    }

    fn rejected(&self, rejected: &Rejected<'_>, response: Response) -> Response {
        let site =
            rejected.request.as_ref().map_or_else(|| self.at(self.default), |request| self.of(request));
        site.rejected(rejected, response)
    }
}

/// Chooses the directory of a request.
struct Mounts {
    /// The longest path first.
    mounts: Vec<(MountPath, Arc<dyn Handler>)>,
    rest: Arc<dyn Handler>,
}

impl Mounts {
    /// Returns the handler of the directory that serves this path.
    fn of(&self, path: &[u8]) -> &dyn Handler {
        let path = RelativePath::new(path);
        let is_below =
            |mount: &MountPath| path.is_some_and(|path| path.strip_prefix(mount.0.as_bytes()).is_some());
        self.mounts.iter().find(|(mount, _)| is_below(mount)).map_or(&*self.rest, |(_, handler)| &**handler)
    }
}

impl Handler for Mounts {
    fn admit(&self, head: &Request<'_>) -> Admit {
        self.of(head.path_bytes()).admit(head)
    }

    fn handle(&self, request: &Request<'_>) -> Reply {
        self.of(RewrittenPath::of(request)).handle(request)
    }

    fn rejected(&self, rejected: &Rejected<'_>, response: Response) -> Response {
        let path = rejected.request.map(|request| request.path_bytes()).unwrap_or_default();
        self.of(path).rejected(rejected, response)
    }
}
