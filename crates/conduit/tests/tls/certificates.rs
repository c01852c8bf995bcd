//! Changed certificate files: those that replace the previous certificates, and those that do not.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use conduit::{ServerHandle, Tls};
use rcgen::{CertificateParams, date_time_ymd};
use rustls::HandshakeKind;

use super::support::Running;
use super::{Authority, Files, app, der, get, shown, start};

fn years(from: i32, to: i32) -> impl FnOnce(&mut CertificateParams) {
    move |params| {
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
    }
}

/// A server with the certificate and key of these files.
fn serve(files: &Files, (chain, key): &(String, String)) -> (Running, ServerHandle) {
    files.put("chain.pem", chain);
    files.put("key.pem", key);
    let server = app(Tls::files(files.0.join("chain.pem"), files.0.join("key.pem")))
        .listen("127.0.0.1:0")
        .expect("it listens");
    let handle = server.handle();
    (start(server), handle)
}

fn certificate_in_use(running: &Running, authority: &Authority) -> Vec<u8> {
    let (_, stream) = get(running.address, &Arc::new(authority.client()), "localhost", "/").expect("an answer");
    shown(&stream)
}

#[test]
fn files_of_a_further_host_are_read_again() {
    let files = Files::new("host");
    let authority = Authority::new();
    let first = authority.issue("first.test");
    let [old, new] = [0, 1].map(|_| authority.issue("second.test"));
    let put = |(chain, key): &(String, String)| {
        files.put("host.key.pem", key);
        files.put("host.pem", chain);
    };
    put(&old);
    let tls = Tls::pem(first.0.clone(), first.1.clone()).host_files(
        "second.test",
        files.0.join("host.pem"),
        files.0.join("host.key.pem"),
    );
    let server = app(tls).listen("127.0.0.1:0").expect("it listens");
    let handle = server.handle();
    let running = start(server);
    let certificate_of = |host: &str| {
        let (_, stream) = get(running.address, &Arc::new(authority.client()), host, "/").expect("an answer");
        shown(&stream)
    };
    assert_eq!(certificate_of("second.test"), der(&old.0));
    put(&new);
    handle.reload();
    assert_eq!(certificate_of("second.test"), der(&new.0));
    // A chain without its key is not used.
    files.put("host.pem", &old.0);
    handle.reload();
    assert_eq!(certificate_of("second.test"), der(&new.0));
    assert_eq!(certificate_of("first.test"), der(&first.0));
}

#[test]
fn a_certificate_that_is_not_valid_now_does_not_replace_a_valid_one() {
    let files = Files::new("invalid");
    let authority = Authority::new();
    let valid = authority.issue("localhost");
    let (running, handle) = serve(&files, &valid);
    let not_after = handle.statistics().certificates_not_after;
    for interval in [(2020, 2021), (2150, 2160)] {
        let failed = handle.statistics().failed_certificate_reloads;
        let (chain, key) = authority.issue_with("localhost", years(interval.0, interval.1));
        files.put("key.pem", &key);
        files.put("chain.pem", &chain);
        handle.reload();
        assert_eq!(certificate_in_use(&running, &authority), der(&valid.0), "{interval:?}");
        // The server also checks the files by itself, possibly while only one of them is replaced.
        assert!(handle.statistics().failed_certificate_reloads > failed);
        assert_eq!(handle.statistics().certificates_not_after, not_after);
    }
    let renewed = authority.issue("localhost");
    files.put("key.pem", &renewed.1);
    files.put("chain.pem", &renewed.0);
    handle.reload();
    assert_eq!(certificate_in_use(&running, &authority), der(&renewed.0));
}

/// A session contains the identity of its client, so that a resumed one does not verify the certificate again.
#[test]
fn a_client_of_a_removed_issuer_cannot_resume_its_session() {
    let authority = Authority::new();
    let (chain, key) = authority.issue("localhost");
    for is_required in [true, false] {
        let files = Files::new("issuers");
        let [removed, added] = ["The removed one", "The added one"].map(Authority::named);
        files.put("issuers.pem", &removed.pem);
        let (tls, issuers) = (Tls::pem(chain.clone(), key.clone()), files.0.join("issuers.pem"));
        let tls = match is_required {
            true => tls.require_clients(issuers),
            false => tls.accept_clients(issuers),
        };
        let server = app(tls).listen("127.0.0.1:0").expect("it listens");
        let handle = server.handle();
        let running = start(server);
        let client =
            |version, issuer: &Authority, name| Arc::new(authority.configure(&[version], Some(issuer.issue(name))));
        let versions = [&rustls::version::TLS12, &rustls::version::TLS13];
        let clients = versions.map(|version| client(version, &removed, "alice.test"));
        for (config, version) in clients.iter().zip(versions) {
            for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
                let (answer, stream) = get(running.address, config, "localhost", "/whoami").expect("an answer");
                assert!(answer.ends_with("alice.test"), "{answer}");
                assert_eq!(stream.conn.handshake_kind(), Some(kind), "{version:?}");
            }
        }

        files.put("issuers.pem", &added.pem);
        handle.reload();
        for (config, version) in clients.iter().zip(versions) {
            assert!(
                get(running.address, config, "localhost", "/whoami").is_err(),
                "{version:?}"
            );
            let bob = client(version, &added, "bob.test");
            let (answer, _) = get(running.address, &bob, "localhost", "/whoami").expect("an answer");
            assert!(answer.ends_with("bob.test"), "{answer}");
        }
    }
}

#[test]
fn an_expired_certificate_is_replaced_by_any_other() {
    let files = Files::new("expired");
    let authority = Authority::new();
    // A server starts with it, and logs an error.
    let (_running, handle) = serve(&files, &authority.issue_with("localhost", years(2020, 2021)));
    let end_of = |year: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(year);
    assert_eq!(handle.statistics().certificates_not_after, Some(end_of(1_609_459_200)));
    let (chain, key) = authority.issue_with("localhost", years(2020, 2022));
    files.put("key.pem", &key);
    files.put("chain.pem", &chain);
    handle.reload();
    assert_eq!(handle.statistics().certificates_not_after, Some(end_of(1_640_995_200)));
    assert_eq!(handle.statistics().failed_certificate_reloads, 0);
}

#[test]
fn certificate_path_that_is_a_pipe_or_a_device_is_refused_at_the_start_and_later() {
    let files = Files::new("pipe");
    let authority = Authority::new();
    let valid = authority.issue("localhost");
    let (running, handle) = serve(&files, &valid);
    for (failed, name) in (1..).zip(["chain.pem", "key.pem"]) {
        let path = files.0.join(name);
        std::fs::remove_file(&path).expect("it is there");
        if name == "chain.pem" {
            rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR).expect("a pipe");
        } else {
            files.put("chain.pem", &valid.0);
            std::os::unix::fs::symlink("/dev/zero", &path).expect("a link");
        }
        // Nothing writes into the pipe, and the device has no end.
        let with_files = app(Tls::files(files.0.join("chain.pem"), files.0.join("key.pem")));
        let error = with_files
            .listen("127.0.0.1:0")
            .err()
            .expect("the server does not start with it")
            .to_string();
        let kind = if name == "chain.pem" { "a pipe" } else { "a device" };
        let fault = format!("{name}: it is {kind}; use a regular file");
        assert!(error.contains(&fault), "{error}");
        handle.reload();
        assert!(handle.statistics().failed_certificate_reloads >= failed, "{name}");
        assert_eq!(certificate_in_use(&running, &authority), der(&valid.0));
    }
}
