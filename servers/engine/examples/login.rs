//! A site with a login: a form, a session in a cookie, and pages for users only.
//!
//! ```sh
//! cargo run --example login -- 127.0.0.1:8080 &
//! #> login at [127.0.0.1:8080]
//! curl -s -c /tmp/jar -d "name=anna&password=bread" -o /dev/null localhost:8080/login
//! curl -s -b /tmp/jar localhost:8080/private/
//! #> Only users see this page, anna. <a href=/>Back</a>
//! ```

use http_engine::{
    Middleware, Next, Reply, Request, Response, RouteError, Router, SameSite, Server, SetCookie, Status,
    form::FormError,
};
use std::{
    collections::HashMap,
    env,
    fs::File,
    io::{self, Read},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How long a session lasts, and how many there may be.
const LIFETIME: Duration = Duration::from_secs(3600);
const MOST: usize = 10_000;

const FORM: &str = "<form action=/login method=post><input name=name placeholder=Name> \
    <input name=password type=password placeholder='Begins with b'> <button>Log in</button></form>";
const HOME: &str =
    "<a href=/private/>The private page</a> <form action=/logout method=post><button>Log out</button></form>";

/// The name of a user, which the middleware attaches to the request.
struct User(String);

/// The users that are logged in, and the start of each session, by the random text in the cookie.
#[derive(Clone, Default)]
struct Sessions(Arc<Mutex<HashMap<String, (String, Instant)>>>);

impl Sessions {
    /// Returns the user of a request, if the session has not expired.
    fn user(&self, request: &Request<'_>) -> Option<User> {
        let now = request.received_at();
        let (name, since) = self.lock().get(request.cookie("session")?)?.clone();
        (now.saturating_duration_since(since) < LIFETIME).then_some(User(name))
    }

    /// Begins a session, and returns its cookie: `None` if there are too many.
    fn begin(&self, name: String, now: Instant) -> io::Result<Option<SetCookie>> {
        let mut random = [0; 16];
        File::open("/dev/urandom")?.read_exact(&mut random)?;
        let id = format!("{:032x}", u128::from_ne_bytes(random));
        let mut sessions = self.lock();
        sessions.retain(|_, (_, since)| now.saturating_duration_since(*since) < LIFETIME);
        if sessions.len() >= MOST {
            return Ok(None);
        }
        sessions.insert(id.clone(), (name, now));
        Ok(Some(
            SetCookie::new("session", id)
                .with_path("/")
                .with_http_only()
                .with_same_site(SameSite::Lax)
                .with_max_age(LIFETIME),
        ))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, (String, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Redirects a request without a session to the form.
struct UsersOnly(Sessions);

impl Middleware for UsersOnly {
    fn handle(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
        match self.0.user(request) {
            Some(user) => next.run(&request.with_extension(&user).as_request()),
            None => Response::redirect(Status::SEE_OTHER, "/").into(),
        }
    }
}

/// Checks the form of the request, and begins a session.
fn log_in(sessions: &Sessions, request: &Request<'_>) -> Result<Response, FormError> {
    let form: HashMap<_, _> = request.form()?.collect();
    let (Some(name), Some(password)) = (form.get("name"), form.get("password")) else {
        return Ok(Response::text("name and password, please").with_status(Status::BAD_REQUEST));
    };
    if !password.starts_with('b') {
        return Ok(
            Response::html("Wrong name or password. <a href=/>Again</a>").with_status(Status::FORBIDDEN)
        );
    }
    Ok(match sessions.begin(name.to_string(), request.received_at()) {
        Ok(Some(cookie)) => Response::redirect(Status::SEE_OTHER, "/").with_cookie(cookie),
        Ok(None) | Err(_) => Response::error(Status::SERVICE_UNAVAILABLE),
    })
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// Returns the handler of the site.
///
/// # Errors
///
/// None: the routes do not conflict.
pub fn app() -> Result<Router, RouteError> {
    let sessions = Sessions::default();
    let [home, login, logout] = [(); 3].map(|()| sessions.clone());
    let private = Router::builder()
        .get("/", |request| {
            let User(name) = request.extension()?;
            Some(Response::html(format!("Only users see this page, {}. <a href=/>Back</a>", escaped(name))))
        })
        .wrap(UsersOnly(sessions));
    Router::builder()
        .get("/", move |request| Response::html(if home.user(request).is_some() { HOME } else { FORM }))
        .post("/login", move |request| log_in(&login, request))
        .post("/logout", move |request| {
            request.cookie("session").map(|id| logout.lock().remove(id));
            Response::redirect(Status::SEE_OTHER, "/")
                .with_cookie(SetCookie::removal("session").with_path("/"))
        })
        .nest("/private", private)
        .build()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let running = Server::bind(address)?.serve_handler(app()?)?;
    println!("login at {:?}", running.addresses());
    Ok(running.wait()?)
}
