//! What a server prints when it serves: its URLs, its engine and its workers.

use std::{
    env,
    io::{IsTerminal, stdout},
};

/// What the announcement says.
pub(super) struct Announcement<'a> {
    /// The name of the program and what it serves, as in `httpd serves www`.
    pub(super) what: String,
    pub(super) urls: Vec<String>,
    /// The URL of the admin server, if there is one.
    pub(super) admin: Option<String>,
    /// Engine, workers, confinement.
    pub(super) how: &'a str,
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
        let Style::Lines { coloured } = style else {
            let admin = admin.as_ref().map_or_else(String::new, |url| format!(", admin at {url}"));
            return format!("{what} at {} ({how}{admin})\n", urls.join(" and "));
        };
        let [bold, green, plain] = if coloured { ["\x1b[1m", "\x1b[32m", "\x1b[0m"] } else { [""; 3] };
        let mut text = format!("{bold}{what}{plain} ({how})\n");
        let urls = urls.iter().map(|url| (url, "")).chain(admin.iter().map(|url| (url, " admin")));
        urls.for_each(|(url, note)| text += &format!("  {green}{url}{plain}{note}\n"));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_every_url() {
        let announcement = Announcement {
            what: "httpd serves www".to_owned(),
            urls: ["http://127.0.0.1:80/", "http://[::1]:80/"].map(str::to_owned).to_vec(),
            admin: Some("http://127.0.0.1:9100/".to_owned()),
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
}
