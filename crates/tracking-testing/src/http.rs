use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

/// A request of a client.
#[derive(Debug, Clone)]
pub struct Request {
    /// As in `POST`.
    pub method: String,
    /// As in `/graphql`.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// What it carries.
    pub body: Vec<u8>,
}

impl Request {
    /// The first header of this name, in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Whether it carries lines of a run.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        self.path.ends_with("/file_stream")
    }
}

pub(crate) struct Connection {
    reader: BufReader<TcpStream>,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream) -> Self {
        // A client that is gone must not hold a thread for ever.
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Self { reader: BufReader::new(stream) }
    }

    /// The next request; nothing where the client has closed.
    pub(crate) fn request(&mut self) -> Option<Request> {
        let first = self.line()?;
        let mut words = first.split(' ');
        let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':')?;
            headers.push((name.to_lowercase(), value.trim().to_owned()));
        }
        let mut request = Request { method, path, headers, body: Vec::new() };
        let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
        request.body = vec![0; length];
        self.reader.read_exact(&mut request.body).ok()?;
        Some(request)
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.reader.read_line(&mut line).ok()?;
        (read > 0).then(|| line.trim_end().to_owned())
    }

    pub(crate) fn answer(&mut self, code: u16, header: Option<(&str, String)>, body: &str) {
        let header = header.map(|(name, value)| format!("{name}: {value}\r\n")).unwrap_or_default();
        let text = format!(
            "HTTP/1.1 {code} As Planned\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{header}\r\n{body}",
            body.len()
        );
        // The client may be gone.
        let _ = self.reader.get_mut().write_all(text.as_bytes());
    }

    /// Half of an answer.
    pub(crate) fn broken_answer(&mut self, code: u16, body: &str) {
        let text = format!(
            "HTTP/1.1 {code} As Planned\r\nContent-Length: {}\r\n\r\n{body}",
            body.len() + 64
        );
        let _ = self.reader.get_mut().write_all(text.as_bytes());
        let _ = self.reader.get_mut().shutdown(Shutdown::Both);
    }
}
