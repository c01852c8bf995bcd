//! actix-web with one worker: WebSockets by actix-ws that echo, and one broadcast channel of tokio for WebSockets and event
//! streams.

use actix_web::web::{Bytes, Data, Payload};
use actix_web::{App, Error, HttpRequest, HttpResponse, HttpServer, get, post};
use actix_ws::Message;
use bytestring::ByteString;
use futures_util::{StreamExt, stream};
use tokio::sync::broadcast;

type News = broadcast::Sender<ByteString>;

#[get("/echo")]
async fn echo(request: HttpRequest, body: Payload) -> Result<HttpResponse, Error> {
    let (response, mut session, mut messages) = actix_ws::handle(&request, body)?;
    actix_web::rt::spawn(async move {
        while let Some(Ok(message)) = messages.next().await {
            let sent = match message {
                Message::Text(text) => session.text(text).await,
                Message::Binary(bytes) => session.binary(bytes).await,
                Message::Close(_) => return,
                _ => Ok(()),
            };
            if sent.is_err() {
                return;
            }
        }
    });
    Ok(response)
}

#[get("/topic")]
async fn topic(request: HttpRequest, body: Payload, news: Data<News>) -> Result<HttpResponse, Error> {
    let (response, mut session, mut messages) = actix_ws::handle(&request, body)?;
    let mut updates = news.subscribe();
    actix_web::rt::spawn(async move {
        loop {
            tokio::select! {
                message = messages.next() => if !matches!(message, Some(Ok(_))) { return },
                update = updates.recv() => {
                    let Ok(text) = update else { return };
                    if session.text(text).await.is_err() {
                        return;
                    }
                }
            }
        }
    });
    Ok(response)
}

#[get("/events")]
async fn events(news: Data<News>) -> HttpResponse {
    let events = stream::unfold(news.subscribe(), async |mut updates| {
        let text = updates.recv().await.ok()?;
        Some((Ok::<_, Error>(Bytes::from(format!("data: {text}\n\n"))), updates))
    });
    HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header(("cache-control", "no-cache"))
        .streaming(events)
}

#[post("/publish")]
async fn publish(text: String, news: Data<News>) -> &'static str {
    // `send` fails without a subscriber.
    let _ = news.send(text.into());
    "ok"
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).expect("usage: bench-actix-live ADDRESS");
    let news = Data::new(broadcast::channel::<ByteString>(256).0);
    HttpServer::new(move || {
        App::new()
            .app_data(news.clone())
            .service(echo)
            .service(topic)
            .service(events)
            .service(publish)
    })
    .workers(1)
    // The default of 5 seconds is shorter than the handshakes of 10,000 subscribers take.
    .keep_alive(std::time::Duration::from_secs(75))
    .bind(address)?
    .run()
    .await
}
