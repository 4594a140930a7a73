//! An address book behind a login: routes with parameters, middleware for some of them, and forms.
//!
//! ```sh
//! cargo run --example routes -- 127.0.0.1:8080 &
//! #> routes at [127.0.0.1:8080]
//! curl -s -c /tmp/jar -d name=anna localhost:8080/login
//! #> welcome
//! curl -s -b /tmp/jar -d "phone=555 0123" localhost:8080/contacts/Bob
//! curl -s -b /tmp/jar localhost:8080/contacts/Bob
//! #> 555 0123
//! ```

use http_engine::{
    IntoReply, IntoResponse, Middleware, Next, Reply, Request, Response, RouteError, Router, Server,
    SetCookie, Status, form::FormError,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// The phone numbers by the names of their user and contact.
pub type Contacts = Arc<Mutex<BTreeMap<(String, String), String>>>;

/// The name of the user, from the cookie. A real program checks a password and signs the cookie.
struct User(String);

/// Passes the user to the handlers. Replies 401 to a request without the cookie.
struct Login;

impl Middleware for Login {
    fn handle(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
        let Some(name) = request.cookie("user") else { return Status::UNAUTHORIZED.into_reply() };
        let user = User(name.to_owned());
        next.run(&request.with_extension(&user).as_request())
    }
}

/// Why a request fails.
enum Failure {
    NoForm(FormError),
    Missing(&'static str),
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self {
            Failure::NoForm(error) => error.into_response(),
            Failure::Missing(name) => {
                Response::text(format!("{name} is missing\n")).with_status(Status::BAD_REQUEST)
            }
        }
    }
}

/// Returns the value of a field in the form that the request sends.
fn field(request: &Request<'_>, wanted: &'static str) -> Result<String, Failure> {
    let mut fields = request.form().map_err(Failure::NoForm)?;
    let field = fields.find(|(name, value)| name == wanted && !value.is_empty());
    Ok(field.ok_or(Failure::Missing(wanted))?.1.into_owned())
}

fn login(request: &Request<'_>) -> Result<Response, Failure> {
    let name = field(request, "name")?;
    let name = name.replace(|letter: char| !letter.is_ascii_alphanumeric(), "");
    let cookie = SetCookie::new("user", name).with_path("/").with_http_only();
    Ok(Response::text("welcome\n").with_cookie(cookie))
}

/// Returns the key of the contact in the path.
fn key(request: &Request<'_>) -> Option<(String, String)> {
    let User(user) = request.extension()?;
    Some((user.clone(), request.param("name")?.to_owned()))
}

/// Returns the handler of the address book.
///
/// # Errors
///
/// None: the routes do not conflict.
pub fn router(contacts: &Contacts) -> Result<Router, RouteError> {
    let (reader, writer) = (Arc::clone(contacts), Arc::clone(contacts));
    let contacts = Router::builder()
        .get("/{name}", move |request| {
            let contacts = reader.lock().unwrap_or_else(PoisonError::into_inner);
            Some(format!("{}\n", contacts.get(&key(request)?)?))
        })
        .post("/{name}", move |request| -> Result<Option<Status>, Failure> {
            let phone = field(request, "phone")?;
            let Some(key) = key(request) else { return Ok(None) };
            let mut contacts = writer.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(Some(if contacts.insert(key, phone).is_some() { Status::OK } else { Status::CREATED }))
        })
        .body_limit(1_000)
        .wrap(Login);
    Router::builder()
        .get("/", |_| "POST /login, then /contacts/NAME\n")
        .post("/login", login)
        .nest("/contacts", contacts)
        .build()
}

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".to_owned());
    let running = Server::bind(address)?.serve_handler(router(&Contacts::default())?)?;
    println!("routes at {:?}", running.addresses());
    running.wait()
}
