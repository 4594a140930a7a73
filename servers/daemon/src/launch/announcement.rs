//! What a server prints when it serves: its URLs, its engine and its workers.

use http_engine::listener::ListenAddr;
use std::{
    env,
    io::{IsTerminal, stdout},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
};

/// What the announcement says.
pub(super) struct Announcement<'a> {
    /// The name of the program and what it serves, as in `httpd serves www`.
    pub(super) what: String,
    pub(super) urls: Urls,
    /// Those of the admin server; empty if there is none.
    pub(super) admin: Urls,
    /// Engine, workers, confinement.
    pub(super) how: &'a str,
}

/// The URLs of sockets, each once: URLs that a person can open.
#[derive(Default)]
pub(super) struct Urls {
    list: Vec<String>,
    /// Whether a socket listens on all IPv4 addresses of the machine, and one on all IPv6 addresses.
    all: [bool; 2],
}

impl Urls {
    /// Adds the URLs of a socket. Each worker may have a socket of its own for each address.
    ///
    /// A socket on all addresses of the machine has the URL of `localhost`, and that of the address by which the
    /// machine reaches other networks.
    pub(super) fn add(&mut self, scheme: &str, address: &ListenAddr) {
        let urls = match address.tcp() {
            Some(address) if address.ip().is_unspecified() => {
                self.all[usize::from(address.is_ipv6())] = true;
                let (port, own) = (address.port(), own_address(address.ip()));
                let own = own.map(|own| format!("{scheme}://{}/", SocketAddr::new(own, port)));
                [Some(format!("{scheme}://localhost:{port}/")), own]
            }
            Some(address) => [Some(format!("{scheme}://{address}/")), None],
            None => [Some(address.to_string()), None],
        };
        for url in urls.into_iter().flatten() {
            if !self.list.contains(&url) {
                self.list.push(url);
            }
        }
    }

    /// Says that the URLs are not all that there are.
    fn note(&self) -> &'static str {
        match self.all {
            [true, true] => ", all addresses",
            [true, false] => ", all IPv4 addresses",
            [false, true] => ", all IPv6 addresses",
            [false, false] => "",
        }
    }
}

/// Returns the address by which this machine reaches other networks, of the same kind as `any`, if there is one. Sends
/// nothing: a datagram socket that is connected only chooses its route (udp(7)).
fn own_address(any: IpAddr) -> Option<IpAddr> {
    // Addresses for documentation, which no network has (RFC 5737, RFC 3849).
    let other = match any {
        IpAddr::V4(_) => IpAddr::from(Ipv4Addr::new(192, 0, 2, 1)),
        IpAddr::V6(_) => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((other, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|own| !own.is_loopback())
}

/// How the announcement is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// In one line, for logs and programs.
    Line,
    /// With a line for each URL, for people.
    Lines { coloured: bool },
}

impl Style {
    /// Lines if standard output is a terminal; with colours, unless the environment sets `NO_COLOR`
    /// (<https://no-color.org>) or the terminal is dumb.
    pub(super) fn of_stdout() -> Style {
        let is_set = |name, unset: &str| env::var_os(name).is_some_and(|value| value != unset);
        let coloured = !is_set("NO_COLOR", "") && is_set("TERM", "dumb");
        if stdout().is_terminal() { Style::Lines { coloured } } else { Style::Line }
    }
}

impl Announcement<'_> {
    /// Returns the text, with its newline.
    pub(super) fn text(&self, style: Style) -> String {
        let Announcement { what, urls, admin, how } = self;
        // The name of a directory may have any characters, and those that control a terminal are shown as ls(1) does.
        let (what, note) = (what.replace(char::is_control, "?"), urls.note());
        let Style::Lines { coloured } = style else {
            let [urls, mut admin] = [urls, admin].map(|urls| urls.list.join(" and "));
            if !admin.is_empty() {
                admin.insert_str(0, ", admin at ");
            }
            return format!("{what} at {urls} ({how}{note}{admin})\n");
        };
        let [bold, green, plain] = if coloured { ["\x1b[1m", "\x1b[32m", "\x1b[0m"] } else { [""; 3] };
        let mut text = format!("{bold}{what}{plain} ({how}{note})\n");
        let admin = admin.list.iter().map(|url| (url, " admin"));
        let urls = urls.list.iter().map(|url| (url, "")).chain(admin);
        urls.for_each(|(url, note)| text += &format!("  {green}{url}{plain}{note}\n"));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The URLs of these addresses, without those of the machine's networks.
    fn urls(addresses: &[&str]) -> Urls {
        let mut urls = Urls::default();
        let address = |address: &&str| ListenAddr::Tcp(address.parse().expect("an address"));
        addresses.iter().map(address).for_each(|address| urls.add("http", &address));
        let own = ["0.0.0.0", "::"].map(|any| own_address(any.parse().expect("an address")));
        urls.list.retain(|url| !own.iter().flatten().any(|own| url.contains(&own.to_string())));
        urls
    }

    #[test]
    fn shows_every_url() {
        let announcement = Announcement {
            what: "httpd serves www".to_owned(),
            urls: urls(&["127.0.0.1:80", "[::1]:80", "127.0.0.1:80"]),
            admin: urls(&["127.0.0.1:9100"]),
            how: "blocking, 1 worker",
        };
        let check = |style, expected: &str| assert_eq!(announcement.text(style), expected);
        check(
            Style::Line,
            "httpd serves www at http://127.0.0.1:80/ and http://[::1]:80/ (blocking, 1 worker, admin at http://127.0.0.1:9100/)\n",
        );
        check(
            Style::Lines { coloured: false },
            "httpd serves www (blocking, 1 worker)\n  http://127.0.0.1:80/\n  http://[::1]:80/\n  http://127.0.0.1:9100/ admin\n",
        );
        let coloured = announcement.text(Style::Lines { coloured: true });
        assert!(coloured.contains("\n  \x1b[32mhttp://[::1]:80/\x1b[0m\n"), "{coloured:?}");
    }

    #[test]
    fn the_name_of_a_directory_does_not_control_the_terminal() {
        let what = "httpd serves a\nb\x1b[31m\u{9b}\u{e4}".to_owned();
        let announcement =
            Announcement { what, urls: urls(&["[::1]:80"]), admin: Urls::default(), how: "how" };
        let check = |style, expected: &str| assert_eq!(announcement.text(style), expected);
        check(Style::Line, "httpd serves a?b?[31m?\u{e4} at http://[::1]:80/ (how)\n");
        check(Style::Lines { coloured: false }, "httpd serves a?b?[31m?\u{e4} (how)\n  http://[::1]:80/\n");
    }

    #[test]
    fn shows_urls_to_open_for_all_addresses() {
        let check = |addresses: &[&str], expected: &str| {
            let urls = urls(addresses);
            assert_eq!(format!("{}{}", urls.list.join(" "), urls.note()), expected);
        };
        check(&["0.0.0.0:80", "[::]:80"], "http://localhost:80/, all addresses");
        check(
            &["0.0.0.0:80", "127.0.0.2:81"],
            "http://localhost:80/ http://127.0.0.2:81/, all IPv4 addresses",
        );
        check(&["[::]:80"], "http://localhost:80/, all IPv6 addresses");
    }
}
