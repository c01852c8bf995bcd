//! The application: its state, its routes, its settings.

#[cfg(feature = "codegen")]
mod codegen;
#[cfg(any(feature = "contract", all(feature = "openapi", feature = "testing")))]
mod contract;
#[cfg_attr(feature = "openapi", path = "document.rs")]
#[cfg_attr(not(feature = "openapi"), path = "without_document.rs")]
mod document;
#[cfg(feature = "lock")]
mod lock;
#[cfg(feature = "mcp")]
mod mcp;
mod printing;
mod protection;
mod run_address;
mod settings;
mod start;
#[cfg(feature = "testing")]
mod testing;

use std::borrow::Cow;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;

use self::run_address::{ADDRESS_VARIABLE, run_address};
use self::start::{install_recorder, observed, paths_of_pages, with_environment};
use crate::arguments::{Printout, requested_printout};
use crate::built_in;
use crate::cross_origin;
use crate::dispatch::{AppStack, Plan};
use crate::error::{Error, Result};
use crate::fallback::Fallback;
use crate::layer::{Middleware, ProvidesNothing};
use crate::openapi::{Info, Operation};
use crate::problem::{ErrorContext, Problem};
use crate::response::Response;
use crate::route::Routes;
use crate::routes_table::RoutesTable;
use crate::server::address::ListenOn;
use crate::server::listening::Listening;
use crate::server::{Server, refuse_runtime, worker_count};
use crate::state::AppState;
#[cfg(feature = "tower")]
use crate::state::Opening;
use crate::state_source::StateSource;

use crate::observer::AppObserver;
use crate::server::config::Config;

/// The type parameter of an [`App`] without routes, before [`App::routes`].
#[derive(Clone, Copy, Debug)]
pub struct NoRoutes;

/// The type parameter of an application without routes: [`NoRoutes`] only.
#[diagnostic::on_unimplemented(
    message = "the application already has routes",
    label = "a second list of routes",
    note = "write one list, so that the compiler finds every conflict: `.routes(routes![home, users::ROUTES, \"/admin\" => admin::ROUTES])`"
)]
pub trait Routeless {}

impl Routeless for NoRoutes {}

/// The type parameter of an application that can serve: the [`Routes`] that [`App::routes`] sets.
#[diagnostic::on_unimplemented(
    message = "the application has no routes",
    label = "routes are missing",
    note = "write `.routes(routes![…])` with your handlers before this call"
)]
pub trait Routed<S: 'static> {
    /// Returns the routes.
    fn list(&self) -> Routes<S>;
}

impl<S: 'static> Routed<S> for Routes<S> {
    fn list(&self) -> Routes<S> {
        *self
    }
}

/// An application: a state, its routes, and the settings of the server that it becomes.
///
/// Every limit and deadline has a default that protects a server on the open internet.
///
/// # Example
///
/// A server on 127.0.0.1:8080:
///
/// ```no_run
/// use conduit::prelude::*;
///
/// #[get("/")]
/// async fn hello() -> &'static str {
///     "Hello, World!"
/// }
///
/// fn main() -> conduit::Result {
///     App::new(()).routes(routes![hello]).run()
/// }
/// ```
#[derive(Debug)]
pub struct App<S, R = NoRoutes> {
    state: StateSource<S>,
    routes: R,
    /// The document's information about the application; defaults to the package's.
    info: Option<Info>,
    /// The path of the docs page, if enabled.
    docs: Option<String>,
    /// The path of the endpoint of MCP, if enabled.
    #[cfg(feature = "mcp")]
    mcp: Option<String>,
    stack: AppStack<S>,
    /// The origins whose pages may send requests to any route.
    trusted_origins: Vec<String>,
    config: Config,
    observer: AppObserver,
    /// Set if `run` handles arguments such as `--routes`.
    arguments: bool,
}

impl<S> App<S> {
    /// Creates an application with this state and without routes. Each worker thread gets a clone of the state.
    pub fn new(state: S) -> Self
    where
        S: AppState,
    {
        App::with(StateSource::shared(state))
    }

    /// Creates an application whose state is the output of a future, for example one that loads a file. The future runs
    /// once, before the server listens; each worker thread gets a clone of its output. It does not run for
    /// [arguments](App::arguments) that print, such as `--openapi`.
    ///
    /// The future's tokio runtime runs as long as the server, so that spawned tasks continue. Connections that the future
    /// opens belong to that runtime: each use on a worker wakes another thread. Open pools and clients in
    /// [`open_per_worker`](Self::open_per_worker) instead.
    ///
    /// # Errors
    ///
    /// Returns an error if it is called inside a tokio runtime. [`run`](App::run) and [`listen`](App::listen) return the error
    /// of the future.
    ///
    /// # Example
    ///
    /// A state that is slow to load:
    ///
    /// ```
    /// use conduit::prelude::*;
    ///
    /// #[derive(Clone)]
    /// struct Motto(String);
    ///
    /// async fn load() -> std::io::Result<Motto> {
    ///     tokio::task::yield_now().await;
    ///     Ok(Motto("be kind".to_owned()))
    /// }
    ///
    /// #[get("/motto")]
    /// async fn motto(motto: State<Motto>) -> String {
    ///     motto.0.0
    /// }
    ///
    /// # fn main() -> conduit::Result {
    /// let app = App::open(load())?.routes(routes![motto]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn open<E: Into<Error>>(state: impl Future<Output = Result<S, E>> + Send + 'static) -> Result<Self>
    where
        S: AppState,
    {
        refuse_runtime()?;
        Ok(App::with(StateSource::once(state)))
    }

    /// Creates an application whose state each worker thread opens separately: database connection pools, clients of other
    /// services. The function runs once for each worker, on the worker's tokio runtime, when the server starts; it does not
    /// run for [arguments](App::arguments) that print, such as `--openapi`.
    ///
    /// Connections and tasks that it opens belong to the worker that uses them, so that no query waits for another thread. On
    /// PostgreSQL, a pool shared by all workers cost 1.6 to 1.7 times the CPU time per request, and a handler that blocks one
    /// worker then delays queries of the others. The state need not be `Send`, and needs `Clone` only if handlers extract it as a
    /// whole or lists of routes with the same state are mounted. Create values that all workers share, such as a counter, before
    /// the call, and clone them in the function.
    ///
    /// One worker opens its state at a time: if it includes database migrations, the first worker runs them, and the others
    /// find them done. The server is ready when all workers have their state. An error stops the server; [`run`](App::run)
    /// returns it with the worker and the cause.
    ///
    /// A connection limit applies to each worker, so multiply it by the number of [workers](App::workers) for the limit of the
    /// database.
    ///
    /// # Example
    ///
    /// A pool for each worker, and a counter shared by all:
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// use conduit::prelude::*;
    /// use sqlx::SqlitePool;
    ///
    /// #[derive(FromRef)]
    /// struct Service {
    ///     pool: SqlitePool,
    ///     sums: Arc<AtomicU64>,
    /// }
    ///
    /// #[get("/sum/{left}/{right}")]
    /// async fn sum(
    ///     path: Path<(i64, i64)>,
    ///     pool: State<SqlitePool>,
    ///     sums: State<Arc<AtomicU64>>,
    /// ) -> Result<String, Problem> {
    ///     let query = sqlx::query_scalar::<_, i64>("SELECT ? + ?").bind(path.0.0).bind(path.0.1);
    ///     let sum = query.fetch_one(&*pool).await?;
    ///     let number = sums.fetch_add(1, Ordering::Relaxed) + 1;
    ///     Ok(format!("sum {number} is {sum}"))
    /// }
    ///
    /// let sums = Arc::new(AtomicU64::new(0));
    /// let app = App::open_per_worker(move || {
    ///     let sums = Arc::clone(&sums);
    ///     async move {
    ///         let pool = SqlitePool::connect("sqlite::memory:").await?;
    ///         Ok::<_, sqlx::Error>(Service { pool, sums })
    ///     }
    /// })
    /// .routes(routes![sum]);
    /// # let client = conduit::testing::TestClient::new(app);
    /// # client.get("/sum/2/3").send().assert_text("sum 1 is 5");
    /// ```
    pub fn open_per_worker<F, E>(open: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        S: 'static,
        F: Future<Output = Result<S, E>> + 'static,
        E: Into<Error> + 'static,
    {
        App::with(StateSource::per_worker(open))
    }

    fn with(state: StateSource<S>) -> Self {
        App {
            state,
            routes: NoRoutes,
            info: None,
            docs: None,
            #[cfg(feature = "mcp")]
            mcp: None,
            stack: AppStack {
                cross_origin: Some(cross_origin::guard(Vec::new())),
                ..AppStack::default()
            },
            trusted_origins: Vec::new(),
            config: Config::default(),
            observer: AppObserver::default(),
            arguments: true,
        }
    }
}

impl<S, R> App<S, R> {
    /// Sets the routes: all of them in one list, so that the compiler detects every conflict.
    pub fn routes(self, routes: Routes<S>) -> App<S, Routes<S>>
    where
        R: Routeless,
    {
        self.with_routes(routes)
    }

    fn with_routes(self, routes: Routes<S>) -> App<S, Routes<S>> {
        App {
            state: self.state,
            routes,
            info: self.info,
            docs: self.docs,
            #[cfg(feature = "mcp")]
            mcp: self.mcp,
            stack: self.stack,
            trusted_origins: self.trusted_origins,
            config: self.config,
            observer: self.observer,
            arguments: self.arguments,
        }
    }
}

impl<S, R> App<S, R> {
    /// Returns the path of the MCP endpoint; `None` if it is disabled.
    #[cfg_attr(
        not(feature = "mcp"),
        expect(clippy::unused_self, reason = "no endpoint without the feature")
    )]
    fn mcp_path(&self) -> Option<&str> {
        #[cfg(feature = "mcp")]
        return self.mcp.as_deref();
        #[cfg(not(feature = "mcp"))]
        None
    }
}

/// Layers around the routes.
impl<S: 'static, R> App<S, R> {
    /// Wraps the whole application in a layer: every handler, the 404 and 405 responses, and the response to `OPTIONS`. Each
    /// layer wraps the layers that were added before it.
    ///
    /// A layer is a function or a type; see [`layer`](mod@crate::layer). Layers for some of the routes belong in their list:
    /// see [`routes!`](crate::routes).
    ///
    /// # Example
    ///
    /// A layer that logs the duration of each request:
    ///
    /// ```
    /// use conduit::prelude::*;
    ///
    /// async fn timed(request: Request, next: Next) -> Response {
    ///     let begun = std::time::Instant::now();
    ///     let path = request.path().to_owned();
    ///     let response = next.run(request).await;
    ///     tracing::info!(path, status = response.status().as_u16(), took = ?begun.elapsed());
    ///     response
    /// }
    ///
    /// #[get("/")]
    /// async fn home() -> &'static str {
    ///     "home"
    /// }
    ///
    /// let app = App::new(()).routes(routes![home]).layer(timed);
    /// ```
    pub fn layer<L: Middleware<S, M, Next: ProvidesNothing>, M: 'static>(mut self, layer: L) -> Self {
        const { L::LEAVES_THE_BODY };
        self.stack.layers.push(conduit_core::internal::layer::erase(layer));
        self
    }

    /// Sets the handler for requests whose path matches no route, in place of the 404. A path with routes, but without one for
    /// the method, still results in a 405.
    ///
    /// # Example
    ///
    /// A page for unknown paths:
    ///
    /// ```
    /// use conduit::prelude::*;
    ///
    /// async fn missing(request: Request) -> (StatusCode, Html<&'static str>) {
    ///     tracing::info!(path = request.path(), "not found");
    ///     (StatusCode::NOT_FOUND, Html("<h1>There is no such page</h1>"))
    /// }
    ///
    /// #[get("/")]
    /// async fn home() -> &'static str {
    ///     "home"
    /// }
    ///
    /// let app = App::new(()).routes(routes![home]).fallback(missing);
    /// ```
    pub fn fallback<M: 'static>(mut self, fallback: impl Fallback<S, M>) -> Self {
        self.stack.fallback = Some(crate::fallback::erase(fallback));
        self
    }

    /// Returns the names of the application's layers, the outermost first. [`Routes::layers`] returns those in the list of
    /// routes.
    pub fn layers(&self) -> Vec<Cow<'static, str>> {
        self.stack.names()
    }
}

/// The error format.
impl<S: 'static, R> App<S, R> {
    /// Sets the format of every error response of the application: the problems of handlers, extractors and layers, and Conduit's
    /// own 404, 405, 413 and 431, and the 500 of a panic. Default: `application/problem+json` (RFC 9457).
    ///
    /// The function runs after all layers. Its response also gets the header fields that layers added to the problem's response,
    /// except for those that it sets itself; values of `vary`, `set-cookie`, `link` and `www-authenticate` are joined.
    ///
    /// # Example
    ///
    /// Pages for browsers, and the default format for other clients:
    ///
    /// ```
    /// use conduit::prelude::*;
    /// use conduit::problem::ErrorContext;
    ///
    /// fn pages(problem: Problem, request: &ErrorContext<'_>) -> Response {
    ///     // A cache must not give the page to another kind of client.
    ///     let vary = [("vary", "accept")];
    ///     if !request.wants_html() {
    ///         return (vary, problem).into_response();
    ///     }
    ///     let page = format!("<h1>{}</h1>", problem.title().unwrap_or("Error"));
    ///     (problem.status(), vary, Html(page)).into_response()
    /// }
    ///
    /// #[get("/")]
    /// async fn hello() -> &'static str {
    ///     "Hello, World!"
    /// }
    ///
    /// let app = App::new(()).routes(routes![hello]).errors(pages);
    /// ```
    #[track_caller]
    pub fn errors(mut self, form: impl Fn(Problem, &ErrorContext<'_>) -> Response + Send + Sync + 'static) -> Self {
        self.stack.errors.form = Some(Arc::new(form));
        self.stack.errors.place = Some(Location::caller());
        self
    }

    /// Describes the error format in the OpenAPI document: the responses that `describe` adds, with their media types and schemas,
    /// replace each problem. If the format also contains problems, call [`any_problem`](Operation::any_problem), which keeps those
    /// that handlers describe.
    ///
    /// Without it, the document has no content for error responses, and reports the gap.
    ///
    /// # Example
    ///
    /// Errors as one line of text:
    ///
    /// ```
    /// use conduit::openapi::Operation;
    /// use conduit::prelude::*;
    /// use conduit::problem::ErrorContext;
    ///
    /// fn line(problem: Problem, _: &ErrorContext<'_>) -> Response {
    ///     (problem.status(), problem.to_string()).into_response()
    /// }
    ///
    /// #[get("/")]
    /// async fn hello() -> &'static str {
    ///     "Hello, World!"
    /// }
    ///
    /// let app = App::new(()).routes(routes![hello]).errors(line).describe_errors(|operation| {
    ///     operation.response("text/plain", Operation::text());
    /// });
    /// ```
    pub fn describe_errors(mut self, describe: impl Fn(&mut Operation) + Send + Sync + 'static) -> Self {
        self.stack.errors.description = Some(Arc::new(describe));
        self
    }

    /// Sets whether the application is in development. A 500 then shows the client the error and its sources, as its `detail` and
    /// as a list, `causes`; in production only the log contains them. A 404 and a 405 name the nearest routes and the reason why
    /// they did not match (`nearest`), a 400, 415 and 422 name the route that rejected the request (`route`), and a client that
    /// accepts `text/html` receives a page, unless the function that [`errors`](App::errors) sets returns a page.
    ///
    /// The default is the environment variable `CONDUIT_ENV`: `development` means development, any other value production.
    /// Without the variable, a program built with `debug_assertions`, as by `cargo run`, is in development, and one built with
    /// `--release` in production.
    pub fn development(mut self, development: bool) -> Self {
        self.stack.errors.development = Some(development);
        self
    }
}

impl<S: 'static, R> App<S, R> {
    /// Serves until SIGINT or SIGTERM, on the comma-separated addresses in the environment variable `CONDUIT_ADDR`, or on
    /// 127.0.0.1:8080. Prints its listening addresses. [`ListenAddress`](crate::ListenAddress) documents all forms. Sockets
    /// passed by a manager such as systemd (`LISTEN_FDS`) take precedence.
    ///
    /// With `--routes`, `--openapi` or one of the other [arguments](App::arguments), the program instead prints a description of
    /// the application.
    ///
    /// # Errors
    ///
    /// Returns an error if the server cannot listen on the address, or if it is called inside a tokio runtime, as in a `main`
    /// with `#[tokio::main]`: the workers have separate runtimes; and for one of the [arguments](App::arguments) with an invalid
    /// value. The error contains the reason and the remedy.
    pub fn run(self) -> Result
    where
        R: Routed<S>,
    {
        if self.arguments
            && let Some(printout) = requested_printout()?
        {
            return self.print(printout);
        }
        // Check before opening, binding or printing anything.
        refuse_runtime()?;
        let value = std::env::var_os(ADDRESS_VARIABLE);
        let is_set = value.is_some();
        let listening = self.listen(&*run_address(value)?);
        listening
            .map_err(|error| error.of_variable(ADDRESS_VARIABLE, is_set))?
            .run()
    }

    /// Returns every route with method, path, handler, source location and layers, and the global limits, as a value that
    /// displays as a table.
    pub fn routes_table(&self) -> RoutesTable
    where
        R: Routed<S>,
    {
        // An invalid environment variable stops a server, but not the table.
        let config = with_environment(self.config.clone());
        let limits = config.as_ref().unwrap_or(&self.config).values();
        let routes = self.routes.list();
        RoutesTable::new(
            routes.definitions(),
            routes.layers(),
            self.layers(),
            paths_of_pages(self.docs.as_deref(), self.mcp_path()),
            limits,
            &self.security_of_routes(),
        )
    }

    /// Converts the application to a tower service for another server: an axum router, hyper, tower layers. It starts
    /// [`workers`](App::workers) threads, on which handlers run as in a server. The threads end when the last clone of the
    /// service and the last response are dropped; the program may exit before that.
    ///
    /// The module lists the [settings that apply](crate::tower#an-application-as-a-service) without a server. Requires the
    /// feature `tower`.
    ///
    /// # Errors
    ///
    /// Returns an error if a route of the application has the path of its docs page or of the endpoint of its tools, if a handler
    /// cannot be a tool, if an environment variable of a limit has an invalid value, or if the system cannot create a thread.
    ///
    /// # Example
    ///
    /// New routes in an axum application:
    ///
    /// ```
    /// use conduit::prelude::*;
    ///
    /// #[get("/users/{id}")]
    /// async fn user(id: Path<u32>) -> String {
    ///     format!("user {}", *id)
    /// }
    ///
    /// # fn main() -> conduit::Result {
    /// let service = App::new(()).routes(routes![user]).into_service()?;
    /// let router: axum::Router = axum::Router::new().nest_service("/api", service);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "tower")]
    pub fn into_service(mut self) -> Result<crate::tower::AppService>
    where
        R: Routed<S>,
    {
        self.add_pages()?;
        let config = observed(self.config, self.observer, self.routes.list().definitions())?;
        let (state, runtime) = self.state.settle()?;
        let plan = Plan::new(self.routes.list(), self.stack);
        install_recorder(plan.definitions());
        let threads = crate::server::service::Threads::start(plan.with_state(state), config, runtime)?;
        Ok(crate::tower::AppService::new(threads))
    }

    /// Like [`into_service`](App::into_service), on this thread alone: for a single-threaded server, or one service per thread.
    /// Handlers run in the caller's runtime; handlers that use `tokio::task::spawn_local`, and mounted services that receive a
    /// streamed body, need a `LocalRuntime` or a `LocalSet`.
    ///
    /// [`Shutdown`](crate::Shutdown), [`health`](mod@crate::health) and [`metrics`](mod@crate::metrics) have no server here.
    /// Requires the feature `tower`.
    ///
    /// # Errors
    ///
    /// Returns an error if a route of the application has the path of its docs page or of the endpoint of its tools, if a handler
    /// cannot be a tool, if an environment variable of a limit has an invalid value, or if the state is that of [`App::open`] or
    /// [`App::open_per_worker`], which need a server's threads.
    #[cfg(feature = "tower")]
    pub fn into_local_service(mut self) -> Result<crate::tower::LocalAppService>
    where
        R: Routed<S>,
    {
        self.add_pages()?;
        let config = observed(self.config, self.observer, self.routes.list().definitions())?;
        let state = match self.state {
            StateSource::Once(_) => None,
            StateSource::Workers(state) => match state.open() {
                Opening::Ready(state) => Some(state),
                Opening::Pending(_) => None,
            },
        };
        let Some(state) = state else {
            let cause = "App::open and App::open_per_worker need a server's threads: await the state yourself and use \
                         App::new, or use into_service";
            return Err(Error::system(
                "serve on this thread alone",
                std::io::Error::other(cause),
            ));
        };
        let application = Plan::new(self.routes.list(), self.stack).connect(state);
        Ok(crate::tower::LocalAppService::new(application, config))
    }

    /// Creates the pages that Conduit adds to the application.
    fn add_pages(&mut self) -> Result
    where
        R: Routed<S>,
    {
        let routes = self.routes.list();
        self.stack.pages = self.document_pages();
        #[cfg(feature = "mcp")]
        self.add_mcp_endpoint()?;
        built_in::refuse_taken(&self.stack.pages, routes.definitions())
    }

    /// Prints the text that the program's arguments request.
    fn print(self, printout: Printout) -> Result
    where
        R: Routed<S>,
    {
        match printout {
            Printout::Routes => printing::print(self.routes_table(), "print the routes"),
            #[cfg(feature = "openapi")]
            Printout::OpenApi => self.print_document(false),
            #[cfg(feature = "openapi")]
            Printout::OpenApi32 => self.print_document(true),
            #[cfg(feature = "lock")]
            Printout::Lock => self.print_lock(),
            #[cfg(feature = "codegen")]
            Printout::TypeScriptClient => self.print_typescript_client(),
            #[cfg(feature = "codegen")]
            Printout::RustClient => self.print_rust_client(),
            #[cfg(feature = "mcp")]
            Printout::Mcp => self.serve_mcp_over_stdio(),
        }
    }

    /// Listens on one or more addresses, each with all workers: a [`SocketAddr`](std::net::SocketAddr), a string such as
    /// `"127.0.0.1:8080"`, `"localhost:8080"` or `"unix:/run/app.sock"`, or a list of them. [`ListenAddress`] documents all
    /// forms. With port 0 the system chooses a port: see [`Server::address`].
    ///
    /// Sockets that a manager such as systemd passes to this process (`LISTEN_FDS`, sd_listen_fds(3)) take precedence: the
    /// first call uses all of them, and ignores `addresses`. All workers share them. The names `http` and `https`
    /// (`FileDescriptorName=`) disable and enable TLS.
    ///
    /// [`ListenAddress`]: crate::ListenAddress
    ///
    /// # Errors
    ///
    /// Returns an error if an address is invalid or unavailable (the server then listens on none of them), if a socket of the
    /// manager is not a listening stream socket, or if an environment variable of a limit has an invalid value.
    ///
    /// # Example
    ///
    /// On all interfaces, with IPv4 and IPv6, and for a proxy on this machine:
    ///
    /// ```no_run
    /// use conduit::prelude::*;
    ///
    /// #[get("/")]
    /// async fn hello() -> &'static str {
    ///     "Hello, World!"
    /// }
    ///
    /// fn main() -> conduit::Result {
    ///     App::new(())
    ///         .routes(routes![hello])
    ///         .listen(["0.0.0.0:80", "[::]:80", "unix:/run/app.sock?mode=660"])?
    ///         .run()
    /// }
    /// ```
    pub fn listen(mut self, addresses: impl ListenOn) -> Result<Server>
    where
        R: Routed<S>,
    {
        self.add_pages()?;
        let config = observed(self.config, self.observer, self.routes.list().definitions())?;
        let addresses = addresses.addresses()?;
        let (state, runtime) = self.state.settle()?;
        let listening = Listening::on(&addresses, worker_count(&config)?, &config)?;
        let plan = Plan::new(self.routes.list(), self.stack);
        install_recorder(plan.definitions());
        Server::new(listening, plan.with_state(state), config, runtime)
    }
}
