//! Error responses in the format that the client prefers: JSON (RFC 9457) or an HTML page.
//!
//! The middleware [`Problems`] sees every error response: those of handlers, which are in that format already, those
//! of the router and the file server, and the library's rejections. None must reach the client in another format.

use http_engine::{
    Handler, Middleware, Next, Rejected, Rejection, Reply, Request, Response, Status, negotiate,
};
use serde_json::json;
use std::borrow::Cow;

/// The result of a handler that can fail.
pub(crate) type HandlerResult = Result<Reply, Problem>;

/// The format of an error response.
#[derive(Clone, Copy)]
pub(crate) enum Format {
    /// `application/problem+json`.
    Json,
    /// `text/html`.
    Html,
}

impl Format {
    /// Chooses by the request's `Accept` headers. JSON unless they prefer HTML.
    pub(crate) fn preferred_by(request: &Request<'_>) -> Format {
        let offers = ["application/json", "text/html", "application/problem+json"];
        let preferred = negotiate::preferred(request.header_values("Accept"), &offers);
        if preferred == Some(1) { Format::Html } else { Format::Json }
    }
}

/// An error: the problem details object of RFC 9457 §3.1, whose `type` is the default `about:blank`.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    status: Status,
    /// A sentence for the user; empty if there is none.
    pub(crate) detail: Cow<'static, str>,
    /// The parameter or header which is wrong.
    field: Option<&'static str>,
}

impl Problem {
    /// An error with a sentence for the user.
    pub(crate) fn new(status: Status, detail: impl Into<Cow<'static, str>>) -> Problem {
        Problem { status, detail: detail.into(), field: None }
    }

    /// 400 with a sentence for the user.
    pub(crate) fn bad_request(detail: impl Into<Cow<'static, str>>) -> Problem {
        Problem::new(Status::BAD_REQUEST, detail)
    }

    /// 400 that names the parameter or header which is wrong.
    pub(crate) fn invalid(field: &'static str, detail: impl Into<Cow<'static, str>>) -> Problem {
        Problem::bad_request(detail).with_field(field)
    }

    /// Names the parameter or header which is wrong.
    pub(crate) fn with_field(self, field: &'static str) -> Problem {
        Problem { field: Some(field), ..self }
    }

    /// The response that reports the error. A 503 tells the client to retry after one second.
    pub(crate) fn response(&self, format: Format) -> Response {
        let response = self.write_to(Response::new(self.status), format);
        match self.status {
            Status::SERVICE_UNAVAILABLE => response.with_header("Retry-After", "1"),
            _ => response,
        }
    }

    /// Replaces the body of a response by the report of this error.
    fn write_to(&self, response: Response, format: Format) -> Response {
        let response = match format {
            Format::Json => response.with_typed_body("application/problem+json", self.json()),
            Format::Html => response.with_typed_body("text/html; charset=utf-8", self.html_page()),
        };
        response.with_header("Vary", "Accept")
    }

    fn json(&self) -> String {
        let mut members = json!({ "title": self.status.reason(), "status": self.status.code() });
        if !self.detail.is_empty() {
            members["detail"] = self.detail.as_ref().into();
        }
        if let Some(field) = self.field {
            members["field"] = field.into();
        }
        format!("{members}\n")
    }

    fn html_page(&self) -> String {
        let (code, reason) = (self.status.code(), self.status.reason());
        let field = self.field.map(|field| format!("{field}: ")).unwrap_or_default();
        let detail = escape_html(&(field + &self.detail));
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{code} {reason}</title>\n\
             <style>body{{font:1.1em system-ui;margin:20vh auto;max-width:36em;color-scheme:light dark}}</style>\n\
             <h1>{code} {reason}</h1>\n<p>{detail}</p>\n</html>\n"
        )
    }
}

/// Escapes the characters that HTML treats as markup.
pub(crate) fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Makes a handler from a function that can fail.
pub(crate) fn handler(handle: impl Fn(&Request<'_>) -> HandlerResult + Send + Sync) -> impl Handler {
    move |request: &Request<'_>| {
        handle(request).unwrap_or_else(|problem| problem.response(Format::preferred_by(request)).into())
    }
}

/// Rewrites error responses in the client's format, and reports handlers that panic or drop their reply.
pub(crate) struct Problems;

impl Middleware for Problems {
    fn handle(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
        let format = Format::preferred_by(request);
        let reply = next.run(request).map(move |response| rewrite(response, format));
        reply.recover(move |rejection| describe_rejection(rejection, rejection.response(), format))
    }

    fn rejected(&self, rejected: &Rejected<'_>, response: Response) -> Response {
        let format = rejected.request.as_ref().map_or(Format::Json, Format::preferred_by);
        describe_rejection(rejected.reason, response, format)
    }
}

/// Rewrites an error page of the router or the file server. [`Problem::write_to`] has set `Vary`; they do not.
fn rewrite(response: Response, format: Format) -> Response {
    let status = response.status();
    if status.code() < 400 || response.header("Vary").is_some() {
        return response;
    }
    let allowed = response.header("Allow").map(String::from_utf8_lossy);
    let detail = allowed.map(|methods| format!("allowed methods: {methods}")).unwrap_or_default();
    Problem::new(status, detail).write_to(response, format)
}

fn describe_rejection(rejection: Rejection, response: Response, format: Format) -> Response {
    Problem::new(rejection.status(), rejection.to_string()).write_to(response, format)
}
