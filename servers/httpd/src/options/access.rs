//! The options that say which requests are permitted.

use crate::access::{
    AccessOptions,
    login::{LoginOptions, Realm},
    networks::Networks,
    protected_paths::{ProtectedPath, ProtectedPaths},
    rate::Rate,
};
use clap::Args;
use http_daemon::units::count;
use http_engine::Network;
use std::path::PathBuf;

/// The largest value of `--rate-burst`.
const MAX_BURST: u64 = 1_000_000;

/// The options that say which requests are permitted.
#[derive(Args)]
#[command(next_help_heading = "Access")]
pub struct AccessGroup {
    /// Serve only clients from this address or network, and others that --allow names; can be repeated. The longest
    /// network that contains a client decides; other clients get status 403 [default: all clients]
    #[arg(long, value_name = "NETWORK")]
    allow: Vec<Network>,

    /// Serve no client from this address or network, unless --allow names a longer one; can be repeated
    #[arg(long, value_name = "NETWORK")]
    deny: Vec<Network>,

    /// Requests of one client address (IPv6: of its /64 network) in a second, a minute or an hour, per process: 10,
    /// 10/s, 300/m, 1000/h; further requests get status 429 [default: no limit]
    #[arg(long, value_name = "RATE")]
    rate: Option<Rate>,

    /// Requests that a client may send at once, after a pause [default: the number in --rate]
    #[arg(long, value_name = "COUNT", requires = "rate", value_parser = count::<u32>(1..=MAX_BURST))]
    rate_burst: Option<u32>,

    /// File of users and hashes of their passwords (htpasswd -B, openssl passwd -6): other clients get status 401.
    /// SIGHUP reads it again. Passwords are readable on their way without TLS (--tls-cert, or that of a proxy)
    #[arg(long, value_name = "FILE")]
    auth_file: Option<PathBuf>,

    /// Path that needs a password, with all below it and by all names of a file: /private; can be repeated [default:
    /// all]
    #[arg(long, value_name = "PATH", requires = "auth_file")]
    auth_path: Vec<ProtectedPath>,

    /// Name of what is protected, which browsers show [default: Restricted]
    #[arg(long, value_name = "TEXT", requires = "auth_file")]
    auth_realm: Option<Realm>,
}

impl AccessGroup {
    /// Returns what the options mean.
    pub fn into_options(self) -> AccessOptions {
        let (paths, realm) = (ProtectedPaths(self.auth_path), self.auth_realm.unwrap_or_default());
        AccessOptions {
            networks: Networks::new(&self.allow, &self.deny),
            rate: self.rate.map(|rate| (rate, self.rate_burst)),
            login: self.auth_file.map(|file| LoginOptions { file, paths, realm }),
        }
    }
}
