//! Chooses what serves a request: its site by the host, and the directory by the path.

use crate::{
    access::{AccessOptions, Guarded},
    hosts::HostTable,
    rules::{Ruled, Rules},
    server::MountPath,
};
use http_daemon::MakeHandler;
use http_engine::{Admit, Handler, Rejected, Reply, Request, Response, Status, path::RelativePath};
use http_files::{Options, RewrittenPath};
use std::{cmp::Reverse, io, sync::Arc};

/// Returns the function that makes the handler of a site with these mounts.
pub fn with_mounts(rest: MakeHandler, mut mounts: Vec<(MountPath, MakeHandler)>) -> MakeHandler {
    if mounts.is_empty() {
        return rest;
    }
    // The longest path first: the most precise.
    mounts.sort_by_key(|(path, _)| Reverse(path.as_str().len()));
    Arc::new(move |worker| {
        let mounts = mounts.iter().map(|(path, make)| (path.clone(), make(worker))).collect();
        Arc::new(Mounts { mounts, rest: rest(worker) })
    })
}

/// Returns the function that makes the handler of a site with these rules.
pub fn with_rules(rules: Arc<Rules>, site: MakeHandler) -> MakeHandler {
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
    pub fn handler(&self) -> io::Result<Arc<dyn Handler>> {
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
pub struct Sites {
    pub sites: Vec<Arc<dyn Handler>>,
    pub hosts: Arc<HostTable>,
    /// The index of the site that serves all other hosts.
    pub default: Option<usize>,
    /// The handler of the requests for hosts that no site serves.
    pub misdirected: Arc<dyn Handler>,
}

impl Sites {
    /// Returns the handler of the site that serves the host of a request. There is none if the client has asked for
    /// another site in the TLS handshake: it may have got the certificate of that one, and have been verified for it.
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
        let is_below = |mount: &MountPath| {
            path.is_some_and(|path| path.strip_prefix(mount.as_str().as_bytes()).is_some())
        };
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
