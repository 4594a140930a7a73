//! The path of a route: literal segments, parameters such as `{id}`, and a wildcard such as `{*rest}`. It must not know
//! handlers.

use crate::{
    message::extensions::{PathParameter, PathParameters},
    types::path,
};
use std::fmt;

/// The path of a route.
pub(super) struct Pattern {
    pub(super) segments: Vec<PathSegment>,
    /// `None` if all segments are literal.
    pub(super) parameters: Option<PathParameters>,
}

/// One segment of a [`Pattern`].
pub(super) enum PathSegment {
    /// Matches this text. The empty segment is at the end of a path that ends in a slash.
    Literal(Box<str>),
    /// Matches one segment that is not empty.
    Parameter(Box<str>),
    /// Matches the rest of the path, if it is not empty.
    Wildcard(Box<str>),
}

/// Why a route cannot be added to a router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RouteProblem {
    NoSlash,
    NotNormal,
    Braces,
    /// A segment looks like a parameter of other routers.
    OtherSyntax,
    WildcardNotLast,
    WildcardInPrefix,
    RepeatedName(Box<str>),
    /// The parameter has the name `known` in an earlier route.
    OtherName {
        name: Box<str>,
        known: Box<str>,
    },
    Duplicate,
    /// No request can reach it, for this reason, after which comes the remedy.
    Unreachable(&'static str),
}

impl Pattern {
    /// Parses the path of a route. Fails if it is not a normalised path, or a segment with a brace is not a parameter.
    pub(super) fn parse(path: &str) -> Result<Pattern, RouteProblem> {
        let Some(rest) = path.strip_prefix('/') else { return Err(RouteProblem::NoSlash) };
        if !path::is_normal(path.as_bytes()) {
            return Err(RouteProblem::NotNormal);
        }
        let (mut segments, mut parameters) = (Vec::new(), Vec::<PathParameter>::new());
        for (index, text) in rest.split('/').enumerate() {
            if parameters.last().is_some_and(|last| last.is_rest) {
                return Err(RouteProblem::WildcardNotLast);
            }
            let segment = PathSegment::parse(text)?;
            if let PathSegment::Parameter(name) | PathSegment::Wildcard(name) = &segment {
                if parameters.iter().any(|parameter| parameter.name == *name) {
                    return Err(RouteProblem::RepeatedName(name.clone()));
                }
                let is_rest = matches!(segment, PathSegment::Wildcard(_));
                parameters.push(PathParameter { name: name.clone(), index, is_rest });
            }
            segments.push(segment);
        }
        let parameters = (!parameters.is_empty()).then(|| PathParameters(parameters.into()));
        Ok(Pattern { segments, parameters })
    }
}

impl PathSegment {
    /// Parses one segment. Fails if it contains a brace, but is neither `{name}` nor `{*name}`, or begins with `:` or
    /// `*`.
    fn parse(text: &str) -> Result<PathSegment, RouteProblem> {
        if text.starts_with([':', '*']) {
            return Err(RouteProblem::OtherSyntax);
        }
        if !text.contains(['{', '}']) {
            return Ok(PathSegment::Literal(text.into()));
        }
        let inner =
            text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).ok_or(RouteProblem::Braces)?;
        let (name, is_rest) = inner.strip_prefix('*').map_or((inner, false), |name| (name, true));
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(RouteProblem::Braces);
        }
        let name = name.into();
        Ok(if is_rest { PathSegment::Wildcard(name) } else { PathSegment::Parameter(name) })
    }
}

impl fmt::Display for RouteProblem {
    /// Writes the cause and the remedy.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RouteProblem::NoSlash => f.write_str("the path must begin with a slash"),
            RouteProblem::NotNormal => {
                f.write_str("no request has such a path: remove empty segments, dot segments and NUL")
            }
            RouteProblem::Braces => f.write_str(
                "a segment with a brace must be {name} or {*name}, with a name of letters, digits and underscores",
            ),
            RouteProblem::OtherSyntax => {
                f.write_str("a segment must not begin with a colon or an asterisk: a parameter is {name} or {*name}")
            }
            RouteProblem::WildcardNotLast => {
                f.write_str("a wildcard matches the rest of the path: remove what follows it")
            }
            RouteProblem::WildcardInPrefix => {
                f.write_str("a prefix includes all paths below it: remove the wildcard")
            }
            RouteProblem::RepeatedName(name) => write!(f, "two parameters have the name {name}: rename one"),
            RouteProblem::OtherName { name, known } => {
                write!(f, "an earlier route has the parameter {known} in place of {name}: use one name")
            }
            RouteProblem::Duplicate => {
                f.write_str("there is such a route already: remove or change one of them")
            }
            RouteProblem::Unreachable(reason) => write!(f, "no request can reach it, because {reason}"),
        }
    }
}
