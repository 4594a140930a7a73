//! Error responses in the format that the client prefers: JSON (RFC 9457) or an HTML page.
//!
//! [`handler`] writes the errors of handlers in this format. The middleware [`Problems`] converts all other error
//! responses: those of the router and the file server, and the library's rejections. None must reach the client in
//! another format.

use http_engine::{Middleware, Next, Rejected, Rejection, Reply, Request, Response, Status, negotiate};
use serde_json::json;
use std::borrow::Cow;

/// The result of a handler that can fail: a reply, or the error to report to the client.
pub(crate) type HandlerResult = Result<Reply, Problem>;

/// The format of a response that exists both as JSON and as HTML, such as an error.
#[derive(Clone, Copy)]
pub(crate) enum Format {
    /// JSON. An error has the media type `application/problem+json`.
    Json,
    /// An HTML page.
    Html,
}

impl Format {
    /// Returns the format that the request's `Accept` headers prefer: JSON unless they prefer HTML.
    pub(crate) fn preferred_by(request: &Request<'_>) -> Format {
        let offers = ["application/json", "text/html", "application/problem+json"];
        let preferred = negotiate::preferred(request.header_values("Accept"), &offers);
        if preferred == Some(1) { Format::Html } else { Format::Json }
    }
}

/// An error to report to the client, as a problem details object (RFC 9457 §3.1). Its `type` is the default,
/// `about:blank`.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    status: Status,
    /// A sentence for the user; empty if there is none.
    pub(crate) detail: Cow<'static, str>,
    /// The parameter or header with the error, if the error is in one.
    field: Option<&'static str>,
}

impl Problem {
    /// Creates an error. `detail` is a sentence for the user; empty if there is none.
    pub(crate) fn new(status: Status, detail: impl Into<Cow<'static, str>>) -> Problem {
        Problem { status, detail: detail.into(), field: None }
    }

    /// Creates a 400. `detail` is a sentence for the user.
    pub(crate) fn bad_request(detail: impl Into<Cow<'static, str>>) -> Problem {
        Problem::new(Status::BAD_REQUEST, detail)
    }

    /// Creates a 400 for an error in the parameter or header `field`. `detail` tells what is wrong with it.
    pub(crate) fn invalid(field: &'static str, detail: impl Into<Cow<'static, str>>) -> Problem {
        Problem::bad_request(detail).with_field(field)
    }

    /// Sets the name of the parameter or header with the error.
    pub(crate) fn with_field(self, field: &'static str) -> Problem {
        Problem { field: Some(field), ..self }
    }

    /// Creates the response that reports the error. A 503 tells the client to retry after one second.
    pub(crate) fn response(&self, format: Format) -> Response {
        let response = self.write_to(Response::new(self.status), format);
        match self.status {
            Status::SERVICE_UNAVAILABLE => response.with_header("Retry-After", "1"),
            _ => response,
        }
    }

    /// Replaces the body of `response` by a report of this error in `format`. Sets `Content-Type` to the media type of
    /// that format, and `Vary` to `Accept`: another `Accept` could select another format. Keeps the status and all
    /// other headers.
    fn write_to(&self, response: Response, format: Format) -> Response {
        let response = match format {
            Format::Json => response.with_typed_body("application/problem+json", self.json()),
            Format::Html => response.with_typed_body("text/html; charset=utf-8", self.html_page()),
        };
        response.with_header("Vary", "Accept")
    }

    /// Returns the problem details object as one line of JSON.
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

    /// Returns an HTML page that reports the error.
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

/// Escapes `&`, `<`, `>` and `"`. The result is safe as text of an HTML element, and as an attribute's value in double
/// quotes. It is not safe in single quotes.
pub(crate) fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Makes a handler from a function that can fail. The handler reports an error in the format that the client prefers.
pub(crate) fn handler(
    handle: impl Fn(&Request<'_>) -> HandlerResult + Send + Sync,
) -> impl Fn(&Request<'_>) -> Reply + Send + Sync {
    move |request| {
        handle(request).unwrap_or_else(|problem| problem.response(Format::preferred_by(request)).into())
    }
}

/// Middleware that writes the body of every error response in the format that the client prefers: JSON or HTML.
///
/// Leaves a response with `Vary` unchanged: [`handler`] has already written it in that format. Also writes the body of
/// a rejection, a response that the library makes itself: for example, a 500 if a handler panics, or if it returns
/// [`Reply::Deferred`] and drops the [`Responder`](http_engine::Responder) without a response. The format of a
/// rejection is JSON if the head of the request is unknown ([`Rejected::request`] is `None`).
pub(crate) struct Problems;

impl Middleware for Problems {
    fn handle(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
        let format = Format::preferred_by(request);
        let reply = next.run(request).map(move |response| rewrite(response, format));
        reply.recover(move |rejection| describe_rejection(rejection, rejection.response(), format))
    }

    fn rejected(&self, rejected: &Rejected<'_>, response: Response) -> Response {
        // A redirect is no error.
        if response.status().code() < 400 {
            return response;
        }
        let format = rejected.request.as_ref().map_or(Format::Json, Format::preferred_by);
        describe_rejection(rejected.reason, response, format)
    }
}

/// Writes the body of an error response of the router or the file server in `format`. Returns a response unchanged if
/// its status is below 400, or if it has `Vary`: then [`Problem::write_to`] has already written its body.
fn rewrite(response: Response, format: Format) -> Response {
    let status = response.status();
    if status.code() < 400 || response.header("Vary").is_some() {
        return response;
    }
    let allowed = response.header("Allow").map(String::from_utf8_lossy);
    let detail = allowed.map(|methods| format!("allowed methods: {methods}")).unwrap_or_default();
    Problem::new(status, detail).write_to(response, format)
}

/// Replaces the body of `response` by a report of `rejection` in `format`. A rejection is a response that the library
/// makes itself: if the request is malformed or too slow, if the handler fails or takes too long, or if the server is
/// overloaded.
fn describe_rejection(rejection: Rejection, response: Response, format: Format) -> Response {
    Problem::new(rejection.status(), rejection.to_string()).write_to(response, format)
}
