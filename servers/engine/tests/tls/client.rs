//! A client that speaks TLS, and the certificates of the tests.

use http_testing::{client::TIMEOUT, server::InProcessServer};
use rustls::{
    ClientConfig, ClientConnection, ConnectionTrafficSecrets, ContentType, ProtocolVersion, RootCertStore,
    StreamOwned, SupportedProtocolVersion,
    crypto::cipher::{MessageEncrypter, OutboundPlainMessage},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use std::{
    fmt,
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    path::PathBuf,
    sync::Arc,
};

/// The path of a file of the tests.
pub fn pem(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/tls/pem").join(name)
}

/// The first certificate in a file.
pub fn certificate(name: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(pem(name)).expect("a certificate")
}

/// What a client does.
#[derive(Clone)]
pub struct Options {
    pub name: &'static str,
    pub versions: &'static [&'static SupportedProtocolVersion],
    pub alpn: &'static [&'static str],
    /// Has a certificate.
    pub identity: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            name: "localhost",
            versions: rustls::ALL_VERSIONS,
            alpn: &["h2", "http/1.1"],
            identity: false,
        }
    }
}

impl Options {
    pub fn config(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(certificate("ca.pem")).expect("an authority");
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls_graviola::default_provider()))
            .with_protocol_versions(self.versions)
            .expect("versions")
            .with_root_certificates(roots);
        let mut config = if self.identity {
            let chain = CertificateDer::pem_file_iter(pem("client.pem")).expect("a file");
            let key = PrivateKeyDer::from_pem_file(pem("client.key")).expect("a key");
            builder
                .with_client_auth_cert(chain.map(|der| der.expect("PEM")).collect(), key)
                .expect("an identity")
        } else {
            builder.with_no_client_auth()
        };
        config.enable_secret_extraction = true;
        config.alpn_protocols = self.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

/// A socket that sends `step` bytes at a time.
pub struct Socket {
    pub stream: TcpStream,
    pub step: usize,
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

impl Write for Socket {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.stream.write(&data[..data.len().min(self.step)])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A connection to a server. Every wait ends after [`TIMEOUT`].
pub struct Client {
    pub tls: StreamOwned<ClientConnection, Socket>,
}

/// A response: its status, and its body.
#[derive(PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub body: Vec<u8>,
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.body.get(..200).unwrap_or(&self.body).escape_ascii())
    }
}

/// Opens a TCP connection to the server.
pub fn connect(server: &InProcessServer) -> TcpStream {
    let stream = TcpStream::connect(server.address).expect("a connection");
    stream.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
    stream.set_write_timeout(Some(TIMEOUT)).expect("a timeout");
    stream.set_nodelay(true).expect("no delay");
    stream
}

impl Client {
    pub fn new(server: &InProcessServer, name: &'static str, config: &Arc<ClientConfig>) -> Client {
        let name = ServerName::try_from(name).expect("a name");
        let tls = ClientConnection::new(Arc::clone(config), name).expect("a client");
        Client { tls: StreamOwned::new(tls, Socket { stream: connect(server), step: usize::MAX }) }
    }

    pub fn connect(server: &InProcessServer) -> Client {
        Client::with(server, &Options::default())
    }

    pub fn with(server: &InProcessServer, options: &Options) -> Client {
        Client::new(server, options.name, &options.config())
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.tls.write_all(bytes.as_ref()).expect("the server receives");
        self.tls.flush().expect("the server receives");
    }

    /// Reads one response with a Content-Length.
    pub fn response(&mut self) -> Response {
        self.try_response().expect("a response")
    }

    pub fn try_response(&mut self) -> io::Result<Response> {
        let head = self.head()?;
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).expect("a length");
        let mut body = vec![0; length.parse().expect("a number")];
        self.tls.read_exact(&mut body)?;
        Ok(Response { status: head[9..12].parse().expect("a status"), body })
    }

    /// Reads the head of a response.
    pub fn head(&mut self) -> io::Result<String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.tls.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        Ok(String::from_utf8(head).expect("text"))
    }

    pub fn get(&mut self, target: &str) -> Response {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        self.response()
    }

    pub fn text(&mut self, target: &str) -> String {
        let response = self.get(target);
        assert_eq!(response.status, 200, "{response:?}");
        String::from_utf8(response.body).expect("text")
    }

    /// The error that ends the handshake, or the first request.
    pub fn rejection(mut self) -> String {
        let sent = self.tls.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        sent.and_then(|()| self.try_response()).expect_err("a rejection").to_string()
    }

    /// What the server has sent until its end, which it announces.
    pub fn end(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.tls.read_to_end(&mut rest).map(|_| rest)
    }

    /// Announces the end of what the client sends.
    pub fn close_notify(&mut self) {
        self.tls.conn.send_close_notify();
        self.tls.flush().expect("the server receives");
    }

    /// Ends what the client sends, without announcing it.
    pub fn truncate(&mut self) {
        self.tls.sock.stream.shutdown(Shutdown::Write).expect("an open socket");
    }

    pub fn server_certificate(&self) -> CertificateDer<'_> {
        self.tls.conn.peer_certificates().expect("certificates")[0].clone()
    }

    pub fn version(&self) -> Option<ProtocolVersion> {
        self.tls.conn.protocol_version()
    }

    pub fn is_resumed(&self) -> bool {
        self.tls.conn.handshake_kind() == Some(rustls::HandshakeKind::Resumed)
    }
}

/// A connection whose handshake is complete, and whose client encrypts what it likes.
pub struct Records {
    pub stream: TcpStream,
    encrypter: Box<dyn MessageEncrypter>,
    sequence: u64,
}

impl Records {
    /// Takes over the connection of a client with TLS 1.3.
    pub fn new(client: Client) -> Records {
        let (conn, socket) = client.tls.into_parts();
        let suite = conn.negotiated_cipher_suite().and_then(|suite| suite.tls13()).expect("TLS 1.3");
        let (sequence, secrets) = conn.dangerous_extract_secrets().expect("secrets").tx;
        let (ConnectionTrafficSecrets::Aes128Gcm { key, iv }
        | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
        | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv }) = secrets
        else {
            panic!("an unknown cipher")
        };
        Records { stream: socket.stream, encrypter: suite.aead_alg.encrypter(key, iv), sequence }
    }

    /// Sends a record.
    pub fn send(&mut self, typ: ContentType, payload: &[u8]) -> io::Result<()> {
        let message =
            OutboundPlainMessage { typ, version: ProtocolVersion::TLSv1_2, payload: payload.into() };
        let record = self.encrypter.encrypt(message, self.sequence).expect("a record");
        self.sequence += 1;
        self.stream.write_all(&record.encode())
    }
}
