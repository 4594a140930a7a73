//! Saves uploads of any size in a directory, with little memory: `PUT /name` writes the content to a file as it comes,
//! and `GET /` is a page to upload files from.
//!
//! ```sh
//! mkdir -p /tmp/uploads
//! cargo run --example upload -- event-loop 127.0.0.1:8080 /tmp/uploads &
//! #> upload at [127.0.0.1:8080]
//! curl -s -T Cargo.lock localhost:8080/
//! cmp Cargo.lock /tmp/uploads/Cargo.lock
//! ```

use http_engine::{
    Admit, Engine, IntoResponse, Reply, Request, Response, RouteError, Router, Server, Status,
};
use std::{
    env,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    process,
    sync::Arc,
};

/// The largest file: 10 GiB.
const MAX_BYTES: u64 = 10 << 30;

const PAGE: &str = r#"<!doctype html>
<title>Upload</title>
<input type="file" multiple>
<ul></ul>
<script>
document.querySelector("input").onchange = async event => {
    for (const file of event.target.files) {
        const line = document.querySelector("ul").appendChild(document.createElement("li"));
        line.textContent = `${file.name}: uploading`;
        const response = await fetch("/" + encodeURIComponent(file.name), { method: "PUT", body: file });
        line.textContent = `${file.name}: ${response.ok ? "saved" : response.statusText}`;
    }
};
</script>
"#;

/// Why a file is not saved.
#[derive(Debug)]
pub enum Failure {
    /// Files with such names are hidden, or not saved yet.
    Dotfile,
    /// The content cannot be read, or the file cannot be written.
    Io(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Io(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self {
            Failure::Dotfile => Response::error(Status::FORBIDDEN),
            Failure::Io(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Response::text("this file is being uploaded\n").with_status(Status::CONFLICT)
            }
            // If the client has left, it does not get this.
            Failure::Io(error) => {
                eprintln!("upload: cannot save a file: {error}");
                Response::error(Status::INTERNAL_SERVER_ERROR)
            }
        }
    }
}

/// Writes the content to a file beside its final place, and moves it there when it is complete. Runs on a thread of its
/// own.
///
/// # Errors
///
/// The first error: of the content if the client leaves, or of a file. The incomplete file is removed.
pub fn save(directory: &Path, name: &str, mut content: impl Read) -> Result<Status, Failure> {
    let part = directory.join(format!(".{name}.part"));
    let mut file = File::create_new(&part)?;
    let saved = io::copy(&mut content, &mut file).and_then(|_| fs::rename(&part, directory.join(name)));
    if saved.is_err() {
        // If this fails too, the first error is still the one to report.
        let _ = fs::remove_file(&part);
    }
    saved?;
    Ok(Status::CREATED)
}

/// Replies to PUT. Only the head has arrived: a client that waits for `100 Continue` sends no content if this fails.
fn put(directory: &Arc<PathBuf>, request: &Request<'_>) -> Result<Reply, Failure> {
    let name = request.param("name").unwrap_or_default().to_owned();
    if name.starts_with('.') {
        return Err(Failure::Dotfile);
    }
    let directory = Arc::clone(directory);
    Ok(Reply::read(move |content| save(&directory, &name, content)))
}

/// Returns the handler: it saves files in `directory`.
///
/// # Errors
///
/// None: the routes do not conflict.
pub fn app(directory: PathBuf) -> Result<Router, RouteError> {
    let directory = Arc::new(directory);
    Router::builder()
        .put("/{name}", move |request| put(&directory, request))
        .wrap(Admit::AtHeadUpTo(MAX_BYTES))
        .get("/", |_| Response::html(PAGE))
        .build()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let argument = |index: usize, default: &'static str| arguments.get(index).map_or(default, String::as_str);
    let engine = match argument(0, "event-loop") {
        "event-loop" => Engine::EventLoop,
        "blocking" => Engine::Blocking,
        "-V" | "--version" => {
            println!("upload {}", env!("CARGO_PKG_VERSION"));
            return Ok(());
        }
        "-h" | "--help" => {
            println!("Usage: upload [event-loop|blocking] [ADDRESS:PORT] [DIRECTORY]");
            return Ok(());
        }
        other => {
            eprintln!("upload: unknown engine {other} (see --help)");
            process::exit(2);
        }
    };
    let app = app(PathBuf::from(argument(2, ".")))?;
    let running = Server::bind(argument(1, "127.0.0.1:8080"))?.engine(engine).serve_handler(app)?;
    println!("upload at {:?}", running.addresses());
    running.wait()?;
    Ok(())
}
