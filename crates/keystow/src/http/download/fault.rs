//! Refusals, in the words of an object store, shaped after the link's spelling.

use bytes::Bytes;
use http::StatusCode;
use jiff::Timestamp;
use keystow_engine::links::{LinkFault, Spelling};
use keystow_engine::ops::DeliveryFault;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

/// Why a request gets no bytes.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The link delivers nothing.
    Link(DeliveryFault),
    /// Neither GET nor HEAD.
    Method,
    /// A precondition does not hold.
    Precondition,
    /// No byte of the range exists.
    Range { total: u64 },
}

impl From<DeliveryFault> for Refusal {
    fn from(fault: DeliveryFault) -> Self {
        Self::Link(fault)
    }
}

impl Refusal {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Link(DeliveryFault::Gone) => StatusCode::NOT_FOUND,
            Self::Link(DeliveryFault::Busy) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Link(DeliveryFault::Failed(error)) if error.worth_retrying() => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Link(DeliveryFault::Failed(_)) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Link(DeliveryFault::Link(LinkFault::Malformed)) => StatusCode::BAD_REQUEST,
            Self::Link(_) => StatusCode::FORBIDDEN,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Precondition => StatusCode::PRECONDITION_FAILED,
            Self::Range { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
        }
    }

    fn code_and_message(&self) -> (&'static str, String) {
        let (code, message) = match self {
            Self::Link(DeliveryFault::Link(LinkFault::Incomplete)) => (
                "AccessDenied",
                "The link is incomplete. Put it in quotes, so that the shell does not cut it at '&'.",
            ),
            Self::Link(DeliveryFault::Link(LinkFault::Malformed)) => {
                ("InvalidArgument", "The link cannot be read.")
            }
            Self::Link(DeliveryFault::Link(LinkFault::UnknownKey)) => {
                ("InvalidAccessKeyId", "The key that signed this link is not in use.")
            }
            Self::Link(DeliveryFault::Link(LinkFault::BadSignature)) => {
                ("SignatureDoesNotMatch", "The signature of this link is not right. Was it changed or cut?")
            }
            Self::Link(DeliveryFault::Link(LinkFault::Expired { at })) => {
                let ended = at.strftime("%Y-%m-%d %H:%M:%S");
                let message = format!(
                    "Request has expired: the link ended at {ended} UTC. Ask the API for a new link."
                );
                return ("AccessDenied", message);
            }
            Self::Link(DeliveryFault::OtherNetwork) => {
                ("AccessDenied", "This link is for the other network. Ask the API for a link of this one.")
            }
            Self::Link(DeliveryFault::Address) => {
                ("AccessDenied", "This link may not be used from your address.")
            }
            Self::Link(DeliveryFault::Revoked) => ("AccessDenied", "This link was revoked."),
            Self::Link(DeliveryFault::UsedUp) => ("AccessDenied", "This link has made all its deliveries."),
            Self::Link(DeliveryFault::Busy) => {
                ("SlowDown", "As many downloads as are allowed at once are under way. Try again later.")
            }
            Self::Link(DeliveryFault::Gone) => {
                ("NoSuchKey", "The backup of this link does not exist any more.")
            }
            Self::Link(DeliveryFault::Failed(error)) if error.worth_retrying() => {
                ("SlowDown", "The service is busy. Try again later.")
            }
            Self::Link(DeliveryFault::Failed(_)) => {
                ("InternalError", "The service could not read the backup.")
            }
            Self::Method => ("MethodNotAllowed", "Only GET and HEAD are allowed."),
            Self::Precondition => ("PreconditionFailed", "A precondition of the request does not hold."),
            Self::Range { .. } => ("InvalidRange", "The requested range does not exist."),
        };
        (code, message.to_owned())
    }

    /// Seconds after which another try may succeed.
    pub(super) fn retry_after(&self) -> Option<u32> {
        (self.status() == StatusCode::SERVICE_UNAVAILABLE).then_some(1)
    }

    /// The number that `UCloud`'s store gives such a refusal.
    fn us3_code(&self) -> i64 {
        match self {
            Self::Link(DeliveryFault::Gone) => -148_654,
            _ => -148_643,
        }
    }

    /// The error document: XML, or JSON where the store behind the link's look answers in JSON.
    pub(super) fn body(&self, spelling: Spelling, request_id: &str, path: &str, now: Timestamp) -> Bytes {
        let (code, message) = self.code_and_message();
        if spelling == Spelling::Us3 {
            return serde_json::json!({"RetCode": self.us3_code(), "ErrMsg": message}).to_string().into();
        }
        let millis = |at: Timestamp| at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string();
        let mut fields = vec![("Code", code.to_owned()), ("Message", message)];
        if matches!(spelling, Spelling::Cos | Spelling::Crs | Spelling::Obs) {
            fields.push(("Resource", path.to_owned()));
        }
        fields.push(("RequestId", request_id.to_owned()));
        match spelling {
            Spelling::Cos | Spelling::Crs => fields.push(("TraceId", request_id.to_owned())),
            Spelling::Native | Spelling::Oss | Spelling::Obs | Spelling::Us3 => {
                fields.push(("HostId", "keystow".to_owned()));
            }
        }
        match self {
            Self::Link(DeliveryFault::Link(LinkFault::Expired { at })) => {
                fields.push(("Expires", millis(*at)));
                fields.push(("ServerTime", millis(now)));
            }
            Self::Range { total } => fields.push(("ActualObjectSize", total.to_string())),
            _ => {}
        }
        document(&fields).map_or_else(|_| Bytes::from_static(b"<Error/>"), Bytes::from)
    }
}

fn document(fields: &[(&str, String)]) -> std::io::Result<Vec<u8>> {
    let mut writer = Writer::new(Vec::new());
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    writer.create_element("Error").write_inner_content(|writer| {
        for (name, value) in fields {
            writer.create_element(*name).write_text_content(BytesText::new(value))?;
        }
        Ok(())
    })?;
    Ok(writer.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str = "0b9d8ba8-3a4f-4f1c-9d2a-3c1f6b0d7e11";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_795_309_200 + second).unwrap()
    }

    fn refusals() -> [(Refusal, u16, &'static str); 6] {
        let link = |fault| Refusal::Link(DeliveryFault::Link(fault));
        [
            (link(LinkFault::Expired { at: at(0) }), 403, "AccessDenied"),
            (link(LinkFault::Incomplete), 403, "AccessDenied"),
            (link(LinkFault::BadSignature), 403, "SignatureDoesNotMatch"),
            (link(LinkFault::UnknownKey), 403, "InvalidAccessKeyId"),
            (Refusal::Link(DeliveryFault::Gone), 404, "NoSuchKey"),
            (Refusal::Range { total: 7 }, 416, "InvalidRange"),
        ]
    }

    #[test]
    fn a_refusal_has_the_shape_of_the_store_that_the_link_looks_like() {
        let named = [
            (Spelling::Native, &["HostId"][..]),
            (Spelling::Oss, &["HostId"]),
            (Spelling::Cos, &["Resource", "TraceId"]),
            (Spelling::Crs, &["Resource", "TraceId"]),
            (Spelling::Obs, &["Resource", "HostId"]),
        ];
        for (refusal, status, code) in refusals() {
            assert_eq!(refusal.status().as_u16(), status);
            for (spelling, fields) in named {
                let body = refusal.body(spelling, REQUEST, "/b/1/x.rdb", at(9));
                let body = std::str::from_utf8(&body).unwrap();
                assert!(body.contains(&format!("<Error><Code>{code}</Code><Message>")), "{body}");
                for field in fields.iter().chain(&["RequestId"]) {
                    assert!(body.contains(&format!("<{field}>")), "{field} in {body}");
                }
            }
            let body = refusal.body(Spelling::Us3, REQUEST, "/b/1/x.rdb", at(9));
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let number = if status == 404 { -148_654 } else { -148_643 };
            assert_eq!(body["RetCode"], number);
            assert!(body["ErrMsg"].as_str().is_some_and(|text| text.len() > 10), "{body}");
        }
    }

    #[test]
    fn an_expired_link_says_when_it_ended_in_every_shape() {
        let [(refusal, ..), ..] = refusals();
        for spelling in [Spelling::Oss, Spelling::Cos, Spelling::Obs, Spelling::Us3, Spelling::Native] {
            let body = refusal.body(spelling, REQUEST, "/b/1/x.rdb", at(9));
            let body = std::str::from_utf8(&body).unwrap();
            assert!(body.contains("Request has expired: the link ended at 2026-11-22"), "{body}");
        }
    }
}
