//! The part of a desktop program that lets its user log in elsewhere (RFC 8252): opens the browser, and waits until the
//! authorization server redirects it back with a code. Here curl is the browser that comes back:
//!
//! ```sh
//! cargo run --example oauth -- https://example.org/authorize | tee /tmp/login &
//! #> Log in at https://example.org/authorize?response_type=code&client_id=desktop&state=…&redirect_uri=http://…/callback
//! state=$(sed 's/.*state=//; s/&.*//' /tmp/login)
//! curl -s "$(sed 's/.*redirect_uri=//' /tmp/login)?state=$state&code=abc"     # the program prints "The code is abc"
//! #> <p>You are logged in. You can close this page.
//! ```

use http_engine::{Incoming, Response, Server, Status};
use std::{
    borrow::Cow,
    env,
    error::Error,
    fs::File,
    io::{self, Read},
    process::Command,
    time::{Duration, Instant},
};

/// How long the program waits for the user to log in.
const TIME: Duration = Duration::from_secs(300);

/// How long the server waits for the browser to receive the page.
const GRACE: Duration = Duration::from_secs(2);

/// Waits for the redirect with this state, and returns its code.
///
/// # Errors
///
/// The user has refused, or has not come back in time.
pub fn await_code(incoming: &Incoming, state: &str) -> io::Result<String> {
    let deadline = Instant::now() + TIME;
    while let Some(exchange) = incoming.next_timeout(deadline.saturating_duration_since(Instant::now())) {
        let request = exchange.request();
        let value = |name| request.query_value(name).map(Cow::into_owned);
        if request.path() != "/callback" || value("state").as_deref() != Some(state) {
            // A browser also asks for /favicon.ico. Another program does not know the state.
            exchange.respond(Status::NOT_FOUND);
            continue;
        }
        let code = value("code").ok_or_else(|| value("error").unwrap_or_else(|| "no code".to_owned()));
        let text = if code.is_ok() { "You are logged in." } else { "You are not logged in." };
        exchange.respond(Response::html(format!("<p>{text} You can close this page.")));
        return code.map_err(io::Error::other);
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, "no login within five minutes"))
}

/// Returns 128 random bits as text.
fn random() -> io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn main() -> Result<(), Box<dyn Error>> {
    // A port that the system chooses, reachable from this machine only (RFC 8252 §7.3).
    let incoming = Server::bind("127.0.0.1:0")?.workers(1).incoming()?;
    let address = incoming.running().local_addr().ok_or("no address")?;
    let state = random()?;
    let authorization = env::args().nth(1).unwrap_or_else(|| "https://example.org/authorize".to_owned());
    let url = format!(
        "{authorization}?response_type=code&client_id=desktop&state={state}&redirect_uri=http://{address}/callback"
    );
    println!("Log in at {url}");
    // Without a desktop, the user copies the address.
    let _ = Command::new("xdg-open").arg(&url).spawn();
    println!("The code is {}", await_code(&incoming, &state)?);
    // The browser gets its page before the program ends.
    incoming.running().stopper().stop(GRACE);
    Ok(incoming.running().wait()?)
}
