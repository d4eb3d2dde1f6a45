use super::connection::MAX_HEAD_BYTES;
use super::*;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Instant;

/// Long enough for an answer on a machine that is busy otherwise.
const TIMEOUT: Duration = Duration::from_secs(1);

/// How failures say what was asked.
const ASKED: &str = "GET /ping?a=b";

fn settings() -> HealthSettings {
    HealthSettings {
        protocol: CheckProtocol::Http,
        host: None,
        body: None,
        proxy_header: None,
        period: TIMEOUT,
        path: "/ping?a=b".parse().unwrap(),
        timeout: TIMEOUT,
        port: None,
        status: "200-399".parse().unwrap(),
        rise: 2,
        fall: 3,
    }
}

fn probe(proxy_header: Option<ProxyHeader>) -> Probe {
    Probe::new(&HealthSettings { proxy_header, ..settings() })
}

/// Waits for what the probe finds out.
fn run(probe: &Probe, address: SocketAddr) -> Result<(), CheckFailure> {
    block_on(probe.run(address))
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// The head of a request, with what may come before it.
fn read_head(stream: &mut TcpStream) -> Vec<u8> {
    let mut head = Vec::new();
    // Version 2 of the PROXY protocol begins with an empty line, too.
    while head.len() <= 4 || !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    head
}

/// The result of a probe of a server that sends `answer` piece by piece, as long as it can,
/// and then keeps the connection open if `lingers`; and the request's head.
fn probe_against(
    host: &str,
    answer: impl Iterator<Item = &'static str> + Send + 'static,
    lingers: bool,
) -> (Result<(), CheckFailure>, String) {
    introduced_probe_against(None, host, answer, lingers)
}

fn introduced_probe_against(
    proxy_header: Option<ProxyHeader>,
    host: &str,
    answer: impl Iterator<Item = &'static str> + Send + 'static,
    lingers: bool,
) -> (Result<(), CheckFailure>, String) {
    let listener = TcpListener::bind((host, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let head = read_head(&mut stream);
        let mut whole = true;
        for piece in answer {
            whole = whole && stream.write_all(piece.as_bytes()).is_ok();
            if !whole {
                break;
            }
        }
        if whole && lingers {
            // Until the probe has closed.
            drop(stream.read(&mut [0]));
        }
        String::from_utf8(head).unwrap()
    });
    let started = Instant::now();
    let result = run(&probe(proxy_header), address);
    assert!(started.elapsed() < TIMEOUT + Duration::from_secs(1), "{:?}", started.elapsed());
    (result, server.join().unwrap().replace(&address.to_string(), "ADDRESS"))
}

fn result_of(answer: &'static str, lingers: bool) -> Result<(), String> {
    let (result, _) = probe_against("127.0.0.1", [answer].into_iter(), lingers);
    result.map_err(|failure| failure.to_string())
}

#[test]
fn the_request_says_who_asks_whom() {
    for host in ["127.0.0.1", "::1"] {
        let (result, head) =
            probe_against(host, ["HTTP/1.1 204 No Content\r\n\r\n"].into_iter(), true);
        assert_eq!(result, Ok(()));
        let head = head.to_ascii_lowercase();
        assert!(head.starts_with("get /ping?a=b http/1.1\r\n"), "{head}");
        assert_eq!(head.matches("\r\nhost:").count(), 1, "{head}");
        assert!(head.contains("\r\nhost: address\r\n"), "{head}");
        assert!(head.contains("\r\nuser-agent: stateless-load-balancer/"), "{head}");
        assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
    }
}

#[test]
fn a_proxy_header_goes_before_the_request() {
    for (header, bytes) in
        [(ProxyHeader::V1, "PROXY UNKNOWN\r\n"), (ProxyHeader::V2, "\r\n\r\n\0\r\nQUIT\n \0\0\0")]
    {
        let answer = ["HTTP/1.1 204 No Content\r\n\r\n"].into_iter();
        let (result, head) = introduced_probe_against(Some(header), "127.0.0.1", answer, true);
        assert_eq!(result, Ok(()));
        let request = head.strip_prefix(bytes).unwrap_or_else(|| panic!("{head:?}"));
        assert!(request.starts_with("GET /ping?a=b HTTP/1.1\r\n"), "{request:?}");
    }
}

#[test]
fn the_status_decides() {
    for (answer, expected) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Ok(())),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Ok(())),
        ("HTTP/1.0 200 OK\r\n\r\nok", Ok(())),
        ("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\nsome", Ok(())),
        ("HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n", Ok(())),
        ("HTTP/1.1 103 Early\r\nLink: a\r\n b\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", Ok(())),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", Ok(())),
        (
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            Err("status 404 (HEALTH_CHECK_PATH)"),
        ),
        ("HTTP/1.1 503 Busy\r\nContent-Length: 5\r\n\r\n", Err("status 503")),
        ("HTTP/1.1 407 Proxy\r\nContent-Length: 0\r\n\r\n", Err("status 407")),
    ] {
        let expected = expected.map_err(|flaw: &str| format!("{ASKED}: {flaw}"));
        assert_eq!(result_of(answer, true), expected, "{answer}");
    }
}

#[test]
fn what_does_not_come_is_told() {
    for (answer, expected) in [
        ("", "no answer, timed out after 1s"),
        ("HTTP/1.1 200 OK\r\n", "no whole head, timed out after 1s"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "status 200, but no body within 1 s"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1",
            "status 200, but no body within 1 s",
        ),
    ] {
        assert_eq!(result_of(answer, true), Err(format!("{ASKED}: {expected}")), "{answer:?}");
    }
}

#[test]
fn dripped_bytes_do_not_extend_the_timeout() {
    let drip = || {
        thread::sleep(Duration::from_millis(20));
        "x"
    };
    let head = std::iter::once("HTTP/1.1 200 OK\r\nX: ");
    let (result, _) = probe_against("127.0.0.1", head.chain(std::iter::repeat_with(drip)), false);
    assert_eq!(result.unwrap_err().flaw(), Some(&CheckFlaw::SlowHead(TIMEOUT)));
}

#[test]
fn what_is_no_http_or_has_no_end_is_a_failure() {
    for (answer, lingers, expected) in [
        (
            "SSH-2.0-OpenSSH_9\r\n\r\n",
            true,
            "not HTTP: it speaks SSH, begins with 'SSH-2.0-OpenSSH_9' (checks are plain HTTP/1.1: \
             HEALTH_CHECK_PORT)",
        ),
        ("-ERR unknown command\r\n", true, "not HTTP: begins with '-ERR'"),
        ("-ERR\r\n", false, "not HTTP: begins with '-ERR'"),
        ("HTTP/1.1 ok\r\n\r\n", true, "not valid HTTP: invalid response status"),
        ("", false, "connection closed before a whole answer"),
        ("HTTP/1.1 200 OK\r\n", false, "connection closed before a whole answer"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
            false,
            "connection closed before a whole answer",
        ),
    ] {
        assert_eq!(result_of(answer, lingers), Err(format!("{ASKED}: {expected}")), "{answer:?}");
    }
    let head = std::iter::once("HTTP/1.1 200 OK\r\n");
    let endless = head.chain(std::iter::repeat("X-Filler: 0123456789\r\n"));
    let (result, _) = probe_against("127.0.0.1", endless, false);
    assert_eq!(result.unwrap_err().to_string(), format!("{ASKED}: head over 16 KiB"));
}

#[test]
fn a_folded_line_of_the_head_passes() {
    // As nginx sends an add_header with a line break in its value, in one piece or in two.
    let folded =
        ["HTTP/1.1 200 OK\r\nX-Policy: a;\r\n", "  b;\r\n\tc\r\nContent-Length: 2\r\n\r\nok"];
    let (result, _) = probe_against("127.0.0.1", folded.into_iter(), true);
    assert_eq!(result, Ok(()));
    assert_eq!(
        result_of("HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n", true),
        Ok(())
    );
}

#[test]
fn a_head_may_have_16_kib_in_all() {
    for (bytes, expected) in
        [(MAX_HEAD_BYTES, None), (MAX_HEAD_BYTES + 1, Some("head over 16 KiB"))]
    {
        let head = "HTTP/1.1 204 No Content\r\nX: \r\n\r\n";
        let filler = "x".repeat(bytes - head.len());
        let answer = head.replace("X: ", &format!("X: {filler}")).leak();
        let expected = expected.map_or(Ok(()), |flaw| Err(format!("{ASKED}: {flaw}")));
        assert_eq!(result_of(answer, true), expected, "{bytes} bytes");
    }
}

/// How the connection ends for a server that answers with `answer`, then waits for the end.
fn end_for_the_server(answer: Vec<u8>) -> (Result<(), CheckFailure>, io::Result<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        read_head(&mut stream);
        stream.write_all(&answer)?;
        stream.read(&mut [0])
    });
    (run(&probe(None), address), server.join().unwrap())
}

#[test]
fn a_server_with_a_long_body_sees_no_reset() {
    for status in ["200 OK", "404 Not Found"] {
        for bytes in [1, 40_000, 100_000, 1 << 20] {
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {bytes}\r\n\r\n");
            let answer = [head.into_bytes(), vec![b'x'; bytes]].concat();
            let (result, end) = end_for_the_server(answer);
            assert_eq!(result.is_ok(), status == "200 OK", "{result:?}");
            assert_eq!(end.unwrap(), 0, "{status}, {bytes} bytes");
        }
    }
}

#[test]
fn a_body_without_an_end_holds_up_nobody_for_long() {
    let drip = || {
        thread::sleep(Duration::from_millis(10));
        "x"
    };
    let head = std::iter::once("HTTP/1.1 200 OK\r\n\r\n");
    let started = Instant::now();
    let (result, _) = probe_against("127.0.0.1", head.chain(std::iter::repeat_with(drip)), false);
    assert_eq!(result, Ok(()));
    assert!(started.elapsed() < TIMEOUT, "{:?}", started.elapsed());
    let bulk = std::iter::once("HTTP/1.1 200 OK\r\n\r\n").chain(std::iter::repeat("xxxxxxxx"));
    let (result, _) = probe_against("127.0.0.1", bulk, false);
    assert_eq!(result, Ok(()));
}

#[test]
fn a_refused_connection_is_called_that() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let failure = run(&probe(None), address).unwrap_err();
    assert_eq!(failure.to_string(), "connection refused");
}

#[test]
fn another_port_is_named_where_it_is_asked() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let probe = Probe::new(&HealthSettings { port: Some(port), ..settings() });
    let answering = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        read_head(&mut stream);
        stream.write_all(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n").unwrap();
    });
    let target = "127.0.0.1:9".parse().unwrap();
    let failure = run(&probe, target).unwrap_err().to_string();
    assert_eq!(failure, format!("{ASKED} at port {port}: status 500"));
    answering.join().unwrap();
    let failure = run(&probe, target).unwrap_err().to_string();
    assert_eq!(failure, format!("connection refused at port {port} (HEALTH_CHECK_PORT)"));
}

#[test]
fn what_this_machine_lacks_is_not_the_targets_fault() {
    for (errno, expected) in [
        (Errno::ADDRNOTAVAIL, "not made: Cannot assign requested address (os error 99)"),
        (Errno::MFILE, "not made: Too many open files (os error 24)"),
        (Errno::CONNREFUSED, "connection refused"),
    ] {
        let failure = probe(None).failure(Obstacle::Io(errno.into()));
        assert_eq!(failure.to_string(), expected);
        assert_eq!(matches!(failure, CheckFailure::NotMade(_)), expected.starts_with("not made"));
    }
}

#[test]
fn a_reason_is_short_and_without_control_characters() {
    let error = io::Error::other(format!("a\r\n\x1b[31m{}", "x".repeat(5000)));
    let shown = probe(None).failure(Obstacle::Io(error)).to_string();
    assert!(shown.contains("a\\r\\n\\u{1b}[31mx"), "{shown}");
    assert!(shown.len() < 200 && !shown.contains(char::is_control), "{shown}");
}

#[test]
fn a_panic_of_the_library_is_a_failed_check() {
    let failure = block_on(guarded(async { panic!("out of order") })).unwrap_err();
    assert_eq!(failure.to_string(), "a library panicked: out of order");
}

/// The result of a probe with these settings of a server that answers so and ends; what was asked.
fn asked_with(settings: &HealthSettings, answer: &'static str) -> (Result<(), String>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let head = read_head(&mut stream);
        for piece in answer.as_bytes().chunks(7) {
            // It may have heard enough.
            if stream.write_all(piece).is_err() {
                break;
            }
        }
        String::from_utf8(head).unwrap().to_ascii_lowercase()
    });
    let result = run(&Probe::new(settings), address).map_err(|failure| failure.to_string());
    (result, server.join().unwrap())
}

#[test]
fn a_host_is_named_where_one_is_given() {
    let settings = HealthSettings { host: Some("a.example".parse().unwrap()), ..settings() };
    let (result, head) = asked_with(&settings, "HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(result, Ok(()));
    assert_eq!(head.matches("\r\nhost:").count(), 1, "{head}");
    assert!(head.contains("\r\nhost: a.example\r\n"), "{head}");
}

#[test]
fn a_body_has_to_hold_the_text_that_is_looked_for() {
    let settings = HealthSettings { body: Some("all is well".parse().unwrap()), ..settings() };
    let late = format!("HTTP/1.0 200 OK\r\n\r\n{}all is well", "x".repeat((16 << 10) - 11)).leak();
    let too_late = late.replace("all is", "xall is").leak();
    let missing = "status 200, but no 'all is well' in the body (HEALTH_CHECK_MATCH)";
    for (answer, expected) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\nhere all is well", Ok(())),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nall \r\n7\r\nis well\r\n0\r\n\r\n",
            Ok(()),
        ),
        (late, Ok(())),
        (too_late, Err(missing)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell", Err(missing)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Err(missing)),
        ("HTTP/1.1 503 No\r\nContent-Length: 11\r\n\r\nall is well", Err("status 503")),
    ] {
        let expected = expected.map_err(|flaw: &str| format!("{ASKED}: {flaw}"));
        assert_eq!(asked_with(&settings, answer).0, expected, "{answer}");
    }
}

#[test]
fn without_http_a_connection_is_all_that_counts() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let tcp = Probe::new(&HealthSettings { protocol: CheckProtocol::Tcp, ..settings() });
    assert_eq!(run(&tcp, address), Ok(()));
    drop(listener);
    assert_eq!(run(&tcp, address).unwrap_err().to_string(), "connection refused");
    let none = Probe::new(&HealthSettings { protocol: CheckProtocol::None, ..settings() });
    assert_eq!(run(&none, address), Ok(()));
}
