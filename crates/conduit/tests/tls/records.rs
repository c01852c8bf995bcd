//! Deadlines and rates of requests whose records arrive in parts. The clock of the worker moves by requests to `/later`.

use super::support::later;
use super::*;

/// A server with this setting, and a client that has an open connection.
fn serve(
    authority: &Authority,
    set: impl FnOnce(App<(), Routes<()>>) -> App<(), Routes<()>>,
) -> (Running, Arc<ClientConfig>, Stream) {
    let (chain, key) = authority.issue("localhost");
    let app = App::new(()).routes(routes![hello, echo, later]).workers(1);
    let app = set(app.tls(Tls::pem(chain, key)));
    let running = start(app.listen("127.0.0.1:0").expect("it listens"));
    let config = Arc::new(authority.client());
    let (_, stream) = get(running.address, &config, "localhost", "/").expect("an answer");
    (running, config, stream)
}

/// Advances the clock of the worker by a second. The worker has read all earlier bytes.
fn wait_a_second(running: &Running, config: &Arc<ClientConfig>) {
    let (answer, _) = get(running.address, config, "localhost", "/later/1").expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

/// The records of this data.
fn records(conn: &mut ClientConnection, data: &[u8]) -> Vec<u8> {
    conn.writer().write_all(data).expect("buffered");
    let mut records = Vec::new();
    conn.write_tls(&mut records).expect("into memory");
    records
}

#[test]
fn a_head_in_one_record_has_its_time_however_the_record_drips() {
    let set = |app: App<(), Routes<()>>| {
        app.head_timeout(Duration::from_secs(3))
            .idle_timeout(Duration::from_secs(1000))
    };
    let (running, config, StreamOwned { mut conn, mut sock }) = serve(&Authority::new(), set);
    let head = format!("GET / HTTP/1.1\r\nhost: test\r\nx: {}\r\n\r\n", "x".repeat(1000));
    let record = records(&mut conn, head.as_bytes());
    let hits = || running.handle().statistics().limit_hits(conduit::Limit::HeadTime);
    for (second, byte) in record.chunks(1).take(8).enumerate() {
        if second < 3 {
            assert_eq!(hits(), 0, "after {second} seconds");
        }
        // The server has closed its end after the deadline.
        let _ = sock.write_all(byte);
        wait_a_second(&running, &config);
    }
    assert_eq!(hits(), 1);
}

#[test]
fn rate_of_a_body_in_long_records_counts_received_bytes() {
    let set = |app: App<(), Routes<()>>| app.minimum_rate(1024, Duration::from_secs(2));
    let (running, config, StreamOwned { mut conn, mut sock }) = serve(&Authority::new(), set);
    let head = "POST /echo HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: 16000\r\n\r\n";
    sock.write_all(&records(&mut conn, head.as_bytes())).expect("taken");
    let record = records(&mut conn, &pattern(16_000));
    // Above the rate, for more than three times the grace.
    for piece in record.chunks(2 * 1024) {
        sock.write_all(piece).expect("the server takes it");
        wait_a_second(&running, &config);
    }
    let mut answer = Vec::new();
    StreamOwned::new(conn, sock)
        .read_to_end(&mut answer)
        .expect("an answer");
    assert!(
        answer.ends_with(&pattern(16_000)),
        "{}",
        String::from_utf8_lossy(&answer)
    );
}
