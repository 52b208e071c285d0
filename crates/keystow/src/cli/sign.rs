//! `keystow sign`: shows how a vendor's signature of a request comes about, so that a client's author sees where his
//! own differs. Nothing is sent, and nobody is asked.

mod request;

use std::fmt::Write as _;
use std::path::PathBuf;

use bytes::Bytes;
use clap::Args;
use http::Request;
use keystow_dialects::{ALL, Dialect, Fault, Secret, Workings};
use serde::Serialize;

use super::Context;
use super::secret::read_secret;
use crate::failure::{Exit, Failure};

/// Flags of `sign`. Those of a request are curl's, so that a curl command can be pasted.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  keystow sign tencent_v3 --request request.txt --secret-file secret.txt\n  \
    keystow sign alibaba 'http://127.0.0.1:7360/?Action=DescribeRegions&…'\n  \
    keystow sign huawei -X POST -H 'X-Sdk-Date: 20261122T080000Z' -H 'Authorization: …' -d '{}' \\\n    \
    http://127.0.0.1:7360/v2/…\n\n\
    The secret comes from --secret-file, else from KEYSTOW_ACCESS_KEY_SECRET.\n\
    Exit code 4 means that the request carries another signature."
)]
pub(crate) struct SignArgs {
    /// Whose signature: `tencent_v3`, `tencent_v2`, ucloud, huawei or alibaba
    dialect: String,
    /// Where the request goes
    #[arg(required_unless_present = "request")]
    url: Option<String>,
    /// File with the request as it goes over the wire, - for standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["url", "method", "header", "data"])]
    request: Option<PathBuf>,
    /// Method; GET, or POST with -d
    #[arg(short = 'X', long = "method", value_name = "METHOD")]
    method: Option<String>,
    /// A header
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    header: Vec<String>,
    /// The body, or @FILE
    #[arg(short = 'd', long = "data", value_name = "TEXT|@FILE")]
    data: Option<String>,
    /// File that holds the access key's secret
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
}

/// What comes out.
#[derive(Debug, Serialize)]
struct Shown {
    dialect: &'static str,
    /// The key that the request names.
    access_key_id: Option<String>,
    /// Why that key or the signature's fields cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable: Option<String>,
    /// Every reading of the request that the server accepts; the first is the usual one.
    readings: Vec<Reading>,
    /// Which of them the request carries the signature of, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    carried: Option<usize>,
    /// Whether it carries one.
    matches: bool,
}

/// One accepted reading of the request.
#[derive(Debug, Serialize)]
struct Reading {
    #[serde(skip_serializing_if = "Option::is_none")]
    canonical_request: Option<String>,
    string_to_sign: String,
    signature: String,
}

impl From<Workings> for Reading {
    fn from(workings: Workings) -> Self {
        Self {
            canonical_request: workings.canonical_request,
            string_to_sign: workings.string_to_sign,
            signature: workings.signature,
        }
    }
}

pub(super) fn run(args: &SignArgs, context: &Context) -> Result<(), Failure> {
    let dialect = named(&args.dialect)?;
    let request = match &args.request {
        Some(path) => request::from_file(path)?,
        None => request::from_flags(
            args.url.as_deref().unwrap_or_default(),
            args.method.as_deref(),
            &args.header,
            args.data.as_deref(),
        )?,
    };
    let secret = secret(args)?;
    let shown = show(dialect, &request, &secret)?;
    context.output.value(&shown, describe)?;
    if shown.matches {
        return Ok(());
    }
    Err(Failure::new(Exit::Auth, "SIGNATURE_DIFFERS", "the request does not carry this signature")
        .hint("compare the string to sign with the one that your client makes, byte by byte"))
}

fn named(name: &str) -> Result<&'static dyn Dialect, Failure> {
    ALL.iter().copied().find(|dialect| dialect.name() == name).ok_or_else(|| {
        let names: Vec<_> = ALL.iter().map(|dialect| dialect.name()).collect();
        Failure::usage(format!("unknown dialect '{name}'")).hint(format!("one of {}", names.join(", ")))
    })
}

fn secret(args: &SignArgs) -> Result<Secret, Failure> {
    let text = match &args.secret_file {
        Some(path) => read_secret(path)?,
        None => std::env::var("KEYSTOW_ACCESS_KEY_SECRET").map_err(|_| {
            Failure::usage("no secret to sign with")
                .hint("add --secret-file FILE, or set KEYSTOW_ACCESS_KEY_SECRET")
        })?,
    };
    Ok(Secret::new(text))
}

fn show(dialect: &'static dyn Dialect, request: &Request<Bytes>, secret: &Secret) -> Result<Shown, Failure> {
    let unusable = |fault: &Fault| {
        Failure::usage(format!("this is no request that {} can be signed for: {fault}", dialect.name()))
            .hint("it needs everything but the right signature: key id, date, names of signed headers")
    };
    let readings = dialect.workings(request, secret).map_err(|fault| unusable(&fault))?;
    let claim = dialect.claim(request);
    let carried = readings.iter().position(|reading| carries(request, &reading.signature));
    Ok(Shown {
        dialect: dialect.name(),
        unreadable: claim.as_ref().err().map(ToString::to_string),
        access_key_id: claim.ok().map(|claim| claim.access_key_id),
        readings: readings.into_iter().map(Reading::from).collect(),
        carried,
        matches: carried.is_some(),
    })
}

/// Whether a signature stands in the request, in a header, the query or the body, encoded or not.
fn carries(request: &Request<Bytes>, signature: &str) -> bool {
    let headers = request.headers().values().map(http::HeaderValue::as_bytes);
    let query = request.uri().query().unwrap_or_default().as_bytes();
    headers.chain([query, request.body()]).any(|text| {
        let decoded = percent_encoding::percent_decode(text).collect::<Vec<u8>>();
        [text, &decoded].into_iter().any(|text| contains(text, signature.as_bytes()))
    })
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    !part.is_empty() && text.windows(part.len()).any(|window| window == part)
}

/// The reading that the request carries or, if none, the usual one.
fn describe(shown: &Shown) -> String {
    let mut text = String::new();
    let facts = [("access key", shown.access_key_id.as_deref()), ("unreadable", shown.unreadable.as_deref())];
    for (name, fact) in facts {
        if let Some(fact) = fact {
            let _ = writeln!(text, "{name}  {fact}");
        }
    }
    let Some(reading) = shown.carried.and_then(|at| shown.readings.get(at)).or(shown.readings.first()) else {
        return text;
    };
    let steps = [
        ("canonical request", reading.canonical_request.as_deref()),
        ("string to sign", Some(reading.string_to_sign.as_str())),
        ("signature", Some(reading.signature.as_str())),
    ];
    for (name, step) in steps {
        if let Some(step) = step {
            let _ = writeln!(text, "\n{name}\n{}", indented(step));
        }
    }
    let verdict = if shown.matches { "the request carries it" } else { "the request carries another one" };
    let _ = writeln!(text, "\n{verdict}");
    if !shown.matches && shown.readings.len() > 1 {
        let others = shown.readings.len() - 1;
        let _ =
            writeln!(text, "({others} other readings, such as of the host, are accepted too: see --json)");
    }
    text
}

/// Each line behind a bar, so that blanks at its ends and empty lines are seen.
fn indented(text: &str) -> String {
    text.split('\n').map(|line| format!("  |{line}|")).collect::<Vec<_>>().join("\n")
}
