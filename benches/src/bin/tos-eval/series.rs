//! Series of one figure, as files of `timestamp,value` with perhaps a label behind, perhaps compressed.

use std::error::Error;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use dimensionos_core::Timestamp;
use flate2::read::GzDecoder;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// One row. The label is for the score alone and never reaches a detector.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Row {
    pub(crate) at: Timestamp,
    /// Absent where nothing was measured.
    pub(crate) value: Option<f64>,
    pub(crate) is_labelled: bool,
}

/// Every file below a folder whose name ends so, in an order that is the same on every machine.
///
/// # Errors
/// Where a folder cannot be listed.
pub(crate) fn files(folder: &Path, endings: &[&str]) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
            if path.is_dir() {
                folders.push(path);
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The lines of a file, unpacked where its name ends in `.gz`.
///
/// # Errors
/// Where it cannot be opened; each line where it cannot be read.
pub(crate) fn lines(path: &Path) -> Result<impl Iterator<Item = std::io::Result<String>>, Box<dyn Error>> {
    let file = File::open(path)?;
    let is_packed = path.extension().is_some_and(|extension| extension == "gz");
    let reader: Box<dyn Read> = if is_packed { Box::new(GzDecoder::new(file)) } else { Box::new(file) };
    Ok(BufReader::new(reader).lines())
}

/// The rows of a file, in its order, without the line of names at its head.
///
/// # Errors
/// Where it cannot be read or a line is no row; the message names the line.
pub(crate) fn read(path: &Path) -> Result<Vec<Row>, Box<dyn Error>> {
    let rows = lines(path)?.enumerate().skip(1).map(|(index, line)| {
        let line = line?;
        let place = || format!("{}:{}: no row: {line:?}", path.display(), index + 1);
        row(&line).ok_or_else(|| place().into())
    });
    rows.collect()
}

fn row(line: &str) -> Option<Row> {
    let mut fields = line.split(',').map(|field| field.trim().trim_matches('"'));
    let at = instant(fields.next()?)?;
    let value = match fields.next()? {
        "" => None,
        number => Some(number.parse().ok()?),
    };
    let is_labelled = match fields.next() {
        None => false,
        Some(label) => label.parse::<f64>().ok()? > 0.0,
    };
    Some(Row { at, value, is_labelled })
}

/// An instant of UTC with or without its `T` and `Z`.
pub(crate) fn instant(text: &str) -> Option<Timestamp> {
    let civil: DateTime = text.trim_end_matches('Z').parse().ok()?;
    Some(Timestamp::from_millis(civil.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ways_sets_write_an_instant_are_one() {
        let millis = 1_398_384_000_000;
        for text in ["2014-04-25 00:00:00", "2014-04-25T00:00:00Z", "2014-04-25 00:00:00.000000"] {
            assert_eq!(instant(text), Some(Timestamp::from_millis(millis)), "{text}");
        }
        assert_eq!(instant("yesterday"), None);
    }

    #[test]
    fn a_row_is_an_instant_a_value_and_perhaps_a_label() {
        let read = row("\"2018-04-25T00:00:00Z\",\"6034.5\",\"1\"").unwrap();
        assert!(read.value == Some(6_034.5) && read.is_labelled);
        assert!(!row("2014-04-01 00:00:00,20.0").unwrap().is_labelled);
        assert_eq!(row("2014-04-01 00:00:00,,0").unwrap().value, None);
        for refused in ["", "2014-04-01 00:00:00", "2014-04-01 00:00:00,x", "a,1"] {
            assert!(row(refused).is_none(), "{refused}");
        }
    }
}
