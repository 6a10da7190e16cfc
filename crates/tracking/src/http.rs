//! Requests of sinks that talk to a server.

use crate::{Fault, Pace, SettingsError};
use base64::Engine;
use base64::prelude::{
    BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD,
};
use reqwest::blocking::{Client, RequestBuilder};
use reqwest::header::RETRY_AFTER;
use reqwest::redirect::Policy;
use reqwest::{StatusCode, Url};
use std::io::Read;
use std::time::{Duration, Instant, SystemTime};

/// Longest answer that is read.
const LONGEST_ANSWER: u64 = 16 << 20;

/// Clients for one server: a secret reaches no other host.
#[derive(Debug)]
pub(crate) struct Http {
    proxied: Client,
    /// Past any proxy, for what is on this machine: a proxy elsewhere would be shown the secret.
    direct: Client,
    /// What errors call the server.
    server: String,
    /// Longest time of a request, but for what its body needs.
    timeout: Duration,
}

/// Bytes a second that a slow line takes.
const SLOW_LINE: f64 = 20_000.0;

/// Longest text of a server that is shown.
const LONGEST_SAID: usize = 300;

/// An answer, whatever it says.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// How long the server asks to be left alone.
    pub(crate) wait: Option<Duration>,
    pub(crate) text: String,
}

impl Answer {
    /// Whether the same request may succeed later.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self.status.as_u16(), 408 | 425 | 429 | 500..=599)
    }
}

impl Http {
    pub(crate) fn new(server: &str, pace: Pace) -> Result<Self, SettingsError> {
        // A second provider in the process would make this fail, and then that one serves.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = || {
            Client::builder()
                .connect_timeout(pace.timeout.min(Duration::from_secs(10)))
                .timeout(pace.timeout)
                // The secret goes to the host that it was given for, and to no other.
                .redirect(Policy::none())
                .user_agent(concat!("actlab/", env!("CARGO_PKG_VERSION")))
        };
        let failed = |error| SettingsError::Client(chain(&error));
        Ok(Self {
            proxied: builder().build().map_err(failed)?,
            direct: builder().no_proxy().build().map_err(failed)?,
            server: server.to_owned(),
            timeout: pace.timeout,
        })
    }

    /// The client for what is sent to `url`.
    pub(crate) fn client(&self, url: &str) -> &Client {
        let here = Url::parse(url).is_ok_and(|url| is_loopback(&url));
        if here { &self.direct } else { &self.proxied }
    }

    /// The answer to `request` with a body of so many bytes.
    pub(crate) fn send_large(
        &self,
        request: RequestBuilder,
        bytes: usize,
    ) -> Result<Answer, Fault> {
        #[expect(clippy::cast_precision_loss, reason = "a time")]
        let body = Duration::from_secs_f64(bytes as f64 / SLOW_LINE);
        self.send_within(request.timeout(self.timeout + body), self.timeout + body)
    }

    /// The answer to `request`.
    pub(crate) fn send(&self, request: RequestBuilder) -> Result<Answer, Fault> {
        self.send_within(request, self.timeout)
    }

    fn send_within(&self, request: RequestBuilder, limit: Duration) -> Result<Answer, Fault> {
        let began = Instant::now();
        let response = request.send().map_err(|error| {
            let (never, unreachable) = (error.is_builder(), error.is_connect());
            let reason = chain(&error.without_url());
            match (never, unreachable) {
                // An address or a header that is none.
                (true, _) => Fault::Run(reason),
                (_, true) => Fault::Away { reason, wait: None },
                _ => Fault::later(reason),
            }
        })?;
        let status = response.status();
        let wait = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| retry_after(value.to_str().ok()?, SystemTime::now()));
        let mut bytes = Vec::new();
        let read = read_until(response.take(LONGEST_ANSWER), began + limit, &mut bytes);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        match read {
            Err(error) if status.is_success() => {
                Err(Fault::later(format!("{}: the answer breaks off: {error}", self.server)))
            }
            Ok(()) | Err(_) => Ok(Answer { status, wait, text }),
        }
    }
}

/// Adds what `from` gives before `end` to `bytes`: the client's own limit begins anew with each piece.
fn read_until(mut from: impl Read, end: Instant, bytes: &mut Vec<u8>) -> std::io::Result<()> {
    let mut buffer = [0; 1 << 13];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => bytes.extend_from_slice(&buffer[..n]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if Instant::now() >= end {
            return Err(std::io::Error::new(std::io::ErrorKind::TimedOut, "it comes too slowly"));
        }
    }
}

/// Whether an answer is a page for people, as those of networks that ask for a login.
pub(crate) fn is_page(text: &str) -> bool {
    let start: String = text.trim_start().chars().take(15).collect();
    let start = start.to_ascii_lowercase();
    start.starts_with("<!doctype") || start.starts_with("<html")
}

/// Every form in which a server may repeat a secret that it was sent, the longest first.
#[derive(Clone, Default)]
pub(crate) struct Hidden(Vec<String>);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hidden(…)")
    }
}

impl Hidden {
    /// The forms of `secrets`: of a key or password, and of the pair of name and password that a header carries.
    pub(crate) fn new(secrets: &[&str]) -> Self {
        let mut forms = Vec::new();
        for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
            forms.push((*secret).to_owned());
            for code in [
                &BASE64_STANDARD,
                &BASE64_STANDARD_NO_PAD,
                &BASE64_URL_SAFE,
                &BASE64_URL_SAFE_NO_PAD,
            ] {
                forms.push(code.encode(secret));
            }
        }
        for i in 0..forms.len() {
            let escaped = escape(&forms[i]);
            forms.push(lower_escapes(&escaped));
            forms.push(escaped.replace("%20", "+"));
            forms.push(escaped);
            // As a text in JSON.
            let quoted = serde_json::Value::from(forms[i].as_str()).to_string();
            forms.push(quoted.trim_start_matches('"').strip_suffix('"').unwrap_or("").to_owned());
        }
        forms.retain(|form| !form.is_empty());
        forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        forms.dedup();
        Self(forms)
    }

    fn hide(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, form| text.replace(form, "…"))
    }
}

/// An escaped text with `%2f` for `%2F`.
fn lower_escapes(escaped: &str) -> String {
    let mut parts = escaped.split('%');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (code, rest) = part.split_at(part.len().min(2));
        text.push('%');
        text += &code.to_ascii_lowercase();
        text += rest;
    }
    text
}

/// What a server says as it is shown: without secrets, on one line, and not longer than a line or two.
pub(crate) fn said(text: &str, secrets: &Hidden) -> String {
    let hidden = secrets.hide(text);
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let mut short: String = hidden.chars().take(LONGEST_SAID).map(plain).collect();
    if hidden.chars().count() > LONGEST_SAID {
        short.push('…');
    }
    short
}

/// Whether what goes to `url` stays on this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_end_matches('.');
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.ends_with(".localhost")
        || address
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback())
}

/// A name as a segment of a URL's path.
pub(crate) fn escape(name: &str) -> String {
    let mut text = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                text.push(char::from(byte));
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

/// The time of a `Retry-After` header: seconds, or a date.
fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let longest = Duration::from_secs(3600);
    let wait = match text.trim().parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = SystemTime::from(chrono::DateTime::parse_from_rfc2822(text.trim()).ok()?);
            date.duration_since(now).unwrap_or_default()
        }
    };
    Some(wait.min(longest))
}

/// An error with its causes, of which the first alone says little.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_short_and_without_the_secret() {
        let key = Hidden::new(&["abc"]);
        assert_eq!(said("invalid api key abc for you", &key), "invalid api key … for you");
        let none = Hidden::default();
        assert_eq!(said(&"x".repeat(1000), &none).chars().count(), LONGEST_SAID + 1);
        assert_eq!(said("plain", &Hidden::new(&[""])), "plain");
        assert!(is_page(" <!DOCTYPE html><title>login") && is_page("<HTML>") && !is_page("{}"));
    }

    /// Servers repeat headers in errors, and the code of a secret is as good as the secret.
    #[test]
    fn no_form_of_a_secret_is_shown() {
        // Its codes have all that differs between alphabets, and padding.
        let (password, pair) = ("a?>~ \"s+c/r=t", "ann:a?>~ \"s+c/r=t");
        let secrets = Hidden::new(&[password, pair]);
        let codes = [pair, password].into_iter().flat_map(|text| {
            [
                text.to_owned(),
                BASE64_STANDARD.encode(text),
                BASE64_STANDARD_NO_PAD.encode(text),
                BASE64_URL_SAFE.encode(text),
                BASE64_URL_SAFE_NO_PAD.encode(text),
            ]
        });
        for code in codes {
            let escaped = escape(&code);
            let json = serde_json::Value::from(code.as_str()).to_string();
            let json = json.trim_matches('"').to_owned();
            let forms = [escaped.replace("%20", "+"), lower_escapes(&escaped), escaped, json, code];
            for form in forms {
                let text = said(&format!("headers: Basic {form}, more"), &secrets);
                assert_eq!(text, "headers: Basic …, more", "{form}");
            }
        }
        assert!(!format!("{secrets:?}").contains("ann"));
        assert_eq!(lower_escapes("a%2B%3Db%"), "a%2b%3db%");
    }

    #[test]
    fn an_answer_that_comes_drop_by_drop_ends() {
        struct Drops;
        impl Read for Drops {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                buffer[0] = b'x';
                Ok(1)
            }
        }
        let mut bytes = Vec::new();
        let error = read_until(Drops, Instant::now(), &mut bytes).unwrap_err();
        assert_eq!((error.kind(), &bytes[..]), (std::io::ErrorKind::TimedOut, &b"x"[..]));
        let soon = Instant::now() + Duration::from_secs(60);
        read_until(&b"yz"[..], soon, &mut bytes).unwrap();
        assert_eq!(bytes, b"xyz");
    }

    #[test]
    fn waiting_times_are_seconds_or_dates() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_445_412_450);
        assert_eq!(retry_after("7", now), Some(Duration::from_secs(7)));
        let date = "Wed, 21 Oct 2015 07:28:00 GMT";
        assert_eq!(retry_after(date, now), Some(Duration::from_secs(30)));
        assert_eq!(retry_after("soon", now), None);
        assert_eq!(retry_after("999999999", now), Some(Duration::from_secs(3600)));
    }
}
