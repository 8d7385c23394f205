//! Asks for a page as a browser does.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// A page at an address.
pub(crate) struct Page(SocketAddr);

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn read(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        // The other end may close with an error once it has answered.
        let _ = stream.read_to_end(&mut bytes);
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer has a head");
        let head = String::from_utf8(bytes[..end].to_vec()).expect("a head is text");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("an answer has a status");
        Self { status, head, body: bytes.split_off(end + 4) }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

impl Page {
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self(address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0
    }

    pub(crate) fn host(&self) -> String {
        self.0.to_string()
    }

    /// Sends some bytes and reads the answer.
    pub(crate) fn exchange(&self, bytes: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.0).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        // It may have answered before all was sent.
        let _ = stream.write_all(bytes);
        Answer::read(&mut stream)
    }

    pub(crate) fn raw(&self, method: &str, path: &str, body: &[u8], headers: &[&str]) -> Answer {
        let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        let mut bytes =
            format!("{method} {path} HTTP/1.1\r\n{lines}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
        bytes.extend_from_slice(body);
        self.exchange(&bytes)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.raw("GET", path, b"", &[&format!("Host: {}", self.0)])
    }

    pub(crate) fn post(&self, path: &str, body: &[u8], headers: &[&str]) -> Answer {
        let [host, origin] = [format!("Host: {}", self.0), format!("Origin: http://{}", self.0)];
        let all: Vec<&str> = [host.as_str(), &origin].into_iter().chain(headers.iter().copied()).collect();
        self.raw("POST", path, body, &all)
    }

    /// The secret in the form of the page.
    pub(crate) fn secret(&self) -> String {
        let text = self.get("/").text();
        let (_, rest) = text.split_once("data-secret=\"").expect("the page has a form");
        rest.split('"').next().unwrap_or_default().to_owned()
    }

    pub(crate) fn upload(&self, film: &[u8], exam: &str) -> Answer {
        let exam: String = exam.bytes().map(|byte| format!("%{byte:02x}")).collect();
        self.post(&format!("/films?exam={exam}"), film, &[&format!("X-Pumua-Secret: {}", self.secret())])
    }

    /// Sends a film, which is kept.
    pub(crate) fn send(&self, film: &[u8], exam: &str) -> u64 {
        let answer = self.upload(film, exam);
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["number"].as_u64().unwrap()
    }

    /// The page of a film, once it has an answer.
    pub(crate) fn judged(&self, number: u64) -> String {
        let start = Instant::now();
        loop {
            let text = self.get(&format!("/film/{number}")).text();
            if text.contains("data-waiting=\"0\"") {
                return text;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "{text}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}
