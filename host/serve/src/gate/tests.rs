use super::*;
use crate::http::read_head;

fn request(headers: &str) -> Request {
    read_head(&mut format!("POST / HTTP/1.1\r\n{headers}Content-Length: 0\r\n\r\n").as_bytes()).unwrap().0
}

fn gate(address: &str) -> Gate {
    Gate::new(address.parse().unwrap())
}

#[test]
fn only_its_own_names_reach_it() {
    let gate = gate("127.0.0.1:8765");
    let of = |host: &str, local: &str| gate.check_host(&request(&format!("Host: {host}\r\n")), local.parse().unwrap());
    for host in ["127.0.0.1:8765", "localhost:8765", "LocalHost:8765"] {
        assert_eq!(of(host, "127.0.0.1:8765"), Ok(()), "{host}");
    }
    for host in ["evil.example:8765", "127.0.0.1", "localhost", "127.0.0.1:80", "", "127.0.0.1:8765.evil.example"] {
        assert_eq!(of(host, "127.0.0.1:8765"), Err(Refused::Host), "{host}");
    }
    assert_eq!(of("10.0.0.2", "10.0.0.2:80"), Ok(()));
    assert_eq!(of("localhost:8765", "10.0.0.2:8765"), Err(Refused::Host));
    assert_eq!(of("10.0.0.2:8765", "[::ffff:10.0.0.2]:8765"), Ok(()));
    assert_eq!(of("[fe80::1]:8765", "[fe80::1]:8765"), Ok(()));
}

#[test]
fn what_changes_something_comes_from_its_own_page() {
    let gate = gate("127.0.0.1:8765");
    let of = |origin: &str| gate.check_origin(&request(&format!("Host: localhost:8765\r\n{origin}")));
    assert_eq!(of("Origin: http://localhost:8765\r\n"), Ok(()));
    for origin in ["", "Origin: null\r\n", "Origin: https://localhost:8765\r\n", "Origin: http://evil.example\r\n"] {
        assert_eq!(of(origin), Err(Refused::Foreign), "{origin}");
    }
    let guest = gate.admit(&request("Host: localhost:8765\r\n"), false).unwrap();
    assert_eq!(gate.check_secret(&guest, &guest.secret), Ok(()));
    assert_eq!(gate.check_secret(&guest, ""), Err(Refused::Foreign));
    assert_eq!(guest.secret.len(), 32);
}

fn code(gate: &Gate) -> String {
    format!("{:06}", gate.state().code)
}

#[test]
fn over_a_network_a_browser_is_paired_by_a_code_that_is_good_once() {
    let gate = gate("0.0.0.0:8765");
    assert_eq!(gate.admit(&request("Host: x\r\n"), false), Err(Refused::Unpaired));
    let good = code(&gate);
    let Paired::Yes(cookie) = gate.pair(&format!("{} {}", &good[..3], &good[3..])) else { panic!("it is the code") };
    let with = request(&format!("Host: x\r\nCookie: a=b; {COOKIE}={cookie}\r\n"));
    assert!(gate.admit(&with, false).unwrap().paired);
    // Another one has another secret, and the code is used up, unless chance gives it again.
    assert!(code(&gate) == good || gate.pair(&good) == Paired::No);
    gate.leave(&with);
    assert_eq!(gate.admit(&with, false), Err(Refused::Unpaired));
}

#[test]
fn an_idle_session_ends_and_what_a_script_asks_does_not_keep_it() {
    let gate = gate("0.0.0.0:8765");
    let Paired::Yes(cookie) = gate.pair(&code(&gate)) else { panic!("it is the code") };
    let with = request(&format!("Host: x\r\nCookie: {COOKIE}={cookie}\r\n"));
    let Some(nearly) = Instant::now().checked_sub(IDLE - Duration::from_secs(5)) else { return };
    gate.state().sessions[0].used = nearly;
    assert!(gate.admit(&with, true).is_ok());
    assert_eq!(gate.state().sessions[0].used, nearly);
    assert!(gate.admit(&with, false).is_ok());
    assert!(gate.state().sessions[0].used > nearly);
    gate.state().sessions[0].used = nearly - Duration::from_secs(6);
    assert_eq!(gate.admit(&with, false), Err(Refused::Unpaired));
}

#[test]
fn wrong_codes_lock_it_for_longer_each_time() {
    let gate = gate("0.0.0.0:8765");
    for lock in [60, 120, 240] {
        for _ in 1..ATTEMPTS {
            assert_eq!(gate.pair("no"), Paired::No);
        }
        assert_eq!(gate.pair("no"), Paired::Locked);
        let left = gate.state().locked_until.unwrap().duration_since(Instant::now()).as_secs();
        assert!((lock - 10..=lock).contains(&left), "{left}");
        assert_eq!(gate.pair(&code(&gate)), Paired::Locked, "not even the right one");
        gate.state().locked_until = None;
    }
    assert!(matches!(gate.pair(&code(&gate)), Paired::Yes(_)));
    assert_eq!(gate.state().lock, FIRST_LOCK);
}

#[test]
fn sessions_and_addresses_are_bounded() {
    let gate = gate("0.0.0.0:8765");
    for _ in 0..SESSIONS + 3 {
        let code = code(&gate);
        assert!(matches!(gate.pair(&code), Paired::Yes(_)));
    }
    assert_eq!(gate.state().sessions.len(), SESSIONS);
    let peer = IpAddr::from([10, 0, 0, 1]);
    let asked = (0..2 * BURST as usize).filter(|_| gate.count(peer).is_ok()).count();
    assert!((BURST as usize..BURST as usize + 200).contains(&asked), "{asked}");
    for n in 0..2 * ADDRESSES as u32 {
        let _ = gate.count(IpAddr::from((0x0b00_0000 + n).to_be_bytes()));
    }
    assert!(gate.state().rates.len() <= ADDRESSES);
}
