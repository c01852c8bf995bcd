//! Sessions that get another id: stores that fail meanwhile, requests with the old id, and changes after the response.

use std::sync::atomic::AtomicUsize;

use crate::*;

/// A store that fails after a number of writes.
#[derive(Clone)]
struct Failing {
    store: MemoryStore,
    writes_left: Arc<AtomicUsize>,
}

impl Store for Failing {
    type Error = &'static str;

    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, &'static str> {
        self.store.get(key).await.map_err(|_| "full")
    }

    async fn replace(
        &self,
        key: &[u8],
        expected: Option<&[u8]>,
        value: Option<Value<'_>>,
    ) -> Result<bool, &'static str> {
        let take = |left: usize| left.checked_sub(1);
        let left = self
            .writes_left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        left.map_err(|_| "out of order")?;
        self.store.replace(key, expected, value).await.map_err(|_| "full")
    }
}

#[test]
fn failing_store_loses_no_session_at_sign_in() {
    for (writes, status) in [(0, 503), (1, 503), (2, 200)] {
        let store = Failing {
            store: MemoryStore::default(),
            writes_left: Arc::new(AtomicUsize::new(1)),
        };
        let client = TestClient::new(app(Sessions::new(store.clone()), 2));
        client.post("/count").send().assert_text("1");
        store.writes_left.store(writes, Ordering::Relaxed);
        client.post("/sign-in/ada").send().assert_status(status);
        store.writes_left.store(usize::MAX, Ordering::Relaxed);
        client.get("/count").send().assert_text("1");
        client.post("/sign-in/ada").send().assert_status(200);
        client.get("/me").send().assert_text("ada");
    }
}

#[test]
fn newer_write_is_the_base_of_a_late_rotation() {
    let client = client();
    client.post("/count").send().assert_text("1");
    late(&client, "/rotate-late", "/flash/saved").assert_status(200);
    client.get("/count").send().assert_text("2");
    client.get("/flashes").send().assert_text("saved");
}

#[test]
fn request_with_the_old_id_does_not_overwrite_the_new_cookie() {
    let client = client();
    client.post("/count").send().assert_text("1");
    let poll = client.another();
    poll.set_cookie(COOKIE, &client.cookie(COOKIE).expect("a cookie"));
    client.post("/sign-in/ada").send().assert_status(200);

    let read = poll.get("/count").send();
    read.assert_text("0");
    assert_eq!(set_cookie(&read), None);
    for target in ["/count", "/flash/a", "/sign-out"] {
        let refused = poll.post(target).send();
        refused.assert_status(409).assert_header("retry-after", "1");
        assert_eq!(set_cookie(&refused), None, "{target}");
    }
    client.get("/me").send().assert_text("ada");

    // The store has removed the old id.
    client.advance(Duration::from_secs(61));
    poll.post("/count").send().assert_text("1");
}

#[test]
fn sign_in_that_is_sent_twice_succeeds_and_loses_no_data() {
    let client = client();
    client.post("/count").send().assert_text("1");
    let second = client.another();
    second.set_cookie(COOKIE, &client.cookie(COOKIE).expect("a cookie"));
    client.post("/sign-in/ada").send().assert_status(200);
    client.post("/count").send().assert_text("2");

    second.post("/sign-in/ada").send().assert_status(200);
    assert_ne!(second.cookie(COOKIE), client.cookie(COOKIE));
    second.get("/me").send().assert_text("ada");
    second.get("/count").send().assert_text("1");
    client.get("/me").send().assert_text("ada");
    client.get("/count").send().assert_text("2");
}

#[test]
fn two_concurrent_sign_ins_succeed() {
    let client = client();
    client.post("/count").send().assert_text("1");
    late(&client, "/rotate-late", "/sign-in/ada").assert_status(200);
    client.get("/count").send().assert_text("2");
    client.get("/me").send().assert_status(401);
}

#[test]
fn old_id_of_a_signed_in_visitor_gives_no_data_to_a_sign_in() {
    let client = client();
    client.post("/sign-in/ada").send().assert_status(200);
    client.post("/count").send().assert_text("1");
    let thief = client.another();
    thief.set_cookie(COOKIE, &client.cookie(COOKIE).expect("a cookie"));
    client.post("/sign-in/ada").send().assert_status(200);

    thief.post("/sign-in/mallory").send().assert_status(200);
    thief.get("/me").send().assert_text("mallory");
    thief.get("/count").send().assert_text("0");
    client.get("/count").send().assert_text("1");
}

#[test]
fn sign_out_concurrent_with_a_sign_in_does_not_claim_success() {
    let client = client();
    client.post("/count").send().assert_text("1");
    let refused = late(&client, "/sign-out-late", "/sign-in/ada");
    refused.assert_status(409);
    assert_eq!(set_cookie(&refused), None);
    client.get("/me").send().assert_text("ada");
    client.post("/sign-out").send().assert_status(200);
    client.get("/me").send().assert_status(401);
}

type Slot = Arc<Mutex<Option<Session<Visitor>>>>;

#[derive(Clone, FromRef)]
struct Keeping {
    sessions: Sessions,
    slot: Slot,
}

/// Keeps the session beyond the response, as a WebSocket or a task does.
#[post("/keep")]
async fn keep(session: Session<Visitor>, slot: State<Slot>) {
    *slot.lock().expect("no panic") = Some(session);
}

#[post("/kept/{change}")]
async fn change_kept(change: Path<String>, slot: State<Slot>) -> Result<(), Problem> {
    let kept = slot.lock().expect("no panic").take();
    let mut session = kept.expect("a session");
    match change.as_str() {
        "update" => session.update(|visitor| visitor.count += 1).await,
        "rotate" => session.rotate(|visitor| visitor.count += 1).await,
        _ => session.end().await,
    }
}

fn keeping(sessions: Sessions) -> TestClient {
    let keeping = Keeping {
        sessions,
        slot: Slot::default(),
    };
    let routes = routes![read, count, keep, change_kept];
    TestClient::new(App::new(keeping).routes(routes).development(true))
}

#[test]
fn session_in_a_cookie_cannot_change_after_the_response() {
    let client = keeping(Sessions::in_cookies(CookieKey::random(), []));
    client.post("/count").send().assert_text("1");
    for change in ["update", "rotate", "end"] {
        client.post("/keep").send().assert_status(200);
        client
            .post(&format!("/kept/{change}"))
            .send()
            .assert_status(500)
            .assert_text_contains("the response and its cookie have been sent");
    }
    client.get("/count").send().assert_text("1");
}

#[test]
fn session_cannot_begin_or_rotate_after_the_response() {
    let client = keeping(Sessions::in_memory());
    let late = |change: &str| {
        client.post("/keep").send().assert_status(200);
        client.post(&format!("/kept/{change}")).send()
    };
    late("update")
        .assert_status(500)
        .assert_text_contains("the response and its cookie have been sent");
    client.post("/count").send().assert_text("1");
    late("rotate")
        .assert_status(500)
        .assert_text_contains("the response and its cookie have been sent");
    client.get("/count").send().assert_text("1");
    late("update").assert_status(200);
    client.get("/count").send().assert_text("2");
    late("end").assert_status(200);
    client.get("/count").send().assert_text("0");
}
