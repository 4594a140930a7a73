//! The tables of a configuration file: sites, and what belongs to them. Each option of a table is defined by clap, too.

use super::{
    document::{Schema, Table},
    layers::{self, Merged, Misfit, Origin, Setting},
};
use crate::{
    access::login::LoginOptions,
    hosts::HostPattern,
    options::{MountTable, OF_COMMAND_LINE, RedirectTable, RewriteTable, SiteParts, SiteTable},
    rules::Rules,
    server::{Mount, VirtualHost},
    tls::SiteCertificate,
};
use clap::{Command, CommandFactory, FromArgMatches};
use http_daemon::options;

/// Returns which keys and tables a file may have. `command` has the options of the command line.
pub fn schema(command: Command) -> Schema {
    let mut tables = site_tables();
    tables.push(("site", of::<SiteTable>(site_tables())));
    Schema { command, excluded: OF_COMMAND_LINE, tables }
}

/// The tables that a site may have. A file without sites has them itself.
fn site_tables() -> Vec<(&'static str, Schema)> {
    vec![
        ("mount", of::<MountTable>(Vec::new())),
        ("redirect", of::<RedirectTable>(Vec::new())),
        ("rewrite", of::<RewriteTable>(Vec::new())),
    ]
}

/// Returns the schema of a table with the options of `T`.
fn of<T: CommandFactory>(tables: Vec<(&'static str, Schema)>) -> Schema {
    let mut command = command::<T>();
    command.build();
    Schema { command, excluded: &[], tables }
}

/// Returns the options of `T`, the type of a table.
fn command<T: CommandFactory>() -> Command {
    options::with_switches(T::command()).disable_help_flag(true)
}

/// Returns the site of a server without tables.
pub fn single_site(parts: SiteParts, merged: &Merged) -> VirtualHost {
    let SiteParts { redirects, certificate, site } = parts;
    let rules = Rules { hosts: redirects, ..Rules::default() };
    let certificate = certificate.map(|certificate| with_place(certificate, merged));
    VirtualHost { hosts: Vec::new(), site, mounts: Vec::new(), rules: rules.into(), certificate }
}

/// Adds where the configuration names the certificate.
fn with_place(certificate: SiteCertificate, merged: &Merged) -> SiteCertificate {
    let setting = merged.settings.iter().find(|setting| setting.name == "tls-cert");
    let place = setting.map(|setting| &setting.origin);
    let place = place.filter(|origin| !matches!(origin, Origin::CommandLine)).map(Origin::to_string);
    SiteCertificate { place, ..certificate }
}

/// Returns the sites in `document`. `top` has the options that sites inherit, and `single` is the site if the document
/// has no tables of sites.
///
/// # Errors
///
/// If an option of a table is missing, or a table is in the wrong place.
pub fn virtual_hosts(document: &Table, top: &Merged, single: SiteParts) -> Result<Vec<VirtualHost>, String> {
    let sites = document.tables("site");
    if sites.is_empty() {
        return Ok(vec![virtual_host(document, (Vec::new(), single), top)?]);
    }
    if let Some((name, table)) = document.all_tables().find(|(name, _)| *name != "site") {
        return Err(format!("{}: a file with sites has this in a site: [[site.{name}]]", table.place));
    }
    let convert = |table: &Table| {
        let (site, merged) = parse::<SiteTable>(table, &top.settings)?;
        virtual_host(table, site.into_site(), &merged)
    };
    sites.iter().map(convert).collect()
}

/// Returns a site with what belongs to it in `table`.
fn virtual_host(
    table: &Table,
    (hosts, parts): (Vec<HostPattern>, SiteParts),
    merged: &Merged,
) -> Result<VirtualHost, String> {
    // A mount has a directory of its own.
    let inherited: Vec<Setting> =
        merged.settings.iter().filter(|setting| setting.name != "root").cloned().collect();
    let mut mounts: Vec<Mount> = Vec::new();
    for table in table.tables("mount") {
        let mount = parse::<MountTable>(table, &inherited)?.0.into_mount();
        if mounts.iter().any(|other| other.path == mount.path) {
            return Err(format!("{}: an earlier mount has the same path", table.place));
        }
        check_protected_paths(table, &mount)?;
        mounts.push(mount);
    }
    let host = single_site(parts, merged);
    let mut rules = Rules { hosts: host.rules.hosts.clone(), ..Rules::default() };
    for table in table.tables("redirect") {
        let redirect = parse::<RedirectTable>(table, &[])?.0.into_redirect();
        rules.redirects.push(redirect.map_err(|error| format!("{}: {error}", table.place))?);
    }
    for table in table.tables("rewrite") {
        let rewrite = parse::<RewriteTable>(table, &[])?.0.into_rewrite();
        rules.rewrites.push(rewrite.map_err(|error| format!("{}: {error}", table.place))?);
    }
    Ok(VirtualHost { hosts, mounts, rules: rules.into(), ..host })
}

/// Fails if the password that `table` asks for protects nothing of its mount: a path that is protected is that of the
/// request, and not relative to the mount.
fn check_protected_paths(table: &Table, mount: &Mount) -> Result<(), String> {
    let Some(LoginOptions { paths, .. }) = &mount.site.access.login else { return Ok(()) };
    let own = |name: &str| table.settings.iter().find(|setting| setting.name == name);
    let (prefix, mut outside) = (mount.path.as_str(), paths.outside(mount.path.as_str()));
    if let Some(Setting { origin, .. }) = own("auth-path")
        && let Some(path) = outside.next()
    {
        return Err(format!("{origin}: auth-path {path} is not below this mount: write /{prefix}{path}"));
    }
    match own("auth-file") {
        Some(Setting { origin, .. }) if !paths.0.is_empty() && outside.count() == paths.0.len() => {
            Err(format!("{origin}: no auth-path is below this mount: add auth-path = [\"/{prefix}\"] to it"))
        }
        _ => Ok(()),
    }
}

/// Parses the options of `table`, and takes those that it does not set from `inherited`.
fn parse<T: CommandFactory + FromArgMatches>(
    table: &Table,
    inherited: &[Setting],
) -> Result<(T, Merged), String> {
    let wrong = |misfit: Misfit| match &misfit.cause {
        Some(setting) => format!("{}: {misfit}", setting.origin),
        None => format!("{}: {misfit}", table.place),
    };
    let layers = [&*table.settings, inherited];
    let merged = layers::merge(command::<T>(), &["".into()], &layers).map_err(wrong)?;
    let parsed = T::from_arg_matches(&merged.matches).map_err(|error| wrong(error.into()))?;
    Ok((parsed, merged))
}
