//! The native API and the shared port: who is let in, and what is said to others.

use crate::lab::{Server, request};

/// Every route of the native API, from its own description.
fn routes(server: &Server) -> Vec<(String, String)> {
    let document = request(server.api, "GET", "/api/v1/openapi.json", &[], b"").json();
    assert_eq!(document["info"]["title"], "Keystow");
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            found.push((
                method.to_uppercase(),
                format!("/api/v1{}", path.replace("{id}", "x").replace("{number}", "1")),
            ));
        }
    }
    assert!(found.len() > 20, "{found:?}");
    found
}

#[test]
fn no_route_answers_without_a_right_key() {
    let server = Server::start();
    let (id, secret) = server.admin();
    for (method, path) in routes(&server) {
        for key in [
            None,
            Some((id.as_str(), "wrong-secret")),
            Some(("nobody", secret.as_str())),
            Some((id.as_str(), "")),
        ] {
            let reply = server.api_as(key, &method, &path, "{}");
            assert_eq!(reply.status, 401, "{method} {path} {key:?}");
            assert_eq!(reply.header("content-type"), "application/problem+json");
            assert!(reply.header("www-authenticate").starts_with("Basic"));
        }
    }
}

#[test]
fn a_viewer_changes_nothing() {
    let server = Server::start();
    let key = server.json(&["key", "create", "--role", "viewer"]);
    let key = Some((key["access_key_id"].as_str().unwrap(), key["secret"].as_str().unwrap()));
    let bodies = [
        ("POST", "/api/v1/instances", r#"{"url":"redis://127.0.0.1:1","id":"a"}"#),
        ("POST", "/api/v1/backups", r#"{"instance":"a"}"#),
        ("PATCH", "/api/v1/instances/a", "{}"),
        ("POST", "/api/v1/restores", r#"{"backup":"1","to":"redis://127.0.0.1:1"}"#),
        ("POST", "/api/v1/restores", r#"{"backup":"1","to":"redis://127.0.0.1:1","dry_run":true}"#),
        ("POST", "/api/v1/drills", r#"{"backup":"1"}"#),
        ("POST", "/api/v1/links", r#"{"backup":"1"}"#),
        ("POST", "/api/v1/keys", "{}"),
        ("POST", "/api/v1/accounts", r#"{"id":"x"}"#),
        ("POST", "/api/v1/projects", r#"{"id":"x"}"#),
        ("POST", "/api/v1/keys/x/rotation", ""),
        ("DELETE", "/api/v1/keys/x", ""),
        ("DELETE", "/api/v1/instances/a", ""),
        ("DELETE", "/api/v1/backups/1", ""),
        ("DELETE", "/api/v1/links/x", ""),
        ("POST", "/api/v1/jobs/1/cancellation", ""),
        ("POST", "/api/v1/webhooks", r#"{"url":"https://h.example/"}"#),
        ("PATCH", "/api/v1/webhooks/x", r#"{"paused":true}"#),
        ("POST", "/api/v1/webhooks/x/test", ""),
        ("DELETE", "/api/v1/webhooks/x", ""),
        ("GET", "/api/v1/keys", ""),
        ("GET", "/api/v1/links", ""),
        ("GET", "/api/v1/status", ""),
    ];
    for (method, path, body) in bodies {
        let reply = server.api_as(key, method, path, body);
        assert_eq!(reply.status, 403, "{method} {path}: {}", reply.text());
        assert_eq!(reply.json()["code"], "ROLE_DENIED");
    }
}

#[test]
fn nonsense_is_refused_with_a_problem() {
    let server = Server::start();
    for (method, path, body) in [
        ("POST", "/api/v1/backups", "{"),
        ("POST", "/api/v1/backups", r#"{"instance":"a","no_such_field":1}"#),
        ("POST", "/api/v1/backups", r#"{"instance":"../../etc"}"#),
        ("POST", "/api/v1/restores", r#"{"backup":"1"}"#),
        ("POST", "/api/v1/restores", r#"{"backup":"1","to":"redis://h","instance":"a"}"#),
        ("POST", "/api/v1/restores", r#"{"backup":"1","instance":"a","password":"x"}"#),
        ("POST", "/api/v1/restores", r#"{"backup":"1","to":"redis://h","method":"magic"}"#),
        ("POST", "/api/v1/restores", r#"{"backup":"1","to":"redis://h","on_conflict":"merge"}"#),
        ("POST", "/api/v1/drills", r#"{"backup":"x"}"#),
        ("PATCH", "/api/v1/instances/a", r#"{"capture":{"method":"odd"}}"#),
        ("GET", "/api/v1/backups?state=odd", ""),
        ("GET", "/api/v1/backups?nonsense=1", ""),
        ("GET", "/api/v1/backups/not-an-id", ""),
        ("GET", "/api/v1/jobs/not-a-number", ""),
    ] {
        let reply = server.api(method, path, body);
        assert_eq!(reply.status, 400, "{method} {path}: {}", reply.text());
        assert!(reply.json()["code"].is_string());
    }
}

#[test]
fn a_request_in_nobodys_words_is_told_where_to_go() {
    let server = Server::start();
    let reply = request(server.api, "GET", "/nowhere", &[], b"");
    assert_eq!(reply.status, 404);
    assert_eq!(reply.json()["code"], "UNKNOWN_ROUTE");
    assert_eq!(request(server.api, "GET", "/healthz", &[], b"").status, 200);
}

#[test]
fn a_vendors_request_that_fails_to_sign_in_is_answered_in_its_words() {
    let server = Server::start();
    let alibaba = request(
        server.api,
        "GET",
        "/?Action=DescribeBackups&Version=2015-01-01&Format=JSON&AccessKeyId=nobody&SignatureMethod=HMAC-SHA1\
         &SignatureVersion=1.0&SignatureNonce=1&Timestamp=2026-01-01T00:00:00Z&Signature=x",
        &[],
        b"",
    );
    assert!(alibaba.status >= 400);
    assert!(alibaba.json()["Code"].is_string(), "{}", alibaba.text());
    let tencent = request(
        server.api,
        "POST",
        "/",
        &[
            ("X-TC-Action", "DescribeBackupUrl"),
            ("X-TC-Version", "2018-04-12"),
            ("X-TC-Timestamp", "1"),
            ("Content-Type", "application/json"),
            ("Authorization", "TC3-HMAC-SHA256 nonsense"),
        ],
        b"{}",
    );
    assert_eq!(tencent.status, 200);
    assert_eq!(tencent.header("content-type"), "application/json");
    assert!(tencent.json()["Response"]["Error"]["Code"].as_str().unwrap().starts_with("AuthFailure"));
}

#[test]
fn a_body_without_end_is_refused() {
    let server = Server::start_with(&[("KEYSTOW_LIMITS__BODY_BYTES", "1000")]);
    let body = vec![b'x'; 20_000];
    let reply = request(server.api, "POST", "/", &[("X-TC-Action", "DescribeBackupUrl")], &body);
    assert!(reply.text().contains("RequestSizeLimitExceeded"), "{}", reply.text());
}
