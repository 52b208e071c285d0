//! The look-ups of IAM that SDKs make, tokens, and the API versions.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::parameters::{Query, bad};
use super::request::Asked;
use super::{Answer, times};
use crate::canonical::peek_parameter;
use crate::huawei::route::Action;
use crate::vocabulary::{AccountRow, Call, Fault, IssuedToken, ListProjects, ProjectRow, Request};

/// Day of the API that is served ("Querying API Version Information").
const UPDATED: &str = "2017-02-07T17:34:02Z";

/// `KeystoneListProjects`: SDKs ask for the project of a region and need exactly one.
pub(super) fn projects(asked: &Asked<'_>) -> Result<Call, Fault> {
    let others = ["domain_id", "parent_id"];
    let own = ["name", "enabled", "is_domain", "page", "per_page"];
    let query = Query::read(asked.request, &[&own[..], &others].concat())?;
    query.refuse(&others)?;
    if !matches!(query.text("enabled"), None | Some("true")) {
        return Err(bad("enabled", "must be true; every project here is"));
    }
    if query.flag("is_domain")? {
        return Err(bad("is_domain", "must be false; no project here is"));
    }
    if !matches!(query.text("page"), None | Some("1")) {
        return Err(bad("page", "must be 1; all projects are on it"));
    }
    let size: Option<u32> = query.text("per_page").map_or(Some(1), |text| text.parse().ok());
    if !size.is_some_and(|size| (1..=5000).contains(&size)) {
        return Err(bad("per_page", "must be 1 to 5000"));
    }
    Ok(Call::ListProjects(ListProjects { one_for: query.owned("name") }))
}

/// `KeystoneListAuthProjects`.
pub(super) fn own_projects(asked: &Asked<'_>) -> Result<Call, Fault> {
    Query::read(asked.request, &[])?;
    Ok(Call::ListProjects(ListProjects { one_for: None }))
}

/// `KeystoneListAuthDomains`.
pub(super) fn domains(asked: &Asked<'_>) -> Result<Call, Fault> {
    Query::read(asked.request, &[])?;
    Ok(Call::ShowAccount)
}

fn links(path: &str) -> Value {
    json!({"self": path, "next": null, "previous": null})
}

/// Writes the projects.
pub(super) fn projects_answer(rows: &[ProjectRow], request: &Request) -> Value {
    let project = |row: &ProjectRow| {
        json!({
            "id": row.id,
            "name": row.name,
            "domain_id": row.account,
            "parent_id": row.account,
            "is_domain": false,
            "enabled": true,
            "description": "",
            "links": {"self": format!("/v3/projects/{}", row.id)},
        })
    };
    json!({"projects": rows.iter().map(project).collect::<Vec<_>>(), "links": links(request.uri().path())})
}

/// Writes the account, the vendor's "domain".
pub(super) fn domains_answer(row: &AccountRow, request: &Request) -> Value {
    let domain = json!({
        "id": row.id,
        "name": row.name,
        "enabled": true,
        "description": "",
        "links": {"self": format!("/v3/domains/{}", row.id)},
    });
    json!({"domains": [domain], "links": links(request.uri().path())})
}

/// Writes a token: itself in a header, what it stands for in the body.
pub(super) fn token_answer(issued: &IssuedToken, request: &Request) -> Result<Answer, Fault> {
    let domain = json!({"id": issued.account.id, "name": issued.account.name});
    let mut token = Map::new();
    let mut put = |name: &str, value: Value| token.insert(name.to_owned(), value);
    put("expires_at", times::write(issued.expires_at, times::MICROS).into());
    put("issued_at", times::write(issued.issued_at, times::MICROS).into());
    put("methods", json!(["password"]));
    if peek_parameter(request, "nocatalog").is_none_or(<[u8]>::is_empty) {
        put("catalog", json!([]));
    }
    put("roles", json!([{"id": "0", "name": issued.role}]));
    match &issued.project {
        Some(project) => put("project", json!({"id": project.id, "name": project.name, "domain": domain})),
        None => put("domain", domain.clone()),
    };
    let name = &issued.access_key_id;
    put("user", json!({"id": name, "name": name, "password_expires_at": "", "domain": domain}));
    let token_text = String::from_utf8(issued.token.expose().to_vec()).map_err(|_| Fault::Internal)?;
    let body = Some(json!({ "token": token }));
    Ok(Answer { status: StatusCode::CREATED, body, token: Some(token_text) })
}

/// The versions of the API, which anybody may ask for.
pub(in crate::huawei) fn versions(action: Action) -> Option<Answer> {
    let version = json!({
        "id": "v3",
        "links": [],
        "status": "CURRENT",
        "version": "",
        "min_version": "",
        "updated": UPDATED,
    });
    match action {
        Action::ListApiVersion => Some(Answer::ok(json!({ "versions": [version] }))),
        Action::ShowApiVersion => Some(Answer::ok(json!({ "version": version }))),
        _ => None,
    }
}
