//! The Numenta Anomaly Benchmark: the adaptive score on its files, scored as the benchmark scores.
//!
//! `nab.optimised` has the threshold that the benchmark's protocol chooses with the labels at hand, one for all files
//! and for each profile; `nab.fixed` has [`UNUSUAL`], which was fixed before and never sees a label.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;

use dimensionos_core::Timestamp;
use dimensionos_core::tos::detectors::adaptive::{Score, UNUSUAL};
use serde_json::{Value, json};

use self::scoring::{Corpus, PROFILES};
use crate::adaptive::scores;
use crate::report::{Report, put};
use crate::series::{self, Row};
use crate::statistics::rate;

mod scoring;

/// Published scores that come with the data, to test the scorer with.
const PUBLISHED: &str = "scores/relativeEntropy";
/// What the published scores of that detector come to on the files they come with (see the data's SOURCE.txt), in the
/// order of [`PROFILES`].
const PUBLISHED_SCORES: [f64; 3] = [52.72, 45.35, 56.78];
/// How many files those are.
const PUBLISHED_FILES: usize = 29;

/// A labelled file: its rows, and the first and last row of each window.
struct File {
    /// The folder and the name, as the labels have them.
    name: String,
    rows: Vec<Row>,
    windows: Vec<(usize, usize)>,
}

/// Puts `nab.optimised`, `nab.fixed` and their like in.
///
/// # Errors
/// Where a file or the labels cannot be read, or a window names an instant that its file has no row of.
pub(crate) fn evaluate(folder: &Path, report: &mut Report) -> Result<(), Box<dyn Error>> {
    let (files, unlabelled) = files(folder)?;
    put(report, "nab.files", files.len())?;
    put(report, "nab.files_without_labels", unlabelled)?;
    let scores: Vec<Vec<Score>> = files.iter().map(|file| scores(&file.rows)).collect();
    let novelty = corpus(&files, &scores, |score| score.novelty);
    for profile in &PROFILES {
        let (threshold, optimised) = novelty.optimise(profile);
        put(report, &format!("nab.optimised.{}", profile.name), optimised)?;
        put(report, &format!("nab.threshold.{}", profile.name), threshold)?;
        put(report, &format!("nab.fixed.{}", profile.name), novelty.at(UNUSUAL, profile))?;
    }
    put(report, "nab.left_out", left_out(&files, &scores))?;
    let (found, outside) = novelty.counts(UNUSUAL);
    put(report, "nab.windows_found_bound", rate(found as u64, novelty.windows() as u64))?;
    put(report, "nab.detections_outside", outside)?;
    // Each layer alone.
    for (name, of) in [("spike", (|score| score.spike) as fn(&Score) -> f64), ("largest", |score| score.largest())] {
        let layer = corpus(&files, &scores, of);
        put(report, &format!("nab.ablation.{name}.optimised"), layer.optimise(&PROFILES[0]).1)?;
        put(report, &format!("nab.ablation.{name}.fixed"), layer.at(UNUSUAL, &PROFILES[0]))?;
    }
    self_test(folder, &files, report)
}

fn corpus(files: &[File], scores: &[Vec<Score>], of: impl Fn(&Score) -> f64) -> Corpus {
    let mut corpus = Corpus::default();
    for (file, scores) in files.iter().zip(scores) {
        corpus.add(&scores.iter().map(&of).collect::<Vec<_>>(), &file.windows);
    }
    corpus
}

/// The standard score of each folder with the threshold that the other folders choose.
fn left_out(files: &[File], scores: &[Vec<Score>]) -> Value {
    let folder = |file: &File| file.name.split('/').next().unwrap_or_default().to_owned();
    let mut folders: BTreeMap<String, (Corpus, Corpus)> =
        files.iter().map(|file| (folder(file), Default::default())).collect();
    for (name, (own, others)) in &mut folders {
        for (file, scores) in files.iter().zip(scores) {
            let novelty: Vec<f64> = scores.iter().map(|score| score.novelty).collect();
            let corpus = if folder(file) == *name { &mut *own } else { &mut *others };
            corpus.add(&novelty, &file.windows);
        }
    }
    let standard = &PROFILES[0];
    let each = folders.into_iter().filter(|(_, (own, _))| own.windows() > 0).map(|(name, (own, others))| {
        let (threshold, _) = others.optimise(standard);
        let figures = json!({
            "windows": own.windows(),
            "threshold": threshold,
            "standard": own.at(threshold, standard),
            "fixed": own.at(UNUSUAL, standard),
        });
        (name, figures)
    });
    Value::Object(each.collect())
}

/// Scores the published scores where they are, and says what came out; where they are those of the data's SOURCE.txt,
/// the scorer has to come to the same.
fn self_test(folder: &Path, files: &[File], report: &mut Report) -> Result<(), Box<dyn Error>> {
    let mut corpus = Corpus::default();
    let mut files_scored = 0;
    for file in files {
        let path = folder.join(PUBLISHED).join(format!("{}.gz", file.name));
        if path.is_file() {
            let published: Vec<f64> = series::read(&path)?.iter().map(|row| row.value.unwrap_or_default()).collect();
            corpus.add(&published, &file.windows);
            files_scored += 1;
        }
    }
    if files_scored == 0 {
        return Ok(());
    }
    let came_out = PROFILES.map(|profile| corpus.optimise(&profile).1);
    for (profile, score) in PROFILES.iter().zip(came_out) {
        put(report, &format!("nab.self_test.relative_entropy.{}", profile.name), score)?;
    }
    put(report, "nab.self_test.files", files_scored)?;
    let is_known = files_scored == PUBLISHED_FILES && files.len() == PUBLISHED_FILES;
    let holds = came_out.iter().zip(PUBLISHED_SCORES).all(|(score, published)| (score - published).abs() < 0.005);
    if is_known && !holds {
        return Err(format!("the scorer comes to {came_out:.2?} where {PUBLISHED_SCORES:?} is published").into());
    }
    // Other files come to other figures, of which none is known here.
    put(report, "nab.self_test.holds", if is_known { Value::Bool(holds) } else { Value::Null })
}

fn files(folder: &Path) -> Result<(Vec<File>, usize), Box<dyn Error>> {
    let labels = fs::read(folder.join("labels/combined_windows.json"))?;
    let labels: BTreeMap<String, Vec<[String; 2]>> = serde_json::from_slice(&labels)?;
    let data = folder.join("data");
    let (mut files, mut unlabelled) = (Vec::new(), 0);
    for path in series::files(&data, &[".csv", ".csv.gz"])? {
        let parts: Vec<&str> = path.strip_prefix(&data)?.iter().filter_map(|part| part.to_str()).collect();
        let name = parts.join("/").trim_end_matches(".gz").to_owned();
        let Some(labelled) = labels.get(&name) else {
            unlabelled += 1;
            continue;
        };
        let rows = series::read(&path)?;
        let row = |text: &String| -> Result<usize, Box<dyn Error>> {
            let at: Timestamp = series::instant(text).ok_or_else(|| format!("{name}: {text} is no instant"))?;
            let found = rows.iter().position(|row| row.at == at);
            Ok(found.ok_or_else(|| format!("{name} has no row of {text}"))?)
        };
        let windows = labelled.iter().map(|[first, last]| Ok((row(first)?, row(last)?)));
        let windows = windows.collect::<Result<_, Box<dyn Error>>>()?;
        files.push(File { name, rows, windows });
    }
    Ok((files, unlabelled))
}
