//! What went wrong, told in the form that the peer reads: JSON to programs (RFC 9457), a page to people.
//!
//! All errors pass here: those that the application finds, the router's and the file server's, and the requests that
//! no handler saw or answered.

use super::Outcome;
use http_engine::{
    Handler, Middleware, Next, Rejected, Rejection, Reply, Request, Response, Status, negotiate,
};
use serde::Serialize;
use std::borrow::Cow;

/// How an error is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `application/problem+json`.
    Json,
    /// `text/html`.
    Html,
}

impl Format {
    /// What the peer prefers by its Accept fields, JSON being as good as HTML to one that does not say.
    pub fn wanted_by(request: &Request<'_>) -> Format {
        let offers = ["application/json", "text/html", "application/problem+json"];
        match negotiate::preferred(request.fields_named("Accept"), &offers) {
            Some(1) => Format::Html,
            _ => Format::Json,
        }
    }
}

/// An error, and what is known about it.
#[derive(Clone, Debug)]
pub struct Problem {
    status: Status,
    detail: Option<Cow<'static, str>>,
    field: Option<&'static str>,
}

/// Its JSON (RFC 9457 §3.1); `type` is `about:blank`, which need not be said.
#[derive(Serialize)]
struct Members<'p> {
    title: &'p str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'p str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'p str>,
}

impl Problem {
    /// An error with a sentence for who asked.
    pub fn new(status: Status, detail: impl Into<Cow<'static, str>>) -> Problem {
        Problem { status, detail: Some(detail.into()), field: None }
    }

    /// Names the parameter or member that is wrong.
    pub fn about(self, field: &'static str) -> Problem {
        Problem { field: Some(field), ..self }
    }

    /// The answer that tells it.
    pub fn response(&self, format: Format) -> Response {
        self.tell(Response::new(self.status), format)
    }

    /// The same answer with this as its content.
    fn tell(&self, response: Response, format: Format) -> Response {
        let told = match format {
            Format::Json => response.with_content("application/problem+json", self.json()),
            Format::Html => response.with_content("text/html; charset=utf-8", self.page()),
        };
        told.header("Vary", "Accept")
    }

    fn json(&self) -> String {
        let members = Members {
            title: self.status.reason(),
            status: self.status.code(),
            detail: self.detail.as_deref(),
            field: self.field,
        };
        // Strings and a number: there is nothing in it that cannot be written.
        serde_json::to_string(&members).unwrap_or_default() + "\n"
    }

    fn page(&self) -> String {
        let (code, reason) = (self.status.code(), self.status.reason());
        let field = self.field.map(|field| format!("{field}: ")).unwrap_or_default();
        let detail = escaped(&(field + self.detail.as_deref().unwrap_or("")));
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{code} {reason}</title>\n\
             <style>body{{font:1.1em system-ui;margin:20vh auto;max-width:36em;color-scheme:light dark}}</style>\n\
             <h1>{code} {reason}</h1>\n<p>{detail}</p>\n</html>\n"
        )
    }
}

/// Text that cannot be taken for markup.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A handler out of a function that may find a problem.
pub(super) fn answering(answer: impl Fn(&Request<'_>) -> Outcome + Send + Sync) -> impl Handler {
    move |request: &Request<'_>| {
        answer(request).unwrap_or_else(|problem| problem.response(Format::wanted_by(request)).into())
    }
}

/// Tells in the peer's format the errors that were told without regard to it, and those that nobody has told.
#[derive(Clone, Copy, Debug)]
pub struct Problems;

impl Middleware for Problems {
    fn handle(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
        let format = Format::wanted_by(request);
        let reply = next.run(request).map(move |response| retold(response, format));
        reply.recover(move |why| rejection(why, why.response(), format))
    }

    fn rejected(&self, rejected: &Rejected<'_>, response: Response) -> Response {
        let format = rejected.request.as_ref().map_or(Format::Json, Format::wanted_by);
        rejection(rejected.why, response, format)
    }
}

/// The library and the file server tell errors in pages of their own, which have no [`Vary`](Problem::tell).
fn retold(response: Response, format: Format) -> Response {
    let status = response.status();
    if status.code() < 400 || response.field("Vary").is_some() {
        return response;
    }
    let allowed = response.field("Allow").map(String::from_utf8_lossy);
    let detail = allowed.map(|allowed| format!("allowed here: {allowed}").into());
    Problem { status, detail, field: None }.tell(response, format)
}

fn rejection(why: Rejection, response: Response, format: Format) -> Response {
    Problem::new(why.status(), why.to_string()).tell(response, format)
}
