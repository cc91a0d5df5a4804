//! The report: objects within objects, whose places are written as `nab.fixed.standard`.

use std::error::Error;

use serde_json::{Map, Value};

/// What came out, by key.
pub(crate) type Report = Map<String, Value>;

/// Puts a value at a place, making the objects on the way.
///
/// # Errors
/// Where something that is no object stands on the way, or something stands at the place.
pub(crate) fn put(report: &mut Report, place: &str, value: impl Into<Value>) -> Result<(), Box<dyn Error>> {
    let Some((first, rest)) = place.split_once('.') else {
        return match report.insert(place.to_owned(), value.into()) {
            None => Ok(()),
            Some(_) => Err(format!("`{place}` was put into the report twice").into()),
        };
    };
    match report.entry(first).or_insert_with(|| Value::Object(Map::new())) {
        Value::Object(inner) => put(inner, rest, value),
        _ => Err(format!("`{first}` holds a figure and cannot hold `{rest}`").into()),
    }
}

/// Puts all of a part in, object by object. Its keys may be written as places.
///
/// # Errors
/// As [`put`]: two parts never write the same key.
pub(crate) fn merge(whole: &mut Report, part: Report) -> Result<(), Box<dyn Error>> {
    for (place, value) in leaves(part) {
        put(whole, &place, value)?;
    }
    Ok(())
}

/// A line for each figure. Bounds stand behind their rates, and lists are left to the file.
pub(crate) fn summary(report: &Report) -> String {
    let lines = leaves(report.clone()).into_iter().filter_map(|(place, value)| match value {
        Value::Array(_) => None,
        Value::Number(number) if number.is_f64() => Some(format!("{place:<46} {:.4}\n", number.as_f64()?)),
        other => Some(format!("{place:<46} {other}\n")),
    });
    lines.collect()
}

/// Everything that is no object, with its place.
fn leaves(report: Report) -> Vec<(String, Value)> {
    let below = |(name, value): (String, Value)| match value {
        Value::Object(inner) if !inner.is_empty() => {
            leaves(inner).into_iter().map(|(place, leaf)| (format!("{name}.{place}"), leaf)).collect()
        }
        leaf => vec![(name, leaf)],
    };
    report.into_iter().flat_map(below).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Report {
        match value {
            Value::Object(map) => map,
            other => panic!("{other} is no object"),
        }
    }

    #[test]
    fn parts_of_one_set_come_together() {
        let mut whole = Report::new();
        merge(&mut whole, object(json!({"benign": {"restrict": 0}, "nab.fixed.standard": 1.5}))).unwrap();
        merge(&mut whole, object(json!({"benign": {"warn": 0.5}}))).unwrap();
        let expected = json!({"benign": {"restrict": 0, "warn": 0.5}, "nab": {"fixed": {"standard": 1.5}}});
        assert_eq!(Value::Object(whole.clone()), expected);
        assert!(summary(&whole).contains("nab.fixed.standard"));
    }

    #[test]
    fn no_figure_takes_the_place_of_another() {
        let mut whole = object(json!({"benign": {"restrict": 0}}));
        for refused in [json!({"benign.restrict": 1}), json!({"benign.restrict.deeper": 1})] {
            assert!(merge(&mut whole, object(refused)).is_err());
        }
        assert_eq!(whole["benign"]["restrict"], 0);
    }
}
