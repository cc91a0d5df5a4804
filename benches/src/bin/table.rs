//! The tables of what the bench `record` read last, from criterion's files.
//!
//! Prints them; with `--write` puts them between the marks in this folder's `README.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::{env, fs};

use serde_json::Value;

const BEGIN: &str = "<!-- record: begin -->";
const END: &str = "<!-- record: end -->";
/// What stands between a subject and how many threads it ran on.
const THREADS: &str = "; ";

/// Accounts, and how the samples are spread over them.
type Column = (u64, String);
/// A subject in a column, and its nanoseconds.
type Figure = ((String, Column), f64);
type Figures = BTreeMap<(String, Column), f64>;

fn main() -> Result<(), Box<dyn Error>> {
    let figures = figures(&criterion_folder())?;
    if figures.is_empty() {
        return Err("nothing was measured: run `cargo bench -p benches --bench record` first".into());
    }
    let is_threaded = |subject: &str| subject.contains(THREADS);
    let one = table("one thread, ns a sample (to the floor)", &figures, |subject| !is_threaded(subject));
    let two = table("two threads, ns a sample of each (to one thread)", &figures, is_threaded);
    let tables = format!("{one}\n{two}");
    print!("{tables}");
    if env::args().any(|argument| argument == "--write") { write(&tables) } else { Ok(()) }
}

/// Where criterion writes: as itself finds it, and without cargo beside this program's folder.
fn criterion_folder() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.or_else(|| env::current_exe().ok()?.parent()?.parent().map(Path::to_owned));
    let folder = target.unwrap_or_else(|| PathBuf::from("target")).join("criterion");
    env::var_os("CRITERION_HOME").map_or(folder, PathBuf::from)
}

/// Nanoseconds of each subject in each column.
fn figures(folder: &Path) -> Result<Figures, Box<dyn Error>> {
    let mut figures = Figures::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            }
        }
        if folder.file_name() == Some(OsStr::new("new")) {
            figures.extend(figure(&folder)?);
        }
    }
    Ok(figures)
}

fn figure(folder: &Path) -> Result<Option<Figure>, Box<dyn Error>> {
    let read = |name| -> Result<Value, Box<dyn Error>> { Ok(serde_json::from_slice(&fs::read(folder.join(name))?)?) };
    let benchmark = read("benchmark.json")?;
    let text = |name| benchmark[name].as_str().unwrap_or_default();
    let Some(("record", column)) = text("group_id").split_once('/') else { return Ok(None) };
    let (accounts, spread) = column.split_once('/').ok_or("a group without a spread")?;
    let estimates = read("estimates.json")?;
    // The slope leaves out what each sample costs once; a bench of few iterations has none.
    let estimate = [&estimates["slope"], &estimates["median"]].into_iter().find(|estimate| estimate.is_object());
    let nanoseconds = estimate.and_then(|estimate| estimate["point_estimate"].as_f64()).ok_or("no estimate")?;
    let column = (accounts.parse()?, spread.to_owned());
    Ok(Some(((text("function_id").to_owned(), column), nanoseconds)))
}

fn table(title: &str, figures: &Figures, is_meant: impl Fn(&str) -> bool) -> String {
    let meant = || figures.keys().filter(|(subject, _)| is_meant(subject));
    let columns: BTreeSet<&Column> = meant().map(|(_, column)| column).collect();
    let mut subjects: Vec<&String> = meant().map(|(subject, _)| subject).collect::<BTreeSet<_>>().into_iter().collect();
    subjects.sort_by_key(|subject| (rank(subject), subject.to_owned()));

    let head: String =
        columns.iter().map(|(accounts, spread)| format!(" {}, {spread} |", grouped(*accounts))).collect();
    let mut table = format!("| {title} |{head}\n| --- |{}\n", " --- |".repeat(columns.len()));
    for subject in subjects {
        let cell = |column: &&Column| {
            let figure = |subject: &str| figures.get(&(subject.to_owned(), (*column).clone()));
            let Some(read) = figure(subject) else { return " |".to_owned() };
            let ratio = figure(base(subject)).map_or_else(String::new, |base| format!(" ({:.2})", read / base));
            let digits = usize::from(*read < 100.0);
            format!(" {read:.digits$}{ratio} |")
        };
        table += &format!("| {subject} |{}\n", columns.iter().map(cell).collect::<String>());
    }
    table
}

/// Floors, then ours, then the others.
fn rank(subject: &str) -> usize {
    ["floor", "ours"].iter().position(|first| subject.starts_with(first)).unwrap_or(2)
}

/// What a subject is compared with: on two threads itself on one, and on one the floor that is reached the same way.
fn base(subject: &str) -> &str {
    match subject.split_once(THREADS) {
        Some((alone, _)) => alone,
        None if subject.contains("by handle") => "floor: by handle, single writer",
        None => "floor: by id, plain stores",
    }
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|group| str::from_utf8(group).ok()).collect();
    groups.join(",")
}

fn write(tables: &str) -> Result<(), Box<dyn Error>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = fs::read_to_string(&path)?;
    let (before, rest) = text.split_once(BEGIN).ok_or("README.md has no mark where the tables begin")?;
    let (_, after) = rest.split_once(END).ok_or("README.md has no mark where the tables end")?;
    Ok(fs::write(&path, format!("{before}{BEGIN}\n\n{tables}\n{END}{after}"))?)
}
