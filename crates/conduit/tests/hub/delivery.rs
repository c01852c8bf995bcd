//! The subscribers that receive a message.

use crate::*;

#[test]
fn message_reaches_event_streams_and_websockets_of_its_topic_only() {
    let (client, hub) = client();
    let mut ada = stream(&client, "/ada");
    let mut also_ada = stream(&client, "/ada");
    let mut bob = stream(&client, "/bob");
    let mut socket = client.websocket("/ada/socket/s").open();
    assert_eq!(socket.recv().as_text(), Some("joined s"));
    let position = say(&client, "ada", "for\nada");
    let event = ada.event().expect("an event");
    assert_eq!(event.id.as_deref(), Some(&position[..]));
    assert_eq!(text(Some(event)), "for\nada");
    assert_eq!(text(also_ada.event()), "for\nada");
    assert_eq!(socket.recv().as_text(), Some(r#"{"text":"for\nada"}"#));
    say(&client, "bob", "for bob");
    assert_eq!(text(bob.event()), "for bob");
    socket.send("from a socket");
    assert_eq!(text(ada.event()), "from a socket");
    assert_eq!(hub.topics(), 2);
}

#[test]
fn order_is_the_same_for_all_subscribers() {
    let (client, _) = client();
    let mut streams: Vec<_> = (0..5).map(|_| stream(&client, "/ada")).collect();
    for number in 0..100 {
        say(&client, "ada", &number.to_string());
    }
    for stream in &mut streams {
        let mut last = String::new();
        for number in 0..100 {
            let event = stream.event().expect("an event");
            assert_ne!(event.id.as_deref(), Some(&last[..]));
            last = event.id.clone().expect("a position");
            assert_eq!(text(Some(event)), number.to_string());
        }
    }
}

#[test]
fn large_message_reaches_all_websockets_whole() {
    let (client, _) = client();
    let mut sockets: Vec<_> = (0..3).map(|_| client.websocket("/ada/socket/s").open()).collect();
    // Below and above the length from which a message is not copied into the output.
    for length in [100, 8 * 1024, 60_000] {
        let text = "\u{fc}".repeat(length / 2);
        say(&client, "ada", &text);
        for socket in &mut sockets {
            let message = loop {
                let message = socket.recv().as_text().expect("text").to_owned();
                if !message.starts_with("joined") {
                    break message;
                }
            };
            assert_eq!(serde_json::from_str::<Said>(&message).expect("a message").text, text);
        }
    }
}

#[test]
fn family_decides_on_each_client() {
    let (client, _) = client();
    let get = |key: &str, user: &str| client.get(&format!("/{key}")).header("x-user", user);
    get("ada", "bob").send().assert_status(403);
    let response = client.post("/ada").header("x-user", "ada").text("forged").send();
    response.assert_status(403);
    assert!(response.text().contains("may not publish"), "{response}");
    get(&"a".repeat(513), "admin").send().assert_status(400);
    let mut admin = get("ada", "admin").stream();
    say(&client, "ada", "hello");
    assert_eq!(text(admin.event()), "hello");
}

#[test]
fn presence_counts_the_connections_of_a_member() {
    let (client, hub) = client();
    let present = || client.get("/room/members").send().text().to_owned();
    let mut ada = client.websocket("/room/socket/ada").open();
    assert_eq!(ada.recv().as_text(), Some("joined ada"));
    let mut bob = client.websocket("/room/socket/bob").open();
    assert_eq!(ada.recv().as_text(), Some("joined bob"));
    assert_eq!(bob.recv().as_text(), Some("joined bob"));
    let second = client.websocket("/room/socket/bob").open();
    let third = client.websocket("/room/socket/bob").open();
    ada.send("a");
    assert_eq!(ada.recv().as_text(), Some(r#"{"text":"a"}"#));
    assert_eq!(present(), r#"["ada","bob"]"#);
    drop(second);
    drop(third);
    drop(bob);
    assert_eq!(ada.recv().as_text(), Some("left bob"));
    assert_eq!(present(), r#"["ada"]"#);
    drop(ada);
    while present() != "[]" {}
    assert_eq!(hub.topics(), 1);
}

/// Two workers, each with a subscriber.
#[test]
fn message_reaches_the_subscribers_of_all_workers() {
    use std::io::{Read, Write};
    let hub = Hub::new();
    let server = App::new(hub.clone())
        .routes(ROUTES)
        .workers(2)
        .listen("127.0.0.1:0")
        .expect("a port");
    let (address, handle) = (server.address(), server.handle());
    let thread = std::thread::spawn(move || server.serve());
    // The kernel distributes connections over the workers: each gets some of twenty.
    let mut streams: Vec<_> = (0..20)
        .map(|_| {
            let mut stream = std::net::TcpStream::connect(address).expect("the server accepts");
            let request = b"GET /ada HTTP/1.1\r\nhost: a\r\nx-user: ada\r\n\r\n";
            stream.write_all(request).expect("the server reads");
            read_until(&mut stream, b"\r\n\r\n");
            stream
        })
        .collect();
    let topic = hub.trusted::<Inbox>("ada").expect("a topic");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    for number in 0..50 {
        let said = Said {
            text: number.to_string(),
        };
        runtime.block_on(topic.publish(&said)).expect("it is published");
    }
    for stream in &mut streams {
        for number in 0..50 {
            read_until(stream, format!("data: {{\"text\":\"{number}\"}}\n\n").as_bytes());
        }
    }
    drop(streams);
    handle.close();
    thread.join().expect("no panic").expect("it ends well");

    fn read_until(stream: &mut std::net::TcpStream, end: &[u8]) {
        let mut received = Vec::new();
        while !received.ends_with(end) {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("the server sends");
            received.push(byte[0]);
            assert!(received.len() < 4096, "{}", String::from_utf8_lossy(&received));
        }
    }
}

/// The shutdown must not have to abort the task of the hub.
#[test]
fn hub_without_subscribers_has_no_task() {
    let (client, _) = client();
    let first = stream(&client, "/ada");
    let mut second = stream(&client, "/bob");
    drop(first);
    say(&client, "bob", "still there");
    assert_eq!(text(second.event()), "still there");
    drop(second);
    let mut third = stream(&client, "/ada");
    say(&client, "ada", "again");
    assert_eq!(text(third.event()), "again");
    client.handle().stop();
    assert_eq!(third.event(), None);
}
