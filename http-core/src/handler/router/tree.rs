//! Finds the route of a path. It must not know handlers: it stores their numbers.
//!
//! Paths without parameters are in one hash map. The other ones are in a tree with a level for each segment. A look-up
//! visits each node of the tree at most once, allocates nothing, and takes the same time for few and for many routes.

use super::pattern::{PathSegment, Pattern, RouteProblem};
use crate::{
    message::extensions::{PathParameters, split_segment},
    types::method::Method,
};
use std::collections::HashMap;

/// The routes of a router.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// The paths without parameters.
    literal: HashMap<Box<[u8]>, Box<Resource>>,
    /// The node of the path before its first slash.
    root: Node,
}

/// What is routed at one path.
#[derive(Debug)]
pub(super) struct Resource {
    pub(super) target: Target,
    /// `None` if the path has none.
    pub(super) parameters: Option<PathParameters>,
}

/// The number of the handler of each method, or of all methods.
#[derive(Debug)]
pub(super) enum Target {
    Methods(Vec<(Method, usize)>),
    AnyMethod(usize),
}

/// The routes that share the same first segments.
#[derive(Debug, Default)]
struct Node {
    /// By the next segment.
    literals: HashMap<Box<[u8]>, Box<Node>>,
    /// The name of the parameter that is the next segment, and its node.
    parameter: Option<(Box<str>, Box<Node>)>,
    /// The name of the wildcard that follows, and its route.
    wildcard: Option<Box<(Box<str>, Resource)>>,
    /// The route of the path that ends here.
    exact: Option<Box<Resource>>,
    /// The prefix of all paths that continue.
    below: Option<Box<Resource>>,
    /// The prefix of the path that ends here, and of all that continue.
    prefix: Option<Box<Resource>>,
}

impl Tree {
    /// Adds the handler number `handler` of a method of a path.
    pub(super) fn add_route(
        &mut self,
        method: Method,
        path: &str,
        handler: usize,
    ) -> Result<(), RouteProblem> {
        let Pattern { segments, parameters } = Pattern::parse(path)?;
        let new = Resource { target: Target::Methods(Vec::new()), parameters };
        let resource = if new.parameters.is_none() {
            self.literal.entry(path.as_bytes().into()).or_insert_with(|| Box::new(new))
        } else {
            self.root.insert_route(&segments, new)?
        };
        match &mut resource.target {
            Target::Methods(methods) if methods.iter().all(|(known, _)| *known != method) => {
                methods.push((method, handler));
                Ok(())
            }
            _ => Err(RouteProblem::Duplicate),
        }
    }

    /// Adds the handler number `handler` of a prefix: of all methods of the path and of the paths below it; if the
    /// prefix ends in a slash, only of those below it.
    pub(super) fn add_prefix(&mut self, path: &str, handler: usize) -> Result<(), RouteProblem> {
        let Pattern { mut segments, parameters } = Pattern::parse(path)?;
        let is_below = path.ends_with('/') && segments.pop().is_some();
        let node = self.root.descend(&segments)?;
        let prefix = if is_below { &mut node.below } else { &mut node.prefix };
        match prefix {
            Some(_) => Err(RouteProblem::Duplicate),
            None => {
                *prefix = Some(Box::new(Resource { target: Target::AnyMethod(handler), parameters }));
                Ok(())
            }
        }
    }

    /// Returns what is routed at a normalised path; `None` if no route matches. If several match, compares them from
    /// left to right: the first segment that differs decides. A literal segment comes before a parameter, that before a
    /// wildcard, and that before a prefix.
    pub(super) fn find(&self, path: &[u8]) -> Option<&Resource> {
        self.literal
            .get(path)
            .map(|resource| &**resource)
            .or_else(|| self.root.find(Some(path.strip_prefix(b"/")?)))
    }
}

impl Node {
    /// Returns the node of the path that continues with `segments`, and creates it if there is none.
    fn descend(&mut self, segments: &[PathSegment]) -> Result<&mut Node, RouteProblem> {
        let Some((segment, rest)) = segments.split_first() else { return Ok(self) };
        let next = match segment {
            PathSegment::Literal(text) => self.literals.entry(text.as_bytes().into()).or_default(),
            PathSegment::Parameter(name) => {
                let (known, node) = self.parameter.get_or_insert_with(|| (name.clone(), Box::default()));
                check_name(known, name)?;
                node
            }
            PathSegment::Wildcard(_) => return Err(RouteProblem::WildcardInPrefix),
        };
        next.descend(rest)
    }

    /// Returns the route of the path that continues with `segments`; `new` if there is none.
    fn insert_route(
        &mut self,
        segments: &[PathSegment],
        new: Resource,
    ) -> Result<&mut Resource, RouteProblem> {
        let Some((PathSegment::Wildcard(name), before)) = segments.split_last() else {
            return Ok(self.descend(segments)?.exact.get_or_insert_with(|| Box::new(new)));
        };
        let wildcard = &mut self.descend(before)?.wildcard;
        let (known, route) = &mut **wildcard.get_or_insert_with(|| Box::new((name.clone(), new)));
        check_name(known, name)?;
        Ok(route)
    }

    /// Finds the route of a path as [`Tree::find`] does. `rest` is what follows the slash after the segments of this
    /// node; `None` if no slash follows.
    fn find(&self, rest: Option<&[u8]>) -> Option<&Resource> {
        let Some(rest) = rest else { return self.exact.as_deref().or(self.prefix.as_deref()) };
        let (segment, after) = split_segment(rest);
        let literal = || self.literals.get(segment)?.find(after);
        let parameter = || self.parameter.as_ref().filter(|_| is_value(segment))?.1.find(after);
        let wildcard = || Some(&self.wildcard.as_deref().filter(|_| is_value(rest))?.1);
        literal().or_else(parameter).or_else(wildcard).or(self.below.as_deref()).or(self.prefix.as_deref())
    }
}

/// Fails if the same parameter has the other name `known` in an earlier route.
fn check_name(known: &str, name: &str) -> Result<(), RouteProblem> {
    if known == name {
        Ok(())
    } else {
        Err(RouteProblem::OtherName { name: name.into(), known: known.into() })
    }
}

/// Returns whether a parameter can have this value.
fn is_value(bytes: &[u8]) -> bool {
    !bytes.is_empty() && str::from_utf8(bytes).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// How precisely a route matches each segment of a path, from left to right; `None` if it does not match. This is
    /// the rule of [`Tree::find`] without a tree.
    fn precision(route: &str, is_prefix: bool, path: &[u8]) -> Option<Vec<u8>> {
        let mut precision = Vec::new();
        let segments: Vec<&[u8]> = path.split(|&byte| byte == b'/').skip(1).collect();
        let mut patterns: Vec<&str> = route.split('/').skip(1).collect();
        let is_below = is_prefix && patterns.last() == Some(&"") && patterns.pop().is_some();
        for (at, pattern) in patterns.iter().enumerate() {
            let segment = segments.get(at)?;
            let is_text = |value: &[u8]| !value.is_empty() && str::from_utf8(value).is_ok();
            if pattern.starts_with("{*") {
                precision.push(3);
                return is_text(&segments[at..].join(&b'/')).then_some(precision);
            }
            precision.push(if pattern.starts_with('{') { 4 } else { 5 });
            let matches =
                if pattern.starts_with('{') { is_text(segment) } else { pattern.as_bytes() == *segment };
            if !matches {
                return None;
            }
        }
        let is_longer = segments.len() > patterns.len();
        match (is_prefix, is_below) {
            (false, _) => precision.push(6),
            (true, true) => precision.push(2),
            (true, false) => precision.push(1),
        }
        (if is_below { is_longer } else { is_prefix || !is_longer }).then_some(precision)
    }

    /// Paths of routes: a name for each place, so that the names never contradict each other.
    fn route() -> impl Strategy<Value = (String, bool)> {
        let segments = prop::collection::vec(prop_oneof![2 => "[ab]", 2 => Just("{".to_owned())], 0..4);
        (segments, prop_oneof!["", "/", Just("/{*rest}".to_owned())], any::<bool>()).prop_map(
            |(segments, end, is_prefix)| {
                let name = |(at, segment): (usize, &String)| match segment.as_str() {
                    "{" => format!("/{{p{at}}}"),
                    text => format!("/{text}"),
                };
                let path: String = segments.iter().enumerate().map(name).collect();
                let end = if path.is_empty() && end.is_empty() { "/" } else { &end };
                (path + end, is_prefix)
            },
        )
    }

    fn request_path() -> impl Strategy<Value = Vec<u8>> {
        let segment = prop_oneof![4 => Just(&b"/a"[..]), 4 => Just(&b"/b"[..]), 2 => Just(&b"/c"[..]), 1 => Just(&b"/\xff"[..])];
        (prop::collection::vec(segment, 0..5), any::<bool>()).prop_map(|(segments, ends_in_slash)| {
            let path = segments.concat();
            if path.is_empty() || ends_in_slash { [&path[..], b"/"].concat() } else { path }
        })
    }

    proptest! {
        #[test]
        fn finds_the_route_that_a_scan_of_all_routes_finds(
            routes in prop::collection::vec(route(), 0..20),
            paths in prop::collection::vec(request_path(), 1..20),
        ) {
            let mut tree = Tree::default();
            let mut added = Vec::<(usize, &str, bool)>::new();
            for (number, (path, is_prefix)) in routes.iter().enumerate() {
                let result = if *is_prefix {
                    tree.add_prefix(path, number)
                } else {
                    tree.add_route(Method::Get, path, number)
                };
                let is_new = !added.iter().any(|known| (known.1, known.2) == (path, *is_prefix));
                let expected = match (*is_prefix && path.ends_with("{*rest}"), is_new) {
                    (true, _) => Err(RouteProblem::WildcardInPrefix),
                    (false, false) => Err(RouteProblem::Duplicate),
                    (false, true) => Ok(()),
                };
                prop_assert_eq!(&result, &expected, "{} {}", path, is_prefix);
                if result.is_ok() {
                    added.push((number, path, *is_prefix));
                }
            }
            for path in paths {
                let matching = added.iter().filter_map(|(number, route, is_prefix)| {
                    Some((precision(route, *is_prefix, &path)?, *number))
                });
                let found = tree.find(&path).map(|resource| match &resource.target {
                    Target::AnyMethod(number) => *number,
                    Target::Methods(methods) => methods[0].1,
                });
                prop_assert_eq!(found, matching.max().map(|(_, number)| number), "{}", path.escape_ascii());
            }
        }
    }
}
