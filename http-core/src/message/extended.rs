//! Requests with values that middleware and routers have attached.

use super::{
    extensions::{Link, PathParameters},
    request::Request,
};
use std::{any::Any, sync::Arc};

/// A request with one more extension: the result of [`Request::with_extension`].
///
/// ```
/// use http_core::{Middleware, Next, Reply, Request, Stack, testing::TestRequest};
///
/// /// The user, whom the middleware authenticates and the handler greets.
/// struct User(String);
///
/// struct Login;
///
/// impl Middleware for Login {
///     fn handle(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
///         let user = User("Anna".to_owned());
///         next.run(&request.with_extension(&user).as_request())
///     }
/// }
///
/// let greet = |request: &Request<'_>| request.extension().map(|User(name)| format!("Hello, {name}"));
/// assert_eq!(TestRequest::get("/").run(&Stack::new(greet).wrap(Login)).text(), "Hello, Anna");
/// ```
pub struct Extended<'a> {
    request: Request<'a>,
    link: Link<'a>,
}

impl Extended<'_> {
    /// Returns the request.
    pub fn as_request(&self) -> Request<'_> {
        Request { extensions: Some(&self.link), ..self.request }
    }
}

impl std::fmt::Debug for Extended<'_> {
    /// Writes what the `Debug` of [`Request`] writes.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.request.fmt(f)
    }
}

impl<'b> Request<'b> {
    /// Returns the value of a parameter in the path of the route: for the route `/users/{id}` and the path `/users/7`,
    /// the parameter `id` is `7`. Returns `None` if the route has no parameter with this name. The value is never
    /// empty, and decoded as [`path`](Request::path) is.
    ///
    /// ```
    /// use http_core::{Request, Router, Status};
    ///
    /// fn user(request: &Request<'_>) -> Result<String, Status> {
    ///     let id: Option<u32> = request.param("id").and_then(|id| id.parse().ok());
    ///     Ok(format!("user number {}", id.ok_or(Status::NOT_FOUND)?))
    /// }
    ///
    /// let router = Router::builder().get("/users/{id}", user).build()?;
    /// # Ok::<(), http_core::RouteError>(())
    /// ```
    pub fn param(&self, name: &str) -> Option<&'b str> {
        Link::values::<PathParameters>(self.extensions)
            .find_map(|parameters| parameters.get(self.path_bytes(), name))
    }

    /// Returns the extension of this type that was attached last; `None` if there is none.
    /// [`with_extension`](Request::with_extension) has an example.
    pub fn extension<T: Any>(&self) -> Option<&'b T> {
        Link::values(self.extensions).next()
    }

    /// Attaches a value, which [`extension`](Request::extension) of the returned request finds by its type. In this
    /// way, middleware passes a value to the handler. The value is borrowed: nothing is allocated.
    ///
    /// ```
    /// use http_core::{Middleware, Next, Reply, Request, Response, Status};
    ///
    /// struct User(String);
    ///
    /// /// Passes on requests of users only.
    /// struct Authentication;
    ///
    /// impl Middleware for Authentication {
    ///     fn handle(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
    ///         let Some(name) = request.cookie("user") else {
    ///             return Response::error(Status::FORBIDDEN).into();
    ///         };
    ///         let user = User(name.to_owned());
    ///         next.run(&request.with_extension(&user).as_request())
    ///     }
    /// }
    ///
    /// fn greet(request: &Request<'_>) -> Option<String> {
    ///     let User(name) = request.extension()?;
    ///     Some(format!("Hello, {name}"))
    /// }
    /// ```
    pub fn with_extension<'a, T: Any + Send + Sync>(&self, value: &'a T) -> Extended<'a>
    where
        'b: 'a,
    {
        Extended { request: *self, link: Link::borrowed(value, self.extensions) }
    }

    /// Attaches a value as [`with_extension`](Request::with_extension) does. [`to_owned`](Request::to_owned) keeps it,
    /// so that a job can read it.
    ///
    /// ```
    /// # use http_core::{Reply, Request};
    /// # use std::sync::Arc;
    /// struct User(String);
    ///
    /// fn greet(request: &Request<'_>) -> Reply {
    ///     let request = request.to_owned();
    ///     Reply::offload(move || request.as_request().extension().map(|User(name)| format!("Hello, {name}")))
    /// }
    ///
    /// fn greet_anna(request: &Request<'_>) -> Reply {
    ///     greet(&request.with_shared_extension(Arc::new(User("Anna".to_owned()))).as_request())
    /// }
    /// ```
    pub fn with_shared_extension<T: Any + Send + Sync>(&self, value: Arc<T>) -> Extended<'b> {
        Extended { request: *self, link: Link::shared(value, self.extensions) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::ReceivedRequest;
    use std::time::Instant;

    #[test]
    fn finds_the_extension_attached_last() {
        let received = ReceivedRequest::new(b"GET / HTTP/1.0\r\n\r\n", Instant::now()).expect("a request");
        let request = received.as_request();
        let (one, two) = (1_u8, 2_u8);
        let shared = request.with_shared_extension(Arc::new("text"));
        let shared = shared.as_request();
        let inner = {
            let outer = shared.with_extension(&one);
            let outer = outer.as_request();
            assert_eq!((outer.extension(), outer.extension()), (Some(&1_u8), Some(&"text")));
            let inner = outer.with_extension(&two);
            let inner = inner.as_request();
            assert_eq!((inner.extension::<u16>(), inner.param("a"), inner.path()), (None, None, "/"));
            // The value outlives the links.
            inner.extension::<u8>().copied()
        };
        assert_eq!((inner, shared.extension::<u8>(), request.extension::<&str>()), (Some(2), None, None));
    }
}
