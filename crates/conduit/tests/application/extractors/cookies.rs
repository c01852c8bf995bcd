//! Cookies: read, set, removed, signed and encrypted.

use conduit::cookie::{Cookie, SameSite};
use conduit::extract::{CookieKey, Cookies, PrivateCookies, SignedCookies};
use conduit::prelude::*;

use crate::support::{Response as Answer, Running, serve};

#[derive(Clone, FromRef)]
struct SignedSite {
    key: CookieKey,
}

#[get("/read/{name}")]
fn read(name: Path<String>, cookies: Cookies) -> String {
    format!("{:?}", cookies.value(&name))
}

#[get("/set")]
fn set(mut cookies: Cookies) -> (Cookies, &'static str) {
    cookies.add(Cookie::new("theme", "dark; Domain=evil.example, \"x\" €"));
    cookies.add(
        Cookie::build(("open", "1"))
            .http_only(false)
            .same_site(SameSite::Strict)
            .path("/open"),
    );
    cookies.add(Cookie::build(("framed", "1")).same_site(SameSite::None));
    (cookies, "set")
}

#[get("/forget")]
fn forget(mut cookies: Cookies) -> (Cookies, Redirect) {
    cookies.remove("theme");
    (cookies, Redirect::to("/"))
}

/// The cookies after the removal of one.
#[get("/removed/{name}")]
fn removed(name: Path<String>, mut cookies: Cookies) -> (Cookies, String) {
    cookies.remove(Cookie::build(name.to_string()).path("/shop").domain("shop.example"));
    let mut names: Vec<_> = cookies.iter().map(Cookie::name).collect();
    names.sort_unstable();
    let text = format!("{:?} {:?} {names:?}", cookies.get(&name), cookies.value(&name));
    (cookies, text)
}

#[get("/restored/{name}")]
fn restored(name: Path<String>, mut cookies: Cookies) -> (Cookies, String) {
    cookies.remove(name.to_string());
    cookies.add(Cookie::new(name.to_string(), "new"));
    let text = format!("{:?}", cookies.value(&name));
    (cookies, text)
}

#[get("/untouched")]
fn untouched(cookies: Cookies) -> Cookies {
    cookies
}

#[get("/sign")]
fn sign(mut cookies: SignedCookies) -> SignedCookies {
    cookies.add(Cookie::new("user", "7"));
    cookies
}

#[get("/signed/{name}")]
fn signed(name: Path<String>, cookies: SignedCookies) -> String {
    format!("{:?}", cookies.get(&name).map(|cookie| cookie.value().to_owned()))
}

#[get("/hide")]
fn hide(mut cookies: PrivateCookies) -> PrivateCookies {
    cookies.add(Cookie::new("user", "seven"));
    cookies
}

#[get("/hidden/{name}")]
fn hidden(name: Path<String>, cookies: PrivateCookies) -> String {
    format!("{:?}", cookies.get(&name).map(|cookie| cookie.value().to_owned()))
}

fn running(development: bool) -> Running {
    let key = CookieKey::from_secret([7; 32]).expect("it is long enough");
    let routes = routes![
        read, set, forget, removed, restored, untouched, sign, signed, hide, hidden
    ];
    serve(App::new(SignedSite { key }).development(development).routes(routes))
}

fn get_with(server: &Running, path: &str, cookies: &str) -> String {
    let response = server.request(format!(
        "GET {path} HTTP/1.1\r\nhost: test\r\ncookie: {cookies}\r\n\r\n"
    ));
    response.text().to_owned()
}

fn set_by(response: &Answer) -> Vec<&str> {
    let fields = response.headers.iter();
    let mut set: Vec<_> = fields
        .filter(|field| field.0.eq_ignore_ascii_case("set-cookie"))
        .map(|field| &*field.1)
        .collect();
    set.sort_unstable();
    set
}

/// The name and value of the only cookie that a response sets.
fn only_cookie(response: &Answer) -> String {
    let [cookie] = set_by(response)[..] else {
        panic!("{response:?}")
    };
    cookie.split(';').next().expect("a name and a value").to_owned()
}

#[test]
fn a_cookie_of_the_request_is_read() {
    let server = running(false);
    assert_eq!(
        get_with(&server, "/read/b", "a=1; b=x%3By%E2%82%AC; c"),
        "Some(\"x;y€\")"
    );
    assert_eq!(get_with(&server, "/read/c", "a=1"), "None");
    assert_eq!(server.get("/read/a").text(), "None");
}

/// `Cookies`, `CookieValues` and `ApiKey` read every cookie in the same way, or reject it.
#[test]
fn all_extractors_read_a_cookie_in_the_same_way() {
    struct InCookie;
    impl conduit::Key for InCookie {
        const PLACE: conduit::KeyPlace = conduit::KeyPlace::Cookie("k");
    }

    #[derive(serde::Deserialize)]
    struct Values {
        k: Option<String>,
    }

    #[get("/key")]
    fn key(key: conduit::ApiKey<InCookie>) -> String {
        key.key.reveal().to_owned()
    }

    #[get("/values")]
    fn values(values: CookieValues<Values>) -> String {
        values.0.k.unwrap_or_else(|| "missing".to_owned())
    }

    #[get("/cookies")]
    fn cookies(cookies: Cookies) -> String {
        cookies.value("k").unwrap_or("missing").to_owned()
    }

    let server = serve(App::new(()).development(false).routes(routes![key, values, cookies]));
    let ask = |path: &str, fields: &[&[u8]]| {
        let mut request = format!("GET {path} HTTP/1.1\r\nhost: test\r\n").into_bytes();
        for field in fields {
            request.extend([b"cookie: ", *field, b"\r\n"].concat());
        }
        request.extend(b"\r\n");
        let answer = server.request(request);
        match answer.status {
            200 => answer.text().to_owned(),
            status => status.to_string(),
        }
    };
    // The fields, and the value for `Cookies`, `CookieValues` and `ApiKey`.
    let cases: [(&[&[u8]], [&str; 3]); 17] = [
        (&[b"k=1"], ["1"; 3]),
        (&[b"a=0;k=1 ; b"], ["1"; 3]),
        (&[b"a=0", b"k=1"], ["1"; 3]),
        (&[b"k=%41%3B%C3%A4"], ["A;ä"; 3]),
        (&[b"k=100%"], ["100%"; 3]),
        (&[b"k=a+b"], ["a+b"; 3]),
        (&[b"k=\"1\""], ["1"; 3]),
        (&[b"k=\"%221\""], ["\"1"; 3]),
        (&[b"k=\"1"], ["\"1"; 3]),
        (&[b"k= 1\t"], ["1"; 3]),
        (&["k=ä".as_bytes()], ["ä"; 3]),
        (&[b"k="], [""; 3]),
        (&[b"K=1; %6b=2; xk=3; k"], ["missing", "missing", "401"]),
        // Two cookies of one name: the first one, which has the longest path, or an error.
        (&[b"k=1; k=2"], ["1", "400", "400"]),
        (&[b"k=1", b"k=2"], ["1", "400", "400"]),
        // Not UTF-8: absent, or an error. Other cookies of the field are read.
        (&[b"k=%ff; k"], ["missing", "400", "400"]),
        (&[b"a=\xff; k=1"], ["1"; 3]),
    ];
    for (fields, expected) in cases {
        let found = ["/cookies", "/values", "/key"].map(|path| ask(path, fields));
        let shown: Vec<_> = fields.iter().map(|field| field.escape_ascii().to_string()).collect();
        assert_eq!(found, expected, "{shown:?}");
    }
}

/// A site of the same domain can set `__%48ost-user`, and no other host can set `__Host-user`.
#[test]
fn an_encoded_name_does_not_pass_for_one_with_a_prefix() {
    let server = running(false);
    assert_eq!(get_with(&server, "/read/__Host-user", "__%48ost-user=evil"), "None");
    assert_eq!(
        get_with(&server, "/read/__Host-user", "__%48ost-user=evil; __Host-user=7"),
        "Some(\"7\")"
    );
}

#[test]
fn a_cookie_with_an_invalid_name_is_not_set() {
    #[get("/bad")]
    fn bad(mut cookies: Cookies) -> Cookies {
        cookies.add(Cookie::new("a b", "1"));
        cookies
    }
    let server = serve(App::new(()).development(false).routes(routes![bad]));
    let answer = server.get("/bad");
    assert_eq!((answer.status, set_by(&answer).len()), (500, 0));
}

#[test]
fn cookie_has_safe_attributes_by_default() {
    let server = running(false);
    let response = server.get("/set");
    assert_eq!(response.text(), "set");
    let [framed, open, theme] = set_by(&response)[..] else {
        panic!("{response:?}")
    };
    assert_eq!(framed, "framed=1; HttpOnly; SameSite=None; Secure; Path=/");
    assert_eq!(open, "open=1; SameSite=Strict; Secure; Path=/open");
    assert!(theme.ends_with("; HttpOnly; SameSite=Lax; Secure; Path=/"), "{theme}");
    // The value cannot add an attribute.
    assert_eq!(theme.matches(';').count(), 4, "{theme}");
    let value = theme.split(';').next().expect("a name and a value");
    assert_eq!(
        get_with(&server, "/read/theme", value),
        format!("{:?}", Some("dark; Domain=evil.example, \"x\" €"))
    );
}

#[test]
fn in_development_a_cookie_needs_no_encrypted_connection() {
    let response = running(true).get("/set");
    let [framed, open, _] = set_by(&response)[..] else {
        panic!("{response:?}")
    };
    assert_eq!(open, "open=1; SameSite=Strict; Path=/open");
    assert!(framed.contains("Secure"), "{framed}");
}

#[test]
fn a_removed_cookie_is_one_that_has_expired() {
    let response = running(false).get("/forget");
    assert_eq!((response.status, response.header("location")), (303, Some("/")));
    let [theme] = set_by(&response)[..] else {
        panic!("{response:?}")
    };
    assert!(theme.starts_with("theme=; "), "{theme}");
    assert!(theme.contains("Max-Age=0") && theme.contains("Path=/"), "{theme}");
}

#[test]
fn a_removed_cookie_is_absent_and_its_removal_is_sent() {
    let server = running(false);
    let send = |path: &str| server.request(format!("GET {path} HTTP/1.1\r\nhost: test\r\ncookie: a=1; b=2\r\n\r\n"));
    // The client may have a cookie of another path, which it did not send.
    for (name, left) in [("a", r#"None None ["b"]"#), ("c", r#"None None ["a", "b"]"#)] {
        let response = send(&format!("/removed/{name}"));
        assert_eq!(response.text(), left);
        let [cookie] = set_by(&response)[..] else {
            panic!("{response:?}")
        };
        assert!(cookie.starts_with(&format!("{name}=; ")), "{cookie}");
        for attribute in ["Max-Age=0", "Path=/shop", "Domain=shop.example"] {
            assert!(cookie.contains(attribute), "{cookie}");
        }
        let restored = send(&format!("/restored/{name}"));
        assert_eq!(restored.text(), "Some(\"new\")");
        assert_eq!(only_cookie(&restored), format!("{name}=new"));
    }
}

#[test]
fn cookies_that_are_not_changed_are_not_sent_back() {
    let server = running(false);
    let response = server.request("GET /untouched HTTP/1.1\r\nhost: test\r\ncookie: a=1\r\n\r\n");
    assert_eq!((response.status, response.header("set-cookie")), (200, None));
}

#[test]
fn a_signed_cookie_is_readable_and_cannot_be_forged() {
    let server = running(false);
    let cookie = only_cookie(&server.get("/sign"));
    assert_eq!(get_with(&server, "/signed/user", &cookie), "Some(\"7\")");
    let forged = format!("{}8", &cookie[..cookie.len() - 1]);
    assert_eq!(get_with(&server, "/signed/user", &forged), "None");
    assert_eq!(get_with(&server, "/signed/user", "user=7"), "None");
    // A value signed for one name is invalid under another.
    let renamed = cookie.replacen("user=", "admin=", 1);
    assert_eq!(get_with(&server, "/signed/admin", &renamed), "None");
}

#[test]
fn a_private_cookie_is_encrypted_and_cannot_be_forged() {
    let server = running(false);
    let cookie = only_cookie(&server.get("/hide"));
    assert!(!cookie.contains("seven"), "{cookie}");
    assert_eq!(get_with(&server, "/hidden/user", &cookie), "Some(\"seven\")");
    let renamed = cookie.replacen("user=", "admin=", 1);
    assert_eq!(get_with(&server, "/hidden/admin", &renamed), "None");
    assert_eq!(get_with(&server, "/hidden/user", "user=AAAA"), "None");
}

#[test]
fn a_short_secret_is_an_error_that_does_not_show_it() {
    let error = CookieKey::from_secret("hunter2").expect_err("it is short");
    assert!(error.to_string().contains("has 7 bytes, but at least 32"), "{error}");
    assert_eq!(format!("{:?}", CookieKey::random()), "CookieKey(…)");
}
