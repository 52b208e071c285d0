//! `keystow relabel`: writes an RDB file anew for servers of another version or family.

mod report;

use std::io::{ErrorKind, IsTerminal};
use std::path::{Path, PathBuf};

use clap::Args;
use keystow_rdb::{
    Changes, Format, Impossible, RewriteError, RewriteOptions, Rewritten, Unwritable, rewrite,
};

use super::Context;
use super::input::{self, FilterArgs, Input, RdbBytes, unsound};
use super::new_file::NewFile;
use super::output::{closed, is_stdout, stdout, unless_closed};
use super::stop::unless_stopped;
use crate::failure::{Exit, Failure};
use report::{Relabelled, RelabelledAll};

/// Flags of `relabel`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  keystow relabel dump.rdb --to redis-7.2 -o older.rdb\n  \
    keystow relabel 0198f3c0-7b1e-7c0a-9d0e-3f1f6f0f2a11 --to valkey-9.0 -o dump.rdb\n  \
    keystow relabel - --to 11 --db 0 --type hash < dump.rdb > hashes.rdb\n\n\
    Servers load files of their own version and older ones; Redis 7.4 and Valkey 9 no longer read each other's.\n\
    A file that is not sound ends with exit code 7, one that the server has no words for with RELABEL_IMPOSSIBLE:\n\
    what was printed up to there stays printed and is of no use, but a file named with -o does not appear.")]
pub(crate) struct RelabelArgs {
    /// An RDB file, - for standard input, or a backup's id or number
    #[arg(value_name = "FILE|BACKUP")]
    source: String,
    /// The server that is to load it, such as redis-7.2 or valkey-9.0, or an RDB version: 9 to 12, or 80
    #[arg(long, value_name = "VERSION")]
    to: Format,
    /// File to write, - for standard output, or folder for a backup with several parts
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// Replace a file that exists
    #[arg(long)]
    force: bool,
    /// Leave function libraries out, which servers before Redis 7.0 do not know
    #[arg(long)]
    without_functions: bool,
    #[command(flatten)]
    filter: FilterArgs,
}

/// Writes the new file, or one for each part of a backup.
pub(super) async fn run(args: RelabelArgs, context: &Context) -> Result<(), Failure> {
    let to_stdout = is_stdout(&args.output);
    if to_stdout && context.output.json {
        return Err(Failure::usage("--json needs a file to write").hint("name one with -o"));
    }
    if to_stdout && std::io::stdout().is_terminal() {
        return Err(
            Failure::usage("an RDB file is nothing to read on a terminal").hint("name a file with -o")
        );
    }
    let inputs = input::open(&args.source, context).await?;
    let files = unless_stopped("stopped before the file was whole", relabel_all(&args, inputs));
    let Some(files) = unless_closed(files.await)? else { return Ok(()) };
    for file in &files {
        if let Some(warning) = file.lost() {
            context.output.warn(&warning);
        }
    }
    if to_stdout {
        for file in &files {
            context.output.note(&file.describe());
        }
        return Ok(());
    }
    context.output.value(&RelabelledAll { files }, RelabelledAll::describe)
}

/// All parts of a backup, or nothing.
async fn relabel_all(args: &RelabelArgs, inputs: Vec<Input>) -> Result<Vec<Relabelled>, Failure> {
    let several = inputs.len() > 1;
    let options = RewriteOptions {
        functions: !args.without_functions,
        changes: Changes { filter: args.filter.filter(), ..Changes::default() },
        ..RewriteOptions::new(args.to)
    };
    let create = |input: &Input| {
        let path = choose(&args.output, &input.label, several)?;
        path.map(|path| NewFile::create(path, args.force)).transpose()
    };
    let news = inputs.iter().map(create).collect::<Result<Vec<_>, _>>()?;
    let mut files = Vec::with_capacity(inputs.len());
    for (input, new) in inputs.into_iter().zip(&news) {
        let rewritten = relabel(input, new.as_ref(), options.clone()).await?;
        files.push(Relabelled::of(new.as_ref().map(NewFile::path), &rewritten));
    }
    // Only now the last byte of every source is known to be right.
    news.into_iter().flatten().try_for_each(NewFile::publish)?;
    Ok(files)
}

/// The file to write; none for standard output. Several parts need a folder.
fn choose(output: &Path, label: &str, several: bool) -> Result<Option<PathBuf>, Failure> {
    if is_stdout(output) {
        return if several {
            Err(Failure::usage("a backup with several parts needs a folder").hint("name one with -o"))
        } else {
            Ok(None)
        };
    }
    if !several && !output.is_dir() {
        return Ok(Some(output.to_owned()));
    }
    if label == "-" {
        return Err(Failure::usage("what comes from standard input has no name of its own")
            .hint(format!("name the file too: -o {}", output.join("dump.rdb").display())));
    }
    if several {
        std::fs::create_dir_all(output)
            .map_err(|error| Failure::file(format!("cannot make the folder {}", output.display()), &error))?;
    }
    Ok(Some(output.join(Path::new(label).file_name().unwrap_or(label.as_ref()))))
}

async fn relabel(input: Input, new: Option<&NewFile>, options: RewriteOptions) -> Result<Rewritten, Failure> {
    let label = input.label.clone();
    let target = new.map_or("standard output".to_owned(), |new| new.path().display().to_string());
    let out = match new {
        Some(new) => new.writer()?,
        None => stdout()?,
    };
    let work = move |bytes: &mut RdbBytes| {
        rewrite(bytes, out, &options).map_err(|error| match error {
            RewriteError::Unsound(fault) => unsound(&label, &fault),
            RewriteError::Impossible(impossible) => no_words(&label, &impossible),
            RewriteError::Output(error) if error.kind() == ErrorKind::BrokenPipe => closed(),
            RewriteError::Output(error) => Failure::file(format!("cannot write {target}"), &error),
        })
    };
    input.read(work).await
}

fn no_words(label: &str, impossible: &Impossible) -> Failure {
    let failure = Failure::new(
        Exit::Failure,
        "RELABEL_IMPOSSIBLE",
        format!("{label} cannot be written for that server"),
    )
    .because(impossible);
    match impossible.why {
        Unwritable::Function(_) => failure.hint("leave the functions out with --without-functions"),
        Unwritable::FieldExpiry(_) => {
            failure.hint("choose redis-7.4, valkey-9.0 or a later one with --to, or other keys with --match")
        }
        _ => failure.hint("choose another version with --to, or other keys with --match, --type or --db"),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command, output::Output};

    #[tokio::test]
    async fn of_several_parts_all_are_written_or_none() {
        let fixture = |name: &str| format!("{}/../rdb/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("parts");
        let words = ["keystow", "relabel", "backup", "--to", "12", "-o", target.to_str().unwrap()];
        let cli = Cli::parse_from(words);
        let Command::Relabel(args) = cli.command else { panic!("another command") };
        let context = Context { output: Output { json: false, quiet: true }, options: cli.client };
        let written = async |parts: [&str; 2]| {
            let mut inputs = Vec::new();
            for part in parts {
                inputs.extend(input::open(&fixture(part), &context).await.unwrap());
            }
            let outcome = relabel_all(&args, inputs).await.map_err(|failure| failure.code);
            (outcome.map(|files| files.len()), std::fs::read_dir(&target).unwrap().count())
        };
        let (sound, broken) = ("srv-redis-7.0.15-all.rdb", "trunc-half.rdb");
        assert_eq!(written([sound, broken]).await, (Err("RDB_TRUNCATED".to_owned()), 0));
        assert_eq!(written([sound, "srv-redis-8.2.3-all.rdb"]).await, (Ok(2), 2));
    }
}
