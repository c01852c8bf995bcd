//! Each row of the table, followed by a request, compared with hyper's server.

mod compare;

use compare::Agreement;
use conduit_conformance::cases::TOPICS;

#[test]
fn hyper_reads_each_accepted_row_as_the_engine_does() {
    let mut counts = [0; 3];
    for case in TOPICS.iter().flat_map(|(_, cases)| *cases) {
        let mut stream = case.input.bytes();
        stream.extend_from_slice(case.after_continue);
        stream.extend_from_slice(b"GET /after HTTP/1.1\r\nHost: a\r\n\r\n");
        let agreement = std::panic::catch_unwind(|| compare::compare(&stream))
            .unwrap_or_else(|_| panic!("{} (RFC {})", case.name, case.section));
        counts[match agreement {
            Agreement::Same => 0,
            Agreement::EngineStops => 1,
            Agreement::HyperStops => 2,
        }] += 1;
    }
    let [same, engine, hyper] = counts;
    eprintln!(
        "{same} rows are read the same, in {engine} the engine stops before hyper, in {hyper} hyper stops before the engine"
    );
    assert!(same > 300 && engine > 50, "both parse only few rows");
}
