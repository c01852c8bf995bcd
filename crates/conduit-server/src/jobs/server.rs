//! The server of the jobs of one thread.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use tokio::time::Instant;

use super::exchange::{JobExchange, send};
use super::messages::{ResponseFraming, assemble};
use crate::config::Config;
use crate::connection_info::ConnectionInfo;
use crate::deadlines::Second;
use crate::endpoint::{Outcome, panicked};
use crate::exchange::{Environment, Exchange};
use crate::job::{Job, JobSource};
use crate::panics::caught;
use crate::request::Request;

/// Serves jobs with the application of its thread.
pub(crate) struct JobServer {
    environment: Rc<RefCell<Environment>>,
    config: Config,
    started: Instant,
}

impl JobServer {
    pub(crate) fn new(environment: Environment, config: Config) -> Self {
        JobServer {
            environment: Rc::new(RefCell::new(environment)),
            config,
            started: Instant::now(),
        }
    }

    /// Seconds since the thread began.
    fn now(&self) -> Second {
        self.started.elapsed().as_secs() as Second + 1
    }

    /// Begins the exchange of a request; a handler that is not ready continues as a task. A panic of the application's subscriber
    /// costs this request only: its caller receives no response.
    pub(crate) fn serve(&self, job: Job) {
        caught("a request of the process panicked", || self.begin(job));
    }

    fn begin(&self, job: Job) {
        let Job {
            request,
            peer,
            source,
            answer,
        } = job;
        if answer.is_closed() {
            // The caller was dropped before the request began.
            return;
        }
        let mut environment = self.environment.borrow_mut();
        environment.now = self.now();
        let assembled = catch_unwind(AssertUnwindSafe(|| match &source {
            JobSource::Process(Some(info)) => {
                let info = Rc::new(ConnectionInfo::clone(info));
                Request::assembled(request(), peer, Some(info))
            }
            _ => assemble(request(), peer, &self.config),
        }));
        let request = match assembled {
            Ok(request) => request,
            Err(panic) => {
                send(environment.application.show(panicked(panic)), answer);
                return;
            }
        };
        let framing = ResponseFraming::of(&request);
        let client = request.peer_address();
        let mut exchange = Exchange::new();
        let is_of_library = matches!(source, JobSource::Library(_));
        let outcome = match source {
            JobSource::Library(span) => exchange.begin_within(span, request, &mut environment),
            JobSource::Process(_) => exchange.begin(request, client, false, &mut environment),
        };
        let outcome = match outcome {
            Outcome::Ready(response) => Ok(response),
            Outcome::Pending(handler) => Err(exchange.begin_handling(handler, client, &environment)),
        };
        if is_of_library {
            // The library reports the end and the length of the body.
            exchange.end(&mut environment);
        }
        drop(environment);
        let exchange = JobExchange::new(exchange, Rc::clone(&self.environment), framing);
        match outcome {
            Ok(response) => exchange.respond(response, answer),
            Err(pending) => drop(tokio::task::spawn_local(exchange.run(pending, answer))),
        }
    }
}
