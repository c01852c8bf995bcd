use conduit::prelude::*;

#[derive(PathParams)]
struct Tuple(u64);

#[derive(PathParams)]
enum Choice {}

#[derive(PathParams)]
#[serde(rename_all = "camelCase")]
struct Renamed {
    user_id: u64,
}

#[derive(PathParams)]
struct Flattened {
    #[serde(flatten)]
    inner: u64,
}

#[derive(Clone, FromRef)]
struct Twice {
    first: String,
    second: String,
}

#[derive(Clone, FromRef)]
struct Generic<T> {
    value: T,
}

#[derive(Clone, FromRef)]
struct Option {
    #[from_ref(ignore)]
    value: u64,
}

fn main() {}
