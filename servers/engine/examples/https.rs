//! A server over TLS. It reads its certificate again every hour, because certificates are renewed while servers run.
//!
//! ```sh
//! pem=servers/engine/tests/tls/pem
//! cargo run -p http-engine --features tls --example https -- $pem/default.pem $pem/default.key 127.0.0.1:8443 &
//! #> https at [127.0.0.1:8443]
//! curl -s --cacert $pem/ca.pem https://localhost:8443/you
//! #> Hello /you, over TLS
//! ```
//!
//! A certificate of your own, which only you trust:
//!
//! ```text
//! openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost \
//!     -addext subjectAltName=DNS:localhost -keyout key.pem -out chain.pem
//! ```
//!
//! The path `/bytes/N` responds with N bytes.

use http_engine::{
    Engine, Request, Response, Server, Status,
    tls::{Certificate, Tls, TlsError, TlsSettings},
};
use std::{env, error::Error, sync::OnceLock, thread, time::Duration};

/// How often the certificate is read.
const RELOAD: Duration = Duration::from_secs(3600);

/// The bytes of all responses.
static BYTES: OnceLock<Vec<u8>> = OnceLock::new();

fn greet(request: &Request<'_>) -> Result<Response, Status> {
    if let Some(count) = request.path().strip_prefix("/bytes/") {
        let bytes = BYTES.get_or_init(|| vec![b'x'; 1 << 20]);
        let count = count.parse::<usize>().map_err(|_| Status::NOT_FOUND)?;
        return Ok(Response::bytes(bytes.get(..count).ok_or(Status::NOT_FOUND)?));
    }
    let how = if request.is_secure() { "over TLS" } else { "not secured" };
    Ok(Response::text(format!("Hello {}, {how}\n", request.path())))
}

fn settings(chain: &str, key: &str) -> Result<TlsSettings, TlsError> {
    Ok(TlsSettings::new(Certificate::load(chain, key)?))
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [chain, key, rest @ ..] = &arguments[..] else {
        return Err("usage: https CHAIN KEY [ADDRESS [blocking]]".into());
    };
    let tls = Tls::new(settings(chain, key)?)?;
    let address = rest.first().map_or("127.0.0.1:8443", String::as_str);
    let engine = if rest.len() > 1 { Engine::Blocking } else { Engine::EventLoop };
    let running = Server::bind(address)?.tls(&tls).engine(engine).workers(1).serve(greet)?;
    println!("https at {:?}", running.addresses());
    let (chain, key) = (chain.clone(), key.clone());
    thread::spawn(move || {
        loop {
            thread::sleep(RELOAD);
            if let Err(error) = settings(&chain, &key).and_then(|settings| tls.replace(settings)) {
                eprintln!("{error}; keeping the old certificate");
            }
        }
    });
    Ok(running.wait()?)
}
