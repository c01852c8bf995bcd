use conduit::{Embedded, asset, embed};

const ASSETS: Embedded = embed!(".", "/assets");

fn main() {
    let _ = asset!(ASSETS, "no-such-file.css");
}
