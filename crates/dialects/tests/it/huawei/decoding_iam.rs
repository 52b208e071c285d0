//! What requests to IAM ask for, and what is answered as not done here.

use http::Method;
use keystow_dialects::{Call, Fault, IssueToken, ListProjects};

use super::decoding::post;
use super::{decode, get, request, unsigned};
use crate::shared::text;

#[test]
fn iam_is_asked_for_projects_and_accounts() {
    let projects =
        |one_for: Option<&str>| Ok(Call::ListProjects(ListProjects { one_for: one_for.map(text) }));
    assert_eq!(
        decode(&get("/v3/projects?name=a&enabled=true&is_domain=false&page=1&per_page=10")),
        projects(Some("a"))
    );
    assert_eq!(decode(&get("/v3/projects")), projects(None));
    assert_eq!(decode(&get("/v3/auth/projects")), projects(None));
    assert_eq!(decode(&get("/v3/auth/domains")), Ok(Call::ShowAccount));
    for query in ["domain_id=x", "enabled=false", "is_domain=true", "page=2", "per_page=0", "x=y"] {
        assert!(decode(&get(&format!("/v3/projects?{query}"))).is_err(), "{query}");
    }
}

#[test]
fn tokens_are_asked_for_in_one_form() {
    let whole = String::from_utf8(unsigned("13").body().to_vec()).unwrap();
    let with = |from: &str, to: &str| {
        assert!(whole.contains(from), "{from}");
        decode(&post("/v3/auth/tokens", &whole.replace(from, to)))
    };
    let asked = |id: Option<&str>, name: Option<&str>| {
        Ok(Call::IssueToken(IssueToken {
            account: Some(text("keystow-domain")),
            project_id: id.map(text),
            project: name.map(text),
        }))
    };
    assert_eq!(with(r#"{"name": "cn-north-4"}"#, r#"{"id": "p"}"#), asked(Some("p"), None));
    assert_eq!(with("cn-north-4", "p"), asked(None, Some("p")));
    assert_eq!(with(r#"{"project": {"name": "cn-north-4"}}"#, "null"), asked(None, None));
    assert_eq!(
        with(r#"{"project": {"name": "cn-north-4"}}"#, r#"{"domain": {"name": "keystow-domain"}}"#),
        asked(None, None)
    );
    for (from, to) in [
        (r#""methods": ["password"]"#, r#""methods": ["token"]"#),
        (r#""methods": ["password"]"#, r#""methods": ["password", "totp"]"#),
        (r#""password": "keystow-fake-password""#, r#""password": 1"#),
        (r#""name": "backup-user", "#, ""),
        (r#"{"name": "keystow-domain"}"#, "{}"),
        (r#"{"project": {"name": "cn-north-4"}}"#, r#"{"domain": {"name": "another"}}"#),
    ] {
        let fault = with(from, to).unwrap_err();
        assert!(matches!(fault, Fault::BadParameter { .. } | Fault::MissingParameter(_)), "{to}: {fault:?}");
        assert!(!fault.to_string().contains("fake-password"));
    }
    assert!(matches!(decode(&post("/v3/auth/tokens", "x")), Err(Fault::MalformedRequest(_))));
}

#[test]
fn what_is_not_done_here_says_so() {
    for (method, target) in [
        (Method::POST, "/v3.0/OS-CREDENTIAL/securitytokens"),
        (Method::POST, "/v3/{p}/instances"),
        (Method::POST, "/v3/{p}/redis/instances/{i}/recovery"),
        (Method::PUT, "/v3/{p}/redis/instances/{i}/pitr"),
        (Method::GET, "/v3/{p}/redis/instances/{i}/pitr"),
        (Method::GET, "/v3/{p}/redis/instances/{i}/pitr/policy"),
        (Method::PUT, "/v3/{p}/redis/instances/{i}/pitr/policy"),
        (Method::GET, "/v3/{p}/redis/instances/{i}/pitr/restorable-time-periods"),
        (Method::GET, "/v3/{p}/backups/{b}/restorable-instances"),
    ] {
        assert!(matches!(decode(&request(&method, target, "{}")), Err(Fault::NotSupported(_))), "{target}");
    }
    for (method, target) in [
        (Method::GET, "/v3/{p}/backups/{b}"),
        (Method::GET, "/v3//backups"),
        (Method::GET, "/v3/{p}"),
        (Method::POST, "/v3/projects"),
        (Method::HEAD, "/v3/{p}/backups"),
        (Method::GET, "/v2/{p}/backups"),
    ] {
        assert!(matches!(decode(&request(&method, target, "")), Err(Fault::UnknownAction(_))), "{target}");
    }
}
