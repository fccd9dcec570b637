//! A call over HTTP, a connection each: few are made, and none of them is measured.

use anyhow::{Context, ensure};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The JSON of a page.
///
/// # Errors
/// There is no answer, or it is none of success.
pub fn get(address: &str, path: &str) -> anyhow::Result<Value> {
    call(address, "GET", path, "")
}

/// The JSON that answers a post.
///
/// # Errors
/// There is no answer, or it is none of success.
pub fn post(address: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
    call(address, "POST", path, &body.to_string())
}

fn call(address: &str, method: &str, path: &str, body: &str) -> anyhow::Result<Value> {
    let mut stream = TcpStream::connect(address).with_context(|| format!("no {address}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, text) = answer
        .split_once("\r\n\r\n")
        .context("an answer without an end of its head")?;
    ensure!(head.starts_with("HTTP/1.1 2"), "{method} {path}: {answer}");
    Ok(serde_json::from_str(text)?)
}
