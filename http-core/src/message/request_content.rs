//! What a request says about its content, and the forms in it.

use super::request::Request;
use crate::{
    codec::framing::BodyLength,
    semantics::{
        form::{self, FormError},
        media_type::MediaType,
        multipart::{self, Boundary, MultipartError, Part},
    },
};
use std::borrow::Cow;

impl<'b> Request<'b> {
    /// Returns the media type of the content (RFC 9110 §8.3); `None` if `Content-Type` is missing, malformed or
    /// repeated.
    ///
    /// ```
    /// # use http_core::{Request, Status};
    /// fn save(request: &Request<'_>) -> Status {
    ///     let is_json = request.content_type().is_some_and(|media_type| media_type.is("application/json"));
    ///     if is_json { Status::NO_CONTENT } else { Status::UNSUPPORTED_MEDIA_TYPE }
    /// }
    /// ```
    pub fn content_type(&self) -> Option<MediaType<'b>> {
        let mut values = self.header_values("Content-Type");
        let value = values.next()?;
        values.next().is_none().then(|| MediaType::parse(value))?
    }

    /// Returns the length of the content in bytes, as `Content-Length` declares it (RFC 9110 §8.6): 0 if the request
    /// has no content, `None` if it comes in chunks. It is known before the content is received.
    ///
    /// ```
    /// # use http_core::{Admit, Request};
    /// /// Takes short content as a whole, and other content piece by piece.
    /// fn admit(head: &Request<'_>) -> Admit {
    ///     match head.content_length() {
    ///         Some(0..100_000) => Admit::Buffer,
    ///         _ => Admit::AtHead,
    ///     }
    /// }
    /// ```
    pub fn content_length(&self) -> Option<u64> {
        match self.framing.body {
            BodyLength::Exact(length) => Some(length),
            BodyLength::Chunked | BodyLength::UntilClose => None,
        }
    }

    /// Returns the decoded names and values of the form in the body, in order, as [`form::pairs`](crate::form::pairs)
    /// does.
    ///
    /// # Errors
    ///
    /// [`FormError::Type`] if the content is not of the type `application/x-www-form-urlencoded`. As a reply, it
    /// becomes 415.
    ///
    /// ```
    /// use http_core::{Request, form::FormError};
    ///
    /// fn save(request: &Request<'_>) -> Result<String, FormError> {
    ///     let city = request.form()?.find(|(name, _)| name == "city");
    ///     Ok(city.map_or("no city".to_owned(), |(_, city)| format!("saved {city}")))
    /// }
    /// ```
    pub fn form(&self) -> Result<impl Iterator<Item = (Cow<'b, str>, Cow<'b, str>)> + use<'b>, FormError> {
        let is_form = self.content_type().is_some_and(|media_type| media_type.is(form::MEDIA_TYPE));
        if is_form { Ok(form::pairs(self.body)) } else { Err(FormError::Type) }
    }

    /// Returns the fields and files of the form in the body, as [`multipart::parts`](crate::multipart::parts) does. The
    /// whole form is in memory.
    ///
    /// # Errors
    ///
    /// [`MultipartError::Type`] if the content is not of the type `multipart/form-data`, and
    /// [`MultipartError::Boundary`] if the type has no valid boundary. Any other error is an item of the iterator. As a
    /// reply, `Type` becomes 415, any other error 400.
    ///
    /// ```
    /// use http_core::{Request, multipart::MultipartError};
    ///
    /// fn upload(request: &Request<'_>) -> Result<String, MultipartError> {
    ///     let mut sizes = String::new();
    ///     for part in request.multipart()? {
    ///         let part = part?;
    ///         sizes += &format!("{}: {} bytes\n", part.name, part.content.len());
    ///     }
    ///     Ok(sizes)
    /// }
    /// ```
    pub fn multipart(
        &self,
    ) -> Result<impl Iterator<Item = Result<Part<'b>, MultipartError>> + use<'b>, MultipartError> {
        Ok(multipart::parts(self.body, self.multipart_boundary()?))
    }

    /// Returns the boundary of the form in the body, for a [`multipart::Reader`](crate::multipart::Reader) that reads
    /// the form while it arrives.
    ///
    /// # Errors
    ///
    /// [`MultipartError::Type`] if the content is not of the type `multipart/form-data`, and
    /// [`MultipartError::Boundary`] if the type has no valid boundary. As a reply, `Type` becomes 415, and
    /// `Boundary` 400.
    pub fn multipart_boundary(&self) -> Result<Boundary, MultipartError> {
        Boundary::of(&self.content_type().ok_or(MultipartError::Type)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::ReceivedRequest;
    use std::time::Instant;

    /// `expected` is what [`Request::form`] and [`Request::multipart`] return for content with these headers: the
    /// number of pairs and of parts.
    fn check(
        headers: &str,
        content: &str,
        media_type: Option<&str>,
        expected: (Result<usize, FormError>, Result<usize, MultipartError>),
    ) {
        let length = content.len();
        let bytes = format!("POST / HTTP/1.0\r\nContent-Length: {length}\r\n{headers}\r\n{content}");
        let received = ReceivedRequest::new(bytes.as_bytes(), Instant::now()).expect("a request");
        let request = received.as_request();
        let essence =
            request.content_type().map(|found| format!("{}/{}", found.top_level(), found.subtype()));
        assert_eq!(essence.as_deref(), media_type, "{headers}");
        let parts = request.multipart().and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let read = (request.form().map(Iterator::count), parts.map(|parts| parts.len()));
        assert_eq!(read, expected, "{headers}");
    }

    #[test]
    fn reads_forms_only_from_content_of_their_type() {
        let (form, multipart) = (Err(FormError::Type), Err(MultipartError::Type));
        let urlencoded = "Content-Type: application/x-www-form-urlencoded";
        check("", "a=b", None, (form, multipart));
        check("Content-Type: text/plain\r\n", "a=b", Some("text/plain"), (form, multipart));
        check("Content-Type: text\r\n", "a=b", None, (form, multipart));
        let media_type = Some("application/x-www-form-urlencoded");
        check(&format!("{urlencoded}; charset=utf-8\r\n"), "a=b&c", media_type, (Ok(2), multipart));
        check(&format!("{urlencoded}\r\n{urlencoded}\r\n"), "a=b", None, (form, multipart));
        let parts = "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n--x--\r\n";
        let media_type = Some("multipart/form-data");
        check("Content-Type: multipart/form-data; boundary=x\r\n", parts, media_type, (form, Ok(1)));
        check(
            "Content-Type: multipart/form-data\r\n",
            parts,
            media_type,
            (form, Err(MultipartError::Boundary)),
        );
        check(
            "Content-Type: multipart/form-data; boundary=y\r\n",
            parts,
            media_type,
            (form, Err(MultipartError::Start)),
        );
    }

    #[test]
    fn the_length_is_what_the_client_declares() {
        for (rest, expected) in [
            ("\r\n", Some(0)),
            ("Content-Length: 2\r\n\r\nab", Some(2)),
            ("Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", None),
        ] {
            let bytes = format!("POST / HTTP/1.1\r\nHost: a\r\n{rest}");
            let received = ReceivedRequest::new(bytes.as_bytes(), Instant::now()).expect("a request");
            assert_eq!(received.as_request().content_length(), expected, "{rest}");
        }
    }
}
