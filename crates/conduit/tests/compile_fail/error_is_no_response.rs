use conduit::prelude::*;

struct Own;

#[get("/io")]
async fn read() -> Result<String, std::io::Error> {
    std::fs::read_to_string("motto")
}

#[get("/boxed")]
async fn boxed() -> Result<String, Box<dyn std::error::Error>> {
    Ok(std::fs::read_to_string("motto")?)
}

#[get("/own")]
fn own() -> Result<Json<u64>, Own> {
    Err(Own)
}

fn main() {
    App::new(()).routes(routes![read, boxed, own]);
}
