//! A recorder that the state of an application installs. One test, since a process has one recorder.

use conduit::prelude::*;
use metrics_exporter_prometheus::PrometheusBuilder;

#[test]
fn page_of_metrics_does_not_displace_the_recorder_of_the_state() {
    let state = async {
        let recorder = PrometheusBuilder::new().build_recorder();
        let recorded = recorder.handle();
        let installed = ::metrics::set_global_recorder(recorder);
        installed.map_err(|_| "another recorder is set").map(|()| recorded)
    };
    let app = App::open(state)
        .expect("a runtime")
        .routes(routes![conduit::metrics::page]);
    let server = app
        .listen("127.0.0.1:0")
        .expect("the recorder of the state is the first");
    server.handle().stop();
    server.serve().expect("a server that stops");
}
