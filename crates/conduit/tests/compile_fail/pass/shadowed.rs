//! Names in scope of a handler do not affect the code that attributes and derives generate.
#![no_implicit_prelude]
#![deny(warnings, unused)]
#![deny(clippy::future_not_send)]
#![allow(non_camel_case_types, non_upper_case_globals, dead_code, clippy::no_effect_underscore_binding)]

/// Every name that generated code could resolve to by mistake.
macro_rules! shadow_everything {
    () => {
        mod bytes {}
        mod clippy {}
        mod conduit {}
        mod core {}
        mod diagnostic {}
        mod http {}
        mod rustc {}
        mod serde {}
        mod std {}
        struct bool;
        struct char;
        struct str;
        struct u8;
        struct u16;
        struct u64;
        struct usize;
        struct BoxError;
        struct Box;
        struct Clone;
        struct Definition;
        struct From;
        struct FromRequest;
        struct Future;
        struct Handler;
        struct Into;
        struct IntoResponse;
        struct Operation;
        struct Option;
        struct Parameter;
        struct PathParams;
        struct Problem;
        struct Rc;
        struct Request;
        struct Response;
        struct Result;
        struct Route;
        struct Self_;
        struct Some;
        struct None;
        struct Ok;
        struct Err;
        struct State;
        struct StatusCode;
        struct String;
        struct ToString;
        struct Vec;
        static argument: bool = bool;
        static cause: bool = bool;
        static error: bool = bool;
        static kind: bool = bool;
        static operation: bool = bool;
        static rejection: bool = bool;
        static request: bool = bool;
        static returned: bool = bool;
        static state: bool = bool;
        static status: bool = bool;
        static taken: bool = bool;
        static value: bool = bool;
        const DEFINITION: bool = bool;
        const DEFINITIONS: bool = bool;
        const DRAFT: bool = bool;
        const EXACT: bool = bool;
        const JOINED: bool = bool;
        const NAMES: bool = bool;
        const NEW: bool = bool;
        const PARTS: bool = bool;
        const SIZE: bool = bool;
        const STORAGE: bool = bool;
    };
}

mod app {
    shadow_everything!();

    use ::conduit::{get, post, route, routes};

    #[derive(::conduit::PathParams)]
    struct PostPath {
        id: ::core::primitive::u64,
    }

    #[derive(::core::clone::Clone, ::conduit::FromRef)]
    pub struct Store {
        name: ::std::string::String,
        count: ::core::primitive::u64,
    }

    #[derive(::conduit::Problem)]
    enum Refusal {
        #[problem(status = 404, title = "No such thing", detail = "nothing is called {name}")]
        Missing {
            #[problem(member)]
            name: ::std::string::String,
        },
        #[problem(status = 503)]
        Broken(#[from] ::std::io::Error),
        #[problem(transparent)]
        Other(#[from] ::std::num::ParseIntError),
    }

    #[derive(::core::fmt::Debug, ::conduit::Problem)]
    #[problem(std_error, status = 500, detail)]
    struct Thrown {
        source: ::std::io::Error,
    }

    impl ::core::fmt::Display for Thrown {
        fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
            f.write_str("thrown")
        }
    }

    impl ::core::error::Error for Thrown {}

    /// Documented.
    #[get("/things/{id}")]
    async fn show(
        id: ::conduit::Path<::core::primitive::u64>,
        name: ::conduit::State<::std::string::String>,
    ) -> ::core::result::Result<::conduit::Json<::std::string::String>, Refusal> {
        if id.0 == 0 {
            return ::core::result::Result::Err(Refusal::Missing { name: name.0 });
        }
        ::core::result::Result::Ok(::conduit::Json(name.0))
    }

    #[post("/things/{id}/{slug}")]
    fn wrapped(
        id: ::core::option::Option<::conduit::Path<::core::primitive::u64>>,
        slug: ::core::result::Result<::conduit::Path<::std::string::String>, ::conduit::Problem>,
        body: ::conduit::Bytes,
    ) -> ::core::result::Result<::std::string::String, ::conduit::Problem> {
        ::core::mem::drop((id, body));
        ::core::result::Result::Ok(slug?.0)
    }

    #[route(PROPFIND, "/all", disconnect = "abort")]
    fn all(whole: ::conduit::Request) {
        ::core::mem::drop(whole);
    }

    async fn layer(whole: ::conduit::Request, next: ::conduit::Next) -> ::conduit::Response {
        next.run(whole).await
    }

    mod more {
        #[::conduit::get("/")]
        pub fn index() {}

        pub const TABLE: ::conduit::Routes = ::conduit::routes![index];
    }

    pub const ROUTES: ::conduit::Routes<Store> =
        routes![show, self::wrapped, #[layer(layer)] [all, more::index], "/more" => [#[cfg(any())] absent, show]];
}

/// A handler may have the name of a crate or of the compiler's tools.
mod named {
    use ::conduit::{get, routes};

    #[get("/diagnostic")]
    fn diagnostic() {}

    #[get("/conduit")]
    fn conduit() {}

    #[get("/core")]
    fn core() {}

    #[get("/std")]
    fn std() {}

    mod lists {
        pub const TABLE: ::conduit::Routes = ::conduit::routes![];
        pub const PARTS: ::conduit::Routes = ::conduit::routes![];
    }
    use lists::{PARTS, TABLE};

    pub const ROUTES: ::conduit::Routes = routes![diagnostic, conduit, core, std, PARTS, "/t" => TABLE];
}

fn main() {
    let _ = (app::ROUTES, named::ROUTES);
}
