//! Values attached to a request: those that middleware passes to the handler, and the parameters of the path.
//!
//! They are a chain of links. Each link borrows its value and the link before it, so that a request stays `Copy` and
//! attaching a value allocates nothing. This module must not depend on requests.

use std::{any::Any, sync::Arc};

/// A value of any type, which several threads may read.
pub(crate) type AnyValue = dyn Any + Send + Sync;

/// One attached value, and the values attached before it.
pub(crate) struct Link<'a> {
    value: LinkValue<'a>,
    earlier: Earlier<'a>,
}

enum LinkValue<'a> {
    Borrowed(&'a AnyValue),
    Shared(Arc<AnyValue>),
}

/// The link attached before another one.
enum Earlier<'a> {
    None,
    Borrowed(&'a Link<'a>),
    Owned(Box<Link<'static>>),
}

impl<'a> Link<'a> {
    /// Creates a link with a borrowed value.
    pub(crate) fn borrowed(value: &'a AnyValue, earlier: Option<&'a Link<'a>>) -> Link<'a> {
        Link { value: LinkValue::Borrowed(value), earlier: earlier.map_or(Earlier::None, Earlier::Borrowed) }
    }

    /// Creates a link with a shared value.
    pub(crate) fn shared(value: Arc<AnyValue>, earlier: Option<&'a Link<'a>>) -> Link<'a> {
        Link { value: LinkValue::Shared(value), earlier: earlier.map_or(Earlier::None, Earlier::Borrowed) }
    }

    /// Returns the value.
    fn value(&self) -> &AnyValue {
        match &self.value {
            LinkValue::Borrowed(value) => *value,
            LinkValue::Shared(value) => &**value,
        }
    }

    /// Returns the link attached before this one.
    fn earlier(&self) -> Option<&Link<'a>> {
        match &self.earlier {
            Earlier::None => None,
            Earlier::Borrowed(link) => Some(link),
            Earlier::Owned(link) => Some(link),
        }
    }

    /// Returns the values of this type, the one attached last first.
    pub(crate) fn values<'l, T: Any>(link: Option<&'l Link<'_>>) -> impl Iterator<Item = &'l T> {
        std::iter::successors(link, |link| link.earlier()).filter_map(|link| link.value().downcast_ref())
    }

    /// Copies the links that hold an `Arc` or the parameters of a path, and leaves out the other ones. Returns `None`
    /// if none is left.
    pub(crate) fn to_owned(&self) -> Option<Box<Link<'static>>> {
        let earlier = self.earlier().and_then(Link::to_owned);
        let value = match &self.value {
            LinkValue::Shared(value) => Arc::clone(value),
            LinkValue::Borrowed(value) => match value.downcast_ref::<PathParameters>() {
                Some(parameters) => Arc::new(parameters.clone()),
                None => return earlier,
            },
        };
        let earlier = earlier.map_or(Earlier::None, Earlier::Owned);
        Some(Box::new(Link { value: LinkValue::Shared(value), earlier }))
    }
}

/// The names of the parameters in the path of a route, and where their values are in the path of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PathParameters(pub(crate) Arc<[PathParameter]>);

/// One parameter of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PathParameter {
    pub(crate) name: Box<str>,
    /// The number of segments before the value.
    pub(crate) index: usize,
    /// Whether the value is the whole rest of the path, instead of one segment.
    pub(crate) is_rest: bool,
}

impl PathParameters {
    /// Returns the value of the parameter `name` in `path`, a normalised path that matches the route. Returns `None` if
    /// the route has no such parameter.
    pub(crate) fn get<'p>(&self, path: &'p [u8], name: &str) -> Option<&'p str> {
        let parameter = self.0.iter().find(|parameter| *parameter.name == *name)?;
        let mut rest = path.strip_prefix(b"/")?;
        for _ in 0..parameter.index {
            rest = split_segment(rest).1?;
        }
        let value = if parameter.is_rest { rest } else { split_segment(rest).0 };
        // Routes match only values that are text.
        str::from_utf8(value).ok()
    }
}

/// Splits `path`, which begins after a slash, into its first segment and what follows the slash after that. Returns
/// `None` for the latter if there is no slash.
pub(crate) fn split_segment(path: &[u8]) -> (&[u8], Option<&[u8]>) {
    match path.iter().position(|&byte| byte == b'/') {
        Some(end) => (&path[..end], Some(&path[end + 1..])),
        None => (path, None),
    }
}
