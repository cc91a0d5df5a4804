//! Puts the web pages into the binary: as `console/dist` has them, or as npm builds them there.
//!
//! They are optional. Where they cannot be built the server is built without, and its pages say so; a build that must
//! have them sets `DIMENSIONOS_CONSOLE=build`, and one that wants none `DIMENSIONOS_CONSOLE=skip`.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use sha2::{Digest, Sha256};

/// The oldest Node.js that builds the pages.
const OLDEST_NODE: u32 = 20;
/// Where a build says what it was made of.
const MADE_OF: &str = ".sources";
/// Held while somebody builds or reads `dist`: of two cargo processes one waits.
const LOCK: &str = ".building";
/// What is in the console's folder and is no source of the pages: what is installed, what is built, what is generated
/// from the schema, and what tests the pages.
const NOT_SOURCES: [&str; 5] = ["node_modules", "dist", "src/gql", "tests", LOCK];

/// Why there are no pages.
enum LeftOut {
    /// Nobody wants them, or their sources are not here.
    Unwanted,
    /// A program is missing, or too old.
    Missing(&'static str),
    /// A program failed, with the last it said.
    Failed(&'static str, String),
    /// A file cannot be read or written.
    File(PathBuf, io::Error),
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unwanted => f.write_str("they are not wanted"),
            Self::Missing(what) => write!(f, "{what} is missing"),
            Self::Failed(what, last) => write!(f, "`{what}` failed: {last}"),
            Self::File(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

fn main() -> ExitCode {
    println!("cargo::rerun-if-env-changed=DIMENSIONOS_CONSOLE");
    println!("cargo::rerun-if-changed=build.rs");
    let wanted = std::env::var("DIMENSIONOS_CONSOLE").unwrap_or_default();
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    let pages = if wanted == "skip" { Err(LeftOut::Unwanted) } else { pages(Path::new("console"), &out) };
    let (table, is_built) = match pages {
        Ok(table) => (table, true),
        Err(reason) if wanted == "build" => {
            println!("cargo::error=the web pages cannot be built: {reason}");
            return ExitCode::FAILURE;
        }
        Err(reason) => {
            if !matches!(reason, LeftOut::Unwanted) {
                println!("cargo::warning=the server is built without its web pages: {reason}");
            }
            ("&[]".to_owned(), false)
        }
    };
    println!("cargo::rustc-check-cfg=cfg(has_pages)");
    if is_built {
        println!("cargo::rustc-cfg=has_pages");
    }
    match fs::write(out.join("assets.rs"), table) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("cargo::error=the table of the web pages: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The table of the pages, as Rust has it, over files that are copied to `out`.
fn pages(console: &Path, out: &Path) -> Result<String, LeftOut> {
    if !console.join("package.json").exists() {
        return Err(LeftOut::Unwanted);
    }
    let sources = sources(console)?;
    let lock = console.join(LOCK);
    let held = File::create(&lock).and_then(|file| file.lock().map(|()| file)).map_err(|error| file(&lock, error))?;
    let (dist, made_of) = (console.join("dist"), digest(&sources)?);
    if fs::read_to_string(dist.join(MADE_OF)).ok().as_deref() != Some(made_of.as_str()) {
        build(console, &made_of)?;
    }
    // Copied, for the compiler reads them when somebody else may be building anew.
    let table = copy(&dist, &out.join("pages"))?;
    drop(held);
    Ok(table)
}

fn file(path: &Path, error: io::Error) -> LeftOut {
    LeftOut::File(path.to_owned(), error)
}

/// The sources by their paths. Each is watched by itself: of a folder cargo would watch all that is in it, and what a
/// build writes is in these.
fn sources(console: &Path) -> Result<BTreeMap<String, PathBuf>, LeftOut> {
    // The types of what the pages ask for are made of the schema.
    let mut found = BTreeMap::from([("../schema.graphql".to_owned(), PathBuf::from("schema.graphql"))]);
    for (name, path) in files(console, &|name| NOT_SOURCES.contains(&name))? {
        found.insert(name, path);
    }
    for path in found.values() {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    Ok(found)
}

/// The files under a folder by their paths in it, with `/` between the parts.
fn files(root: &Path, is_left_out: &dyn Fn(&str) -> bool) -> Result<BTreeMap<String, PathBuf>, LeftOut> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![(String::new(), root.to_owned())]);
    while let Some((prefix, folder)) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|error| file(&folder, error))? {
            let entry = entry.map_err(|error| file(&folder, error))?;
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if is_left_out(&name) {
                continue;
            }
            let path = entry.path();
            if path.is_dir() {
                folders.push((format!("{name}/"), path));
            } else {
                found.insert(name, path);
            }
        }
    }
    Ok(found)
}

/// SHA-256 over the names and contents of all sources, in hex.
fn digest(sources: &BTreeMap<String, PathBuf>) -> Result<String, LeftOut> {
    let mut all = Sha256::new();
    for (name, path) in sources {
        let content = fs::read(path).map_err(|error| file(path, error))?;
        all.update(Sha256::digest(name));
        all.update(Sha256::digest(content));
    }
    Ok(hex(&all.finalize()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a text does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Builds `dist`, and writes down of what once all of it is there.
fn build(console: &Path, made_of: &str) -> Result<(), LeftOut> {
    check_node()?;
    let made = console.join("dist").join(MADE_OF);
    match fs::remove_file(&made) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(file(&made, error)),
        _ => {}
    }
    install(console)?;
    // Silent, so that what is said last is what a tool said, and not npm about it.
    run(console, "npm run build", &["run", "--silent", "build"])?;
    fs::write(&made, made_of).map_err(|error| file(&made, error))
}

fn check_node() -> Result<(), LeftOut> {
    const NEEDED: &str = "Node.js 20 or later";
    let output = Command::new("node").arg("--version").output().map_err(|_| LeftOut::Missing(NEEDED))?;
    let version = String::from_utf8_lossy(&output.stdout).trim().trim_start_matches('v').to_owned();
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_some_and(|major| major >= OLDEST_NODE) { Ok(()) } else { Err(LeftOut::Missing(NEEDED)) }
}

/// Installs what is pinned, unless that is what is installed: somebody may be working with it.
fn install(console: &Path) -> Result<(), LeftOut> {
    let (pinned, installed) = (console.join("package-lock.json"), console.join("node_modules/.installed"));
    let lock = fs::read(&pinned).map_err(|error| file(&pinned, error))?;
    if fs::read(&installed).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    // No package runs a program of its own at this.
    run(console, "npm ci", &["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-progress"])?;
    fs::write(&installed, lock).map_err(|error| file(&installed, error))
}

fn run(console: &Path, what: &'static str, arguments: &[&str]) -> Result<(), LeftOut> {
    let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
    let mut command = Command::new(npm);
    command.args(arguments).current_dir(console).stdin(Stdio::null());
    // A registry that cannot be reached is given up soon.
    command.env("npm_config_fetch_retries", "1").env("npm_config_fetch_timeout", "60000");
    let output = match command.output() {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(LeftOut::Missing("npm")),
        Err(error) => return Err(LeftOut::Failed(what, error.to_string())),
    };
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stderr, output.stdout].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let mut lines = said.iter().flat_map(|text| text.lines().rev()).map(str::trim);
    let last = lines.find(|line| !line.is_empty() && !line.contains("npm-debug") && !line.contains("complete log"));
    Err(LeftOut::Failed(what, last.unwrap_or("nothing was said").to_owned()))
}

/// Copies what is served, each file in its two compressed forms, and gives the table of it.
fn copy(dist: &Path, to: &Path) -> Result<String, LeftOut> {
    match fs::remove_dir_all(to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(file(to, error)),
        _ => {}
    }
    let all = files(dist, &|name| name == MADE_OF)?;
    let plain = all.iter().filter(|(name, _)| !matches!(extension(name), "br" | "gz"));
    let mut table = "&[\n".to_owned();
    for (name, path) in plain {
        let content = fs::read(path).map_err(|error| file(path, error))?;
        let forms = ["br", "gz"].map(|form| -> Result<PathBuf, LeftOut> {
            let from = all.get(&format!("{name}.{form}")).ok_or(LeftOut::Missing("a compressed form of a page"))?;
            let to = to.join(format!("{name}.{form}"));
            let folder = to.parent().unwrap_or(Path::new(""));
            fs::create_dir_all(folder).map_err(|error| file(folder, error))?;
            fs::copy(from, &to).map_err(|error| file(from, error))?;
            Ok(to)
        });
        let [brotli, gzip] = forms;
        let path = match name.as_str() {
            "index.html" => "/".to_owned(),
            page => format!("/{}", page.strip_suffix(".html").unwrap_or(page)),
        };
        let tag = format!("W/\"{}\"", &hex(&Sha256::digest(&content))[..32]);
        let (media_type, brotli, gzip) = (media_type(name), brotli?, gzip?);
        let (brotli, gzip) = (brotli.to_string_lossy(), gzip.to_string_lossy());
        // Writing to a text does not fail.
        let _ = writeln!(
            table,
            "({path:?}, {media_type:?}, {tag:?}, include_bytes!({brotli:?}), include_bytes!({gzip:?})),"
        );
    }
    table.push(']');
    Ok(table)
}

fn extension(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or_default()
}

fn media_type(name: &str) -> &'static str {
    match extension(name) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "woff" => "font/woff",
        "ttf" => "font/ttf",
        "wasm" => "application/wasm",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
