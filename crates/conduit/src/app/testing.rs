//! An application in the process of a test.

use std::sync::Arc;

use conduit_testing::TestApplication;

#[cfg(feature = "openapi")]
use conduit_testing::ResponseContract;

#[cfg(feature = "openapi")]
use super::contract::AppContract;
use super::start::{install_recorder, observed};
use super::{App, Listening, Plan, Result, Routes, Server};
use crate::server::in_process::InProcess;

impl<S: 'static> TestApplication for App<S, Routes<S>> {
    #[cfg(feature = "openapi")]
    fn contract(&self) -> Option<Arc<dyn ResponseContract>> {
        Some(Arc::new(AppContract::of(self)))
    }

    #[cfg(feature = "lock")]
    fn compare_lock(&self, earlier: &str) -> Option<(String, Vec<String>)> {
        let lock = self.lock();
        let differences = lock.differences(earlier);
        let differences = differences.iter().map(ToString::to_string);
        Some((lock.to_string(), differences.collect()))
    }

    fn serve_in_process(mut self, process: Arc<InProcess>) -> Result<Server> {
        self.add_pages()?;
        let mut config = observed(self.config, self.observer, self.routes.definitions())?;
        config.in_process_tls = config.tls.as_ref().map(|tls| tls.load()).transpose()?;
        config.in_process = Some(process);
        let (state, runtime) = self.state.settle()?;
        let plan = Plan::new(self.routes, self.stack);
        install_recorder(plan.definitions());
        Server::new(Listening::in_process(), plan.with_state(state), config, runtime)
    }

    fn serve_over_socket(self) -> Result<Server> {
        self.workers(1).listen("127.0.0.1:0")
    }
}
