//! The common part of both services: the pool, the SQL, and the page.

use std::fmt::Write;

use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

/// Opens a pool whose connections are all open from the start.
pub async fn open(url: &str, connections: u32) -> Result<PgPool, sqlx::Error> {
    PgPoolOptions::new()
        .min_connections(connections)
        .max_connections(connections)
        .connect(url)
        .await
}

#[derive(serde::Serialize, sqlx::FromRow)]
pub struct World {
    id: i32,
    number: i32,
}

pub async fn world(id: i32, pool: &PgPool) -> Result<World, sqlx::Error> {
    sqlx::query_as("SELECT id, number FROM worlds WHERE id = $1")
        .bind(id)
        .fetch_one(pool)
        .await
}

#[derive(sqlx::FromRow)]
struct Fortune {
    id: i32,
    message: String,
}

/// Renders all fortunes and an additional one, ordered by message, as TechEmpower's benchmark defines it.
pub async fn fortunes(pool: &PgPool) -> Result<String, sqlx::Error> {
    let mut fortunes: Vec<Fortune> = sqlx::query_as("SELECT id, message FROM fortunes")
        .fetch_all(pool)
        .await?;
    fortunes.push(Fortune {
        id: 0,
        message: "Additional fortune added at request time.".to_owned(),
    });
    fortunes.sort_by(|one, other| one.message.cmp(&other.message));

    let mut page = String::with_capacity(4096);
    page.push_str("<!DOCTYPE html><html><head><title>Fortunes</title></head><body><table>");
    page.push_str("<tr><th>id</th><th>message</th></tr>");
    for fortune in &fortunes {
        write!(page, "<tr><td>{}</td><td>", fortune.id).expect("writing to a string cannot fail");
        escape(&fortune.message, &mut page);
        page.push_str("</td></tr>");
    }
    page.push_str("</table></body></html>");
    Ok(page)
}

fn escape(text: &str, page: &mut String) {
    for character in text.chars() {
        match character {
            '&' => page.push_str("&amp;"),
            '<' => page.push_str("&lt;"),
            '>' => page.push_str("&gt;"),
            '"' => page.push_str("&quot;"),
            '\'' => page.push_str("&#x27;"),
            character => page.push(character),
        }
    }
}
