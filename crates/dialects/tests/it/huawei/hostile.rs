//! Paths and bodies of any shape are answered, never panicked on.

use http::Method;
use keystow_dialects::{Dialect, Secret, huawei::Huawei};
use proptest::prelude::*;

use super::MOMENT;
use crate::capture::Parts;
use crate::shared::{at, exchange};

fn handle(parts: &Parts) {
    let Some(request) = parts.request() else { return };
    let _ = (Huawei.recognises(&request), Huawei.action(&request), Huawei.open_answer(&request, &exchange()));
    let secret = Secret::new("x");
    let _ = Huawei.workings(&request, &secret);
    let outcomes = [
        Huawei.bearer(&request).err(),
        Huawei.claim(&request).err(),
        Huawei.verify(&request, &secret, at(MOMENT)).err(),
        Huawei.decode(&request).err(),
    ];
    for fault in outcomes.into_iter().flatten() {
        assert!(!Huawei.encode(&request, &exchange(), &Err(fault)).body().is_empty());
    }
}

proptest! {
    #[test]
    fn any_path_and_body_is_answered(
        method in prop::sample::select(vec![Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::HEAD]),
        path in r"(/(v2|v3|v3\.0|v3\.1|v4|p|auth|tokens|projects|backups|instances|policy|download-file|links|restores|jobs|recovery|pitr|redis|%2f|%|\.\.|[a-z]{0,3})){0,8}/?",
        query in r"((begin_time|end_time|limit|offset|name|date|backup_type|instance_id|id)=[-%0-9A-Za-z+:*. ]{0,24}&){0,6}",
        body in r#"(\{|\}|\[|\]|"auth":|"identity":|"methods":|"password":|"backup":|"backup_policy":|"keep_days":|"period":|"start_time":|"instance_backup_policy":|"source":|:|,|1|-1|1.5|null|"x"|"1,2"|"00:00-01:00"){0,24}"#,
        date in "[0-9TZé]{0,18}",
        signed in "(host|x-sdk-date|;|x-auth-token|[a-z]{1,3}){0,6}",
        v11 in any::<bool>(),
    ) {
        let authorization = if v11 {
            format!("V11-HMAC-SHA256 Credential=a/{date}/r/s, SignedHeaders={signed}, Signature=x")
        } else {
            format!("SDK-HMAC-SHA256 Access=a, SignedHeaders={signed}, Signature=x")
        };
        let headers = [("authorization", authorization), ("x-sdk-date", date), ("x-language", "zh-cn".to_owned())];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.into_bytes())).to_vec();
        let target = format!("{path}?{query}").into_bytes();
        handle(&Parts { method, target, headers, body: body.into_bytes() });
    }
}

#[test]
fn much_of_anything_is_refused_quickly() {
    let parts = |target: String, signed: &str, body: String| Parts {
        method: Method::POST,
        target: target.into_bytes(),
        headers: vec![
            (
                "authorization".to_owned(),
                format!("SDK-HMAC-SHA256 Access=a, SignedHeaders={signed}, Signature=x").into_bytes(),
            ),
            ("x-sdk-date".to_owned(), b"20261121T080000Z".to_vec()),
        ],
        body: body.into_bytes(),
    };
    handle(&parts("/v3/p/backups".to_owned(), "x-sdk-date", "[".repeat(1_000_000)));
    handle(&parts("/v3/auth/tokens".to_owned(), "", "{\"auth\":".repeat(100_000)));
    handle(&parts("/v3".repeat(20_000), "x-sdk-date", String::new()));
    handle(&parts(format!("/v3/p/backups?{}", "a&".repeat(30_000)), "x-sdk-date", String::new()));
    handle(&parts("/v3/p/backups".to_owned(), &"x-sdk-date;".repeat(50_000), String::new()));
}
