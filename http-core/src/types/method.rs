//! Request methods (RFC 9110 §9, RFC 5789).

macro_rules! methods {
    ($($(#[$doc:meta])* $variant:ident $token:literal)*) => {
        /// A request method. Names are case-sensitive.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Method {
            $($(#[$doc])* $variant,)*
            /// Any other token; [`Request::method_token`](crate::Request::method_token) has its name.
            /// What does not know it answers 501.
            Extension,
        }

        impl Method {
            /// The method that `token` names.
            #[inline]
            pub fn of(token: &[u8]) -> Method {
                $(if token == $token.as_bytes() { return Method::$variant; })*
                Method::Extension
            }

            /// The method's name on the wire; empty for [`Method::Extension`].
            pub const fn as_str(self) -> &'static str {
                match self { $(Method::$variant => $token,)* Method::Extension => "" }
            }
        }
    };
}

methods! {
    /// Transfer a representation of the target (§9.3.1).
    Get "GET"
    /// As GET, without the content (§9.3.2).
    Head "HEAD"
    /// Let the target process the content (§9.3.3).
    Post "POST"
    /// Replace the target's state by the content (§9.3.4).
    Put "PUT"
    /// Remove the target (§9.3.5).
    Delete "DELETE"
    /// Open a tunnel (§9.3.6).
    Connect "CONNECT"
    /// Ask what the target supports (§9.3.7).
    Options "OPTIONS"
    /// Send the request back (§9.3.8).
    Trace "TRACE"
    /// Change part of the target's state (RFC 5789).
    Patch "PATCH"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_case_sensitive() {
        assert_eq!(Method::of(b"GET"), Method::Get);
        assert_eq!(Method::of(b"get"), Method::Extension);
        assert_eq!(Method::of(b"PROPFIND"), Method::Extension);
        assert_eq!(Method::of(Method::Patch.as_str().as_bytes()), Method::Patch);
    }
}
