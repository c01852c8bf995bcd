//! The client in Rust that the program prints, compiled as a part of this test and run against the service.

use std::path::Path;

use crate::npm::run;
use crate::support::{Directory, Service, command};

use printed::{
    Client, Error, LinksCreateInput, LinksCreateReply, LinksFollowInput, LinksFollowReply, LinksListInput,
    LinksListReply, LinksRemoveInput, LinksRemoveReply, LinksShowInput, LinksShowReply, NewLinkNewLinkInput,
    UsersCredentials, UsersSignInInput, UsersSignInReply, UsersSignUpInput, UsersSignUpReply, UsersWhoamiReply,
};

#[rustfmt::skip]
#[allow(dead_code, unreachable_pub, reason = "it is the source of a library")]
#[path = "rust_client.txt"]
mod printed;

#[test]
fn the_compiled_client_is_the_printed_one() {
    let directory = Directory::new();
    let client = run(command(&directory.path().join("unused.db")).args(["--client", "rust"]));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/program/rust_client.txt");
    if std::env::var_os("CONDUIT_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, &client.stdout).expect("the client can be written");
    }
    let known = std::fs::read(&path).expect("the client can be read");
    assert!(
        known == client.stdout,
        "the printed client differs from {}: review the change, and run the test with CONDUIT_WRITE_GOLDEN=1",
        path.display()
    );
}

#[test]
fn a_program_drives_the_service_through_the_printed_client() {
    let directory = Directory::new();
    let service = Service::start(&directory.path().join("links.db"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime
        .block_on(drive(&service.address))
        .expect("each response is documented");
}

async fn drive(address: &str) -> Result<(), Error> {
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    let mut client = Client::new(address, http);
    let me = || UsersCredentials {
        name: "rust-client".to_owned(),
        password: "correct horse".to_owned(),
    };
    let anonymous = printed::links_list(&client, &LinksListInput::default()).await?;
    assert!(matches!(anonymous.body, LinksListReply::Status401(_)), "{anonymous:?}");
    let signed_up = printed::users_sign_up(&client, &UsersSignUpInput { body: me() }).await?;
    assert!(
        matches!(signed_up.body, UsersSignUpReply::Status201(_)),
        "{signed_up:?}"
    );
    let again = printed::users_sign_up(&client, &UsersSignUpInput { body: me() }).await?;
    let UsersSignUpReply::Status409(taken) = again.body else {
        panic!("{again:?}")
    };
    assert_eq!(
        taken.detail.as_deref(),
        Some("The name \"rust-client\" is taken: choose another.")
    );
    let signed_in = printed::users_sign_in(&client, &UsersSignInInput { body: me() }).await?;
    assert!(
        matches!(signed_in.body, UsersSignInReply::Status201(_)),
        "{signed_in:?}"
    );
    let cookie = signed_in.headers["set-cookie"].to_str().expect("a text");
    let (_, value) = cookie.split_once('=').expect("a name");
    client.credentials.session = value.split(';').next().map(str::to_owned);
    let whoami = printed::users_whoami(&client, &Default::default()).await?;
    let UsersWhoamiReply::Status200(user) = whoami.body else {
        panic!("{whoami:?}")
    };
    assert_eq!(user.name, "rust-client");
    let new = |url: &str, slug: &str| LinksCreateInput {
        body: NewLinkNewLinkInput {
            url: url.to_owned(),
            slug: Some(slug.to_owned()),
        },
    };
    let created = printed::links_create(&client, &new("https://doc.rust-lang.org/", "rust")).await?;
    assert_eq!(created.headers["location"], "/api/links/rust");
    let LinksCreateReply::Status201(link) = created.body else {
        panic!("{created:?}")
    };
    assert_eq!(link.url, "https://doc.rust-lang.org/");
    let invalid = printed::links_create(&client, &new("javascript:alert(1)", "A B")).await?;
    let LinksCreateReply::Status422(problem) = invalid.body else {
        panic!("{invalid:?}")
    };
    assert_eq!(problem.errors.map(|errors| errors.len()), Some(2));
    let followed = printed::links_follow(
        &client,
        &LinksFollowInput {
            slug: "rust".to_owned(),
        },
    )
    .await?;
    assert!(
        matches!(followed.body, LinksFollowReply::Status3xx(307, _)),
        "{followed:?}"
    );
    let shown = printed::links_show(
        &client,
        &LinksShowInput {
            slug: "rust".to_owned(),
            ..LinksShowInput::default()
        },
    )
    .await?;
    let LinksShowReply::Status200(link) = shown.body else {
        panic!("{shown:?}")
    };
    assert_eq!(link.clicks, 1);
    let listed = printed::links_list(
        &client,
        &LinksListInput {
            limit: Some(1),
            ..LinksListInput::default()
        },
    )
    .await?;
    let LinksListReply::Status200(page) = listed.body else {
        panic!("{listed:?}")
    };
    assert_eq!((page.links.len(), page.next), (1, None));
    let elsewhere = printed::links_show(
        &client,
        &LinksShowInput {
            slug: "..".to_owned(),
            ..LinksShowInput::default()
        },
    )
    .await;
    assert!(matches!(elsewhere, Err(Error::Input(_))), "{elsewhere:?}");
    let removed = printed::links_remove(
        &client,
        &LinksRemoveInput {
            slug: "rust".to_owned(),
        },
    )
    .await?;
    assert!(matches!(removed.body, LinksRemoveReply::Status204), "{removed:?}");
    let missing = printed::links_show(
        &client,
        &LinksShowInput {
            slug: "rust".to_owned(),
            ..LinksShowInput::default()
        },
    )
    .await?;
    assert!(matches!(missing.body, LinksShowReply::Status404(_)), "{missing:?}");
    Ok(())
}
