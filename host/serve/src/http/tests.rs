use super::*;

fn read(text: &str) -> Result<Request, Wrong> {
    read_head(&mut text.as_bytes()).map(|(request, _)| request)
}

/// Gives a byte at a time.
struct Drops<'a>(&'a [u8]);

impl Read for Drops<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
        buffer[0] = *first;
        self.0 = rest;
        Ok(1)
    }
}

#[test]
fn a_request_is_read_however_it_is_cut() {
    let text = "POST /film/7/clinician?lang=sw&q=a%20b+c HTTP/1.1\r\nHost: x:1\r\nContent-Length: 3\r\nCookie: a=1; b=2\r\n\r\nxyz";
    for request in [read(text), read_head(&mut Drops(text.as_bytes())).map(|(request, _)| request)] {
        let request = request.unwrap();
        assert_eq!((request.method, request.length), (Method::Post, 3));
        assert_eq!(request.path, ["film", "7", "clinician"]);
        assert_eq!((request.query.get("lang"), request.query.get("q"), request.query.get("z")), ("sw", "a b c", ""));
        assert_eq!((request.cookie("b"), request.cookie("c"), request.header("host")), (Some("2"), None, Some("x:1")));
    }
    assert_eq!(read_head(&mut text.as_bytes()).unwrap().1, b"xyz");
}

#[test]
fn what_can_be_read_in_two_ways_is_not_read() {
    let of = |headers: &str| read(&format!("POST / HTTP/1.1\r\n{headers}\r\n")).err();
    assert_eq!(of("Host: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n"), Some(Wrong::Malformed));
    assert_eq!(of("Host: x\r\nContent-Length: +3\r\n"), Some(Wrong::Malformed));
    assert_eq!(of("Host: x\r\nContent-Length: 99999999999999999999\r\n"), Some(Wrong::Malformed));
    assert_eq!(of("Host: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n"), Some(Wrong::NoLength));
    assert_eq!(of("Host: x\r\n"), Some(Wrong::NoLength));
    assert_eq!(of("Content-Length: 3\r\n"), Some(Wrong::Malformed));
    assert_eq!(of("Host: x\r\nHost: y\r\nContent-Length: 3\r\n"), Some(Wrong::Malformed));
    assert_eq!(of("Host: x\r\nContent-Length : 3\r\n"), Some(Wrong::Malformed));
    assert_eq!(of("Host: x\r\nX: \u{1}\r\nContent-Length: 3\r\n"), Some(Wrong::Malformed));
    assert_eq!(read("GET http://evil/ HTTP/1.1\r\nHost: x\r\n\r\n").err(), Some(Wrong::Malformed));
    assert_eq!(read("GET / HTTP/2.0\r\nHost: x\r\n\r\n").err(), Some(Wrong::Version));
    assert_eq!(read("hello\r\n\r\n").err(), Some(Wrong::Malformed));
    assert_eq!(read("GET / HTTP/1.1\r\nHost: x\r\n").err(), Some(Wrong::Malformed));
    assert_eq!(read("").err(), Some(Wrong::Gone));
}

#[test]
fn a_head_has_limits() {
    let long = "x".repeat(MAX_HEAD);
    assert_eq!(read(&format!("GET / HTTP/1.1\r\nHost: x\r\nX: {long}\r\n\r\n")).err(), Some(Wrong::LargeHead));
    assert_eq!(read(&long).err(), Some(Wrong::LargeHead));
    let target = "x".repeat(MAX_TARGET);
    assert_eq!(read(&format!("GET /{target} HTTP/1.1\r\nHost: x\r\n\r\n")).err(), Some(Wrong::LargeHead));
    let many = "X: y\r\n".repeat(MAX_HEADERS);
    assert_eq!(read(&format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n")).err(), Some(Wrong::LargeHead));
    // An endless one is not read to its end.
    assert_eq!(read_head(&mut io::repeat(b'a')).err(), Some(Wrong::LargeHead));
}

#[test]
fn paths_are_parted_before_they_are_unescaped() {
    let path = |target: &str| read(&format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")).unwrap().path;
    assert_eq!(path("/film/..%2f..%2fetc"), ["film", "../../etc"]);
    assert_eq!(path("//a//"), ["a"]);
    assert_eq!(path("/%zz%4"), ["%zz%4"]);
    assert_eq!(path("/%ff"), ["\u{fffd}"]);
}

#[test]
fn a_body_that_breaks_off_is_an_error() {
    let mut all = Vec::new();
    Body::new(&b"abcdef"[..], 3).read_to_end(&mut all).unwrap();
    assert_eq!(all, b"abc");
    assert_eq!(Body::new(&b"ab"[..], 3).read_to_end(&mut all).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn every_answer_is_kept_nowhere_and_fetches_nothing() {
    let mut out = Vec::new();
    Response::words(404, "no").with("Retry-After", "1".to_owned()).write(&mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(
        text.starts_with("HTTP/1.1 404 Not Found\r\n") && text.ends_with("Content-Length: 3\r\n\r\nno\n"),
        "{text}"
    );
    for line in ["Cache-Control: no-store", "default-src 'none'", "Connection: close", "Retry-After: 1\r\n"] {
        assert!(text.contains(line), "{line}");
    }
}
