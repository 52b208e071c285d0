//! `DUMP` payloads: values in and out, and from one family of servers to another.

use keystow_rdb::{Format, Limits, RewriteError, Unwritable, Value, dump::Payload};
use proptest::prelude::*;

use super::generated::{as_known_to, expiring_format, expiring_hash, format, plain_value};

const ENOUGH_BYTES: u64 = 64 << 20;

fn decode(payload: &[u8]) -> Value {
    let payload = Payload::open(payload).unwrap();
    payload.check_sum().unwrap();
    payload.decode(Limits::default(), ENOUGH_BYTES).unwrap()
}

fn relabel(payload: &[u8], to: Format) -> Result<Vec<u8>, RewriteError> {
    Payload::open(payload).unwrap().relabel(to, Limits::default())
}

proptest! {
    #[test]
    fn values_are_payloads(value in plain_value(), from in format(), to in format()) {
        let payload = value.to_payload(from).unwrap();
        let known = as_known_to(&value, from);
        prop_assert_eq!(&decode(&payload), &known);
        let relabelled = relabel(&payload, to).unwrap();
        prop_assert_eq!(Payload::open(&relabelled).unwrap().format(), to);
        let through = decode(&relabelled);
        // A stream that comes from an older format stays without a history: every server reads the older type.
        let kept_as_it_was = to.holds(Payload::open(&payload).unwrap().encoding());
        let expected = if kept_as_it_was { known } else { as_known_to(&known, to) };
        prop_assert_eq!(through, expected);
    }

    #[test]
    fn expiring_fields_are_payloads(value in expiring_hash(), from in expiring_format(), to in expiring_format()) {
        let payload = value.to_payload(from).unwrap();
        prop_assert_eq!(&decode(&relabel(&payload, to).unwrap()), &value);
    }
}

#[test]
fn what_cannot_be_vouched_for_is_not_sealed_anew() {
    let mut payload = Value::List(vec![b"element".to_vec()]).to_payload(Format::REDIS_11).unwrap();
    payload[4] ^= 1;
    assert!(matches!(relabel(&payload, Format::REDIS_9), Err(RewriteError::Unsound(_))));
}

#[test]
fn payload_of_a_newer_kind_is_refused_with_its_reason() {
    let field = keystow_rdb::model::HashField { expires_ms: Some(5), ..Default::default() };
    let payload = Value::Hash(vec![field]).to_payload(Format::VALKEY_80).unwrap();
    let Err(RewriteError::Impossible(impossible)) = relabel(&payload, Format::REDIS_11) else { panic!() };
    assert_eq!(impossible.why, Unwritable::FieldExpiry(Format::REDIS_11));
    assert!(relabel(&payload, Format::redis(13)).is_err());
}
