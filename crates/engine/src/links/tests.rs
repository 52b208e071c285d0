//! What a link promises.

use proptest::prelude::*;

use super::*;
use crate::model::Network;

const START: i64 = 1_795_309_200;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn signer() -> LinkSigner {
    LinkSigner::new(2, [(1, [1; 32]), (2, [2; 32])])
}

fn claims(spelling: Spelling) -> LinkClaims {
    LinkClaims {
        spelling,
        signing_key: 2,
        issued_at: at(START),
        expires_at: at(START + 3600),
        access_key: "AK/with odd+chars".to_owned(),
        account: "acme".parse().unwrap(),
        backup: "0192d5d8-7b1c-7c3e-8000-000000000001".parse().unwrap(),
        part: 1005,
        file_name: "crs-1_20261121T200000Z_0.rdb".to_owned(),
        network: Network::Public,
        addresses: vec!["203.0.113.0/24".parse().unwrap()],
        denied: vec!["203.0.113.9".parse().unwrap()],
        remembered: Some("lnk-7".to_owned()),
        repository: None,
    }
}

fn issue(claims: &LinkClaims) -> (String, String) {
    let link = signer().issue(claims).unwrap();
    let (path, query) = link.split_once('?').unwrap();
    (path.to_owned(), query.to_owned())
}

#[test]
fn every_spelling_reads_back() {
    for spelling in [Spelling::Native, Spelling::Oss, Spelling::Cos, Spelling::Us3, Spelling::Obs] {
        let (path, query) = issue(&claims(spelling));
        assert_eq!(*signer().read(&path, &query, at(START)).unwrap(), claims(spelling));
        assert_eq!(
            *signer().read(&format!("/prefix/bucket{path}"), &query, at(START)).unwrap(),
            claims(spelling)
        );
    }
}

#[test]
fn a_link_to_a_copy_names_its_repository_under_the_signature() {
    for spelling in
        [Spelling::Native, Spelling::Oss, Spelling::Cos, Spelling::Crs, Spelling::Us3, Spelling::Obs]
    {
        let there = LinkClaims { repository: Some("far-away".to_owned()), ..claims(spelling) };
        let (path, query) = issue(&there);
        assert_eq!(*signer().read(&path, &query, at(START)).unwrap(), there);
        // The same claims without it have another signature.
        assert_ne!(there.signed_bytes(), claims(spelling).signed_bytes());
    }
}

#[test]
fn a_link_that_was_made_long_is_not_remembered() {
    let signer = signer();
    let (path, query) = issue(&claims(Spelling::Native));
    let long = format!("{query}&x={}", "y".repeat(2048));
    for query in [&query, &long] {
        assert!(signer.read(&path, query, at(START)).is_ok());
    }
    assert!(signer.good.get(&path, &query).is_some());
    assert!(signer.good.get(&path, &long).is_none());
}

#[test]
fn a_link_is_good_to_the_end_of_its_last_second() {
    let (path, query) = issue(&claims(Spelling::Native));
    assert!(signer().read(&path, &query, at(START + 3600)).is_ok());
    assert_eq!(
        signer().read(&path, &query, at(START + 3601)),
        Err(LinkFault::Expired { at: at(START + 3600) })
    );
}

#[test]
fn a_link_that_was_good_ends_all_the_same() {
    let (path, query) = issue(&claims(Spelling::Native));
    let signer = signer();
    assert!(signer.read(&path, &query, at(START)).is_ok());
    assert!(signer.read(&path, &query, at(START + 1)).is_ok());
    assert!(matches!(signer.read(&path, &query, at(START + 3601)), Err(LinkFault::Expired { .. })));
}

#[test]
fn any_changed_byte_is_refused() {
    for spelling in [Spelling::Native, Spelling::Oss, Spelling::Cos, Spelling::Us3, Spelling::Obs] {
        let (path, query) = issue(&claims(spelling));
        let link = format!("{path}?{query}");
        for index in 0..link.len() {
            for other in [b'a', b'0', b'Z', b'%'] {
                let mut bytes = link.clone().into_bytes();
                if bytes[index] == other {
                    continue;
                }
                bytes[index] = other;
                let Ok(text) = String::from_utf8(bytes) else { continue };
                let Some((path, query)) = text.split_once('?') else { continue };
                if let Ok(read) = signer().read(path, query, at(START)) {
                    // Parameters that carry nothing may change; the claims may not.
                    assert_eq!(*read, claims(spelling), "{text}");
                }
            }
        }
    }
}

#[test]
fn a_link_survives_copying() {
    let (path, query) = issue(&claims(Spelling::Oss));
    let good = claims(Spelling::Oss);
    let mut turned: Vec<&str> = query.split('&').collect();
    turned.reverse();
    for mangled in [
        format!("{query}%0A"),
        format!("{query}\n"),
        format!("utm_source=mail&{query}"),
        query.replace('&', "&amp;"),
        query.replace("%2F", "%2f"),
        turned.join("&"),
    ] {
        assert_eq!(*signer().read(&path, &mangled, at(START)).unwrap(), good, "{mangled}");
    }
}

#[test]
fn a_link_cut_at_the_first_ampersand_is_incomplete() {
    let (path, query) = issue(&claims(Spelling::Native));
    let cut = query.split('&').next().unwrap();
    assert_eq!(signer().read(&path, cut, at(START)), Err(LinkFault::Incomplete));
    assert_eq!(signer().read(&path, "", at(START)), Err(LinkFault::Incomplete));
}

#[test]
fn keys_rotate_while_links_live() {
    let first = LinkClaims { signing_key: 1, ..claims(Spelling::Native) };
    let old = LinkSigner::new(1, [(1, [1; 32])]).issue(&first).unwrap();
    let (path, query) = old.split_once('?').unwrap();
    assert!(signer().read(path, query, at(START)).is_ok());
    let withdrawn = LinkSigner::new(2, [(2, [2; 32])]);
    assert_eq!(withdrawn.read(path, query, at(START)), Err(LinkFault::UnknownKey));
}

proptest! {
    #[test]
    fn reading_never_panics(path in ".{0,200}", query in ".{0,400}") {
        let _ = signer().read(&path, &query, at(START));
    }

    #[test]
    fn no_made_up_signature_opens(mac in "[A-Za-z0-9_-]{43}") {
        let (path, query) = issue(&claims(Spelling::Native));
        let (rest, good) = query.rsplit_once('=').unwrap();
        prop_assume!(mac != good);
        let opened = signer().read(&path, &format!("{rest}={mac}"), at(START));
        prop_assert!(matches!(opened, Err(LinkFault::BadSignature)), "{opened:?}");
    }
}
