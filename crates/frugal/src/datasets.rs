//! `frugal datasets`: a client of the API that posts rows from files, lists what is there and deletes.

use crate::demo::client::{Client, Dataset};
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use std::path::{Path, PathBuf};

/// What to do about datasets.
#[derive(Debug, Subcommand)]
pub enum DatasetsCommand {
    /// Post the rows of a file: .jsonl, .csv or .json, each also with .gz
    ///
    /// A row is a JSON object on a line of its own (.jsonl, .ndjson), an item of an array (.json), or a
    /// line below a line of names (.csv, where every field is a text). Prints the dataset's name, id,
    /// rows and columns. The same rows added again under the same name are the dataset that is there.
    Add(AddArgs),
    /// List the datasets, newest first
    List(ListArgs),
    /// Delete a dataset; jobs that were made of it keep their rows
    Delete(DeleteArgs),
}

/// What `frugal datasets add` takes.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// The file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// What jobs are to call it [default: the file's name without its endings]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Where the server is.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// What `frugal datasets list` takes.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Where the server is.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// What `frugal datasets delete` takes.
#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// Its name or its id
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Where the server is.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Where a server is that was told nothing else.
const LOCAL_SERVER: &str = "http://127.0.0.1:8080";

/// Where the server is.
#[derive(Debug, Args)]
pub struct ServerArgs {
    /// The server
    #[arg(
        long,
        env = "FRUGAL_URL",
        hide_env_values = true,
        default_value = LOCAL_SERVER,
        value_name = "URL"
    )]
    pub url: String,
    /// The key, where the server needs one; it is safer in the environment or in a file
    #[arg(
        long,
        value_name = "KEY",
        env = "FRUGAL_API_KEY",
        hide_env_values = true
    )]
    pub key: Option<String>,
    /// A file that holds the key and nothing else; it goes before any other
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
}

impl ServerArgs {
    /// The key to send, if any.
    ///
    /// # Errors
    /// The file cannot be read.
    fn key(&self) -> anyhow::Result<Option<String>> {
        let Some(file) = &self.key_file else {
            return Ok(self.key.clone().filter(|key| !key.is_empty()));
        };
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("--key-file: cannot read {}", file.display()))?;
        Ok(Some(text.trim().to_owned()))
    }

    /// A client of the server, with the key.
    ///
    /// # Errors
    /// The file of the key cannot be read, or as for [`Client::new`].
    pub fn client(&self) -> anyhow::Result<Client> {
        // A variable that is set to nothing says nothing.
        let url = match self.url.as_str() {
            "" => LOCAL_SERVER,
            url => url,
        };
        Client::new(url, self.key()?.as_deref())
    }
}

/// Carries a command out, and gives what is to be printed.
///
/// # Errors
/// The file is not to be had or is of no known kind, or the server is away or refuses.
pub async fn run(command: &DatasetsCommand) -> anyhow::Result<String> {
    match command {
        DatasetsCommand::Add(args) => add(args).await,
        DatasetsCommand::List(args) => list(&args.server.client()?).await,
        DatasetsCommand::Delete(args) => {
            let client = args.server.client()?;
            client.delete_dataset(&args.name).await?;
            Ok(format!("deleted {}\n", args.name))
        }
    }
}

async fn add(args: &AddArgs) -> anyhow::Result<String> {
    let (stem, content_type) = kind(&args.file)?;
    let name = args.name.as_deref().unwrap_or(stem);
    let file = tokio::fs::File::open(&args.file)
        .await
        .with_context(|| format!("cannot read {}", args.file.display()))?;
    // A packed file is sent as it is; the server sees that it is one.
    let client = Client::for_uploads(&args.server.url, args.server.key()?.as_deref())?;
    let (is_new, dataset) = client.post_dataset(name, content_type, file).await?;
    let before = if is_new {
        ""
    } else {
        ", which was there before"
    };
    let columns = dataset.columns.iter();
    let columns: Vec<_> = columns
        .map(|column| match column.share < 1.0 {
            true => format!("{} (in {:.1} %)", column.name, 100.0 * column.share),
            false => column.name.clone(),
        })
        .collect();
    Ok(format!(
        "{} ({}){before}\nrows: {}\ncolumns: {}\n",
        dataset.name,
        dataset.id,
        dataset.rows,
        columns.join(", ")
    ))
}

/// A file's name without its endings, and the content type that these say.
pub fn kind(file: &Path) -> anyhow::Result<(&str, &'static str)> {
    let name = file.file_name().and_then(|name| name.to_str());
    let name = name.with_context(|| format!("{} has no name in UTF-8", file.display()))?;
    let unpacked = name.strip_suffix(".gz").unwrap_or(name);
    let kinds = [
        (".jsonl", "application/jsonl"),
        (".ndjson", "application/jsonl"),
        (".json", "application/json"),
        (".csv", "text/csv"),
    ];
    let kinds = kinds.iter();
    let mut found =
        kinds.filter_map(|(ending, kind)| Some((unpacked.strip_suffix(ending)?, *kind)));
    match found.next() {
        Some(found) => Ok(found),
        None => bail!(
            "{name} is of no known kind; name it .jsonl (rows as JSON objects, one on each line), .csv \
             or .json, and .gz after that if it is packed"
        ),
    }
}

async fn list(client: &Client) -> anyhow::Result<String> {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["name", "id", "rows", "columns", "jobs", "posted"]);
    for dataset in client.all("/datasets").await? {
        table.add_row(row(&dataset));
    }
    Ok(format!("{table}\n"))
}

fn row(dataset: &Dataset) -> [String; 6] {
    let columns = dataset.columns.iter();
    let columns: Vec<_> = columns.map(|column| column.name.as_str()).collect();
    [
        dataset.name.clone(),
        dataset.id.clone(),
        dataset.rows.to_string(),
        columns.join(", "),
        dataset.jobs.to_string(),
        dataset.created_at.clone(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_say_what_a_file_is() {
        for (file, stem, expected) in [
            ("a/sums.jsonl", "sums", "application/jsonl"),
            ("sums.v2.ndjson.gz", "sums.v2", "application/jsonl"),
            ("sums.csv", "sums", "text/csv"),
            ("sums.json.gz", "sums", "application/json"),
        ] {
            assert_eq!(kind(Path::new(file)).unwrap(), (stem, expected));
        }
        for file in ["sums", "sums.gz", "sums.parquet", "a/.."] {
            assert!(kind(Path::new(file)).is_err(), "{file}");
        }
    }
}
