//! What a handler sees of a request through routers and middleware, at once and on another thread.

use crate::{
    client::{get, request},
    server::{InProcessServer, settings},
};
use http_engine::{
    Engine, IntoReply, Middleware, Next, Reply, Request, Response, Router, Status, form::FormError,
    multipart::MultipartError,
};
use std::sync::Arc;

/// The user that [`Authentication`] has found.
struct User(String);

/// Attaches the user in the cookie `user`. Replies 401 without one.
struct Authentication;

impl Middleware for Authentication {
    fn handle(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
        match request.cookie("user") {
            Some(name) => {
                let user = Arc::new(User(name.to_owned()));
                next.run(&request.with_shared_extension(user).as_request())
            }
            None => Status::UNAUTHORIZED.into_reply(),
        }
    }
}

/// Returns the user, the parameter `id` and the query value `q`.
fn describe(request: &Request<'_>) -> Option<String> {
    let User(user) = request.extension()?;
    Some(format!("{user} {} {}", request.param("id")?, request.query_value("q").unwrap_or_default()))
}

/// Replies as [`describe`] does, from a thread of the pool.
fn describe_later(request: &Request<'_>) -> Reply {
    let request = request.to_owned();
    Reply::offload(move || describe(&request.as_request()))
}

fn sum(request: &Request<'_>) -> Result<String, FormError> {
    let numbers = request.form()?.filter(|(name, _)| name == "n");
    Ok(numbers.filter_map(|(_, value)| value.parse::<u32>().ok()).sum::<u32>().to_string())
}

fn sizes(request: &Request<'_>) -> Result<String, MultipartError> {
    let parts: Vec<_> = request.multipart()?.collect::<Result<_, _>>()?;
    Ok(parts.iter().map(|part| format!("{}={} ", part.name, part.content.len())).collect())
}

fn start(engine: Engine) -> InProcessServer {
    let users =
        Router::builder().get("/{id}", describe).get("/{id}/later", describe_later).wrap(Authentication);
    let router = Router::builder()
        .nest("/users", users)
        .nest("", Router::builder().post("/sum", sum).post("/sizes", sizes).body_limit(100))
        .get("/files/{*path}", |request| request.param("path").map(str::to_owned))
        .get("/panic/{id}", |_| -> Response { panic!("on purpose") });
    InProcessServer::start(engine, settings(), router.build().expect("a router"))
}

http_testing::both_engines! {
    fn handlers_see_parameters_and_extensions(engine: Engine) {
        let server = start(engine);
        let mut client = server.connect();
        for path in ["/users/%37?q=a+b", "//users/./7?q=a%20b", "/users/7/later?q=a%20b"] {
            let response = client.fetch(request("GET", path, "Cookie: user=anna\r\n"));
            assert_eq!((response.status, response.text()), (200, "anna 7 a b".to_owned()), "{path}");
        }
        for (path, status) in
            [("/users/7", 401), ("/users/", 404), ("/users/7/8", 404), ("/files/", 404), ("/files/a/%FF", 404)]
        {
            assert_eq!(client.fetch(get(path)).status, status, "{path}");
        }
        assert_eq!(client.fetch(get("/files/a/b%2Fc/")).text(), "a/b/c/");
        let response = client.fetch(request("DELETE", "/users/7", ""));
        assert_eq!((response.status, response.header("Allow")), (405, Some("GET, HEAD, OPTIONS")));
    }

    fn forms_have_a_type_and_a_limit(engine: Engine) {
        let server = start(engine);
        let post = |path: &str, media_type: &str, content: &str| {
            let headers = format!("Content-Type: {media_type}\r\nContent-Length: {}\r\n", content.len());
            // Some of the responses close the connection.
            server.connect().fetch(request("POST", path, &headers) + content)
        };
        let urlencoded = "application/x-www-form-urlencoded";
        assert_eq!(post("/sum", urlencoded, "n=1&n=%32&m=3&n=x").text(), "3");
        let response = post("/sum", "text/plain", "n=1");
        assert_eq!((response.status, response.header("Accept")), (415, Some(urlencoded)));
        assert_eq!(post("/sum", urlencoded, &"n=1&".repeat(25)).text(), "25");
        assert_eq!(post("/sum", urlencoded, &"n=1&".repeat(26)).status, 413);
        let parts = "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nbc\r\n--x--\r\n";
        assert_eq!(post("/sizes", "multipart/form-data; boundary=x", parts).text(), "a=2 ");
        assert_eq!(post("/sizes", "multipart/form-data; boundary=y", parts).status, 400);
        assert_eq!(post("/sizes", urlencoded, parts).status, 415);
    }

    fn a_panic_behind_a_parameter_is_a_500(engine: Engine) {
        let server = start(engine);
        assert_eq!(server.connect().fetch(get("/panic/7")).status, 500);
        assert_eq!(server.connect().fetch(get("/files/a")).text(), "a");
    }
}
