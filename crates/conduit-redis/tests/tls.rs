//! A server with TLS: the store and the engine, and certificates that are not trusted.

#[path = "../../conduit/tests/support/redis.rs"]
mod redis_server;
#[path = "../../conduit/tests/support/topic_server.rs"]
#[allow(dead_code, reason = "the rows of topics use the rest")]
mod topic_server;

use std::net::TcpListener;
use std::time::Duration;

use conduit::hub::{HubConfig, StartFrom};
use conduit::layer::{Store, Value};
use conduit_redis::{Engines, RedisStore, with_authorities};
use redis_server::RedisServer;
use topic_server::{next_number, run, subscribe, topic};

/// A server and its URL, with a self-signed certificate for this name, in PEM.
fn server(name: &str) -> Option<(RedisServer, String, String)> {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    for _ in 0..20 {
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        // Another program may have taken the port.
        if let Some(server) = RedisServer::tls(port, &certificate, &key) {
            return Some((server, format!("rediss://127.0.0.1:{port}/0"), certificate));
        }
    }
    None
}

fn value(bytes: &[u8]) -> Value<'_> {
    Value {
        bytes,
        lifetime: Duration::from_secs(3600),
        account: "",
        is_pinned: false,
    }
}

#[test]
fn store_and_topics_use_a_server_with_tls() {
    let Some((_server, url, authority)) = server("127.0.0.1") else {
        return;
    };
    run(async {
        let info = with_authorities(&url, authority.as_bytes()).expect("a certificate");
        let engines = Engines::at(info).expect("a URL");
        let store = engines.store();
        assert_eq!(store.insert(b"k", value(b"1")).await.expect("it responds"), None);
        assert_eq!(store.get(b"k").await.expect("it responds").as_deref(), Some(&b"1"[..]));
        let [one, two] = [(); 2].map(|()| topic(&engines.hub(HubConfig::default())));
        let mut updates = subscribe(&two, StartFrom::Now).await;
        one.publish(&1).await.expect("it is published");
        assert_eq!(next_number(&mut updates).await, Some(1));
    });
}

#[test]
fn certificate_without_an_authority_or_for_another_name_is_rejected() {
    let Some((_server, url, authority)) = server("cache.internal") else {
        return;
    };
    run(async {
        let trusted = with_authorities(&url, authority.as_bytes()).expect("a certificate");
        let error = RedisStore::new(trusted)
            .expect("a URL")
            .get(b"k")
            .await
            .expect_err("another name");
        assert!(error.to_string().contains("not valid for name"), "{error}");
        let other = rcgen::generate_simple_self_signed(["cache.internal".to_owned()]).expect("a certificate");
        let other = with_authorities(&url, other.cert.pem().as_bytes()).expect("a certificate");
        let error = RedisStore::new(other)
            .expect("a URL")
            .get(b"k")
            .await
            .expect_err("another authority");
        assert!(error.to_string().contains("certificate"), "{error}");
    });
    assert!(with_authorities("redis://127.0.0.1:1/", authority.as_bytes()).is_err());
}
