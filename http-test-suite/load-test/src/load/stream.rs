//! The stream of bytes of a connection: TCP, or TLS over TCP. It never blocks.
//!
//! A read that does not fill the buffer has emptied the socket, with TLS too.
//!
//! The client of TLS offers what every server should have (RFC 8446 §9.1), and only that, so that all servers do the
//! same cryptography. It resumes no session, and verifies no certificate: it tests servers, and has no secrets.

use std::io::{self, BufReader, ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, ClientConnection, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::TLS13;
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use rustls_graviola::{kx::X25519, suites::TLS13_AES_128_GCM_SHA256};

/// How many bytes one `recv` can receive on a TLS connection.
const RECEIVE_BYTES: usize = 64 * 1024;

/// A stream of bytes to the server.
pub(crate) enum Stream {
    /// The bytes are those on the wire.
    Tcp(TcpStream),
    /// The bytes are encrypted.
    Tls(Box<TlsStream>),
}

impl Stream {
    /// A stream on this TCP connection, which may not be established yet; with TLS if there is a connector.
    ///
    /// # Errors
    ///
    /// If there is no randomness.
    pub(crate) fn new(tcp: TcpStream, connector: Option<&TlsConnector>) -> io::Result<Stream> {
        Ok(match connector {
            None => Stream::Tcp(tcp),
            Some(connector) => Stream::Tls(Box::new(connector.connect(tcp)?)),
        })
    }

    /// Ends the sending side: with TLS, also with close_notify. If the socket would block, call it again.
    ///
    /// # Errors
    ///
    /// If the socket would block, or the connection was reset.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        if let Stream::Tls(tls) = self {
            tls.session.send_close_notify();
            tls.flush()?;
        }
        self.tcp().shutdown(Shutdown::Write)
    }

    /// The TCP connection.
    pub(crate) fn tcp(&mut self) -> &mut TcpStream {
        match self {
            Stream::Tcp(tcp) => tcp,
            Stream::Tls(tls) => tls.socket.get_mut(),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(tcp) => tcp.read(buffer),
            Stream::Tls(tls) => tls.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(tcp) => tcp.write(bytes),
            Stream::Tls(tls) => tls.write(bytes),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Stream::Tcp(tcp) => tcp.write_vectored(slices),
            Stream::Tls(tls) => tls.write_vectored(slices),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Tcp(_) => Ok(()),
            Stream::Tls(tls) => tls.flush(),
        }
    }
}

/// Makes TLS connections to one server.
pub(crate) struct TlsConnector {
    /// The settings of all connections.
    config: Arc<ClientConfig>,
    /// The name of the server, which the client sends unless it is an address.
    name: ServerName<'static>,
}

impl TlsConnector {
    /// Makes a connector to the server with this name.
    ///
    /// # Errors
    ///
    /// If it is neither a name nor an address, or the processor lacks what the cryptography needs.
    pub(crate) fn new(name: &str) -> io::Result<TlsConnector> {
        if !graviola::util::is_cpu_supported() {
            return Err(io::Error::new(ErrorKind::Unsupported, "the processor lacks instructions for TLS"));
        }
        let provider = CryptoProvider {
            cipher_suites: vec![TLS13_AES_128_GCM_SHA256],
            kx_groups: vec![&X25519],
            ..rustls_graviola::default_provider()
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(provider));
        let builder = builder.with_protocol_versions(&[&TLS13]).map_err(io::Error::other)?;
        let verifier = Arc::new(AnyCertificate);
        let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        config.resumption = Resumption::disabled();
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        Ok(TlsConnector { config: Arc::new(config), name })
    }

    /// Starts a session on a TCP connection.
    fn connect(&self, tcp: TcpStream) -> io::Result<TlsStream> {
        let session = ClientConnection::new(Arc::clone(&self.config), self.name.clone());
        let socket = BufReader::with_capacity(RECEIVE_BYTES, tcp);
        Ok(TlsStream { session: session.map_err(io::Error::other)?, socket })
    }
}

/// A TLS connection.
pub(crate) struct TlsStream {
    /// Encrypts and decrypts.
    session: ClientConnection,
    /// The TCP connection, with received bytes that the session has not taken: it takes 4 KiB at once.
    socket: BufReader<TcpStream>,
}

impl TlsStream {
    /// Takes received bytes, and decrypts the complete records. Returns 0 at the end of the TCP stream.
    fn receive(&mut self) -> io::Result<usize> {
        let count = self.session.read_tls(&mut self.socket)?;
        let invalid = |error| io::Error::new(ErrorKind::InvalidData, error);
        self.session.process_new_packets().map_err(invalid)?;
        Ok(count)
    }

    /// Reads decrypted bytes, at least one unless the server has ended the stream (close_notify). Without that, the end
    /// of the TCP stream is an error.
    fn read_some(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                result => return result,
            }
            self.receive()?;
        }
    }
}

impl Read for TlsStream {
    /// Reads until the buffer is full or the socket would block.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut len = 0;
        while len < buffer.len() {
            match self.read_some(&mut buffer[len..]) {
                Ok(0) => break,
                Ok(count) => len += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // The next read returns the error, or the end that follows it.
                Err(_) if len > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(len)
    }
}

impl Write for TlsStream {
    /// Encrypts bytes and sends them, as far as the socket takes them. Does the handshake first.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.flush()?;
        while self.session.is_handshaking() {
            if self.receive()? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            self.flush()?;
        }
        let count = self.session.writer().write(bytes)?;
        match self.flush() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(count),
        }
    }

    /// Sends what is encrypted, until it is sent or the socket would block.
    fn flush(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            self.session.write_tls(self.socket.get_mut())?;
        }
        Ok(())
    }
}

/// Accepts every certificate and every signature.
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        use SignatureScheme::{ECDSA_NISTP256_SHA256, ED25519, RSA_PSS_SHA256};
        vec![ECDSA_NISTP256_SHA256, ED25519, RSA_PSS_SHA256]
    }
}
