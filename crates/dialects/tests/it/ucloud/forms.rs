//! Query, form, flat JSON and nested JSON: one meaning, one signature.

use keystow_dialects::{Call, Dialect, Fault, LinkBackup, Request, Secret, recognise, ucloud::Ucloud};

fn post(target: &str, kind: &str, body: &str) -> Request {
    http::Request::post(target).header("content-type", kind).body(body.to_owned().into()).unwrap()
}

fn json(target: &str, body: &str) -> Request {
    post(target, "application/json", body)
}

const FORM: &str = "application/x-www-form-urlencoded";

/// The text that is signed, without the blanked secret.
fn signed(request: &Request) -> Result<String, Fault> {
    let workings = Ucloud.workings(request, &Secret::new("s"))?;
    Ok(workings[0].string_to_sign.strip_suffix("<secret>").unwrap().to_owned())
}

#[test]
fn nested_json_is_signed_without_index_and_dots() {
    let nested = r#"{"Disks":[{"Size":20,"Boot":true}],"Tags":["b","a"],"Signature":"x"}"#;
    assert_eq!(signed(&json("/", nested)).unwrap(), "DisksBoottrueSize20Tagsba");
    let deep = r#"{"A":{"c":{"z":1,"b":[[2],[3,{"y":false}]]},"B":"x"}}"#;
    assert_eq!(signed(&json("/", deep)).unwrap(), "ABxcb23yfalsez1");
    let dotted = r#"{"Tags.10":"x","Tags.2":"y","Disks.0.Size":20,"Disks.0.Boot":true}"#;
    assert_eq!(signed(&json("/", dotted)).unwrap(), "Disks.0.BoottrueDisks.0.Size20Tags.10xTags.2y");
}

#[test]
fn json_numbers_are_signed_as_decimals() {
    for (number, text) in [
        ("42.0", "42"),
        ("1.5", "1.5"),
        ("1e3", "1000"),
        ("1E-7", "0.0000001"),
        ("-0.0", "0"),
        ("-7", "-7"),
        ("18446744073709551615", "18446744073709551615"),
        ("1e20", "100000000000000000000"),
    ] {
        assert_eq!(signed(&json("/", &format!(r#"{{"N":{number}}}"#))).unwrap(), format!("N{text}"));
    }
    for number in ["1e21", "-1e21", "1000000000000000000000", "1e400"] {
        let refused = signed(&json("/", &format!(r#"{{"N":{number}}}"#)));
        assert!(matches!(refused, Err(Fault::MalformedRequest(_))), "{number}: {refused:?}");
    }
}

#[test]
fn null_leaves_the_whole_entry_out() {
    let body = r#"{"A":null,"B":{"c":null,"d":1},"E":"","F":[null,"x"]}"#;
    assert_eq!(signed(&json("/", body)).unwrap(), "Bd1EFx");
}

#[test]
fn each_name_counts_once_and_places_must_agree() {
    let both = post("/?Action=GetRegion", FORM, "Action=GetRegion&PublicKey=k&Signature=s");
    assert_eq!(signed(&both).unwrap(), "ActionGetRegionPublicKeyk");
    assert!(Ucloud.claim(&both).is_ok());
    let nested = json("/?Action=GetRegion", r#"{"Action":"GetRegion","PublicKey":"k","Signature":"s"}"#);
    assert_eq!(signed(&nested).unwrap(), "ActionGetRegionPublicKeyk");
    for other in [
        post("/?Action=GetRegion", FORM, "Action=GetProjectList&PublicKey=k&Signature=s"),
        json("/?Action=GetRegion", r#"{"Action":"GetProjectList","PublicKey":"k","Signature":"s"}"#),
        post("/?Action=GetRegion&PublicKey=k", FORM, "PublicKey=k&Signature=s"),
        post("/?Action=GetRegion&Signature=s", FORM, "PublicKey=k&Signature=s"),
        json("/?Action=A&SecurityToken=t", r#"{"SecurityToken":"t","PublicKey":"k","Signature":"s"}"#),
    ] {
        assert!(recognise(&other).is_some_and(|dialect| dialect.name() == "ucloud"));
        assert!(matches!(Ucloud.claim(&other), Err(Fault::MalformedSignature(_))), "{other:?}");
    }
}

#[test]
fn a_name_given_twice_in_one_place_is_refused() {
    for twice in [
        post("/", FORM, "Action=A&Region=a&Region=a&PublicKey=k&Signature=s"),
        post("/?Zone=a&Zone=b", FORM, "Action=A&PublicKey=k&Signature=s"),
        json("/", r#"{"Action":"A","Action":"B","PublicKey":"k","Signature":"s"}"#),
        json("/", r#"{"Action":"A","PublicKey":"k","Signature":"s","A":{"b":1,"b":2}}"#),
        json("/", r#"{"Action":"A","PublicKey":"k","Signature":"s","A":{"b":1},"A.b":1}"#),
    ] {
        assert!(matches!(Ucloud.claim(&twice), Err(Fault::MalformedRequest(_))), "{twice:?}");
    }
}

#[test]
fn every_form_asks_for_the_same() {
    let all = "Action=DescribeURedisBackupURL&Region=cn-bj2&BackupId=b-1&IsCrossRegion=true&Zone=\
               &PublicKey=k&Signature=s";
    let object = r#"{"Action":"DescribeURedisBackupURL","Region":"cn-bj2","BackupId":"b-1",
                     "IsCrossRegion":true,"Zone":null,"PublicKey":"k","Signature":"s"}"#;
    let requests = [
        http::Request::get(format!("/?{all}")).body(bytes::Bytes::new()).unwrap(),
        http::Request::get(format!("/ucloud?{all}")).body(bytes::Bytes::new()).unwrap(),
        http::Request::post(format!("/?{all}")).body(bytes::Bytes::new()).unwrap(),
        post("/ucloud", FORM, all),
        post("/ucloud?Action=DescribeURedisBackupURL", FORM, all),
        json("/", object),
        post("/a/b?Action=DescribeURedisBackupURL", "Application/JSON; charset=utf-8", object),
    ];
    for request in requests {
        assert_eq!(recognise(&request).unwrap().name(), "ucloud");
        assert_eq!(Ucloud.action(&request).as_deref(), Some("DescribeURedisBackupURL"));
        let Ok(Call::LinkBackup(link)) = Ucloud.decode(&request) else { panic!("{request:?}") };
        let LinkBackup { backup, other_region, place, .. } = link;
        assert_eq!((backup.as_str(), other_region), ("b-1", true));
        assert_eq!((place.region.as_deref(), place.zone), (Some("cn-bj2"), None));
    }
}

#[test]
fn bodies_of_other_kinds_are_refused() {
    let start = "/?Action=GetRegion&PublicKey=k&Signature=s";
    let get = http::Request::get(start).body("x".into()).unwrap();
    let put = http::Request::put(start).body("".into()).unwrap();
    for request in [
        get,
        put,
        post(start, "text/plain", "A=b"),
        http::Request::post(start).body("A=b".into()).unwrap(),
        json(start, "[]"),
        json(start, "{"),
        json(start, "{} {}"),
        json(start, &"[".repeat(100_000)),
        json(start, &format!("{}1{}", "{\"a\":".repeat(17), "}".repeat(17))),
        json(start, &format!("{{\"a\":[{}1]}}", "1,".repeat(1000))),
        json(start, &format!("{{\"{}\":1}}", "a".repeat(257))),
    ] {
        assert_eq!(recognise(&request).unwrap().name(), "ucloud");
        assert!(matches!(Ucloud.claim(&request), Err(Fault::MalformedRequest(_))), "{request:?}");
    }
}

#[test]
fn unsigned_requests_name_what_is_missing() {
    let claim = |body: &str| Ucloud.claim(&post("/", FORM, body));
    assert_eq!(claim("Action=GetRegion&PublicKey=k"), Err(Fault::Unsigned("Signature")));
    assert_eq!(claim("PublicKey=k&Signature=s"), Err(Fault::Unsigned("Action")));
    assert_eq!(claim("Action=GetRegion&PublicKey=&Signature=s"), Err(Fault::Unsigned("PublicKey")));
    let claim = claim("Action=GetRegion&PublicKey=a%3D%2B%40&Signature=s&SecurityToken=t").unwrap();
    assert_eq!((claim.access_key_id.as_str(), claim.session_token.as_deref()), ("a=+@", Some("t")));
}

#[test]
fn requests_with_other_vendors_marks_are_not_taken() {
    for (name, value) in [
        ("authorization", "Basic eDp5"),
        ("x-tc-action", "x"),
        ("x-acs-action", "x"),
        ("x-auth-token", "x"),
        ("x-sdk-date", "x"),
    ] {
        let mut request = post("/", FORM, "Action=GetRegion&PublicKey=k&Signature=s");
        assert!(Ucloud.recognises(&request));
        request.headers_mut().insert(name, value.parse().unwrap());
        assert!(!Ucloud.recognises(&request), "{name}");
        assert!(matches!(Ucloud.claim(&request), Err(Fault::MalformedSignature(_))), "{name}");
    }
    for name in ["AccessKeyId", "SecretId"] {
        let request = post("/", FORM, &format!("Action=GetRegion&PublicKey=k&Signature=s&{name}=x"));
        assert!(!Ucloud.recognises(&request), "{name}");
    }
}

/// `Zone` with `z` is signed alike in all of these, and none of them may pass for a request without it.
#[test]
fn nested_values_hide_no_parameter() {
    let ask = |zone: &str| {
        let start = r#"{"Action":"DescribeURedisBackupURL","Region":"r","BackupId":"b","PublicKey":"k","Signature":"s","#;
        let request = json("/", &format!("{start}{zone}}}"));
        (signed(&request).unwrap(), Ucloud.decode(&request))
    };
    let (text, plain) = ask(r#""Zone":"z""#);
    assert!(plain.is_ok());
    for hidden in [r#""Zone":["z"]"#, r#""Zone":{"z":""}"#, r#""Z":{"one":"z"}"#, r#""Zo":{"n":{"e":["z"]}}"#]
    {
        let (same, decoded) = ask(hidden);
        assert_eq!(same, text, "{hidden}");
        assert!(matches!(decoded, Err(Fault::UnknownParameter(_))), "{hidden}: {decoded:?}");
    }
}
