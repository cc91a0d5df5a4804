//! Scores the detectors of abuse on measured data, and writes down what they found.
//!
//! `tos-eval --data DIR --out report.json`, where DIR holds the folders of the sets; one that is not there is left out
//! of the report. An adapter for each set feeds the public detectors one sample at a time: none sees a later sample, a
//! file's name, its length or its range, and no label takes part in anything but the score.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use serde_json::Value;

use crate::report::Report;

mod adaptive;
mod bitbrains;
mod bitbrains_notice;
mod collegemsg;
mod cost;
mod evasions;
mod flows;
mod iot23;
mod microsoft;
mod nab;
mod overlay;
mod ransap;
mod report;
mod series;
mod ssh;
mod statistics;
mod westermo;
mod zeek;

/// Takes the folder of a set and puts what came out into the report.
type Adapter = fn(&Path, &mut Report) -> Result<(), Box<dyn Error>>;

/// The sets, by the name of their folder. A set may have several adapters, whose keys are put together.
const ADAPTERS: &[(&str, Adapter)] = &[
    ("nab", nab::evaluate),
    ("ms-cloud-monitoring", microsoft::evaluate),
    ("bitbrains", bitbrains_notice::evaluate),
    ("iot23-34-1", iot23::evaluate),
    ("ssh-auth", ssh::evaluate),
    ("westermo-net", westermo::evaluate),
    ("zeek-background", zeek::evaluate),
    ("bitbrains", bitbrains::evaluate),
    ("bitbrains", overlay::evaluate),
    ("collegemsg", collegemsg::evaluate),
    ("ransap", ransap::evaluate),
];

const USAGE: &str = "usage: tos-eval --data DIR --out FILE";

fn main() -> ExitCode {
    match arguments(env::args().skip(1)).and_then(|arguments| run(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tos-eval: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Arguments {
    data: PathBuf,
    out: PathBuf,
}

fn arguments(mut given: impl Iterator<Item = String>) -> Result<Arguments, Box<dyn Error>> {
    let (mut data, mut out) = (None, None);
    while let Some(name) = given.next() {
        let place = match name.as_str() {
            "--data" => &mut data,
            "--out" => &mut out,
            _ => return Err(format!("`{name}` is no argument; {USAGE}").into()),
        };
        *place = Some(PathBuf::from(given.next().ok_or_else(|| format!("{name} has no value; {USAGE}"))?));
    }
    Ok(Arguments { data: data.ok_or(USAGE)?, out: out.ok_or(USAGE)? })
}

/// Evaluates every set that is there, and what the detectors cost. A set that cannot be read does not keep the others
/// from being written down, but the run has failed.
fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let (mut whole, failed) = sets(&arguments.data)?;
    let mut evaded = Report::new();
    evasions::evaluate(&arguments.data, &mut evaded)?;
    report::merge(&mut whole, evaded)?;
    restrictions(&mut whole)?;
    cost::evaluate(&mut whole)?;
    print!("{}", report::summary(&whole));
    fs::write(&arguments.out, serde_json::to_vec_pretty(&whole)?)?;
    if failed.is_empty() { Ok(()) } else { Err(format!("could not evaluate {}", failed.join(", ")).into()) }
}

/// Adds up how often an account was restricted that did nothing wrong, over the sets that are there.
fn restrictions(whole: &mut Report) -> Result<(), Box<dyn Error>> {
    let Some(Value::Object(benign)) = whole.get("benign") else { return Ok(()) };
    let sums = benign.iter().filter(|(name, _)| name.ends_with("_restrict")).filter_map(|(_, count)| count.as_u64());
    let sum: u64 = sums.sum();
    report::put(whole, "benign.restrict", sum)
}

/// What came of the sets that are there, and which of them could not be evaluated.
fn sets(data: &Path) -> Result<(Report, Vec<&'static str>), Box<dyn Error>> {
    if !data.is_dir() {
        return Err(format!("{} is no folder", data.display()).into());
    }
    let mut whole = Report::new();
    let mut failed = Vec::new();
    for (name, evaluate) in ADAPTERS {
        let folder = data.join(name);
        if !folder.is_dir() {
            continue;
        }
        let mut part = Report::new();
        match evaluate(&folder, &mut part) {
            Ok(()) => report::merge(&mut whole, part)?,
            Err(error) => {
                eprintln!("tos-eval: {name}: {error}");
                failed.push(*name);
            }
        }
    }
    Ok((whole, failed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str]) -> Result<Arguments, Box<dyn Error>> {
        arguments(words.iter().map(|&word| word.to_owned()))
    }

    #[test]
    fn both_places_have_to_be_named() {
        let read = of(&["--out", "b", "--data", "a"]).unwrap();
        assert_eq!((read.data, read.out), (PathBuf::from("a"), PathBuf::from("b")));
        for refused in [&["--data", "a"][..], &["--data"], &["--data", "a", "--out"], &["--data", "a", "b"], &[]] {
            assert!(of(refused).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn a_set_that_is_not_there_is_left_out_and_one_that_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(sets(folder.path()).unwrap(), (Report::new(), vec![]));
        fs::create_dir(folder.path().join("nab")).unwrap();
        assert_eq!(sets(folder.path()).unwrap(), (Report::new(), vec!["nab"]));
        assert!(sets(&folder.path().join("none")).is_err());
    }
}
