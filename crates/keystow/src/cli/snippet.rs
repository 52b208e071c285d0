//! `keystow key snippet`: what a vendor's SDK or CLI needs to be told, ready to be pasted.

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::Context;
use crate::api::KeyRow;
use crate::failure::{Exit, Failure};

/// Flags of `key snippet`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  keystow key snippet KSabc --for tccli\n  \
    keystow key snippet KSabc --for huawei > list.py && python3 list.py\n\n\
    The secret is not in it: it is read from KEYSTOW_ACCESS_KEY_SECRET.")]
pub(crate) struct SnippetArgs {
    /// The key's id
    id: String,
    /// Only for this client; all of them if absent
    #[arg(long = "for", value_enum, value_name = "CLIENT")]
    client: Option<SnippetFor>,
    /// Region that the client names
    #[arg(long)]
    region: Option<String>,
}

/// The clients that there is a snippet for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SnippetFor {
    Tccli,
    Tencent,
    Alibaba,
    Huawei,
    Ucloud,
}

/// A snippet.
#[derive(Debug, Serialize)]
struct Snippet {
    client: &'static str,
    text: String,
}

impl SnippetFor {
    const ALL: [Self; 5] = [Self::Tccli, Self::Tencent, Self::Alibaba, Self::Huawei, Self::Ucloud];

    /// Name, text, and a region that the vendor has.
    fn parts(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Tccli => ("tccli", include_str!("snippets/tccli.sh"), "ap-guangzhou"),
            Self::Tencent => ("tencent", include_str!("snippets/tencent.py"), "ap-guangzhou"),
            Self::Alibaba => ("alibaba", include_str!("snippets/alibaba.py"), "cn-hangzhou"),
            Self::Huawei => ("huawei", include_str!("snippets/huawei.py"), "cn-north-4"),
            Self::Ucloud => ("ucloud", include_str!("snippets/ucloud.py"), "cn-bj2"),
        }
    }

    fn write(self, key: &KeyRow, server: &str, region: Option<&str>) -> Snippet {
        let (client, text, usual) = self.parts();
        let (scheme, authority) = server.split_once("://").unwrap_or(("https", server));
        // Outside of a project, the account's own id stands for all of it.
        let project = key.project.as_ref().unwrap_or(&key.account);
        let id = if self == Self::Tccli { key.id.replace('\'', r"'\''") } else { key.id.clone() };
        let filled = [
            ("{access_key_id}", id.as_str()),
            // tccli speaks https unless its endpoint says otherwise, and takes no other scheme there.
            ("{endpoint}", if scheme == "http" { server } else { authority }),
            ("{server}", server),
            ("{scheme}", scheme),
            ("{authority}", authority),
            ("{project}", project),
            ("{region}", region.unwrap_or(usual)),
        ]
        .into_iter()
        .fold(text.to_owned(), |text, (name, value)| text.replace(name, value));
        Snippet { client, text: filled }
    }
}

pub(super) async fn run(args: SnippetArgs, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let keys: Vec<KeyRow> = client.query(&["keys"], &[]).await?;
    let key = keys.iter().find(|key| key.id == args.id).ok_or_else(|| {
        Failure::new(Exit::NotFound, "NOT_FOUND", format!("no such access key: {}", args.id))
            .hint("list the keys with: keystow key list")
    })?;
    let server = client.server();
    let server = server.trim_end_matches('/');
    let wanted = args.client.map_or(SnippetFor::ALL.to_vec(), |client| vec![client]);
    let snippets: Vec<_> =
        wanted.into_iter().map(|client| client.write(key, server, args.region.as_deref())).collect();
    context.output.value(&snippets, |snippets| {
        snippets.iter().map(|snippet| snippet.text.as_str()).collect::<Vec<_>>().join("\n")
    })
}
